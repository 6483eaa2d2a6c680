"""Shifted rows."""

from __future__ import annotations

import numpy as np
import pytest

from skdann.datasets import make_covariate_shift


@pytest.fixture
def shifted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source rows, labels, and fewer target rows."""
    X, y, X_target, _ = make_covariate_shift(120, shift=1.0, random_state=0)
    return X, y, X_target[:70]
