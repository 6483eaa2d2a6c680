"""Checks of the rows of one domain, and of one domain against another."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

PIPELINE_REMEDY = (
    "pass the target through the same transformers as the source, e.g. with skdann.make_pipeline"
)
ROWS_LOOKED_AT = 10_000


def column_names(X: Any) -> np.ndarray | None:
    """Column names as scikit-learn would record them; None for arrays."""
    probe = BaseEstimator()
    validate_data(probe, X, skip_check_array=True)
    return getattr(probe, "feature_names_in_", None)


@contextlib.contextmanager
def naming(name: str, expectation: str) -> Iterator[None]:
    """Let an error of another library name the argument at fault, and what it must be."""
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        reason = " ".join(str(error).split())[:400]
        raise kind(f"{name} {expectation}: {reason}") from error


def check_matrix(X: Any, name: str, estimator: str) -> Any:
    """Check one domain's rows: real finite numbers, dense or CSR, dtype kept."""
    columns = list(getattr(X, "columns", ()))
    if len(set(columns)) < len(columns):
        repeated = sorted({column for column in columns if columns.count(column) > 1}, key=str)
        raise ValueError(f"{name} has columns of one name: {repeated}; rename or drop them.")
    expectation = (
        "must hold finite real numbers, one row a sample (impute missing values and encode text "
        "and dates, e.g. in skdann.make_pipeline)"
    )
    with naming(name, expectation):
        checked = check_array(
            X, accept_sparse="csr", dtype="numeric", input_name=name, estimator=estimator
        )
    check_is_number(checked, name)
    return checked


def check_is_number(X: Any, name: str) -> None:
    """Raise for dates and times, which scikit-learn lets pass."""
    if X.dtype.kind not in "biuf":
        raise TypeError(
            f"{name} must hold finite real numbers but has dtype {X.dtype}; encode dates and "
            "times, e.g. as days since a day."
        )


def shape_of(X: Any) -> tuple[int, ...]:
    """Shape of an array, frame, sparse matrix or nested list; (n,) where lists are ragged."""
    if hasattr(X, "shape"):
        return tuple(X.shape)
    try:
        return np.asarray(X).shape
    except ValueError:
        return (len(X),)


def _container(X: Any) -> str:
    if sp.issparse(X):
        return "a sparse matrix"
    return "a data frame" if hasattr(X, "columns") else "an array"


def check_targets(X_target: Any, X_source: Any, source: Any, estimator: str) -> dict[int, Any]:
    """Check each target against the source; return lists of row blocks by domain name."""
    if X_target is None:
        return {}
    arrays = X_target if isinstance(X_target, tuple) else (X_target,)
    if not arrays:
        raise ValueError(
            "X_target is an empty tuple; pass one array a target domain, or None to train on the "
            "source alone."
        )
    checked = {}
    for index, rows in enumerate(arrays):
        name = "X_target" if len(arrays) == 1 else f"X_target[{index}]"
        shape = shape_of(rows)
        if len(shape) != 2:
            raise ValueError(
                f"{name} must be 2-D with shape (n_target, n_features) but has shape {shape}; it "
                "holds the unlabelled rows, so pass features, not labels (the order is "
                "fit(X_source, y_source, X_target)), and several targets as a tuple of arrays."
            )
        if _container(rows) != _container(X_source):
            raise ValueError(
                f"{name} is {_container(rows)} but X_source is {_container(X_source)}; both must "
                f"be of one kind: {PIPELINE_REMEDY}."
            )
        if hasattr(X_source, "columns"):
            rows = match_columns(rows, list(X_source.columns), name)
        if shape[1] != source.shape[1]:
            raise ValueError(
                f"{name} has {shape[1]} features but X_source has {source.shape[1]}; "
                f"{PIPELINE_REMEDY}."
            )
        check_target_size(shape[0], -1 - index)
        checked[-1 - index] = [check_matrix(rows, name, estimator)]
    return checked


def match_columns(rows: Any, names: list[Any], name: str) -> Any:
    """Bring a target frame's columns into the source's order, by name."""
    own = list(rows.columns)
    if set(own) != set(names) or len(own) != len(names):
        missing = sorted(set(names) - set(own), key=str)
        extra = sorted(set(own) - set(names), key=str)
        raise ValueError(
            f"The columns of {name} differ from those of X_source: missing {missing}, not in the "
            f"source {extra}; give both domains the same columns, or {PIPELINE_REMEDY}."
        )
    return rows if own == names else rows[names]


def check_target_size(n_rows: int, name: int) -> None:
    """Raise if a target, of X_target or of sample_domain, is too small to learn from."""
    if n_rows < 2:
        raise ValueError(
            f"X_target or sample_domain: target domain {name} has {n_rows} "
            f"row{'s' * (n_rows != 1)}; at least 2 are needed to adapt to it. Leave it out to "
            "train without it."
        )


def stack_float32(parts: Sequence[Any]) -> Any:
    """Copy the rows of all domains below one another as float32, with no copy in between."""
    with np.errstate(over="ignore"):
        if sp.issparse(parts[0]):
            stacked = sp.vstack([sp.csr_array(part, dtype=np.float32) for part in parts], "csr")
            values = stacked.data
        else:
            n_rows = sum(part.shape[0] for part in parts)
            stacked = values = np.empty((n_rows, parts[0].shape[1]), dtype=np.float32)
            start = 0
            for part in parts:
                stacked[start : start + len(part)] = part
                start += len(part)
    check_float32(values, "X_source or X_target")
    return stacked


def check_float32(values: np.ndarray, name: str) -> None:
    """Raise if numbers that were finite have become infinite as float32."""
    if values.size and not (np.isfinite(values.max()) and np.isfinite(values.min())):
        raise ValueError(
            f"{name} holds values too large for float32, in which the networks compute (largest "
            f"finite: {np.finfo(np.float32).max:.3g}); scale the columns, e.g. with "
            "skdann.make_pipeline(StandardScaler(), DANNClassifier())."
        )


def warn_if_unscaled(source: Any, target: Sequence[Any]) -> None:
    """Warn where the source looks standardised and some target evidently is not.

    Of many rows `ROWS_LOOKED_AT` are looked at, evenly spaced, which tells as much.
    """
    if sp.issparse(source) or source.shape[0] < 2:
        return
    source, *target = (rows[:: max(1, len(rows) // ROWS_LOOKED_AT)] for rows in (source, *target))
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = source.mean(0, dtype=np.float64), source.std(0, dtype=np.float64)
        varies = std > 0
        is_standard = (np.abs(mean) < 0.1) & (np.abs(std - 1.0) < 0.1)
        if not varies.any() or is_standard[varies].mean() < 0.9:
            return
        offset = max(np.median(np.abs(rows.mean(0, dtype=np.float64))[varies]) for rows in target)
        spread = max(np.median(rows.std(0, dtype=np.float64)[varies]) for rows in target)
    if max(offset, spread) > 10.0:
        warnings.warn(
            "X_source looks standardised but X_target is not: half of its columns lie, or spread, "
            f"more than 10 source standard deviations; {PIPELINE_REMEDY}.",
            UserWarning,
            stacklevel=4,
        )
