"""Layers with several ensemble members, with weights of shape ``(n_members, ...)``.

The input of a layer has shape ``(n_members, n_rows, n_features)``, or ``(n_rows, n_features)`` for
one member. Layers that treat the rows of each domain differently also take a `Rows`.
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
    """Number of source rows and domains of the rows of a batch, source rows first.

    Parameters
    ----------
    n_source : int
        Number of source rows; the rows after them are target rows.
    domain : Tensor of shape (n_rows,) or (n_members, n_rows), or None
        Domain index of each row; ``n_domains`` means "any target".

    Examples
    --------
    >>> from skdann.nn import Rows
    >>> Rows(n_source=3).domain is None
    True
    """

    n_source: int
    domain: Tensor | None = None

    def of_source(self) -> Rows:
        """Return the description of the source rows alone.

        Returns
        -------
        Rows
            Number and domains of the source rows.
        """
        domain = None if self.domain is None else self.domain[..., : self.n_source]
        return Rows(self.n_source, domain)


def _unbatched(parameter: Tensor, x: Tensor) -> Tensor:
    """Remove the member dimension of a parameter for an input (n_rows, n_features)."""
    return parameter.squeeze(0) if x.dim() == 2 else parameter


def _scale(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Scale and shift; a fused operation would round depending on the row's position."""
    return x * _unbatched(weight, x) + _unbatched(bias, x)


class MemberLinear(nn.Module):
    """Linear layer of `n_members` independent copies, initialized as :class:`torch.nn.Linear`.

    Parameters
    ----------
    in_features, out_features : int
        Number of input and output features of each member.
    n_members : int, default=1
        Number of members.
    generators : sequence of torch.Generator or None, default=None
        One generator per member for the initial weights; None uses torch's global generator.

    Notes
    -----
    Shape: input ``(n_members, n_rows, in_features)``, or ``(n_rows, in_features)`` for one member;
    output the same with ``out_features``.

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
        """Apply the weights of each member to its rows."""
        if x.dim() == 2:
            return torch.addmm(self.bias.squeeze(0), x, self.weight.squeeze(0))
        return torch.baddbmm(self.bias, x, self.weight)

    def _keep_member(self, index: int, drawn_from: Mapping[int, torch.Generator]) -> None:
        """Set the number of members to one."""
        self.n_members = 1

    def _get_name(self) -> str:
        return "Linear" if self.n_members == 1 else "MemberLinear"

    def extra_repr(self) -> str:
        """Show the same as :class:`torch.nn.Linear`, and the number of members."""
        members = f", n_members={self.n_members}" if self.n_members > 1 else ""
        return f"in_features={self.in_features}, out_features={self.out_features}{members}"


LEVELS = 2**16


class MemberDropout(nn.Module):
    """Dropout with separate random generators per member, and for source and target rows.

    The separate generators make the dropout of source rows independent of the target rows.

    Parameters
    ----------
    p : float
        Dropout probability, in [0, 1), rounded to a multiple of 1 / 65,536.
    source_generators, target_generators : sequence of torch.Generator
        One generator per member.

    Notes
    -----
    Shape: input and output ``(n_members, n_rows, n_features)`` or ``(n_rows, n_features)``.

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
        """Zero units in training; return `x` unchanged in evaluation."""
        return x * self.draw_mask(x, rows) if self.training else x

    def draw_mask(self, x: Tensor, rows: Rows | None) -> Tensor:
        """Draw the dropout mask.

        Parameters
        ----------
        x : Tensor of shape (..., n_rows, n_features)
            Input.
        rows : Rows or None
            Number of source rows; None means that all rows are source rows.

        Returns
        -------
        Tensor, like `x`
            0 for dropped units and 1 / (1 - p) for the others.
        """
        n_source = x.shape[-2] if rows is None else rows.n_source
        # one 64-bit draw for four units is several times faster than one draw per unit
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

    def _keep_member(self, index: int, drawn_from: Mapping[int, torch.Generator]) -> None:
        """Draw from the generators of one member."""
        self.source_generators = [drawn_from[id(self.source_generators[index])]]
        self.target_generators = [drawn_from[id(self.target_generators[index])]]

    def _get_name(self) -> str:
        return "Dropout"

    def extra_repr(self) -> str:
        """Show p."""
        return f"p={self.p}"


class MemberLayerNorm(nn.Module):
    """Layer normalization with separate weights for each member.

    Parameters
    ----------
    n_features : int
        Number of features of each member.
    n_members : int, default=1
        Number of members.

    Notes
    -----
    Shape: input and output ``(n_members, n_rows, n_features)`` or ``(n_rows, n_features)``.

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
        """Normalize the features of each row."""
        normalized = F.layer_norm(x, (self.n_features,))
        return _scale(normalized, self.weight, self.bias)

    def _get_name(self) -> str:
        return "LayerNorm"

    def extra_repr(self) -> str:
        """Show the number of features."""
        return f"{self.n_features}"


class MemberBatchNorm(nn.Module):
    """Batch normalization for each member, over all rows or separately over each domain.

    Separate statistics with shared weights are AdaBN (Li et al., 2017).

    Parameters
    ----------
    n_features : int
        Number of features of each member.
    n_members : int, default=1
        Number of members.
    n_domains : int, default=1
        Number of domains with separate statistics; 1 normalizes all rows together.
    n_targets : int, default=0
        Number of target domains (the last ones). Rows of "any target" (index ``n_domains``, or no
        `rows` argument) are normalized by the pooled statistics of all targets.
    momentum : float, default=0.1
        Weight of the current batch in the running statistics.
    eps : float, default=1e-5
        Constant added to the variance.

    Notes
    -----
    Shape: input and output ``(n_members, n_rows, n_features)`` or ``(n_rows, n_features)``.

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
        """Normalize by batch statistics in training, by running statistics in evaluation."""
        if self.training:
            normalized = self._normalize_by_batch(x, self._assignment(x, rows))
        else:
            normalized = self._normalize_by_running(x, rows)
        return _scale(normalized, self.weight, self.bias)

    def _assignment(self, x: Tensor, rows: Rows | None) -> Tensor:
        """Return the one-hot matrix (..., n_rows, n_domains) of the rows' domains."""
        if self.n_domains == 1:
            return x.new_ones(*x.shape[:-1], 1)
        if rows is None or rows.domain is None:
            raise ValueError(
                "MemberBatchNorm needs the domain of each row for its statistics; call the "
                "module with rows=Rows(n_source, domain)."
            )
        # F.one_hot would read the values and synchronize with the device
        indices = torch.arange(self.n_domains, device=x.device)
        return (rows.domain.unsqueeze(-1) == indices).to(x.dtype)

    def _normalize_by_batch(self, x: Tensor, assignment: Tensor) -> Tensor:
        count = assignment.sum(-2).unsqueeze(-1)
        share = assignment.mT / count.clamp(min=1.0)
        mean = share @ x
        centered = x - assignment @ mean
        var = share @ centered.square()
        with torch.no_grad():
            step = self.momentum * (count > 1).to(x.dtype)
            unbiased = var * count / (count - 1.0).clamp(min=1.0)
            _unbatched(self.running_mean, x).lerp_(mean, step.expand_as(mean))
            _unbatched(self.running_var, x).lerp_(unbiased, step.expand_as(var))
        return centered * torch.rsqrt(assignment @ var + self.eps)

    def _normalize_by_running(self, x: Tensor, rows: Rows | None) -> Tensor:
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
        """Return the running statistics, followed by those of all targets pooled."""
        means, variances = self.running_mean, self.running_var
        targets = slice(-self.n_targets, None) if self.n_targets else slice(None)
        spread, center = torch.var_mean(means[:, targets], dim=1, correction=0, keepdim=True)
        pooled = variances[:, targets].mean(1, keepdim=True) + spread
        return torch.cat([means, center], 1), torch.cat([variances, pooled], 1)

    def _get_name(self) -> str:
        return "BatchNorm" if self.n_domains == 1 else "DomainBatchNorm"

    def extra_repr(self) -> str:
        """Show the number of features, and of domains with separate statistics."""
        return f"{self.n_features}" + (f", n_domains={self.n_domains}" * (self.n_domains > 1))


class RowsSequential(nn.Sequential):
    """Sequential container that passes `rows` to the layers that need it.

    Parameters
    ----------
    *args : torch.nn.Module
        Layers, as in :class:`torch.nn.Sequential`.

    Examples
    --------
    >>> import torch
    >>> from skdann.nn._members import MemberBatchNorm, MemberLinear, Rows, RowsSequential
    >>> layers = RowsSequential(MemberLinear(3, 2), MemberBatchNorm(2, n_members=1))
    >>> layers(torch.ones(4, 3), Rows(n_source=2)).shape
    torch.Size([4, 2])
    """

    def forward(self, x: Tensor, rows: Rows | None = None) -> Tensor:
        """Apply the layers in order."""
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
    """Copy one member from networks with several members.

    Parameters
    ----------
    module : torch.nn.Module
        Networks built from layers of this file and layers without weights.
    index : int
        Index of the member.
    generators : sequence of dict
        Generators that the layers use, for each member.
    copies : dict
        Generators that the copy uses, under the same names.

    Returns
    -------
    torch.nn.Module
        Copy of the networks with one member.
    """
    drawn_from = {id(generators[index][name]): generator for name, generator in copies.items()}
    return _extract(module, index, drawn_from)


def _extract(layer: nn.Module, index: int, drawn_from: Mapping[int, torch.Generator]) -> Any:
    """Copy a module and its children; copying by `copy.deepcopy` takes ten times as long."""
    member = copy.copy(layer)
    content = vars(member)
    for name, value in vars(layer).items():  # torch keeps weights, children and hooks in dicts
        if isinstance(value, dict):
            content[name] = value.copy()
    for name, weight in layer.named_parameters(recurse=False):
        part = weight.detach()[index : index + 1].clone()
        setattr(member, name, nn.Parameter(part, weight.requires_grad))
    for name, buffer in layer.named_buffers(recurse=False):
        setattr(member, name, buffer[index : index + 1].clone())
    for name, child in layer.named_children():
        setattr(member, name, _extract(child, index, drawn_from))
    keep_member: Any = getattr(member, "_keep_member", None)
    if keep_member is not None:
        keep_member(index, drawn_from)
    return member
