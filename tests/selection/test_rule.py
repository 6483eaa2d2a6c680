"""Rules that score candidates: the default rule and its objections, and scorers as rules."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal

from skdann._input.domains import check_domains
from skdann._input.drawing import draw_rows
from skdann._selection import rule
from skdann._selection.candidates import Candidate
from skdann._selection.evidence import class_ratio, matched_auc
from skdann._selection.rule import (
    FAILED,
    MARGIN,
    MIN_AUC,
    DefaultRule,
    Ranking,
    ScorerRule,
    make_rule,
)
from skdann._training.fitting import Fold
from skdann.model_selection import DefaultRuleScorer, InformationMaximizationScorer, _default_rule
from tests.selection.common import apply_rule, make_evidence, onehot

NAN = float("nan")

# -- default rule ---------------------------------------------------------------------------------


def test_scores_are_those_of_the_scorer():
    evidence, y_target = make_evidence()
    probas = [onehot(np.arange(400) % 2, 0.6), None, onehot(y_target)]
    ranking = DefaultRule(5).rank_evidence(evidence._replace(proba_target=probas))
    rows = evidence.X_source, evidence.y, evidence.X_target
    scorer = DefaultRuleScorer(random_state=5)
    for row, proba in zip(ranking.scores, probas, strict=True):
        if proba is None:
            names = "score", "information", "reverse_source", "reverse_domain"
            assert row == {**dict.fromkeys(names, -np.inf), "changed": pytest.approx(NAN, nan_ok=1)}
            continue
        expected = scorer.score_predictions(*rows, proba)._asdict()
        changed = np.mean(proba.argmax(1) != probas[0].argmax(1))
        assert row == {**expected, "score": expected["score"] - 0.5 * changed, "changed": changed}
    assert ranking.proba_target is probas
    corrected = [probas[0], None, probas[0]]
    other = DefaultRule(5).rank_evidence(
        evidence._replace(proba_target=probas, predicted_target=corrected)
    )
    assert other.proba_target is corrected
    assert other.scores[2] == ranking.scores[2]
    assert ranking.scores[0]["changed"] == 0.0
    assert ranking.scores[2]["changed"] == 0.5
    ranking.scores[1]["weight"] = 1.0
    assert "weight" not in FAILED  # every failed candidate has a row for itself


def test_the_seed_draws_the_rows(monkeypatch):
    monkeypatch.setattr(_default_rule, "MOST_ROWS", 60)
    evidence, _ = make_evidence(shift=0.5)
    scores = [DefaultRule(seed).rank_evidence(evidence).scores for seed in (1, 1, 2)]
    assert scores[0] == scores[1] != scores[2]


def test_constants():
    assert (DefaultRule.margin, MARGIN, MIN_AUC, ScorerRule.margin) == (0.05, 0.05, 0.6, 0.0)
    assert (rule.CHANGE_PENALTY, rule.LABEL_VALUE) == (0.5, 0.1)
    assert Ranking([]) == ([], "", "", (), 0)


def test_held_out_labels_count_for_each_candidate_and_lift_the_objection():
    scores = [{"score": 1.0, "changed": 0.0}, {"score": 2.0, "changed": 0.5}, dict(FAILED)]
    ranking = Ranking(scores, "the domains hardly differ", "none", (1, 2, 3))
    probas = [onehot([1, 1, 0]), onehot([0, 0, 0]), None]
    found = ranking.with_labels(probas, np.array([0, 1, 0]))
    assert [row["labels_right"] for row in found.scores] == [2, 2, 0]
    assert [row["score"] for row in found.scores] == pytest.approx([1.2, 2.2, -np.inf])
    assert [row["changed"] for row in found.scores[:2]] == [0.0, 0.5]
    assert found[1:] == ("", "none", (1, 2, 3), 3)
    assert ranking.scores == scores  # unchanged
    assert "labels_right" not in scores[0]


def test_without_held_out_labels_the_ranking_is_the_same():
    ranking = Ranking([{"score": 1.0}], "the domains hardly differ", "none")
    assert ranking.with_labels([np.zeros((0, 2))], np.zeros(0, dtype=int)) is ranking


@pytest.mark.parametrize("labelled", [None, np.array([0])])
def test_the_default_rule_ranks_what_the_candidates_predict(labelled, monkeypatch):
    evidence, _ = make_evidence()
    given = ["candidates"], ["folds"], SimpleNamespace(labelled=labelled)

    def collect(*args):
        assert args == (*given, 5)
        return evidence

    def predict(*args):
        assert args == given
        return [onehot([1])], np.array([1])

    monkeypatch.setattr(rule, "collect_evidence", collect)
    monkeypatch.setattr(rule, "predict_labelled", predict)
    expected = DefaultRule(5).rank_evidence(evidence)
    if labelled is not None:
        expected = expected.with_labels([onehot([1])], np.array([1]))
    found = DefaultRule(5).rank(*given)
    assert found[:3] == expected[:3]
    assert found.n_labels == (0 if labelled is None else 1)


def judge(evidence, seed=0, is_linear=True):
    """Return objection and shift, and the domain AUCs before and after the classes are matched."""
    ranking = DefaultRule(seed).rank_evidence(evidence)
    mean, std = evidence.X_source.mean(0), evidence.X_source.std(0)
    X_source, X_target = ((X - mean) / std for X in (evidence.X_source, evidence.X_target))
    aucs = [
        matched_auc(X_source, evidence.y, X_target, weight, seed, is_linear=is_linear)
        for weight in (np.ones(2), class_ratio(evidence))
    ]
    return ranking.objection, ranking.shift, *aucs


def test_domains_that_differ_are_not_objected_to():
    objection, shift, _, matched = judge(make_evidence(shift=1.0)[0])
    assert (objection, shift) == ("", "other")
    assert matched > MIN_AUC


def test_domains_that_hardly_differ_are_objected_to():
    evidence = make_evidence(shift=0.0)[0]
    assert max(judge(evidence)[2:]) < MIN_AUC
    objection, shift, auc, matched = judge(evidence, is_linear=False)
    assert max(auc, matched) < MIN_AUC
    assert shift == "none"
    assert objection == f"the domains hardly differ (domain AUC {auc:.2f})"


def test_pure_label_shift_is_objected_to():
    objection, shift, auc, matched = judge(make_evidence(shift=0.0, target_share=0.9)[0])
    assert matched < MIN_AUC <= auc
    assert shift == "label"
    assert objection == (
        "the domains differ in their class shares and hardly otherwise (domain AUC "
        f"{auc:.2f}, and {matched:.2f} once the shares are matched)"
    )


@pytest.mark.parametrize(
    ("linear", "forest", "shift"),
    [
        ((0.6, 0.6), (0.0, 0.0), "other"),
        ((0.6, 0.5999), (0.9, 0.9), "label"),
        ((0.5999, 0.9), (0.5999, 0.9), "none"),
        ((0.5999, 0.9), (0.6, 0.6), "other"),
        ((0.5999, 0.9), (0.6, 0.5999), "label"),
    ],
)
def test_the_limit_of_the_domain_auc(linear, forest, shift, monkeypatch):
    """A pair has the AUCs before and after the classes are matched."""
    evidence, _ = make_evidence(n=40)
    monkeypatch.setattr(rule, "class_ratio", lambda evidence: np.array([3.0, 5.0]))

    def auc(X_source, y, X_target, class_weight, seed, *, is_linear):
        assert seed == 7
        return (linear if is_linear else forest)[int((class_weight != 1.0).any())]

    monkeypatch.setattr(rule, "matched_auc", auc)
    ranking = DefaultRule(7).rank_evidence(evidence)
    assert ranking.shift == shift
    assert bool(ranking.objection) == (shift != "other")


def test_large_tables_are_sampled_by_the_seed_to_judge_the_shift(monkeypatch):
    monkeypatch.setattr(_default_rule, "MOST_ROWS", 50)
    evidence, _ = make_evidence(n=200)
    evidence = evidence._replace(
        X_target=evidence.X_target[:60], proba_target=[evidence.proba_target[0][:60]]
    )
    mean, std = evidence.X_source.mean(0), evidence.X_source.std(0)
    drawn = []

    def auc(X_source, y, X_target, class_weight, seed, *, is_linear):
        drawn.append((X_source, y, X_target))
        return 1.0

    monkeypatch.setattr(rule, "matched_auc", auc)
    DefaultRule(7).rank_evidence(evidence)
    (X_source, y, X_target), again = drawn
    assert all(a is b for a, b in zip(again, drawn[0], strict=True))
    source, target = draw_rows(200, 50, 7), draw_rows(60, 50, 7)
    assert_array_equal(y, evidence.y[source])
    for actual, rows in (
        (X_source, evidence.X_source[source]),
        (X_target, evidence.X_target[target]),
    ):
        assert len(actual) == 50
        correlation = np.corrcoef(actual[:, 0], ((rows - mean) / std)[:, 0])[0, 1]
        assert correlation == pytest.approx(1.0)


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
    assert fewer.scores[1]["reverse_source"] != plain.scores[1]["reverse_source"]


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


# -- scorers as rules -----------------------------------------------------------------------------

FOLDS = [Fold(np.arange(5), np.array([5, 6])), Fold(np.arange(2, 7), np.array([0, 1]))]


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    labels = np.array(["no", "yes"])[np.arange(7) % 2]
    return check_domains(rng.normal(size=(7, 3)), labels, rng.normal(size=(4, 3)))


def rank(scoring, data, *members, failed=()):
    """Rank candidates, whose members are given as they are passed to the scorer."""
    candidates = [
        Candidate("alignment", list(group), [0, 1], "broke" if index in failed else "")
        for index, group in enumerate(members)
    ]
    return ScorerRule(scoring).rank(candidates, FOLDS, data)


def test_the_score_is_the_mean_over_the_held_out_rows_of_the_members(data):
    seen = []

    def scoring(member, X, y):
        seen.append((X, y))
        return member

    ranking = rank(scoring, data, [1.0, 4.0], [np.float32(2.0), 3])
    assert ranking == ([{"score": 2.5}, {"score": 2.5}], "", "", (), 0)
    for (X, y), fold in zip(seen, FOLDS * 2, strict=True):
        assert_array_equal(X, data.X[fold.valid])
        assert_array_equal(y, data.classes[data.y[fold.valid]])
    assert all(type(row["score"]) is float for row in ranking.scores)


def test_candidates_that_failed_are_not_scored(data):
    ranking = rank(lambda member, X, y: member, data, [1.0, 1.0], [None, None], failed=[1])
    assert [row["score"] for row in ranking.scores] == [1.0, -np.inf]


def test_nan_counts_as_no_score(data):
    ranking = rank(lambda member, X, y: member, data, [np.nan, 1.0], [np.inf, 0.0])
    assert [row["score"] for row in ranking.scores] == [-np.inf, np.inf]


def test_every_member_has_a_fold(data):
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        rank(lambda member, X, y: member, data, [1.0, 1.0, 1.0])


def test_a_scorer_may_set_the_margin():
    class WithMargin:
        margin = 3

        def __call__(self, estimator, X, y):
            return 0.0

    assert ScorerRule(WithMargin()).margin == 3.0
    assert type(ScorerRule(WithMargin()).margin) is float
    assert ScorerRule(len).margin == 0.0


@pytest.mark.parametrize("value", [None, "0.5", 1j, np.zeros(2)])
def test_a_score_must_be_a_number(value, data):
    expected = re.escape(f"scoring returned {value!r}; it must return a number")
    with pytest.raises(TypeError, match=expected):
        rank(lambda member, X, y: value, data, [1.0, 1.0])


class Scorer:
    """Scorer built with or without target rows."""

    def __init__(self, X_target, expected):
        self.X_target, self.expected = X_target, expected

    def __call__(self, member, X, y, X_target=None):
        if self.expected is None:
            assert X_target is None
        else:
            (rows,) = X_target
            assert_array_equal(rows, self.expected)
        return 1


def test_the_target_is_passed_to_scorers_built_without_it(data):
    for scorer in (Scorer(None, data.X[7:]), Scorer(np.zeros((2, 3)), None)):
        assert rank(scorer, data, [0, 0]).scores == [{"score": 1.0}]


def test_a_scorer_without_the_parameter_gets_no_target(data):
    class Plain:
        X_target = None

        def __call__(self, member, X, y):
            return 1.0

    assert rank(Plain(), data, [0, 0]).scores == [{"score": 1.0}]


def test_the_rule_of_a_search():
    assert isinstance(make_rule(None), DefaultRule)
    assert make_rule(None).seed == 0
    assert make_rule(None, 5).seed == 5
    rule = make_rule(len, 5)
    assert isinstance(rule, ScorerRule)
    assert rule.scoring is len


def test_scorers_of_the_package_work_with_and_without_target_rows(data, make_clf):
    X, y, X_target = data.X[:7], data.classes[data.y], data.X[7:]
    clf = make_clf().fit(X, y, X_target)
    scores = [
        rank(InformationMaximizationScorer(rows), data, [clf, clf]).scores[0]["score"]
        for rows in (None, X_target)
    ]
    assert scores[0] == scores[1]
