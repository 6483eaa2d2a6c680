"""Layers with several ensemble members, with weights of shape ``(n_members, ...)``.

The input of a layer has shape ``(n_members, n_rows, n_features)``, or ``(n_rows, n_features)`` for
one member. Layers that treat the rows of each domain differently also take a `Rows`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Part(NamedTuple):
    """Which rows of a batch one of several processes computes.

    Attributes
    ----------
    n_source, n_labelled, n_rows : int
        Numbers of source rows, of rows with labels, and of all rows of the whole batch.
    chosen : Tensor of shape (n_own,)
        Positions of the rows of this process in it.
    add : callable
        Adds up a tensor over the processes.
    """

    n_source: int
    n_labelled: int
    n_rows: int
    chosen: Tensor
    add: Callable[[Tensor], Tensor]

    def of_first(self, n_own: int, n_rows: int) -> Part:
        """Return the part of the first rows of the batch."""
        return self._replace(n_rows=n_rows, chosen=self.chosen[:n_own])


class Rows(NamedTuple):
    """Number of source rows and domains of the rows of a batch, source rows first.

    Parameters
    ----------
    n_source : int
        Number of source rows; the rows after them are target rows.
    domain : Tensor of shape (n_rows,) or (n_members, n_rows), or None
        Domain index of each row; ``n_domains`` means "any target".
    part : object or None, default=None
        In training over processes, which rows of the batch these are.

    Examples
    --------
    >>> from skdann.nn import Rows
    >>> Rows(n_source=3).domain is None
    True
    """

    n_source: int
    domain: Tensor | None = None
    part: Part | None = None

    def of_source(self) -> Rows:
        """Return the description of the source rows alone.

        Returns
        -------
        Rows
            Number and domains of the source rows.
        """
        domain = None if self.domain is None else self.domain[..., : self.n_source]
        part = self.part and self.part.of_first(self.n_source, self.part.n_source)
        return Rows(self.n_source, domain, part)


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
        n_source, n_rows = (x.shape[-2] if rows is None else rows.n_source), x.shape[-2]
        part = None if rows is None else rows.part
        if part is not None:  # the mask of the whole batch
            n_source, n_rows = part.n_source, part.n_rows
        # one 64-bit draw for four units is several times faster than one draw per unit
        bits = torch.empty(*x.shape[:-2], n_rows, -(-x.shape[-1] // 4), dtype=torch.int64)
        members = bits.unsqueeze(0) if bits.dim() == 2 else bits
        for member, source, target in zip(
            members, self.source_generators, self.target_generators, strict=True
        ):
            member[:n_source].random_(-(2**63), None, generator=source)
            member[n_source:].random_(-(2**63), None, generator=target)
        if part is not None:
            bits = bits[..., part.chosen.to(bits.device), :]
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


class RowsSequential(nn.Sequential):
    """Sequential container that passes `rows` to the layers that need it.

    Parameters
    ----------
    *args : torch.nn.Module
        Layers, as in :class:`torch.nn.Sequential`.

    Examples
    --------
    >>> import torch
    >>> from skdann.nn._members import MemberLinear, Rows, RowsSequential
    >>> from skdann.nn._norms import MemberBatchNorm
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
