"""Blocks: rows of any container by their indices, without reading the other rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy import sparse

from skdann._input import blocks
from skdann._input.blocks import check_memory, find_blocks
from skdann._input.containers import load
from tests.input.common import arrow, make_clf, pandas, polars

X = np.arange(120.0).reshape(60, 2)
ROWS = np.array([0, 3, 19, 20, 59])
CONTAINERS: dict[str, Callable[[np.ndarray], Any]] = {
    "array": np.asarray,
    "list": np.ndarray.tolist,
    "masked": np.ma.array,
    "tensor": torch.tensor,
    "csr": sparse.csr_array,
    "coo": sparse.coo_matrix,
    "pandas": pandas,
    "polars": polars,
    "polars, lazy": lambda X: polars(X).lazy(),
    "arrow": arrow,
    "dask array": lambda X: da.from_array(X, chunks=(7, 1)),
    "dask array, unknown chunks": lambda X: dd.from_pandas(pandas(X), npartitions=4).values,
    "dask frame": lambda X: dd.from_pandas(pandas(X), npartitions=4),
    "dataset": lambda X: ds.dataset([arrow(X[:9]), arrow(X[9:])]),
}


def dense(rows: Any) -> np.ndarray:
    rows = load(rows)
    if hasattr(rows, "column_names"):
        return np.column_stack([np.asarray(column) for column in rows.columns])
    return np.asarray(rows.toarray() if sparse.issparse(rows) else rows)


@pytest.mark.parametrize("name", CONTAINERS)
def test_rows_of_every_container_are_counted_and_taken(name: str) -> None:
    found = find_blocks(CONTAINERS[name](X))
    assert found is not None
    assert found.n_rows == 60
    assert_array_equal(dense(found.take(ROWS)), X[ROWS])


@pytest.mark.parametrize("value", [None, 3, object(), iter([]), da.from_array(np.array(1.0))])
def test_what_cannot_be_counted_has_no_blocks(value: Any) -> None:
    assert find_blocks(value) is None


def counted_array() -> tuple[Any, list[int]]:
    """Return a dask array of six blocks, and the list of blocks computed so far."""
    computed: list[int] = []

    def compute(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        if block_info:  # not where dask infers the dtype
            computed.append(block_info[0]["chunk-location"][0])
        return block

    return da.from_array(X, chunks=(10, 2)).map_blocks(compute, dtype=X.dtype), computed


def test_only_blocks_with_rows_are_computed_and_each_once() -> None:
    array, computed = counted_array()
    found = find_blocks(array)
    assert found is not None
    assert computed == []
    found.take(np.array([1, 5, 11, 58, 59]))
    assert computed == [0, 1, 5]


def test_partitions_of_a_frame_are_computed_one_at_a_time(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.parquet" for i in range(3)]
    for path, part in zip(paths, np.split(X, 3), strict=True):
        pandas(part).to_parquet(path)
    found = find_blocks(dd.read_parquet(list(map(str, paths))))
    assert found is not None
    assert list(found.sizes) == [20, 20, 20]
    paths[1].unlink()  # has none of the rows
    taken = found.take(np.array([1, 2, 41]))
    assert isinstance(taken, pd.DataFrame)
    assert_array_equal(taken, X[[1, 2, 41]])


def test_a_dataset_of_files_is_read_in_batches_with_the_columns_of_its_folders(
    tmp_path: Path,
) -> None:
    table = arrow(X).append_column("ward", [["east", "west"] * 30])
    pq.write_to_dataset(table, tmp_path, partition_cols=["ward"])
    dataset = ds.dataset(tmp_path, partitioning="hive")
    found = find_blocks(dataset)
    assert found is not None
    taken = found.take(ROWS)
    assert taken.equals(dataset.to_table().take(ROWS))
    assert taken.column_names == ["a", "b", "ward"]


def test_a_memory_map_is_not_copied_as_a_whole(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", X)
    found = find_blocks(np.load(tmp_path / "rows.npy", mmap_mode="r"))
    assert found is not None
    taken = found.take(ROWS)
    assert taken.flags.owndata or taken.base.nbytes == taken.nbytes
    assert_array_equal(taken, X[ROWS])


@pytest.mark.parametrize("make", [CONTAINERS["dask array"], CONTAINERS["dataset"]])
def test_lazy_rows_beyond_memory_are_refused(
    make: Callable[[np.ndarray], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_memory(make(X), "X_source")
    monkeypatch.setattr(blocks, "total_memory", lambda: 4 * X.size)
    check_memory(make(X), "X_source")
    monkeypatch.setattr(blocks, "total_memory", lambda: 4 * X.size - 1)
    with pytest.raises(ValueError, match=r"X_source of shape \(60, 2\).*partial_fit"):
        check_memory(make(X), "X_source")
    check_memory(X, "X_source")  # in memory already
    for rows in ((make(X), X[:, 0] > 9, X), (X, X[:, 0] > 9, make(X))):
        with pytest.raises(ValueError, match=r"X_(source|target) of shape \(60, 2\) takes"):
            make_clf().fit(*rows)


def test_memory_is_unlimited_where_the_system_does_not_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert 1e8 < blocks.total_memory() < float("inf")
    monkeypatch.delattr(blocks.os, "sysconf")
    assert blocks.total_memory() == float("inf")
