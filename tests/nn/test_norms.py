"""Normalization layers with members, against one torch layer for each member."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from skdann.nn import Rows
from skdann.nn._norms import MemberBatchNorm, MemberLayerNorm
from tests.nn.common import closely, curved, exactly, generators, normal


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
