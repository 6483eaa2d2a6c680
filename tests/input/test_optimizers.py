"""Optimizers by name: those of torch, without the import of its compiler."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest
import torch
from numpy.testing import assert_array_equal

from skdann._input.optimizers import OPTIMIZERS, optimizer_of

TORCH = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
FITS = """
import sys
import numpy as np
from skdann import DANNClassifier, DANNClassifierCV

rng = np.random.default_rng(0)
X, y = rng.normal(size=(40, 3)), np.arange(40) % 2
for optimizer in ("adam", "adamw", "rmsprop", "sgd"):
    clf = DANNClassifier(optimizer=optimizer, max_epochs=1, warm_start=True, random_state=0)
    clf.fit(X, y, X + 1).fit(X, y, X + 1).partial_fit(X, y, X + 1)
DANNClassifier(normalization="batch", max_epochs=1, random_state=0).fit(X, y, X + 1)
DANNClassifierCV(DANNClassifier(max_epochs=1), random_state=0).fit(X, y, X + 1).predict(X)
print([name for name in ("torch._dynamo", "sympy") if name in sys.modules])
"""


def steps(make, n_steps=5):
    torch.manual_seed(0)
    weights = torch.nn.Parameter(torch.randn(4, 3))
    x, optimizer = torch.randn(7, 4), make([weights])

    def closure():
        optimizer.zero_grad()
        loss = (x @ weights - 1.0).square().mean()
        loss.backward()
        return loss

    return [optimizer.step(closure).item() for _ in range(n_steps)], weights.detach(), optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_those_of_torch(name):
    factory, options = optimizer_of(name, 0.1, 0.01, "cpu")
    own = steps(lambda weights: factory(weights, lr=0.1, **options))
    expected = steps(lambda weights: TORCH[name](weights, lr=0.1, **options))
    assert own[0] == expected[0]
    assert_array_equal(own[1], expected[1])
    assert isinstance(own[2], TORCH[name])
    assert repr(own[2]) == repr(expected[2])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_is_copied_pickled_and_loaded_as_that_of_torch(name):
    factory, options = optimizer_of(name, 0.1, 0.0, "cpu")
    _, _, optimizer = steps(lambda weights: factory(weights, lr=0.1, **options))
    state = optimizer.state_dict()
    other = TORCH[name]([torch.nn.Parameter(torch.zeros(4, 3))], lr=0.1, **options)
    other.load_state_dict(state)
    again = factory([torch.nn.Parameter(torch.zeros(4, 3))], lr=0.1, **options)
    again.load_state_dict(other.state_dict())
    for copied in (again, copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        for key, value in state["state"][0].items():
            assert_array_equal(copied.state_dict()["state"][0][key], value)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_records_no_gradients(name):
    _, weights, optimizer = steps(lambda weights: OPTIMIZERS[name][0](weights, lr=0.1), 1)
    assert optimizer.param_groups[0]["params"][0].grad_fn is None
    assert torch.is_grad_enabled()
    assert torch.isfinite(weights).all()


@pytest.mark.parametrize(
    ("dtype", "weight_decay", "is_usable"),
    [(torch.float64, 1e300, False), (torch.float16, 1e5, True), (torch.float32, 1e300, False)],
)
def test_the_trial_is_in_the_type_of_the_weights(dtype, weight_decay, is_usable):
    """RMSprop adds its weight decay as a number of this type."""
    try:
        torch.set_default_dtype(dtype)
    except TypeError:
        pytest.skip("this torch has no such default dtype")
    try:
        if is_usable:
            optimizer_of("rmsprop", 0.1, weight_decay, "cpu")
        else:
            with pytest.raises(ValueError, match=r"weight_decay=1e\+300 \(RuntimeError"):
                optimizer_of("rmsprop", 0.1, weight_decay, "cpu")
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_optimizers_of_torch_are_left_as_they_are():
    for name, (own, _) in OPTIMIZERS.items():
        assert own.zero_grad is not TORCH[name].zero_grad
        assert hasattr(TORCH[name].zero_grad, "__wrapped__")


@pytest.mark.slow
def test_no_fit_imports_the_compiler_of_torch():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FITS], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
