"""Gradient reversal, against autograd's gradient."""

from __future__ import annotations

import pytest
import torch
from numpy.testing import assert_allclose

from skdann._training.analytic import AnalyticGradients
from skdann._training.losses import domain_loss
from skdann._training.objective.reversal import Reversal
from tests.training.objective.common import (
    LAMBDAS,
    features_of,
    params_of,
    plain_batch,
    plain_module,
)


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("n_domains", [2, 4])
@pytest.mark.parametrize("path", ["autograd", "closed form"])
def test_reversal_gives_the_features_minus_lambda_times_the_gradient(n_members, n_domains, path):
    module = plain_module(1 if n_domains == 2 else n_domains, n_members)
    batch = plain_batch(n_domains, n_members)
    adversary = Reversal(module, params_of("grl", domain_label_smoothing=0.1))
    features = features_of(module, batch)
    plain = domain_loss(
        module.classify_domains(features), batch.domain, batch.domain_weight, 0.1
    ).sum()
    (expected,) = torch.autograd.grad(plain, features)
    if path == "autograd":
        loss, _ = adversary.loss(features, batch, LAMBDAS[n_members])
        assert_allclose(loss.sum().item(), plain.item(), rtol=1e-6)
        (actual,) = torch.autograd.grad(loss.sum(), features)
    else:
        chain = AnalyticGradients.of(module, adversary, None).classifier
        rows = features.detach().view(n_members, 9, 4)
        with torch.no_grad():
            actual, _ = adversary.write_gradients(chain, rows, batch, LAMBDAS[n_members])
    assert expected.abs().max() > 1e-3
    assert_allclose(actual.view_as(expected), -LAMBDAS[n_members] * expected, rtol=1e-4, atol=1e-7)
