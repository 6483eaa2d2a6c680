"""Generators and seeds from `random_state`; numpy's global state is neither read nor changed."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state


def make_generator(random_state: Any) -> np.random.RandomState:
    """Return a generator seeded by an int, a RandomState unchanged, or a fresh one for None."""
    fresh = np.random.RandomState() if random_state is None else random_state
    generator: np.random.RandomState = check_random_state(fresh)
    return generator


def draw_seed(random_state: Any) -> int:
    """Return an int unchanged, or draw a seed from a RandomState, or fresh entropy for None."""
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(make_generator(random_state).randint(2**31 - 1))


def derive_seed(random_state: Any) -> int:
    """Draw a seed from the generator of `random_state`.

    Unlike :func:`draw_seed`, this also draws if `random_state` is an int. A caller that uses the
    int as a seed and passes it on thus gets independent draws.
    """
    return int(make_generator(random_state).randint(2**31))
