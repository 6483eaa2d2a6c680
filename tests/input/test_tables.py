"""Rows of all domains: the kind of a column is one over all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skdann._input.columns import MixedColumns, NumericColumns
from skdann._input.tables import read_tables


def read(source: Any, target: Any) -> Any:
    return read_tables(
        {"X_source": pd.DataFrame({"z": source}), "X_target": pd.DataFrame({"z": target})}
    )


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [
        ([1, 2], ["3", "4"], "number"),
        ([True, False], [0, 1], "number"),
        (["1", "2"], ["3", "x"], "category"),
        (pd.Categorical([1, 2]), [1, 2], "category"),
        ([None, None], ["x", "y"], "category"),
        (["2020-01-01", None], pd.to_datetime(["2021-01-01", "2022-01-01"]), "date"),
        ([None, None], pd.to_datetime(["2021-01-01", "2022-01-01"]), "date"),
    ],
)
def test_kinds_are_unified(source: Any, target: Any, kind: str) -> None:
    columns, parts = read(source, target)
    assert columns.table(["z"])[0].kind == kind
    assert all(np.isfinite(part).all() for part in parts)


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        ([1, 2], ["3", "x"], "numbers in X_source, categories or strings in X_target"),
        ([1, 2], pd.to_datetime(["2021-01-01"] * 2), "numbers in X_source, dates in X_target"),
        (["a", "b"], [[1], [2]], r"X_target must hold .*'z' holds values such as \[1\]"),
    ],
)
def test_different_kinds_are_refused(source: Any, target: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        read(source, target)


def test_medians_of_complete_numbers_are_known_for_later_rows() -> None:
    X = np.random.default_rng(0).normal(size=(51, 2))
    columns, (read_X,) = read_tables({"X_source": X})
    assert isinstance(columns, NumericColumns)
    assert read_X is not None
    assert_array_equal(columns.fill, np.median(X, axis=0))
    later = np.where(X > 1, np.nan, X)
    assert_array_equal(columns.read(later, "X"), np.where(X > 1, columns.fill, X))


def test_an_encoding_is_used_again() -> None:
    columns, _ = read(["a", "b"], ["a", "c"])
    assert isinstance(columns, MixedColumns)
    again, (rows,) = read_tables({"X": pd.DataFrame({"z": ["c"]})}, columns)
    assert again is columns
    assert_array_equal(rows, [[0, 0, 1]])
    with pytest.raises(ValueError, match="has 2 features"):
        read_tables({"X": np.array([["a", "b"]], dtype=object)}, columns, "DANNClassifier")
