"""Weighted metrics and losses, by hand."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from skdann.model_selection import ImportanceWeightedScorer
from skdann.model_selection._scores import weighted_score
from tests.model_selection.common import Odds, weighted_case


def test_classes_without_weight_do_not_count() -> None:
    proba, index = np.eye(3)[[0, 1, 0, 1]], np.array([0, 1, 1, 2])
    weights = np.array([1.0, 2.0, 1.0, 0.0])
    expected = (1 + 2 / 3) / 2
    assert_allclose(weighted_score(index, proba, weights, "balanced_accuracy"), expected)


def test_unknown_labels_have_probability_zero() -> None:
    clf, X, y, X_target, _ = weighted_case()
    other = np.where(np.arange(8) == 2, 7, y)
    scorer = ImportanceWeightedScorer(X_target, weight_estimator=Odds())
    weights = scorer.evaluate(clf, X, y).weights
    right = (clf.predict_proba(X).argmax(axis=1) == y) & (other == y)
    assert_allclose(scorer(clf, X, other), weights[right].sum() / weights.sum())
    scorer.set_params(metric="log_loss")
    proba = clf.predict_proba(X)[np.arange(8), y]
    losses = -np.log(np.where(other == y, proba, np.finfo(float).eps))
    assert_allclose(scorer(clf, X, other), -(weights @ losses) / weights.sum())
