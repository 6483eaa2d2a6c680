"""The non-saturating loss, against its equation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skdann._training.losses import domain_loss
from skdann._training.objective.alternating import Alternating
from skdann._training.objective.non_saturating import NonSaturating, inverted_domain_loss
from skdann._training.objective.reversal import Reversal
from tests.training.objective.common import (
    LAMBDAS,
    features_of,
    params_of,
    plain_batch,
    plain_module,
    weights_of,
)


def reference_inverted_loss(logits, domain, weight):
    """The sum of -log(1 - p) from the softmax or the sigmoid, in float64."""
    logits = np.asarray(logits, dtype=np.float64)
    if logits.shape[-1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], -1)
    proba = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    p = np.take_along_axis(proba, np.asarray(domain)[:, None], -1)[:, 0]
    return -(np.asarray(weight, dtype=np.float64) * np.log1p(-p)).sum()


@pytest.mark.parametrize("n_columns", [1, 2, 3, 5])
def test_inverted_loss_equals_its_equation(n_columns):
    rng = np.random.default_rng(n_columns)
    logits = torch.from_numpy(3.0 * rng.normal(size=(30, n_columns)).astype(np.float32))
    domain = torch.from_numpy(rng.integers(max(2, n_columns), size=30))
    weight = torch.from_numpy(rng.random(30).astype(np.float32))
    expected = reference_inverted_loss(logits, domain, weight)
    assert inverted_domain_loss(logits, domain, weight).item() == pytest.approx(expected, rel=1e-5)
    members = torch.stack([logits, -logits, 2.0 * logits])
    losses = inverted_domain_loss(members, domain, weight.expand(3, 30))
    for loss, member in zip(losses, members, strict=True):
        expected = reference_inverted_loss(member, domain, weight)
        assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("n_columns", [1, 2])
def test_inverted_loss_of_two_domains_exchanges_their_labels(n_columns):
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(20, n_columns)))
    domain, weight = torch.arange(20) % 2, torch.from_numpy(rng.random(20))
    actual = inverted_domain_loss(logits, domain, weight)
    assert_allclose(actual, domain_loss(logits, 1 - domain, weight, 0.0), rtol=1e-12)


def test_inverted_loss_of_three_domains_by_hand():
    logits = torch.tensor([[1.0, 2.0, 5.0]]).log()  # probabilities 1/8, 2/8, 5/8
    one = torch.ones(1)
    for domain, other in enumerate([7 / 8, 6 / 8, 3 / 8]):
        loss = inverted_domain_loss(logits, torch.tensor([domain]), one)
        assert loss.item() == pytest.approx(-math.log(other), rel=1e-6)


@pytest.mark.parametrize("n_columns", [1, 2, 3])
@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_inverted_loss_of_huge_logits_is_finite(n_columns, size):
    logits = torch.zeros(2, n_columns)
    logits[:, -1] = size
    logits.requires_grad_()
    domain = torch.tensor([max(1, n_columns - 1), 0])  # where the logit is right, and wrong
    losses = [
        inverted_domain_loss(logits[i : i + 1], domain[i : i + 1], torch.ones(1)) for i in (0, 1)
    ]
    rest = math.log(n_columns - 1) if n_columns > 1 else 0.0
    assert losses[0].item() == pytest.approx(size - rest)
    assert losses[1].item() == pytest.approx(0.0, abs=1e-6)
    (grad,) = torch.autograd.grad(sum(losses), logits)
    assert grad[0, -1].item() == pytest.approx(1.0)  # large where G_d is right with certainty
    assert grad[1].abs().max() < 1e-6


@pytest.mark.parametrize("shift", [0.0, 1000.0])
@pytest.mark.parametrize("logit", [0.5, -20.0])
def test_inverted_loss_keeps_its_precision(shift, logit):
    """Where all logits are large, and where p is small."""
    row = [[0.0, logit, 1.0]]
    loss = inverted_domain_loss(torch.tensor(row) + shift, torch.tensor([1]), torch.ones(1))
    assert loss.item() == pytest.approx(reference_inverted_loss(row, [1], [1.0]), rel=1e-5)


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("n_domains", [2, 4])
@pytest.mark.parametrize(
    ("cls", "sign", "loss_of"),
    [
        (Alternating, -1.0, lambda *given: domain_loss(*given, 0.0)),
        (NonSaturating, 1.0, inverted_domain_loss),
    ],
)
def test_gradient_of_the_features_against_the_updated_domain_classifier(
    cls, sign, loss_of, n_members, n_domains
):
    """Minus lambda times that of the domain loss, or lambda times that of the inverted loss."""
    module = plain_module(1 if n_domains == 2 else n_domains, n_members)
    batch = plain_batch(n_domains, n_members)
    adversary = cls(module, params_of("grl"))
    features, before = features_of(module, batch), module.domain_classifier[0].weight.clone()
    adversary.begin(features, batch, torch.optim.SGD(module.parameters(), lr=0.5))
    assert (module.domain_classifier[0].weight - before).abs().max() > 1e-3
    loss, _ = adversary.loss(features, batch, LAMBDAS[n_members])
    (actual,) = torch.autograd.grad(loss.sum(), features)
    logits = module.classify_domains(features)
    plain = loss_of(logits, batch.domain, batch.domain_weight).sum()
    (expected,) = torch.autograd.grad(plain, features)
    assert expected.abs().max() > 1e-3
    assert_allclose(actual, sign * LAMBDAS[n_members] * expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("domain_steps", [1, 3])
def test_non_saturating_trains_the_domain_classifier_as_alternating_does(
    domain_steps, make, domains
):
    """In one step, of which the features come from equal weights; G_f then moves elsewhere."""
    fits = [
        make(name, domain_steps=domain_steps, batch_size=40, max_epochs=1, standardize=None).fit(
            *domains[:3]
        )
        for name in ("non_saturating", "alternating")
    ]
    weights, other = map(weights_of, fits)
    assert fits[0].history_[0]["domain_loss"] == fits[1].history_[0]["domain_loss"]
    for name, value in weights.items():
        is_alike = name.startswith(("domain_classifier", "label_predictor"))
        assert torch.equal(value, other[name]) == is_alike, name


def test_non_saturating_does_not_vanish_where_the_domain_classifier_is_certain():
    """The gradient of the reversed loss does."""
    module = plain_module(1)
    batch = plain_batch()
    features = torch.zeros(9, 4)
    features[:5, 0], features[5:, 0] = -100.0, 100.0
    with torch.no_grad():
        module.domain_classifier[0].weight.zero_()[0, 0, 0] = 1.0
    largest = {}
    for name, cls in (("grl", Reversal), ("non_saturating", NonSaturating)):
        adversary, inputs = cls(module, params_of(name)), features.clone().requires_grad_()
        adversary.begin(inputs, batch, torch.optim.SGD(module.parameters(), lr=0.0))
        loss, _ = adversary.loss(inputs, batch, 1.0)
        largest[name] = torch.autograd.grad(loss, inputs)[0].abs().max().item()
    assert largest["grl"] < 1e-6
    assert largest["non_saturating"] == pytest.approx(batch.domain_weight.max().item(), rel=1e-5)
