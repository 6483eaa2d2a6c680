"""Small classifiers and nets with a strong adversary."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def make(make_clf):
    """Make a small classifier with strong adaptation from the first step on."""

    def make(adversarial, **params):
        strong = {"lambda_max": 2.0, "lambda_schedule": "constant", "lr": 0.01}
        return make_clf(adversarial=adversarial, **{**strong, **params})

    return make


@pytest.fixture
def several(domains):
    """Two sources and two targets, with sample weights."""
    rng = np.random.default_rng(5)
    targets = (domains.X_target, 2.0 * domains.X_target[:23] - 1.0)
    weight, domain = rng.uniform(0.2, 2.0, 40), np.arange(40) % 2
    args = (domains.X_source, domains.y_source, targets)
    return args, {"sample_weight": weight, "sample_domain": domain}
