r"""Deep CORAL: match the covariances of the features, without a domain classifier.

.. math:: L_d = \frac{1}{4 d^2} \lVert C_S - C_T \rVert_F^2

with :math:`C_S` and :math:`C_T` the covariances of d features over the source and the target rows
of a batch (Sun and Saenko, "Deep CORAL: Correlation Alignment for Deep Domain Adaptation", ECCV
workshops 2016, equations 1-3). G_f minimizes :math:`L_y + \lambda L_d`. Rows count by their
weights, several source or target domains in equal shares. Weights :math:`w` with sum 1 give the
covariance :math:`X_c^\top \mathrm{diag}(w) X_c / (1 - \sum w^2)` of centered rows :math:`X_c`,
which is the unbiased one for equal weights.

DEVIATION: Sun and Saenko compare the outputs of the last layer. Here the features are compared,
which are also the input of the other adversaries.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from skdann._training.batches import Batch
from skdann._training.objective.base import Adversary, Kept, per_member


class Moments(NamedTuple):
    """Weighted centered rows (..., n, d), and their covariance (..., d, d)."""

    weighted: Tensor
    covariance: Tensor


def moments(features: Tensor, weight: Tensor) -> Moments:
    """Compute the covariance of rows (..., n, d) with weights (n,) or (..., n)."""
    limits = torch.finfo(weight.dtype)
    total = weight.sum(-1, keepdim=True).clamp(min=limits.tiny)  # all weights may round to 0
    share = (weight / total).unsqueeze(-1)
    centered = features - (share * features).sum(-2, keepdim=True)
    # a single row has no covariance: its centered row is 0
    free = (1.0 - share.square().sum(-2, keepdim=True)).clamp(min=limits.eps)
    weighted = centered * (share / free)
    return Moments(weighted, weighted.mT @ centered)


class DeepCoral(Adversary):
    """``adversarial="coral"``: the squared distance of the two covariances.

    An epoch records it as the domain loss. No domain classifier is built.
    """

    has_classifier = False
    has_closed_form = True
    kept_dims = (-1,)

    def loss(self, features: Tensor, batch: Batch, lambda_: Any) -> tuple[Tensor, Kept]:
        """Return lambda times the distance."""
        distance, kept = self.loss_at_rest(self.module.condition(features, batch.rows), batch)
        return distance * per_member(lambda_), kept

    def loss_at_rest(self, seen: Tensor, batch: Batch) -> tuple[Tensor, Kept]:
        """Return the distance, which trains nothing without the gradient of the features."""
        source, target = self._moments(seen, batch)
        distance = _distance(source, target)
        return distance, (distance.unsqueeze(-1),)

    def totals(self, *kept: Tensor, n_steps: float) -> dict[str, tuple[Tensor, float]]:
        """Return the domain loss."""
        return {"domain_loss": (kept[0].sum(-1), n_steps)}

    def write_gradients(
        self, classifier: Any, features: Tensor, batch: Batch, lambda_: Any
    ) -> tuple[Tensor, Kept]:
        r"""Return the gradient with respect to the features.

        For the source rows it is :math:`\mathrm{diag}(w) X_c (C_S - C_T) / (d^2 (1 - \sum w^2))`,
        and the same with the opposite sign for the target rows.
        """
        source, target = self._moments(features, batch)
        slope = (source.covariance - target.covariance) / features.shape[-1] ** 2
        grad = torch.cat([source.weighted @ slope, target.weighted @ -slope], -2)
        kept = (_distance(source, target).unsqueeze(-1),)
        return grad.mul_(self.params.domain_loss_weight * lambda_), kept

    def write_gradients_at_rest(self, classifier: Any, features: Tensor, batch: Batch) -> Kept:
        """Keep the distance; there is nothing to train."""
        return self.loss_at_rest(features, batch)[1]

    def _moments(self, features: Tensor, batch: Batch) -> tuple[Moments, Moments]:
        n_source, weight = batch.rows.n_source, batch.domain_weight
        source = moments(features[..., :n_source, :], weight[..., :n_source])
        return source, moments(features[..., n_source:, :], weight[..., n_source:])


def _distance(source: Moments, target: Moments) -> Tensor:
    """Squared Frobenius distance over 4 d^2, of shape () or (n_members,)."""
    difference = source.covariance - target.covariance
    return difference.square().sum((-2, -1)) / (4 * difference.shape[-1] ** 2)
