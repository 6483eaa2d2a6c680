"""Versions of everything that a report of a problem should name."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata

import joblib
import torch
from threadpoolctl import threadpool_info

PACKAGES = [
    "scikit-learn",
    "torch",
    "skorch",
    "numpy",
    "scipy",
    "joblib",
    "threadpoolctl",
    "safetensors",
    "skops",
    "tqdm",
    "pandas",
    "polars",
    "pyarrow",
    "dask",
    "matplotlib",
    "onnx",
    "onnxscript",
    "skl2onnx",
    "onnxruntime",
]


def show_versions() -> None:
    """Print the versions of skdann, Python and other packages, threads and GPU.

    Paste the output into a report of a problem. ``python -m skdann`` prints the same. Packages are
    not imported for it.

    Examples
    --------
    >>> from skdann import show_versions
    >>> show_versions()
    System
            python: 3...
          platform: ...
    <BLANKLINE>
    Packages
            skdann: ...
      scikit-learn: 1...
             torch: 2...
    ...
    """
    sections = {"System": system(), "Packages": packages(), "Computing": computing()}
    texts = (
        "\n".join([title, *(f"{name:>14}: {value}" for name, value in lines)])
        for title, lines in sections.items()
    )
    print("\n\n".join(texts))  # noqa: T201 (printing is the purpose)


def system() -> Iterator[tuple[str, str]]:
    """Yield the names and values of the section on Python and the system."""
    yield "python", f"{platform.python_version()} ({platform.python_implementation()})"
    yield "platform", platform.platform()


def packages() -> Iterator[tuple[str, str]]:
    """Yield the names of packages and their installed versions."""
    import skdann

    yield "skdann", skdann.__version__
    for name in PACKAGES:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            yield name, "not installed"


def computing() -> Iterator[tuple[str, str]]:
    """Yield the names and values of the section on cores, threads and GPU."""
    yield "CPU cores", str(joblib.cpu_count())
    yield "torch threads", str(torch.get_num_threads())
    for pool in threadpool_info():
        yield pool["user_api"], f"{pool['num_threads']} threads, {pool['prefix']}"
    if torch.cuda.is_available():
        yield "CUDA", f"{torch.version.cuda}, {torch.cuda.get_device_name()}"
    else:
        yield "CUDA", "not available"
