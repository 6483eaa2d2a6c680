"""Generators and seeds from `random_state`, without numpy's global state."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skdann._input.seeding import derive_seed, draw_seed, make_generator

EACH = pytest.mark.parametrize("function", [make_generator, draw_seed, derive_seed])


def drawn(result):
    """Numbers drawn from a generator or a seed."""
    generator = np.random.RandomState(result) if isinstance(result, int) else result
    return generator.randint(2**31, size=3)


@EACH
@pytest.mark.parametrize("random_state", [None, 0, np.int64(7), "instance"])
def test_the_global_state_is_neither_read_nor_changed(function, random_state):
    results = []
    for _ in range(2):
        np.random.seed(3)
        before = np.random.get_state()[1].copy()
        given = np.random.RandomState(5) if random_state == "instance" else random_state
        results.append(drawn(function(given)))
        assert_array_equal(np.random.get_state()[1], before)
    assert np.array_equal(*results) == (random_state is not None)


@EACH
def test_an_instance_is_drawn_from(function):
    generator = np.random.RandomState(0)
    first, second = drawn(function(generator)), drawn(function(generator))
    assert not np.array_equal(first, second)


def test_an_int_is_a_seed_and_derives_another():
    assert draw_seed(42) == draw_seed(np.int32(42)) == 42
    assert type(draw_seed(np.int32(42))) is int
    assert derive_seed(42) == np.random.RandomState(42).randint(2**31) != 42
    assert draw_seed(np.random.RandomState(42)) == np.random.RandomState(42).randint(2**31 - 1)


def test_an_instance_is_the_generator():
    generator = np.random.RandomState(0)
    assert make_generator(generator) is generator


@EACH
def test_invalid_random_states_are_refused(function):
    with pytest.raises(ValueError, match="cannot be used to seed"):
        function("seed")
