"""Pooled rows: the labels that only mark unlabelled target rows among labelled source rows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from skdann._compat import safe_indexing
from skdann._input.callers import calling_estimator
from skdann._input.containers import unwrap
from skdann._input.labels import is_missing
from skdann._input.messages import warn_user


def is_pooled(sample_domain: Any) -> bool:
    """Whether the checked domains of the rows of X_source mark some as target rows."""
    if sample_domain is None:
        return False
    return bool((np.asarray(unwrap(sample_domain, "sample_domain")) < 0).any())


def find_placeholders(y: Any, sample_domain: Any, classes: np.ndarray) -> list[Any]:
    """Return the labels of pooled rows that only mark unlabelled target rows; None if missing.

    Without classes, labels are numbers, and any number of a target row may be its true label:
    then only missing labels are returned, or the one number that all target rows share if no source
    row has it.
    """
    if not is_pooled(sample_domain):
        return []
    if not len(classes):
        return _find_marked_numbers(y, sample_domain)
    is_target = np.asarray(unwrap(sample_domain, "sample_domain")) < 0
    labels = set(map(_as_key, _as_objects(y)[is_target]))
    return sorted(labels - set(classes.tolist()), key=str)


def _find_marked_numbers(y: Any, sample_domain: Any) -> list[Any]:
    """Return what marks unlabelled rows among rows with numbers as labels."""
    is_target = np.asarray(unwrap(sample_domain, "sample_domain")) < 0
    keys = _row_keys(y)
    of_targets = {key for key, is_marked in zip(keys, is_target, strict=True) if is_marked}
    of_sources = {key for key, is_marked in zip(keys, is_target, strict=True) if not is_marked}
    numbers = of_targets - {None}
    is_shared = len(numbers) == 1 and is_target.sum() > 1 and not numbers & of_sources
    return sorted(of_targets if is_shared else of_targets & {None}, key=str)


def mark_unlabelled(y: Any, placeholders: Sequence[Any]) -> np.ndarray:
    """Return which labels are among those that only mark unlabelled rows."""
    known = set(placeholders)
    return np.array([key in known for key in _row_keys(y)], dtype=bool)


def keep_source_rows(X: Any, y: Any, given: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Return the source rows among pooled rows, their labels, and the parameters for them."""
    if "sample_domain" not in given:
        return X, y, given
    domain = np.asarray(unwrap(given["sample_domain"], "sample_domain"))
    given = {name: value for name, value in given.items() if name != "sample_domain"}
    if not (domain < 0).any():
        return X, y, given
    kept = np.flatnonzero(domain >= 0)
    if "sample_weight" in given:
        given["sample_weight"] = safe_indexing(given["sample_weight"], kept)
    return safe_indexing(X, kept), safe_indexing(y, kept), given


def warn_if_a_class(placeholders: Sequence[Any], classes: np.ndarray, estimator: Any) -> None:
    """Warn if a meta-estimator counts a label that only marks unlabelled rows as a class."""
    caller = calling_estimator(estimator) if placeholders else None
    known = getattr(caller, "__dict__", {}).get("classes_")
    if isinstance(known, np.ndarray) and len(known) > len(classes):
        warn_user(
            f"{type(caller).__name__} counts the labels {placeholders}, which mark unlabelled "
            "target rows, as classes, and may learn from them or predict them; pass the target as "
            "X_target=(X_target,) instead. If the meta-estimator selects columns, label these rows "
            "by any class of the source, which fit ignores."
        )


def _as_key(label: Any) -> Any:
    """Label as an element of a set: None if it is missing."""
    if is_missing(label):
        return None
    return label if isinstance(label, Hashable) else repr(label)


def _row_keys(y: Any) -> list[Any]:
    """Labels as elements of a set; None for a row of a table in which a number is missing."""
    rows = np.asarray(unwrap(y, "y")).tolist()
    if not (rows and isinstance(rows[0], list) and len(rows[0]) > 1):
        return list(map(_as_key, _as_objects(y)))
    return [None if any(map(is_missing, row)) else tuple(row) for row in rows]


def _as_objects(y: Any) -> np.ndarray:
    """Labels in any container as a vector of plain objects."""
    return np.asarray(np.asarray(unwrap(y, "y")).tolist(), dtype=object).ravel()
