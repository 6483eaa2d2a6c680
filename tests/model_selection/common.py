"""Classifiers with known outputs, and the lists of scorers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from skdann import model_selection
from skdann.model_selection._base import TargetScorer
from skdann.model_selection._weighted import WeightedScorer

SCORERS = [
    scorer_class
    for scorer_class in (getattr(model_selection, name) for name in model_selection.__all__)
    if issubclass(scorer_class, TargetScorer)
]
WEIGHTED = [scorer_class for scorer_class in SCORERS if issubclass(scorer_class, WeightedScorer)]


class Fixed(ClassifierMixin, BaseEstimator):
    """A fitted classifier with a table of probabilities, indexed by the first column of X."""

    def __init__(self, table: Any, labels: Any = (0, 1)) -> None:
        self.table = table
        self.labels = labels

    @property
    def classes_(self) -> np.ndarray:
        return np.array(self.labels)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict_proba(self, X: Any) -> np.ndarray:
        return np.asarray(self.table)[np.asarray(X)[:, 0].astype(int)]


class Odds(ClassifierMixin, BaseEstimator):
    """Predicts the second column of X as the probability of the target domain."""

    def fit(self, X: Any, y: Any) -> Odds:
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        return np.column_stack([1 - X[:, 1], X[:, 1]])

    def predict(self, X: Any) -> np.ndarray:
        return X[:, 1] > 0.5


def lines(n: int) -> np.ndarray:
    """Rows that index the lines 0 to n - 1 of a table."""
    return np.column_stack([np.arange(n), np.full(n, 0.5)])


def random_proba(n: int, k: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(k, 0.5), size=n)


def weighted_case() -> tuple[Any, ...]:
    """Source rows with known density ratios, their labels, and target rows."""
    n_target = 12
    h = np.array([0.2, 0.5, 0.6, 0.9, 0.5, 0.1, 0.75, 0.3])  # probability of the target
    X = np.column_stack([np.arange(8), h])
    X_target = np.column_stack([np.arange(n_target), np.full(n_target, 0.5)])
    table = np.vstack([random_proba(8, 2, seed=3), random_proba(4, 2)])
    y = np.array([0, 1, 1, 0, 1, 0, 1, 1])
    ratio = [8 / n_target * p / (1 - p) for p in h]
    return Fixed(table), X, y, X_target, np.array(ratio)
