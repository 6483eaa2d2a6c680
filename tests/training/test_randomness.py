"""Randomness: seeds decide everything, and no global state is touched."""

from __future__ import annotations

import contextlib
import copy
import gc
import pickle
import random
import sys

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from skdann._training.randomness import spawn_generators
from tests.training.common import SMALL, CustomExtractor, Interrupt, domains, every_fit, fit


def random_states():
    name, keys, *rest = np.random.get_state()
    return [torch.get_rng_state().tolist(), random.getstate(), name, keys.tolist(), rest]


@contextlib.contextmanager
def no_trace():
    before = random_states()
    yield
    assert random_states() == before


def seed_globals(seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@pytest.fixture
def _global_states_put_back():
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()
    yield
    torch.set_rng_state(states[0])
    random.setstate(states[1])
    np.random.set_state(states[2])


@every_fit
@pytest.mark.usefixtures("_global_states_put_back")
def test_fits_neither_read_nor_change_global_random_states(changed):
    X, y, targets = domains()
    fits = []
    for seed in (1, 2):
        seed_globals(seed)
        with no_trace():
            fits.append(fit({**SMALL, **changed}, X, y, targets))
            fits[-1].partial_fit(X, y, tuple(targets))
    assert_array_equal(fits[0].predict_proba(X), fits[1].predict_proba(X))


@pytest.mark.parametrize("changed", [{}, {"feature_extractor": CustomExtractor}])
@pytest.mark.usefixtures("_global_states_put_back")
def test_random_state_none_draws_fresh_entropy_and_changes_no_global_state(changed):
    X, y, targets = domains()
    fits = []
    for _ in range(2):
        seed_globals(0)
        with no_trace():
            fits.append(fit({**SMALL, **changed, "random_state": None}, X, y, targets))
    assert not np.array_equal(fits[0].predict_proba(X), fits[1].predict_proba(X))


@pytest.mark.usefixtures("_global_states_put_back")
def test_random_states_are_restored_after_an_error_and_an_interrupt():
    X, y, targets = domains()
    params = {**SMALL, "feature_extractor": CustomExtractor}
    with no_trace(), pytest.raises(ValueError, match="diverged"):
        fit({**params, "optimizer": "sgd", "lr": 1e25}, X, y, targets)
    with no_trace(), pytest.warns(UserWarning, match="interrupted"):
        fit({**params, "callbacks": [Interrupt(epoch=2, step=1)]}, X, y, targets)


def test_a_fit_on_the_cpu_seeds_no_other_device(monkeypatch):
    def seeded(seed):
        raise AssertionError("the generators of all CUDA devices were seeded")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded)
    X, y, targets = domains()
    fit({**SMALL, "feature_extractor": CustomExtractor}, X, y, targets)


@every_fit
def test_equal_seeds_are_bit_identical_and_different_seeds_differ(changed):
    X, y, targets = domains()
    one, same = (fit({**SMALL, **changed}, X, y, targets) for _ in range(2))
    other = fit({**SMALL, **changed, "random_state": 1}, X, y, targets)
    for name in ("predict_proba", "transform", "predict_domain_proba"):
        assert_array_equal(getattr(one, name)(X), getattr(same, name)(X))
        assert not np.array_equal(getattr(one, name)(X), getattr(other, name)(X))


def references_to_none():
    """Return their number, which is constant from Python 3.12."""
    gc.collect()
    return sys.getrefcount(None)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_copies_of_a_stream_draw_the_same_and_keep_none_alive(copied):
    stream = spawn_generators(0)["validation"]
    torch.rand(3, generator=stream)
    other = copied(stream)
    assert type(other) is type(stream)
    assert_array_equal(torch.rand(5, generator=other), torch.rand(5, generator=stream))
    before = references_to_none()
    for _ in range(1000):
        copied(stream)
    assert references_to_none() > before - 500


def test_streams_of_one_seed_differ_from_each_other():
    first = [torch.rand(4, generator=g).tolist() for g in spawn_generators(3).values()]
    assert len({tuple(values) for values in first}) == len(first)
    assert first == [torch.rand(4, generator=g).tolist() for g in spawn_generators(3).values()]
