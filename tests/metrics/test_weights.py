"""Importance weights and the effective sample size, by hand and against known ratios."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression

from skdann.metrics import (
    effective_sample_size,
    importance_weights,
)
from tests.metrics.common import FirstColumn, column, pair


class TestImportanceWeights:
    def test_by_hand(self):
        # n_S / n_T * p / (1 - p), limited to sqrt(4) by default
        source, target = column(0.5, 0.2, 0.8, 1.0), column(0.9, 0.9)
        weights = importance_weights(source, target, estimator=FirstColumn(), cv=2)
        assert_allclose(weights, [2.0, 0.5, 2.0, 2.0])
        weights = importance_weights(source, target, estimator=FirstColumn(), cv=2, max_weight=5)
        assert_allclose(weights, [2.0, 0.5, 5.0, 5.0])

    def test_weights_are_corrected_for_the_size_of_the_domains(self):
        X, X_target = pair(n=400, n_target=100)
        prior = DummyClassifier(strategy="prior")
        assert_allclose(importance_weights(X, X_target, estimator=prior), np.ones(400))

    def test_known_ratio(self):
        X, X_target = pair(1.0, n=2000)
        true = np.exp(X[:, 0] - 0.5)
        logistic = importance_weights(X, X_target, estimator=LogisticRegression(), random_state=0)
        assert np.corrcoef(logistic, true)[0, 1] > 0.95
        trees = importance_weights(X, X_target, random_state=0)
        assert np.corrcoef(trees, true)[0, 1] > 0.8
        assert trees.mean() == pytest.approx(1.0, abs=0.15)

    @pytest.mark.parametrize("limit", [0, -1.0, np.nan])
    def test_bad_limit(self, limit):
        with pytest.raises(ValueError, match=r"max_weight=.* must be positive"):
            importance_weights(*pair(), max_weight=limit)


class TestEffectiveSampleSize:
    @pytest.mark.parametrize(
        ("weights", "expected"),
        [([1, 1, 1, 1], 4), ([3, 3], 2), ([0, 5, 0], 1), ([1, 2], 9 / 5), ([0, 0], 0)],
    )
    def test_by_hand(self, weights, expected):
        assert effective_sample_size(weights) == pytest.approx(expected)

    @given(st.lists(st.floats(0, 1e300), min_size=1, max_size=20), st.floats(1e-3, 1e3))
    def test_bounds_and_scale(self, weights, scale):
        size = effective_sample_size(weights)
        assert 0 <= size <= len(weights) * (1 + 1e-9)
        if max(weights) > 1e-290:
            assert size >= 1 - 1e-9
            assert effective_sample_size(np.array(weights) * scale) == pytest.approx(size)

    @pytest.mark.parametrize("bad", [[-1.0, 2.0], [np.nan], [np.inf, 1.0], []])
    def test_bad_weights(self, bad):
        with pytest.raises(ValueError, match=r"weights|minimum"):
            effective_sample_size(bad)
