"""Layers that hold members: independent copies of themselves, with weights of shape (K, ...).

A layer takes ``(n_members, n_rows, n_features)``, or plain ``(n_rows, n_features)`` where there is
one member. Layers that treat source and target rows differently are told which is which by `Rows`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Rows(NamedTuple):
    """What a layer may need to know of the rows of a batch: source rows stand first.

    Parameters
    ----------
    n_source : int
        Number of source rows; those after them are target rows.
    domain : Tensor of shape (n_rows,) or (n_members, n_rows), or None
        Index of each row's domain; ``n_domains`` stands for "any target".

    Examples
    --------
    >>> from skdann.nn import Rows
    >>> Rows(n_source=3).domain is None
    True
    """

    n_source: int
    domain: Tensor | None = None

    def of_source(self) -> Rows:
        """Describe the source rows alone.

        Returns
        -------
        Rows
            Their number and their domains.
        """
        domain = None if self.domain is None else self.domain[..., : self.n_source]
        return Rows(self.n_source, domain)


def _unbatched(parameter: Tensor, x: Tensor) -> Tensor:
    """Drop the member dimension of a parameter for a plain (n_rows, n_features) input."""
    return parameter.squeeze(0) if x.dim() == 2 else parameter


def _scale(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Scale and shift; a fused operation would round by the place of a row in its block."""
    return x * _unbatched(weight, x) + _unbatched(bias, x)


class MemberLinear(nn.Module):
    """Linear layer of `n_members` independent copies, initialised as :class:`torch.nn.Linear`.

    Parameters
    ----------
    in_features, out_features : int
        Widths of one member.
    n_members : int, default=1
        Number of copies.
    generators : sequence of torch.Generator or None, default=None
        One source of initial weights a member; None draws from torch's global generator.

    Notes
    -----
    Input ``(n_members, n_rows, in_features)``, or ``(n_rows, in_features)`` for one member; output
    the same with ``out_features``.

    Examples
    --------
    >>> import torch
    >>> from skdann.nn._members import MemberLinear
    >>> MemberLinear(3, 5, n_members=4)(torch.zeros(4, 7, 3)).shape
    torch.Size([4, 7, 5])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        n_members: int = 1,
        *,
        generators: Sequence[torch.Generator] | None = None,
    ) -> None:
        super().__init__()
        self.in_features, self.out_features, self.n_members = in_features, out_features, n_members
        self.weight = nn.Parameter(
            torch.empty(n_members, in_features, out_features, dtype=torch.float32)
        )
        self.bias = nn.Parameter(torch.empty(n_members, 1, out_features, dtype=torch.float32))
        bound = 1.0 / math.sqrt(in_features) if in_features else 0.0
        with torch.no_grad():
            for member in range(n_members):
                generator = generators[member] if generators is not None else None
                self.weight[member].uniform_(-bound, bound, generator=generator)
                self.bias[member].uniform_(-bound, bound, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply each member's rows by its own weights."""
        if x.dim() == 2:
            return torch.addmm(self.bias.squeeze(0), x, self.weight.squeeze(0))
        return torch.baddbmm(self.bias, x, self.weight)

    def _keep_member(self, index: int) -> None:
        """Note that the weights are those of one member."""
        self.n_members = 1

    def _get_name(self) -> str:
        return "Linear" if self.n_members == 1 else "MemberLinear"

    def extra_repr(self) -> str:
        """Read like :class:`torch.nn.Linear`."""
        members = f", n_members={self.n_members}" if self.n_members > 1 else ""
        return f"in_features={self.in_features}, out_features={self.out_features}{members}"


LEVELS = 2**16


class MemberDropout(nn.Module):
    """Dropout with a random generator of its own for each member and for each side of a batch.

    Source and target rows draw from different generators, so that a member's source rows are
    dropped alike with and without target rows beside them.

    Parameters
    ----------
    p : float
        Share of units set to zero in training, in [0, 1), taken to the next of 65,536 levels.
    source_generators, target_generators : sequence of torch.Generator
        One a member.

    Notes
    -----
    Input and output: ``(n_members, n_rows, n_features)`` or ``(n_rows, n_features)``.

    Examples
    --------
    >>> import torch
    >>> from skdann.nn._members import MemberDropout
    >>> source, target = torch.Generator().manual_seed(0), torch.Generator().manual_seed(1)
    >>> dropout = MemberDropout(0.5, [source], [target])
    >>> sorted(set(dropout(torch.ones(9, 4)).flatten().tolist()))
    [0.0, 2.0]
    """

    needs_rows = True

    def __init__(
        self,
        p: float,
        source_generators: Sequence[torch.Generator],
        target_generators: Sequence[torch.Generator],
    ) -> None:
        super().__init__()
        self.p = p
        self.n_dropped = min(round(p * LEVELS), LEVELS - 1)
        self.source_generators = list(source_generators)
        self.target_generators = list(target_generators)

    def forward(self, x: Tensor, rows: Rows | None = None) -> Tensor:
        """Drop units in training, pass `x` through otherwise."""
        return x * self.draw_mask(x, rows) if self.training else x

    def draw_mask(self, x: Tensor, rows: Rows | None) -> Tensor:
        """Draw which units are dropped.

        Parameters
        ----------
        x : Tensor of shape (..., n_rows, n_features)
            What is to be dropped from.
        rows : Rows or None
            How many rows come from the source; None means all.

        Returns
        -------
        Tensor, like `x`
            1 / (1 - p) for units to keep and 0 for those to drop.
        """
        n_source = x.shape[-2] if rows is None else rows.n_source
        # 64 random bits decide for four units: several times faster than a draw for each
        bits = torch.empty(*x.shape[:-1], -(-x.shape[-1] // 4), dtype=torch.int64)
        members = bits.unsqueeze(0) if bits.dim() == 2 else bits
        for member, source, target in zip(
            members, self.source_generators, self.target_generators, strict=True
        ):
            member[:n_source].random_(-(2**63), None, generator=source)
            member[n_source:].random_(-(2**63), None, generator=target)
        levels = bits.view(torch.int16)[..., : x.shape[-1]]
        mask = (levels >= self.n_dropped - LEVELS // 2).to(x.dtype)
        mask /= 1.0 - self.p
        return mask.to(x.device, non_blocking=True)

    def _keep_member(self, index: int) -> None:
        """Drop the generators of all other members."""
        self.source_generators = self.source_generators[index : index + 1]
        self.target_generators = self.target_generators[index : index + 1]

    def _get_name(self) -> str:
        return "Dropout"

    def extra_repr(self) -> str:
        """Show p."""
        return f"p={self.p}"


class MemberLayerNorm(nn.Module):
    """Layer normalisation with weights of each member.

    Parameters
    ----------
    n_features : int
        Width of one member.
    n_members : int, default=1
        Number of copies.

    Notes
    -----
    Input and output: ``(n_members, n_rows, n_features)`` or ``(n_rows, n_features)``.

    Examples
    --------
    >>> import torch
    >>> from skdann.nn._members import MemberLayerNorm
    >>> MemberLayerNorm(5, n_members=4)(torch.rand(4, 7, 5)).shape
    torch.Size([4, 7, 5])
    """

    def __init__(self, n_features: int, n_members: int = 1) -> None:
        super().__init__()
        self.n_features = n_features
        self.weight = nn.Parameter(torch.ones(n_members, 1, n_features, dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(n_members, 1, n_features, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each row."""
        normalised = F.layer_norm(x, (self.n_features,))
        return _scale(normalised, self.weight, self.bias)

    def _get_name(self) -> str:
        return "LayerNorm"

    def extra_repr(self) -> str:
        """Show the width."""
        return f"{self.n_features}"


class MemberBatchNorm(nn.Module):
    """Batch normalisation of each member, over all rows or over the rows of each domain apart.

    Statistics of each domain apart with shared weights are AdaBN (Li et al., 2017).

    Parameters
    ----------
    n_features : int
        Width of one member.
    n_members : int, default=1
        Number of copies.
    n_domains : int, default=1
        1 takes all rows together; more keep statistics of each domain apart.
    n_targets : int, default=0
        How many of the domains, the last ones, are targets; rows of "any target" (index
        ``n_domains``, or no `rows` at all) are normalised by the pooled statistics of these.
    momentum : float, default=0.1
        Share of the new batch in the running statistics.
    eps : float, default=1e-5
        Added to the variance.

    Notes
    -----
    Input and output: ``(n_members, n_rows, n_features)`` or ``(n_rows, n_features)``.

    References
    ----------
    Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", ICLR workshop 2017.

    Examples
    --------
    >>> import torch
    >>> from skdann.nn._members import MemberBatchNorm, Rows
    >>> norm = MemberBatchNorm(2, n_domains=2, n_targets=1)
    >>> rows = torch.tensor([[0.0, 0.0], [2.0, 2.0], [10.0, 10.0], [12.0, 12.0]])
    >>> norm(rows, Rows(n_source=2, domain=torch.tensor([0, 0, 1, 1])))[:, 0].round().tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """

    needs_rows = True
    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        n_features: int,
        n_members: int = 1,
        *,
        n_domains: int = 1,
        n_targets: int = 0,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.n_features, self.n_domains, self.n_targets = n_features, n_domains, n_targets
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(n_members, 1, n_features, dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(n_members, 1, n_features, dtype=torch.float32))
        shape = (n_members, n_domains, n_features)
        self.register_buffer("running_mean", torch.zeros(shape, dtype=torch.float32))
        self.register_buffer("running_var", torch.ones(shape, dtype=torch.float32))

    def forward(self, x: Tensor, rows: Rows | None = None) -> Tensor:
        """Normalise by the batch in training, by the running statistics otherwise."""
        if self.training:
            normalised = self._normalise_by_batch(x, self._assignment(x, rows))
        else:
            normalised = self._normalise_by_running(x, rows)
        return _scale(normalised, self.weight, self.bias)

    def _assignment(self, x: Tensor, rows: Rows | None) -> Tensor:
        """One-hot (..., n_rows, n_domains) matrix: the domain whose statistics a row shares."""
        if self.n_domains == 1:
            return x.new_ones(*x.shape[:-1], 1)
        if rows is None or rows.domain is None:
            raise ValueError(
                "MemberBatchNorm keeps statistics of each domain apart but was not told the rows' "
                "domains; call the module with rows=Rows(n_source, domain)."
            )
        # F.one_hot would look at the values and so wait for the device
        every = torch.arange(self.n_domains, device=x.device)
        return (rows.domain.unsqueeze(-1) == every).to(x.dtype)

    def _normalise_by_batch(self, x: Tensor, assignment: Tensor) -> Tensor:
        count = assignment.sum(-2).unsqueeze(-1)
        share = assignment.mT / count.clamp(min=1.0)
        mean = share @ x
        centred = x - assignment @ mean
        var = share @ centred.square()
        with torch.no_grad():
            step = self.momentum * (count > 1).to(x.dtype)
            unbiased = var * count / (count - 1.0).clamp(min=1.0)
            _unbatched(self.running_mean, x).lerp_(mean, step.expand_as(mean))
            _unbatched(self.running_var, x).lerp_(unbiased, step.expand_as(var))
        return centred * torch.rsqrt(assignment @ var + self.eps)

    def _normalise_by_running(self, x: Tensor, rows: Rows | None) -> Tensor:
        means, variances = (_unbatched(table, x) for table in self._tables())
        if rows is None or rows.domain is None or self.n_domains == 1:
            mean, var = means[..., -1:, :], variances[..., -1:, :]
        elif x.dim() == 2:
            mean, var = means[rows.domain], variances[rows.domain]
        else:
            domain = rows.domain.expand(x.shape[:-1]).unsqueeze(-1).expand(x.shape)
            mean, var = means.gather(-2, domain), variances.gather(-2, domain)
        return (x - mean) * torch.rsqrt(var + self.eps)

    def _tables(self) -> tuple[Tensor, Tensor]:
        """Running statistics with one more row: all targets pooled."""
        means, variances = self.running_mean, self.running_var
        targets = slice(-self.n_targets, None) if self.n_targets else slice(None)
        spread, centre = torch.var_mean(means[:, targets], dim=1, correction=0, keepdim=True)
        pooled = variances[:, targets].mean(1, keepdim=True) + spread
        return torch.cat([means, centre], 1), torch.cat([variances, pooled], 1)

    def _get_name(self) -> str:
        return "BatchNorm" if self.n_domains == 1 else "DomainBatchNorm"

    def extra_repr(self) -> str:
        """Show the width, and the number of domains kept apart."""
        return f"{self.n_features}" + (f", n_domains={self.n_domains}" * (self.n_domains > 1))


class RowsSequential(nn.Sequential):
    """Layers in a row, of which those that ask for them are told the rows' domains.

    Parameters
    ----------
    *args : torch.nn.Module
        The layers, as of :class:`torch.nn.Sequential`.

    Examples
    --------
    >>> import torch
    >>> from skdann.nn._members import MemberBatchNorm, MemberLinear, Rows, RowsSequential
    >>> layers = RowsSequential(MemberLinear(3, 2), MemberBatchNorm(2, n_members=1))
    >>> layers(torch.ones(4, 3), Rows(n_source=2)).shape
    torch.Size([4, 2])
    """

    def forward(self, x: Tensor, rows: Rows | None = None) -> Tensor:
        """Apply the layers one after the other."""
        for layer in self:
            x = layer(x, rows) if getattr(layer, "needs_rows", False) else layer(x)
        return x

    needs_rows = True

    def _get_name(self) -> str:
        return "Sequential"


def extract_member(
    module: nn.Module,
    index: int,
    generators: Sequence[Mapping[str, torch.Generator]],
    copies: Mapping[str, torch.Generator],
) -> Any:
    """Copy one member out of networks that hold several.

    Parameters
    ----------
    module : torch.nn.Module
        Networks made of the layers of this module and of layers without weights.
    index : int
        Index of the member.
    generators : sequence of dict
        For each member the generators that the layers draw from.
    copies : dict
        The generators that the copy draws from, by the same names.

    Returns
    -------
    torch.nn.Module
        The same networks with one member.
    """
    memo: dict[int, Any] = {id(g): g for streams in generators for g in streams.values()}
    memo |= {id(generators[index][name]): generator for name, generator in copies.items()}
    for weight in module.parameters():
        part = weight.detach()[index : index + 1].clone()
        memo[id(weight)] = nn.Parameter(part, weight.requires_grad)
    memo |= {id(buffer): buffer[index : index + 1].clone() for buffer in module.buffers()}
    member = copy.deepcopy(module, memo)
    for layer in list(member.modules()):
        keep_member: Any = getattr(layer, "_keep_member", None)
        if keep_member is not None:
            keep_member(index)
    return member
