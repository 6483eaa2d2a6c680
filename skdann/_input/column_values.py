"""Values of one column of any table: what kind they are, and how they are read.

A column is of the kind "number", "boolean", "date", "duration" or "category", or "empty" if it has
no value at all. Objects are read by their distinct values, of which there are few in most columns.
"""

from __future__ import annotations

import datetime
import decimal
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from skdann._input.labels import is_missing

DAY = 86_400.0  # seconds
EPOCH = datetime.datetime(1970, 1, 1)
ISO_DATE = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
BOOLEANS = (bool, np.bool_)
NUMBERS = (int, float, decimal.Decimal, np.number)
DATES = (datetime.date, np.datetime64)
DURATIONS = (datetime.timedelta, np.timedelta64)


class UnreadableError(TypeError):
    """A value is neither a number, a category, a string, a boolean nor a date."""


def kind_of(values: np.ndarray, is_category: bool = False) -> str:
    """Return the kind of a column.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        Values as numpy reads them.
    is_category : bool, default=False
        Whether the frame declares them as categories.

    Returns
    -------
    str
        The kind; "digits" for strings and objects that can be read as numbers.

    Raises
    ------
    UnreadableError
        If there is a value of another kind.
    """
    if values.dtype.kind in "iufbMm":
        missing = np.isnan(values) if values.dtype.kind == "f" else _is_nat(values)
        if missing.all():
            return "empty"
        by_dtype = {"b": "boolean", "M": "date", "m": "duration"}
        return "category" if is_category else by_dtype.get(values.dtype.kind, "number")
    if values.dtype.kind not in "OU":
        reason = "Complex data not supported" if values.dtype.kind == "c" else "not text"
        raise UnreadableError(f"values of dtype {values.dtype} ({reason})")
    present = _distinct(values)
    if not present:
        return "empty"
    return "category" if is_category else _kind_of_objects(present)


def as_numbers(values: np.ndarray) -> np.ndarray:
    """Return numbers in float64, NaN where missing; raise for values that are not numbers."""
    if values.dtype.kind in "iufb":
        return values.astype(np.float64)
    if values.dtype.kind not in "OU":
        raise TypeError(f"values of dtype {values.dtype} are not numbers")
    return _map_distinct(values, float)


def as_days(values: np.ndarray) -> np.ndarray:
    """Return dates as days since 1970, and durations as days; NaN where missing.

    Dates with a time zone are taken in UTC.
    """
    if values.dtype.kind in "Mm":
        unit = "datetime64[us]" if values.dtype.kind == "M" else "timedelta64[us]"
        days = values.astype(unit).astype(np.int64) / (1e6 * DAY)
        return np.where(_is_nat(values), np.nan, days)
    return _map_distinct(values, _to_days)


def as_strings(values: np.ndarray) -> np.ndarray:
    """Return categories as strings, None where missing; 1 and 1.0 are the same category."""
    objects = values.astype(object) if values.dtype.kind != "O" else values
    table = {each: None if _is_missing(each) else _to_string(each) for each in _unique(objects)}
    read = np.empty(len(objects), dtype=object)
    read[:] = list(map(table.__getitem__, objects.tolist()))
    return read


def _unique(values: np.ndarray) -> list[Any]:
    try:
        return list(dict.fromkeys(values.tolist()))
    except TypeError as error:
        raise UnreadableError(_explain(values)) from error


def _distinct(values: np.ndarray) -> list[Any]:
    """Return the distinct values that are not missing."""
    return [each for each in _unique(values) if not _is_missing(each)]


def _is_missing(value: Any) -> bool:
    """Whether a value is missing; strings that are blank or "nan" are."""
    if isinstance(value, str):
        return value.strip().lower() in ("", "nan")
    return is_missing(value)


def _kind_of_objects(present: list[Any]) -> str:
    for kind, types in (("boolean", BOOLEANS), ("date", DATES), ("duration", DURATIONS)):
        if all(isinstance(each, types) for each in present):
            return kind
    texts = [each for each in present if isinstance(each, str)]
    if all(map(_is_number, present)):
        return "digits"
    if len(texts) == len(present) and all(ISO_DATE.fullmatch(each) for each in texts):
        return "date" if all(map(_is_date, texts)) else "category"
    for each in present:
        if not isinstance(each, (str, *BOOLEANS, *NUMBERS)):
            raise UnreadableError(_explain(np.array([each, None], dtype=object)))
    return "category"


def _is_number(value: Any) -> bool:
    if not isinstance(value, (str, *BOOLEANS, *NUMBERS)):
        return False
    try:
        float(value)
    except ValueError:
        return False
    return True


def _is_date(text: str) -> bool:
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _map_distinct(values: np.ndarray, read: Callable[[Any], float]) -> np.ndarray:
    """Apply a function to the distinct values, and return one number per row."""
    table = {each: np.nan if _is_missing(each) else read(each) for each in _unique(values)}
    return np.array(list(map(table.__getitem__, values.tolist())), dtype=np.float64)


def _to_days(value: Any) -> float:
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return float(as_days(np.array([value]))[0])
    if isinstance(value, datetime.timedelta):
        return value.total_seconds() / DAY
    if not isinstance(value, datetime.datetime):
        return float((value - EPOCH.date()).days)
    if value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    return (value - EPOCH).total_seconds() / DAY


def _to_string(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return str(value)


def _is_nat(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "Mm":
        return np.isnat(values)
    return np.zeros(len(values), dtype=bool)


def _explain(values: np.ndarray) -> str:
    """Show the first value that can neither be a number nor a category, and why."""
    readable = (str, *BOOLEANS, *NUMBERS, type(None))
    faults = [each for each in values.tolist() if not isinstance(each, readable)]
    try:
        float(faults[0])
        reason = f"of type {type(faults[0]).__name__}"
    except (TypeError, ValueError) as error:
        reason = str(error)
    return f"values such as {faults[0]!r:.60} ({reason})"
