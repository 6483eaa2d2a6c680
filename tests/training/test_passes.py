"""Passes over rows: each row once, or in proportion to its weight."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skdann._training.passes import ShuffledRows, draw_pass, streams

quickly = settings(deadline=None, max_examples=60)


@quickly
@given(
    st.lists(st.floats(0, 5), min_size=1, max_size=40).filter(lambda w: sum(w) > 1e-3),
    st.integers(0, 1000),
)
def test_a_weighted_pass_has_each_row_in_proportion_rounded_up_or_down(weights, seed):
    weight = torch.tensor(weights, dtype=torch.float64)
    n_rows = len(weights)
    drawn = draw_pass(n_rows, weight, torch.Generator().manual_seed(seed))
    count = np.bincount(drawn.numpy(), minlength=n_rows)
    expected = n_rows * np.array(weights) / np.sum(weights)
    assert count.sum() == n_rows
    assert (count >= np.floor(expected - 1e-9)).all()
    assert (count <= np.ceil(expected + 1e-9)).all()
    again = draw_pass(n_rows, weight, torch.Generator().manual_seed(seed))
    assert torch.equal(drawn, again)


def test_weighted_passes_have_the_expected_shares_in_random_order():
    generator = torch.Generator().manual_seed(0)
    weight = torch.tensor([0.1, 0.4, 1.5, 2.0], dtype=torch.float64)
    passes = torch.stack([draw_pass(4, weight, generator) for _ in range(2000)])
    assert_allclose(np.bincount(passes.flatten()) / 8000, weight / 4, atol=0.01)
    for place in passes.T:  # each place of a pass
        assert_allclose(np.bincount(place, minlength=4) / 2000, weight / 4, atol=0.04)


def test_many_rows_are_counted_exactly():
    """In single precision, the sum of so many weights would be wrong."""
    n_rows = 2**19
    weight = torch.full((n_rows,), 1 / 3, dtype=torch.float64)
    weight[0] = 5.0
    drawn = draw_pass(n_rows, weight, torch.Generator().manual_seed(0))
    count = np.bincount(drawn.numpy(), minlength=n_rows)
    assert count[0] in (14, 15)
    assert set(np.unique(count[1:])) <= {0, 1}


def test_without_weights_a_pass_is_a_permutation():
    one, other = (torch.Generator().manual_seed(5) for _ in range(2))
    assert torch.equal(draw_pass(17, None, one), torch.randperm(17, generator=other))
    assert torch.equal(one.get_state(), other.get_state())


def test_rows_are_drawn_pass_by_pass_and_by_new_weights_from_the_next_draw_on():
    rows = torch.tensor([7, 8, 9])
    shuffled = ShuffledRows(rows, torch.Generator().manual_seed(0))
    drawn = shuffled.draw(5)
    assert sorted(drawn[:3].tolist()) == [7, 8, 9]
    shuffled.weigh(torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    assert shuffled.draw(4).tolist() == [9] * 4


def test_streams_start_with_the_generator_given_and_go_on_with_others():
    generator = torch.Generator().manual_seed(0)
    first, second, third = itertools.islice(streams(generator), 3)
    assert first is generator
    assert second.initial_seed() != third.initial_seed()
