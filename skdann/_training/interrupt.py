"""Ctrl-C: it ends what the user meant to end.

skorch swallows every KeyboardInterrupt, because its callbacks stop training by raising one. A
single fit then keeps its last whole epoch. Inside a search, a calibration or an ensemble the fit is
a part of something larger, which the interrupt must end.
"""

from __future__ import annotations

import dis
from typing import Any

from skdann._input.callers import is_within_another_fit
from skdann._input.messages import warn_user


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
    warn_user(
        f"Training was interrupted: the {type(estimator).__name__} keeps its last whole epoch, "
        f"number {n_epochs} of {estimator.max_epochs}. Fit again for the rest."
    )
