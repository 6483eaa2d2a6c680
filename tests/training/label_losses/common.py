"""Batches of numbers, and label losses."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from skdann._training.label_losses import LABEL_LOSSES


def new_loss(name, **params):
    """Return a label loss with these hyperparameters."""
    defaults = {"label_smoothing": 0.0, "quantile": 0.5}
    return LABEL_LOSSES[name](SimpleNamespace(**{**defaults, **params}))


def numbers(n_members=1, n_rows=7, n_outputs=2, seed=0):
    """Return outputs, labels and weights of rows, as the engine passes them."""
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(n_members, n_rows, n_outputs, generator=generator, dtype=torch.float64)
    y = torch.randn(n_members, n_rows, n_outputs, generator=generator, dtype=torch.float64)
    weight = torch.rand(n_members, n_rows, generator=generator, dtype=torch.float64)
    weight = weight / weight.sum(-1, keepdim=True)
    return (outputs, y[0], weight[0]) if n_members == 1 else (outputs, y, weight)
