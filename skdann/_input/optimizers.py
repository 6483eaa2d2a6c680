"""Optimizers by name, and a trial of those that a user passes.

The first optimizer of torch imports torch's compiler, 799 modules, which takes fifty times as long
as a short fit. Nothing is compiled here, so optimizers given by name leave it out.
"""

from __future__ import annotations

import copy
import inspect
from typing import Any, TypeVar

import torch

_Optimizer = TypeVar("_Optimizer", bound=type[torch.optim.Optimizer])

# torch wraps these methods so that its compiler skips them
WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")


def _without_compiler(optimizer: _Optimizer) -> _Optimizer:
    """Replace the methods of an optimizer that import torch's compiler by what they wrap."""
    for name in WRAPPED:
        setattr(optimizer, name, inspect.unwrap(getattr(optimizer, name)))
    step: Any = inspect.unwrap(optimizer.step)
    optimizer.step = torch.no_grad()(step)  # type: ignore[method-assign]
    return optimizer


@_without_compiler
class Adam(torch.optim.Adam):
    """Adam of torch."""


@_without_compiler
class AdamW(torch.optim.AdamW):
    """AdamW of torch."""


@_without_compiler
class RMSprop(torch.optim.RMSprop):
    """RMSprop of torch."""


@_without_compiler
class SGD(torch.optim.SGD):
    """Stochastic gradient descent of torch."""


OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "adam": (Adam, {"fused": True}),
    "adamw": (AdamW, {"fused": True}),
    "rmsprop": (RMSprop, {}),
    "sgd": (SGD, {"momentum": 0.9, "fused": True}),
}


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
        number = torch.zeros(1, dtype=torch.float32, device=device)
        trial = factory([torch.nn.Parameter(number)], lr=lr, **options)
        if not isinstance(trial, torch.optim.Optimizer):
            raise TypeError(f"it made a {type(trial).__name__}, not a torch.optim.Optimizer")
        copied = copy.deepcopy(trial)  # as a continued fit does
        copied.param_groups[0]["params"][0].grad = torch.zeros_like(number)
        copied.step()
    except Exception as error:
        raise ValueError(
            f"optimizer={optimizer!r} cannot be used with lr={lr!r}, weight_decay={weight_decay!r} "
            f"({type(error).__name__}: {str(error)[:200]}); pass a name, or a torch class "
            "that takes the parameters and lr and steps by dense gradients of mini-batches."
        ) from error
    return factory, options
