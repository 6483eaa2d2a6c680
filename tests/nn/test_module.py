"""The three networks, from sizes and from custom modules, against torch networks."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from skdann import DANNClassifier
from skdann._training.randomness import spawn_generators
from skdann.nn._module import ACTIVATIONS, build_dann_module
from skdann.nn._norms import MemberBatchNorm
from tests.nn.common import closely, curved, exactly, linears, normal

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
        n_outputs=n_classes,
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
            "label_predictor",
            nn.Sequential(nn.Linear(6, 6), nn.Unflatten(1, (2, 3))),
            r"label_predictor .*\(2, 2, 3\).* must be \(2, 2\)",
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
