"""Alternating updates, against the equations in plain torch."""

from __future__ import annotations

import pytest

from tests.training.common import (
    LAMBDA,
    LR,
    ONE_STEP,
    Weights,
    as_variables,
    assert_weights,
    by_hand_gradients,
    domains,
    fit,
    stacked,
)


@pytest.mark.parametrize("domain_steps", [1, 3])
def test_alternating_updates_the_domain_classifier_first(domain_steps):
    X, y, targets = domains()
    spy = Weights()
    changed = {
        "adversarial": "alternating",
        "domain_steps": domain_steps,
        "domain_loss_weight": 0.8,
    }
    clf = fit({**ONE_STEP, **changed, "callbacks": [spy]}, X, y, targets)
    w, rows = as_variables(spy.initial_), stacked(X, y, targets)

    def moved(w, gradients, *networks):
        return {
            name: (w[name] - LR * gradients[name] if name.startswith(networks) else w[name])
            .detach()
            .requires_grad_()
            for name in w
        }

    for _ in range(domain_steps):
        gradients, *_ = by_hand_gradients(w, *rows, LAMBDA, weight=0.8)
        w = moved(w, gradients, "domain_classifier")
    gradients, *_ = by_hand_gradients(w, *rows, LAMBDA, weight=0.8)
    w = moved(w, gradients, "feature_extractor", "label_predictor")
    assert_weights(clf.module_, w)
