"""Member layers, against one torch layer for each member."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from skdann.nn import DANNModule, Rows
from skdann.nn._members import (
    MemberBatchNorm,
    MemberDropout,
    MemberLayerNorm,
    MemberLinear,
    RowsSequential,
)
from tests.nn.common import closely, curved, exactly, linears, normal


def generators(n, seed=0):
    return [torch.Generator().manual_seed(seed + k) for k in range(n)]


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


def torch_norms(layer):
    """Return plain torch layers with the weights and statistics of each member (one domain)."""
    n_members = layer.weight.shape[0]
    plain = [nn.BatchNorm1d(layer.n_features, dtype=torch.float64) for _ in range(n_members)]
    with torch.no_grad():
        for k, single in enumerate(plain):
            single.weight.copy_(layer.weight[k, 0])
            single.bias.copy_(layer.bias[k, 0])
    return plain


def with_random_affine(layer):
    with torch.no_grad():
        layer.weight.copy_(normal(*layer.weight.shape, seed=11))
        layer.bias.copy_(normal(*layer.bias.shape, seed=12))
    return layer


@pytest.mark.parametrize("n_members", [1, 3])
def test_batch_norm_equals_torch_in_training_and_evaluation(n_members):
    layer = with_random_affine(MemberBatchNorm(5, n_members).double())
    plain = torch_norms(layer)
    for seed in range(3):
        x = (3.0 + 2.0 * normal(n_members, 8 + seed, 5, seed=seed)).requires_grad_()
        expected = torch.stack([single(rows) for single, rows in zip(plain, x, strict=True)])
        actual = layer(x)
        closely(actual, expected)
        (dx,) = torch.autograd.grad(curved(expected), x, retain_graph=True)
        closely(torch.autograd.grad(curved(actual), x)[0], dx, atol=1e-9, rtol=1e-9)
    closely(layer.running_mean[:, 0], torch.stack([single.running_mean for single in plain]))
    closely(layer.running_var[:, 0], torch.stack([single.running_var for single in plain]))
    layer.eval()
    x = normal(n_members, 6, 5, seed=9)
    closely(
        layer(x), torch.stack([single.eval()(rows) for single, rows in zip(plain, x, strict=True)])
    )


def test_batch_norm_of_two_dimensional_input_equals_one_member():
    plain, member = MemberBatchNorm(5).double(), MemberBatchNorm(5).double()
    x = normal(8, 5)
    closely(plain(x), member(x.unsqueeze(0)).squeeze(0))
    closely(plain.running_var, member.running_var)
    closely(plain.eval()(x), member.eval()(x.unsqueeze(0)).squeeze(0))


@pytest.mark.parametrize("n_members", [1, 2])
def test_each_domain_is_normalized_by_its_rows(n_members):
    layer = with_random_affine(MemberBatchNorm(4, n_members, n_domains=3, n_targets=1).double())
    domain = torch.stack([torch.randperm(18, generator=g) % 3 for g in generators(n_members)])
    plain = [torch_norms(layer) for _ in range(3)]
    for seed in range(2):
        x = (
            normal(n_members, 18, 4, seed=seed) * (1.0 + domain.unsqueeze(-1))
            + 2.0 * domain[..., None]
        )
        actual = layer(x, Rows(12, domain))
        for d in range(3):
            for k in range(n_members):
                is_in = domain[k] == d
                closely(actual[k, is_in], plain[d][k](x[k, is_in]))
    for d in range(3):
        closely(layer.running_mean[:, d], torch.stack([single.running_mean for single in plain[d]]))
        closely(layer.running_var[:, d], torch.stack([single.running_var for single in plain[d]]))
    layer.eval()
    x = normal(n_members, 18, 4, seed=5)
    actual = layer(x, Rows(12, domain))
    for d in range(3):
        for k in range(n_members):
            is_in = domain[k] == d
            closely(actual[k, is_in], plain[d][k].eval()(x[k, is_in]))


def test_two_dimensional_input_has_domains_too():
    layer, member = (MemberBatchNorm(4, n_domains=2, n_targets=1).double() for _ in range(2))
    x, domain = normal(10, 4), torch.arange(10) % 2
    closely(layer(x, Rows(5, domain)), member(x[None], Rows(5, domain[None]))[0])
    for one in (layer, member):
        one.eval()
    closely(layer(x, Rows(5, domain)), member(x[None], Rows(5, domain[None]))[0])
    closely(layer(x), member(x[None])[0])


def test_an_absent_domain_keeps_its_running_statistics():
    layer = MemberBatchNorm(4, n_domains=3, n_targets=1).double()
    layer(normal(18, 4) + 5.0, Rows(12, torch.arange(18) % 3))
    mean, var = layer.running_mean.clone(), layer.running_var.clone()
    domain = torch.arange(18) % 3
    domain[domain == 1] = 2
    layer(normal(18, 4, seed=1) - 7.0, Rows(12, domain))
    exactly(layer.running_mean[:, 1], mean[:, 1])
    exactly(layer.running_var[:, 1], var[:, 1])
    assert (layer.running_mean[:, [0, 2]] != mean[:, [0, 2]]).all()


def test_any_target_uses_the_pooled_statistics_of_the_targets():
    layer = MemberBatchNorm(3, n_domains=3, n_targets=2, momentum=1.0).double()
    rows = {d: normal(400, 3, seed=d) * (1 + d) + 4.0 * d for d in range(3)}
    domain = torch.arange(3).repeat_interleave(400)
    layer(torch.cat(list(rows.values())), Rows(400, domain))
    layer.eval()
    pooled = torch.cat([rows[1], rows[2]])
    expected = (pooled - pooled.mean(0)) / pooled.std(0)
    assert_close(layer(pooled), expected, rtol=0, atol=0.01)
    # given by its index, and together with rows of a known domain
    exactly(layer(pooled, Rows(0, torch.full((800,), 3))), layer(pooled))
    mixed = layer(torch.cat([rows[0], pooled]), Rows(0, torch.tensor([0] * 400 + [3] * 800)))
    exactly(mixed[400:], layer(pooled))
    assert mixed[:400].mean(0).abs().max() < 0.01


@pytest.mark.parametrize("rows", [None, Rows(4)])
def test_missing_domains_raise_in_training(rows):
    layer = MemberBatchNorm(4, n_domains=2, n_targets=1)
    with pytest.raises(
        ValueError, match=r"needs the domain of each row .*; call .*Rows\(n_source, domain\)"
    ):
        layer(torch.zeros(6, 4), rows)


# Layer normalization and dropout


@pytest.mark.parametrize("n_members", [1, 3])
def test_layer_norm_equals_torch(n_members):
    layer = with_random_affine(MemberLayerNorm(5, n_members).double())
    x = 3.0 + normal(n_members, 7, 5)
    for k in range(n_members):
        plain = nn.LayerNorm(5, dtype=torch.float64)
        with torch.no_grad():
            plain.weight.copy_(layer.weight[k, 0])
            plain.bias.copy_(layer.bias[k, 0])
        closely(layer(x)[k], plain(x[k]))
    if n_members == 1:
        closely(layer(x[0]), layer(x)[0])


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
