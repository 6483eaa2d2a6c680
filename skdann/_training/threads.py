"""Number of threads, chosen by the amount of work."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

import torch
from threadpoolctl import ThreadpoolController

PRODUCTS_PER_THREAD = 2e8


@contextlib.contextmanager
def suited_threads(n_products: float) -> Iterator[None]:
    """Use a single thread for small steps, and restore the caller's setting afterwards.

    Below about `PRODUCTS_PER_THREAD` multiplications per step for each thread (ten times more on
    busy cores), synchronizing threads costs more than they gain. A single thread also makes results
    bit-identical on every machine. The limit applies to the calling thread only, and never raises a
    limit set by the caller.
    """
    n_threads = torch.get_num_threads()
    if n_threads == 1 or n_products >= PRODUCTS_PER_THREAD * n_threads:
        yield
        return
    with _threadpools().limit(limits=1, user_api="openmp"):
        yield


@functools.cache
def _threadpools() -> ThreadpoolController:
    """Return the thread pools of the loaded libraries; cached, as a search takes milliseconds."""
    return ThreadpoolController()
