"""Losses of an epoch, recorded without synchronizing with the device at each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skdann._training.batches import Batch
from skdann._training.label_losses import LabelLoss
from skdann._training.objective import Adversary

FLUSH_STEPS = 64
FLUSH_NUMBERS = 2**20


class Outputs(NamedTuple):
    """Outputs of one step, from which the losses can be computed later.

    Attributes
    ----------
    logits : Tensor of shape (..., n_labelled, n_outputs)
        Outputs of G_y for the labelled rows.
    y : Tensor of shape (..., n_labelled) or (..., n_labelled, n_outputs)
        Labels.
    label_weight : Tensor of shape (..., n_labelled)
        Weights.
    domain : tuple of Tensor
        Tensors that the adversary keeps for its losses; empty without target rows.
    n_numbers : int
        Number of values in the step, by which steps are grouped.
    """

    logits: Tensor
    y: Tensor
    label_weight: Tensor
    domain: tuple[Tensor, ...]
    n_numbers: int

    @classmethod
    def of(cls, batch: Batch, logits: Tensor, domain: tuple[Tensor, ...]) -> Outputs:
        """Return the outputs for a batch, detached from the graph."""
        logits = logits.detach()
        n_numbers = logits.numel() + batch.domain_weight.numel()
        kept = tuple(tensor.detach() for tensor in domain)
        return cls(logits, batch.y, batch.label_weight, kept, n_numbers)


class EpochSums:
    """Means over the steps of an epoch, copied to the host in groups of steps.

    Parameters
    ----------
    adversary : Adversary
        Computes the domain loss and accuracy.
    label_loss : LabelLoss
        Computes the label loss.
    domain_loss_weight : float
        As in :class:`skdann.DANNClassifier`.
    ranks : Ranks or None, default=None
        Processes of which each adds the outputs for a part of the rows.
    """

    def __init__(
        self,
        adversary: Adversary,
        label_loss: LabelLoss,
        domain_loss_weight: float,
        ranks: Any = None,
    ) -> None:
        self.ranks = ranks
        self.adversary, self.label_loss = adversary, label_loss
        self.domain_loss_weight = domain_loss_weight
        self.pending: list[Outputs] = []
        self.n_pending = 0
        self.sums: dict[str, Any] = {}
        self.counts: dict[str, float] = {}

    def add(self, outputs: Outputs) -> None:
        """Add the outputs of one step."""
        self.pending.append(outputs)
        self.n_pending += outputs.n_numbers
        if len(self.pending) == FLUSH_STEPS or self.n_pending > FLUSH_NUMBERS:
            self._flush()

    def _flush(self) -> None:
        for name, (total, count) in self._totals(self.pending).items():
            self.sums[name] = self.sums.get(name, 0.0) + total.cpu().double().numpy()
            self.counts[name] = self.counts.get(name, 0) + count
        self.pending.clear()
        self.n_pending = 0

    def _totals(self, steps: Sequence[Outputs]) -> dict[str, tuple[Tensor, float]]:
        """Return the sum of each figure over some steps, and the number of terms in it."""
        logits = _join([step.logits for step in steps], -2)
        y = _join([step.y for step in steps], self.label_loss.row_dim)
        weight = _join([step.label_weight for step in steps], -1)
        loss = self.label_loss.total(logits, y, weight)
        n_steps = len(steps) / (1 if self.ranks is None else self.ranks.size)
        totals = {"label_loss": (loss, n_steps)}
        if steps[0].domain:
            parts = zip(*(step.domain for step in steps), strict=True)
            joined = map(_join, parts, self.adversary.kept_dims)
            totals |= self.adversary.totals(*joined, n_steps=n_steps)
        return totals

    def loss_of(self, outputs: Outputs) -> Tensor:
        """Return the loss of one step, averaged over the members."""
        totals = self._totals([outputs])
        loss, _ = totals["label_loss"]
        if "domain_loss" in totals:
            loss = loss + self.domain_loss_weight * totals["domain_loss"][0]
        return loss.mean()

    def means(self) -> dict[str, Any]:
        """Return the mean of each figure: a float, or an array of shape (n_members,)."""
        if self.pending:
            self._flush()
        if self.ranks is not None:
            self.sums, self.counts = map(self.ranks.add_figures, (self.sums, self.counts))
        means = {name: total / self.counts[name] for name, total in self.sums.items()}
        return {name: v.item() if v.size == 1 else v for name, v in means.items()}


def _join(tensors: Sequence[Tensor], dim: int) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors), dim)
