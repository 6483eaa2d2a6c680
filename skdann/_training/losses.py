"""The two losses of a step, their gradients at the logits, and their means over an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from skdann._training.batches import Batch

FLUSH_STEPS = 64
FLUSH_NUMBERS = 2**20


def label_loss(logits: Tensor, y: Tensor, weight: Tensor, smoothing: float) -> Tensor:
    """Weighted cross-entropy of source rows: a mean, as the weights sum to one.

    Parameters
    ----------
    logits : Tensor of shape (..., n_source, n_classes)
    y : Tensor of shape (..., n_source)
        Class indices.
    weight : Tensor of shape (n_source,) or (n_members, n_source)
    smoothing : float
        Label smoothing.

    Returns
    -------
    Tensor of shape () or (n_members,)
    """
    losses = F.cross_entropy(
        logits.flatten(0, -2), y.flatten(), reduction="none", label_smoothing=smoothing
    )
    return _weighted_sum(losses, weight)


def domain_loss(logits: Tensor, domain: Tensor, weight: Tensor, smoothing: float) -> Tensor:
    """Sum of the domains' mean cross-entropies.

    Parameters
    ----------
    logits : Tensor of shape (..., n_rows, 1) or (..., n_rows, n_domains)
        One column for two domains (positive: target).
    domain : Tensor of shape (n_rows,) or (n_members, n_rows)
        Domain indices.
    weight : Tensor of shape (n_rows,) or (n_members, n_rows)
    smoothing : float
        Label smoothing.

    Returns
    -------
    Tensor of shape () or (n_members,)
    """
    domain = domain.expand(logits.shape[:-1]).flatten()
    logits = logits.flatten(0, -2)
    if logits.shape[-1] > 1:
        losses = F.cross_entropy(logits, domain, reduction="none", label_smoothing=smoothing)
    else:
        logit = logits.squeeze(-1)
        wanted = _wanted(domain, logit, smoothing)
        losses = F.binary_cross_entropy_with_logits(logit, wanted, reduction="none")
    return _weighted_sum(losses, weight)


def domain_hits(logits: Tensor, domain: Tensor) -> Tensor:
    """Which rows G_d names rightly, of shape (n_rows,) or (n_members, n_rows)."""
    if logits.shape[-1] > 1:
        return logits.argmax(-1) == domain
    return (logits.squeeze(-1) > 0) == (domain > 0)


def _weighted_sum(losses: Tensor, weight: Tensor) -> Tensor:
    """Sum of losses times weights over the rows, of each member where there are several."""
    if weight.dim() == 1:
        return torch.dot(losses, weight)
    return (losses.view(weight.shape) * weight).sum(-1)


def label_gradient(logits: Tensor, y: Tensor, weight: Tensor, smoothing: float) -> Tensor:
    """Gradient of :func:`label_loss` at logits (n_members, n_source, n_classes).

    It is the predicted minus the wanted probabilities, times the rows' weights.
    """
    rest = smoothing / logits.shape[-1]
    wanted = torch.full_like(logits, rest)
    wanted.scatter_(-1, y.expand(logits.shape[:-1]).unsqueeze(-1), 1.0 - smoothing + rest)
    return (logits.softmax(-1) - wanted) * weight.unsqueeze(-1)


def domain_gradient(logits: Tensor, domain: Tensor, weight: Tensor, smoothing: float) -> Tensor:
    """Gradient of :func:`domain_loss` at logits (n_members, n_rows, 1 or n_domains)."""
    if logits.shape[-1] > 1:
        return label_gradient(logits, domain, weight, smoothing)
    wanted = _wanted(domain, logits, smoothing)
    return (logits.sigmoid() - wanted.unsqueeze(-1)) * weight.unsqueeze(-1)


def _wanted(domain: Tensor, logits: Tensor, smoothing: float) -> Tensor:
    """What the sigmoid of a single domain logit should be."""
    wanted = domain.to(logits.dtype)
    return wanted * (1.0 - smoothing) + smoothing / 2.0 if smoothing else wanted


class Outputs(NamedTuple):
    """What the networks said of the rows of a step, with the targets and weights of the losses.

    Nothing here waits for the device, and all of it can be joined over many steps.
    """

    logits: Tensor
    y: Tensor
    label_weight: Tensor
    domain_logits: Tensor | None
    domain: Tensor | None
    domain_weight: Tensor

    @classmethod
    def of(cls, batch: Batch, logits: Tensor, domain_logits: Tensor | None) -> Outputs:
        """Take the outputs for a batch."""
        return cls(
            logits.detach(),
            batch.y,
            batch.label_weight,
            None if domain_logits is None else domain_logits.detach(),
            batch.rows.domain,
            batch.domain_weight,
        )

    @classmethod
    def join(cls, steps: Sequence[Outputs]) -> Outputs:
        """Join the rows of several steps."""
        if len(steps) == 1:
            return steps[0]
        fields = zip(zip(*steps, strict=True), (-2, -1, -1, -2, -1, -1), strict=True)
        return cls(*(None if own[0] is None else torch.cat(own, dim) for own, dim in fields))  # type: ignore[arg-type]


class EpochSums:
    """Means over the steps of an epoch, brought to the host many steps at a time."""

    def __init__(self, label_smoothing: float, domain_label_smoothing: float) -> None:
        self.label_smoothing = label_smoothing
        self.domain_label_smoothing = domain_label_smoothing
        self.pending: list[Outputs] = []
        self.n_pending = 0
        self.sums: list[Any] = [0.0, 0.0, 0.0]
        self.n_steps = 0
        self.n_rows = 0

    def add(self, outputs: Outputs) -> None:
        """Take what one step left."""
        self.pending.append(outputs)
        self.n_pending += outputs.logits.numel() + outputs.domain_weight.numel()
        if len(self.pending) == FLUSH_STEPS or self.n_pending > FLUSH_NUMBERS:
            self._flush()

    def _flush(self) -> None:
        steps = Outputs.join(self.pending)
        columns = [label_loss(steps.logits, steps.y, steps.label_weight, self.label_smoothing)]
        if steps.domain_logits is not None and steps.domain is not None:
            told = steps.domain_logits, steps.domain
            columns.append(domain_loss(*told, steps.domain_weight, self.domain_label_smoothing))
            columns.append(domain_hits(*told).sum(-1))
            self.n_rows += steps.domain_logits.shape[-2]
        for index, column in enumerate(columns):
            self.sums[index] = self.sums[index] + column.cpu().double().numpy()
        self.n_steps += len(self.pending)
        self.pending.clear()
        self.n_pending = 0

    def means(self) -> dict[str, Any]:
        """Return the means: floats, or arrays (n_members,)."""
        if self.pending:
            self._flush()
        means = {"label_loss": self.sums[0] / self.n_steps}
        if self.n_rows:
            means["domain_loss"] = self.sums[1] / self.n_steps
            means["domain_accuracy"] = self.sums[2] / self.n_rows
        return {name: v.item() if v.size == 1 else v for name, v in means.items()}
