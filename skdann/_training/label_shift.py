r"""Label shift: class shares that differ between the domains.

With :math:`\pi_k` the share of class k in the target and :math:`s_k` its share among the rows
trained on, weights included, the ratio :math:`r_k = \pi_k / s_k` is used in one of two ways:

- "reweight": source rows of class k have weight :math:`r_k` in both losses, so that the features
  are aligned between domains with equal class shares (Tachet des Combes, Zhao, Wang, Gordon,
  "Domain Adaptation with Conditional Distribution Matching and Generalized Label Shift", NeurIPS
  2020);
- "correct": probabilities of target rows are multiplied by :math:`r_k` and normalized to sum to 1,
  which is Bayes' rule for the new shares (Saerens, Latinne, Decaestecker, Neural Computation 14(1),
  2002, equation 2.4).
"""

from __future__ import annotations

import dataclasses
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from skdann._input.domains import DomainData
from skdann._input.drawing import draw_rows
from skdann._input.labels import ENCODED_LABELS
from skdann._input.messages import warn_user
from skdann.metrics._priors import estimate_shares

MOST_ROWS = 4000  # maximum number of rows of each domain used to estimate shares

KINDS = ("correct", "reweight")


class LabelShift(NamedTuple):
    """Class shares of the target, and how to adjust for them.

    Attributes
    ----------
    kind : {"correct", "reweight"}
        Whether to correct predictions or to reweight training rows.
    priors : ndarray of shape (n_classes,)
        Share of each class in the target; all are positive.
    ratio : ndarray of shape (n_classes,)
        Ratio of `priors` to the shares trained on; 1 for a class without source rows.
    """

    kind: str
    priors: np.ndarray
    ratio: np.ndarray

    @property
    def offset(self) -> np.ndarray:
        """Term added to class logits of target rows: log of the ratio for "correct", else 0."""
        return np.log(self.ratio) if self.kind == "correct" else np.zeros_like(self.ratio)


def with_label_shift(data: DomainData, shift: LabelShift | None) -> DomainData:
    """Return the data with the label shift; "reweight" also multiplies the sample weights."""
    if shift is None:
        return data
    weight = data.weight
    if shift.kind == "reweight":
        weight = shift.ratio[data.y] * (1.0 if weight is None else weight)
        weight = weight / weight.max()
    return dataclasses.replace(data, weight=weight, label_shift=shift)


def find_label_shift(
    kind: str | None,
    target_priors: dict[Any, float] | None,
    data: DomainData,
    class_weight: np.ndarray | None,
    seed: int,
) -> LabelShift | None:
    """Compare the class shares of the target with the shares trained on.

    Parameters
    ----------
    kind : {"correct", "reweight"} or None
        How to adjust; None does nothing.
    target_priors : dict or None
        Known shares by label; None estimates them.
    data : DomainData
        Checked rows of both domains.
    class_weight : ndarray of shape (n_classes,) or None
        Class weights in the label loss, which change the shares that a network learns.
    seed : int
        Seed of the subsample of rows and of the folds.

    Returns
    -------
    LabelShift or None
    """
    if kind is None:
        if target_priors is not None:
            warn_user("target_priors is used only with label_shift='correct' or 'reweight'.")
        return None
    n_classes = len(data.classes)
    weight = np.ones(data.n_source) if data.weight is None else data.weight
    if kind == "correct" and class_weight is not None:
        weight = weight * class_weight[data.y]
    shares = np.bincount(data.y, weights=weight, minlength=n_classes) / weight.sum()
    if target_priors is not None:
        priors = _known_shares(target_priors, data.classes)
    elif data.n_targets:
        priors = _estimate(data, seed)
    else:
        priors = shares
    return LabelShift(
        kind, priors, np.divide(priors, shares, out=np.ones(n_classes), where=shares > 0)
    )


def _known_shares(target_priors: dict[Any, float], classes: np.ndarray) -> np.ndarray:
    """Check known shares and return them in the order of the classes.

    Classes that the source lacks, as a fold may, are left out with a warning.
    """
    labels = classes.tolist()
    if not set(labels) <= set(target_priors):
        raise ValueError(
            f"target_priors has the keys {list(target_priors)} but the classes are {labels}; pass "
            f"the share of each class, keyed by its label in y_source. {ENCODED_LABELS}"
        )
    values = list(target_priors.values())
    is_share = all(isinstance(value, Real) and np.isfinite(value) and value > 0 for value in values)
    if not is_share or not np.isclose(sum(values), 1.0, atol=1e-3):
        raise ValueError(
            f"target_priors={target_priors} must hold positive shares that sum to 1; if the target "
            "lacks a class, remove its rows from the source."
        )
    others = [label for label in target_priors if label not in labels]
    if others:
        warn_user(
            f"target_priors names {others}, which y_source lacks; the shares of the other classes "
            "are scaled up to sum to 1."
        )
    shares = [target_priors[label] for label in labels]
    return np.array(shares, dtype=np.float64) / sum(shares)


def _estimate(data: DomainData, seed: int) -> np.ndarray:
    """Estimate the class shares of the target; one row per class is added, so none is 0."""
    rows = np.arange(len(data.domain))
    source, target = rows[: data.n_source], rows[data.n_source :]
    source = source[draw_rows(len(source), MOST_ROWS, seed)]
    target = target[draw_rows(len(target), MOST_ROWS, seed)]
    n_classes = len(data.classes)
    X = data.X[np.concatenate([source, target])].astype(np.float64)
    shares = estimate_shares(X, data.y[source], np.arange(n_classes), seed)
    return (len(target) * shares + 1.0) / (len(target) + n_classes)
