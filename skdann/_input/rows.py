"""Rows of one domain, read as finite real numbers with the names of their columns."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from skdann._input.containers import (
    column_names,
    iterate_columns,
    load,
    refuse_dataset,
    shape_of,
    unwrap,
)
from skdann._input.encoded import is_encoded
from skdann._input.faults import REMEDIES, explain_fault


class Rows(NamedTuple):
    """Rows as numbers.

    Attributes
    ----------
    values : ndarray or CSR of shape (n_rows, n_features)
        Finite real numbers, in the dtype that they were passed in.
    names : list or None
        Column names of a data frame, of any type; None for arrays.
    """

    values: Any
    names: list[Any] | None


def read_rows(
    X: Any, name: str, estimator: str | None = None, *, allow_missing: bool = False
) -> Rows:
    """Read rows from any container.

    Parameters
    ----------
    X : array-like, data frame, tensor or sparse matrix of shape (n_rows, n_features)
        Rows as the user passed them.
    name : str
        Name of the argument in error messages.
    estimator : str or None, default=None
        Name of the estimator in error messages.
    allow_missing : bool, default=False
        Whether NaN is allowed.

    Returns
    -------
    Rows
        The numbers, and the column names of a frame.

    Raises
    ------
    ValueError, TypeError
        If the rows are not 2-D or are empty, or hold anything but finite real numbers; the text
        names the column at fault.
    """
    X = load(X)
    check_table(X, name, estimator)
    _check_dates(X, name)
    plain, is_frame = unwrap(X, name), column_names(X) is not None
    with np.errstate(all="ignore"):  # values of any size are summed and cast here
        try:
            values = _as_numbers(plain, name, estimator, allow_missing)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            fault = explain_fault(X if is_frame else plain, error)
            raise kind(f"{name} must hold finite real numbers{fault}.") from error
    return Rows(values, column_names(X))


def check_table(X: Any, name: str, estimator: str | None = None) -> tuple[int, ...]:
    """Return the shape of rows; raise unless they are 2-D with rows and distinct column names."""
    _check_repeated_names(X, name)
    shape = shape_of(X) if column_names(X) is not None else shape_of(unwrap(X, name))
    if len(shape) != 2:
        refuse_dataset(X, name)
        got = f"{len(shape)}D array" if shape else f"a scalar or {type(X).__name__}"
        raise ValueError(
            f"{name} must hold one row per sample: Expected 2D array, got {got} instead, of shape "
            f"{shape}. Reshape your data with X.reshape(-1, 1) if it is one column, "
            "X.reshape(1, -1) if one row."
        )
    if shape[0] == 0 < shape[1]:
        raise ValueError(
            f"{name} has 0 sample(s), while a minimum of 1 is required"
            f"{f' by {estimator}' if estimator else ''}; skip chunks without rows."
        )
    return shape


def check_rows_to_predict(estimator: Any, X: Any) -> Any:
    """Read rows for a fitted estimator; their columns must be those of the fit, in the same order.

    Parameters
    ----------
    estimator : fitted estimator
        It has ``n_features_in_``, for rows fitted from a frame ``feature_names_in_`` or, if the
        names are not strings, ``_other_names``, and ``_columns``, their encoding.
    X : array-like, data frame, tensor or sparse matrix of shape (n_rows, n_features)
        Rows as the user passed them.

    Returns
    -------
    ndarray or CSR of shape (n_rows, n_features)
        Finite real numbers.

    Raises
    ------
    ValueError, TypeError
        As :func:`read_rows` does, or if the columns differ from those of the fit.
    """
    X, columns = load(X), getattr(estimator, "_columns", None)
    refuse_dataset(X, "X")
    estimator_name = type(estimator).__name__
    if is_encoded(X) and columns is not None and X.shape[1] == columns.n_encoded:
        return columns.read(X, "X", estimator_name)
    names = column_names(X)
    _check_repeated_names(X, "X")
    _check_other_names(estimator, names)
    as_seen = X if names is not None else unwrap(X, "X")
    # only the names: errors and warnings of scikit-learn, whose tests of estimators expect them
    validate_data(estimator, as_seen, reset=False, skip_check_array=True, ensure_2d=False)
    if columns is not None:
        values = columns.read(X, "X", estimator_name)
        n_features, expected = values.shape[1], columns.n_encoded
    else:
        values = read_rows(X, "X", estimator_name).values
        n_features, expected = values.shape[1], estimator.n_features_in_
    if n_features != expected:
        raise ValueError(
            f"X has {n_features} features, but {estimator_name} is expecting {expected} features "
            "as input."
        )
    return values


def check_names(names: list[Any] | None, name: str) -> tuple[np.ndarray | None, list[Any] | None]:
    """Separate column names that are strings, which scikit-learn records, from others.

    Parameters
    ----------
    names : list or None
        Column names of the frame.
    name : str
        Name of the argument in error messages.

    Returns
    -------
    feature_names : ndarray of str of shape (n_features,), or None
        The names, if all are strings.
    other_names : list or None
        The names, if none is.

    Raises
    ------
    TypeError
        If strings are mixed with names of another type.
    """
    if not names:
        return None, None
    are_strings = [isinstance(each, str) for each in names]
    if all(are_strings):
        return np.array(names, dtype=object), None
    if any(are_strings):
        types = sorted({type(each).__name__ for each in names})
        raise TypeError(
            f"{name} must have column names of one type but mixes {', '.join(types)}; convert "
            f"them, e.g. {name}.columns = {name}.columns.astype(str), in both domains."
        )
    return None, names


def check_float32(values: np.ndarray, name: str) -> None:
    """Raise if numbers are not finite: too large for float32, or NaN under ``assume_finite``."""
    if not values.size or (np.isfinite(values.max()) and np.isfinite(values.min())):
        return
    if np.isnan(values).any():
        raise ValueError(f"{name} contains NaN; impute missing values, or drop the rows.")
    raise ValueError(
        f"{name} holds values too large for float32, in which the networks compute (largest "
        f"finite: {np.finfo(np.float32).max:.3g}); scale the columns, e.g. with "
        "skdann.make_pipeline(StandardScaler(), DANNClassifier())."
    )


def _check_other_names(estimator: Any, names: list[Any] | None) -> None:
    """Raise if names that are not strings differ from those of the fit; arrays have none."""
    expected = getattr(estimator, "_other_names", None)
    if expected is None or names is None or names == expected:
        return
    if any(isinstance(each, str) for each in names):
        return  # scikit-learn warns that names were not known in the fit
    raise ValueError(
        "The feature names should match those that were passed during fit: X has columns "
        f"{_shorten(names)}, but {type(estimator).__name__} was fitted on {_shorten(expected)}; "
        "pass the same columns in the same order."
    )


def _shorten(names: list[Any], n_most: int = 10) -> str:
    shown = ", ".join(repr(each) for each in names[:n_most])
    return f"[{shown}{', ...' if len(names) > n_most else ''}]"


def _check_repeated_names(X: Any, name: str) -> None:
    names = column_names(X)
    if names is None or len(set(names)) == len(names):
        return
    repeated = sorted({each for each in names if names.count(each) > 1}, key=str)
    raise ValueError(f"{name} has several columns named {_shorten(repeated)}; rename or drop them.")


def _check_dates(X: Any, name: str) -> None:
    """Raise for dates in a frame of polars or pyarrow, which numpy would read as numbers."""
    if hasattr(X, "slice") and column_names(X) is not None:
        for column, values in iterate_columns(X.slice(0, 0)):
            if values.dtype.kind in "mM":
                raise TypeError(
                    f"{name} must hold finite real numbers, but column {column!r} holds dates or "
                    f"times ({values.dtype}); {REMEDIES['date']}."
                )


def _as_numbers(plain: Any, name: str, estimator: str | None, allow_missing: bool) -> Any:
    """Real numbers, dense or CSR, that are finite or may be missing."""
    options: dict[str, Any] = {
        "accept_sparse": "csr",
        "input_name": name,
        "estimator": estimator,
        "ensure_all_finite": "allow-nan" if allow_missing else True,
    }
    values = check_array(plain, dtype="numeric", **options)
    if values.dtype.kind == "O":  # such as decimals and categories of a frame
        values = check_array(values.astype(np.float64), **options)
    if values.dtype.kind not in "biuf":
        raise TypeError(f"the dtype is {values.dtype}")
    return _with_short_indices(values) if sp.issparse(values) else values


def _with_short_indices(rows: Any) -> Any:
    """Return CSR rows with 32-bit indices if these suffice: trees of scikit-learn take no others.

    Tensors and some scipy functions have 64-bit ones.
    """
    is_short = rows.indices.dtype == rows.indptr.dtype == np.int32
    if is_short or max(rows.nnz, *rows.shape) > np.iinfo(np.int32).max:
        return rows
    index = rows.indices.astype(np.int32), rows.indptr.astype(np.int32)
    return type(rows)((rows.data, *index), shape=rows.shape)
