"""Generators and seeds from `random_state`; numpy's global state is neither read nor changed."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state


def make_generator(random_state: Any) -> np.random.RandomState:
    """Return the generator of an int, a RandomState as it is, or a fresh generator for None."""
    fresh = np.random.RandomState() if random_state is None else random_state
    generator: np.random.RandomState = check_random_state(fresh)
    return generator


def draw_seed(random_state: Any) -> int:
    """Return an int as it is, or draw a seed from a RandomState, or from fresh entropy for None."""
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(make_generator(random_state).randint(2**31 - 1))


def derive_seed(random_state: Any) -> int:
    """Draw a seed from the generator of `random_state`, which an int seeds.

    Unlike :func:`draw_seed` it gives another number than an int passed, so that what a caller
    draws by this seed is independent of what it draws by its own.
    """
    return int(make_generator(random_state).randint(2**31))
