"""Default rule: its figures against computations by hand, and its possible outcomes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

from skdann._selection.candidates import Candidate
from skdann._selection.evidence import Evidence, matched_auc
from skdann._selection.outcome import select
from skdann._selection.rule import MARGIN, MIN_AUC, DefaultRule
from skdann.model_selection import _default_rule
from skdann.model_selection._default_rule import information, reverse_accuracy


def apply_rule(evidence, seed, aggregate="passing", margin=MARGIN):
    """Rank the candidates by the default rule, and select."""
    candidates = [Candidate(float(i), None, []) for i in range(len(evidence.proba_target))]
    return select(candidates, DefaultRule(seed).rank_evidence(evidence), margin, aggregate)


def onehot(label, sure=0.9):
    return np.where(np.arange(2) == np.asarray(label)[:, None], sure, 1.0 - sure)


def make_evidence(shift=3.0, target_share=0.5, n=400, seed=0, factor=1.0):
    """Return two classes separated in column 0; `shift` moves the other columns of the target."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    y_target = (np.arange(n) < target_share * n).astype(int)
    X, X_target = rng.normal(size=(n, 4)), rng.normal(size=(n, 4))
    X[:, 0] += 3.0 * y
    X_target[:, 0] += 3.0 * y_target
    X_target[:, 1:] += shift
    baseline = onehot(y_target)
    held_out = np.arange(n // 2)
    return Evidence(X, X_target, y, [baseline], held_out, onehot(y[held_out])), y_target


def test_information_by_hand():
    proba = np.array([[0.8, 0.2], [0.4, 0.6]])
    mean = proba.mean(0)
    expected = -(mean * np.log2(mean)).sum() + (proba * np.log2(proba)).sum(1).mean()
    assert information(proba) == pytest.approx(expected)
    assert information(onehot([0, 1, 0, 1], 1.0)) == pytest.approx(1.0)
    assert information(np.full((5, 3), 1 / 3)) == pytest.approx(0.0, abs=1e-12)
    assert information(onehot([1, 1, 1], 1.0)) == pytest.approx(0.0, abs=1e-12)


def test_reverse_accuracy_equals_training_on_target_and_scoring_on_source():
    evidence, y_target = make_evidence(shift=0.0)
    X, y, X_target = evidence.X_source, evidence.y, evidence.X_target
    model = LogisticRegression(max_iter=1000).fit(X_target, y_target)
    hits = [np.mean(model.predict(X[y == label]) == label) for label in (0, 1)]
    assert reverse_accuracy(X, y, X_target, y_target) == pytest.approx(np.mean(hits))
    assert reverse_accuracy(X, y, X_target, 1 - y_target) < 0.2
    assert reverse_accuracy(X, y, X_target, np.zeros_like(y_target)) == 0.5


def test_matched_auc_ignores_label_shift():
    evidence, _ = make_evidence(shift=0.0, target_share=0.9, n=2000)
    weights = np.array([0.1, 0.9]) / 0.5
    unmatched = matched_auc(evidence.X_source, evidence.y, evidence.X_target, np.ones(2), 0)
    matched = matched_auc(evidence.X_source, evidence.y, evidence.X_target, weights, 0)
    assert unmatched > 0.6
    assert matched == pytest.approx(0.5, abs=0.05)


def test_a_clearly_better_candidate_is_selected():
    evidence, y_target = make_evidence()
    poor, good = onehot(np.arange(400) % 2, 0.6), onehot(y_target)
    outcome = apply_rule(evidence._replace(proba_target=[poor, None, good]), 0)
    assert outcome.weights.tolist() == [0.0, 0.0, 1.0]
    assert outcome.scores[1]["score"] == -np.inf
    gain = outcome.scores[2]["score"] - outcome.scores[0]["score"]
    assert gain > MARGIN
    assert f"{gain:.3g}" in outcome.reason
    for row in (outcome.scores[0], outcome.scores[2]):
        assert row["score"] == pytest.approx(row["information"] + row["reverse"])


def test_all_clearly_better_candidates_are_selected_or_only_the_best():
    evidence, y_target = make_evidence()
    baseline, slight = onehot(np.arange(400) % 2, 0.6), onehot(np.arange(400) % 2, 0.61)
    evidence = evidence._replace(
        proba_target=[baseline, onehot(y_target, 0.85), slight, onehot(y_target), None]
    )
    outcome = apply_rule(evidence, 0)
    assert outcome.weights.tolist() == [0.0, 0.5, 0.0, 0.5, 0.0]
    scores = [row["score"] for row in outcome.scores]
    assert max(scores[0], scores[2]) < scores[0] + MARGIN < scores[1] < scores[3]
    assert apply_rule(evidence, 0, "best").weights.tolist() == [0.0, 0.0, 0.0, 1.0, 0.0]


def test_a_gain_below_the_margin_keeps_the_baseline():
    evidence, y_target = make_evidence()
    outcome = apply_rule(
        evidence._replace(proba_target=[onehot(y_target), onehot(y_target, 0.905)]), 0
    )
    assert 0 < outcome.scores[1]["score"] - outcome.scores[0]["score"] <= MARGIN
    assert outcome.weights.tolist() == [1.0, 0.0]
    assert "baseline" in outcome.reason


def test_the_margin_can_be_changed():
    evidence, y_target = make_evidence()
    evidence = evidence._replace(proba_target=[onehot(np.arange(400) % 2, 0.6), onehot(y_target)])
    gain = np.diff([row["score"] for row in apply_rule(evidence, 0).scores])[0]
    assert apply_rule(evidence, 0, margin=gain - 0.01).weights.tolist() == [0.0, 1.0]
    kept = apply_rule(evidence, 0, margin=gain + 0.01)
    assert kept.weights.tolist() == [1.0, 0.0]
    assert f"not more than {gain + 0.01:g}" in kept.reason


def test_pure_label_shift_keeps_the_baseline():
    evidence, y_target = make_evidence(shift=0.0, target_share=0.9)
    candidates = [onehot(y_target, 0.8), onehot(y_target, 0.99)]
    shifted = evidence._replace(
        proba_target=candidates, proba_held_out=onehot(evidence.y[evidence.rows_held_out], 0.8)
    )
    outcome = apply_rule(shifted, 0)
    assert outcome.weights.tolist() == [1.0, 0.0]
    assert "class shares" in outcome.reason
    moved = shifted._replace(X_target=shifted.X_target + 2.0)
    assert apply_rule(moved, 0).weights.tolist() == [0.0, 1.0]
    assert MIN_AUC == 0.6


def test_column_scales_do_not_matter_and_inputs_are_unchanged(monkeypatch):
    evidence, y_target = make_evidence()
    candidates = [onehot(np.arange(400) % 2, 0.6), onehot(y_target)]
    evidence = evidence._replace(proba_target=candidates)
    before = evidence.X_target.copy()
    plain = apply_rule(evidence, 0)
    factor = np.array([1e4, 1e-4, 1.0, 50.0])
    scaled = apply_rule(
        evidence._replace(X_source=evidence.X_source * factor, X_target=evidence.X_target * factor),
        0,
    )
    assert [row["score"] for row in plain.scores] == pytest.approx(
        [row["score"] for row in scaled.scores]
    )
    assert np.array_equal(before, evidence.X_target)
    monkeypatch.setattr(_default_rule, "MOST_ROWS", 150)
    fewer = apply_rule(evidence, 0)
    assert fewer.weights.tolist() == plain.weights.tolist()
    assert fewer.scores[1]["reverse"] != plain.scores[1]["reverse"]


def test_sparse_rows_and_constant_columns_are_accepted():
    evidence, y_target = make_evidence()
    X, X_target = evidence.X_source.copy(), evidence.X_target.copy()
    X[:, 3] = X_target[:, 3] = 7.0
    candidates = [onehot(np.arange(400) % 2, 0.6), onehot(y_target)]
    dense = apply_rule(evidence._replace(X_source=X, X_target=X_target, proba_target=candidates), 0)
    sparse = apply_rule(
        evidence._replace(
            X_source=sp.csr_array(X), X_target=sp.csr_array(X_target), proba_target=candidates
        ),
        0,
    )
    assert dense.weights.tolist() == sparse.weights.tolist() == [0.0, 1.0]
    assert all(np.isfinite(row["score"]) for row in [*dense.scores, *sparse.scores])
