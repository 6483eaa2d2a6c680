"""Reading, forging and comparing saved files; custom parts."""

import json

import numpy as np
import torch
from safetensors.torch import load, save
from torch import nn

from skdann._saving.file import digest


class CustomExtractor(nn.Module):
    """Custom network with a buffer and a frozen layer."""

    def __init__(self, n_features):
        super().__init__()
        self.norm = nn.BatchNorm1d(n_features)
        self.linear = nn.Linear(n_features, 6)
        self.frozen = nn.Linear(6, 6).requires_grad_(False)

    def forward(self, x):
        return self.frozen(torch.tanh(self.linear(self.norm(x))))


def read(path):
    """Return the description and the tensors of a file."""
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return json.loads(header["__metadata__"]["skdann"]), load(content)


def write(path, description, tensors):
    """Write a file as an attacker could, with a matching SHA-256."""
    description = {name: value for name, value in description.items() if name != "sha256"}
    description["sha256"] = digest(description, tensors)
    path.write_bytes(save(tensors, {"skdann": json.dumps(description)}))


def assert_same(original, loaded, X):
    assert original.get_params() == loaded.get_params()
    assert vars(original).keys() == vars(loaded).keys()
    for name in ("classes_", "domains_", "feature_names_in_"):
        if hasattr(original, name):
            np.testing.assert_array_equal(
                getattr(original, name), getattr(loaded, name), strict=True
            )
    for name in ("n_features_in_", "history_", "n_epochs_", "_n_features_out"):
        assert getattr(original, name) == getattr(loaded, name)
    for method in ("predict", "predict_proba", "predict_log_proba", "transform"):
        np.testing.assert_array_equal(
            getattr(original, method)(X), getattr(loaded, method)(X), strict=True
        )
    if original.module_.domain_classifier is not None:
        np.testing.assert_array_equal(
            original.predict_domain_proba(X), loaded.predict_domain_proba(X)
        )
    assert not loaded.module_.training


def changed(**entries):
    return lambda description, tensors: description.update(entries)


def param(name, value):
    return lambda description, tensors: description["params"].update({name: value})


def tensor(name, value):
    return lambda description, tensors: tensors.update({name: value})


WEIGHT = "module.feature_extractor.0.weight"  # (1, 4, 8)


class CountingSGD(torch.optim.SGD):
    """Custom optimizer whose state has a number."""

    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            self.state[parameter]["n_steps"] = self.state[parameter].get("n_steps", 0) + 1
        return super().step(closure)
