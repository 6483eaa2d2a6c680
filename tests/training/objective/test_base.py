"""What every adversary promises to a step: closed form and record."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skdann._input.domains import check_domains
from skdann._training.fitting import new_net, prepare
from skdann._training.objective import ADVERSARIES
from skdann._training.params import DataShape
from skdann._training.record import EpochSums
from skdann._training.step import Step
from tests.training.objective.common import NAMES, assert_equal_weights, every_adversary

CLOSED = [name for name in NAMES if ADVERSARIES[name].has_closed_form]


KINDS_OF_ROWS = ["one member", "three members", "several domains", "three members, several domains"]


@pytest.fixture
def make_net(make, domains, several):
    """Make a net in training mode, and the batches of an epoch."""

    def make_net(adversarial, kind="one member", *, lambdas=None, **params):
        rows, given = several if "several" in kind else (domains[:3], {})
        data = check_domains(*rows, **given)
        estimator = make(adversarial, activation="tanh", dropout=0.0, **params)
        n_members = 3 if "three" in kind else 1
        lambdas = lambdas or [0.7, 2.0, 0.1][:n_members]
        fit_data = prepare(estimator, data)
        if n_members > 1:  # members train on different rows
            train = [np.roll(np.arange(40), 9 * index)[:32] for index in range(n_members)]
            fit_data = fit_data._replace(train=np.stack(train))
        net = new_net(
            estimator,
            DataShape.of(data),
            range(n_members),
            lambdas=lambdas,
            scalings=[None] * n_members,
        )
        net.module_.train()
        return net, list(net._batches(fit_data).epoch())

    return make_net


def new_adversary(net):
    return ADVERSARIES[net.training.adversarial](net.module_, net.training)


def new_step(net, **changed):
    how = {"has_targets": True, "is_adversarial": True, "keeps_domains_apart": False, **changed}
    return Step(net.module_, net.optimizer_, new_adversary(net), net.label_loss, **how)


def gradients_of(net):
    return {name: p.grad.clone() for name, p in net.module_.named_parameters()}


def assert_close_gradients(actual, expected):
    assert actual.keys() == expected.keys()
    for name, grad in actual.items():
        assert expected[name].abs().max() > 1e-5, name
        assert_allclose(grad, expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


WEIGHTS = [
    {},
    {"domain_loss_weight": 3.0, "label_smoothing": 0.1, "domain_label_smoothing": 0.2},
]


@pytest.mark.parametrize("adversarial", CLOSED)
@pytest.mark.parametrize("kind", KINDS_OF_ROWS)
@pytest.mark.parametrize("params", WEIGHTS, ids=str)
def test_the_closed_form_equals_autograd(adversarial, kind, params, make_net):
    """Every gradient of a step; lambda is a tensor if there are several members."""
    net, batches = make_net(adversarial, kind, **params)
    lambda_ = net.lambda_at(1.0)
    assert isinstance(lambda_, torch.Tensor) == ("three" in kind)
    step = new_step(net)
    assert step.analytic is not None
    for batch in batches:
        logits, kept = step.analytic.write(batch, lambda_)
        actual = gradients_of(net)
        _, outputs = step._differentiate(batch, lambda_)
        assert_close_gradients(actual, gradients_of(net))
        assert_allclose(logits.squeeze(0), outputs.logits.detach(), atol=1e-6)
        for tensor, other in zip(kept, outputs.domain, strict=True):
            assert_allclose(tensor.squeeze(0), other.squeeze(0), rtol=1e-5, atol=1e-6)


@every_adversary
@pytest.mark.parametrize("kind", KINDS_OF_ROWS)
@pytest.mark.parametrize("params", WEIGHTS, ids=str)
def test_the_closed_form_of_the_step_at_rest_equals_autograd(adversarial, kind, params, make_net):
    net, batches = make_net(adversarial, kind, **params)
    step = new_step(net, is_adversarial=False)
    for batch in batches:
        _, kept = step.analytic.write_labels_only(batch, has_targets=True)
        actual = gradients_of(net)
        _, outputs = step._differentiate(batch, 0.0)
        assert_close_gradients(actual, gradients_of(net))
        for tensor, other in zip(kept, outputs.domain, strict=True):
            assert_allclose(tensor.squeeze(0), other.squeeze(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("adversarial", CLOSED)
def test_one_member_takes_lambda_as_a_tensor_too(adversarial, make_net):
    net, batches = make_net(adversarial)
    step, both = new_step(net), []
    for lambda_ in (0.7, torch.full((1, 1, 1), 0.7)):
        step.analytic.write(batches[0], lambda_)
        both.append(gradients_of(net))
    assert_equal_weights(*both)


@every_adversary
@pytest.mark.parametrize("kind", KINDS_OF_ROWS)
def test_autograd_takes_lambda_as_a_tensor_too(adversarial, kind, make_net):
    """Equal lambdas of all members, as a number and as a tensor, give equal gradients."""
    both = []
    for is_tensor in (False, True):
        net, batches = make_net(adversarial, kind, optimizer="sgd")
        lambda_ = torch.full((net.n_members, 1, 1), 0.7) if is_tensor else 0.7
        new_step(net)._differentiate(batches[0], lambda_)
        both.append({n: p.grad for n, p in net.module_.named_parameters() if p.grad is not None})
    assert both[0].keys() == both[1].keys()
    assert any("feature_extractor" in name for name in both[0])
    for name, grad in both[0].items():
        assert_allclose(both[1][name], grad, rtol=1e-5, atol=1e-7, err_msg=name)


@every_adversary
@pytest.mark.parametrize("kind", KINDS_OF_ROWS)
@pytest.mark.parametrize("is_adversarial", [True, False])
@pytest.mark.parametrize("uses_closed_form", [True, False])
def test_the_record_of_joined_steps_is_the_mean_over_the_steps(
    adversarial, kind, is_adversarial, uses_closed_form, make_net
):
    # 7 rows of 40 or 32: the steps of an epoch differ by a row
    net, batches = make_net(adversarial, kind, batch_size=7, domain_label_smoothing=0.1)
    assert len({batch.y.shape[-1] for batch in batches}) == 2
    step = new_step(net, is_adversarial=is_adversarial)
    if not uses_closed_form:
        step.analytic = None
    outputs = [step.take(batch, net.lambda_at(1.0)) for batch in batches]
    joined = EpochSums(new_adversary(net), net.label_loss, 1.0)
    for output in outputs:
        joined.add(output)
    alone, n_rows = [], [batch.domain_weight.shape[-1] for batch in batches]
    for output in outputs:
        sums = EpochSums(new_adversary(net), net.label_loss, 1.0)
        sums.add(output)
        alone.append(sums.means())
    assert joined.means().keys() == alone[0].keys() >= {"label_loss", "domain_loss"}
    for name, value in joined.means().items():
        share = n_rows if name == "domain_accuracy" else None
        expected = np.average([means[name] for means in alone], axis=0, weights=share)
        assert np.shape(value) == (() if net.n_members == 1 else (3,))
        assert_allclose(value, expected, rtol=1e-5, atol=1e-7, err_msg=name)


@every_adversary
@pytest.mark.parametrize("conditioning", [None, "cdan"])
def test_the_domain_loss_is_recorded_as_it_is_before_the_step(adversarial, conditioning, make_net):
    """Of what :meth:`DANNModule.condition` leaves of the features, and without lambda."""
    net, (batch, *_) = make_net(adversarial, conditioning=conditioning, optimizer="sgd")
    adversary, module = new_adversary(net), net.module_
    features = module.extract_features(batch.x, batch.rows)
    seen = module.condition(features, batch.rows)
    assert seen.shape[-1] == (16 if conditioning else 8)
    _, at_rest = adversary.loss_at_rest(seen.detach(), batch)
    adversary.begin(features, batch, net.optimizer_)
    _, kept = adversary.loss(features, batch, 0.7)
    actual, other = (adversary.totals(*tensors, n_steps=1) for tensors in (kept, at_rest))
    assert actual.keys() == other.keys()
    for name, (value, _) in actual.items():
        assert value.item() == pytest.approx(other[name][0].item(), rel=1e-5)
    assert actual["domain_loss"][0] > 1e-6
