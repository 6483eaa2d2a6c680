"""Explanations of rows that are not finite real numbers: which column holds what, and a remedy."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from skdann._input.containers import iterate_columns

REMEDIES = {
    "missing": "impute missing values, e.g. with skdann.make_pipeline(SimpleImputer(), ...)",
    "infinite": "replace these values, or drop the rows",
    "date": "encode dates and times, e.g. as days since a day",
    "text": "encode categories and strings, e.g. with skdann.make_pipeline(OneHotEncoder(), ...)",
    "numbers": "convert them, e.g. with np.asarray(X).astype(float)",
    "any": "impute missing values, and encode categories, strings and dates",
}
ENCODED = ("category", "categorical", "enum", "dictionary")


def explain_fault(X: Any, error: Exception) -> str:
    """Say what is not a finite number, in which column, and what to do."""
    reason = str(error).partition("\n")[0]
    if not sp.issparse(X):
        for column, values in iterate_columns(X):
            kind, held = _describe_fault(values)
            if kind:
                dtype = str(dtype_of(X, column)).lower()
                if kind == "text" and dtype.startswith(ENCODED):
                    held = held.replace("strings", "categories")
                return f", but column {column!r} holds {held} ({reason}); {REMEDIES[kind]}"
        if np.asarray(X).dtype.kind in "SU":
            return f", but holds numbers as text ({reason}); {REMEDIES['numbers']}"
    return f", one row per sample ({reason}); {REMEDIES['any']}"


def dtype_of(X: Any, column: Any) -> Any:
    """Dtype of a column as the frame's library names it, or None."""
    try:
        return getattr(X[column], "dtype", None) or X[column].type
    except (AttributeError, IndexError, KeyError, TypeError):
        return None


def _describe_fault(values: np.ndarray) -> tuple[str, str]:
    """Kind of a column's fault, a key of `REMEDIES`, and what it holds; both "" if none."""
    if values.dtype.kind in "mM":
        return "date", f"dates or times of dtype {values.dtype}"
    if values.dtype.kind == "c":
        return "", ""
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError):
        return _describe_objects(values)
    if values.dtype.kind in "SU":
        return "", ""  # numbers as text
    if np.isnan(numbers).any():
        return "missing", f"NaN in {int(np.isnan(numbers).sum())} rows"
    return ("infinite", "infinity") if np.isinf(numbers).any() else ("", "")


def _describe_objects(values: np.ndarray) -> tuple[str, str]:
    """Describe the first value that is not a number."""
    for value in values.tolist():
        try:
            float(value)
        except (TypeError, ValueError):
            kind = type(value).__name__
            if kind in ("NAType", "NoneType", "NaTType"):
                return "missing", f"missing values ({value})"
            if isinstance(value, str):
                return "text", f"strings such as {value!r}"
            is_date = kind in ("Timestamp", "Timedelta", "date", "datetime", "time", "timedelta")
            return ("date" if is_date else "any"), f"values such as {value!r:.60}"
    return "", ""
