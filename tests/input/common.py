"""Small tables in several containers, and a classifier for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from skdann import DANNClassifier

_rng = np.random.default_rng(5)
# float32 numbers, which every container and dtype below holds exactly
XS, XT = (_rng.normal(size=(n, 2)).astype(np.float32) for n in (40, 30))
YS = (XS[:, 0] > 0).astype(int)
WORDS = np.array(["no", "yes"])[YS]
NAMES = ["a", "b"]

METHODS = ("predict", "predict_proba", "transform")


def pandas(X: Any, **kwargs: Any) -> pd.DataFrame:
    return pd.DataFrame(X, columns=NAMES, **kwargs)


def arrow(X: np.ndarray) -> pa.Table:
    return pa.table({name: X[:, i] for i, name in enumerate(NAMES)})


def polars(X: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(X, schema=NAMES)


def make_clf(**params: Any) -> DANNClassifier:
    return DANNClassifier(
        **{"feature_extractor": (6,), "max_epochs": 2, "batch_size": 16, "random_state": 0} | params
    )


MASK = np.arange(40) % 7 == 0


OTHER_NAMES = {
    "numbers": [1, 0],
    "floats": [0.5, 2],
    "pairs": pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]),
    "dates": pd.to_datetime(["2020-01-01", "2021-01-01"]),
    "booleans": [True, False],
}
