"""Checks of target rows against source rows, shared by fits, scorers, metrics and displays."""

from __future__ import annotations

from typing import Any

from skdann._input.containers import (
    column_names,
    container_of,
    load,
    order_columns,
    refuse_dataset,
    shape_of,
    without_mask,
)
from skdann._input.encoded import is_encoded

PIPELINE_REMEDY = (
    "pass the target through the same transformers as the source, e.g. with skdann.make_pipeline"
)
SUBSET_REMEDY = (
    "A meta-estimator that adds or selects columns of X alone (a feature selector, bagging with "
    "max_features, a classifier chain) cannot do so for X_target: stack source and target rows in "
    "X, and mark the target rows by a negative sample_domain"
)


def name_targets(X_target: Any, remedy: str = "pass one array per target domain") -> dict[str, Any]:
    """Return the rows of each target domain, by their name in error messages.

    Parameters
    ----------
    X_target : array-like, or tuple of these
        Rows of one target domain, or of several.
    remedy : str
        Advice in the error for an empty tuple.

    Returns
    -------
    dict of str to array-like
        ``{"X_target": rows}``, or ``{"X_target[0]": rows, ...}`` for several targets.

    Raises
    ------
    ValueError
        If the tuple is empty.
    """
    parts = X_target if isinstance(X_target, tuple) else (X_target,)
    if not parts:
        raise ValueError(f"X_target is an empty tuple; {remedy}.")
    names = ["X_target"] if len(parts) == 1 else [f"X_target[{i}]" for i in range(len(parts))]
    return dict(zip(names, parts, strict=True))


def match_target(name: str, rows: Any, X_source: Any, *, source_name: str = "X_source") -> Any:
    """Check target rows against source rows, and order a frame's columns like the source's.

    Parameters
    ----------
    name : str
        Name of the target in error messages, such as "X_target[1]".
    rows : array-like, data frame or sparse matrix of shape (n_target, n_features)
        Rows of the target. One-dimensional rows, such as a list of texts, match a source of the
        same kind.
    X_source : array-like, data frame or sparse matrix of shape (n_source, n_features)
        Rows of the source.
    source_name : str, default="X_source"
        Name of the source in error messages.

    Returns
    -------
    array-like, data frame or sparse matrix of shape (n_target, n_features)
        `rows`, unchanged unless the columns of a frame had to be reordered.

    Raises
    ------
    ValueError
        If dimensions, container or columns differ. The number of rows is not checked.
    """
    refuse_dataset(rows, name)
    rows, X_source = without_mask(load(rows), name), load(X_source)
    if is_encoded(X_source) and not is_encoded(rows):
        rows = X_source.encoding.read(rows, name)
    shape, expected = shape_of(rows), shape_of(X_source)
    if len(shape) != len(expected):
        raise ValueError(
            f"{name} must be {len(expected)}-D like {source_name}, which has shape {expected}, but "
            f"has shape {shape}; pass unlabelled rows of the same columns, not labels (the order "
            "is fit(X_source, y_source, X_target)), and several targets as a tuple of arrays."
        )
    if container_of(rows) != container_of(X_source):
        raise ValueError(
            f"{name} is {container_of(rows)} but {source_name} is {container_of(X_source)}; both "
            f"must be of one kind: {PIPELINE_REMEDY}."
        )
    names = column_names(X_source)
    if names is not None:
        rows = _match_columns(name, rows, names, source_name)
    if shape[1:] != expected[1:]:
        raise ValueError(
            f"{name} has {shape[1]} features but {source_name} has {expected[1]}; "
            f"{PIPELINE_REMEDY}. {SUBSET_REMEDY}."
        )
    return rows


def check_order(name: str, rows: Any, X: Any) -> None:
    """Raise if columns whose names are not strings are in another order than those of X.

    scikit-learn's transformers compare names that are strings, and take others by position.
    """
    columns, expected = column_names(rows), column_names(X)
    if columns is None or expected is None or columns == expected:
        return
    if not any(isinstance(each, str) for each in columns) and set(columns) == set(expected):
        raise ValueError(
            f"{name} has the columns of X in another order, {columns[:10]}, and transformers of "
            "scikit-learn match names by position unless they are strings; order the columns as "
            "in X, or rename them in both, e.g. X.columns = X.columns.astype(str)."
        )


def _match_columns(name: str, rows: Any, expected: list[Any], source_name: str) -> Any:
    """Order the columns of a target frame like those of the source, by name."""
    columns = column_names(rows) or []
    missing = sorted(set(expected) - set(columns), key=str)
    extra = sorted(set(columns) - set(expected), key=str)
    if missing or extra or len(columns) != len(expected):
        subset = f" {SUBSET_REMEDY}." if bool(missing) != bool(extra) else ""
        raise ValueError(
            f"The columns of {name} differ from those of {source_name}: missing {missing}, not in "
            f"the source {extra}; give both domains the same columns, or {PIPELINE_REMEDY}.{subset}"
        )
    return order_columns(rows, expected)
