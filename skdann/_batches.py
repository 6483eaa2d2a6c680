"""Balanced batches of two or more domains, taken from memory.

An epoch is one pass over the source rows in an order of its own. Target rows are drawn in shuffled
passes of their own, which go on across epochs. Every step holds as many target rows as source rows,
in equal shares of the targets, source rows first.

Rows are gathered a block of many steps at a time; a step is then a contiguous view. Nothing here is
done per row, and little per step. Sparse rows become dense one step at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from skdann.nn import Rows

BLOCK_BYTES = 4_000_000


class Batch(NamedTuple):
    """One step's rows; with several members each tensor has a leading member dimension.

    Attributes
    ----------
    x : Tensor of shape (n_rows, n_features)
        Source rows first.
    y : Tensor of shape (n_source,)
        Class indices of the source rows.
    label_weight : Tensor of shape (n_source,)
        The label loss is the sum of the rows' losses times these.
    rows : Rows
        Number of source rows, and the index of each row's domain.
    domain_weight : Tensor of shape (n_rows,)
        The same for the domain loss.
    """

    x: Tensor
    y: Tensor
    label_weight: Tensor
    rows: Rows
    domain_weight: Tensor


class _Passes:
    """Row numbers from one shuffled pass after another."""

    def __init__(self, rows: Tensor, generator: torch.Generator) -> None:
        self.rows, self.generator = rows, generator
        self.left = rows[:0]

    def take(self, count: int) -> Tensor:
        parts = [self.left]
        n_ready = len(self.left)
        while n_ready < count:
            order = torch.randperm(len(self.rows), generator=self.generator)
            parts.append(self.rows[order])
            n_ready += len(self.rows)
        ready = torch.cat(parts)
        self.left = ready[count:]
        return ready[:count]


class DomainBatches:
    """Batches of one fit.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_rows, n_features), float32
        Source rows first.
    y : ndarray of shape (n_source,)
        Class indices.
    domain : ndarray of shape (n_rows,)
        Domain indices.
    n_domains, n_targets : int
        Domains in all, and targets among them: the last ones.
    source_rows : ndarray of int
        Numbers of the source rows to train on.
    sample_weight : ndarray of shape (n_source,) or None
        Weights of source rows in both losses.
    class_weight : ndarray of shape (n_classes,) or None
        Weights of classes in the label loss.
    batch_size : int
        Most source rows in a step; the steps of an epoch differ by one row at most.
    generators : sequence of dict
        For each member the generators "source_order" and "target_order".
    device : str or torch.device, default="cpu"
        Where the rows live and the batches come from.
    """

    def __init__(
        self,
        X: Any,
        y: np.ndarray,
        domain: np.ndarray,
        *,
        n_domains: int,
        n_targets: int,
        source_rows: np.ndarray,
        sample_weight: np.ndarray | None,
        class_weight: np.ndarray | None,
        batch_size: int,
        generators: Sequence[dict[str, torch.Generator]],
        device: str | torch.device = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.n_source, self.n_features, self.n_members = (
            len(source_rows),
            X.shape[1],
            len(generators),
        )
        self.n_steps = -(-self.n_source // batch_size)
        self.max_size = -(-self.n_source // self.n_steps)
        self.X: Any = X if sp.issparse(X) else torch.from_numpy(X).to(self.device)
        self.y = torch.from_numpy(y).to(self.device)
        self.domain = torch.from_numpy(domain).to(self.device)
        weight = np.ones(len(y)) if sample_weight is None else sample_weight
        weight = weight / weight[source_rows].mean()
        by_class = 1.0 if class_weight is None else class_weight[y]
        self.source_rows = torch.from_numpy(source_rows)
        self.label_weight = self._float(weight * by_class)
        self.domain_weight = self._float(
            self._domain_weights(weight, domain, source_rows, n_domains)
        )
        self.source_generators = [member["source_order"] for member in generators]
        first_target = n_domains - n_targets
        rows_of = [torch.from_numpy(np.flatnonzero(domain == d)) for d in range(n_domains)]
        self.targets = [
            [_Passes(rows, member["target_order"]) for rows in rows_of[first_target:]]
            for member in generators
        ]

    def _float(self, values: np.ndarray) -> Tensor:
        with np.errstate(over="ignore"):  # an infinite weight ends in the error of a diverged fit
            return torch.from_numpy(values.astype(np.float32)).to(self.device)

    def _domain_weights(
        self, weight: np.ndarray, domain: np.ndarray, source_rows: np.ndarray, n_domains: int
    ) -> np.ndarray:
        """Weights that make the domain loss 2 / n_domains times the sum of the domains' means.

        For two domains this is the sum of the two means in equation 9 of Ganin et al. (JMLR 2016).
        """
        all_weights = np.ones(len(domain))
        own = domain[: len(weight)]
        mass = np.bincount(own[source_rows], weights=weight[source_rows], minlength=n_domains)
        all_weights[: len(weight)] = weight * self.n_source / np.where(mass > 0, mass, 1.0)[own]
        return all_weights * 2.0 / n_domains

    def epoch(self) -> Iterator[Batch]:
        """Yield the steps of one epoch."""
        n_long = self.n_source % self.n_steps
        size = self.n_source // self.n_steps
        order = torch.stack(
            [
                self.source_rows[torch.randperm(self.n_source, generator=generator)]
                for generator in self.source_generators
            ]
        )
        n_first = n_long * (size + 1)
        yield from self._uniform_steps(order[:, :n_first], n_long, size + 1)
        yield from self._uniform_steps(order[:, n_first:], self.n_steps - n_long, size)

    def _uniform_steps(self, source: Tensor, n_steps: int, size: int) -> Iterator[Batch]:
        """Yield `n_steps` steps of `size` source rows each, gathered block by block."""
        if not n_steps:
            return
        n_targets = len(self.targets[0])
        counts = [max(1, size // n_targets + (t < size % n_targets)) for t in range(n_targets)]
        index = [source.view(self.n_members, n_steps, size)] + [
            torch.stack([member[t].take(n_steps * count) for member in self.targets]).view(
                self.n_members, n_steps, count
            )
            for t, count in enumerate(counts)
        ]
        rows = torch.cat(index, 2).transpose(0, 1).to(self.device)
        per_row = torch.cat([torch.full((count,), 1.0 / count) for count in [size, *counts]])
        per_row = per_row.to(self.device)
        n_bytes = 4 * self.n_features * rows[0].numel()
        for block in rows.split(max(1, BLOCK_BYTES // max(1, n_bytes))):
            if self.n_members == 1:
                block = block.squeeze(1)
            yield from self._gather(block, size, per_row)

    def _gather(self, block: Tensor, size: int, per_row: Tensor) -> Iterator[Batch]:
        """Yield the steps of one block; `block` holds row numbers (n_steps, ..., n_rows)."""
        source = block[..., :size]
        fields = zip(
            self._rows(block),
            self.y[source],
            self.label_weight[source] * per_row[:size],
            self.domain[block],
            self.domain_weight[block] * per_row,
            strict=True,
        )
        for x, y, label_weight, domain, domain_weight in fields:
            yield Batch(x, y, label_weight, Rows(size, domain), domain_weight)

    def _rows(self, block: Tensor) -> Iterator[Tensor] | Tensor:
        if not sp.issparse(self.X):
            flat: Tensor = self.X.index_select(0, block.flatten())
            return flat.view(*block.shape, self.n_features)
        return self._sparse_rows(block)

    def _sparse_rows(self, block: Tensor) -> Iterator[Tensor]:
        gathered = self.X[block.flatten().cpu().numpy()]
        n_rows = block[0].numel()
        for start in range(0, gathered.shape[0], n_rows):
            dense = torch.from_numpy(gathered[start : start + n_rows].toarray())
            yield dense.view(*block.shape[1:], self.n_features).to(self.device)
