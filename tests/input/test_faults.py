"""Faults of rows: the error names column, content and remedy."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from numpy.testing import assert_array_equal
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from tests.input.common import XS, XT, YS, arrow, make_clf, pandas, polars


def column(values: Any) -> Callable[[np.ndarray], Any]:
    """Make a frame whose second column is another."""
    return lambda X: pandas(X).assign(b=values(len(X)) if callable(values) else values)


class Stream(IterableDataset):
    """Rows that arrive one by one, without end."""

    def __iter__(self):
        while True:
            yield torch.ones(2)


class Items(Dataset):
    """A dataset whose items are rows."""

    def __init__(self, X):
        self.X = X

    def __len__(self):
        return len(self.X)

    def __getitem__(self, index):
        return self.X[index]


FAULTS: dict[str, tuple[Callable[[np.ndarray], Any], tuple[str, ...]]] = {
    "strings": (column("red"), ("'b'", "strings such as 'red'", "OneHotEncoder")),
    "categories": (
        column(lambda n: pd.Categorical(["red"] * n)),
        ("'b'", "categories such as 'red'", "OneHotEncoder"),
    ),
    "strings of pandas 3": (column(lambda n: pd.array(["red"] * n, dtype="string")), ("'b'",)),
    "strings, polars": (
        lambda X: polars(X).with_columns(b=pl.lit("red")),
        ("'b'", "strings such as 'red'"),
    ),
    "categories, polars": (
        lambda X: polars(X).with_columns(b=pl.lit("red", pl.Categorical)),
        ("'b'", "categories such as 'red'"),
    ),
    "categories, arrow": (
        lambda X: arrow(X).set_column(1, "b", pa.array(["red"] * len(X)).dictionary_encode()),
        ("'b'", "categories such as 'red'"),
    ),
    "strings, array": (
        lambda X: np.c_[X.astype(object), ["red"] * len(X)][:, 1:],
        ("column 1 ", "strings such as 'red'"),
    ),
    "dates": (column(pd.Timestamp("2020-01-01")), ("'b'", "dates", "as days since")),
    "spans": (column(pd.Timedelta(1)), ("'b'", "dates or times", "as days since")),
    "dates, arrow": (
        column(lambda n: pd.array([pd.Timestamp("2020")] * n, dtype="timestamp[ns][pyarrow]")),
        ("'b'", "dates"),
    ),
    "dates, pyarrow": (
        lambda X: arrow(X).set_column(1, "b", pa.array([0] * len(X), pa.date32())),
        ("'b'", "dates"),
    ),
    "dates, polars": (
        lambda X: polars(X).with_columns(b=pl.lit(pd.Timestamp("2020").to_pydatetime())),
        ("'b'", "dates"),
    ),
    "periods": (column(pd.Period("2020")), ("'b'", "Period")),
    "missing": (lambda X: pandas(X).mask(X > 1), ("NaN in \\d+ rows", "SimpleImputer")),
    "missing, nullable": (
        lambda X: pandas(X).astype("Float64").mask(X > 1),
        ("'a'|'b'", "NaN in \\d+ rows"),
    ),
    "missing, arrow": (
        lambda X: pandas(X).mask(X > 1).astype("double[pyarrow]"),
        ("'a'|'b'", "NaN in \\d+ rows"),
    ),
    "missing, polars": (
        lambda X: polars(X).with_columns(b=pl.lit(None, pl.Float64)),
        ("'b'", "NaN in"),
    ),
    "None": (column(None), ("'b'", "NaN in|missing")),
    "infinite": (lambda X: pandas(X).replace(X[3, 1], np.inf), ("'b'", "infinity")),
    "lists": (lambda X: polars(X).with_columns(b=pl.lit([1.0])), ("'b'",)),
    "complex": (column(1j), ("Complex data not supported",)),
    "repeated names": (
        lambda X: pd.DataFrame(X, columns=["a", "a"]),
        ("several columns named \\['a'\\]", "rename"),
    ),
    "mixed names": (
        lambda X: pd.DataFrame(X, columns=["a", 1]),
        ("mixes int, str|\\['int', 'str'\\]", "astype\\(str\\)"),
    ),
    "tensor of nothing": (lambda X: torch.tensor(X).to("meta"), ("torch tensor", "numpy array")),
    "nested tensor": (
        lambda X: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        ("torch tensor", "dense"),
    ),
    "tensor with gradient": (
        lambda X: torch.full(X.shape, float("inf"), requires_grad=True),
        ("column 0 holds infinity",),
    ),
    "masked tensor": (
        lambda X: torch.masked.as_masked_tensor(torch.tensor(X), torch.tensor(X) < 1),
        ("masked entries",),
    ),
    "matrix": (lambda X: X.view(np.matrix), ("np.matrix", "np.asarray")),
    "mapping": (lambda X: {"a": X[:, 0]}, ("scalar or dict",)),
    "generator": (lambda X: (row for row in X), ("scalar or generator",)),
    "vector": (lambda X: X[:, 0], ("2D array, got 1D", "Reshape your data")),
    "numbers as text": (
        lambda X: X.astype(str),
        ("holds numbers as text", "astype\\(float\\)"),
    ),
    "numbers as text, list": (lambda X: X.astype(str).tolist(), ("astype\\(float\\)",)),
    "numbers as text, bytes": (lambda X: X.astype("S"), ("astype\\(float\\)",)),
    "numbers as text, missing": (
        lambda X: np.where(X > 1, "nan", X.astype(str)),
        ("holds numbers as text",),
    ),
    "words in a table of text": (
        lambda X: np.c_[X.astype(str), ["red"] * len(X)][:, 1:],
        ("column 1 holds strings such as 'red'", "OneHotEncoder"),
    ),
    "dataset of torch": (
        lambda X: TensorDataset(torch.tensor(X), torch.arange(len(X))),
        ("torch dataset or loader \\(TensorDataset\\)", "array or tensor", "dataset.tensors"),
    ),
    "part of a dataset": (
        lambda X: Subset(TensorDataset(torch.tensor(X)), range(len(X))),
        ("torch dataset or loader \\(Subset\\)",),
    ),
    "loader of torch": (
        lambda X: DataLoader(TensorDataset(torch.tensor(X))),
        ("torch dataset or loader \\(DataLoader\\)", "array or tensor"),
    ),
    "stream of torch": (lambda X: Stream(), ("torch dataset or loader \\(Stream\\)",)),
    "cube": (lambda X: X[:, :, None], ("2D array, got 3D",)),
}

# a fit encodes or imputes these; they are faults in rows to predict, if the fit got numbers
ENCODED = {
    name
    for name in FAULTS
    if name.split(",")[0] in ("strings", "strings of pandas 3", "categories", "dates", "spans")
} - {"strings, array"}
IMPUTED = {name for name in FAULTS if name.split(",")[0] in ("missing", "None")}


# matrices, nested and masked tensors warn when they are made
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.filterwarnings("ignore:The PyTorch API of (nested|MaskedTensors)")
@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", [name for name in FAULTS if name not in ENCODED | IMPUTED])
def test_a_fault_is_named_in_fit(name: str) -> None:
    make, says = FAULTS[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        make_clf().fit(make(XS), YS, make(XT))
    text = str(caught.value)
    assert "X_source" in text
    for pattern in says:
        assert re.search(pattern, text), f"{pattern!r} not in: {text}"


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.filterwarnings("ignore:The PyTorch API of (nested|MaskedTensors)")
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
@pytest.mark.parametrize("name", [name for name in FAULTS if name not in IMPUTED])
def test_a_fault_is_named_in_predict(name: str, dense: Any) -> None:
    make, says = FAULTS[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        dense.predict(make(XT))
    for pattern in says:
        assert re.search(pattern, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("make", [Stream, lambda: DataLoader(TensorDataset(torch.tensor(XT)))])
def test_a_loader_is_named_as_any_argument(make: Any) -> None:
    for args, name in (
        ((XS, YS, make()), "X_target"),
        ((XS, YS, (XT, make())), r"X_target\[1\]"),
        ((make(), None, XT), "X_source"),
        ((make(),), "fit cannot be called so: an argument"),
    ):
        with pytest.raises(TypeError, match=rf"{name} is a torch dataset or loader .* vector"):
            make_clf().fit(*args)


def test_a_dataset_of_rows_is_read_like_a_list_of_rows(dense: Any) -> None:
    clf = make_clf().fit(Items(XS), YS, Items(XT))
    assert_array_equal(clf.predict_proba(Items(XT)), dense.predict_proba(XT))


@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
@pytest.mark.parametrize("name", sorted(ENCODED | IMPUTED))
def test_other_kinds_of_columns_are_encoded_in_fit(name: str, dense: Any) -> None:
    make = FAULTS[name][0]
    clf = make_clf().fit(make(XS), YS, make(XT))
    assert np.isfinite(clf.predict_proba(make(XT))).all()
    if name in IMPUTED:
        assert np.isfinite(dense.predict_proba(make(XT))).all()
