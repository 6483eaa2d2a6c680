"""Random tensors, gradients, and networks of torch to compare with."""

from __future__ import annotations

import functools

import torch
from torch import nn
from torch.testing import assert_close

exactly = functools.partial(assert_close, rtol=0, atol=0)
closely = functools.partial(assert_close, rtol=1e-12, atol=1e-12)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def curved(x):
    """Return a scalar whose gradient depends on the point."""
    return (x.sin() * x.exp()).sum()


def linears(layer):
    """Return one torch layer per member, with its weights."""
    plain = [nn.Linear(layer.in_features, layer.out_features) for _ in range(layer.n_members)]
    with torch.no_grad():
        for k, single in enumerate(plain):
            single.to(layer.weight.dtype)
            single.weight.copy_(layer.weight[k].T)
            single.bias.copy_(layer.bias[k, 0])
    return plain


def generators(n, seed=0):
    return [torch.Generator().manual_seed(seed + k) for k in range(n)]
