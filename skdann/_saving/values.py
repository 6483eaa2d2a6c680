"""JSON for plain values: numbers, strings, booleans, None; lists, tuples and dicts of these."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def encode(value: Any) -> Any:
    """Convert a plain value to JSON, reversed by `decode`; raise TypeError for other values."""
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
    """Convert JSON from `encode` back to the value."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        ((kind, content),) = value.items()
        return {"tuple": tuple, "dict": dict, "float": float}[kind](decode(content))
    return value


def encode_values(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the plain values, encoded, and the type names of the others."""
    plain, others = {}, {}
    for name, value in values.items():
        try:
            plain[name] = encode(value)
        except TypeError:
            others[name] = getattr(value, "__qualname__", type(value).__qualname__)
    return plain, others


def decode_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Decode the values from `encode_values`."""
    return {name: decode(value) for name, value in values.items()}
