"""Rows of all domains of a fit, read as numbers, with the encoding that this needs.

Numbers without missing values pass unchanged, and cost nothing. Otherwise an encoding is fitted on
all domains together, which needs no label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skdann._input.column_encoders import fit_encoder
from skdann._input.column_values import as_numbers
from skdann._input.columns import (
    PLURAL,
    MixedColumns,
    NumericColumns,
    TableColumns,
    find_kind,
    read_columns,
    read_missing,
)
from skdann._input.containers import column_names
from skdann._input.faults import ENCODED
from skdann._input.rows import check_table, read_rows

NUMERIC = {"number", "boolean", "digits", "empty"}
OTHER_DTYPES = (*ENCODED, "str", "large_string", "utf8", "date", "timestamp", "time", "duration")


def read_tables(
    tables: Mapping[str, Any], columns: TableColumns | None = None, estimator: str | None = None
) -> tuple[TableColumns, list[Any]]:
    """Read the rows of all domains.

    Parameters
    ----------
    tables : dict of str to array-like
        Rows by name of the argument, with the same columns in the same order.
    columns : TableColumns or None, default=None
        Encoding of an earlier fit; None fits one.
    estimator : str or None, default=None
        Name of the estimator in error messages.

    Returns
    -------
    columns : TableColumns
        The encoding.
    values : list of ndarray or CSR of shape (n_rows, n_encoded)
        Finite numbers.

    Raises
    ------
    ValueError, TypeError
        If rows cannot be read; the text names the column and the remedy.
    """
    if columns is None:
        if not any(map(_has_other_kinds, tables.values())):
            try:
                parts = [read_rows(X, name, estimator).values for name, X in tables.items()]
                return NumericColumns.sample(parts), parts
            except (TypeError, ValueError):
                missing = [read_missing(X, name, estimator) for name, X in tables.items()]
                complete = [part for part in missing if part is not None]
                if len(complete) == len(missing):
                    columns = NumericColumns.fit(complete)
                elif not all(map(_is_frame, tables.values())):
                    raise
        columns = _fit(tables, estimator) if columns is None else columns
    return columns, [columns.read(X, name, estimator) for name, X in tables.items()]


def _fit(tables: Mapping[str, Any], estimator: str | None) -> TableColumns:
    """Find the kind of each column over all domains, and fit its encoder."""
    for name, X in tables.items():
        check_table(X, name, estimator)
    by_table = [list(read_columns(X)) for X in tables.values()]
    by_column = list(zip(*by_table, strict=True))
    kinds = [_unify(parts, list(tables)) for parts in by_column]
    if set(kinds) <= NUMERIC:
        return NumericColumns.fit(
            [np.column_stack([as_numbers(values) for _, values, _ in table]) for table in by_table]
        )
    encoders = [
        fit_encoder("number" if kind == "digits" else kind, [values for _, values, _ in parts])
        for kind, parts in zip(kinds, by_column, strict=True)
    ]
    return MixedColumns(encoders, column_names(next(iter(tables.values()))))


def _unify(parts: Sequence[tuple[Any, np.ndarray, bool]], names: Sequence[str]) -> str:
    """Return the kind of a column, given its values in all tables."""
    column = parts[0][0]
    given = {
        name: find_kind(values, is_category, column, name)
        for name, (_, values, is_category) in zip(names, parts, strict=True)
    }
    kinds = {kind for kind in given.values() if kind != "empty"}
    if len(kinds) < 2:
        return kinds.pop() if kinds else "empty"
    if kinds <= {"number", "boolean", "digits"}:
        return "number"
    is_declared = any(is_category for _, _, is_category in parts)
    if kinds <= {"category", "digits"} or (is_declared and kinds <= {"category", "number"}):
        return "category"
    held = ", ".join(f"{PLURAL[kind]} in {n}" for n, kind in given.items() if kind != "empty")
    raise TypeError(
        f"Column {column!r} must hold the same kind of values in all domains, but holds {held}; "
        "convert it to one kind, e.g. with astype(str)."
    )


def _has_other_kinds(X: Any) -> bool:
    """Whether a frame has columns that are not numbers, by their dtypes alone."""
    if column_names(X) is None:
        return False
    dtypes = X.schema.types if hasattr(X, "column_names") else X.dtypes
    return any(str(each).lower().startswith(OTHER_DTYPES) for each in dtypes)


def _is_frame(X: Any) -> bool:
    return column_names(X) is not None
