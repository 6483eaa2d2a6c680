"""Gradients in closed form equal those of autograd, or autograd takes over."""

import contextlib
import types

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.base import clone
from skorch.callbacks import Callback, Freezer
from torch import nn
from torch.nn.utils import parametrize

import skdann._training.step
from skdann import DANNClassifier, DANNClassifierCV
from skdann._training.analytic import SLOPES, AnalyticGradients
from skdann._training.batches import DomainBatches
from skdann._training.objective import ADVERSARIES
from skdann._training.params import NETWORKS
from skdann.nn._members import MemberLinear, RowsSequential
from skdann.nn._module import ACTIVATIONS

N_SOURCE, N_TARGET = 90, 70


def rows(seed=0):
    rng = np.random.default_rng(seed)
    X, X_target = rng.normal(size=(N_SOURCE, 7)), rng.normal(size=(N_TARGET, 7)) + 0.5
    return X, rng.integers(3, size=N_SOURCE), X_target


@contextlib.contextmanager
def watch(*, is_allowed=True):
    """Yield a list: for each epoch, whether it used the closed form, which may be forbidden."""
    used = []

    class Spy:
        @staticmethod
        def of(module, adversary, label_loss):
            analytic = None
            if is_allowed:
                analytic = AnalyticGradients.of(module, adversary, label_loss)
            used.append(analytic is not None)
            return analytic

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skdann._training.step, "AnalyticGradients", Spy)
        yield used


def fit_both_ways(X_target=None, *, fit_params=None, is_closed_form=True, **params):
    """Fit as always, which is expected to use the closed form or not, and by autograd."""
    X, y, target = rows()
    X_target = target if X_target is None else X_target
    fitted = []
    for is_allowed in (True, False):
        clf = DANNClassifier(**{"batch_size": 20, "max_epochs": 3, "random_state": 0, **params})
        with watch(is_allowed=is_allowed) as used:
            fitted.append(clf.fit(X, y, X_target, **(fit_params or {})))
        assert used == [is_allowed and is_closed_form] * clf.max_epochs
    return fitted


def assert_equal_fits(actual, by_autograd):
    expected = by_autograd.module_.state_dict()
    for name, value in actual.module_.state_dict().items():
        assert_allclose(value, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)
    for row, other in zip(actual.history_, by_autograd.history_, strict=True):
        assert row.keys() == other.keys()
        for name in ("train_loss", "label_loss", "domain_loss"):
            assert row[name] == pytest.approx(other[name], abs=1e-5)


# -- networks given by sizes ----------------------------------------------------------------------


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_every_activation_has_a_slope(activation):
    assert_equal_fits(*fit_both_ways(activation=activation, dropout=0.2, optimizer="sgd", lr=0.05))


def test_no_activation_is_without_a_slope():
    assert set(ACTIVATIONS.values()) == set(SLOPES)


@pytest.mark.parametrize(
    "params",
    [
        {"lambda_max": 0.0, "dropout": 0.3},
        {"lambda_max": 0.7, "standardize": "domain", "class_weight": "balanced"},
        {"label_smoothing": 0.1, "domain_label_smoothing": 0.2, "domain_loss_weight": 0.5},
        {"feature_extractor": (), "domain_classifier": (), "label_predictor": (5,)},
        {"feature_extractor": (), "domain_classifier": (), "lambda_max": 0.0},
        {"feature_extractor": (6, 5, 4), "domain_classifier": (3, 3), "label_predictor": (4, 4)},
        *(
            {"pseudo_labels": kind, "lambda_max": value, "dropout": 0.2, "label_smoothing": 0.1}
            for kind in ("train", "balance")
            for value in (0.0, 0.7)
        ),
    ],
    ids=str,
)
def test_every_setting(params):
    # tanh has no kink at which rounding could turn a unit off
    assert_equal_fits(*fit_both_ways(activation="tanh", optimizer="sgd", lr=0.05, **params))


@pytest.mark.parametrize("pseudo_labels", ["train", "balance"])
@pytest.mark.parametrize(
    ("adversarial", "lambda_max"),
    [
        (name, lambda_max)
        for name in sorted(ADVERSARIES)
        for lambda_max in (0.0, 0.7)
        if ADVERSARIES[name].has_closed_form or lambda_max == 0
    ],
)
def test_pseudo_labels_with_every_closed_form(adversarial, lambda_max, pseudo_labels):
    both = fit_both_ways(
        adversarial=adversarial,
        lambda_max=lambda_max,
        pseudo_labels=pseudo_labels,
        standardize="domain",
        activation="tanh",
        optimizer="sgd",
        lr=0.05,
    )
    assert_equal_fits(*both)


def test_several_domains_and_weights():
    rng = np.random.default_rng(3)
    _, _, X_target = rows()
    given = {"sample_domain": rng.integers(2, size=N_SOURCE), "sample_weight": rng.random(N_SOURCE)}
    several = {"domain_label_smoothing": 0.1, "dropout": 0.1, "optimizer": "sgd", "lr": 0.05}
    assert_equal_fits(
        *fit_both_ways((X_target, X_target[:30]), fit_params=given, **several),
    )
    for kind in ("train", "balance"):
        labelled = {**several, "pseudo_labels": kind}
        assert_equal_fits(
            *fit_both_ways((X_target, X_target[:30]), fit_params=given, **labelled),
        )


class KeepGradients(Callback):
    """Keep the gradients of every step."""

    def __init__(self):
        self.steps = []

    def on_grad_computed(self, net, named_parameters, **_):
        grads = {name: p.grad for name, p in named_parameters}
        self.steps.append({name: grad.clone() for name, grad in grads.items()})


def test_each_gradient_is_that_of_autograd():
    """Not only the path of a whole fit: every gradient of a step."""
    X, y, X_target = rows()
    gradients = []
    for is_allowed in (True, False):
        keep = KeepGradients()
        # large weights of the losses, and lambda at its end from the first step on
        clf = DANNClassifier(
            batch_size=N_SOURCE,
            max_epochs=1,
            lambda_schedule="constant",
            lambda_max=3.0,
            domain_loss_weight=2.0,
            random_state=0,
            callbacks=[keep],
        )
        with watch(is_allowed=is_allowed) as used:
            clf.fit(X, y, X_target)
        assert used == [is_allowed]
        gradients += keep.steps
    actual, expected = gradients
    assert actual.keys() == expected.keys()
    assert len(actual) == 10
    for name, grad in actual.items():
        assert grad.abs().max() > 1e-4
        assert_allclose(grad, expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "params",
    [
        {"normalization": "layer"},
        {"normalization": "batch"},
        {"conditioning": "cdan"},
        {"label_predictor": torch.nn.Linear(64, 3)},
        {"callbacks": [Freezer("label_predictor.*")]},
    ],
    ids=["layer", "batch", "cdan", "custom module", "frozen weights"],
)
def test_autograd_takes_everything_else(params):
    with watch() as used:
        DANNClassifier(max_epochs=1, random_state=0, **params).fit(*rows())
    assert used == [False]


def test_hooks_of_the_user_are_called():
    seen = []

    class Hook(Callback):
        def on_train_begin(self, net, **_):
            layer = net.module_.feature_extractor[0]
            layer.register_forward_hook(lambda *args: seen.append(1))

    with watch() as used:
        DANNClassifier(max_epochs=1, callbacks=[Hook()], random_state=0).fit(*rows())
    assert used == [False]
    assert seen


class Evaluate(Callback):
    """Keep a network in evaluation mode, so that nothing in it is dropped."""

    def on_epoch_begin(self, net, **_):
        net.module_.feature_extractor.eval()


def test_a_network_kept_in_evaluation_mode():
    params = {"callbacks": [Evaluate()], "dropout": 0.4, "optimizer": "sgd", "lr": 0.05}
    assert_equal_fits(*fit_both_ways(is_closed_form=False, **params))
    clf = DANNClassifier(**params, max_epochs=2, random_state=0).fit(*rows())
    dropping = clone(clf).set_params(callbacks=None).fit(*rows())
    assert np.abs(clf.transform(rows()[0]) - dropping.transform(rows()[0])).max() > 1e-3


# -- networks that the user makes of the private layers -------------------------------------------

Linear, Chain = MemberLinear, RowsSequential


def around(*layers, width=7):
    """Three networks, the first of which ends in these layers."""
    return Chain(Linear(7, width), *layers), Chain(Linear(width, 3)), Chain(Linear(width, 1))


def changed(change):
    """Three networks with a layer or a network changed by a function."""
    networks = around(nn.LeakyReLU(0.5), Linear(7, 7), nn.Tanh())
    change(*networks)
    return networks


def repeated(layer):
    """Three networks in which one layer stands several times."""
    first, *others = around(layer, Linear(7, 7), layer, Linear(7, 7), layer)
    return first, *(Chain(layer, *network) for network in others)


def tie_weights(extractor, predictor, classifier):
    extractor[2].weight = extractor[0].weight


def patch(part):
    """Replace the forward of one object."""
    forward = part.forward
    part.forward = types.MethodType(lambda self, x, *args: 0.5 * forward(x, *args), part)


def fix_weight(layer):
    """Make the weight a constant rather than a parameter."""
    weight = layer.weight.detach().clone()
    del layer.weight
    layer.weight = weight


class Half(nn.Module):
    def forward(self, x):
        return 0.5 * x


class Softer(nn.LeakyReLU):
    def forward(self, x):
        return torch.tanh(x)


class HalfLinear(MemberLinear):
    def forward(self, x):
        return 0.5 * super().forward(x)


class HalfChain(RowsSequential):
    def forward(self, x, rows=None):
        return 0.5 * super().forward(x, rows)


def tie_networks():
    """Three networks of which G_f and G_d share a layer."""
    layer = Linear(7, 7)
    first, second, third = around(nn.Tanh(), layer)
    return first, second, Chain(layer, nn.Tanh(), *third)


def double_gradient(weight):
    weight.grad.mul_(2.0)


CLOSED_FORM = {
    "LeakyReLU(0.5)": lambda: around(nn.LeakyReLU(0.5), width=16),
    "LeakyReLU(-0.5)": lambda: around(nn.LeakyReLU(-0.5)),
    "ELU(0.3)": lambda: around(nn.ELU(0.3)),
    "ELU(2.5)": lambda: around(nn.ELU(2.5)),
    "GELU(tanh)": lambda: around(nn.GELU("tanh")),
    "GELU": lambda: around(nn.GELU()),
    "all after one another": lambda: around(
        nn.ReLU(), nn.SiLU(), nn.LeakyReLU(0.3), nn.ELU(0.3), nn.Sigmoid(), nn.GELU("tanh")
    ),
    "activation first": lambda: (
        Chain(nn.LeakyReLU(0.5), Linear(7, 6)),
        Chain(nn.ELU(0.3), Linear(6, 3)),
        Chain(nn.GELU("tanh"), Linear(6, 1)),
    ),
    "ReLU first, after a linear layer of G_f": lambda: (
        Chain(Linear(7, 6)),
        Chain(nn.ReLU(), Linear(6, 3)),
        Chain(nn.ReLU(), Linear(6, 1)),
    ),
    "activation last": lambda: (
        Chain(Linear(7, 6), nn.ReLU()),
        Chain(Linear(6, 3), nn.LeakyReLU(0.5)),
        Chain(Linear(6, 1), nn.ReLU()),
    ),
    "repeated LeakyReLU": lambda: repeated(nn.LeakyReLU(0.5)),
    "repeated ReLU": lambda: repeated(nn.ReLU()),
    "G_f without weights": lambda: (
        Chain(nn.LeakyReLU(0.5)),
        Chain(Linear(7, 3)),
        Chain(Linear(7, 2)),
    ),
    "G_f without layers": lambda: (Chain(), Chain(Linear(7, 3)), Chain(Linear(7, 1))),
    "G_y without layers": lambda: (Chain(Linear(7, 3)), Chain(), Chain(Linear(3, 1))),
    "G_d without layers": lambda: (Chain(Linear(7, 2)), Chain(Linear(2, 3)), Chain()),
}

AUTOGRAD = {
    **{
        f"{activation.__name__} in place": lambda activation=activation: around(
            activation(inplace=True)
        )
        for activation in (nn.ELU, nn.LeakyReLU, nn.ReLU, nn.SiLU)
    },
    "tied layers within a network": lambda: repeated(Linear(7, 7)),
    "tied layers across networks": tie_networks,
    "tied weights": lambda: changed(tie_weights),
    "patched activation": lambda: changed(lambda f, y, d: patch(f[1])),
    "patched linear layer": lambda: changed(lambda f, y, d: patch(f[2])),
    "patched network": lambda: changed(lambda f, y, d: patch(d)),
    "parametrized weight": lambda: changed(
        lambda f, y, d: parametrize.register_parametrization(f[2], "weight", Half())
    ),
    "weight normalization": lambda: changed(
        lambda f, y, d: nn.utils.parametrizations.weight_norm(d[0])
    ),
    "frozen layer": lambda: changed(lambda f, y, d: f[2].requires_grad_(False)),
    "frozen bias": lambda: changed(lambda f, y, d: f[2].bias.requires_grad_(False)),
    "constant weight": lambda: changed(lambda f, y, d: fix_weight(f[2])),
    "forward hook": lambda: changed(
        lambda f, y, d: f[1].register_forward_hook(lambda layer, args, output: 2.0 * output)
    ),
    "forward pre-hook": lambda: changed(
        lambda f, y, d: f[1].register_forward_pre_hook(lambda layer, args: (2.0 * args[0],))
    ),
    "backward hook": lambda: changed(
        lambda f, y, d: f[1].register_full_backward_hook(lambda layer, inputs, _: (2 * inputs[0],))
    ),
    "backward pre-hook": lambda: changed(
        lambda f, y, d: f[1].register_full_backward_pre_hook(lambda layer, grads: (2 * grads[0],))
    ),
    "hook on a weight": lambda: changed(
        lambda f, y, d: f[2].weight.register_hook(lambda grad: 2.0 * grad)
    ),
    "hook on an accumulated gradient": lambda: changed(
        lambda f, y, d: f[2].weight.register_post_accumulate_grad_hook(double_gradient)
    ),
    "subclass of an activation": lambda: around(Softer()),
    "subclass of the linear layer": lambda: around(HalfLinear(7, 7)),
    "subclass of the network": lambda: (HalfChain(*around()[0]), *around()[1:]),
    "network within a network": lambda: around(Chain(Linear(7, 7), nn.Tanh())),
    "another activation": lambda: around(nn.Softplus()),
    "another container": lambda: (nn.Sequential(*around()[0]), *around()[1:]),
}

CHANGES_OF_CLASSIFIER = (
    "tied layers across networks",
    "patched network",
    "weight normalization",
)


def as_params(make_networks):
    """Parameters of a classifier with these networks, made again at each fit."""
    made = {}

    def factory(index):
        def make(*widths):
            if index == 0:
                made["networks"] = make_networks()
            return made["networks"][index]

        return make

    return {name: factory(index) for index, name in enumerate(NETWORKS)}


HOW = [
    {"lambda_max": 2.0, "lambda_schedule": "constant", "domain_loss_weight": 0.5},
    {"lambda_max": 0.0},
    *(
        {"adversarial": name, "lambda_max": 2.0}
        for name in sorted(ADVERSARIES)
        if ADVERSARIES[name].has_closed_form and name != "grl"
    ),
]
SGD = {"optimizer": "sgd", "lr": 0.02, "max_epochs": 2}


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize("case", CLOSED_FORM)
def test_private_layers_with_settings_of_the_user(case, how):
    keep = KeepGradients()
    fits = fit_both_ways(**as_params(CLOSED_FORM[case]), **how, **SGD, callbacks=[keep])
    assert_equal_fits(*fits)
    actual, expected = keep.steps[0], keep.steps[len(keep.steps) // 2]  # of equal weights
    for name, grad in actual.items():
        assert_allclose(grad, expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize("case", AUTOGRAD)
def test_autograd_takes_changed_layers(case, how):
    has_classifier = ADVERSARIES[how.get("adversarial", "grl")].has_classifier
    is_closed_form = case in CHANGES_OF_CLASSIFIER and not has_classifier
    params = as_params(AUTOGRAD[case])
    assert_equal_fits(*fit_both_ways(is_closed_form=is_closed_form, **params, **how, **SGD))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (nn.LeakyReLU(0.5), nn.LeakyReLU()),
        (nn.ELU(0.3), nn.ELU()),
        (nn.GELU("tanh"), nn.GELU()),
    ],
    ids=str,
)
def test_settings_of_an_activation_matter(first, second):
    """So that another slope than the layer's would be noticed."""
    fits = []
    for layer in (first, second):
        clf = DANNClassifier(**as_params(lambda layer=layer: around(layer, width=16)), **SGD)
        fits.append(clf.set_params(random_state=0).fit(*rows()).transform(rows()[0]))
    assert np.abs(fits[0] - fits[1]).max() > 1e-4


def test_global_hooks():
    """A hook on all modules sees those of the closed form too."""
    seen = []

    def double(layer, args, output):
        seen.append(layer)
        return 2.0 * output if isinstance(layer, nn.LeakyReLU) else None

    handle = nn.modules.module.register_module_forward_hook(double)
    try:
        params = as_params(CLOSED_FORM["LeakyReLU(0.5)"])
        assert_equal_fits(*fit_both_ways(is_closed_form=False, **params, **SGD))
    finally:
        handle.remove()
    assert seen
    assert_equal_fits(*fit_both_ways(**params, **SGD))


# -- random networks ------------------------------------------------------------------------------

activations = st.one_of(
    st.builds(lambda slope: lambda: nn.LeakyReLU(slope), st.sampled_from([-0.5, 0.0, 0.5, 1.5])),
    st.builds(lambda alpha: lambda: nn.ELU(alpha), st.sampled_from([0.3, 1.0, 2.5])),
    st.builds(lambda kind: lambda: nn.GELU(kind), st.sampled_from(["none", "tanh"])),
    st.sampled_from([nn.ReLU, nn.Sigmoid, nn.SiLU, nn.Tanh]),
)
in_place = st.sampled_from([nn.ELU, nn.LeakyReLU, nn.ReLU, nn.SiLU]).map(
    lambda activation: lambda: activation(inplace=True)
)
tokens = st.one_of(
    st.tuples(st.just("linear"), st.integers(1, 6)),
    st.tuples(st.just("activation"), activations),
    st.tuples(st.just("activation"), activations),
    st.tuples(st.just("again"), st.integers(0, 5)),
)
rare_tokens = st.one_of(tokens, tokens, tokens, st.tuples(st.just("activation"), in_place))
CHANGES = {
    "none": lambda layer: None,
    "patched": patch,
    "frozen": lambda layer: layer.weight.requires_grad_(False),
    "constant": fix_weight,
    "parametrized": lambda layer: parametrize.register_parametrization(layer, "bias", Half()),
    "hook": lambda layer: layer.register_forward_hook(lambda layer, args, output: 2.0 * output),
    "weight hook": lambda layer: layer.bias.register_hook(lambda grad: 2.0 * grad),
}
plans = st.fixed_dictionaries(
    {
        "tokens": st.tuples(*[st.lists(rare_tokens, max_size=4)] * 3),
        "change": st.sampled_from(["none"] * 6 + sorted(CHANGES)),
        "changed": st.integers(0, 20),
    }
)


def build(plan):
    """Three networks of random layers; "again" repeats an earlier layer where its width fits.

    Layers work in place only at the beginning of a network and behind a linear layer: autograd
    needs the outputs of others.
    """
    networks, earlier, width = [], [], 7
    for layers, n_out in zip(plan["tokens"], (None, 3, 1), strict=True):
        network, n_in = [], width
        for kind, what in layers:
            if kind == "again":
                fitting = [layer for layer, n in earlier if n in (None, n_in)]
                network += fitting[what : what + 1]
            elif kind == "linear":
                network.append(Linear(n_in, what))
                earlier += [(network[-1], n_in)] if n_in == what else []
                n_in = what
            elif not works_in_place(layer := what()) or not network or is_linear(network[-1:]):
                network.append(layer)
                earlier += [] if works_in_place(layer) else [(layer, None)]
        if n_out is None:
            width = n_in
        else:
            network.append(Linear(n_in, n_out))
        networks.append(Chain(*network))
    linear = [layer for network in networks for layer in network if type(layer) is Linear]
    CHANGES[plan["change"]](linear[plan["changed"] % len(linear)])
    return networks


def works_in_place(layer):
    return getattr(layer, "inplace", False)


def is_linear(layers):
    return bool(layers) and isinstance(layers[0], Linear)


def is_plain(plan):
    """Whether the closed form is expected to take these networks."""
    layers = [layer for network in build(plan) for layer in network]
    linear = [layer for layer in layers if isinstance(layer, Linear)]
    is_repeated = len({id(layer) for layer in linear}) < len(linear)
    is_in_place = any(map(works_in_place, layers))
    return plan["change"] == "none" and not is_repeated and not is_in_place


@settings(max_examples=80)
@given(plans, st.sampled_from(HOW[:2]))
def test_random_networks(plan, how):
    """Rounding differs between both ways, and grows through the layers and steps."""
    params = as_params(lambda: build(plan)) | {"max_epochs": 1, "optimizer": "sgd", "lr": 0.02}
    assert_equal_fits(*fit_both_ways(is_closed_form=is_plain(plan), **params, **how))


# -- sparse rows ----------------------------------------------------------------------------------


def thin_rows(n_rows, rng):
    values = rng.normal(size=(n_rows, 40))
    return sp.csr_array(np.where(rng.random(values.shape) < 0.04, values, 0.0))


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"lambda_max": 0.0},
        {"dropout": 0.3},
        as_params(
            lambda: (Chain(Linear(40, 6), nn.ELU(0.3)), Chain(Linear(6, 3)), Chain(Linear(6, 1)))
        ),
    ],
    ids=["plain", "lambda 0", "dropout", "networks of the user"],
)
def test_thin_sparse_rows_stay_sparse_and_equal_dense_ones(monkeypatch, params):
    rng = np.random.default_rng(0)
    X, X_target = (thin_rows(n, rng) for n in (N_SOURCE, N_TARGET))
    y = rng.integers(3, size=N_SOURCE)
    clf = DANNClassifier(
        activation="tanh", optimizer="sgd", lr=0.5, batch_size=20, max_epochs=3, **params
    )
    clf.set_params(standardize=None, random_state=0)
    dense = clone(clf).fit(X.toarray(), y, X_target.toarray())
    kinds = []
    gather = DomainBatches._sparse_rows

    def watch_rows(self, block):
        for x in gather(self, block):
            kinds.append(type(x))
            yield x

    monkeypatch.setattr(DomainBatches, "_sparse_rows", watch_rows)
    sparse = clf.fit(X.tocsr(), y, X_target.tocsr())
    assert set(kinds) == {list}
    assert_equal_fits(sparse, dense)


def test_an_activation_before_the_products_takes_dense_rows(monkeypatch):
    rng = np.random.default_rng(0)
    X, X_target = (thin_rows(n, rng) for n in (N_SOURCE, N_TARGET))
    y = rng.integers(3, size=N_SOURCE)
    params = as_params(
        lambda: (Chain(nn.ELU(0.3), Linear(40, 6)), Chain(Linear(6, 3)), Chain(Linear(6, 1)))
    )
    clf = DANNClassifier(**params, max_epochs=2, random_state=0, standardize=None)
    dense = clone(clf).fit(X.toarray(), y, X_target.toarray())
    assert_equal_fits(clf.fit(X, y, X_target), dense)


def test_members_on_thin_sparse_rows():
    rng = np.random.default_rng(0)
    X, X_target = (thin_rows(n, rng) for n in (N_SOURCE, N_TARGET))
    y = rng.integers(2, size=N_SOURCE)
    search = DANNClassifierCV(DANNClassifier(max_epochs=2), lambdas=(0, 1), n_seeds=2)
    search.set_params(standardize=(None,), random_state=0)
    search.set_params(families=("alignment", "self_training", "balanced"))
    dense = clone(search).fit(X.toarray(), y, X_target.toarray())
    sparse = search.fit(X.tocsr(), y, X_target.tocsr())
    for members, others in zip(sparse.candidates_, dense.candidates_, strict=True):
        for member, expected in zip(members, others, strict=True):
            proba = expected.predict_proba(X_target.toarray())
            assert_allclose(member.predict_proba(X_target.tocsr()), proba, atol=1e-5)
