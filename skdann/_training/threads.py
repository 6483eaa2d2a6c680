"""Number of threads, chosen by the amount of work."""

from __future__ import annotations

import contextlib
import functools
from contextlib import AbstractContextManager
from typing import Any

import torch
from threadpoolctl import ThreadpoolController
from torch import nn

PRODUCTS_PER_THREAD = 2e8


def suited_threads(n_rows: int, module: nn.Module) -> AbstractContextManager[Any]:
    """Use as many threads as the steps can keep busy, and restore the caller's limit afterwards.

    A step multiplies each row by each weight of the module. Below about `PRODUCTS_PER_THREAD`
    multiplications for each thread (ten times more on busy cores), synchronizing threads costs more
    than they gain. Small steps take a single thread, which also makes results bit-identical on
    every machine.

    Parameters
    ----------
    n_rows : int
        Number of rows of a step.
    module : torch.nn.Module
        Networks of one member or several.
    """
    n_threads = torch.get_num_threads()
    if n_threads == 1:  # weights need not be counted
        return contextlib.nullcontext()
    n_products = n_rows * sum(weights.numel() for weights in module.parameters())
    n_busy = max(1, int(n_products // PRODUCTS_PER_THREAD))
    return contextlib.nullcontext() if n_busy >= n_threads else limit_threads(n_busy)


def limit_threads(n_threads: int) -> AbstractContextManager[Any]:
    """Limit the OpenMP threads of the calling thread, and restore the limit afterwards."""
    return _threadpools().limit(limits=n_threads, user_api="openmp")


@functools.cache
def _threadpools() -> ThreadpoolController:
    """Return the thread pools of the loaded libraries; cached, as a search takes milliseconds."""
    return ThreadpoolController()
