"""Threads: one for small steps, and the caller's limit afterwards."""

from __future__ import annotations

import pytest
import torch

from skdann._training.threads import PRODUCTS_PER_THREAD, suited_threads


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("n_products", "expected"),
    [(0, 1), (2 * PRODUCTS_PER_THREAD - 1, 1), (2 * PRODUCTS_PER_THREAD, 2), (1e12, 2)],
)
@pytest.mark.usefixtures("two_threads")
def test_small_steps_use_one_thread(n_products, expected):
    with suited_threads(n_products):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_the_limit_ends_with_an_error():
    with pytest.raises(ZeroDivisionError), suited_threads(1.0):
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_a_limit_of_the_caller_is_never_raised():
    torch.set_num_threads(1)
    for n_products in (1.0, 1e12):
        with suited_threads(n_products):
            assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 1
