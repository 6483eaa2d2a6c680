"""Tests of gradient reversal, of the member layers, and of networks built from them."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from skdann import DANNClassifier
from skdann._training.randomness import spawn_generators
from skdann.nn import DANNModule, GradientReversal, Rows, gradient_reversal
from skdann.nn._members import (
    MemberBatchNorm,
    MemberDropout,
    MemberLayerNorm,
    MemberLinear,
    RowsSequential,
)
from skdann.nn._module import ACTIVATIONS, build_dann_module

exactly = functools.partial(assert_close, rtol=0, atol=0)
closely = functools.partial(assert_close, rtol=1e-12, atol=1e-12)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def generators(n, seed=0):
    return [torch.Generator().manual_seed(seed + k) for k in range(n)]


def curved(x):
    """Return a scalar whose gradient depends on the point."""
    return (x.sin() * x.exp()).sum()


def gradient(function, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(function(x), x)[0]


# Gradient reversal


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


# Linear


def linears(layer):
    """Return one torch layer per member, with its weights."""
    plain = [nn.Linear(layer.in_features, layer.out_features) for _ in range(layer.n_members)]
    with torch.no_grad():
        for k, single in enumerate(plain):
            single.to(layer.weight.dtype)
            single.weight.copy_(layer.weight[k].T)
            single.bias.copy_(layer.bias[k, 0])
    return plain


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


# The three networks


def build(n_members=1, seed=0, n_features=4, n_classes=2, n_domains=2, n_targets=1, **networks):
    networks = {
        "feature_extractor": (8, 6),
        "label_predictor": (),
        "domain_classifier": (5,),
        **networks,
    }
    return build_dann_module(
        n_features=n_features,
        n_classes=n_classes,
        n_domains=n_domains,
        n_targets=n_targets,
        generators=[spawn_generators(seed + k) for k in range(n_members)],
        **networks,
    )


def test_networks_print_like_torch_networks():
    module = build(label_predictor=(3,), dropout=0.2, normalization="batch")
    assert repr(module) == (
        "DANNModule(\n"
        "  (feature_extractor): Sequential(\n"
        "    (0): Linear(in_features=4, out_features=8)\n"
        "    (1): BatchNorm(8)\n"
        "    (2): ReLU()\n"
        "    (3): Dropout(p=0.2)\n"
        "    (4): Linear(in_features=8, out_features=6)\n"
        "    (5): BatchNorm(6)\n"
        "    (6): ReLU()\n"
        "    (7): Dropout(p=0.2)\n"
        "  )\n"
        "  (label_predictor): Sequential(\n"
        "    (0): Linear(in_features=6, out_features=3)\n"
        "    (1): BatchNorm(3)\n"
        "    (2): ReLU()\n"
        "    (3): Dropout(p=0.2)\n"
        "    (4): Linear(in_features=3, out_features=2)\n"
        "  )\n"
        "  (domain_classifier): Sequential(\n"
        "    (0): Linear(in_features=6, out_features=5)\n"
        "    (1): BatchNorm(5)\n"
        "    (2): ReLU()\n"
        "    (3): Dropout(p=0.2)\n"
        "    (4): Linear(in_features=5, out_features=1)\n"
        "  )\n"
        ")"
    )
    assert "MemberLinear(in_features=4, out_features=8, n_members=3)" in repr(build(n_members=3))
    assert "conditioning='cdan'" in repr(build(conditioning="cdan"))
    assert "DomainBatchNorm(8, n_domains=2)" in repr(build(normalization="domain_batch"))
    assert "LayerNorm(8)" in repr(build(normalization="layer"))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_networks_built_from_sizes_equal_torch_networks(activation):
    module = build(activation=activation, n_classes=3).double()
    first, second = (linears(module.feature_extractor[i])[0] for i in (0, 2))
    (last,) = linears(module.label_predictor[0])
    names = {"elu": "ELU", "gelu": "GELU", "leaky_relu": "LeakyReLU", "relu": "ReLU"}
    names |= {"sigmoid": "Sigmoid", "silu": "SiLU", "tanh": "Tanh"}
    act = getattr(nn, names[activation])
    plain = nn.Sequential(first, act(), second, act(), last)
    x = normal(9, 4)
    closely(module(x), plain(x))
    closely(module.extract_features(x), plain[:4](x))
    hidden, out = (linears(module.domain_classifier[i])[0] for i in (0, 2))
    closely(module.classify_domains(plain[:4](x)), nn.Sequential(hidden, act(), out)(plain[:4](x)))


def test_members_are_independent_networks():
    together, alone = build(n_members=3, seed=5), [build(seed=5 + k) for k in range(3)]
    x = normal(3, 7, 4, dtype=torch.float32)
    for k, single in enumerate(alone):
        assert_close(together(x)[k], single(x[k]), rtol=1e-6, atol=1e-6)


def test_equal_seeds_give_equal_networks_and_different_seeds_differ():
    one, same, other = build(seed=1), build(seed=1), build(seed=2)
    for name, weight in one.state_dict().items():
        exactly(same.state_dict()[name], weight)
        assert not torch.equal(other.state_dict()[name], weight)


def test_no_generator_is_shared_by_two_networks():
    # with one shared seed, networks of equal width would have equal first weights
    module = build(feature_extractor=(4,), label_predictor=(4,), domain_classifier=(4,))
    first = [net[0].weight for net in module.children()]
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[1], first[2])
    assert not torch.equal(first[0], first[2])


def test_one_domain_has_no_domain_classifier():
    module = build(n_domains=1, n_targets=0)
    assert module.domain_classifier is None
    with pytest.raises(ValueError, match="have no domain classifier"):
        module.classify_domains(torch.zeros(2, 6))


@pytest.mark.parametrize(("n_domains", "width"), [(2, 1), (3, 3), (4, 4)])
def test_two_domains_have_one_logit_and_more_have_one_each(n_domains, width):
    module = build(n_domains=n_domains)
    assert module.classify_domains(torch.zeros(5, 6)).shape == (5, width)


def test_empty_sizes_pass_columns_through():
    module, x = build(feature_extractor=()), normal(5, 4, dtype=torch.float32)
    exactly(module.extract_features(x), x)
    assert module(x).shape == (5, 2)


def test_the_domain_classifier_has_no_domain_statistics():
    kinds = [type(layer) for layer in build(normalization="domain_batch").domain_classifier]
    assert MemberBatchNorm not in kinds


# Conditioning


def test_cdan_passes_the_outer_product_of_features_and_probabilities():
    module = build(n_classes=3, conditioning="cdan").double()
    x = normal(9, 4)
    features = module.extract_features(x)
    probabilities = module(x).softmax(-1)
    product = torch.einsum("nf,nc->nfc", features, probabilities).reshape(9, 18)
    closely(module.condition(features), product)
    assert module.domain_classifier[0].in_features == 18
    assert module.classify_domains(product).shape == (9, 1)


def test_cdan_gives_the_label_predictor_no_gradient():
    module = build(n_classes=3, conditioning="cdan", label_predictor=(5,)).double()
    features = module.extract_features(normal(9, 4))
    curved(module.classify_domains(module.condition(features))).backward()
    assert all(weight.grad is None for weight in module.label_predictor.parameters())
    for network in (module.feature_extractor, module.domain_classifier):
        assert all(weight.grad.abs().sum() > 0 for weight in network.parameters())


def test_without_conditioning_the_features_are_passed_unchanged():
    features = normal(9, 6)
    exactly(build().condition(features), features)


# Custom modules


class Extractor(nn.Module):
    """Class called with the input width, which it stores."""

    def __init__(self, n_in, n_out=3):
        super().__init__()
        self.n_in = n_in
        self.body = nn.Linear(n_in, n_out)

    def forward(self, x):
        return self.body(x).tanh()


def test_a_class_is_called_with_the_widths():
    module = build(
        feature_extractor=Extractor, label_predictor=nn.Linear, domain_classifier=nn.Linear
    )
    assert module.feature_extractor.n_in == 4
    assert (module.label_predictor.in_features, module.label_predictor.out_features) == (3, 2)
    assert (module.domain_classifier.in_features, module.domain_classifier.out_features) == (3, 1)
    module = build(
        feature_extractor=Extractor,
        label_predictor=nn.Linear,
        domain_classifier=nn.Linear,
        n_classes=4,
        n_domains=3,
        conditioning="cdan",
    )
    assert (module.label_predictor.in_features, module.label_predictor.out_features) == (3, 4)
    assert (module.domain_classifier.in_features, module.domain_classifier.out_features) == (12, 3)


def test_a_factory_may_take_no_arguments():
    module = build(
        feature_extractor=lambda: nn.Linear(4, 3),
        label_predictor=functools.partial(nn.Linear, in_features=3, out_features=2),
        domain_classifier=lambda n_in, n_out: nn.Linear(n_in, n_out),
    )
    assert module(torch.zeros(5, 4)).shape == (5, 2)
    assert module.classify_domains(torch.zeros(5, 3)).shape == (5, 1)


def test_custom_and_sized_networks_can_be_combined():
    module = build(feature_extractor=Extractor, label_predictor=(7,))
    assert module.label_predictor[0].in_features == 3
    assert module.domain_classifier[0].in_features == 3


@pytest.mark.parametrize("width", [1, 2])
def test_two_domains_may_have_one_or_two_logits(width):
    module = build(domain_classifier=nn.Linear(6, width))
    assert module.classify_domains(torch.zeros(5, 6)).shape == (5, width)


def test_an_instance_is_copied_and_not_trained_in_place():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 4)), rng.integers(0, 2, 40)
    networks = {
        "feature_extractor": Extractor(4),
        "label_predictor": nn.Linear(3, 2),
        "domain_classifier": nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1)),
    }
    before = {
        name: {k: v.clone() for k, v in net.state_dict().items()} for name, net in networks.items()
    }
    clf = DANNClassifier(**networks, max_epochs=2, random_state=0).fit(X, y, X + 1.0)
    for name, net in networks.items():
        fitted = getattr(clf.module_, name)
        assert fitted is not net
        assert getattr(clf, name) is net
        assert net.training
        for key, value in net.state_dict().items():
            exactly(value, before[name][key])
        assert not torch.equal(next(iter(fitted.parameters())), next(iter(net.parameters()))), (
            f"{name} did not learn"
        )


def test_the_trial_forward_pass_changes_no_statistics_and_no_mode():
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    module = build(feature_extractor=network)
    exactly(module.feature_extractor[1].running_mean, torch.zeros(3))
    assert module.feature_extractor.training
    assert module.feature_extractor[1].num_batches_tracked == 0


@pytest.mark.parametrize(
    ("network", "spec", "text"),
    [
        ("label_predictor", nn.Linear(6, 3), r"label_predictor .*\(2, 3\).* must be \(2, 2\)"),
        ("domain_classifier", nn.Linear(6, 3), r"domain_classifier .*\(2, 3\).*\(2, 1 or 2\)"),
        ("feature_extractor", nn.Linear(5, 6), r"feature_extractor .*must take 4 float32 columns"),
        ("label_predictor", nn.Linear(5, 2), r"label_predictor .*must take 6 float32 columns"),
        (
            "feature_extractor",
            nn.Sequential(nn.Linear(4, 6), nn.Unflatten(1, (2, 3))),
            r"feature_extractor .*\(2, 2, 3\).* must be \(2, n_features\)",
        ),
        ("feature_extractor", nn.Flatten(0), r"feature_extractor returned .*\(8,\)"),
        ("feature_extractor", nn.LSTM(4, 6), r"feature_extractor returned an output of shape \(\)"),
        ("feature_extractor", nn.Conv2d, r"feature_extractor could not be built by calling"),
    ],
)
def test_an_incompatible_module_raises_value_error(network, spec, text):
    with pytest.raises(ValueError, match=text):
        build(**{network: spec})


def test_a_failing_factory_is_named_with_its_error():
    def broken(n_in):
        raise RuntimeError("no such backbone")

    with pytest.raises(
        ValueError, match=r"feature_extractor could not be built .*no such backbone"
    ) as e:
        build(feature_extractor=broken)
    assert isinstance(e.value.__cause__, RuntimeError)


def test_a_factory_must_return_a_module():
    with pytest.raises(TypeError, match=r"feature_extractor returned a 'list' .*torch\.nn\.Module"):
        build(feature_extractor=lambda: [1, 2])


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
