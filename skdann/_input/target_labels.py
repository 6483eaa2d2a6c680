"""Checks of `y_target`: labels of some of the target rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skdann._input.callers import is_cut
from skdann._input.containers import shape_of, unwrap
from skdann._input.labels import is_missing, plain_labels
from skdann._input.messages import warn_user
from skdann._input.numeric_labels import plain_numbers

REMEDY = "pass a label for each row of X_target, and NaN or None for unlabelled rows"


def check_target_labels(
    y_target: Any, targets: dict[str, Any], classes: np.ndarray, n_outputs: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Check the labels of target rows against the rows and the labels of the source.

    Parameters
    ----------
    y_target : array-like of shape (n_target,) or (n_target, n_outputs), tuple of these, or None
        Labels; missing or masked where a row is unlabelled. For several targets a tuple with one
        array, or None, for each.
    targets : dict of {str: table}
        Checked rows of each target, by the name of the argument.
    classes : ndarray
        Labels of the classes; empty if labels are numbers.
    n_outputs : int
        Number of numbers per row, if labels are numbers.

    Returns
    -------
    list of (ndarray of int, ndarray)
        For each target, the positions of its labelled rows, and their class indices or numbers.

    Raises
    ------
    ValueError, TypeError
        If the labels do not match the rows, or a class is not among `classes`.
    """
    if y_target is None:
        return []
    if not targets:
        raise ValueError(
            "y_target was passed without X_target; pass the rows that it labels as X_target."
        )
    parts = y_target if isinstance(y_target, tuple) else (y_target,)
    if len(parts) != len(targets):
        raise ValueError(
            f"y_target has labels of {len(parts)} target(s), but X_target has {len(targets)}; pass "
            "a tuple with the labels of each target, None for one without labels."
        )
    read = _read_classes if len(classes) else _read_numbers
    expected: Any = classes if len(classes) else n_outputs
    found = []
    for (name, X), y in zip(targets.items(), parts, strict=True):
        n_rows = shape_of(X)[0]
        labels = _read(y, name.replace("X_target", "y_target"), name, n_rows, read, expected)
        found.append(labels)
        if not isinstance(y_target, tuple):
            _warn_if_cut(n_rows)
    return found


def _read(
    y: Any, name: str, rows: str, n_rows: int, read: Callable[..., np.ndarray], expected: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the labelled rows of one target, and their labels."""
    y = np.full(n_rows, np.nan) if y is None else y
    is_known = find_labels(y, name)
    if len(is_known) != n_rows:
        raise ValueError(
            f"{name} has {len(is_known)} labels, but {rows} has {n_rows} rows; {REMEDY}."
        )
    y = y.data if isinstance(y, np.ma.MaskedArray) else y
    return np.flatnonzero(is_known), read(y, name, is_known, expected)


def find_labels(y: Any, name: str = "y_target") -> np.ndarray:
    """Return which labels of a vector, or a table with one column per output, are not missing."""
    is_masked = isinstance(y, np.ma.MaskedArray)
    values = np.asarray(unwrap(y.data if is_masked else y, name))
    if values.ndim not in (1, 2):
        raise ValueError(
            f"{name} must have one label per row of the target, but has shape {values.shape}; "
            f"{REMEDY}."
        )
    table = values.reshape(len(values), -1)
    is_unknown = _find_missing(table)
    if is_masked:
        is_unknown |= np.ma.getmaskarray(y).reshape(table.shape)
    is_partial = is_unknown.any(axis=1) & ~is_unknown.all(axis=1)
    if is_partial.any():
        raise ValueError(
            f"{name} lacks some of the {table.shape[1]} numbers of row "
            f"{np.flatnonzero(is_partial)[0]}; give all of them, or none (NaN) if it is unlabelled."
        )
    return np.asarray(~is_unknown.any(axis=1))


def _find_missing(table: np.ndarray) -> np.ndarray:
    if table.dtype.kind == "f":
        return np.isnan(table)
    if table.dtype.kind != "O":
        return np.zeros(table.shape, dtype=bool)
    flags = [is_missing(value) for value in table.ravel()]
    return np.array(flags, dtype=bool).reshape(table.shape)


def _read_classes(y: Any, name: str, is_known: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the class indices of the labelled rows."""
    if not is_known.any():
        return np.zeros(0, dtype=np.int64)
    label = plain_labels(y, name, is_kept=is_known, takes_objects=True).tolist()
    known = {value: index for index, value in enumerate(classes.tolist())}
    unknown = sorted({value for value in label if value not in known}, key=str)
    if unknown:
        raise ValueError(
            f"{name} holds labels {unknown[:10]} that y_source lacks; its classes are "
            f"{classes.tolist()}. Mark unlabelled rows by NaN or None, and add a labelled source "
            "row for each further class."
        )
    return np.array([known[value] for value in label], dtype=np.int64)


def _read_numbers(y: Any, name: str, is_known: np.ndarray, n_outputs: int) -> np.ndarray:
    """Return the numbers of the labelled rows."""
    if not is_known.any():
        return np.zeros((0, n_outputs))
    numbers = plain_numbers(y, name, is_kept=is_known)
    if numbers.shape[1] != n_outputs:
        raise ValueError(
            f"{name} has {numbers.shape[1]} numbers per row, but y_source has {n_outputs}; pass "
            "the same outputs in both."
        )
    return numbers


def _warn_if_cut(n_rows: int) -> None:
    """Warn that a cross-validation has cut a bare y_target along with X_source."""
    if is_cut("y_target", n_rows):
        warn_user(
            "y_target had as many rows as X_source, and cross-validation, calibration and bagging "
            "cut such arrays along with X_source. Pass a tuple, y_target=(y_target,), which is "
            "never cut."
        )


def stack_labels(
    found: Sequence[tuple[np.ndarray, np.ndarray]], domain: np.ndarray, n_targets: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the indices of the labelled target rows among all rows, and their labels.

    Parameters
    ----------
    found : sequence of (ndarray of int, ndarray)
        Positions and labels by target, as :func:`check_target_labels` returns them.
    domain : ndarray of int of shape (n_rows,)
        Domain index of each row, targets last.
    n_targets : int
        Number of targets.
    """
    n_domains = int(domain.max()) + 1
    starts = [np.searchsorted(domain, n_domains - n_targets + i) for i in range(len(found))]
    rows = [start + positions for start, (positions, _) in zip(starts, found, strict=True)]
    if not sum(map(len, rows)):
        return None
    return np.concatenate(rows), np.concatenate([label for _, label in found])
