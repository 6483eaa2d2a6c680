"""Importance weights for scorers, remembered for the candidates of a search.

Weights depend on rows alone, and a search scores every candidate on the same folds.
"""

from __future__ import annotations

from collections import OrderedDict
from numbers import Integral
from typing import Any

import joblib
from numpy.typing import NDArray

from skdann.metrics import importance_weights

_Array = NDArray[Any]

_KNOWN: OrderedDict[str, _Array] = OrderedDict()  # by hash of the rows and options
_N_KNOWN = 32


def source_weights(X: Any, X_target: Any, **options: Any) -> _Array:
    """Return the weights of source rows, from memory where the same were weighted before."""
    if not isinstance(options["random_state"], Integral):
        return _weigh(X, X_target, options)
    key = joblib.hash((X, X_target, options))
    if key not in _KNOWN:
        _KNOWN[key] = _weigh(X, X_target, options)
        while len(_KNOWN) > _N_KNOWN:
            _KNOWN.popitem(last=False)
    return _KNOWN[key].copy()


def _weigh(X: Any, X_target: Any, options: dict[str, Any]) -> _Array:
    weights = importance_weights(X, X_target, **options)
    if not weights.any():
        raise ValueError(
            "All importance weights are 0, as no source row looks like a target row; use a scorer "
            "that looks at the target alone."
        )
    return weights
