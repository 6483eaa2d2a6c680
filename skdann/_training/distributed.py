"""Training over processes with torch.distributed.

Each process passes its part of the rows to `fit`. All rows are gathered in every process first, so
that checks, statistics, splits and draws are those of a single process. Then each process computes
a part of every batch. The losses are weighted sums over rows, so that the gradients of the parts
add up to those of the batch. Means of batch normalization and recorded figures are added up in the
same way, and dropout draws the mask of the whole batch. All processes therefore hold the same
weights after each step.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch import distributed as dist

from skdann._input.containers import column_names, unwrap
from skdann._training.batches import Batch
from skdann.nn._members import Part
from skdann.nn._module import is_sizes

START = (
    "start the script by `torchrun --standalone --nproc-per-node=2 script.py` and call "
    'torch.distributed.init_process_group("gloo") before fit'
)
OWN = ("callbacks", "verbose")  # parameters that may differ


def check_distributed(estimator: Any, networks: Iterable[str], random_state: Any) -> None:
    """Raise unless an estimator can be trained over processes.

    Parameters
    ----------
    estimator : DANNClassifier or DANNRegressor
        Estimator with ``distributed=True``.
    networks : iterable of str
        Names of the parameters of the three networks.
    random_state : int, RandomState instance or None
        Seed of the fit.
    """
    if not _has_group():
        raise ValueError(f"distributed=True needs a group of processes; {START}.")
    if not isinstance(random_state, Integral):
        raise ValueError(
            f"distributed=True needs the same random_state in all processes, got {random_state!r}; "
            "set random_state to an integer."
        )
    if estimator.adversarial == "coral":
        raise ValueError(
            "adversarial='coral' compares all rows of a batch with one another, which processes "
            "that hold parts of it cannot; set distributed=False or another adversarial."
        )
    for name in networks:
        if not is_sizes(getattr(estimator, name)):
            raise ValueError(
                f"{name} is a module, whose layers may mix the rows of a batch; pass the sizes of "
                "hidden layers, or set distributed=False."
            )


class Ranks:
    """The processes that train together, as seen from one of them.

    Parameters
    ----------
    group : torch.distributed.ProcessGroup or None, default=None
        Group of the fit, which is closed if one process fails; None is that of the user.
    """

    def __init__(self, group: Any = None) -> None:
        self.group, self.rank, self.size = group, dist.get_rank(group), dist.get_world_size(group)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """Return the objects of all processes, in their order."""
        values: list[Any] = [None] * self.size
        self.call(dist.all_gather_object, values, value)
        return values

    def call(self, collective: Callable[..., Any], *args: Any) -> None:
        """Call a function in which each process waits for the others.

        Raises
        ------
        RuntimeError
            If another process failed or has ended.
        """
        try:
            collective(*args, group=self.group)
        except RuntimeError as error:
            raise RuntimeError(
                f"The fit cannot go on in process {self.rank} of {self.size}, because another "
                f"process has failed or ended ({str(error).splitlines()[0][:200]}). Look at its "
                "output, and start all processes again. With a checkpoint they resume at the last "
                "epoch."
            ) from error

    def of_first(self, make: Callable[[], Any]) -> Any:
        """Return in all processes what the first one makes."""
        return self.gather(make() if self.is_first else None)[0]

    def add(self, values: Tensor) -> Tensor:
        """Return the sum over the processes, through which gradients flow back to all of them."""
        total: Tensor = _Sum.apply(values, self)
        return total

    def add_gradients(self, optimizer: Any) -> None:
        """Replace the gradients of a part of a batch by those of the batch."""
        groups = optimizer.param_groups
        gradients = [p.grad for group in groups for p in group["params"] if p.grad is not None]
        flat = torch.cat([grad.flatten() for grad in gradients])
        self.call(dist.all_reduce, flat)
        for grad, total in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            grad.copy_(total.view_as(grad))

    def adding(self, optimizer: Any) -> AddingOptimizer:
        """Return an optimizer that adds up gradients by itself."""
        return AddingOptimizer(optimizer, self)

    def add_figures(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Return the sums of figures over the processes."""
        totals = self.gather(figures)
        return {name: sum(each[name] for each in totals) for name in figures}

    def part(self, batch: Batch) -> Batch:
        """Return the rows of a batch that this process computes, a share of each kind of rows."""
        n_source, n_rows = batch.rows.n_source, batch.domain.shape[-1]
        n_labelled = batch.n_labelled
        bounds = sorted({0, n_source, n_labelled, n_rows})
        own = [
            torch.arange(first, last).tensor_split(self.size)[self.rank]
            for first, last in itertools.pairwise(bounds)
        ]
        index = torch.cat(own).to(batch.domain.device)
        labelled = index[: int((index < n_labelled).sum())]
        part = Part(n_source, n_labelled, n_rows, index, self.add)
        rows = batch.rows._replace(
            n_source=int((index < n_source).sum()), domain=batch.domain[..., index], part=part
        )
        return Batch(
            _rows_of(batch.x, index),
            batch.y.index_select(batch.label_weight.dim() - 1, labelled),
            batch.label_weight[..., labelled],
            rows,
            batch.domain_weight[..., index],
            batch.is_scaled,
        )


class _Sum(torch.autograd.Function):
    """Sum over processes; torch's own function for it is deprecated in favor of a private one."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, ranks: Ranks) -> Tensor:
        """Return the sum."""
        ctx.ranks = ranks
        total = values.clone(memory_format=torch.contiguous_format)
        ranks.call(dist.all_reduce, total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Add up the gradients: the losses of all processes depend on the sum."""
        total = grad.clone(memory_format=torch.contiguous_format)
        ctx.ranks.call(dist.all_reduce, total)
        return total, None


class AddingOptimizer:
    """An optimizer that adds up the gradients of all processes before each step."""

    def __init__(self, optimizer: Any, ranks: Ranks) -> None:
        self.optimizer, self.ranks = optimizer, ranks
        self.zero_grad = optimizer.zero_grad

    def step(self) -> None:
        """Take a step by the gradients of the whole batch."""
        self.ranks.add_gradients(self.optimizer)
        self.optimizer.step()


def _rows_of(x: Any, index: Tensor) -> Any:
    if isinstance(x, list):
        return [part[index.cpu().numpy()] for part in x]
    return x[..., index, :]


@contextlib.contextmanager
def joined(is_distributed: bool) -> Iterator[Ranks | None]:
    """Join the processes for one fit; None if it is not distributed.

    If this process fails, those that wait for it fail, too.
    """
    if not is_distributed:
        yield None
        return
    group = dist.new_group()
    ranks = Ranks(group)
    try:
        yield ranks
        with contextlib.suppress(RuntimeError):  # others may have finished before
            ranks.call(dist.barrier)
    finally:
        dist.destroy_process_group(group)
        ranks.group = None
        del group  # a traceback that is kept would hold the connections open


@contextlib.contextmanager
def agreed(is_distributed: Any) -> Iterator[None]:
    """Raise an error in all processes if the block raises one in some of them.

    `is_distributed` is a parameter that has not been checked.
    """
    if not (isinstance(is_distributed, bool | np.bool_) and is_distributed and _has_group()):
        yield
        return
    fault = None
    try:
        yield
    except Exception as error:
        fault = error
    # in the group of the user, which notices that a process has ended
    texts = Ranks().gather(fault and str(fault))
    if fault is not None:
        raise fault
    for rank, text in enumerate(texts):
        if text is not None:
            raise ValueError(f"In process {rank}: {text}")


def _has_group() -> bool:
    return dist.is_available() and dist.is_initialized()


def gather_rows(estimator: Any, **rows: Any) -> list[Any]:
    """Return the rows of all processes, one below another, for each argument of a fit.

    Parameters
    ----------
    estimator : estimator
        Its parameters must be the same in all processes.
    **rows : any container or None
        Arguments of the fit. Those of this process are returned unless it is distributed.

    Raises
    ------
    ValueError, TypeError
        If rows or parameters of some process are invalid: in all processes.
    """
    inner = getattr(estimator, "estimator", estimator)
    if not getattr(inner, "distributed", False):
        return list(rows.values())
    parts = Ranks().gather(_read(estimator, rows))
    for rank, part in enumerate(parts):
        if isinstance(part, Exception):
            kind = type(part) if isinstance(part, ValueError | TypeError) else ValueError
            raise kind(f"In process {rank}: {part}")
    if any(params != parts[0][0] for params, _ in parts):
        raise ValueError(
            "The parameters of the estimator differ between the processes; pass the same ones, "
            f"except {', '.join(OWN)}."
        )
    return [_join([part[name] for _, part in parts], name) for name in rows]


def _read(estimator: Any, rows: dict[str, Any]) -> Any:
    """Return the parameters and rows of this process, or what is wrong with them."""
    params = {k: v for k, v in estimator.get_params().items() if k.split("__")[-1] not in OWN}
    params.pop("estimator", None)
    try:
        # the address of a function differs between processes
        text = re.sub(r" at 0x[0-9a-f]+", "", repr(params))
        plain = {name: _plain(value, name) for name, value in rows.items()}
        _check_counts(plain)
        return text, plain
    except (TypeError, ValueError) as error:
        return error


def _check_counts(rows: dict[str, Any]) -> None:
    """Raise unless each row of this process has its label, weight and domain."""
    pairs = [(name, "X_source") for name in ("y_source", "sample_weight", "sample_domain")]
    for name, of_rows in [*pairs, ("y_target", "X_target")]:
        values, table = rows.get(name), rows.get(of_rows)
        if values is None or table is None or isinstance(values, tuple):
            continue
        if not isinstance(table, tuple) and len(values) != table.shape[0]:
            raise ValueError(
                f"{name} has {len(values)} values but {of_rows} has {table.shape[0]} rows; pass "
                "one for each row of the process."
            )


def _plain(values: Any, name: str) -> Any:
    """Return rows as a pandas object, a sparse matrix or an array; in a tuple, one for each."""
    if values is None or (type(values).__module__.startswith("pandas") and hasattr(values, "iloc")):
        return values
    if isinstance(values, tuple):
        return tuple(_plain(each, name) for each in values)
    if column_names(values) is not None:
        raise TypeError(
            f"{name} is a {type(values).__name__}, whose parts cannot be joined; pass a frame of "
            "pandas, an array or a sparse matrix."
        )
    values = unwrap(values, name)
    return values if sp.issparse(values) else np.asarray(values)


def _join(parts: Sequence[Any], name: str) -> Any:
    """Put rows of the processes one below another."""
    kinds = {type(part) for part in parts}
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(
            f"{name} is not of the same type in all processes ({names}); pass the same container "
            "everywhere, with no rows where a process has none."
        )
    first = parts[0]
    if isinstance(first, np.ndarray):
        return _join_arrays(parts, name)
    if first is None:
        return None
    if isinstance(first, tuple):
        if len({len(part) for part in parts}) > 1:
            raise ValueError(
                f"{name} has a different number of targets in some processes; pass as many "
                "everywhere, with no rows where a process has none."
            )
        return tuple(_join(each, name) for each in zip(*parts, strict=True))
    is_frame = hasattr(first, "columns")
    _check_same(
        {tuple(part.columns) if is_frame else part.shape[1:] for part in parts}, parts, name
    )
    if sp.issparse(first):
        return sp.vstack(parts, "csr")
    import pandas as pd

    return pd.concat(parts, ignore_index=True)


def _join_arrays(parts: Sequence[np.ndarray], name: str) -> np.ndarray:
    """Put arrays below one another; the dtype of those without rows does not matter."""
    parts = [part for part in parts if len(part)] or list(parts[:1])
    _check_same({part.shape[1:] for part in parts}, parts, name)
    kinds = {part.dtype.kind in "biufc" for part in parts}
    if len(kinds) > 1:
        dtypes = ", ".join(str(part.dtype) for part in parts)
        raise ValueError(
            f"{name} holds numbers in some processes and no numbers in others ({dtypes}); pass the "
            "same kind of values everywhere."
        )
    return np.concatenate(parts)


def _check_same(columns: set[Any], parts: Sequence[Any], name: str) -> None:
    """Raise unless the columns of all parts are the same."""
    if len(columns) > 1:
        shapes = ", ".join(str(part.shape) for part in parts)
        raise ValueError(
            f"{name} has other columns in some processes (shapes {shapes}); pass the same columns "
            "in the same order everywhere."
        )
