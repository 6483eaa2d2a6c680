"""The default rule: scores and objections."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from skdann._selection.rule import MIN_AUC
from skdann.model_selection import _default_rule
from tests.selection.common import apply_rule, make_evidence, onehot


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
