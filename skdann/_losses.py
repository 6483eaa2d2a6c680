"""The two losses of a step, and their means over an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from skdann._batches import Batch

FLUSH_STEPS = 256


def label_loss(logits: Tensor, batch: Batch, smoothing: float) -> Tensor:
    """Mean weighted cross-entropy of the source rows, summed over members.

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
    Tensor of shape ()
    """
    losses = F.cross_entropy(
        logits.flatten(0, -2), batch.y.flatten(), reduction="none", label_smoothing=smoothing
    )
    return torch.dot(losses, batch.label_weight.flatten())


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
    loss : Tensor of shape ()
    is_hit : Tensor of shape (n_members * n_rows,), bool
    """
    logits, domain = logits.flatten(0, -2), batch.rows.domain.flatten()  # type: ignore[union-attr]
    if logits.shape[-1] == 1:
        logit = logits.squeeze(-1)
        wanted = domain.to(logit.dtype) * (1.0 - smoothing) + smoothing / 2.0
        losses = F.binary_cross_entropy_with_logits(logit, wanted, reduction="none")
        is_hit = (logit.detach() > 0) == (domain > 0)
    else:
        losses = F.cross_entropy(logits, domain, reduction="none", label_smoothing=smoothing)
        is_hit = logits.detach().argmax(-1) == domain
    return torch.dot(losses, batch.domain_weight.flatten()), is_hit


class StepRecord(NamedTuple):
    """What a step leaves for the epoch's record; nothing here waits for the device."""

    label_loss: Tensor
    domain_loss: Tensor | None
    is_domain_hit: Tensor | None


class EpochSums:
    """Means over the steps of an epoch, brought to the host a few hundred steps at a time."""

    def __init__(self) -> None:
        self.pending: list[StepRecord] = []
        self.sums = np.zeros(3)
        self.n_steps = 0
        self.n_rows = 0

    def add(self, record: StepRecord) -> None:
        self.pending.append(record)
        if len(self.pending) == FLUSH_STEPS:
            self._flush()

    def _flush(self) -> None:
        columns: Sequence[Any] = list(zip(*self.pending, strict=True))
        self.sums[0] += float(torch.stack(columns[0]).sum())
        if columns[1][0] is not None:
            self.sums[1] += float(torch.stack(columns[1]).sum())
            hits = torch.cat(columns[2])
            self.sums[2] += float(hits.sum())
            self.n_rows += len(hits)
        self.n_steps += len(self.pending)
        self.pending.clear()

    def means(self) -> dict[str, float]:
        if self.pending:
            self._flush()
        means = {"label_loss": self.sums[0] / self.n_steps}
        if self.n_rows:
            means["domain_loss"] = self.sums[1] / self.n_steps
            means["domain_accuracy"] = self.sums[2] / self.n_rows
        return {name: float(value) for name, value in means.items()}
