"""Errors that name the argument at fault, and warnings that point to the user's line."""

from __future__ import annotations

import contextlib
import inspect
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import sklearn

# files whose lines a warning does not point to: skdann, scikit-learn, and the decorators' library
INSIDE = (
    str(Path(__file__).parents[1]) + os.sep,
    str(Path(sklearn.__file__).parent) + os.sep,
    contextlib.__file__,
)


@contextlib.contextmanager
def naming(name: str, expectation: str) -> Iterator[None]:
    """Let an error of another library name the argument at fault, and what it must be."""
    try:
        with np.errstate(all="ignore"):
            yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        reason = " ".join(str(error).split())[:400]
        raise kind(f"{name} {expectation}: {reason}") from error


@contextlib.contextmanager
def naming_step(name: str) -> Iterator[None]:
    """Let an error of a step that does not pass the target on say what to do."""
    try:
        yield
    except (TypeError, ValueError) as error:
        is_passed_on = "X_target parameter" in str(error) or "'X_target'" in str(error)
        if not is_passed_on or type(error) not in (TypeError, ValueError):
            raise
        raise type(error)(
            f"The step {name!r} does not pass X_target to the estimators in it ({error}). Make "
            "DANNClassifier a step of the pipeline, use skdann.make_pipeline for an inner "
            "pipeline, or enable metadata routing: "
            "sklearn.set_config(enable_metadata_routing=True)."
        ) from error


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line outside skdann and scikit-learn."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_code.co_filename.startswith(INSIDE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
