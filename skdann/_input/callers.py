"""Who called: whether a running `fit` is a part of a search, an ensemble or another estimator."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import FrameType
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

# parts of scikit-learn that cut array-like fit parameters along with X
CUT = ("sklearn.model_selection", "sklearn.calibration", "sklearn.ensemble._bagging")
# libraries that call `fit` in a loop, and parts of scikit-learn that call it once
LOOPS = {"dask", "distributed", "imblearn", "joblib", "optuna", "ray", "sklearn"}
CALL_ONCE = ("sklearn.base", "sklearn.callback", "sklearn.pipeline", "sklearn.utils")


def are_rows_cut() -> bool:
    """Whether a caller cuts fit parameters: a cross-validation, a calibration, or bagging."""
    return any(_module(frame).startswith(CUT) for frame in _callers())


def is_within_another_fit(estimator: Any) -> bool:
    """Whether the running `fit` was called by a search, an ensemble, or another estimator."""
    for frame in _callers():
        caller = frame.f_locals.get("self")
        if isinstance(caller, BaseEstimator) and frame.f_code.co_name in ("fit", "partial_fit"):
            if caller is not estimator and not isinstance(caller, Pipeline):
                return True
        elif _calls_in_a_loop(_module(frame)):
            return True
    return False


def _callers() -> Iterator[FrameType]:
    frame = inspect.currentframe()
    while frame is not None:
        yield frame
        frame = frame.f_back


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _calls_in_a_loop(module: str) -> bool:
    return module.split(".")[0] in LOOPS and not module.startswith(CALL_ONCE)
