"""Custom networks: built from modules, classes and factories, and tried on a few rows."""

from __future__ import annotations

import pytest
import torch
from torch import nn

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
