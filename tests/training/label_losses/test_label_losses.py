"""What every label loss of numbers has in common."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skdann import DANNRegressor
from skdann._input.domains import check_domains
from skdann._input.numeric_labels import LabelScale, check_numbers, with_label_scale
from skdann._training.fitting import measure_columns, new_net, prepare
from skdann._training.label_losses import LABEL_LOSSES, NUMBER_LOSSES
from skdann._training.objective import ADVERSARIES
from skdann._training.params import DataShape
from tests.training.label_losses.common import new_loss, numbers

every_loss = pytest.mark.parametrize("name", NUMBER_LOSSES)


def test_the_regressor_offers_every_loss_of_numbers():
    options = DANNRegressor._parameter_constraints["loss"][0].options
    assert options == set(NUMBER_LOSSES) == set(LABEL_LOSSES) - {"cross_entropy"}


@every_loss
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("n_outputs", [1, 2])
def test_the_closed_form_is_the_gradient_of_autograd(name, n_members, n_outputs):
    loss = new_loss(name, quantile=0.3)
    outputs, y, weight = numbers(n_members, n_outputs=n_outputs)
    outputs.requires_grad_()
    loss.total(outputs, y, weight).sum().backward()
    assert outputs.grad.abs().min() > 1e-4
    assert_allclose(loss.gradient(outputs.detach(), y, weight), outputs.grad, rtol=1e-12)


@every_loss
def test_the_gradient_at_the_label_is_zero_on_both_paths(name):
    loss = new_loss(name, quantile=0.3)
    _, y, weight = numbers()
    outputs = y.clone().unsqueeze(0).requires_grad_()
    loss.total(outputs, y, weight).backward()
    assert not outputs.grad.any()
    assert not loss.gradient(outputs.detach(), y, weight).any()


@every_loss
def test_the_total_is_one_number_per_member(name):
    outputs, y, weight = numbers(3)
    loss = new_loss(name)
    together = loss.total(outputs, y, weight)
    assert together.shape == (3,)
    for member in range(3):
        alone = loss.total(outputs[member : member + 1], y[member], weight[member])
        assert alone.item() == pytest.approx(together[member].item())


@every_loss
def test_a_constant_has_the_least_loss_where_the_loss_says(name):
    y = torch.from_numpy(np.random.default_rng(0).exponential(size=1001)).unsqueeze(-1)
    best = {
        "squared_error": y.mean(),
        "absolute_error": y.median(),
        "quantile": y.quantile(0.8, interpolation="nearest"),
    }[name]
    weight = torch.full((1001,), 1 / 1001, dtype=torch.float64)
    loss = new_loss(name, quantile=0.8)
    at = [loss.total(torch.full_like(y, float(best) + d), y, weight) for d in (-0.05, 0.0, 0.05)]
    assert at[1] < min(at[0], at[2])


@every_loss
@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("lambda_max", [0.0, 0.7])
def test_a_step_in_closed_form_equals_one_of_autograd(name, n_members, lambda_max, domains):
    y = np.stack([domains.X_source[:, 0] ** 2, domains.X_source[:, 1]], axis=1)
    data = check_domains(domains.X_source, y, domains.X_target, read_labels=check_numbers)
    data = with_label_scale(data, LabelScale.measure(data.y, None, is_vector=False))
    estimator = DANNRegressor(loss=name, quantile=0.2, lambda_max=lambda_max, dropout=0.0)
    gradients = []
    for uses_closed_form in (True, False):
        net = new_net(
            estimator,
            DataShape.of(data),
            range(n_members),
            lambdas=[lambda_max] * n_members,
            scalings=["source"] * n_members,
        )
        fit_data = prepare(estimator, data)
        measure_columns(net, fit_data)
        net.module_.train()
        step = net._new_step(ADVERSARIES["grl"](net.module_, net.training))
        assert step.analytic is not None
        if not uses_closed_form:
            step.analytic = None
        batch = next(iter(net._batches(fit_data).epoch()))
        step.take(batch, net.lambda_at(1.0))
        gradients.append({k: p.grad.clone() for k, p in net.module_.named_parameters()})
    for parameter, value in gradients[0].items():
        assert_allclose(value, gradients[1][parameter], rtol=1e-4, atol=1e-6, err_msg=parameter)
