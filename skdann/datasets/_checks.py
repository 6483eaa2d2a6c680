"""Check of a numeric parameter."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any


def check_number(
    name: str,
    value: Any,
    *,
    example: float,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    is_integer: bool = False,
) -> None:
    """Raise unless value is a finite number within the bounds, or an integer if required."""
    is_number = isinstance(value, Integral if is_integer else Real) and not isinstance(value, bool)
    if is_number and math.isfinite(value) and minimum <= value <= maximum:
        return
    expected = "an integer" if is_integer else "a finite number"
    expected += f" >= {minimum:g}" if minimum > -math.inf else ""
    expected += f" and <= {maximum:g}" if maximum < math.inf else ""
    raise ValueError(f"{name}={value!r} is not {expected}; pass e.g. {name}={example}.")
