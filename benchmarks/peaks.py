"""Peak memory of a block of code in a separate process, as measured by Linux.

Shared by `benchmarks/memory.py` and `benchmarks/scale.py`.
"""

from __future__ import annotations

import gc
import re
import resource
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from machine import Stopwatch

MB = 1e6
STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def in_child(function: Callable[..., Any], *args: Any) -> Any:
    """Call a module-level function in a new process, and return its result."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def resident(field: str = "VmRSS") -> int:
    """Return resident bytes: VmRSS is current, VmHWM the peak, RssAnon excludes mapped files."""
    match = re.search(rf"{field}:\s+(\d+) kB", STATUS.read_text())
    return 1024 * int(match.group(1)) if match else 0


class PeakGrowth:
    """Peak growth of the process within a block, in bytes.

    The high-water mark of the kernel is reset on entry and read on exit, so no peak is missed. If
    it cannot be reset (/proc/self/clear_refs), the mark since the start of the process is used, and
    a peak below an earlier one is not detected.

    Parameters
    ----------
    watch_anonymous : bool, default=False
        Also sample the memory without pages of mapped files, every five milliseconds.

    Attributes
    ----------
    total, anonymous : int
        Growth in bytes; `anonymous` is 0 if it was not sampled.
    """

    def __init__(self, watch_anonymous: bool = False) -> None:
        self.watch_anonymous = watch_anonymous

    def __enter__(self) -> PeakGrowth:
        gc.collect()
        self.total = self.anonymous = 0
        try:
            CLEAR_REFS.write_text("5")
        except OSError:
            self._mark = lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        else:
            self._mark = lambda: resident("VmHWM")
        self._start, self._done = resident(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        if self.watch_anonymous:
            self._thread.start()
        return self

    def _watch(self) -> None:
        start = resident("RssAnon")
        while not self._done.wait(0.005):
            self.anonymous = max(self.anonymous, resident("RssAnon") - start)

    def __exit__(self, *_: object) -> None:
        self.total = self._mark() - self._start
        self._done.set()
        if self.watch_anonymous:
            self._thread.join()


def make_domains(n_rows: int, n_features: int, dtype: str) -> tuple[np.ndarray, ...]:
    """Return two shifted Gaussian domains with a linear label, without temporary copies."""
    rng = np.random.default_rng(0)
    X, X_target = (rng.standard_normal((n_rows, n_features), dtype=dtype) for _ in range(2))
    X_target += 0.5
    return X, (X[:, 0] + X[:, 1] > 0).astype(np.int64), X_target


def warm_up(**params: Any) -> None:
    """Fit a small table, so that memory loaded once by libraries is not counted."""
    from skdann import DANNClassifier

    DANNClassifier(max_epochs=1, **params).fit(*make_domains(1000, 5, "float32"))


def measured_fit(clf: Any, *rows: Any, watch_anonymous: bool = False) -> dict[str, float]:
    """Measure the memory growth (in megabytes) and time (in seconds) of one fit."""
    with PeakGrowth(watch_anonymous) as peak, Stopwatch() as watch:
        clf.fit(*rows)
    return {
        "growth_mb": peak.total / MB,
        "anonymous_mb": peak.anonymous / MB,
        "cpu_s": watch.cpu,
        "wall_s": watch.wall,
    }
