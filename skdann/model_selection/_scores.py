"""Scores of class probabilities against labels, rows weighted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_consistent_length, column_or_1d

from skdann._input.containers import unwrap

_Array = NDArray[Any]

METRICS = ("accuracy", "balanced_accuracy", "log_loss")
UNKNOWN = -1


def label_index(y: Any, X: Any, estimator: Any, scorer: str) -> _Array:
    """Return the column of each label's probability, UNKNOWN for labels that have none."""
    if y is None:
        raise ValueError(f"{scorer} needs the labels of the source rows but y is None; pass y.")
    if not hasattr(estimator, "classes_"):
        raise TypeError(
            f"{scorer} needs the label of each class but {type(estimator).__name__} has no "
            "classes_; pass a fitted classifier."
        )
    y = column_or_1d(unwrap(y, "y"))
    check_consistent_length(X, y)
    index = np.full(len(y), UNKNOWN)
    for column, label in enumerate(estimator.classes_):
        index[y == label] = column
    if (index == UNKNOWN).all():
        raise ValueError(
            f"y holds no label that {type(estimator).__name__} knows: labels such as "
            f"{y[:3].tolist()}, but classes_ {list(estimator.classes_)[:3]}; pass labels as in fit."
        )
    return index


def is_correct(index: _Array, proba: _Array) -> _Array:
    """Whether the most probable class is the label."""
    return proba.argmax(axis=1) == index


def log_losses(index: _Array, proba: _Array) -> _Array:
    """Minus the logarithm of each label's probability, clipped to stay finite."""
    own = np.where(index == UNKNOWN, 0.0, proba[np.arange(len(index)), index])
    return -np.log(np.clip(own, np.finfo(np.float64).eps, 1.0))


def weighted_score(
    index: _Array, proba: _Array, weights: _Array | None = None, metric: str = "accuracy"
) -> float:
    """Weighted accuracy, accuracy balanced over the labels' classes, or minus log loss."""
    weights = np.ones(len(index)) if weights is None else weights
    if metric == "log_loss":
        return -float(np.average(log_losses(index, proba), weights=weights))
    correct = is_correct(index, proba)
    if metric == "accuracy":
        return float(np.average(correct, weights=weights))
    members = [index == label for label in np.unique(index[weights > 0])]
    return float(np.mean([np.average(correct[own], weights=weights[own]) for own in members]))
