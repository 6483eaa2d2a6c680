"""Domain-balanced batches of rows held in memory.

An epoch is one pass over the shuffled source rows. The target rows are shuffled separately, and
their passes continue across epochs. Each batch holds the source rows first, then as many target
rows, in equal shares of the target domains. With pseudo-labels, rows are drawn by weights, and
target rows can have labels too. If some target rows have true labels, each batch holds some of them
between the source rows and the other target rows, for the label loss alone.

Rows are gathered in blocks of many steps, so that each batch is a contiguous view and no work is
done per row. Sparse rows are converted to dense ones batch by batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from skdann._training.passes import ShuffledRows, draw_pass, streams
from skdann.nn import Rows

BLOCK_BYTES = 4_000_000
SCALED_BYTES = 32_000_000  # maximum size of the scaled rows of all members, kept between steps
SPARSE_SHARE = 0.05  # maximum share of non-zero values for which sparse products are faster
LABELLED_ROWS = 0.25  # maximum number of labelled target rows in a batch, per source row
HALF_SHARE = 20  # number of labelled target rows that have half of the label loss


def labelled_share(n_labelled: int) -> float:
    """Return the part of the label loss that is for the labelled target rows."""
    return n_labelled / (n_labelled + HALF_SHARE)


class Batch(NamedTuple):
    """Rows of one training step; with several members, tensors have a leading member dimension.

    Attributes
    ----------
    x : Tensor of shape (n_rows, n_features)
        Source rows first. Rows that stay sparse are a list of CSR matrices, one per member.
    y : Tensor of shape (n_labelled,) or (n_labelled, n_outputs)
        Class indices or numbers of the source rows and the labelled target rows or, with
        pseudo-labels to train on, class indices of all rows.
    label_weight : Tensor of shape (n_labelled,)
        Weights of the rows in the label loss, which is the weighted sum of their losses.
    rows : Rows
        Number of source rows, and the domain index of each row (a single row of indices if they
        are the same for all members).
    domain_weight : Tensor of shape (n_rows,)
        Weights of the rows in the domain loss.
    is_scaled : bool, default=False
        Whether `x` has been scaled already.
    """

    x: Any
    y: Tensor
    label_weight: Tensor
    rows: Rows
    domain_weight: Tensor
    is_scaled: bool = False

    @property
    def domain(self) -> Tensor:
        """Domain index of each row."""
        return self.rows.domain  # type: ignore[return-value]

    @property
    def y_source(self) -> Tensor:
        """Labels of the source rows, which come first."""
        is_source_only = self.n_labelled == self.rows.n_source
        return self.y if is_source_only else self.y[..., : self.rows.n_source]

    @property
    def n_labelled(self) -> int:
        """Number of rows in the label loss: the first ones."""
        return self.label_weight.shape[-1]

    @property
    def labelled(self) -> Rows:
        """The rows in the label loss."""
        if self.n_labelled == self.domain.shape[-1]:
            return self.rows
        part = self.rows.part
        if part is not None:
            part = part.of_first(self.n_labelled, part.n_labelled)
        return self.rows._replace(domain=self.domain[..., : self.n_labelled], part=part)


class _StepLayout(NamedTuple):
    """Weights and domains shared by all steps with the same number of source rows.

    Attributes
    ----------
    counts : list of int
        Number of rows of each target in a step.
    label_weight : Tensor of shape (size,)
        Weights that make the label loss a mean.
    domain_weight : Tensor of shape (n_rows,)
        Weights that make the domain loss a sum of means over the rows of each domain; 0 for
        labelled target rows, which are drawn as target rows too.
    domain : Tensor of shape (n_rows,)
        Domain indices of the rows if there is one source, and one target if rows of it are
        labelled.
    n_labelled : int
        Number of labelled target rows in a step.
    """

    counts: list[int]
    label_weight: Tensor
    domain_weight: Tensor
    domain: Tensor
    n_labelled: int


class DomainBatches:
    """Iterable over the batches of one fit.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_rows, n_features), float32
        Source rows first.
    y : ndarray of shape (n_source,) or (n_rows,), or with n_outputs columns
        Class indices or numbers: of all rows if target rows are labelled, where those of unlabelled
        rows do not matter.
    domain : ndarray of shape (n_rows,)
        Domain indices.
    n_domains, n_targets : int
        Number of domains, and number of targets among them (the last ones).
    source_rows : ndarray of int of shape (n_train,) or (n_members, n_train)
        Indices of the source rows to train on.
    sample_weight : ndarray of shape (n_source,) or None
        Weights of the source rows in both losses.
    class_weight : ndarray of shape (n_classes,) or None
        Weights of the classes in the label loss.
    batch_size : int
        Maximum number of source rows per step; the steps of an epoch differ by at most one row.
    generators : sequence of dict
        Random generators "source_order" and "target_order" of each member.
    labelled_rows : ndarray of int of shape (n_labelled,) or (n_members, n_labelled), or None
        Indices of the target rows whose labels are trained on.
    device : str or torch.device, default="cpu"
        Device of the batches, and of dense rows.
    ranks : Ranks or None, default=None
        Processes that train together, each on a part of every batch.
    n_epochs : int, default=1
        Number of epochs for which the batches are used.
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
        labelled_rows: np.ndarray | None = None,
        device: str | torch.device = "cpu",
        ranks: Any = None,
        n_epochs: int = 1,
    ) -> None:
        self.ranks, self.n_epochs = ranks, n_epochs
        self.device = torch.device(device)
        self.n_members, self.n_features = len(generators), X.shape[1]
        self.n_domains, self.n_sources = n_domains, n_domains - n_targets
        source_rows = np.atleast_2d(source_rows)
        self.n_source = source_rows.shape[1]
        self.n_steps = -(-self.n_source // batch_size)
        self.max_size = -(-self.n_source // self.n_steps)
        self.X: Any = X if sp.issparse(X) else torch.from_numpy(X).to(self.device)
        self.y = torch.from_numpy(y).to(self.device)
        self.domain = domain
        self.row_domain = torch.from_numpy(domain[: len(y)]).to(self.device)
        self.source_rows = torch.from_numpy(source_rows).expand(self.n_members, -1)
        self.label_weight: Tensor | None = None
        self.label_factor: Tensor | None = None
        self.domain_weight: Tensor | None = None
        self.domain_factor: Tensor | None = None
        if sample_weight is not None or class_weight is not None:
            weight = _pad(sample_weight, len(y))
            by_class = 1.0 if class_weight is None else class_weight[y]
            means = weight[source_rows].mean(1)
            self.label_weight = self._float(weight / means.mean() * by_class)
            self.label_factor = self._float(means.mean() / means).expand(self.n_members)
        if sample_weight is not None or self.n_sources > 1:
            weight = np.ones(len(y))
            if sample_weight is not None:
                weight = _pad(sample_weight, len(y)) / means.mean()
            self.domain_weight = self._float(weight)
            factors = self._domain_factors(weight, domain[: len(y)], source_rows)
            self.domain_factor = self._float(factors).expand(self.n_members, -1)
        self.layouts: dict[int, _StepLayout] = {}
        self.source_generators = [member["source_order"] for member in generators]
        targets = [
            torch.from_numpy(np.flatnonzero(domain == index))
            for index in range(self.n_sources, n_domains)
        ]
        self.targets: list[list[ShuffledRows]] = []
        self.labelled: list[ShuffledRows] = []
        for index, member in enumerate(generators):
            orders = streams(member["target_order"])
            self.targets.append([ShuffledRows(rows, next(orders)) for rows in targets])
            if labelled_rows is not None:
                rows = np.atleast_2d(labelled_rows)
                chosen = torch.from_numpy(rows[index if len(rows) > 1 else 0])
                self.labelled.append(ShuffledRows(chosen, next(orders)))
        self.source_weights: list[Tensor | None] = [None] * self.n_members
        self.labels: Tensor | None = None
        self.memory: Tensor | None = None
        self.scaled: Tensor | None = None
        self.scaled_by: list[Tensor | None] = [None] * self.n_members

    @property
    def has_weights(self) -> bool:
        """Whether rows of some target are drawn by weights."""
        return any(shuffled.weight is not None for targets in self.targets for shuffled in targets)

    def draw_source(self, member: int, weight: np.ndarray) -> None:
        """Draw the source rows of a member in proportion to these weights."""
        self.source_weights[member] = torch.from_numpy(weight)

    def draw_target(
        self, member: int, target: int, weight: np.ndarray, label: np.ndarray | None
    ) -> None:
        """Draw the rows of a target for a member by weights, and train on their labels if given.

        Parameters
        ----------
        member, target : int
            Index of the member, and of the target among the targets.
        weight : ndarray of shape (n_rows,)
            Weights of the rows of the target, in their order.
        label : ndarray of int of shape (n_rows,) or None
            Class indices of these rows; None leaves them unlabelled.
        """
        shuffled = self.targets[member][target]
        shuffled.weigh(torch.from_numpy(weight))
        if label is None:
            return
        if self.labels is None:  # for source rows too, so that row indices need no change
            self.labels = self.y.new_full((self.n_members, self.X.shape[0]), -1)
        self.labels[member, shuffled.rows] = torch.from_numpy(label).to(self.device)
        for known in self.labelled[member : member + 1]:
            self.labels[member, known.rows] = self.y[known.rows]

    def draw_labelled(self, member: int, weight: np.ndarray) -> None:
        """Draw the labelled target rows of a member in proportion to these weights."""
        self.labelled[member].weigh(torch.from_numpy(weight))

    def _passes(self) -> Iterator[tuple[str, ShuffledRows]]:
        """Yield the passes over target rows, with their names in the state."""
        for member, targets in enumerate(self.targets):
            for target, shuffled in enumerate(targets):
                yield f"{member}.{target}", shuffled
        for member, shuffled in enumerate(self.labelled):
            yield f"{member}.labelled", shuffled

    def state_dict(self) -> dict[str, Tensor]:
        """Return the state kept between epochs: remaining rows, generators, draws and labels."""
        state = {}
        for member, weight in enumerate(self.source_weights):
            if weight is not None:
                state[f"{member}.weight"] = weight
        if self.labels is not None:
            state["labels"] = self.labels
        for name, shuffled in self._passes():
            if len(shuffled.remaining):  # older safetensors cannot read an empty tensor
                state[f"{name}.left"] = shuffled.remaining
            if shuffled.weight is not None:
                state[f"{name}.weight"] = shuffled.weight
            state[f"{name}.generator"] = shuffled.generator.get_state()
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the state returned by :meth:`state_dict`."""
        self.labels = state["labels"].to(self.device) if "labels" in state else None
        self.source_weights = [state.get(f"{member}.weight") for member in range(self.n_members)]
        for name, shuffled in self._passes():
            shuffled.weight = state.get(f"{name}.weight")
            shuffled.remaining = state.get(f"{name}.left", shuffled.rows[:0]).clone()
            shuffled.generator.set_state(state[f"{name}.generator"].clone())

    def _float(self, values: np.ndarray) -> Tensor:
        with np.errstate(over="ignore"):  # an infinite weight raises DivergenceError later
            return torch.from_numpy(values.astype(np.float32)).to(self.device)

    def _domain_factors(
        self, weight: np.ndarray, domain: np.ndarray, source_rows: np.ndarray
    ) -> np.ndarray:
        """Return factors (n_members, n_sources) that give each domain an equal part of the loss.

        The domain loss is 2 / n_domains times the sum of the domains' means; for two domains that
        is the sum of the two means in equation 9 of Ganin et al. (JMLR 2016).
        """
        mass = np.stack(
            [
                np.bincount(domain[rows], weights=weight[rows], minlength=self.n_sources)
                for rows in source_rows
            ]
        )
        return self.n_source / np.where(mass > 0, mass, 1.0)

    @property
    def is_thin(self) -> bool:
        """Whether the rows have so few non-zero values that sparse products are faster."""
        return sp.issparse(self.X) and self.X.nnz <= SPARSE_SHARE * np.prod(self.X.shape)

    def scale(self, standardizer: Any) -> bool:
        """Scale all rows, once until the statistics change; return False if that does not pay.

        Parameters
        ----------
        standardizer : DomainStandardizer
            Scaling of each member.
        """
        if self.scaled is None:
            n_rows, n_drawn = self.X.shape[0], 2 * self.n_source * self.n_epochs
            n_bytes = 4 * self.n_members * n_rows * self.n_features
            if sp.issparse(self.X) or n_bytes > SCALED_BYTES or n_rows > n_drawn:
                return False
            self.scaled = self.X.new_empty(self.n_members, n_rows, self.n_features)
        tables = torch.stack([standardizer.mean, standardizer.scale, standardizer.shift], 1)
        for member, known in enumerate(self.scaled_by):
            if known is None or not torch.equal(known, tables[member]):
                standardizer.scale_member(member, self.X, self._all_rows(), self.scaled[member])
                self.scaled_by[member] = tables[member]
        return True

    def _all_rows(self) -> Rows:
        """Return the domains of all rows, the source rows first."""
        n_source = int((self.domain < self.n_sources).sum())
        return Rows(n_source, torch.from_numpy(self.domain).to(self.device))

    def epoch(
        self, *, stays_sparse: bool = False, is_scaled: bool = False, is_reused: bool = False
    ) -> Iterator[Batch]:
        """Yield the batches of one epoch, or the parts of them for this process.

        Parameters
        ----------
        stays_sparse : bool, default=False
            Whether sparse rows stay sparse; otherwise they become dense.
        is_scaled : bool, default=False
            Whether the rows are those of :meth:`scale`.
        is_reused : bool, default=False
            Whether the rows of a batch are needed until the next batch only, which may take their
            memory: an allocator that returns it in each step takes several times as long.
        """
        self.stays_sparse, self.is_scaled, self.is_reused = stays_sparse, is_scaled, is_reused
        order = torch.stack(
            [
                draw_pass(self.n_source, weight, generator)
                for weight, generator in zip(
                    self.source_weights, self.source_generators, strict=True
                )
            ]
        )
        n_long, size = self.n_source % self.n_steps, self.n_source // self.n_steps
        n_first = n_long * (size + 1)
        yield from self._uniform_steps(order[:, :n_first], size + 1)
        yield from self._uniform_steps(order[:, n_first:], size)

    def _uniform_steps(self, order: Tensor, size: int) -> Iterator[Batch]:
        """Yield batches of `size` source rows each, gathered in blocks of many steps."""
        n_steps = order.shape[1] // size
        layout = self._layout(size)
        n_bytes = 4 * self.n_features * self.n_members * len(layout.domain_weight)
        n_block = max(1, BLOCK_BYTES // max(1, n_bytes))
        for first in range(0, n_steps, n_block):
            n = min(n_block, n_steps - first)
            steps = order[:, first * size : (first + n) * size]
            index = [self.source_rows.gather(1, steps).view(self.n_members, n, size)]
            if layout.n_labelled:
                index.append(_draw(self.labelled, n, layout.n_labelled))
            for t, count in enumerate(layout.counts):
                index.append(_draw([member[t] for member in self.targets], n, count))
            block = torch.cat(index, 2).transpose(0, 1).to(self.device)
            yield from self._gather(block.squeeze(1) if self.n_members == 1 else block, size)

    def _layout(self, size: int) -> _StepLayout:
        """Return the layout of steps with `size` source rows; an epoch has at most two sizes."""
        if size not in self.layouts:
            n_targets = self.n_domains - self.n_sources
            counts = [max(1, size // n_targets + (t < size % n_targets)) for t in range(n_targets)]
            n_labelled = self._count_labelled(size)
            n_rows = torch.tensor([size, n_labelled, *counts])
            each = 1.0 / n_rows.to(torch.float32)
            each[1] = 0.0
            weight = each.repeat_interleave(n_rows).to(self.device)
            index = torch.tensor([0, self.n_sources, *range(self.n_sources, self.n_domains)])
            domain = index.repeat_interleave(n_rows).to(self.device)
            domain_weight = weight * (2.0 / self.n_domains)
            layout = _StepLayout(counts, weight[:size], domain_weight, domain, n_labelled)
            self.layouts[size] = layout
        return self.layouts[size]

    def _count_labelled(self, size: int) -> int:
        """Return the number of labelled target rows in steps with `size` source rows."""
        if not self.labelled:
            return 0
        return max(1, min(len(self.labelled[0].rows), int(LABELLED_ROWS * size)))

    def _gather(self, block: Tensor, size: int) -> Iterator[Batch]:
        """Yield the batches of one block of row indices, of shape (n_steps, ..., n_rows)."""
        source = block[..., :size]
        fields = zip(
            self._rows(block),
            *self._labels(block, source),
            self._domains(block, source),
            self._domain_weights(source),
            strict=True,
        )
        for x, y, label_weight, domain, domain_weight in fields:
            rows = Rows(size, domain)
            batch = Batch(x, y, label_weight, rows, domain_weight, self.is_scaled)
            yield batch if self.ranks is None else self.ranks.part(batch)

    def _labels(self, block: Tensor, source: Tensor) -> tuple[Iterable[Tensor], Iterable[Tensor]]:
        """Return the labels and label weights of the labelled rows of each step."""
        weight = self._label_weights(source)
        y = self.y[source]
        n_labelled = self._layout(source.shape[-1]).n_labelled
        if n_labelled:
            rows = block[..., source.shape[-1] :][..., :n_labelled]
            y = torch.cat([y, self.y[rows]], len(rows.shape) - 1)
            weight = self._add_labelled(torch.stack(list(weight)), rows)
        if self.labels is None:
            return y, weight
        rest = block[..., source.shape[-1] + n_labelled :]
        return self._add_pseudo_labels(y, torch.stack(list(weight)), rest, self.labels)

    def _add_labelled(self, weight: Tensor, rows: Tensor) -> Tensor:
        """Divide the label loss between source rows and labelled target rows."""
        share = labelled_share(len(self.labelled[0].rows))
        each = self.y.new_full(rows.shape, share / rows.shape[-1], dtype=weight.dtype)
        if self.label_weight is not None:
            each = each * self.label_weight[rows]
        return torch.cat([weight.expand(*rows.shape[:-1], -1) * (1.0 - share), each], -1)

    def _add_pseudo_labels(
        self, y: Tensor, weight: Tensor, rest: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Add the pseudo-labels of the other target rows, which get half of the label loss."""
        member = torch.arange(self.n_members, device=self.device)[:, None]
        label = labels[0][rest] if self.n_members == 1 else labels[member, rest]
        is_labelled = label[..., -1:] >= 0
        half = torch.where(is_labelled, 0.5, 1.0).to(weight.dtype)  # not torch's default dtype
        weight = weight.expand(y.shape) * half
        n_rest = rest.shape[-1]
        of_rest = ((1.0 - half) / n_rest).expand(*y.shape[:-1], n_rest)
        return torch.cat([y, label.clamp(min=0)], -1), torch.cat([weight, of_rest], -1)

    def _label_weights(self, source: Tensor) -> Iterable[Tensor]:
        per_row = self.layouts[source.shape[-1]].label_weight
        if self.label_weight is None or self.label_factor is None:
            return [per_row.expand(source.shape[1:])] * len(source)
        factor = self.label_factor.view(*source.shape[1:-1], 1)
        return self.label_weight[source] * factor * per_row

    def _domains(self, block: Tensor, source: Tensor) -> Iterable[Tensor]:
        layout = self.layouts[source.shape[-1]]
        n_labelled = layout.n_labelled
        if self.n_sources == 1 and not (n_labelled and self.n_domains > 2):
            return [layout.domain] * len(source)
        n_known = source.shape[-1] + n_labelled
        target = layout.domain[n_known:].expand(*source.shape[:-1], -1)
        return torch.cat([self.row_domain[block[..., :n_known]], target], -1)

    def _domain_weights(self, source: Tensor) -> Iterable[Tensor]:
        size = source.shape[-1]
        per_row = self.layouts[size].domain_weight
        if self.domain_weight is None or self.domain_factor is None:
            return [per_row.expand(*source.shape[1:-1], -1)] * len(source)
        domain = self.row_domain[source]
        member = torch.arange(self.n_members, device=self.device).view(*source.shape[1:-1], 1)
        weight = self.domain_weight[source] * self.domain_factor[member, domain]
        target = per_row[size:].expand(*source.shape[:-1], -1)
        return torch.cat([weight * per_row[:size], target], -1)

    def _rows(self, block: Tensor) -> Iterable[Any]:
        if sp.issparse(self.X):
            return self._sparse_rows(block)
        X, index = self.X, block
        if self.is_scaled and self.scaled is not None:
            X = self.scaled.view(-1, self.n_features)
            first = torch.arange(self.n_members, device=self.device) * self.scaled.shape[1]
            index = block + first.view(-1, 1) if self.n_members > 1 else block
        flat = torch.index_select(X, 0, index.flatten(), out=self._memory_of(block.numel()))
        return flat.view(*block.shape, self.n_features)

    def _memory_of(self, n_rows: int) -> Tensor | None:
        """Return the memory for gathered rows, or None for new memory."""
        if not self.is_reused:
            return None
        if self.memory is None or len(self.memory) < n_rows:
            self.memory = self.X.new_empty(n_rows, self.n_features)
        return self.memory[:n_rows]

    def _sparse_rows(self, block: Tensor) -> Iterator[Any]:
        gathered = self.X[block.flatten().cpu().numpy()]
        n_rows = block[0].numel()
        for start in range(0, gathered.shape[0], n_rows):
            step = gathered[start : start + n_rows]
            if self.stays_sparse:
                size = block.shape[-1]  # rows per member
                yield [step[first : first + size] for first in range(0, n_rows, size)]
            else:
                dense = torch.from_numpy(step.toarray())
                yield dense.view(*block.shape[1:], self.n_features).to(self.device)


def _draw(passes: Sequence[ShuffledRows], n_steps: int, count: int) -> Tensor:
    """Return the next rows of each member for some steps, (n_members, n_steps, count)."""
    rows = torch.stack([shuffled.draw(n_steps * count) for shuffled in passes])
    return rows.view(len(passes), n_steps, count)


def _pad(weight: np.ndarray | None, n_rows: int) -> np.ndarray:
    """Return the weights of the source rows, and their mean for labelled target rows after them."""
    if weight is None:
        return np.ones(n_rows)
    return np.append(weight, np.full(n_rows - len(weight), weight.mean()))
