"""Deep embedded validation, against its equation by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skdann.model_selection import DeepEmbeddedValidationScorer
from skdann.model_selection._embedded import deep_embedded_risk
from tests.model_selection.common import Odds, weighted_case


@pytest.mark.parametrize("loss", ["log_loss", "zero_one"])
def test_deep_embedded_validation_by_hand(loss: str) -> None:
    clf, X, y, X_target, ratio = weighted_case()
    weights = [min(w, np.sqrt(8)) for w in ratio]
    proba = clf.predict_proba(X)
    if loss == "log_loss":
        losses = [-np.log(proba[i, label]) for i, label in enumerate(y)]
    else:
        losses = [float(proba[i, label] < 0.5) for i, label in enumerate(y)]
    products = [w * value for w, value in zip(weights, losses, strict=True)]
    mean_w, mean_p = sum(weights) / 8, sum(products) / 8
    covariance = sum((w - mean_w) * (p - mean_p) for w, p in zip(weights, products, strict=True))
    variance = sum((w - mean_w) ** 2 for w in weights)
    expected = mean_p - covariance / variance * (mean_w - 1)
    scorer = DeepEmbeddedValidationScorer(X_target, loss=loss, weight_estimator=Odds())
    assert_allclose(scorer(clf, X, y), -expected, rtol=1e-12)
    assert_allclose(scorer.evaluate(clf, X, y).weights, weights, rtol=1e-12)


@given(st.floats(0, 5), st.integers(0, 2**31))
def test_the_risk_of_a_constant_loss_is_that_loss(loss: float, seed: int) -> None:
    weights = np.random.default_rng(seed).exponential(size=20) * 3.0
    assert_allclose(deep_embedded_risk(np.full(20, loss), weights), loss, atol=1e-9)


def test_equal_weights_give_the_weighted_mean() -> None:
    losses = np.array([0.5, 2.0, 0.1])
    assert_allclose(deep_embedded_risk(losses, np.ones(3)), losses.mean())
    assert_allclose(deep_embedded_risk(losses[:1], np.array([2.0])), 1.0)


def test_the_control_variate_reduces_the_variance() -> None:
    rng = np.random.default_rng(0)
    plain, controlled = [], []
    for _ in range(200):
        x = rng.normal(size=200)
        weights, losses = np.exp(x - 0.5), 1.0 + 0.2 * rng.normal(size=200)
        plain.append((weights * losses).mean())
        controlled.append(deep_embedded_risk(losses, weights))
    assert np.std(controlled) < 0.5 * np.std(plain)
    assert abs(np.mean(controlled) - 1.0) < 0.01
