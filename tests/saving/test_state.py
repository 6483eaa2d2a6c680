"""State of a net as named tensors: complete, and checked before it is copied."""

from __future__ import annotations

import copy

import pytest
import torch

from skdann._saving.state import load_net_state, net_state, non_tensor_state
from tests.saving.common import CountingSGD


class Extra(torch.nn.Linear):
    """Layer with state that is not a tensor."""

    def get_extra_state(self):
        return {"calls": 1}

    def set_extra_state(self, state):
        pass


@pytest.fixture
def make_net(make_clf, domains):
    def make(**params):
        return make_clf(**params).fit(*domains[:3]).net_

    return make


@pytest.mark.parametrize(
    ("optimizer", "slots"),
    [
        ("adam", {"step", "exp_avg", "exp_avg_sq"}),
        ("sgd", {"momentum_buffer"}),
        (torch.optim.SGD, set()),  # without momentum
        (CountingSGD, set()),  # whose counts are not tensors
    ],
)
def test_the_names_say_where_a_tensor_belongs(optimizer, slots, make_net):
    net = make_net(optimizer=optimizer)
    state = net_state(net)
    weights = {f"module.{name}" for name in net.module_.state_dict()}
    n_parameters = len(list(net.module_.parameters()))
    expected = {f"optimizer.{i}.{slot}" for i in range(n_parameters) for slot in slots}
    generators = {f"generator.0.{name}" for name in net.generators_[0]}
    assert state.keys() == weights | expected | generators
    assert all(isinstance(value, torch.Tensor) for value in state.values())


def test_tensors_are_not_copied_but_generators_are(make_net):
    net = make_net()
    state = net_state(net)
    name, weight = next(iter(net.module_.named_parameters()))
    assert state[f"module.{name}"].data_ptr() == weight.data_ptr()
    before = state["generator.0.source_order"].clone()
    torch.rand(3, generator=net.generators_[0]["source_order"])
    assert torch.equal(state["generator.0.source_order"], before)
    assert not torch.equal(net_state(net)["generator.0.source_order"], before)


def test_state_that_is_not_a_tensor_is_named(make_net):
    assert non_tensor_state(make_net()) == []
    names = non_tensor_state(make_net(optimizer=CountingSGD))
    assert names[0] == "optimizer.0.n_steps"
    assert all(name.endswith(".n_steps") for name in names)
    names = non_tensor_state(make_net(feature_extractor=Extra(4, 3)))
    assert names == ["module.feature_extractor._extra_state"]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_a_loaded_net_continues_bit_for_bit(optimizer, make_clf, domains):
    clf = make_clf(optimizer=optimizer).fit(*domains[:3])
    other = make_clf(optimizer=optimizer, random_state=7).fit(*domains[:3])
    load_net_state(other.net_, {name: v.clone() for name, v in net_state(clf.net_).items()})
    for each in (clf, other):
        each.partial_fit(*domains[:3])
    state = net_state(clf.net_)
    for name, value in net_state(other.net_).items():
        assert torch.equal(value, state[name]), name


def without(name):
    return lambda state: state.pop(name)


def replaced(name, change):
    return lambda state: state.update({name: change(state[name])})


WEIGHT = "module.label_predictor.0.weight"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (without(WEIGHT), f"missing tensors: {WEIGHT}"),
        (without("generator.0.validation"), "missing tensors: generator.0.validation"),
        (without("optimizer.0.exp_avg"), "missing tensors: optimizer.0.exp_avg"),
        (lambda state: state.update(evil=torch.zeros(1)), "unknown tensors: evil"),
        (replaced(WEIGHT, lambda v: v[..., :1]), r"float32 of shape \(1, 8, 1\) in the file, and"),
        (replaced(WEIGHT, torch.Tensor.double), "is torch.float64 of shape"),
        (replaced(WEIGHT, lambda v: v * torch.nan), f"the weights {WEIGHT[7:]} are not finite"),
        (replaced(WEIGHT, lambda v: v / 0.0), f"the weights {WEIGHT[7:]} are not finite"),
    ],
)
def test_tensors_that_do_not_match_are_refused(change, text, make_net):
    net = make_net()
    state = {name: value.clone() for name, value in net_state(net).items()}
    change(state)
    with pytest.raises(ValueError, match=text):
        load_net_state(net, state)


def test_step_counts_may_have_another_floating_dtype(make_net):
    net = make_net()
    state = {name: value.clone() for name, value in net_state(net).items()}
    state["optimizer.0.step"] = state["optimizer.0.step"].double() + 5.0
    load_net_state(net, state)
    assert net_state(net)["optimizer.0.step"].item() == state["optimizer.0.step"].item()
    state["optimizer.0.step"] = state["optimizer.0.step"].long()
    with pytest.raises(ValueError, match=r"optimizer.0.step is torch.int64"):
        load_net_state(net, state)


def test_at_most_nine_names_are_listed(make_net):
    net = make_net()
    state = net_state(net) | {f"x{i:02}": torch.zeros(1) for i in range(12)}
    with pytest.raises(ValueError, match=r"unknown tensors: x00, x01, .*, x08$"):
        load_net_state(net, copy.copy(state))
