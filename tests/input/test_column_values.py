"""Kinds of columns, and their values as numpy reads them."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skdann._input.column_values import UnreadableError, as_days, as_numbers, as_strings, kind_of


def objects(*values: Any) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


UTC = datetime.UTC
NOON = datetime.datetime(1970, 1, 2, 12)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.array([1, 2]), "number"),
        (np.array([1.0, np.nan]), "number"),
        (np.array([np.nan, np.nan]), "empty"),
        (np.array([True, False]), "boolean"),
        (np.array(["2020-01-01", "NaT"], dtype="M8[D]"), "date"),
        (np.array(["NaT"], dtype="M8[D]"), "empty"),
        (np.array([1, 2], dtype="m8[h]"), "duration"),
        (objects(None, float("nan"), pd.NA, pd.NaT, " ", "nan"), "empty"),
        (objects(True, None), "boolean"),
        (objects(datetime.date(2020, 1, 1), None), "date"),
        (objects(pd.Timestamp("2020", tz="UTC")), "date"),
        (objects("2020-01-31", "2020-02-01 10:30", "2020-02-01T10:30:00+02:00"), "date"),
        (objects("2020-13-31"), "category"),
        (objects("31/12/2020"), "category"),
        (objects(datetime.timedelta(1)), "duration"),
        (objects("1.5", "2", None), "digits"),
        (objects(decimal.Decimal("1.5"), 2), "digits"),
        (objects("a", 1, None), "category"),
    ],
)
def test_kinds(values: np.ndarray, kind: str) -> None:
    assert kind_of(values) == kind


def test_declared_categories_may_hold_numbers() -> None:
    assert kind_of(np.array([1.0, 2.0]), is_category=True) == "category"
    assert kind_of(objects("1", "2"), is_category=True) == "category"
    assert kind_of(np.array([np.nan]), is_category=True) == "empty"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (objects({"a": 1}, "b"), r"\{'a': 1\}.*must be a string"),
        (objects([1.0]), r"\[1.0\]"),
        (objects("a", datetime.time(1)), r"datetime\.time"),
        (objects("a", b"b"), "b'b'"),
        (np.array([1j]), "Complex data not supported"),
        (np.array([b"a"]), "not text"),
    ],
)
def test_other_values_are_shown(values: np.ndarray, says: str) -> None:
    with pytest.raises(UnreadableError, match=says):
        kind_of(values)


def test_numbers() -> None:
    assert_array_equal(as_numbers(np.array([True, False])), [1.0, 0.0])
    assert_array_equal(as_numbers(objects("1.5", None, 2, True)), [1.5, np.nan, 2.0, 1.0])
    for bad in (objects("red"), np.array([1], dtype="m8[D]")):
        with pytest.raises((TypeError, ValueError)):
            as_numbers(bad)


@pytest.mark.parametrize(
    "values",
    [
        np.array(["1970-01-02T12", "NaT"], dtype="M8[h]"),
        objects(NOON, None),
        objects(NOON.replace(tzinfo=UTC), pd.NaT),
        objects(pd.Timestamp(NOON), pd.NaT),
        objects(np.datetime64(NOON), None),
        objects("1970-01-02 12:00", ""),
        objects("1970-01-02T14:00+02:00", None),
        objects(datetime.timedelta(1.5), None),
        objects(np.timedelta64(36, "h"), None),
        np.array([36, "NaT"], dtype="m8[h]"),
    ],
    ids=lambda values: str(values[0]),
)
def test_dates_and_durations_are_days(values: np.ndarray) -> None:
    assert_allclose(as_days(values), [1.5, np.nan])


def test_dates_without_a_time() -> None:
    assert_array_equal(as_days(objects(datetime.date(1970, 1, 3), "1969-12-31")), [2.0, -1.0])


def test_strings() -> None:
    assert as_strings(objects("a", None, 1, 1.0, 2.5, False, "")).tolist() == [
        "a", None, "1", "1", "2.5", "False", None,
    ]  # fmt: skip
    assert as_strings(np.array([1.0, np.nan])).tolist() == ["1", None]
