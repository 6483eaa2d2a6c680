"""Cross-entropies of labels and domains, and their gradients with respect to the logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def label_loss(logits: Tensor, y: Tensor, weight: Tensor, smoothing: float) -> Tensor:
    """Weighted cross-entropy of source rows: a mean, because the weights sum to one.

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
    return weighted_sum(losses, weight)


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
        expected = _expected_sigmoid(domain, logit, smoothing)
        losses = F.binary_cross_entropy_with_logits(logit, expected, reduction="none")
    return weighted_sum(losses, weight)


def domain_hits(logits: Tensor, domain: Tensor) -> Tensor:
    """Whether G_d names the domain of each row, of shape (n_rows,) or (n_members, n_rows)."""
    if logits.shape[-1] > 1:
        return logits.argmax(-1) == domain
    return (logits.squeeze(-1) > 0) == (domain > 0)


def weighted_sum(losses: Tensor, weight: Tensor) -> Tensor:
    """Sum of losses times weights over the rows, for each member if there are several."""
    if weight.dim() == 1:
        return torch.dot(losses, weight)
    return (losses.view(weight.shape) * weight).sum(-1)


def label_gradient(logits: Tensor, y: Tensor, weight: Tensor, smoothing: float) -> Tensor:
    """Gradient of :func:`label_loss` with respect to logits (n_members, n_source, n_classes).

    It is the predicted minus the expected probabilities, times the weights of the rows.
    """
    rest = smoothing / logits.shape[-1]
    expected = torch.full_like(logits, rest)
    expected.scatter_(-1, y.expand(logits.shape[:-1]).unsqueeze(-1), 1.0 - smoothing + rest)
    return (logits.softmax(-1) - expected) * weight.unsqueeze(-1)


def domain_gradient(logits: Tensor, domain: Tensor, weight: Tensor, smoothing: float) -> Tensor:
    """Gradient of :func:`domain_loss` with respect to logits (n_members, n_rows, ...)."""
    if logits.shape[-1] > 1:
        return label_gradient(logits, domain, weight, smoothing)
    expected = _expected_sigmoid(domain, logits, smoothing)
    return (logits.sigmoid() - expected.unsqueeze(-1)) * weight.unsqueeze(-1)


def _expected_sigmoid(domain: Tensor, logits: Tensor, smoothing: float) -> Tensor:
    """Probability that the sigmoid of a single domain logit should equal."""
    expected = domain.to(logits.dtype)
    return expected * (1.0 - smoothing) + smoothing / 2.0 if smoothing else expected
