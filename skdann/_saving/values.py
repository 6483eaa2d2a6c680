"""Plain values as JSON: numbers, strings, booleans, None, and lists, tuples and dicts of these."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def encode(value: Any) -> Any:
    """Write a plain value as JSON that `decode` gives back; TypeError for any other."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": encode(list(value))}
    if isinstance(value, dict):
        return {"dict": encode([list(item) for item in value.items()])}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} is not a plain value.")


def decode(value: Any) -> Any:
    """Read what `encode` wrote."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        ((kind, content),) = value.items()
        return {"tuple": tuple, "dict": dict, "float": float}[kind](decode(content))
    return value


def encode_values(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Encode the plain ones of named values; name the types of the others."""
    plain, others = {}, {}
    for name, value in values.items():
        try:
            plain[name] = encode(value)
        except TypeError:
            others[name] = getattr(value, "__qualname__", type(value).__qualname__)
    return plain, others


def decode_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Read what `encode_values` wrote."""
    return {name: decode(value) for name, value in values.items()}
