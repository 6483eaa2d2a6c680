"""Fixtures shared by several test modules: small data, a small classifier, equality of fits."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import settings

from skdann import DANNClassifier
from skdann._training.net import DANNNet

# No deadline: a slow machine fails no property. CI tries the same examples each time.
settings.register_profile("skdann", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("skdann")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow tests, so that no process runs one alone at the end.

    Coverage takes time: it is measured in no more than two cases of a parametrized test, and not in
    slow tests.
    """
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    n_cases: Counter[str] = Counter()
    for item in items:
        test = item.nodeid.partition("[")[0]
        n_cases[test] += 1
        if item.get_closest_marker("slow") or n_cases[test] > 2:
            item.add_marker("no_cover")


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Iterator[None]:
    """Let Ctrl-C raise, also where a shell runs the tests in the background and ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Domains(NamedTuple):
    """Rows of two domains of equal shape, (40, 4), so that a mix-up is not caught by shapes."""

    X_source: np.ndarray
    y_source: np.ndarray
    X_target: np.ndarray
    y_target: np.ndarray


@pytest.fixture
def domains() -> Domains:
    rng = np.random.default_rng(0)
    X_source = rng.normal(size=(40, 4))
    X_target = rng.normal(loc=(0.5, 0.0, -0.5, 0.0), size=(40, 4))
    y_source, y_target = (X[:, 0] + X[:, 1] > 0.1 for X in (X_source, X_target))
    return Domains(X_source, y_source.astype(int), X_target, y_target.astype(int))


@pytest.fixture
def make_clf() -> Callable[..., DANNClassifier]:
    """Create a small, fast classifier with an adversary, dropout and several steps per epoch."""

    def make(**params: Any) -> DANNClassifier:
        small = {
            "feature_extractor": (8,),
            "domain_classifier": (4,),
            "dropout": 0.1,
            "max_epochs": 2,
            "batch_size": 16,
            "random_state": 0,
        }
        return DANNClassifier(**{**small, **params})

    return make


@pytest.fixture
def assert_same_fit() -> Callable[[DANNClassifier, DANNClassifier], None]:
    """Assert that two classifiers have bit-identical weights and equal training losses."""

    def check(first: DANNClassifier, second: DANNClassifier) -> None:
        states = first.module_.state_dict(), second.module_.state_dict()
        assert list(states[0]) == list(states[1])
        for name, value in states[0].items():
            assert torch.equal(value, states[1][name]), f"{name} differs"
        losses = [[row["train_loss"] for row in clf.history_] for clf in (first, second)]
        assert losses[0] == losses[1]

    return check


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test if training begins."""

    def begin(*args: Any, **kwargs: Any) -> None:
        pytest.fail("training began")  # not an Exception, so pytest.raises does not catch it

    monkeypatch.setattr(DANNNet, "fit_loop", begin)
