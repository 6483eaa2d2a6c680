"""Networks of single layers, and batches for them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skdann import DANNClassifier
from skdann._training.batches import Batch
from skdann._training.objective import ADVERSARIES
from skdann._training.params import training_params
from skdann.nn import DANNModule, Rows
from skdann.nn._members import MemberLinear, RowsSequential

NAMES = sorted(ADVERSARIES)


every_adversary = pytest.mark.parametrize("adversarial", NAMES)


def weights_of(clf, *networks):
    """Copies of all weights and buffers, or of those of some networks."""
    state = clf.module_.state_dict()
    return {name: v.clone() for name, v in state.items() if name.startswith(networks or ("",))}


def assert_equal_weights(actual, other):
    assert actual.keys() == other.keys()
    for name, value in actual.items():
        assert torch.equal(value, other[name]), f"{name} differs"


def plain_module(n_out, n_members=1, *, has_classifier=True):
    """G_f, G_y and G_d as single layers; G_f leaves 3 columns as 4 features."""
    torch.manual_seed(0)
    layers = [MemberLinear(3, 4, n_members), MemberLinear(4, 2, n_members)]
    layers += [MemberLinear(4, n_out, n_members)] if has_classifier else []
    networks = [RowsSequential(layer) for layer in layers] + [None] * (not has_classifier)
    return DANNModule(*networks).train()


def plain_batch(n_domains=2, n_members=1):
    """Five source and four target rows."""
    rng = np.random.default_rng(3)
    shape = () if n_members == 1 else (n_members,)
    x = torch.from_numpy(rng.normal(size=(*shape, 9, 3)).astype(np.float32))
    domain = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 1])
    if n_domains > 2:
        domain = torch.tensor([0, 1, 0, 1, 0, 2, 2, 3, 3])[..., :9].clamp(max=n_domains - 1)
    weight = torch.from_numpy(rng.uniform(0.1, 0.3, size=(*shape, 9)).astype(np.float32))
    y = torch.zeros(*shape, 5, dtype=torch.int64)
    return Batch(x, y, weight[..., :5], Rows(5, domain), weight)


def params_of(adversarial, **changed):
    return training_params(DANNClassifier(adversarial=adversarial, **changed))


LAMBDAS = {1: 0.7, 3: torch.tensor([0.7, 2.0, 0.0]).view(3, 1, 1)}


def features_of(module, batch):
    return module.extract_features(batch.x, batch.rows).detach().requires_grad_()
