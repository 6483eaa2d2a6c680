"""Parts of a search at the same time: networks in processes of joblib, trees in a thread."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from joblib import Parallel, delayed, effective_n_jobs
from joblib.parallel import get_active_backend

from skdann._input.surroundings import neutral_surroundings

_Result = TypeVar("_Result")


def count_jobs(n_jobs: int | None) -> int:
    """Return how many jobs may run at once: one inside another parallel loop of joblib."""
    backend, _ = get_active_backend()
    return 1 if backend.nesting_level else effective_n_jobs(n_jobs)


def count_processes(n_jobs: int | None, n_tasks: int) -> int:
    """Return how many processes to use; with a backend of threads, only this one.

    Networks in threads would wait for each other, as the interpreter runs one at a time.
    """
    backend, _ = get_active_backend()
    return 1 if getattr(backend, "uses_threads", False) else min(count_jobs(n_jobs), n_tasks)


def call_each(
    function: Callable[..., _Result], tasks: Sequence[tuple[Any, ...]], n_processes: int
) -> Iterator[_Result]:
    """Yield the result of a function for each tuple of arguments, in order.

    With one process, each call takes place when its result is requested.
    """
    if n_processes == 1:
        return (function(*task) for task in tasks)
    # "c" leaves memory-mapped rows writable, as torch requires; nothing is written to the file
    parallel = Parallel(n_processes, mmap_mode="c")
    return iter(parallel(delayed(_call)(function, *task) for task in tasks))


@neutral_surroundings()
def _call(function: Callable[..., _Result], *args: Any) -> _Result:
    """Call a function in a new thread or process, whatever the settings are there."""
    return function(*args)


@contextlib.contextmanager
def meanwhile(
    function: Callable[..., _Result], *args: Any, n_jobs: int | None
) -> Iterator[Callable[[], _Result]]:
    """Call a function in a thread while the block runs; yield a function that returns its result.

    If one job may run at once, the call takes place when its result is requested.
    """
    if count_jobs(n_jobs) == 1:
        yield functools.partial(function, *args)
        return
    thread = ThreadPoolExecutor(1)
    try:
        yield thread.submit(_call, function, *args).result
    finally:
        thread.shutdown(wait=False)  # an error in the block is raised at once
