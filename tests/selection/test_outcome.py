"""Outcome: which candidates are selected, and the reason."""

from __future__ import annotations

import numpy as np
import pytest

from skdann._selection.rule import MARGIN
from tests.selection.common import apply_rule, make_evidence, onehot


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
