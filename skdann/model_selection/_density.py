"""Importance weights for scorers, cached across the candidates of a search.

Weights depend on the rows alone, and a search scores every candidate on the same folds.
"""

from __future__ import annotations

from collections import OrderedDict
from numbers import Integral
from typing import Any

import joblib
from numpy.typing import NDArray

from skdann.metrics import importance_weights

_Array = NDArray[Any]

_CACHE: OrderedDict[str, _Array] = OrderedDict()  # by hash of rows and options
_CACHE_SIZE = 32


def source_weights(X: Any, X_target: Any, **options: Any) -> _Array:
    """Return the weights of source rows, from the cache if the same rows were weighted before."""
    if not isinstance(options["random_state"], Integral):
        return _weigh(X, X_target, options)
    key = joblib.hash((X, X_target, options))
    if key not in _CACHE:
        _CACHE[key] = _weigh(X, X_target, options)
        while len(_CACHE) > _CACHE_SIZE:
            _CACHE.popitem(last=False)
    return _CACHE[key].copy()


def _weigh(X: Any, X_target: Any, options: dict[str, Any]) -> _Array:
    """Compute the weights, and raise if all of them are 0."""
    weights = importance_weights(X, X_target, **options)
    if not weights.any():
        raise ValueError(
            "All importance weights are 0, because no source row resembles a target row; use a "
            "scorer that uses the target alone."
        )
    return weights
