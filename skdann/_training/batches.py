"""Balanced batches of two or more domains, taken from memory.

An epoch is one pass over the source rows in an order of its own. Target rows are drawn in shuffled
passes of their own, which go on across epochs. Every step holds as many target rows as source rows,
in equal shares of the targets, source rows first.

Rows are gathered a block of many steps at a time; a step is then a contiguous view. Nothing here is
done per row, and little per step. Sparse rows become dense one step at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from skdann.nn import Rows

BLOCK_BYTES = 4_000_000
SPARSE_SHARE = 0.05  # of values that are not zero, up to which products of sparse rows pay


class Batch(NamedTuple):
    """One step's rows; with several members each tensor has a leading member dimension.

    Attributes
    ----------
    x : Tensor of shape (n_rows, n_features)
        Source rows first. Rows asked to stay sparse are a list of CSR matrices, one a member.
    y : Tensor of shape (n_source,)
        Class indices of the source rows.
    label_weight : Tensor of shape (n_source,)
        The label loss is the sum of the rows' losses times these.
    rows : Rows
        Number of source rows, and the index of each row's domain (one for all members where they
        agree).
    domain_weight : Tensor of shape (n_rows,)
        The same for the domain loss.
    """

    x: Any
    y: Tensor
    label_weight: Tensor
    rows: Rows
    domain_weight: Tensor

    @property
    def domain(self) -> Tensor:
        """Index of each row's domain."""
        return self.rows.domain  # type: ignore[return-value]


class _Passes:
    """Row numbers from one shuffled pass after another."""

    def __init__(self, rows: Tensor, generator: torch.Generator) -> None:
        self.rows, self.generator = rows, generator
        self.left = rows[:0]

    def take(self, count: int) -> Tensor:
        """Return the next `count` row numbers."""
        parts = []
        while count > 0:
            if not len(self.left):
                self.left = torch.randperm(len(self.rows), generator=self.generator)
            parts.append(self.rows.index_select(0, self.left[:count]))
            self.left = self.left[count:]
            count -= len(parts[-1])
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def _streams(generator: torch.Generator) -> Iterator[torch.Generator]:
    """Yield a generator for each target, so that targets do not wait for one another."""
    yield generator
    while True:
        seed = int(torch.randint(2**62, (), generator=generator))
        yield torch.Generator().manual_seed(seed)


class _Size(NamedTuple):
    """What all steps of one size share.

    Attributes
    ----------
    counts : list of int
        Rows of each target in a step.
    label_weight : Tensor of shape (size,)
        Weights that make the label loss a mean.
    domain_weight : Tensor of shape (n_rows,)
        Weights that make the domain loss a sum of means over each domain's rows.
    domain : Tensor of shape (n_rows,)
        Domains of the rows where there is one source.
    """

    counts: list[int]
    label_weight: Tensor
    domain_weight: Tensor
    domain: Tensor


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
    source_rows : ndarray of int of shape (n_train,) or (n_members, n_train)
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
        self.n_members, self.n_features = len(generators), X.shape[1]
        self.n_domains, self.n_sources = n_domains, n_domains - n_targets
        source_rows = np.atleast_2d(source_rows)
        self.n_source = source_rows.shape[1]
        self.n_steps = -(-self.n_source // batch_size)
        self.max_size = -(-self.n_source // self.n_steps)
        self.X: Any = X if sp.issparse(X) else torch.from_numpy(X).to(self.device)
        self.y = torch.from_numpy(y).to(self.device)
        self.source_domain = torch.from_numpy(domain[: len(y)]).to(self.device)
        self.source_rows = torch.from_numpy(source_rows).expand(self.n_members, -1)
        self.label_weight: Tensor | None = None
        self.label_factor: Tensor | None = None
        self.domain_weight: Tensor | None = None
        self.domain_factor: Tensor | None = None
        if sample_weight is not None or class_weight is not None:
            weight = np.ones(len(y)) if sample_weight is None else sample_weight
            by_class = 1.0 if class_weight is None else class_weight[y]
            means = weight[source_rows].mean(1)
            self.label_weight = self._float(weight / means.mean() * by_class)
            self.label_factor = self._float(means.mean() / means).expand(self.n_members)
        if sample_weight is not None or self.n_sources > 1:
            weight = np.ones(len(y)) if sample_weight is None else sample_weight / means.mean()
            self.domain_weight = self._float(weight)
            factors = self._domain_factors(weight, domain[: len(y)], source_rows)
            self.domain_factor = self._float(factors).expand(self.n_members, -1)
        self.sizes: dict[int, _Size] = {}
        self.source_generators = [member["source_order"] for member in generators]
        targets = [
            torch.from_numpy(np.flatnonzero(domain == index))
            for index in range(self.n_sources, n_domains)
        ]
        self.targets = [
            [_Passes(*own) for own in zip(targets, _streams(member["target_order"]), strict=False)]
            for member in generators
        ]

    def state_dict(self) -> dict[str, Tensor]:
        """Return what goes on across epochs: the rows left of each pass, and their generators."""
        state = {}
        for member, passes in enumerate(self.targets):
            for target, own in enumerate(passes):
                if len(own.left):  # older safetensors cannot read a tensor of nothing
                    state[f"{member}.{target}.left"] = own.left
                state[f"{member}.{target}.generator"] = own.generator.get_state()
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`state_dict` gave."""
        for member, passes in enumerate(self.targets):
            for target, own in enumerate(passes):
                own.left = state.get(f"{member}.{target}.left", own.rows[:0]).clone()
                own.generator.set_state(state[f"{member}.{target}.generator"].clone())

    def _float(self, values: np.ndarray) -> Tensor:
        with np.errstate(over="ignore"):  # an infinite weight ends in the error of a diverged fit
            return torch.from_numpy(values.astype(np.float32)).to(self.device)

    def _domain_factors(
        self, weight: np.ndarray, domain: np.ndarray, source_rows: np.ndarray
    ) -> np.ndarray:
        """Factors (n_members, n_sources) that give every domain the same part of the loss.

        The domain loss is 2 / n_domains times the sum of the domains' means; for two domains that
        is the sum of the two means in equation 9 of Ganin et al. (JMLR 2016).
        """
        mass = np.stack(
            [
                np.bincount(domain[own], weights=weight[own], minlength=self.n_sources)
                for own in source_rows
            ]
        )
        return self.n_source / np.where(mass > 0, mass, 1.0)

    @property
    def is_thin(self) -> bool:
        """Whether so few values differ from zero that products of sparse rows pay."""
        return sp.issparse(self.X) and self.X.nnz <= SPARSE_SHARE * np.prod(self.X.shape)

    def epoch(self, *, stays_sparse: bool = False) -> Iterator[Batch]:
        """Yield the steps of one epoch; sparse rows become dense unless they are to stay sparse."""
        self.stays_sparse = stays_sparse
        order = torch.stack(
            [
                torch.randperm(self.n_source, generator=generator)
                for generator in self.source_generators
            ]
        )
        n_long, size = self.n_source % self.n_steps, self.n_source // self.n_steps
        n_first = n_long * (size + 1)
        yield from self._uniform_steps(order[:, :n_first], size + 1)
        yield from self._uniform_steps(order[:, n_first:], size)

    def _uniform_steps(self, order: Tensor, size: int) -> Iterator[Batch]:
        """Yield the steps of `size` source rows each, gathered a block of steps at a time."""
        n_steps = order.shape[1] // size
        counts = self._size(size).counts
        n_bytes = 4 * self.n_features * self.n_members * (size + sum(counts))
        n_block = max(1, BLOCK_BYTES // max(1, n_bytes))
        for first in range(0, n_steps, n_block):
            n = min(n_block, n_steps - first)
            own = order[:, first * size : (first + n) * size]
            index = [self.source_rows.gather(1, own).view(self.n_members, n, size)] + [
                torch.stack([member[t].take(n * count) for member in self.targets]).view(
                    self.n_members, n, count
                )
                for t, count in enumerate(counts)
            ]
            block = torch.cat(index, 2).transpose(0, 1).to(self.device)
            yield from self._gather(block.squeeze(1) if self.n_members == 1 else block, size)

    def _size(self, size: int) -> _Size:
        """Return what the steps of `size` source rows share; an epoch has two sizes at most."""
        if size not in self.sizes:
            n_targets = self.n_domains - self.n_sources
            counts = [max(1, size // n_targets + (t < size % n_targets)) for t in range(n_targets)]
            numbers = torch.tensor([size, *counts])
            weight = (1.0 / numbers.to(torch.float32)).repeat_interleave(numbers).to(self.device)
            index = torch.tensor([0, *range(self.n_sources, self.n_domains)])
            domain = index.repeat_interleave(numbers).to(self.device)
            own = _Size(counts, weight[:size], weight * (2.0 / self.n_domains), domain)
            self.sizes[size] = own
        return self.sizes[size]

    def _gather(self, block: Tensor, size: int) -> Iterator[Batch]:
        """Yield the steps of one block; `block` holds row numbers (n_steps, ..., n_rows)."""
        source = block[..., :size]
        fields = zip(
            self._rows(block),
            self.y[source],
            self._label_weights(source),
            self._domains(source),
            self._domain_weights(source),
            strict=True,
        )
        for x, y, label_weight, domain, domain_weight in fields:
            yield Batch(x, y, label_weight, Rows(size, domain), domain_weight)

    def _label_weights(self, source: Tensor) -> Iterable[Tensor]:
        per_row = self.sizes[source.shape[-1]].label_weight
        if self.label_weight is None or self.label_factor is None:
            return [per_row.expand(source.shape[1:])] * len(source)
        factor = self.label_factor.view(*source.shape[1:-1], 1)
        return self.label_weight[source] * factor * per_row

    def _domains(self, source: Tensor) -> Iterable[Tensor]:
        size = source.shape[-1]
        domain = self.sizes[size].domain
        if self.n_sources == 1:
            return [domain] * len(source)
        target = domain[size:].expand(*source.shape[:-1], -1)
        return torch.cat([self.source_domain[source], target], -1)

    def _domain_weights(self, source: Tensor) -> Iterable[Tensor]:
        size = source.shape[-1]
        per_row = self.sizes[size].domain_weight
        if self.domain_weight is None or self.domain_factor is None:
            return [per_row.expand(*source.shape[1:-1], -1)] * len(source)
        domain = self.source_domain[source]
        member = torch.arange(self.n_members, device=self.device).view(*source.shape[1:-1], 1)
        own = self.domain_weight[source] * self.domain_factor[member, domain]
        target = per_row[size:].expand(*source.shape[:-1], -1)
        return torch.cat([own * per_row[:size], target], -1)

    def _rows(self, block: Tensor) -> Iterable[Any]:
        if not sp.issparse(self.X):
            flat: Tensor = self.X.index_select(0, block.flatten())
            return flat.view(*block.shape, self.n_features)
        return self._sparse_rows(block)

    def _sparse_rows(self, block: Tensor) -> Iterator[Any]:
        gathered = self.X[block.flatten().cpu().numpy()]
        n_rows = block[0].numel()
        for start in range(0, gathered.shape[0], n_rows):
            step = gathered[start : start + n_rows]
            if self.stays_sparse:
                n_own = block.shape[-1]
                yield [step[first : first + n_own] for first in range(0, n_rows, n_own)]
            else:
                dense = torch.from_numpy(step.toarray())
                yield dense.view(*block.shape[1:], self.n_features).to(self.device)
