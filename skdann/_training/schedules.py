r"""Schedules of lambda and of the learning rate, as pure functions of training progress.

Progress :math:`p` runs from 0 at the first step to 1 at the end of training. A schedule maps it to
a factor in [0, 1], which multiplies ``lambda_max`` or ``lr``:

========== ==================================== ==========================================
name       factor                               used for
========== ==================================== ==========================================
"dann"     :math:`2 / (1 + e^{-10p}) - 1`       lambda, Ganin et al. (JMLR 2016), sec. 5.2
"dann"     :math:`(1 + 10p)^{-0.75}`            learning rate, the same section
"linear"   :math:`p`                            lambda
"cosine"   :math:`(1 + \cos \pi p) / 2`         learning rate
"constant" 1                                    both
========== ==================================== ==========================================
"""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[float], float]

LAMBDA_SCHEDULES: dict[str, Schedule] = {
    "dann": lambda progress: 2.0 / (1.0 + math.exp(-10.0 * progress)) - 1.0,
    "linear": lambda progress: progress,
    "constant": lambda progress: 1.0,
}

LR_SCHEDULES: dict[str, Schedule] = {
    "constant": lambda progress: 1.0,
    "dann": lambda progress: (1.0 + 10.0 * progress) ** -0.75,
    "cosine": lambda progress: (1.0 + math.cos(math.pi * progress)) / 2.0,
}


def evaluate_schedule(
    name: str, schedule: str | Schedule, table: dict[str, Schedule], progress: float
) -> float:
    """Return the factor of a named or callable schedule, checked to lie in [0, 1]."""
    if isinstance(schedule, str):
        return table[schedule](progress)
    try:
        factor = float(schedule(progress))
    except Exception as error:
        raise ValueError(
            f"{name} failed at progress {progress:.3g} with {type(error).__name__}: {error}. Pass "
            "a name, or a callable that maps a number in [0, 1] to a factor in [0, 1]."
        ) from error
    if not 0.0 <= factor <= 1.0:
        raise ValueError(
            f"{name} returned {factor!r} at progress {progress:.3g}; a schedule must map progress "
            "in [0, 1] to a factor in [0, 1]. Rescale the callable, and set the magnitude in "
            "lambda_max or lr."
        )
    return factor


def check_schedule(name: str, schedule: str | Schedule, table: dict[str, Schedule]) -> None:
    """Raise before training if a callable schedule leaves [0, 1] at any point of a fine grid."""
    if not isinstance(schedule, str):
        for step in range(101):
            evaluate_schedule(name, schedule, table, step / 100)
