"""The state of a net in training, as named tensors: all that decides how training goes on.

Weights and buffers ("module."), the optimiser's memory ("optimizer.") and the random generators
("generator."), of all members. An interrupt, a saved file and a checkpoint put the same state back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def net_state(net: Any) -> dict[str, Tensor]:
    """Return every tensor of a net, by name; they are the net's own, but for the generators."""
    values = net.module_.state_dict().items()
    state = {f"module.{name}": value for name, value in values if isinstance(value, Tensor)}
    slots = _optimizer_slots(net)
    if all(isinstance(value, Tensor) for value in slots.values()):
        state.update(slots)  # an optimiser of the user's that keeps anything else starts anew
    for member, streams in enumerate(net.generators_):
        for name, stream in streams.items():
            state[f"generator.{member}.{name}"] = stream.get_state()
    return state


def foreign_state(net: Any) -> list[str]:
    """Name what the net keeps that is not a tensor, and that `net_state` leaves out."""
    values = {f"module.{name}": value for name, value in net.module_.state_dict().items()}
    values |= _optimizer_slots(net)
    return [name for name, value in values.items() if not isinstance(value, Tensor)]


def fill_state(net: Any, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into a new net; ValueError unless they are exactly those it has."""
    _step_by_nothing(net, {name.split(".")[1] for name in tensors if name.startswith("optimizer.")})
    state = net_state(net)
    for what, names in (("missing", state.keys() - tensors), ("unknown", tensors.keys() - state)):
        if names:
            raise ValueError(f"{what} tensors: {', '.join(sorted(names)[:9])}")
    for name, own in state.items():
        found = tensors[name]
        # torch counts the steps of some optimizers in its default dtype
        is_count = own.dim() == 0 and own.is_floating_point() and found.is_floating_point()
        if found.shape != own.shape or (found.dtype != own.dtype and not is_count):
            raise ValueError(
                f"{name} is {found.dtype} of shape {tuple(found.shape)} in the file, and "
                f"{own.dtype} of shape {tuple(own.shape)} in the network"
            )
        with torch.no_grad():
            own.copy_(found)
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


def _step_by_nothing(net: Any, indices: set[str]) -> None:
    """Step by zero gradients, so that the optimiser has a state of these parameters to fill."""
    parameters = [p for group in net.optimizer_.param_groups for p in group["params"]]
    for index, parameter in enumerate(parameters):
        parameter.grad = torch.zeros_like(parameter) if str(index) in indices else None
    if indices:
        net.optimizer_.step()
        net.optimizer_.zero_grad(set_to_none=True)
