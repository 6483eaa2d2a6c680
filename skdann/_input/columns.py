"""Encodings of the columns of a table, as parts of a fitted estimator.

:class:`NumericColumns` impute missing numbers; :class:`MixedColumns` encode categories, strings,
booleans and dates as well. Both hold plain values only, so that files store them without pickle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from skdann._input.column_encoders import Encoder, describe_encoder, read_encoder
from skdann._input.column_table import Column
from skdann._input.column_values import UnreadableError, as_numbers, kind_of
from skdann._input.containers import column_names, iterate_columns, load, order_columns, unwrap
from skdann._input.encoded import is_encoded, mark_encoded
from skdann._input.faults import ENCODED, REMEDIES, dtype_of
from skdann._input.rows import check_float32, check_table, read_rows

MOST_VALUES = 100_000  # of a sample from which medians of complete numbers are taken

PLURAL = {
    "number": "numbers",
    "digits": "numbers",
    "boolean": "booleans",
    "date": "dates",
    "duration": "durations",
    "category": "categories or strings",
}


class NumericColumns:
    """Numbers, of which missing ones become the median.

    Parameters
    ----------
    fill : ndarray of shape (n_raw,) or None
        Values that replace missing ones; None for sparse rows.
    n_raw : int
        Number of columns.
    """

    def __init__(self, fill: np.ndarray | None, n_raw: int) -> None:
        self.fill, self.n_raw, self.n_encoded = fill, n_raw, n_raw

    @classmethod
    def fit(cls, parts: Sequence[np.ndarray]) -> NumericColumns:
        """Take the medians of all rows; 0 for a column without a number."""
        values = np.concatenate(parts)
        if np.isnan(values).all():
            raise ValueError("X_source has no value in any column; pass rows with values.")
        with np.errstate(all="ignore"):  # infinite values, which are refused later
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
            values = read_missing(X, name, estimator)
            if values is None or self.fill is None or values.shape[1] != self.n_raw:
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
    """Columns of several kinds, each with an encoder.

    Parameters
    ----------
    encoders : sequence of Encoder
        One per column.
    raw : list or None, default=None
        Names of the columns, by which frames are ordered.
    """

    fill: np.ndarray | None = None

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


TableColumns = NumericColumns | MixedColumns


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
    found = find_kind(values, is_category, column, name)
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


def find_kind(values: np.ndarray, is_category: bool, column: Any, name: str) -> str:
    """Return the kind of a column; raise TypeError that names it if it has none."""
    try:
        return kind_of(values, is_category)
    except UnreadableError as error:
        raise TypeError(
            f"{name} must hold numbers, categories, strings, booleans or dates, but column "
            f"{column!r} holds {error}; convert or drop the column."
        ) from error


def _may_be_missing(X: Any) -> bool:
    """Whether rows are dense numbers or objects, of which some may be missing."""
    if column_names(X) is not None:
        return True
    plain = unwrap(X, "X")
    if sp.issparse(plain) or isinstance(plain, np.matrix):
        return False
    array = np.asarray(plain)
    return array.ndim == 2 and array.dtype.kind in "Ofiub"
