"""Threads: one for small steps, and the caller's limit afterwards."""

from __future__ import annotations

import pytest
import torch

from skdann._training import threads
from skdann._training.threads import limit_threads, suited_threads

WEIGHTS = torch.nn.Linear(9, 10)  # 100 weights


@pytest.fixture(autouse=True)
def two_threads(monkeypatch):
    monkeypatch.setattr(threads, "PRODUCTS_PER_THREAD", 400)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("n_rows", "expected"), [(0, 1), (7, 1), (8, 2), (10**9, 2)])
def test_small_steps_use_one_thread(n_rows, expected):
    with suited_threads(n_rows, WEIGHTS):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("n_rows", "expected"), [(3, 1), (7, 1), (8, 2), (15, 3), (16, 4), (99, 4)]
)
def test_larger_steps_use_more_threads(n_rows, expected):
    torch.set_num_threads(4)
    with suited_threads(n_rows, WEIGHTS):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 4


@pytest.mark.parametrize("limit", [lambda: limit_threads(1), lambda: suited_threads(1, WEIGHTS)])
def test_the_limit_ends_with_an_error(limit):
    with pytest.raises(ZeroDivisionError), limit():
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("n_rows", [1, 10**9])
def test_a_limit_of_the_caller_is_never_raised(n_rows):
    torch.set_num_threads(1)
    with suited_threads(n_rows, WEIGHTS):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 1
