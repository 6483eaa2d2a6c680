"""Ctrl-C: it ends what the user meant to end.

skorch swallows every KeyboardInterrupt, because its callbacks stop training by raising one. A
single fit then keeps its last whole epoch. Inside a search, a calibration or an ensemble the fit is
a part of something larger, which the interrupt must end.
"""

from __future__ import annotations

import dis
import sys
import warnings
from types import FrameType
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

# libraries that call `fit` in a loop, and parts of scikit-learn that call it once
LOOPS = {"dask", "distributed", "imblearn", "joblib", "optuna", "ray", "sklearn"}
PASSES_ON = ("sklearn.base", "sklearn.callback", "sklearn.pipeline", "sklearn.utils")


def is_stop(error: KeyboardInterrupt) -> bool:
    """Whether a ``raise`` statement raised the error, as in callbacks that stop training.

    A signal interrupts any other instruction.
    """
    traceback = error.__traceback__
    if traceback is None:
        return True
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code.co_code
    return code[traceback.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def end_interrupted(estimator: Any, n_epochs: int) -> None:
    """Warn that a fit was cut short; raise where there is nothing to keep or more to end.

    Parameters
    ----------
    estimator : estimator
        Its `fit` is running.
    n_epochs : int
        Number of whole epochs that it trained.

    Raises
    ------
    KeyboardInterrupt
        If there is no whole epoch, or the fit is a part of a search or of another estimator's.
    """
    if not n_epochs or is_within_another_fit(estimator):
        raise KeyboardInterrupt
    warnings.warn(
        f"Training was interrupted: the {type(estimator).__name__} keeps its last whole epoch, "
        f"number {n_epochs} of {estimator.max_epochs}. Fit again for the rest.",
        UserWarning,
        stacklevel=4,
    )


def is_within_another_fit(estimator: Any) -> bool:
    """Whether the running `fit` was called by a search, an ensemble, or another estimator."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, BaseEstimator) and frame.f_code.co_name in ("fit", "partial_fit"):
            if caller is not estimator and not isinstance(caller, Pipeline):
                return True
        elif _calls_in_a_loop(frame.f_globals.get("__name__", "")):
            return True
        frame = frame.f_back
    return False


def _calls_in_a_loop(module: str) -> bool:
    return module.split(".")[0] in LOOPS and not module.startswith(PASSES_ON)
