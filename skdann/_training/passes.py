"""Passes over rows in random order, in which rows can have weights."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def draw_pass(n_rows: int, weight: Tensor | None, generator: torch.Generator) -> Tensor:
    """Return as many shuffled row indices as there are rows.

    Each row occurs once or, given weights, in proportion to its weight, rounded up or down
    (systematic resampling).
    """
    order = torch.randperm(n_rows, generator=generator)
    if weight is None:
        return order
    edges = weight.cumsum(0)
    offset = torch.rand((), generator=generator, dtype=torch.float64)
    places = (torch.arange(n_rows) + offset) * (edges[-1] / n_rows)
    return torch.searchsorted(edges, places, right=True).clamp_(max=n_rows - 1)[order]


class ShuffledRows:
    """Row indices from consecutive shuffled passes over the rows."""

    def __init__(self, rows: Tensor, generator: torch.Generator) -> None:
        self.rows, self.generator = rows, generator
        self.remaining = rows[:0]
        self.weight: Tensor | None = None

    def weigh(self, weight: Tensor) -> None:
        """Draw rows in proportion to these weights from now on."""
        self.weight, self.remaining = weight, self.rows[:0]

    def draw(self, count: int) -> Tensor:
        """Return the next `count` row indices."""
        parts = []
        while count > 0:
            if not len(self.remaining):
                self.remaining = draw_pass(len(self.rows), self.weight, self.generator)
            parts.append(self.rows.index_select(0, self.remaining[:count]))
            self.remaining = self.remaining[count:]
            count -= len(parts[-1])
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def streams(generator: torch.Generator) -> Iterator[torch.Generator]:
    """Yield an independent generator for each target; the first is the given one."""
    yield generator
    while True:
        seed = int(torch.randint(2**62, (), generator=generator))
        yield torch.Generator().manual_seed(seed)
