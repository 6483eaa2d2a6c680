"""How many threads a piece of work deserves."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import torch
from threadpoolctl import ThreadpoolController

PRODUCTS_PER_THREAD = 2e8


@contextlib.contextmanager
def suited_threads(n_products: float) -> Iterator[None]:
    """Compute on one thread where a step is small, and give the caller's threads back.

    Waiting for one another costs threads more than they gain below about `PRODUCTS_PER_THREAD`
    multiplications a step, ten times more where cores are busy. One thread also gives equal bits
    wherever the fit runs. The limit holds for the calling thread alone, and never raises a limit
    that the caller has set.
    """
    if n_products >= PRODUCTS_PER_THREAD or torch.get_num_threads() == 1:
        yield
        return
    with _threadpools().limit(limits=1, user_api="openmp"):
        yield


@functools.cache
def _threadpools() -> ThreadpoolController:
    """The thread pools of the loaded libraries; looking for them takes milliseconds."""
    return ThreadpoolController()
