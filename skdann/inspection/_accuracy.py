r"""Estimate of the accuracy on the target, without target labels.

Models that were trained in different ways on the same source err on different rows, so the share of
target rows on which they agree tells how many of their predictions can be right. Of two models with
accuracy :math:`a` on the source, which agree on all source rows but on a share :math:`g` of the
target rows, about :math:`a g` of the predictions for the target are right. The logits of accuracy
and of that product differ by an amount that was measured on real tables, `LOGIT_ERROR`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, recall_score

MIN_ROWS = 30  # fewest held-out source rows, and target rows
MIN_AGREEMENT = 0.5
# quantiles .05, .5 and .95 over tasks of logit(accuracy) - logit(estimate), and the median of the
# balanced accuracy: python benchmarks/estimates.py report
LOGIT_ERROR = (-0.84, 0.18, 1.09)
BALANCED_LOGIT_ERROR = 0.25
MOST = 0.97  # greatest product: above it, agreement tells no more


class AccuracyEstimate(NamedTuple):
    """Accuracy to expect on the target.

    :meth:`skdann.DANNClassifierCV.estimate_accuracy` returns it.

    Parameters
    ----------
    accuracy : float or None
        Expected accuracy; None if there is no estimate.
    balanced_accuracy : float or None
        Expected balanced accuracy; None if there is no estimate.
    interval : tuple of float or None
        Low and high end of the accuracy, at 90 %; None if there is no estimate.
    reason : str
        What the estimate rests on, or why there is none.

    Examples
    --------
    >>> from skdann.inspection import AccuracyEstimate
    >>> estimate = AccuracyEstimate(0.75, 0.72, (0.55, 0.86), "84% agreement")
    >>> low, high = estimate.interval
    """

    accuracy: float | None
    balanced_accuracy: float | None
    interval: tuple[float, float] | None
    reason: str


def score_source(
    label: np.ndarray, predicted: np.ndarray, weight: np.ndarray | None = None
) -> dict[str, float]:
    """Return "accuracy", "balanced_accuracy" and "n_rows" of predictions for source rows."""
    known = np.unique(label)
    balanced = recall_score(
        label, predicted, labels=known, average="macro", zero_division=0, sample_weight=weight
    )
    accuracy = accuracy_score(label, predicted, sample_weight=weight)
    return {
        "accuracy": float(accuracy),
        "balanced_accuracy": float(balanced),
        "n_rows": float(len(label)),
    }


def estimate_accuracy(
    predictions: Sequence[np.ndarray], held_out: Mapping[str, float] | None, shift: str = ""
) -> AccuracyEstimate:
    """Estimate the accuracy on the target from what different models predict for it.

    Parameters
    ----------
    predictions : sequence of ndarray of shape (n_target,)
        Class indices of the target rows, by each model.
    held_out : mapping or None
        "accuracy", "balanced_accuracy" and "n_rows" on source rows that were not used in training.
    shift : str, default=""
        How the domains differ; if "none", the held-out rows are like those of the target.

    Returns
    -------
    AccuracyEstimate
        Without numbers if there are fewer than two models, fewer than 30 rows of either domain, or
        if the models agree on fewer than half of the target rows.
    """
    if held_out is None:
        return _no_estimate("the accuracy on held-out source rows is unknown; fit anew")
    if len(predictions) < 2:
        return _no_estimate("only one family of models is fitted; two or more are compared")
    n_rows = int(held_out["n_rows"]), len(predictions[0])
    if min(n_rows) < MIN_ROWS:
        return _no_estimate(
            f"there are {n_rows[0]} held-out source rows and {n_rows[1]} target rows; "
            f"{MIN_ROWS} of each are needed"
        )
    source = f"the accuracy is {held_out['accuracy']:.2f} on held-out source rows"
    if shift == "none":
        right = binomtest(round(held_out["accuracy"] * n_rows[0]), n_rows[0])
        low, high = (float(end) for end in right.proportion_ci(0.9, method="wilson"))
        accuracies = held_out["accuracy"], held_out["balanced_accuracy"]
        return AccuracyEstimate(
            *accuracies, (low, high), f"{source}, and the domains hardly differ"
        )
    agreement = mean_agreement(predictions)
    basis = f"{source}, and {len(predictions)} models agree on {agreement:.0%} of the target rows"
    if agreement < MIN_AGREEMENT:
        return _no_estimate(f"{basis}, too few to tell which predictions are right")
    low, middle, high = (
        float(_shifted(held_out["accuracy"] * agreement, by)) for by in LOGIT_ERROR
    )
    balanced = float(_shifted(held_out["balanced_accuracy"] * agreement, BALANCED_LOGIT_ERROR))
    return AccuracyEstimate(middle, balanced, (low, high), basis)


def mean_agreement(predictions: Sequence[np.ndarray]) -> float:
    """Return the share of rows on which two models agree, the mean over all pairs."""
    return float(np.mean([np.mean(one == other) for one, other in combinations(predictions, 2)]))


def _shifted(product: float, by: float) -> float:
    return expit(logit(np.clip(product, 0.02, MOST)) + by)


def _no_estimate(reason: str) -> AccuracyEstimate:
    return AccuracyEstimate(None, None, None, f"no estimate: {reason}")
