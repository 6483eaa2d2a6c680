"""Member layers, against one torch layer for each member."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from skdann.nn import DANNModule, Rows
from skdann.nn._members import (
    MemberDropout,
    MemberLinear,
    RowsSequential,
)
from tests.nn.common import closely, curved, exactly, generators, linears, normal


@pytest.mark.parametrize("n_members", [1, 3])
def test_member_linear_equals_one_torch_layer_per_member(n_members):
    layer = MemberLinear(4, 6, n_members, generators=generators(n_members)).double()
    x = normal(n_members, 7, 4).requires_grad_()
    plain = linears(layer)
    expected = torch.stack([single(rows) for single, rows in zip(plain, x, strict=True)])
    closely(layer(x), expected)
    curved(layer(x)).backward()
    actual = x.grad.clone()
    x.grad = None
    curved(expected).backward()
    closely(actual, x.grad)
    closely(layer.weight.grad, torch.stack([single.weight.grad.T for single in plain]))
    closely(layer.bias.grad[:, 0], torch.stack([single.bias.grad for single in plain]))


def test_two_dimensional_input_is_one_member():
    layer, x = MemberLinear(4, 6, generators=generators(1)).double(), normal(7, 4)
    closely(layer(x), layer(x.unsqueeze(0)).squeeze(0))


def test_several_members_reject_two_dimensional_input():
    layer = MemberLinear(4, 6, 3)
    with pytest.raises((RuntimeError, ValueError)):
        layer(torch.zeros(7, 4))


def test_initial_weights_are_uniform_within_torchs_bounds():
    layer = MemberLinear(25, 400, 2, generators=generators(2))
    for values in (layer.weight.detach(), layer.bias.detach()):
        assert values.abs().max() <= 1 / 5
        assert values.abs().max() > 0.99 / 5
        assert values.mean().abs() < 0.02
        # a uniform distribution on [-b, b] has standard deviation b / sqrt(3)
        assert values.std() == pytest.approx(0.2 / math.sqrt(3), rel=0.05)
    assert not torch.equal(layer.weight[0], layer.weight[1])


def test_equal_generators_give_equal_weights_regardless_of_other_members():
    alone = MemberLinear(4, 6, 1, generators=generators(1, seed=8))
    among = MemberLinear(4, 6, 3, generators=generators(3, seed=7))
    exactly(among.weight[1], alone.weight[0])
    exactly(among.bias[1], alone.bias[0])


def test_passed_generators_leave_the_global_one_unchanged():
    before = torch.get_rng_state()
    MemberLinear(4, 6, 2, generators=generators(2))
    exactly(torch.get_rng_state(), before)


# Batch normalization


@pytest.mark.parametrize("p", [0.1, 0.6])
def test_dropout_zeroes_its_share_and_scales_the_rest(p):
    layer = MemberDropout(p, generators(2), generators(2, seed=50))
    y = layer(torch.ones(2, 200, 100), Rows(100))
    kept = y != 0
    for half in (kept[:, :100], kept[:, 100:]):
        for member in half:
            # five standard deviations of 10,000 draws
            assert member.float().mean() == pytest.approx(
                1 - p, abs=5 * math.sqrt(p * (1 - p) / 1e4)
            )
    assert_close(y[kept], torch.full_like(y[kept], 1 / (1 - p)))
    assert not torch.equal(kept[0], kept[1])
    assert not torch.equal(kept[:, :100], kept[:, 100:])


def test_dropout_of_source_rows_does_not_depend_on_target_rows():
    x = torch.ones(2, 10, 50)
    with_target = MemberDropout(0.5, generators(2), generators(2, seed=50))
    alone = MemberDropout(0.5, generators(2), generators(2, seed=50))
    for _ in range(3):
        exactly(with_target(x, Rows(6))[:, :6], alone(x[:, :6], Rows(6)))


def test_dropout_in_evaluation_changes_nothing_and_draws_nothing():
    layer = MemberDropout(0.5, generators(1), generators(1, seed=50)).eval()
    before = layer.source_generators[0].get_state()
    x = normal(5, 4)
    exactly(layer(x, Rows(3)), x)
    exactly(layer.source_generators[0].get_state(), before)


def test_rows_are_passed_to_the_layers_that_need_them():
    class Asks(nn.Module):
        needs_rows = True

        def forward(self, x, rows=None):
            self.seen = rows
            return x

    asks = Asks()
    network = RowsSequential(nn.ReLU(), asks)
    rows = Rows(3)
    DANNModule(network, nn.Linear(4, 2), None)(torch.zeros(5, 4), rows)
    assert asks.seen is rows
