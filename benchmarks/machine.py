"""Description of the machine, and the clocks used by the benchmarks."""

from __future__ import annotations

import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = (
    *("numpy", "scipy", "scikit-learn", "torch", "skorch", "skdann", "skada", "POT"),
    *("adapt", "tensorflow", "pytorch-adapt", "distributed", "pyarrow"),
)


def versions() -> dict[str, str]:
    """Return the versions of the installed packages."""
    installed = {}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"python": platform.python_version(), **installed}


def facts() -> dict[str, Any]:
    """Return processor, cores, memory, thread setting, current load and versions."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": round(_total_memory() / 2**30, 1),
        "threads": os.environ.get("OMP_NUM_THREADS", "unset"),
        "load": load(),
        "versions": versions(),
    }


def load() -> list[float]:
    """Return the load averages of 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def describe(machine: dict[str, Any]) -> str:
    """Return two lines to print above a table."""
    names = ", ".join(f"{name} {value}" for name, value in machine["versions"].items())
    return (
        f"{machine['date']}, {machine['cpu']}, {machine['cores']} cores, "
        f"OMP_NUM_THREADS={machine['threads']}, load {machine['load']}\n{names}"
    )


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _total_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class Stopwatch:
    """CPU and wall time of a block, in seconds.

    >>> with Stopwatch() as watch:
    ...     pass
    >>> watch.cpu >= 0 and watch.wall >= 0
    True
    """

    def __enter__(self) -> Stopwatch:
        self.cpu, self.wall = -time.process_time(), -time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu += time.process_time()
        self.wall += time.perf_counter()


def spread(values: Any, digits: int = 3) -> str:
    """Format the median and range of values."""
    low, mid, high = (f"{value:.{digits}f}" for value in np.percentile(values, [0, 50, 100]))
    return f"{mid} [{low}-{high}]"
