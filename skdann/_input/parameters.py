"""Checks of hyperparameters that a constraints table cannot express."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import torch

from skdann.nn._module import is_sizes


def check_network(name: str, spec: Any) -> None:
    """Raise unless the sizes of hidden layers are positive integers; modules are checked later."""
    if is_sizes(spec) and not all(
        isinstance(size, Integral) and not isinstance(size, bool) and int(size) > 0 for size in spec
    ):
        raise ValueError(
            f"{name}={spec!r} must hold positive integers, the sizes of hidden layers; or pass a "
            "torch module."
        )


def check_device(device: str) -> None:
    """Raise unless torch can compute on the device."""
    try:
        if torch.empty(0, device=device).is_meta:
            raise RuntimeError("it holds no values")
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:200]
        raise ValueError(
            f"device={device!r} is not available ({reason}); pass a torch device of this machine, "
            "such as 'cpu' or, with a GPU and a torch built for it, 'cuda'."
        ) from error


def check_can_resume(checkpoint: Any, random_state: Any) -> None:
    """Raise unless a fit that is started again starts from the same random state."""
    if checkpoint is not None and random_state is None:
        raise ValueError(
            f"checkpoint={checkpoint!r} needs a random_state, so that a fit that is started again "
            "repeats the same steps; set random_state to an integer."
        )
