"""Who called: the search, scorer, ensemble or other estimator above a running method.

A method of an estimator cannot see from its arguments whether a cross-validation passes held-out
source rows, or whether an interrupt must end more than one fit. The calls above it can.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import FrameType
from typing import Any

from sklearn.pipeline import Pipeline

from skdann._input.containers import shape_of

# libraries that call `fit` in a loop, and parts of scikit-learn that call it once
LOOPS = {"dask", "distributed", "hyperopt", "imblearn", "joblib", "optuna", "ray", "sklearn"}
CALL_ONCE = ("sklearn.base", "sklearn.callback", "sklearn.pipeline", "sklearn.utils")
# modules of scikit-learn that predict rows in order to compare predictions with labels
SCORERS = "sklearn.metrics._scorer"
VALIDATIONS = (SCORERS, "sklearn.model_selection._validation")
# parts of skdann that name the domain of source rows wherever it matters
NAME_DOMAINS = ("skdann.inspection", "skdann.metrics", "skdann.model_selection")


def is_within_another_fit(estimator: Any) -> bool:
    """Whether the running `fit` was called by a search, an ensemble, or another estimator."""
    for frame in _callers():
        if _fits_another(frame, estimator) or _calls_in_a_loop(_module(frame)):
            return True
    return False


def is_validating(estimator: Any) -> bool:
    """Whether a scorer, a cross-validation, or fit or score of another estimator passes rows."""
    for frame in _callers():
        module = _module(frame)
        if module.startswith(NAME_DOMAINS):
            return False
        if module.startswith(VALIDATIONS) or _fits_another(frame, estimator):
            return True
        if frame.f_code.co_name == "score" and frame.f_locals.get("self") is not estimator:
            return True
    return False


def scored_labels() -> Any:
    """Return the labels that a scorer of scikit-learn compares predictions with, or None."""
    for frame in _callers():
        if _module(frame).startswith(SCORERS) and "y_true" in frame.f_locals:
            return frame.f_locals["y_true"]
    return None


def calling_estimator(estimator: Any) -> Any:
    """Return the other estimator that called the running `fit`, or None."""
    for frame in _callers():
        if _fits_another(frame, estimator):
            return frame.f_locals["self"]
    return None


def is_cut(name: str, n_rows: int) -> bool:
    """Whether a caller of scikit-learn cut or resampled an array-like parameter of `fit`.

    Parameters
    ----------
    name : str
        Name of the parameter.
    n_rows : int
        Number of rows that arrived.

    Returns
    -------
    bool
        Whether a call above holds more or other rows by this name. A pipeline, which transforms
        rows, is passed over.
    """
    for frame in _callers():
        module = _module(frame)
        if not module.startswith("sklearn.") or module.startswith("sklearn.pipeline"):
            continue
        tables = [value for value in frame.f_locals.values() if isinstance(value, dict)]
        given = [table[name] for table in tables if table.get(name) is not None]
        given = [rows for rows in given if not isinstance(rows, tuple)]
        if len({id(rows) for rows in given}) > 1:
            return True
        if any(shape_of(rows)[0] != n_rows for rows in given):
            return True
    return False


def _callers() -> Iterator[FrameType]:
    frame = inspect.currentframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _fits_another(frame: FrameType, estimator: Any) -> bool:
    """Whether a frame is the `fit` of another object than the estimator and its pipeline."""
    if frame.f_code.co_name not in ("fit", "partial_fit"):
        return False
    caller = frame.f_locals.get("self")
    is_other = caller is not estimator and not isinstance(caller, Pipeline)
    return is_other and hasattr(caller, "fit")


def _calls_in_a_loop(module: str) -> bool:
    return module.split(".")[0] in LOOPS and not module.startswith(CALL_ONCE)
