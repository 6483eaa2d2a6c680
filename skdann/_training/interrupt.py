"""Handling of Ctrl-C during training.

skorch catches every KeyboardInterrupt, because its callbacks stop training by raising one. A single
fit then keeps its last complete epoch. If the fit is part of a search, a calibration or an
ensemble, the interrupt must end that.
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


def end_interrupted(estimator: Any, n_epochs: int, n_planned: int) -> None:
    """Warn that a fit was interrupted; raise if it has no epoch or is part of another fit.

    Parameters
    ----------
    estimator : estimator
        Estimator whose `fit` is running.
    n_epochs : int
        Number of complete epochs.
    n_planned : int
        Number of epochs without the interruption.

    Raises
    ------
    KeyboardInterrupt
        If there is no complete epoch, or a search or another estimator called `fit`.
    """
    if not n_epochs or is_within_another_fit(estimator):
        raise KeyboardInterrupt
    warn_user(
        f"Training was interrupted; the {type(estimator).__name__} keeps its last complete epoch, "
        f"{n_epochs} of {n_planned}. Call fit again to train all epochs."
    )
