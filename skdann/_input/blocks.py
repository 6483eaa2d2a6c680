"""Rows of large containers: counted, and picked, without holding the other rows in memory.

Collections of dask and datasets of pyarrow are read one block at a time. Memory maps, arrays and
frames are indexed, which copies no other row.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from skdann._compat import safe_indexing
from skdann._input.containers import is_dataset, shape_of, stack_rows


class Blocks(NamedTuple):
    """Blocks of consecutive rows that are read one at a time.

    Attributes
    ----------
    sizes : sequence of int
        Number of rows of each block.
    read : callable
        Takes the index of a block, and the sorted positions of rows in it; returns these rows.
    """

    sizes: Sequence[int]
    read: Callable[[int, np.ndarray], Any]

    @property
    def n_rows(self) -> int:
        """Number of rows of all blocks."""
        return int(sum(self.sizes))

    def take(self, rows: np.ndarray) -> Any:
        """Return rows by their sorted indices; blocks without any of them are not read."""
        starts = np.cumsum([0, *self.sizes[:-1]])
        by_block = np.split(rows, np.searchsorted(rows, starts[1:]))
        return stack_rows(
            [
                self.read(index, inside - start)
                for index, (inside, start) in enumerate(zip(by_block, starts, strict=True))
                if len(inside)
            ]
        )


def find_blocks(X: Any) -> Blocks | None:
    """Return the blocks of a container; None if its rows cannot be counted.

    Counting reads no rows, except in arrays of dask whose chunks have unknown sizes and in lazy
    frames of dask and polars that are not files with a known length: these are computed once.
    """
    if _is_dask(X, "chunks"):
        return _blocks_of_array(X) if X.ndim else None
    if _is_dask(X, "partitions"):
        sizes = [len(part) for part in X.partitions]  # from metadata, for parquet
        return Blocks(sizes, lambda i, rows: X.partitions[i].compute().iloc[rows])
    if is_dataset(X):
        return Blocks([X.count_rows()], lambda _, rows: _read_batches(X, rows))
    if type(X).__module__.startswith("polars.") and hasattr(X, "collect"):
        return _blocks_of_lazy_frame(X)
    shape = (len(X),) if isinstance(X, list) else shape_of(X)
    if not shape or not isinstance(shape[0], Integral):
        return None
    return Blocks([int(shape[0])], lambda _, rows: _index(X, rows))


def check_memory(X: Any, name: str) -> None:
    """Raise if the rows of a dask array or a dataset of pyarrow take more memory than there is."""
    if is_dataset(X):
        shape = (X.count_rows(), len(X.schema.names))
    elif _is_dask(X, "chunks"):
        shape = X.shape
    else:
        return
    size = 4.0 * np.prod(shape)  # as float32; NaN if it is unknown
    if size > total_memory():
        raise ValueError(
            f"{name} of shape {shape} takes {size / 2**30:,.0f} GiB as float32, but this machine "
            f"has {total_memory() / 2**30:,.0f} GiB of memory; pass a sample of the rows, or call "
            "partial_fit with one chunk at a time."
        )


def total_memory() -> float:
    """Return the bytes of memory of this machine; infinity if the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return float("inf")


def _is_dask(X: Any, attribute: str) -> bool:
    """Whether this is a collection of dask with an attribute that its other collections lack."""
    return type(X).__module__.startswith("dask.") and hasattr(X, attribute)


def _index(X: Any, rows: np.ndarray) -> Any:
    return safe_indexing(X.tocsr() if sp.issparse(X) else X, rows)


def _blocks_of_array(X: Any) -> Blocks:
    """Return the blocks of a dask array, which are its chunks along the rows."""
    if np.isnan(X.chunks[0]).any():
        X = X.copy().compute_chunk_sizes()
    return Blocks(X.chunks[0], lambda i, rows: X.blocks[i][rows].compute())


def _blocks_of_lazy_frame(X: Any) -> Blocks:
    """Return a lazy frame of polars as one block."""
    polars = importlib.import_module("polars")
    n_rows = X.select(polars.len()).collect().item()
    return Blocks([n_rows], lambda _, rows: X.select(polars.all().gather(rows)).collect())


def _read_batches(dataset: Any, rows: np.ndarray) -> Any:
    """Return rows of a dataset of pyarrow as a table, read batch by batch."""
    start, parts = 0, []
    for batch in dataset.to_batches(batch_readahead=1, fragment_readahead=1):
        first, last = np.searchsorted(rows, [start, start + batch.num_rows])
        parts.append(batch.take(rows[first:last] - start))
        start += batch.num_rows
    return importlib.import_module("pyarrow").Table.from_batches(parts, dataset.schema)
