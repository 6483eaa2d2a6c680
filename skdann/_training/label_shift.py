r"""Label shift: classes whose shares differ between the domains.

With :math:`\pi_k` the share of class k in the target and :math:`s_k` its share among the rows
trained on, weights included, the ratio :math:`r_k = \pi_k / s_k` serves in one of two ways:

- "reweight": source rows of class k weigh :math:`r_k` in both losses, so that features are made
  alike of domains that agree in their class shares (Tachet des Combes, Zhao, Wang, Gordon, "Domain
  Adaptation with Conditional Distribution Matching and Generalized Label Shift", NeurIPS 2020);
- "correct": probabilities of target rows are multiplied by :math:`r_k` and scaled to sum 1, which
  is Bayes' rule for the new shares (Saerens, Latinne, Decaestecker, Neural Computation 14(1),
  2002, equation 2.4).
"""

from __future__ import annotations

import dataclasses
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from skdann._input.domains import DomainData
from skdann.metrics._priors import estimate_shares

MOST_ROWS = 4000  # of each domain, from which shares are estimated

KINDS = ("correct", "reweight")


class LabelShift(NamedTuple):
    """What is done about label shift.

    Attributes
    ----------
    kind : {"correct", "reweight"}
        What the ratio is for.
    priors : ndarray of shape (n_classes,)
        Share of each class in the target; all are positive.
    ratio : ndarray of shape (n_classes,)
        Of these to the shares trained on; 1 for a class without source rows.
    """

    kind: str
    priors: np.ndarray
    ratio: np.ndarray

    @property
    def offset(self) -> np.ndarray:
        """What is added to the class logits of target rows: log of the ratio, if to correct."""
        return np.log(self.ratio) if self.kind == "correct" else np.zeros_like(self.ratio)


def with_label_shift(data: DomainData, shift: LabelShift | None) -> DomainData:
    """Note what is done about label shift, with the sample weights that it takes."""
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
    """Compare the classes' shares in the target with those trained on.

    Parameters
    ----------
    kind : {"correct", "reweight"} or None
        What is to be done.
    target_priors : dict or None
        Known shares by label; None estimates them.
    data : DomainData
        Checked rows of both domains.
    class_weight : ndarray of shape (n_classes,) or None
        Weights in the label loss, which move the shares that a network learns.
    seed : int
        Of the draw of rows and of the folds.

    Returns
    -------
    LabelShift or None
    """
    if kind is None:
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
    """Shares in the order of the classes."""
    labels = classes.tolist()
    if set(target_priors) != set(labels):
        raise ValueError(
            f"target_priors names {list(target_priors)} but the classes are {labels}; give the "
            "share of each class, by its label in y_source."
        )
    values = [target_priors[label] for label in labels]
    is_share = all(isinstance(value, Real) and np.isfinite(value) and value > 0 for value in values)
    if not is_share or not np.isclose(sum(values), 1.0, atol=1e-3):
        raise ValueError(
            f"target_priors={target_priors} must hold positive shares that sum to 1; leave the "
            "rows of a class that the target lacks out of the source."
        )
    return np.array(values, dtype=np.float64) / sum(values)


def _estimate(data: DomainData, seed: int) -> np.ndarray:
    """Shares of the target's classes, one row a class added so that none is 0."""
    rng = np.random.default_rng(seed)
    source = np.sort(rng.permutation(data.n_source)[:MOST_ROWS])
    target = np.sort(rng.permutation(np.arange(data.n_source, len(data.domain)))[:MOST_ROWS])
    n_classes = len(data.classes)
    X = data.X[np.concatenate([source, target])].astype(np.float64)
    shares = estimate_shares(X, data.y[source], np.arange(n_classes), seed)
    return (len(target) * shares + 1.0) / (len(target) + n_classes)
