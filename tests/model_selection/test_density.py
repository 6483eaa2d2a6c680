"""Density ratios: computed once per fold, and never reused for other rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from skdann.metrics import importance_weights
from skdann.model_selection import (
    ImportanceWeightedScorer,
    _density,
)


@pytest.fixture
def n_weighings(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count how often weights are computed, starting from an empty cache."""
    calls = []

    def weigh(*args: Any, **options: Any) -> np.ndarray:
        calls.append(args)
        return importance_weights(*args, **options)

    monkeypatch.setattr(_density, "importance_weights", weigh)
    monkeypatch.setattr(_density, "_CACHE", type(_density._CACHE)())
    return lambda: len(calls)


def test_weights_are_computed_once_per_fold(shifted: Any, n_weighings: Callable[[], int]) -> None:
    X, y, X_target = shifted
    search = GridSearchCV(
        LogisticRegression(),
        {"C": [0.01, 1.0, 100.0]},
        scoring=ImportanceWeightedScorer(X_target),
        cv=3,
    )
    search.fit(X, y)
    assert n_weighings() == 3


def test_cached_weights_are_not_reused_for_other_rows_or_options(
    shifted: Any, n_weighings: Callable[[], int]
) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    scorer = ImportanceWeightedScorer(X_target)
    first = scorer.evaluate(clf, X, y).weights
    first *= 0.0  # the caller got a copy
    assert scorer.evaluate(clf, X, y).weights.any()
    assert n_weighings() == 1
    for other in (
        ImportanceWeightedScorer(X_target[1:]),
        ImportanceWeightedScorer(X_target, random_state=1),
        ImportanceWeightedScorer(X_target, cv=3),
        ImportanceWeightedScorer(X_target, max_weight=1.0),
        ImportanceWeightedScorer(X_target, weight_estimator=LogisticRegression()),
    ):
        before = n_weighings()
        other(clf, X, y)
        assert n_weighings() == before + 1
    scorer(clf, X[::-1], y[::-1])
    assert n_weighings() == 7
    for random_state in (None, np.random.RandomState(0)):
        scorer = ImportanceWeightedScorer(X_target, random_state=random_state)
        weights = [scorer.evaluate(clf, X, y).weights for _ in range(2)]
        assert not np.array_equal(*weights)


def test_the_cache_of_weights_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_density, "importance_weights", lambda X, T, **options: np.ones(len(X)))
    for i in range(100):
        _density.source_weights(np.full((3, 1), i), np.ones((3, 1)), random_state=0)
    assert len(_density._CACHE) == _density._CACHE_SIZE < 100
