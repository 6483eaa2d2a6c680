r"""Gradient reversal: one backward pass trains all three networks.

.. math::

    \theta_f &\leftarrow \theta_f - \mu (\partial L_y / \partial \theta_f
        - \lambda \, \partial L_d / \partial \theta_f) \\
    \theta_y &\leftarrow \theta_y - \mu \, \partial L_y / \partial \theta_y \\
    \theta_d &\leftarrow \theta_d - \mu \, \partial L_d / \partial \theta_d

(Ganin and Lempitsky, ICML 2015, equations 4-6; Ganin et al., JMLR 2016, Algorithm 1, with lambda
fixed to 1 in the update of :math:`G_d`, as in their section 5.2.2.) :math:`L_y` is the mean
cross-entropy of the source rows, :math:`L_d` the sum of the domains' mean cross-entropies.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from skdann._training.batches import Batch
from skdann._training.objective.base import ClassifierAdversary, Kept
from skdann.nn._reversal import reverse


class Reversal(ClassifierAdversary):
    """``adversarial="grl"``: G_f receives the gradient of G_d's loss times -lambda."""

    has_closed_form = True

    def loss(self, features: Tensor, batch: Batch, lambda_: Any) -> tuple[Tensor, Kept]:
        """Return the loss of G_d behind the gradient reversal layer."""
        seen = self.module.condition(features, batch.rows)
        return self.classify(reverse(seen, lambda_), batch)

    def write_gradients(
        self, classifier: Any, features: Tensor, batch: Batch, lambda_: Any
    ) -> tuple[Tensor, Kept]:
        """Propagate the gradient through G_d and reverse it."""
        grad, kept = self.propagate(classifier, features, batch)
        return grad.mul_(-lambda_), kept
