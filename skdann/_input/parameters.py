"""Checks of hyperparameters that a constraints table cannot express, and optimizers by name."""

from __future__ import annotations

import copy
from numbers import Integral
from typing import Any

import torch

from skdann.nn._module import is_sizes

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "adam": (torch.optim.Adam, {"fused": True}),
    "adamw": (torch.optim.AdamW, {"fused": True}),
    "rmsprop": (torch.optim.RMSprop, {}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "fused": True}),
}


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


def optimizer_of(
    optimizer: Any, lr: float, weight_decay: float, device: str
) -> tuple[Any, dict[str, Any]]:
    """Return the class and options of an optimizer, after a trial step on one number.

    Parameters
    ----------
    optimizer : str or callable
        A name in `OPTIMIZERS`, a torch class, or a partial of one.
    lr, weight_decay : float
        Learning rate and weight decay.
    device : str
        Device of the parameters.

    Returns
    -------
    factory : callable
        Makes the optimizer from parameters, `lr` and the options.
    options : dict
        Options of the factory, other than `lr`.

    Raises
    ------
    ValueError
        If the optimizer cannot be made, copied, or used with mini-batches.
    """
    factory: Any = optimizer
    options: dict[str, Any] = {}
    if isinstance(optimizer, str):
        factory, options = OPTIMIZERS[optimizer]
    if weight_decay or isinstance(optimizer, str):
        options = {**options, "weight_decay": weight_decay}
    try:
        trial = factory([torch.nn.Parameter(torch.zeros(1, device=device))], lr=lr, **options)
        if not isinstance(trial, torch.optim.Optimizer):
            raise TypeError(f"it made a {type(trial).__name__}, not a torch.optim.Optimizer")
        copied = copy.deepcopy(trial)  # as a continued fit does
        copied.param_groups[0]["params"][0].grad = torch.zeros(1, device=device)
        copied.step()
    except Exception as error:
        raise ValueError(
            f"optimizer={optimizer!r} cannot be used with lr={lr!r}, weight_decay={weight_decay!r} "
            f"({type(error).__name__}: {str(error)[:200]}); pass a name, or a torch class "
            "that takes the parameters and lr and steps by dense gradients of mini-batches."
        ) from error
    return factory, options
