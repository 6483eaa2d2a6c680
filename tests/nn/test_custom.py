"""Custom networks: built from modules, classes and factories, and tried on a few rows."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from skdann.nn import GradientReversal
from skdann.nn._custom import build_custom


class Wide(nn.Module):
    """Module whose features have three dimensions."""

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x).view(len(x), 2, 3)


def test_features_of_several_dimensions_are_flattened():
    network, width = build_custom(Wide, "feature_extractor", (4,), None)
    x = torch.rand(5, 4)
    assert width == 6
    assert torch.equal(network(x), network[0].linear(x))


def test_an_instance_is_copied_and_keeps_its_mode():
    module = nn.Linear(4, 3)
    network, width = build_custom(module, "label_predictor", (4, 3), (3,))
    assert width == 3
    assert network is not module
    assert torch.equal(network.weight, module.weight)
    assert network.training


@pytest.mark.parametrize(
    "factory", [lambda n_in, n_out: nn.Linear(n_in, n_out), lambda: nn.Linear(4, 2), nn.Linear]
)
def test_factories_take_the_widths_or_nothing(factory):
    network, width = build_custom(factory, "label_predictor", (4, 2), (2,))
    assert (network.in_features, width) == (4, 2)


@pytest.mark.parametrize("last", [nn.Softmax(dim=1), nn.Sigmoid()])
def test_probabilities_for_logits_are_refused(last):
    module = nn.Sequential(nn.Linear(4, 2), last)
    with pytest.raises(ValueError, match=r"label_predictor returns probabilities; .*logits"):
        build_custom(module, "label_predictor", (4, 2), (2,))


def test_another_dtype_and_another_width_are_refused():
    class Double(nn.Linear):
        def forward(self, x):
            return super().forward(x).double()

    with pytest.raises(ValueError, match=r"returned torch.float64 for float32 rows"):
        build_custom(Double(4, 2), "label_predictor", (4, 2), (2,))
    with pytest.raises(ValueError, match=r"shape \(2, 5\).* must be \(2, 2\)"):
        build_custom(nn.Linear(4, 5), "label_predictor", (4, 2), (2,))
    with pytest.raises(TypeError, match=r"must return a torch\.nn\.Module"):
        build_custom(lambda: 3, "label_predictor", (4, 2), (2,))


class Codes(nn.Module):
    """Module that takes the first column as the code of a category."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.linear = nn.Embedding(3, 2), nn.Linear(5, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(torch.cat([self.embedding(x[:, 0].long()), x[:, 1:]], 1))


@pytest.mark.parametrize(
    "module",
    [
        Codes(),
        nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 6)),
        nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 6), nn.Dropout(0.5)),
        nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 6)),
    ],
)
def test_unusual_modules_are_taken(module):
    for _ in range(5):
        _, width = build_custom(module, "feature_extractor", (4,), None)
        assert width == 6


class GRL(nn.Identity):
    """Layer of another package."""


@pytest.mark.parametrize("layer", [GradientReversal(0.1), GRL()])
@pytest.mark.parametrize("name", ["feature_extractor", "domain_classifier"])
def test_a_module_with_a_gradient_reversal_is_refused(name, layer):
    module = nn.Sequential(nn.Linear(4, 3), nn.Sequential(layer, nn.Linear(3, 1)))
    allowed = None if name == "feature_extractor" else (1, 2)
    with pytest.raises(ValueError, match=rf"{name} contains a {type(layer).__name__}, but fit"):
        build_custom(module, name, (4, 1), allowed)


def test_log_probabilities_are_logits():
    module = nn.Sequential(nn.Linear(4, 2), nn.LogSoftmax(1))
    assert build_custom(module, "label_predictor", (4, 2), (2,))[1] == 2
