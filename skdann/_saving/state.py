"""State of a net as named tensors: everything that training needs to continue.

The names begin with "module." (weights and buffers), "optimizer." or "generator." (random
generators). Saved files and checkpoints hold the same state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def net_state(net: Any) -> dict[str, Tensor]:
    """Return the tensors of a net by name, without copying; generator states are copies."""
    values = net.module_.state_dict().items()
    state = {f"module.{name}": value for name, value in values if isinstance(value, Tensor)}
    slots = _optimizer_slots(net)
    if all(isinstance(value, Tensor) for value in slots.values()):
        state.update(slots)  # a custom optimizer with other state restarts
    for member, streams in enumerate(net.generators_):
        for name, stream in streams.items():
            state[f"generator.{member}.{name}"] = stream.get_state()
    return state


def non_tensor_state(net: Any) -> list[str]:
    """Return the names of state that is not a tensor, which `net_state` omits."""
    values = {f"module.{name}": value for name, value in net.module_.state_dict().items()}
    values |= _optimizer_slots(net)
    return [name for name, value in values.items() if not isinstance(value, Tensor)]


def load_net_state(net: Any, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into a new net; raise unless names, shapes and dtypes match."""
    indices = {name.split(".")[1] for name in tensors if name.startswith("optimizer.")}
    _create_optimizer_state(net, indices)
    state = net_state(net)
    for what, names in (("missing", state.keys() - tensors), ("unknown", tensors.keys() - state)):
        if names:
            raise ValueError(f"{what} tensors: {', '.join(sorted(names)[:9])}")
    for name, current in state.items():
        saved = tensors[name]
        # the step counts of some optimizers have torch's default dtype
        is_count = current.dim() == 0 and current.is_floating_point() and saved.is_floating_point()
        if saved.shape != current.shape or (saved.dtype != current.dtype and not is_count):
            raise ValueError(
                f"{name} is {saved.dtype} of shape {tuple(saved.shape)} in the file, and "
                f"{current.dtype} of shape {tuple(current.shape)} in the network"
            )
        with torch.no_grad():
            current.copy_(saved)
    _set_generators(net, tensors)
    for name, parameter in net.module_.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise ValueError(f"the weights {name} are not finite")


def _optimizer_slots(net: Any) -> dict[str, Any]:
    return {
        f"optimizer.{index}.{key}": value
        for index, slot in net.optimizer_.state_dict()["state"].items()
        for key, value in slot.items()
        if value is not None
    }


def _set_generators(net: Any, tensors: Mapping[str, Tensor]) -> None:
    for member, streams in enumerate(net.generators_):
        for name, stream in streams.items():
            stream.set_state(tensors[f"generator.{member}.{name}"].clone())


def _create_optimizer_state(net: Any, indices: set[str]) -> None:
    """Create optimizer state for these parameters by a step with zero gradients."""
    parameters = [p for group in net.optimizer_.param_groups for p in group["params"]]
    for index, parameter in enumerate(parameters):
        parameter.grad = torch.zeros_like(parameter) if str(index) in indices else None
    if indices:
        net.optimizer_.step()
        net.optimizer_.zero_grad(set_to_none=True)
