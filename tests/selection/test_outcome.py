"""Outcome: which candidates are selected, and the reason."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from skdann._selection.outcome import Outcome, select, set_selected
from skdann._selection.rule import MARGIN, Ranking
from tests.selection.common import apply_rule, make_candidate, make_evidence, onehot

NAN, INF = float("nan"), float("inf")


def rank(*scores, objection="", shift=""):
    return Ranking([{"score": score, "detail": 2 * score} for score in scores], objection, shift)


def candidates_of(n, *, failed=()):
    return [
        make_candidate(0.25 * i, "domain" if i % 2 else None, "broke" if i in failed else "")
        for i in range(n)
    ]


def weights_of(*scores, margin=0.1, aggregate="passing", **ranking):
    outcome = select(candidates_of(len(scores)), rank(*scores, **ranking), margin, aggregate)
    assert outcome.weights.sum() == pytest.approx(1.0)
    assert outcome.is_adapted == (outcome.weights[0] == 0.0)
    return outcome.weights.tolist()


def test_candidates_above_the_margin_share_the_weight():
    assert weights_of(1.0, 1.3, 1.05, 1.2) == [0.0, 0.5, 0.0, 0.5]
    assert weights_of(1.0, 1.3, 1.05, 1.2, aggregate="best") == [0.0, 1.0, 0.0, 0.0]
    assert weights_of(-3.0, -2.0, -1.0, -INF) == [0.0, 0.5, 0.5, 0.0]


def test_the_reason_for_a_mixture_names_the_shares_in_descending_order():
    candidates = [
        make_candidate(family=name) for name in ("baseline", "alignment", "trees", "self_training")
    ]
    found = select(candidates, rank(0.0, 1.0, 1.3, -5.0), 0.1, "mixture")
    assert found.reason == "adapted by a mixture of 73% trees, 27% alignment"
    probas = [onehot([0, 0, 1, 1]), onehot([0, 1, 1, 1]), onehot([1, 1, 1, 1]), onehot([0] * 4)]
    ranking = rank(0.0, 1.0, 1.3, -5.0)._replace(proba_target=probas)
    found = select(candidates, ranking, 0.1, "mixture")
    assert found.reason == (
        "adapted by a mixture of 73% trees, 27% alignment; "
        "50% of the target rows are predicted otherwise than by the baseline"
    )
    assert found.changed == 0.5


def test_target_labels_weigh_the_baseline_too_and_are_named_in_the_reason():
    ranking = rank(1.3, 1.0)._replace(n_labels=1)
    found = select(candidates_of(2), ranking, 0.1, "mixture")
    by_hand = np.exp([1.0, 0.0])
    assert found.weights == pytest.approx(by_hand / by_hand.sum())
    assert found.reason.startswith("adapted by a mixture of 73% ")
    assert found.reason.endswith(", weighted by 1 held-out labels of the target")
    alone = select(candidates_of(2), rank(1.0, 1.0), 0.1, "mixture")
    assert alone.weights.tolist() == [0.0, 1.0]
    assert "labels" not in alone.reason


@pytest.mark.parametrize("n_failed", [1, 2])
def test_where_all_others_failed_the_reason_says_so(n_failed):
    scores = [1.0] + [-INF] * n_failed
    failed = range(1, n_failed + 1)
    found = select(candidates_of(n_failed + 1, failed=failed), rank(*scores), 0.1, "passing")
    assert found.reason == "not adapted: the training of all other candidates failed"
    objection = rank(*scores, objection="the domains hardly differ")
    found = select(candidates_of(n_failed + 1, failed=failed), objection, 0.1, "passing")
    assert found.reason == "not adapted: the domains hardly differ"


def test_only_selected_candidates_count_in_the_changed_share():
    probas = [onehot([0, 0]), onehot([0, 1]), onehot([1, 1])]
    ranking = rank(1.0, 2.0, 0.5)._replace(proba_target=probas)
    assert select(candidates_of(3), ranking, 0.1, "passing").changed == 0.5
    ranking = ranking._replace(proba_target=[probas[0], probas[1], None])
    assert select(candidates_of(3), ranking, 0.1, "passing").changed == 0.5
    ranking = rank(1.0, 0.5, 2.0)._replace(proba_target=[probas[0], None, probas[2]])
    assert select(candidates_of(3), ranking, 0.1, "passing").changed == 1.0
    ranking = rank(1.0, 0.5, 0.5)._replace(proba_target=[None, probas[1], probas[2]])
    assert select(candidates_of(3), ranking, 0.1, "passing").changed == 0.0


@pytest.mark.parametrize("aggregate", ["passing", "best"])
def test_a_lead_that_equals_the_margin_is_too_small(aggregate):
    assert weights_of(1.0, 1.25, margin=0.25, aggregate=aggregate) == [1.0, 0.0]
    assert weights_of(1.0, 1.25, 1.5, margin=0.25, aggregate=aggregate) == [0.0, 0.0, 1.0]
    assert weights_of(1.0, 1.0, margin=0.0, aggregate=aggregate) == [1.0, 0.0]
    assert 0.3 - 0.1 < 0.2 < 0.1 + 0.2 - 0.1  # as differences of floats round
    assert weights_of(0.1, 0.3, margin=0.2, aggregate=aggregate) == [1.0, 0.0]
    assert weights_of(0.1, 0.1 + 0.2, margin=0.2, aggregate=aggregate) == [0.0, 1.0]
    assert weights_of(1.0, 1.001, margin=0.0, aggregate=aggregate) == [0.0, 1.0]


def test_the_first_of_equal_candidates_is_the_best():
    assert weights_of(0.0, 1.0, 1.0, aggregate="best") == [0.0, 1.0, 0.0]


def test_a_mixture_weights_all_but_the_baseline_by_their_scores():
    scores = np.array([1.0, 1.3, -0.5, 1.2])
    by_hand = np.exp(scores / 0.3) * [0.0, 1.0, 1.0, 1.0]
    weights = weights_of(*scores, aggregate="mixture")
    assert weights == pytest.approx(by_hand / by_hand.sum())
    assert weights == weights_of(*scores, margin=9.0, aggregate="mixture")  # it has no margin
    shifted = weights_of(*(scores + 1000.0), aggregate="mixture")
    assert shifted == pytest.approx(weights)


def test_a_failed_candidate_has_no_weight_in_a_mixture():
    weights = weights_of(1.0, 1.3, -INF, 1.3, aggregate="mixture")
    assert weights == [0.0, 0.5, 0.0, 0.5]
    assert weights_of(1.0, -INF, -INF, aggregate="mixture") == [1.0, 0.0, 0.0]
    assert weights_of(-INF, 1.0, aggregate="mixture") == [1.0, 0.0]
    assert weights_of(1.0, aggregate="mixture") == [1.0]


def test_the_changed_share_is_that_of_the_weighted_mean():
    proba = [
        np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.6, 0.4]]),
        np.array([[0.0, 1.0], [0.6, 0.4], [0.2, 0.8], [0.0, 1.0]]),
        np.array([[0.4, 0.6], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]),
        None,
    ]
    scores = [{"score": value} for value in (1.0, 1.5, 1.5, -INF)]
    ranking = Ranking(scores, proba_target=proba)
    for aggregate in ("mixture", "passing"):  # 0.2, 0.8, 0.1 and 0.5 of the first class
        outcome = select(candidates_of(4, failed=[3]), ranking, 0.1, aggregate)
        assert outcome.weights.tolist() == [0.0, 0.5, 0.5, 0.0]
        assert outcome.changed == 0.25
        assert outcome.reason.endswith(
            "; 25% of the target rows are predicted otherwise than by the baseline"
        )
    kept = select(candidates_of(4), ranking._replace(objection="why not"), 0.1, "mixture")
    assert (kept.changed, kept.reason) == (0.0, "not adapted: why not")
    assert select(candidates_of(2), rank(1.0, 2.0), 0.1, "passing").changed is None


@pytest.mark.parametrize("aggregate", ["passing", "best", "mixture"])
def test_an_objection_keeps_the_baseline_whatever_the_scores(aggregate):
    assert weights_of(0.0, 9.0, objection="why not", aggregate=aggregate) == [1.0, 0.0]


def test_a_baseline_without_a_score_is_selected():
    assert weights_of(-INF, 1.0) == [1.0, 0.0]
    assert weights_of(-INF, -INF) == [1.0, 0.0]


def test_rows_hold_settings_scores_weights_and_errors():
    outcome = select(candidates_of(3, failed=[1]), rank(1.0, -INF, 2.0), 0.5, "passing")
    assert outcome.scores == [
        {
            "family": "alignment", "lambda_max": 0.0, "standardize": None, "score": 1.0,
            "detail": 2.0, "weight": 0.0,
        },
        {
            "family": "alignment", "lambda_max": 0.25, "standardize": "domain", "score": -INF,
            "detail": -INF, "weight": 0.0, "error": "broke",
        },
        {
            "family": "alignment", "lambda_max": 0.5, "standardize": None, "score": 2.0,
            "detail": 4.0, "weight": 1.0,
        },
    ]  # fmt: skip
    assert all(type(row["weight"]) is float for row in outcome.scores)


def test_every_candidate_has_a_score():
    with pytest.raises(ValueError, match="argument 2 is longer"):
        select(candidates_of(2), rank(1.0, 2.0, 3.0), 0.5, "passing")


@pytest.mark.parametrize("shift", ["none", "label", "other", ""])
def test_the_kind_of_shift_is_passed_on(shift):
    assert select(candidates_of(1), rank(0.0, shift=shift), 0.1, "best").shift == shift


@pytest.mark.parametrize(
    ("ranking", "reason"),
    [
        (
            rank(1.0, 1.5, 1.62345, 1.6),
            "adapted by 2 of 4 candidates, best with lambda 0.5: its score 1.62 exceeds the "
            "baseline's by 0.623, more than 0.55",
        ),
        (
            rank(1.0, 2.0),
            "adapted by 1 of 2 candidates, best with lambda 0.25, standardize='domain': its score "
            "2 exceeds the baseline's by 1, more than 0.55",
        ),
        (
            rank(1.0, 1.1234567),
            "not adapted: the best score exceeds the baseline's by 0.123, not more than 0.55",
        ),
        (rank(1.0, 3.0, objection="why not"), "not adapted: why not"),
        (rank(-INF, 3.0, objection="why not"), "not adapted: why not"),
        (
            rank(-INF, 3.0),
            "not adapted: the source-only baseline has no score to compare with",
        ),
    ],
    ids=["adapted", "with a scaling", "small", "objection", "objection only", "no score"],
)
def test_the_reason_is_one_line(ranking, reason):
    candidates = candidates_of(len(ranking.scores))
    assert select(candidates, ranking, 0.55, "passing").reason == reason


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([(1.0, 0.0), (0.0, 9.0)], 0),  # a weight counts first
        ([(0.0, 5.0), (0.5, 2.0), (0.5, 3.0)], 2),
        ([(0.0, 5.0), (0.5, 3.0), (0.5, 3.0)], 1),
    ],
)
def test_the_best_candidate_has_the_greatest_weight_and_then_score(rows, best):
    scores = [{"weight": weight, "score": score} for weight, score in rows]
    outcome = Outcome(scores, "")
    assert outcome.best == best
    assert outcome.is_adapted == (rows[0][0] < 1.0)
    assert outcome.shift == ""


def test_a_search_gets_the_members_of_the_selected_candidates():
    candidates = [["a", "b"], ["c", "d"], ["e", "f"], ["g", "h"]]
    outcome = select(candidates_of(4), rank(1.0, 2.0, 1.0, 3.0, shift="other"), 0.1, "passing")
    outcome = dataclasses.replace(outcome, changed=0.25)
    search = SimpleNamespace()
    assert set_selected(search, candidates, outcome) is search
    assert search.changed_share_ == 0.25
    assert search.members_ == ["c", "d", "g", "h"]
    assert search.weights_.tolist() == [0.25, 0.25, 0.25, 0.25]
    assert search.candidates_ is candidates
    assert search.scores_ is outcome.scores
    assert search.adapted_ is True
    assert (search.best_index_, search.lambda_, search.standardize_) == (3, 0.75, "domain")
    assert (search.reason_, search.shift_) == (outcome.reason, "other")


def test_a_search_that_keeps_the_baseline_has_its_members_only():
    outcome = select(candidates_of(2), rank(1.0, 1.0), 0.1, "passing")
    search = set_selected(SimpleNamespace(), [["a", "b", "c"], ["d", "e", "f"]], outcome)
    assert search.members_ == ["a", "b", "c"]
    assert search.weights_.tolist() == [1 / 3] * 3
    assert search.adapted_ is False
    assert (search.best_index_, search.lambda_, search.standardize_) == (0, 0.0, None)


# -- with the default rule -------------------------------------------------------------------------


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
        reverse = row["reverse_source"] + row["reverse_domain"]
        assert row["score"] == pytest.approx(row["information"] + reverse - 0.5 * row["changed"])


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
