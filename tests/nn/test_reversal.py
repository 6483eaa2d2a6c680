"""Gradient reversal, against autograd's gradient, negated and scaled."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from skdann.nn import GradientReversal, gradient_reversal
from tests.nn.common import closely, curved, exactly, normal


def gradient(function, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(function(x), x)[0]


LAMBDAS = {
    "zero": 0.0,
    "float": 0.37,
    "above one": 2.5,
    "integer": 2,
    "0-d": torch.tensor(0.37, dtype=torch.float64),
    "float32": torch.tensor(0.375),
    "(K, 1, 1)": torch.tensor([0.0, 0.4, 1.7], dtype=torch.float64).view(3, 1, 1),
    "(K, n, d)": normal(3, 5, 4, seed=7).abs(),
}
every_lambda = pytest.mark.parametrize("lambda_", LAMBDAS.values(), ids=LAMBDAS.keys())


@every_lambda
def test_reversed_gradient_is_the_negated_and_scaled_autograd_gradient(lambda_):
    x = normal(3, 5, 4)
    plain = gradient(curved, x)
    closely(gradient(lambda x: curved(gradient_reversal(x, lambda_)), x), -lambda_ * plain)


@settings(deadline=None)
@given(st.floats(0, 100), st.integers(0, 2**31))
def test_reversed_gradient_for_any_lambda_and_point(lambda_, seed):
    x = normal(6, seed=seed)
    closely(
        gradient(lambda x: curved(gradient_reversal(x, lambda_)), x), -lambda_ * gradient(curved, x)
    )


@every_lambda
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_forward_is_the_identity_bit_for_bit(lambda_, dtype):
    x = normal(3, 5, 4, dtype=dtype)
    x[0, 0, :3] = torch.tensor([math.inf, -0.0, 1e-45])
    y = gradient_reversal(x, lambda_)
    exactly(y, x)
    assert torch.equal(torch.signbit(y), torch.signbit(x))


def test_gradient_keeps_the_dtype_of_the_input():
    x = torch.ones(3, dtype=torch.float32, requires_grad=True)
    gradient_reversal(x, torch.tensor(0.5, dtype=torch.float64)).sum().backward()
    assert x.grad.dtype == torch.float32


def test_nested_reversals_multiply():
    x = normal(5, 4)
    nested = gradient(lambda x: curved(gradient_reversal(gradient_reversal(x, 0.3), 1.9)), x)
    closely(nested, 0.3 * 1.9 * gradient(curved, x))


def test_double_backward_reverses_twice():
    # the derivative of -lambda f'(R(x)) passes the reversal again: lambda^2 f''
    x = normal(6).requires_grad_()
    (first,) = torch.autograd.grad(curved(gradient_reversal(x, 0.7)), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    closely(second, 0.7**2 * 2.0 * x.detach().exp() * x.detach().cos())


def test_works_under_vmap_with_one_lambda_and_with_one_lambda_each():
    x, lambdas = normal(4, 5), torch.tensor([0.0, 0.5, 1.0, 3.0], dtype=torch.float64)
    plain = gradient(curved, x)
    reverse = torch.func.grad(lambda x, lambda_: curved(gradient_reversal(x, lambda_)))
    closely(torch.func.vmap(reverse, in_dims=(0, None))(x, 0.5), -0.5 * plain)
    closely(torch.func.vmap(reverse)(x, lambdas), -lambdas[:, None] * plain)


def test_lambda_gets_no_gradient():
    x = normal(3).requires_grad_()
    lambda_ = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    curved(gradient_reversal(x, lambda_)).backward()
    assert lambda_.grad is None
    assert x.grad is not None


def test_reversal_affects_only_the_path_through_it():
    x = normal(5)
    both = gradient(lambda x: curved(x) + curved(gradient_reversal(2.0 * x, 0.3)), x)
    closely(both, gradient(curved, x) - 0.3 * gradient(lambda x: curved(2.0 * x), x))


def test_in_place_layers_may_follow():
    x = normal(5)
    reversed_ = gradient(lambda x: nn.ReLU(inplace=True)(gradient_reversal(x.sin(), 0.5)).sum(), x)
    closely(reversed_, -0.5 * gradient(lambda x: x.sin().relu().sum(), x))


def test_reversal_as_a_layer():
    layer, x = GradientReversal(0.25), normal(5)
    closely(gradient(lambda x: curved(layer(x)), x), -0.25 * gradient(curved, x))
    assert repr(layer) == "GradientReversal(lambda_=0.25)"
    layer.lambda_ = 2.0
    closely(gradient(lambda x: curved(layer(x)), x), -2.0 * gradient(curved, x))
    assert repr(nn.Sequential(GradientReversal(), nn.ReLU())).count("lambda_=1.0") == 1
    assert list(layer.parameters()) == []


@pytest.mark.parametrize(
    "lambda_", [-0.8, -1, np.float64(-0.1), math.nan, torch.tensor(-1.0), torch.tensor([0.5, -0.1])]
)
def test_a_negative_lambda_is_refused(lambda_):
    """Other packages, such as layers for Keras, take the sign from the caller."""
    says = r"must be >= 0: the layer changes the sign .* by itself"
    layer = GradientReversal()
    layer.lambda_ = lambda_
    for call in (
        lambda: GradientReversal(lambda_),
        lambda: gradient_reversal(normal(2), lambda_),
        lambda: layer(normal(2)),
    ):
        with pytest.raises(ValueError, match=says):
            call()


def test_other_types_are_refused():
    with pytest.raises(TypeError, match=r"lambda_='0\.3' must be a number"):
        GradientReversal("0.3")
    with pytest.raises(TypeError, match="x must be a tensor but is a ndarray"):
        gradient_reversal(np.zeros(2))
