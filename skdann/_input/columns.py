"""Columns of any table, encoded as numbers.

:func:`read_tables` reads the rows of all domains of a fit. Numbers without missing values pass
unchanged, and cost nothing. Otherwise it fits an encoding on all domains together, which needs no
label: :class:`NumericColumns` impute missing numbers, :class:`MixedColumns` encode categories,
strings, booleans and dates as well. The encoding is part of the fitted estimator, and reads rows to
predict. It holds plain values only, so that files store it without pickle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp

from skdann._input.column_encoders import Encoder, describe_encoder, fit_encoder, read_encoder
from skdann._input.column_values import UnreadableError, as_numbers, kind_of
from skdann._input.containers import column_names, iterate_columns, load, order_columns, unwrap
from skdann._input.encoded import is_encoded, mark_encoded
from skdann._input.faults import ENCODED, REMEDIES, dtype_of
from skdann._input.rows import check_float32, check_table, read_rows

MOST_VALUES = 100_000  # of a sample from which medians of complete numbers are taken
NUMERIC = {"number", "boolean", "digits", "empty"}
OTHER_DTYPES = (*ENCODED, "str", "large_string", "utf8", "date", "timestamp", "time", "duration")

PLURAL = {
    "number": "numbers",
    "digits": "numbers",
    "boolean": "booleans",
    "date": "dates",
    "duration": "durations",
    "category": "categories or strings",
}


class Column(NamedTuple):
    """Encoding of one column.

    Attributes
    ----------
    name : str
        Name, or x0, x1, ... for arrays.
    kind : str
        "number", "boolean", "duration", "date", "category", "text" or "empty".
    treatment : str
        What is done to it.
    n_encoded : int
        Number of columns that the networks get.
    """

    name: str
    kind: str
    treatment: str
    n_encoded: int


class ColumnTable(list[Column]):
    """List of :class:`Column` that prints as a table; ``pandas.DataFrame`` takes it."""

    def __repr__(self) -> str:
        head = ("column", "kind", "encoded columns", "treatment")
        rows = [head, *((c.name, c.kind, str(c.n_encoded), c.treatment) for c in self)]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = ("  ".join(f"{t:{w}}" for t, w in zip(r, [*widths, 0], strict=True)) for r in rows)
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        head, body = Column._fields, [[str(value) for value in row] for row in self]
        cells = ["".join(f"<td>{escape(text)}</td>" for text in row) for row in body]
        title = "".join(f"<th>{name}</th>" for name in head)
        return f"<table><tr>{title}</tr>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


class TableColumns(Protocol):
    """Protocol of an encoding of all columns.

    Attributes
    ----------
    n_raw, n_encoded : int
        Number of columns of the table, and of encoded columns.
    fill : ndarray of shape (n_encoded,) or None
        Values that replace missing numbers of a table of numbers.
    """

    n_raw: int
    n_encoded: int
    fill: np.ndarray | None

    def read(self, X: Any, name: str, estimator: str | None = None) -> Any:
        """Encode rows of any container."""

    def names(self, raw: Sequence[Any] | None) -> list[tuple[int, str]]:
        """Return the index of the raw column, and a name, of each encoded column."""

    def table(self, raw: Sequence[Any] | None) -> list[Column]:
        """Describe the encoding, column by column."""

    def describe(self) -> dict[str, Any]:
        """Return the encoding as plain values."""


class NumericColumns:
    """Numbers, of which missing ones become the median."""

    def __init__(self, fill: np.ndarray | None, n_raw: int) -> None:
        self.fill, self.n_raw, self.n_encoded = fill, n_raw, n_raw

    @classmethod
    def fit(cls, parts: Sequence[np.ndarray]) -> NumericColumns:
        """Take the medians of all rows; 0 for a column without a number."""
        values = np.concatenate(parts)
        if np.isnan(values).all():
            raise ValueError("X_source has no value in any column; pass rows with values.")
        fill = [
            np.median(column[~np.isnan(column)]) if n else 0.0
            for column, n in zip(values.T, (~np.isnan(values)).sum(0), strict=True)
        ]
        return cls(np.nan_to_num(np.array(fill, dtype=np.float64)), values.shape[1])

    @classmethod
    def sample(cls, parts: Sequence[Any]) -> NumericColumns:
        """Take the medians of a sample of complete rows, for missing numbers in later rows."""
        n_columns = parts[0].shape[1]
        if any(sp.issparse(part) for part in parts):
            return cls(None, n_columns)
        step = -(-sum(part.size for part in parts) // MOST_VALUES) or 1
        with np.errstate(all="ignore"):
            rows = np.concatenate([part[::step].astype(np.float64) for part in parts])
            return cls(np.nan_to_num(np.median(rows, axis=0)), n_columns)

    def read(self, X: Any, name: str, estimator: str | None = None) -> Any:
        """Read numbers; impute the missing ones."""
        try:
            return read_rows(X, name, estimator).values
        except (TypeError, ValueError):
            values = None if self.fill is None else read_missing(X, name, estimator)
            if values is None or values.shape[1] != self.n_raw:
                raise
        return np.where(np.isnan(values), self.fill, values)

    def names(self, raw: Sequence[Any] | None) -> list[tuple[int, str]]:
        """Return each column and its name."""
        return [(i, f"x{i}" if raw is None else str(raw[i])) for i in range(self.n_raw)]

    def table(self, raw: Sequence[Any] | None) -> list[Column]:
        """Describe the imputation."""
        missing = ["" if self.fill is None else f"; missing: {each:.4g}" for each in self._fills()]
        pairs = zip(self.names(raw), missing, strict=True)
        return [Column(name, "number", f"number{text}", 1) for (_, name), text in pairs]

    def describe(self) -> dict[str, Any]:
        """Return the medians."""
        return {"fill": None if self.fill is None else self.fill.tolist(), "n_raw": self.n_raw}

    def _fills(self) -> Any:
        return [0.0] * self.n_raw if self.fill is None else self.fill


class MixedColumns:
    """Columns of several kinds, each with an encoder."""

    fill = None

    def __init__(self, encoders: Sequence[Encoder], raw: list[Any] | None = None) -> None:
        self.encoders, self.raw = tuple(encoders), raw
        self.n_raw = len(self.encoders)
        self.n_encoded = sum(each.n_encoded for each in self.encoders)

    def read(self, X: Any, name: str, estimator: str | None = None) -> Any:
        """Encode rows; those that are encoded already are returned as they are."""
        if is_encoded(X) and X.shape[1] == self.n_encoded:
            return X
        X = load(X)
        n_rows = check_table(X, name, estimator)[0]
        columns = list(read_columns(self._order(X, name)))
        if len(columns) != self.n_raw:
            raise ValueError(
                f"{name} has {len(columns)} features, but {estimator or 'the encoding'} is "
                f"expecting {self.n_raw} features as input."
            )
        encoded = np.empty((n_rows, self.n_encoded), dtype=np.float32)
        start = 0
        for (column, values, is_category), encoder in zip(columns, self.encoders, strict=True):
            check_kind(encoder.kind, column, values, is_category, name)
            block = encoder.encode(values)
            if np.isinf(block).any():
                raise ValueError(
                    f"{name} must hold finite real numbers, but column {column!r} holds infinity; "
                    f"{REMEDIES['infinite']}."
                )
            with np.errstate(all="ignore"):
                encoded[:, start : start + encoder.n_encoded] = block
            start += encoder.n_encoded
        check_float32(encoded, name)
        return mark_encoded(encoded, self)

    def _order(self, X: Any, name: str) -> Any:
        """Order the columns of a frame as in the fit; raise if others are missing."""
        names = column_names(X)
        if names is None or self.raw is None or names == self.raw:
            return X
        if set(names) != set(self.raw):
            absent = [each for each in self.raw if each not in names]
            raise ValueError(
                f"{name} must have the feature names of the fit, but lacks {absent[:10]}; pass "
                "the same columns."
            )
        return order_columns(X, self.raw)

    def names(self, raw: Sequence[Any] | None) -> list[tuple[int, str]]:
        """Return the index of the raw column, and a name, of each encoded column."""
        return [
            (index, name)
            for index, encoder in enumerate(self.encoders)
            for name in encoder.names(f"x{index}" if raw is None else str(raw[index]))
        ]

    def table(self, raw: Sequence[Any] | None) -> list[Column]:
        """Describe the encoders."""
        names = [f"x{i}" if raw is None else str(raw[i]) for i in range(self.n_raw)]
        pairs = zip(names, self.encoders, strict=True)
        return [Column(name, each.kind, each.treatment, each.n_encoded) for name, each in pairs]

    def describe(self) -> dict[str, Any]:
        """Return the encoders as plain values."""
        return {"encoders": [describe_encoder(each) for each in self.encoders]}


def read_description(
    entry: Mapping[str, Any], n_raw: int, raw: list[Any] | None = None
) -> TableColumns:
    """Return the encoding of plain values; raise ValueError if they do not fit the table."""
    if "encoders" in entry:
        mixed = MixedColumns([read_encoder(each) for each in entry["encoders"]], raw)
        if mixed.n_raw != n_raw or mixed.n_encoded < 1:
            raise ValueError(f"{mixed.n_raw} columns are described, not {n_raw}")
        return mixed
    fill = None if entry["fill"] is None else np.array(entry["fill"], dtype=np.float64)
    is_valid = fill is None or (fill.shape == (n_raw,) and bool(np.isfinite(fill).all()))
    if not is_valid or entry["n_raw"] != n_raw:
        raise ValueError(f"the medians do not describe {n_raw} columns")
    return NumericColumns(fill, n_raw)


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


def read_columns(X: Any) -> Any:
    """Yield name, values, and whether the frame declares categories, of each column."""
    is_frame = column_names(X) is not None
    for name, values in iterate_columns(X if is_frame else np.asarray(unwrap(X, "X"))):
        yield name, values, is_frame and str(dtype_of(X, name)).lower().startswith(ENCODED)


def read_missing(X: Any, name: str, estimator: str | None) -> np.ndarray | None:
    """Return numbers of which some may be missing, column by column; None if they are not."""
    X = load(X)
    if not _may_be_missing(X):
        return None
    check_table(X, name, estimator)
    try:
        values = np.column_stack([as_numbers(each) for _, each, _ in read_columns(X)])
    except (TypeError, ValueError):
        return None
    return None if np.isinf(values).any() else values


def check_kind(kind: str, column: Any, values: np.ndarray, is_category: bool, name: str) -> None:
    """Raise unless values can be read as the kind of the fit."""
    found = _kind_of(values, is_category, column, name)
    numbers = {"number", "boolean", "digits"}
    if found == "empty" or kind == "empty" or kind in ("category", "text"):
        return
    if found == kind or (kind in numbers and found in numbers):
        return
    if is_category and kind in numbers and values.dtype.kind in "iufb":
        return
    raise TypeError(
        f"{name} must hold in column {column!r} what the fit got, {PLURAL[kind]}, but holds "
        f"{PLURAL[found]}; convert the column to the same kind in all rows."
    )


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
        name: _kind_of(values, is_category, column, name)
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


def _kind_of(values: np.ndarray, is_category: bool, column: Any, name: str) -> str:
    try:
        return kind_of(values, is_category)
    except UnreadableError as error:
        raise TypeError(
            f"{name} must hold numbers, categories, strings, booleans or dates, but column "
            f"{column!r} holds {error}; convert or drop the column."
        ) from error


def _has_other_kinds(X: Any) -> bool:
    """Whether a frame has columns that are not numbers, by their dtypes alone."""
    if column_names(X) is None:
        return False
    dtypes = X.schema.types if hasattr(X, "column_names") else X.dtypes
    return any(str(each).lower().startswith(OTHER_DTYPES) for each in dtypes)


def _is_frame(X: Any) -> bool:
    return column_names(X) is not None


def _may_be_missing(X: Any) -> bool:
    """Whether rows are dense numbers or objects, of which some may be missing."""
    if _is_frame(X):
        return True
    plain = unwrap(X, "X")
    if sp.issparse(plain) or isinstance(plain, np.matrix):
        return False
    array = np.asarray(plain)
    return array.ndim == 2 and array.dtype.kind in "Ofiub"
