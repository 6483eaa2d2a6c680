"""The two losses of a step, and their means over an epoch."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from skdann._batches import Batch

FLUSH_STEPS = 256


def label_loss(logits: Tensor, batch: Batch, smoothing: float) -> Tensor:
    """Mean weighted cross-entropy of the source rows.

    Parameters
    ----------
    logits : Tensor of shape (n_source, n_classes) or (n_members, n_source, n_classes)
        Of the source rows of the batch.
    batch : Batch
        Whose labels and weights count.
    smoothing : float
        Label smoothing.

    Returns
    -------
    Tensor of shape () or (n_members,)
    """
    losses = F.cross_entropy(
        logits.flatten(0, -2), batch.y.flatten(), reduction="none", label_smoothing=smoothing
    )
    return _weighted_sum(losses, batch.label_weight)


def _weighted_sum(losses: Tensor, weight: Tensor) -> Tensor:
    """Sum of losses times weights over the rows, of each member where there are several."""
    if weight.dim() == 1:
        return torch.dot(losses, weight)
    return (losses.view(weight.shape) * weight).sum(-1)


def domain_loss(logits: Tensor, batch: Batch, smoothing: float) -> tuple[Tensor, Tensor]:
    """Sum of the domains' mean cross-entropies, and which rows are named rightly.

    Parameters
    ----------
    logits : Tensor of shape (..., n_rows, 1) or (..., n_rows, n_domains)
        One column for two domains (positive: target).
    batch : Batch
        Whose domains and weights count.
    smoothing : float
        Label smoothing.

    Returns
    -------
    loss : Tensor of shape () or (n_members,)
    is_hit : Tensor of shape (n_rows,) or (n_members, n_rows), bool
    """
    shape = logits.shape[:-1]
    logits = logits.flatten(0, -2)
    domain = batch.rows.domain.expand(shape).flatten()  # type: ignore[union-attr]
    if logits.shape[-1] == 1:
        logit = logits.squeeze(-1)
        wanted = domain.to(logit.dtype) * (1.0 - smoothing) + smoothing / 2.0
        losses = F.binary_cross_entropy_with_logits(logit, wanted, reduction="none")
        is_hit = (logit.detach() > 0) == (domain > 0)
    else:
        losses = F.cross_entropy(logits, domain, reduction="none", label_smoothing=smoothing)
        is_hit = logits.detach().argmax(-1) == domain
    return _weighted_sum(losses, batch.domain_weight), is_hit.view(shape)


class StepRecord(NamedTuple):
    """What a step leaves for the epoch's record; nothing here waits for the device."""

    label_loss: Tensor
    domain_loss: Tensor | None
    is_domain_hit: Tensor | None


class EpochSums:
    """Means over the steps of an epoch, brought to the host a few hundred steps at a time."""

    def __init__(self) -> None:
        self.pending: list[StepRecord] = []
        self.sums: list[Any] = [0.0, 0.0, 0.0]
        self.n_steps = 0
        self.n_rows = 0

    def add(self, record: StepRecord) -> None:
        """Take the figures of one step."""
        self.pending.append(record)
        if len(self.pending) == FLUSH_STEPS:
            self._flush()

    def _flush(self) -> None:
        label, domain, is_hit = zip(*self.pending, strict=True)
        columns = [torch.stack(label).sum(0)]
        if domain[0] is not None:
            hits = torch.cat(is_hit, -1)
            columns += [torch.stack(domain).sum(0), hits.sum(-1)]
            self.n_rows += hits.shape[-1]
        for index, column in enumerate(columns):
            self.sums[index] = self.sums[index] + column.cpu().double().numpy()
        self.n_steps += len(self.pending)
        self.pending.clear()

    def means(self) -> dict[str, Any]:
        """Return the means: floats, or arrays (n_members,)."""
        if self.pending:
            self._flush()
        means = {"label_loss": self.sums[0] / self.n_steps}
        if self.n_rows:
            means["domain_loss"] = self.sums[1] / self.n_steps
            means["domain_accuracy"] = self.sums[2] / self.n_rows
        return {name: value if value.ndim else float(value) for name, value in means.items()}
