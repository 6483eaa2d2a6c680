"""Fits, and frames whose columns have names of any type."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from skdann import DANNClassifier
from tests.input.common import OTHER_NAMES, XS, XT, YS, make_clf


@pytest.fixture(scope="module")
def dense() -> DANNClassifier:
    return make_clf().fit(XS, YS, XT)


@pytest.fixture(params=OTHER_NAMES)
def frame(request: pytest.FixtureRequest) -> Callable[[np.ndarray], pd.DataFrame]:
    return lambda X: pd.DataFrame(X, columns=OTHER_NAMES[request.param])
