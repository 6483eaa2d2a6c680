"""Small tables of two domains, and comparisons of errors."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from skdann import DANNClassifier

COLUMNS = ["a", "b", "c", "d"]


_rng = np.random.default_rng(1)
XS, XT = _rng.normal(size=(40, 4)), _rng.normal(size=(30, 4)) + 0.5
YS = np.arange(40) % 2
ONES = np.ones(40)


def put(X: np.ndarray, value: Any, dtype: Any = None) -> np.ndarray:
    """Copy of X with another value in the third row of the second column."""
    X = X.astype(dtype or X.dtype)
    X[2, 1] = value
    return X


def pandas(X: np.ndarray, columns: Any = COLUMNS) -> pd.DataFrame:
    return pd.DataFrame(X, columns=columns)


def polars(X: np.ndarray, columns: Any = COLUMNS) -> pl.DataFrame:
    return pl.DataFrame(X, schema=columns)


def fitted_attributes(estimator: Any) -> list[str]:
    return [name for name in vars(estimator) if name.endswith("_") and not name.startswith("__")]


def state(clf: DANNClassifier) -> dict[str, Any]:
    """Fitted attributes, with weights and random generators by value, and who holds them."""
    tensors = {**clf.module_.state_dict()}
    tensors |= {name: g.get_state() for name, g in clf.net_.generators_[0].items()}
    return {
        "tensors": {name: value.tolist() for name, value in tensors.items()},
        "optimizer": str(clf.net_.optimizer_.state_dict()),
        "net": id(clf.net_),
        "attributes": {
            name: np.asarray(getattr(clf, name)).tolist()
            for name in fitted_attributes(clf)
            if name not in ("net_", "module_")
        },
    }


def assert_says(error: BaseException, patterns: tuple[str, ...]) -> None:
    for pattern in patterns:
        assert re.search(pattern, str(error)), f"{pattern!r} is not in: {error}"
