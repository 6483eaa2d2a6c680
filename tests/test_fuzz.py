"""Fuzzing: whatever goes into `fit`, a sound classifier comes out or an error that names why.

A short run is part of the tests; ``SKDANN_FUZZ=5000`` in the environment asks for that many random
examples instead.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import pickle
import random
import re
import signal
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import sklearn
import torch
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st
from sklearn.exceptions import DataConversionWarning, FitFailedWarning
from torch import nn

from skdann import DANNClassifier, DANNClassifierCV, DomainColumnWarning
from skdann._input.domains import SourceOnlyWarning
from skdann._saving.values import encode_values
from skdann._training.objective import ADVERSARIES
from skdann.model_selection import InformationMaximizationScorer

LONG = int(os.environ.get("SKDANN_FUZZ", "0"))
FOLDER = tempfile.TemporaryDirectory()
MODEL, CHECKPOINT = (os.path.join(FOLDER.name, name) for name in ("model", "checkpoint"))
SECONDS = 60  # of computing; a fit here takes milliseconds
ARGUMENTS = ("X_source", "y_source", "X_target", "y_target", "sample_weight", "sample_domain")
PARAMETERS = tuple(DANNClassifier().get_params())
OF_SEARCH = ("lambdas", "n_seeds", "margin", "aggregate", "scoring", "n_jobs")
NAMES = re.compile(rf"(?<![\w.])({'|'.join((*ARGUMENTS, *PARAMETERS, *OF_SEARCH))})(?!\w)")
SCALE = "scale"  # numbers so large that training may diverge
WRONG_PLACES = (*ARGUMENTS, "early_stopping", *PARAMETERS)


@dataclass
class Case:
    """One call to fit, and what in it may rightly be refused."""

    args: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    search: dict[str, Any] | None = None  # parameters of a DANNClassifierCV around it
    classes: Any = None  # of partial_fit, which is then called rather than fit
    suspects: set[str] = field(default_factory=set)
    to_predict: list[Any] = field(default_factory=list)
    labels_are_column: bool = False
    setting: str = "none"  # of the caller, which changes nothing

    def __repr__(self) -> str:
        lines = [f"suspects: {sorted(self.suspects)}", f"setting: {self.setting}"]
        more = {"search": self.search, "classes": self.classes}
        for name, value in {**self.args, **self.params, **more}.items():
            lines.append(f"{name} = {_describe(value)}")
        return "\n".join(lines)


def _describe(value: Any) -> str:
    if isinstance(value, tuple) and value and not isinstance(value[0], int):
        return "(" + ", ".join(map(_describe, value)) + ",)"
    kind = f"{type(value).__module__}.{type(value).__name__}"
    if kind.startswith("pyarrow"):
        return f"{kind}({value.to_pydict()!r:.300})"
    for compute in ("compute", "collect"):
        value = getattr(value, compute)() if hasattr(value, compute) else value
    if sp.issparse(value):
        return f"{kind}({value.dtype}, {value.toarray().tolist()!r:.300})"
    if isinstance(value, np.ndarray):
        return f"{kind}({value.dtype}, {value.shape}, {value.tolist()!r:.300})"
    if hasattr(value, "dtypes") and hasattr(value, "columns"):
        return f"{kind}({[str(t) for t in value.dtypes]}, {value.to_numpy().tolist()!r:.300})"
    return f"{value!r:.300}"


# -- rows -----------------------------------------------------------------------------------------

VALUES = (
    ("normal",) * 6
    + ("constant", "duplicates", "zeros", "shifted", "whole", "tiny", "denormal", "one_constant")
    + ("1e30", "one_1e30", "3e38", "1e6")
)
DTYPES = ("float64",) * 5 + (
    "float32",
    "float32",
    "float16",
    "longdouble",
    "int64",
    "int8",
    "uint8",
    "uint64",
    "bool",
    "object",
    ">f8",
)
CONTAINERS = (
    "C", "C", "C", "F", "strided", "reversed", "read_only", "list", "list_of_tuples", "pandas",
    "pandas_nullable", "pandas_mixed", "polars", "csr", "csr", "csc",
    "coo", "csr_unsorted", "csr_int64", "csr_explicit_zeros", "csr_array", "memoryview",
    "lil", "dok", "bsr", "dia", "tensor", "tensor_with_gradient", "tensor_csr", "masked",
    "subclass",
    "pandas_arrow", "pandas_sparse", "pandas_part_sparse", "pandas_objects", "pandas_numbered",
    "pandas_pairs", "polars_lazy", "arrow", "arrow_batch", "dask",
)  # fmt: skip
SPARSE = ("csr", "csc", "coo", "lil", "dok", "bsr", "dia", "tensor_csr")
PLAIN = (np.longdouble, ">f8", np.float16, np.uint64, object)  # what only numpy holds
WRONG_ROWS = (
    "nan", "inf", "-inf", "none", "strings", "one_string", "complex", "1d", "3d", "no_rows",
    "no_columns", "ragged", "scalar", "none_at_all", "dates", "string_object", "dict",
    "number_names",
    "mixed_names", "matrix", "too_large", "one_row", "pandas_na", "polars_null", "polars_strings",
    "nan_sparse", "generator", "set", "repeated_names",
    "masked", "masked_list", "category", "category_polars", "strings_arrow", "dates_polars",
    "dates_arrow", "tensor_nan", "tensor_meta", "tensor_complex", "nan_arrow", "sparse_nan_frame",
)  # fmt: skip


def _values(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    rows = rng.normal(size=shape)
    if kind == "constant":
        rows[:] = rng.choice([0.0, 1.0, -7.5])
    elif kind == "one_constant":
        rows[:, :1] = 3.0
    elif kind == "duplicates":
        rows[:] = rows[:1]
    elif kind == "zeros":
        rows *= rng.random(shape) < 0.2
    elif kind == "shifted":
        rows += 100.0
    elif kind == "whole":
        rows = rng.integers(-3, 4, shape).astype(float)
    elif kind in ("1e30", "3e38", "1e6"):
        rows = np.clip(rows, -1, 1) * float(kind)
    elif kind == "one_1e30":
        rows[:1, :1] = 1e30
    elif kind == "tiny":
        rows *= 1e-30
    elif kind == "denormal":
        rows *= rng.choice([5e-324, 1e-310, 1e-40])
    return rows


def _contain(rows: np.ndarray, kind: str, rng: np.random.Generator) -> Any:
    names = [f"c{i}" for i in range(rows.shape[1])]
    if kind.startswith(SPARSE) and rows.dtype in (np.float16, object, ">f8"):
        rows = rows.astype(np.float64)
    if kind.startswith(("pandas", "polars")) and rows.dtype in (np.longdouble, ">f8", np.float16):
        rows = rows.astype(np.float64)
    if kind.startswith(("tensor", "arrow", "pandas_", "polars_lazy")) and rows.dtype in PLAIN:
        rows = rows.astype(np.float64)
    if kind.startswith("tensor") or kind in ("masked", "subclass", "dask"):
        return _contain_array(rows, kind)
    if kind.startswith(("arrow", "polars_lazy", "pandas_")) and kind in CONTAINED_FRAMES:
        return CONTAINED_FRAMES[kind](rows, names)
    if kind == "F":
        return np.asfortranarray(rows)
    if kind == "strided":
        wide = np.zeros((2 * rows.shape[0], 3 * rows.shape[1]), dtype=rows.dtype)
        wide[::2, ::3] = rows
        return wide[::2, ::3]
    if kind == "reversed":
        return np.ascontiguousarray(rows[::-1, ::-1])[::-1, ::-1]
    if kind == "read_only":
        rows.flags.writeable = False
    if kind == "list":
        return rows.tolist()
    if kind == "list_of_tuples":
        return [tuple(row) for row in rows.tolist()]
    if kind == "memoryview" and rows.dtype.kind == "f" and rows.dtype == np.float64:
        return memoryview(rows)
    if kind == "pandas":
        return pd.DataFrame(rows, columns=names, index=rng.permutation(len(rows)) * 3)
    if kind == "pandas_nullable":
        with np.errstate(invalid="ignore"):  # the lowest pandas casts huge values to try them
            return pd.DataFrame(rows, columns=names).convert_dtypes()
    if kind == "pandas_mixed":
        frame = pd.DataFrame(rows, columns=names)
        if rows.dtype == np.float64:
            frame[names[0]] = frame[names[0]].astype(np.float32)
        return frame.assign(flag=rng.random(len(rows)) < 0.5)
    if kind == "polars":
        return pl.DataFrame({n: rows[:, i].tolist() for i, n in enumerate(names)})
    if kind == "csr_array":
        return sp.csr_array(rows)
    if kind in ("csc", "coo", "lil", "dok", "bsr", "dia"):
        with warnings.catch_warnings(action="ignore"):  # many diagonals are inefficient
            return getattr(sp, f"{kind}_matrix")(rows)
    if kind.startswith("csr"):
        matrix = sp.csr_matrix(rows)
        if kind == "csr_int64":
            matrix.indices, matrix.indptr = (
                matrix.indices.astype(np.int64),
                matrix.indptr.astype(np.int64),
            )
        elif kind == "csr_explicit_zeros" and matrix.nnz:
            matrix.data[:1] = 0
        elif kind == "csr_unsorted":
            n_rows, n_columns = rows.shape
            indices = np.tile(np.arange(n_columns)[::-1], n_rows)
            matrix = sp.csr_matrix(
                (rows[:, ::-1].ravel().copy(), indices, np.arange(n_rows + 1) * n_columns),
                shape=rows.shape,
            )
        return matrix
    return rows


def _contain_array(rows: np.ndarray, kind: str) -> Any:
    """Rows as a tensor, or as an array of a class beside numpy's."""
    if kind == "masked":
        return np.ma.array(rows, mask=np.zeros(rows.shape, bool))
    if kind == "subclass":
        return rows.view(Subclass)
    if kind == "dask":
        return da.from_array(rows, chunks=(7, rows.shape[1]))
    tensor = torch.tensor(rows)
    if kind == "tensor_csr":
        return tensor.to_sparse()
    has_gradient = kind == "tensor_with_gradient" and tensor.is_floating_point()
    return tensor.requires_grad_(has_gradient)


class Subclass(np.ndarray):
    """An array of a class of the user's."""


def _pandas(rows: np.ndarray, names: Any) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=names)


def _sparse_column(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{frame.columns[0]: pd.arrays.SparseArray(frame[frame.columns[0]])})


CONTAINED_FRAMES: dict[str, Any] = {
    "pandas_arrow": lambda rows, names: _pandas(rows, names).astype(
        "float64[pyarrow]" if rows.dtype.kind == "f" else "int64[pyarrow]"
    ),
    "pandas_sparse": lambda rows, names: _pandas(rows, names).astype(
        pd.SparseDtype(rows.dtype, rows.dtype.type(0))
    ),
    "pandas_part_sparse": lambda rows, names: _sparse_column(_pandas(rows, names)),
    "pandas_objects": lambda rows, names: _pandas(rows, names).astype(object),
    "pandas_numbered": lambda rows, names: pd.DataFrame(rows),
    "pandas_pairs": lambda rows, names: _pandas(
        rows, pd.MultiIndex.from_tuples([("a", name) for name in names])
    ),
    "polars_lazy": lambda rows, names: pl.DataFrame(rows, schema=names).lazy(),
    "arrow": lambda rows, names: pa.table(dict(zip(names, rows.T.copy(), strict=True))),
    "arrow_batch": lambda rows, names: pa.record_batch(
        dict(zip(names, rows.T.copy(), strict=True))
    ),
}


def _wrong_rows(kind: str, rows: np.ndarray) -> Any:
    rows = rows.astype(np.float64)
    if kind in ("nan", "inf", "-inf"):
        rows[-1:, -1:] = float(kind)
        return rows
    if kind == "too_large":
        rows[-1:, -1:] = 1e200
        return rows
    if kind == "nan_sparse":
        rows[-1:, -1:] = np.nan
        return sp.csr_matrix(rows)
    if kind == "one_row":
        return rows[:1]
    if kind in ("none", "one_string", "string_object"):
        mixed = rows.astype(object)
        mixed[-1:, -1:] = {"none": None, "one_string": "red", "string_object": "red"}[kind]
        return mixed.tolist() if kind == "one_string" else mixed
    names = [f"c{i}" for i in range(rows.shape[1])]
    mixed_names = [*names[:-1], 7] if len(names) > 1 else ["a"]
    make = {
        "strings": lambda: rows.astype(str),
        "complex": lambda: rows + 1j,
        "1d": lambda: rows[:, 0],
        "3d": lambda: rows[:, :, None],
        "no_rows": lambda: rows[:0],
        "no_columns": lambda: rows[:, :0],
        "ragged": lambda: [[1.0, 2.0]] + [[1.0]] * (len(rows) - 1),
        "scalar": lambda: 3.0,
        "none_at_all": lambda: None,
        "dates": lambda: np.clip(np.nan_to_num(rows), -1e9, 1e9).astype("int64").astype("M8[s]"),
        "dict": lambda: {"a": [1, 2]},
        "number_names": lambda: pd.DataFrame(rows),
        "mixed_names": lambda: pd.DataFrame(rows, columns=mixed_names),
        "repeated_names": lambda: pd.DataFrame(rows, columns=["a"] * rows.shape[1]),
        "matrix": lambda: rows.view(np.matrix),
        "pandas_na": lambda: (
            pd.DataFrame(rows, columns=names).convert_dtypes().mask(rows > 0, pd.NA)
        ),
        "polars_null": lambda: pl.DataFrame({n: [None] * len(rows) for n in names}),
        "polars_strings": lambda: pl.DataFrame({n: ["a"] * len(rows) for n in names}),
        "generator": lambda: (row for row in rows),
        "set": lambda: {1, 2},
        "masked": lambda: np.ma.array(rows, mask=rows == rows[-1:, -1:]),
        "masked_list": lambda: [*rows[:-1], np.ma.array(rows[-1], mask=rows[-1] == rows[-1])],
        "category": lambda: _pandas(rows, names).assign(c0=pd.Categorical(["a"] * len(rows))),
        "category_polars": lambda: pl.DataFrame(rows, schema=names).with_columns(
            c0=pl.lit("a", pl.Categorical)
        ),
        "strings_arrow": lambda: pa.table({n: ["a"] * len(rows) for n in names}),
        "dates_polars": lambda: pl.DataFrame(rows, schema=names).with_columns(
            c0=pl.lit(0).cast(pl.Date)
        ),
        "dates_arrow": lambda: pa.table({n: pa.array([0] * len(rows), pa.date32()) for n in names}),
        "tensor_nan": lambda: torch.full(rows.shape, float("nan")),
        "tensor_meta": lambda: torch.empty(rows.shape, device="meta"),
        "tensor_complex": lambda: torch.ones(rows.shape, dtype=torch.complex64),
        "nan_arrow": lambda: pa.table({n: [None] * len(rows) for n in names}),
        "sparse_nan_frame": lambda: pd.DataFrame(
            {n: pd.arrays.SparseArray(np.full(len(rows), np.nan)) for n in names}
        ),
    }
    return make[kind]()


def _numbers(rows: Any) -> np.ndarray:
    """What the rows hold, as float64."""
    rows = rows.compute() if hasattr(rows, "compute") else rows
    rows = rows.collect() if hasattr(rows, "collect") else rows
    if isinstance(rows, torch.Tensor):
        rows = rows.detach().to_dense().numpy()
    if isinstance(rows, pa.Table | pa.RecordBatch):
        rows = rows.to_pandas()
    if sp.issparse(rows):
        rows = rows.toarray()
    elif hasattr(rows, "columns"):
        rows = rows.to_numpy()
    return np.asarray(rows).astype(np.float64)


def _cast(rows: np.ndarray, dtype: str) -> np.ndarray:
    if np.dtype(dtype).kind == "u":
        rows = np.abs(rows)
    if np.dtype(dtype).kind in "iu":
        limits = np.iinfo(dtype)
        rows = np.clip(rows, limits.min / 2, limits.max / 2)
    with np.errstate(all="ignore"):
        return rows.astype(dtype)


# -- labels, domains, weights ---------------------------------------------------------------------

LABELS = (
    "int", "int", "negative", "uint8", "str", "str_list", "digits", "bool", "float", "object_str",
    "object_int", "list", "series", "series_str", "categorical", "nullable", "polars", "polars_str",
    "polars_enum", "column", "float32", "huge", "strided", "unicode", "object_bool",
)  # fmt: skip
REFUSED_LABELS = ("object_int", "object_bool")  # as scikit-learn's metrics refuse them
WRONG_LABELS = (
    "short", "long", "2d", "continuous", "nan", "none_in", "mixed", "none", "one_class", "na",
    "scalar", "empty", "sparse", "dict", "3d", "inf", "dates", "complex", "nullable_na", "frame",
    "tuples", "polars_null",
)  # fmt: skip
DOMAINS = (None,) * 6 + (
    "zeros", "two", "three", "gaps", "targets", "two_targets", "one_row_each", "float",
    "list", "series", "polars", "uint8", "large", "single_target_row",
)  # fmt: skip
WRONG_DOMAINS = (
    "bool", "short", "2d", "halves", "nan", "strings", "all_targets", "scalar", "empty", "1e300",
    "uint64",
    "inf", "object", "none_in", "dict", "dates", "complex",
)  # fmt: skip
WEIGHTS = (None,) * 6 + (
    "ones", "ints", "random", "some_zero", "tiny", "huge", "wide", "scalar", "bool", "list",
    "series", "polars", "one_row_only", "float16",
)  # fmt: skip
WRONG_WEIGHTS = (
    "short", "2d", "negative", "nan", "inf", "zeros", "strings", "empty", "dict", "complex",
    "none_in", "negative_zero_sum",
)  # fmt: skip


def _labels(kind: str, index: np.ndarray) -> Any:
    words = np.array(["red", "green", "blue", "", "ß", "a b", "nan", "7"])[index % 8]
    make = {
        "int": lambda: index,
        "negative": lambda: -5 * index,
        "uint8": lambda: index.astype(np.uint8),
        "str": lambda: words,
        "unicode": lambda: np.array(["é" * 40, "日本", "x"])[index % 3],
        "str_list": words.tolist,
        "digits": lambda: index.astype(str),
        "bool": lambda: index % 2 == 0,
        "float": lambda: index.astype(float),
        "float32": lambda: index.astype(np.float32),
        "object_str": lambda: words.astype(object),
        "object_int": lambda: index.astype(object),
        "object_bool": lambda: (index % 2 == 0).astype(object),
        "list": index.tolist,
        "series": lambda: pd.Series(index, index=index * 0),
        "series_str": lambda: pd.Series(words),
        "categorical": lambda: pd.Series(pd.Categorical(words)),
        "nullable": lambda: pd.Series(index, dtype="Int64"),
        "polars": lambda: pl.Series(index.tolist()),
        "polars_str": lambda: pl.Series(words.tolist()),
        "polars_enum": lambda: pl.Series(words.tolist(), dtype=pl.Categorical),
        "column": lambda: index[:, None],
        "huge": lambda: index.astype(np.int64) + 2**62,
        "strided": lambda: np.repeat(index, 2)[::2],
    }
    return make[kind]()


def _wrong_labels(kind: str, index: np.ndarray) -> Any:
    floats, objects = index.astype(float), index.astype(object)
    if len(index):
        objects[-1] = {"none_in": None, "mixed": "red", "na": pd.NA}.get(kind, 0)
        floats[-1] = {"nan": np.nan, "inf": np.inf}.get(kind, 0.5)
    make = {
        "short": lambda: index[:-1],
        "long": lambda: np.append(index, 0),
        "2d": lambda: np.column_stack([index, index]),
        "3d": lambda: index[:, None, None],
        "continuous": lambda: floats,
        "nan": lambda: floats,
        "inf": lambda: floats,
        "none_in": lambda: objects,
        "mixed": lambda: objects,
        "na": lambda: objects,
        "none": lambda: None,
        "one_class": lambda: index * 0,
        "scalar": lambda: 1,
        "empty": lambda: [],
        "sparse": lambda: sp.csr_matrix(index[:, None]),
        "dict": lambda: {0: 1},
        "dates": lambda: index.astype("M8[D]"),
        "complex": lambda: index + 1j,
        "nullable_na": lambda: pd.Series(index, dtype="Int64").replace(0, pd.NA),
        "frame": lambda: pd.DataFrame({"a": index, "b": index}),
        "tuples": lambda: [(int(i), 1) for i in index],
        "polars_null": lambda: pl.Series([None, *index[1:].tolist()]),
    }
    return make[kind]()


def _domains(kind: str, n_rows: int, rng: np.random.Generator) -> Any:
    two = np.arange(n_rows) % 2
    make = {
        "zeros": lambda: np.zeros(n_rows, int),
        "two": lambda: two,
        "three": lambda: rng.integers(0, 3, n_rows),
        "gaps": lambda: two * 1000 + 7,
        "targets": lambda: rng.integers(-1, 2, n_rows),
        "two_targets": lambda: rng.choice([0, 0, -1, -2], n_rows),
        "one_row_each": lambda: np.arange(n_rows),
        "float": lambda: two.astype(float),
        "bool": lambda: two.astype(bool),
        "list": two.tolist,
        "series": lambda: pd.Series(two, index=two),
        "polars": lambda: pl.Series(two.tolist()),
        "uint8": lambda: two.astype(np.uint8),
        "large": lambda: two * 2**62,
        "single_target_row": lambda: np.where(np.arange(n_rows) == n_rows - 1, -1, 0),
        "short": lambda: two[:-1],
        "2d": lambda: two[:, None],
        "halves": lambda: two + 0.5,
        "nan": lambda: np.where(two > 0, np.nan, 0.0),
        "inf": lambda: np.where(two > 0, np.inf, 0.0),
        "strings": lambda: two.astype(str),
        "all_targets": lambda: np.full(n_rows, -1),
        "scalar": lambda: 0,
        "empty": lambda: [],
        "1e300": lambda: two * 1e300,
        "uint64": lambda: two.astype(np.uint64) + np.uint64(2**63 + 5),
        "object": lambda: two.astype(object),
        "none_in": lambda: [None, *two[1:].tolist()],
        "dict": lambda: {0: 1},
        "dates": lambda: two.astype("M8[D]"),
        "complex": lambda: two + 1j,
    }
    return make[kind]()


def _weights(kind: str, n_rows: int, rng: np.random.Generator) -> Any:
    weight = rng.random(n_rows) + 0.1
    make = {
        "ones": lambda: np.ones(n_rows),
        "ints": lambda: rng.integers(1, 5, n_rows),
        "random": lambda: weight,
        "some_zero": lambda: weight * (rng.random(n_rows) < 0.7),
        "tiny": lambda: weight * 1e-300,
        "huge": lambda: weight * 1e308,
        "wide": lambda: 10.0 ** rng.integers(-30, 30, n_rows),
        "scalar": lambda: 2.0,
        "bool": lambda: rng.random(n_rows) < 0.8,
        "list": weight.tolist,
        "series": lambda: pd.Series(weight, index=np.arange(n_rows) * 0),
        "polars": lambda: pl.Series(weight.tolist()),
        "one_row_only": lambda: np.arange(n_rows) == 0,
        "float16": lambda: weight.astype(np.float16),
        "short": lambda: weight[:-1],
        "2d": lambda: weight[:, None],
        "negative": lambda: weight - 5,
        "nan": lambda: np.where(np.arange(n_rows) == 0, np.nan, weight),
        "inf": lambda: np.where(np.arange(n_rows) == 0, np.inf, weight),
        "zeros": lambda: np.zeros(n_rows),
        "strings": lambda: np.full(n_rows, "a"),
        "empty": lambda: [],
        "dict": lambda: {0: 1.0},
        "complex": lambda: weight + 1j,
        "none_in": lambda: [None, *weight[1:].tolist()],
        "negative_zero_sum": lambda: np.where(np.arange(n_rows) % 2, 1.0, -1.0),
    }
    return make[kind]()


TARGET_LABELS = ("objects", "series", "masked", "unknown", "all")
WRONG_TARGET_LABELS = ("short", "new_class", "3d", "two_parts")


def _target_labels(kind: str, classes: np.ndarray, n_rows: int, rng: np.random.Generator) -> Any:
    """Labels of some rows of one target; of all for the kind "all"."""
    label = np.empty(n_rows, dtype=object)
    label[:] = [classes.tolist()[i] for i in rng.integers(0, len(classes), n_rows)]
    is_known = rng.random(n_rows) < (1.0 if kind == "all" else 0.5)
    some = np.where(is_known, label, None)
    make = {
        "objects": lambda: some,
        "series": lambda: pd.Series(some, index=np.zeros(n_rows)),
        "masked": lambda: np.ma.masked_array(
            classes[rng.integers(0, len(classes), n_rows)], ~is_known
        ),
        "unknown": lambda: np.full(n_rows, np.nan),
        "all": lambda: np.array(label.tolist()),
        "short": lambda: some[:-1],
        "new_class": lambda: np.array([object(), *some[1:]], dtype=object),
        "3d": lambda: some[:, None, None],
        "two_parts": lambda: (some,) * 4,
    }
    return make[kind]()


# -- parameters -----------------------------------------------------------------------------------


def _score(estimator: Any, X: Any, y: Any) -> float:
    return float((estimator.predict(X) == y).mean())


def _linear(n_in: int, n_out: int = 3) -> nn.Module:
    return nn.Linear(n_in, n_out)


def _drawing(n_in: int, n_out: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(n_in, 4), nn.ReLU(), nn.Dropout(0.3), nn.Linear(4, n_out))


def _normed(n_in: int, n_out: int = 2) -> nn.Module:
    return nn.Sequential(nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out))


class _NaNs(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * float("nan")


class _Failing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no such thing")


_Factories = (_linear, _drawing, _normed)
_SIZES = ((), (4,), (3,), (5, 4), [4], (1,), (np.int64(3),))
RIGHT_PARAMS: dict[str, tuple[Any, ...]] = {
    "feature_extractor": (*_SIZES, _linear, _drawing, _normed, nn.Identity, nn.Identity()),
    "label_predictor": ((), (), (), (3,), [4], _linear, nn.Linear, _drawing),
    "domain_classifier": ((4,), (4,), (), (1,), (3, 2), _linear, _drawing),
    "activation": ("elu", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "tanh"),
    "dropout": (0.0, 0.2, 0, 0.999, np.float32(0.1)),
    "normalization": (None, "batch", "layer", "domain_batch"),
    "standardize": (None, "source", "domain"),
    "lambda_max": (0.0, 0.3, 1, 10.0, 1e-30, np.float32(0.5)),
    "lambda_schedule": ("dann", "linear", "constant", lambda p: p * p, lambda p: 0),
    "domain_loss_weight": (1.0, 0.0, 3, 1e-30),
    "label_smoothing": (0.0, 0.1, 0.999, 0),
    "domain_label_smoothing": (0.0, 0.1, 0.999),
    "conditioning": (None, None, "cdan"),
    "adversarial": ("grl", "grl", *sorted(ADVERSARIES)),
    "pseudo_labels": (None, None, "train", "balance"),
    "domain_steps": (1, 2, 3, np.int32(2)),
    "class_weight": (None, None, "balanced"),
    "label_shift": (None, None, "correct", "reweight"),
    "target_priors": (None,),
    "optimizer": (
        "adam", "adam", "adamw", "rmsprop", "sgd", torch.optim.Adagrad, torch.optim.Adam,
        functools.partial(torch.optim.SGD, nesterov=True, momentum=0.5),
    ),
    "lr": (1e-3, 1e-2, 1e-30, np.float32(0.01)),
    "lr_schedule": ("constant", "dann", "cosine", lambda p: 1 - p, lambda p: 0.0),
    "weight_decay": (0.0, 0.01, 0),
    "batch_size": (64, 16, 7, 3, 2, 1, 10**9, np.int64(8)),
    "max_epochs": (1, 2, np.int64(1)),
    "early_stopping": (False, False, True, np.bool_(False)),
    "validation_fraction": (0.1, 0.3, 0.5, 1e-9),
    "patience": (1, 10),
    "warm_start": (False, False, True),
    "checkpoint": (None, None, None, CHECKPOINT, Path(CHECKPOINT)),
    "callbacks": (None, None, [], ()),
    "device": ("cpu",),
    "distributed": (False,),
    "random_state": (0, None, 2**32 - 1, "RandomState", np.int64(3)),
    "verbose": (0, 0, 0, 1, 2, True),
}  # fmt: skip
WRONG_PARAMS: dict[str, tuple[Any, ...]] = {
    "feature_extractor": (
        (0,), (-1,), (2.5,), ("a",), None, 5, "mlp", (True,), lambda n: None, nn.Linear(99, 2),
        _Failing(), _NaNs(), nn.Linear, int, ((3,),), nn.Flatten(0),
    ),
    "label_predictor": (
        (0,), None, nn.Linear(99, 2), lambda: nn.Identity(), _Failing, dict, nn.ReLU,
    ),
    "domain_classifier": ((0,), None, "x", nn.Linear(99, 2), _Failing, _NaNs, len),
    "activation": ("no", None, nn.ReLU, 3),
    "dropout": (1.0, -0.1, np.nan, "a", None, 2),
    "normalization": ("group", False, 1),
    "standardize": ("pca", 0, True),
    "lambda_max": (-1, np.nan, np.inf, "a", None, 1e300, 1e38),
    "lambda_schedule": ("no", None, lambda p: 2.0, lambda p: np.nan, lambda: 1, lambda p: "a",
                        lambda p: None, lambda p: 1 / 0),
    "domain_loss_weight": (-1, np.nan, np.inf, 1e300, "a", 1e38),
    "label_smoothing": (1.0, -0.1, np.nan, "a"),
    "domain_label_smoothing": (1.0, -0.1, np.nan, None),
    "conditioning": ("dan", True, 0),
    "adversarial": ("gan", None),
    "pseudo_labels": ("self", True, 0),
    "domain_steps": (0, -1, 1.5, None, np.nan),
    "class_weight": ({"zzz": 1.0}, {0: -1.0}, {0: np.nan}, "even", [1, 2], {0: "a"}, {0: 1e300},
                     {0: 0.0, 1: 0.0}, {}, {0: None}, {0: np.inf}, {0: 5.0}),
    "label_shift": ("both", True, 0),
    "target_priors": ({}, {0: 1.0}, [0.5, 0.5], "bbse", {0: 0.4, 1: 0.4, "zzz": 0.2}),
    "optimizer": ("no", None, torch.optim.SparseAdam, torch.optim.LBFGS, dict, len, nn.ReLU, int,
                  functools.partial(torch.optim.SGD, nothing=1), lambda p, lr: None),
    "lr": (0.0, -1, np.nan, np.inf, "a", None, 1e30, 1e300),
    "lr_schedule": ("step", None, lambda p: -1.0, lambda p: 1 + p, lambda a, b: 1, lambda p: []),
    "weight_decay": (-1, np.nan, np.inf, "a", 1e30, 1e300),
    "batch_size": (0, -5, 2.0, None, "a", np.inf),
    "max_epochs": (0, -1, 1.5, None, "all"),
    "early_stopping": ("yes", None, 2),
    "validation_fraction": (0.0, 1.0, -1, np.nan, 1, None, 0.999999),
    "patience": (0, -1, 1.5, None),
    "warm_start": ("yes", None, 2),
    "checkpoint": (3, b"name", ["a"], True),
    "callbacks": ("print", [1], [None], 5, [len], [("a", 1)], {"a": 1}),
    "distributed": ("yes", None, 2, True, np.bool_(True)),  # there is no group of processes
    "device": ("gpu", "cuda", "meta", "", None, "cuda:99", "mps", 3, "xla"),
    "random_state": (-1, "a", 1.5, 2**32, 2**64, np.nan, np.random.default_rng(0)),
    "verbose": ("a", -1, None, 1.5),
}  # fmt: skip


SEARCH_PARAMS: dict[str, tuple[Any, ...]] = {
    "lambdas": ((0.3,), (), [0.1, 0.0], (1.0, 0.1), np.array([1.0]), (1e-30,)),
    "standardize": ((None,), (None, "domain"), ["source"], ("domain", None, None)),
    "n_seeds": (1, 1, 2, np.int64(1)),
    "margin": (0.0, 1, 1e30, None),
    "aggregate": ("best", "passing"),
    "scoring": (None, None, None, _score, InformationMaximizationScorer()),
    "n_jobs": (None, 1),
}
WRONG_SEARCH: dict[str, tuple[Any, ...]] = {
    "lambdas": ((-1,), ("a",), None, 3, (np.nan,), (np.inf,), (1e30,), [[1.0]], {"a": 1}),
    "standardize": ((), "domain", ("pca",), None, (1,), ([],)),
    "n_seeds": (0, -1, 1.5, None, "a"),
    "margin": (-1, np.nan, "a"),
    "aggregate": ("all", None, 1),
    "scoring": ("accuracy", 3, lambda estimator, X, y: "a", lambda estimator, X, y: np.nan),
    "n_jobs": (0, 1.5, "all", np.nan),
}


# -- the caller's settings ------------------------------------------------------------------------


@contextlib.contextmanager
def _default(setter: Any, value: Any, default: Any) -> Iterator[None]:
    setter(value)
    try:
        yield
    finally:
        setter(default)


SETTINGS: dict[str, Any] = {
    "float64": lambda: _default(torch.set_default_dtype, torch.float64, torch.float32),
    "meta": lambda: _default(torch.set_default_device, "meta", None),
    "inference": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "deterministic": lambda: _default(torch.use_deterministic_algorithms, True, False),
    "raise": lambda: np.errstate(all="raise"),
    "assume_finite": lambda: sklearn.config_context(assume_finite=True),
    "pandas": lambda: sklearn.config_context(transform_output="pandas"),
    "routing": lambda: sklearn.config_context(enable_metadata_routing=True),
}


# -- the strategy ---------------------------------------------------------------------------------


@st.composite
def cases(draw: st.DrawFn, call: str = "fit") -> Case:
    """Draw one call to fit or to another; `suspects` are the arguments that may be refused."""

    def one_of(options: Any) -> Any:
        return draw(st.sampled_from(options))

    case = Case()
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_wrong = one_of((0, 0, 1, 1, 2) if call == "fit" else (0, 0, 0, 1))
    wrong = {one_of(WRONG_PLACES) for _ in range(n_wrong)}
    n_rows = one_of((2, 3, 4, 5, 8, 12, 20, 20, 30, 30, 30, 65))
    is_lopsided = one_of((False,) * 15 + (True,))
    if is_lopsided:
        n_rows = 1001
    n_columns = one_of((1, 1, 2, 3, 3, 5, 8))
    n_classes = one_of((2, 2, 2, 3, 5, 8))

    # rows of both domains
    container = one_of(CONTAINERS)
    if n_columns == 1 and container in ("csr_explicit_zeros",):
        container = "csr"
    dtype = one_of(DTYPES)
    is_tiny: list[bool] = []

    def rows(name: str, n: int, width: int, which: str) -> Any:
        made = _cast(
            _values(one_of(VALUES), (n, width), rng), one_of((dtype, dtype, one_of(DTYPES)))
        )
        if name in wrong:
            case.suspects.add(name)
            return _wrong_rows(one_of(WRONG_ROWS), made)
        contained = _contain(made, which, rng)
        with np.errstate(all="ignore"):
            numbers = _numbers(contained)
            if not np.isfinite(numbers.astype(np.float32)).all():
                case.suspects |= {"X_source", "X_target"} if name == "X_target" else {name}
            largest = np.abs(numbers).max(initial=0)
            if not np.isfinite(numbers).all() or largest > 1e4:
                case.suspects.add(SCALE)
            is_tiny.append(0 < largest < 1e-20)
        case.to_predict.append(contained)
        return contained

    case.args["X_source"] = X_source = rows("X_source", n_rows, n_columns, container)
    sizes = [n_rows]
    how = one_of(("none", "one", "one", "one", "one", "tuple", "tuple", "same", "copy"))
    if how == "same":
        case.args["X_target"] = X_source
    elif how == "copy":
        case.args["X_target"] = (
            pickle.loads(pickle.dumps(X_source)) if _can_pickle(X_source) else None
        )
    elif how != "none" or "X_target" in wrong:
        count = one_of((1, 2, 3)) if how == "tuple" else 1
        sizes = [one_of((2, 2, 3, 5, 10, 25, 25, n_rows, n_rows, 1)) for _ in range(count)]
        if min(sizes) < 2:
            case.suspects.add("X_target")
        width, which = n_columns, container
        if "X_target" in wrong:
            width += one_of((0, 0, 1))
            which = one_of((container, container, *CONTAINERS))
        made = tuple(rows("X_target", n, width, which) for n in sizes)
        if "X_target" in wrong and how == "tuple" and one_of((False, True)):
            made = one_of(((), list(made), (None,), ("a", "b"), (1,)))
        case.args["X_target"] = made if how == "tuple" else made[0]
    if {"X_source", "X_target"} & wrong:  # of another kind or shape, so both may be to blame
        case.suspects |= {"X_source", "X_target"}

    # labels, domains, weights
    index = (
        np.where(np.arange(n_rows) == 0, 1, 0)
        if is_lopsided
        else rng.integers(0, n_classes, n_rows)
    )
    index[:2] = (0, 1)
    if one_of((False,) * 5 + (True,)) and n_rows > 2:  # every class but one has one row
        index = np.minimum(np.arange(n_rows), n_classes - 1)
    if "y_source" in wrong:
        case.suspects.add("y_source")
        case.args["y_source"] = _wrong_labels(one_of(WRONG_LABELS), index)
    else:
        kind = one_of(LABELS)
        case.labels_are_column = kind == "column"
        if kind in REFUSED_LABELS:
            case.suspects.add("y_source")
        case.args["y_source"] = _labels(kind, index)
        index = pd.factorize(np.asarray(case.args["y_source"]).ravel())[0]
    is_kept = np.ones(n_rows, bool)
    for name, right, bad, make in (
        ("sample_domain", DOMAINS, WRONG_DOMAINS, _domains),
        ("sample_weight", WEIGHTS, WRONG_WEIGHTS, _weights),
    ):
        if name in wrong:
            case.suspects.add(name)
            case.args[name] = make(one_of(bad), n_rows, rng)
        else:
            kind = one_of(right)
            case.args[name] = None if kind is None else make(kind, n_rows, rng)
            if kind == "wide":
                case.suspects |= {SCALE}
            if kind is not None and kind != "scalar":
                numbers = np.asarray(case.args[name]).astype(float)
                is_kept &= numbers >= 0 if name == "sample_domain" else numbers > 0
                if (
                    name == "sample_domain"
                    and 1 in np.unique(numbers[numbers < 0], return_counts=True)[1]
                ):
                    case.suspects.add("sample_domain")
    if not is_kept.any():
        case.suspects |= {"sample_domain", "sample_weight"}
    if len(np.unique(index[is_kept])) < 2:
        case.suspects |= {"y_source"}

    # labels of some target rows
    target = case.args.get("X_target")
    has_target = target is not None and not {"X_source", "y_source", "X_target"} & wrong
    is_labelled = "y_target" in wrong or one_of((False, False, True))
    if has_target and is_labelled and call != "partial_fit" and is_kept.any():
        kind = one_of(WRONG_TARGET_LABELS if "y_target" in wrong else TARGET_LABELS)
        classes = np.unique(np.asarray(case.args["y_source"]).ravel()[is_kept])
        made = [_target_labels(kind, classes, n, rng) for n in sizes]
        case.args["y_target"] = tuple(made) if isinstance(target, tuple) else made[0]
        if kind in WRONG_TARGET_LABELS:
            case.suspects.add("y_target")

    # parameters
    for name in PARAMETERS:
        if name in wrong:
            case.suspects.add(name)
            case.params[name] = one_of(WRONG_PARAMS[name])
        else:
            case.params[name] = one_of(RIGHT_PARAMS[name])
    params = case.params
    may_weigh = not {"class_weight", "y_source"} & wrong and params["class_weight"] is None
    if may_weigh and one_of((False,) * 3 + (True,)):
        kept = np.asarray(case.args["y_source"]).ravel()[is_kept]
        params["class_weight"] = dict.fromkeys(np.unique(kept)[:1].tolist(), 2)
    if params["pseudo_labels"] == "balance" and not {"class_weight", "label_shift"} & wrong:
        params |= {"class_weight": None, "label_shift": None}  # classes have equal shares already
    elif params["pseudo_labels"] == "balance":
        case.suspects |= {"pseudo_labels", "class_weight", "label_shift"}
    if params["random_state"] == "RandomState":
        params["random_state"] = np.random.RandomState(1)
    if n_rows > 100 and params["batch_size"] in (1, 2, 3):
        params["batch_size"] = 64
    if params["early_stopping"] and (is_kept.sum() < 4 or not is_kept.any()):
        case.suspects |= {"early_stopping"}
    if any(is_tiny):  # standardize may blow up the rows of the other domain
        case.suspects.add(SCALE)
    if params["checkpoint"] is not None and params["random_state"] is None:
        case.suspects |= {"checkpoint", "random_state"}
    case.setting = one_of(("none", *SETTINGS))
    if call == "partial_fit":
        labels = [0, 1] if "y_source" in wrong else np.asarray(case.args["y_source"]).ravel()
        case.classes = np.unique(labels)
    if call == "search":
        case.search = {name: one_of(values) for name, values in SEARCH_PARAMS.items()}
        if one_of((False, False, True)):
            name = one_of(tuple(WRONG_SEARCH))
            case.search[name] = one_of(WRONG_SEARCH[name])
            case.suspects.add(name)
        if is_kept.sum() < 10:  # a fold may lack a class
            case.suspects |= {"X_source", "y_source", "early_stopping"}
    return case


def _can_pickle(value: Any) -> bool:
    try:
        pickle.loads(pickle.dumps(value))  # numpy cannot load every masked array
    except (TypeError, AttributeError, pickle.PicklingError):
        return False
    return True


# -- the property ---------------------------------------------------------------------------------


def _digest(value: Any) -> Any:
    """Tell whether a value has changed, contents and layout alike."""
    if isinstance(value, np.ma.MaskedArray):
        return _digest(value.data), _digest(np.ma.getmaskarray(value))
    if isinstance(value, np.ndarray):
        content = pickle.dumps(value.tolist()) if value.dtype == object else value.tobytes("A")
        layout = (value.dtype.str, value.shape, value.strides, value.flags.writeable)
        return hashlib.sha256(content).hexdigest(), layout
    if sp.issparse(value):
        return (
            value.format,
            value.shape,
            *(
                _digest(getattr(value, name))
                for name in ("data", "indices", "indptr", "row", "col")
                if hasattr(value, name)
            ),
        )
    if isinstance(value, pd.DataFrame | pd.Series):
        frame = value.to_frame() if isinstance(value, pd.Series) else value
        columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
        return repr([(c.name, c.dtype, c.index.tolist(), c.tolist()) for c in columns])
    if isinstance(value, pl.DataFrame | pl.Series):
        return str(value.to_frame() if isinstance(value, pl.Series) else value.schema), repr(
            value.to_numpy().tolist()
        )
    if isinstance(value, memoryview):
        return value.tobytes(), value.shape
    if isinstance(value, tuple | list):
        return type(value), [_digest(item) for item in value]
    if isinstance(value, nn.Module):
        return (
            repr(value),
            value.training,
            [
                (name, _digest(tensor.detach().numpy()))
                for name, tensor in value.state_dict().items()
            ],
        )
    return repr(value)


@contextlib.contextmanager
def _ends_in_time(clock: int, signal_number: int, seconds: float) -> Iterator[None]:
    """Fail if the block takes longer by a clock of the system."""

    def too_long(*_: Any) -> None:
        pytest.fail(f"hangs: more than {seconds} s")

    earlier = signal.signal(signal_number, too_long)
    signal.setitimer(clock, seconds)
    try:
        yield
    finally:
        signal.setitimer(clock, 0)
        signal.signal(signal_number, earlier)


@contextlib.contextmanager
def _leaves_no_trace(case: Case) -> Iterator[list[warnings.WarningMessage]]:
    """Record warnings; assert that inputs and global random states are left alone."""

    def state() -> dict[str, Any]:
        inputs = {name: _digest(value) for name, value in {**case.args, **case.params}.items()}
        del inputs["random_state"]  # a RandomState is drawn from
        return {
            **inputs,
            "numpy's random state": _digest(np.random.get_state()),
            "torch's random state": _digest(torch.get_rng_state().numpy()),
            "python's random state": random.getstate(),
            "torch's threads": torch.get_num_threads(),
            "torch's default dtype": torch.get_default_dtype(),
        }

    before = state()
    sink = io.StringIO()
    with (
        _ends_in_time(signal.ITIMER_PROF, signal.SIGPROF, SECONDS),
        _ends_in_time(signal.ITIMER_REAL, signal.SIGALRM, 10 * SECONDS),  # waits, or gets no CPU
        warnings.catch_warnings(record=True) as caught,
        contextlib.redirect_stdout(sink),
        contextlib.redirect_stderr(sink),
    ):
        warnings.simplefilter("always")
        yield caught
    after = state()
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, f"fit changed {changed}"


def _check_warnings(caught: list[warnings.WarningMessage], case: Case, n_fits: int) -> None:
    counts: dict[str, int] = {}
    for warning in caught:
        text, kind = str(warning.message), warning.category
        is_known = (
            kind in (SourceOnlyWarning, FitFailedWarning, DomainColumnWarning)
            or (kind is UserWarning and text.startswith("X_source looks standardized"))
            or (kind is UserWarning and "are on very different scales" in text)
            or (kind is UserWarning and text.startswith("X looks like rows of the source"))
            or (kind is UserWarning and text.startswith("X_source contains the rows of X_target"))
            or (kind is UserWarning and "of the estimator is not used" in text)
            or (kind is UserWarning and "is used only with" in text)
            or (kind is UserWarning and "the labels were not learned" in text)
            or (kind is UserWarning and "which y_source lacks" in text)
            or (kind is DataConversionWarning and case.labels_are_column)
        )
        assert is_known, f"warns {kind.__name__}: {text} ({warning.filename}:{warning.lineno})"
        if not text.startswith("X looks like"):  # which every prediction says
            counts[text] = counts.get(text, 0) + 1
    assert max(counts.values(), default=0) <= n_fits, f"warns again and again: {counts}"


def _check_refusal(error: Exception, case: Case) -> None:
    """The error is a ValueError or TypeError, and its text names what is at fault."""
    text = str(error)
    event(f"refused: {type(error).__name__}: {re.sub(r'[0-9.]+', '#', text)[:60]}")
    if not isinstance(error, ValueError | TypeError):
        raise AssertionError(f"fit raised {type(error).__name__}: {text}") from error
    named = set(NAMES.findall(text))
    if not named:
        raise AssertionError(f"names no argument: {type(error).__name__}: {text}") from error
    if "Expected more than 1 value per channel" in text and "feature_extractor" in named:
        return  # batch normalisation of the user's own cannot train on a batch of one row
    if not case.suspects:
        raise AssertionError(f"sound input refused: {type(error).__name__}: {text}") from error
    blames_scale = "diverged" in text or "so far from those of the fit" in text
    if not (named & case.suspects or (SCALE in case.suspects and blames_scale)):
        reason = f"blames {sorted(named)}, not {sorted(case.suspects)}: {text}"
        raise AssertionError(reason) from error


def check(case: Case) -> None:
    """Hold the promise of this module for one call."""
    clf = _estimator(case)
    before = set(vars(clf))
    refusal: Exception | None = None
    n_fits = 2 if case.params["warm_start"] is True or case.classes is not None else 1
    for left in os.listdir(FOLDER.name):
        os.remove(os.path.join(FOLDER.name, left))
    setting = SETTINGS.get(case.setting, contextlib.nullcontext)
    with setting(), _leaves_no_trace(case) as caught:
        try:
            for _ in range(n_fits if case.search is None else 1):
                if case.classes is None:
                    clf.fit(**case.args)
                else:
                    clf.partial_fit(**case.args, classes=case.classes)
                before |= set(vars(clf))
            answers = [_answers(clf, X) for X in case.to_predict]
        except Exception as error:
            refusal = error
    _check_warnings(caught, case, n_fits)
    if refusal is not None:
        _check_refusal(refusal, case)
        left = set(vars(clf)) - before
        assert not left, f"a failed fit left {sorted(left)}"
        return
    event("fitted")
    assert os.listdir(FOLDER.name) == [], "the checkpoint of an ended fit is still there"
    for probability, label, features, domain in answers:
        assert np.isfinite(probability).all(), "probabilities are not finite"
        np.testing.assert_allclose(probability.sum(axis=1), 1.0, atol=1e-6)
        assert probability.shape[1] == len(clf.classes_)
        assert np.isin(label, clf.classes_).all()
        assert features is None or np.isfinite(np.asarray(features)).all(), (
            "features are not finite"
        )
        assert domain is None or np.isfinite(domain).all(), "domain probabilities are not finite"
    if case.setting != "none" and case.to_predict:
        with warnings.catch_warnings(action="ignore"):
            proba = clf.predict_proba(case.to_predict[0])
        np.testing.assert_array_equal(proba, answers[0][0], "the setting has changed it")
    if case.to_predict:
        with warnings.catch_warnings(action="ignore"):
            proba = _round_trip(clf, case).predict_proba(case.to_predict[0])
        np.testing.assert_array_equal(proba, answers[0][0], "saving has changed it")


def _estimator(case: Case) -> Any:
    if case.search is None:
        return DANNClassifier(**case.params)
    random_state = case.params["random_state"]
    own = DANNClassifier(**{**case.params, "random_state": 0})
    return DANNClassifierCV(own, **case.search, random_state=random_state)


def _answers(clf: Any, X: Any) -> tuple[Any, ...]:
    if isinstance(clf, DANNClassifierCV):
        return clf.predict_proba(X), clf.predict(X), None, None
    domain = clf.predict_domain_proba(X) if clf.module_.domain_classifier is not None else None
    return clf.predict_proba(X), clf.predict(X), clf.transform(X), domain


def _round_trip(clf: Any, case: Case) -> Any:
    """Save and load, giving what JSON cannot hold."""
    clf.save(MODEL)
    given = {name: case.params[name] for name in encode_values(case.params)[1]}
    given.pop("checkpoint", None)
    if case.search is not None:
        given.pop("random_state", None)
        given = {f"estimator__{name}": value for name, value in given.items()}
        own = {**case.search, "random_state": case.params["random_state"]}
        given |= {name: own[name] for name in encode_values(own)[1]}
    with warnings.catch_warnings(action="error"):
        return type(clf).load(MODEL, **given)


def fuzz(max_examples: int) -> Any:
    """Settings of hypothesis: few examples, always the same ones, or many."""
    return settings(
        max_examples=max_examples,
        deadline=None,
        derandomize=not LONG,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


@fuzz(LONG or 100)
@given(case=cases())
@pytest.mark.slow
def test_fit_gives_sound_probabilities_or_names_the_fault(case: Case) -> None:
    note(repr(case))
    check(case)


@fuzz(LONG // 5 or 40)
@given(case=cases("partial_fit"))
@pytest.mark.slow
def test_partial_fit(case: Case) -> None:
    note(repr(case))
    check(case)


@fuzz(LONG // 5 or 25)
@given(case=cases("search"))
@pytest.mark.slow
def test_search(case: Case) -> None:
    note(repr(case))
    check(case)


NAMINGS: tuple[Any, ...] = (
    [f"c{i}" for i in range(4)],
    list(range(4)),
    [3, 1, 0, 2],
    [0.5, 1, 2, -1],
    [("a", i) for i in range(4)],
    pd.date_range("2020-01-01", periods=4).tolist(),
)


def _frame(rows: np.ndarray, names: list[Any], library: str) -> Any:
    frame = pd.DataFrame(rows)
    frame.columns = names  # pairs too
    if library == "pandas" or not isinstance(names[0], str):
        return frame
    return pa.Table.from_pandas(frame) if library == "arrow" else pl.from_pandas(frame)


@fuzz(LONG // 5 or 15)
@given(
    names=st.sampled_from(NAMINGS),
    libraries=st.tuples(*[st.sampled_from(("pandas", "polars", "arrow"))] * 3),
    order=st.permutations(range(4)),
    seed=st.integers(0, 99),
)
def test_columns_are_matched_by_name_or_refused(
    names: list[Any], libraries: tuple[str, ...], order: list[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    X, X_target, y = rng.normal(size=(20, 4)), rng.normal(size=(9, 4)) + 1, np.arange(20) % 2

    def fit(target: Any) -> DANNClassifier:
        clf = DANNClassifier(feature_extractor=(3,), max_epochs=1, random_state=0)
        return clf.fit(_frame(X, names, libraries[0]), y, target)

    turned = _frame(X_target[:, order], [names[i] for i in order], libraries[1])
    clf = fit(turned)
    right = fit(_frame(X_target, names, libraries[1])).predict_proba(
        _frame(X_target, names, libraries[2])
    )
    np.testing.assert_array_equal(clf.predict_proba(_frame(X_target, names, libraries[0])), right)
    if order == [0, 1, 2, 3]:
        np.testing.assert_array_equal(clf.predict_proba(turned), right)
    else:
        with pytest.raises(ValueError, match="feature names should match"):
            clf.predict_proba(turned)
