"""Alternating steps: first G_d alone, then G_f and G_y against it, on each batch.

The update of G_f is that of gradient reversal (Ganin et al., JMLR 2016, equations 13-15), taken
after `domain_steps` updates of G_d as in generative adversarial networks (Goodfellow et al.,
NeurIPS 2014, Algorithm 1).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from skdann._training.batches import Batch
from skdann._training.objective.base import ClassifierAdversary, Kept
from skdann.nn._reversal import reverse


class Alternating(ClassifierAdversary):
    """``adversarial="alternating"``: `domain_steps` steps of G_d, then one of G_f and G_y."""

    def begin(self, features: Tensor, batch: Batch, optimizer: Any) -> None:
        """Train G_d on the features as they are."""
        self.seen = self.module.condition(features, batch.rows)
        for _ in range(self.params.domain_steps):
            optimizer.zero_grad(set_to_none=True)
            seen = self.seen.detach().clone()  # G_d may work in place
            loss, self.kept = self.classify(seen, batch)
            (self.params.domain_loss_weight * loss).sum().backward()
            optimizer.step()

    def loss(self, features: Tensor, batch: Batch, lambda_: Any) -> tuple[Tensor, Kept]:
        """Return the loss that trains G_f against the updated G_d."""
        loss, _ = self.classify(reverse(self.seen, lambda_), batch)
        return loss, self.kept

    def end(self) -> None:
        """Discard the gradients of G_d, which has been updated already."""
        for parameter in self.module.domain_classifier.parameters():  # type: ignore[union-attr]
            parameter.grad = None
