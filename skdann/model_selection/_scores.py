"""Scores of class probabilities against labels, with weighted rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_consistent_length, column_or_1d

from skdann._input.containers import unwrap
from skdann.model_selection._base import refuse_regressor

_Array = NDArray[Any]

METRICS = ("accuracy", "balanced_accuracy", "log_loss")
UNKNOWN = -1


def label_index(y: Any, X: Any, estimator: Any, scorer: str) -> _Array:
    """Return the column of each label in the probabilities, or UNKNOWN if it has none."""
    if y is None:
        raise ValueError(f"{scorer} needs the labels of the source rows but y is None; pass y.")
    refuse_regressor(estimator, scorer)
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
            f"y holds no label that {type(estimator).__name__} knows: y starts with "
            f"{y[:3].tolist()}, classes_ with {list(estimator.classes_)[:3]}; pass labels as in "
            "fit."
        )
    return index


def is_correct(index: _Array, proba: _Array) -> _Array:
    """Whether the most probable class is the label."""
    return proba.argmax(axis=1) == index


def log_losses(index: _Array, proba: _Array) -> _Array:
    """Minus the logarithm of each label's probability, clipped to stay finite."""
    probability = np.where(index == UNKNOWN, 0.0, proba[np.arange(len(index)), index])
    return -np.log(np.clip(probability, np.finfo(np.float64).eps, 1.0))


def weighted_score(
    index: _Array, proba: _Array, weights: _Array | None = None, metric: str = "accuracy"
) -> float:
    """Weighted accuracy, balanced accuracy over the classes in `index`, or minus log loss."""
    weights = np.ones(len(index)) if weights is None else weights
    if metric == "log_loss":
        return -float(np.average(log_losses(index, proba), weights=weights))
    correct = is_correct(index, proba)
    if metric == "accuracy":
        return float(np.average(correct, weights=weights))
    classes = [index == label for label in np.unique(index[weights > 0])]
    return float(np.mean([np.average(correct[rows], weights=weights[rows]) for rows in classes]))
