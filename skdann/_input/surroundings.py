"""The caller's settings, neutral while skdann computes.

A script may have changed settings of torch, numpy or scikit-learn that decide what a computation
gives, or whether it works. Settings of the current thread are replaced for the time of a block;
settings of the whole process are neither read nor changed, as other threads may rely on them. The
default dtype of torch is one of these: code of skdann passes a dtype wherever it makes a tensor.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import numpy as np
import torch
from sklearn import config_context
from threadpoolctl import threadpool_limits

SKLEARN_CONFIG = {
    "array_api_dispatch": False,
    "assume_finite": False,
    "transform_output": "default",
}
_FORKED: list[bool] = []  # holds an item in a process that was forked from one with skdann

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _FORKED.append(True))


def default_numpy_errors() -> np.errstate:
    """Handle floating point errors as numpy does by default, whatever ``np.seterr`` was given."""
    return np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")


@contextlib.contextmanager
def neutral_surroundings() -> Iterator[None]:
    """Compute by the default settings of torch, numpy and scikit-learn, whatever the caller's are.

    Within the block, for the current thread, torch records gradients, makes tensors on the CPU
    unless a device is given, and does not cast automatically; numpy warns of floating point errors
    as it does by default; scikit-learn checks for finite values, returns arrays from transformers,
    and takes numpy arrays only. The caller's settings are back after the block, also if it raises.

    A forked process computes on one thread: OpenMP threads that the parent has used do not exist
    there, and waiting for them would never end.

    Examples
    --------
    >>> import torch
    >>> from skdann._input.surroundings import neutral_surroundings
    >>> with torch.no_grad(), neutral_surroundings():
    ...     torch.is_grad_enabled()
    True
    """
    with contextlib.ExitStack() as stack:
        # leaving inference mode turns gradients on; no_grad() outside of it is undone by the second
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.empty(0, dtype=torch.float32).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for device_type in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device_type):
                stack.enter_context(torch.autocast(device_type, enabled=False))
        stack.enter_context(default_numpy_errors())
        stack.enter_context(config_context(**SKLEARN_CONFIG))
        if _FORKED:
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1)
            stack.enter_context(threadpool_limits(1, user_api="openmp"))  # of scikit-learn
        yield
