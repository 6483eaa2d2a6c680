"""The state of a net in training, as named tensors: all that decides how training goes on.

Weights and buffers ("module."), the optimiser's memory ("optimizer.") and the random generators
("generator."), of all members. An interrupt, a saved file and a checkpoint put the same state back.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from skdann._compat import copy_tensors


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


class Mark:
    """Where training is between two epochs, to come back to; taken anew, it keeps its memory."""

    def __init__(self) -> None:
        self.own: list[Tensor] = []
        self.copies: list[Tensor] = []

    @torch.no_grad()
    def take(self, net: Any) -> None:
        """Copy the state, on the device of the net."""
        self.n_done = net.n_epochs_done_, len(net.history), len(net.member_history_)
        self.slots = {
            key: {name: _kept(value) for name, value in slot.items()}
            for key, slot in net.optimizer_.state.items()
        }
        self.tables = [
            (table, dict(table))
            for part in net.module_.modules()
            for table in (part._parameters, part._buffers)
            if table
        ]
        tables = [*self.slots.values(), *(held for _, held in self.tables)]
        own = [value for table in tables for value in table.values() if isinstance(value, Tensor)]
        if len(own) != len(self.own) or any(map(operator.is_not, own, self.own)):
            self.own, self.copies = own, [torch.empty_like(value) for value in own]
        copy_tensors(self.copies, self.own)
        self.generators = [
            (stream, stream.get_state()) for member in net.generators_ for stream in member.values()
        ]

    @torch.no_grad()
    def put_back(self, net: Any) -> None:
        """Drop all that came after."""
        net.n_epochs_done_, n_rows, n_member_rows = self.n_done
        del net.history[n_rows:]
        del net.member_history_[n_member_rows:]
        net.optimizer_.state.clear()
        net.optimizer_.state.update(self.slots)
        for table, held in self.tables:  # a module may have put another tensor there
            table.update(held)
        copy_tensors(self.own, self.copies)
        for stream, state in self.generators:
            stream.set_state(state)


def _kept(value: Any) -> Any:
    """Return a value of an optimiser's memory that no step changes; tensors are copied later."""
    return value if isinstance(value, Tensor | int | float) else copy.deepcopy(value)


def fill_state(net: Any, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into a new net; ValueError unless they are exactly those it has."""
    _step_by_nothing(net, {name.split(".")[1] for name in tensors if name.startswith("optimizer.")})
    state = net_state(net)
    for what, names in (("missing", state.keys() - tensors), ("unknown", tensors.keys() - state)):
        if names:
            raise ValueError(f"{what} tensors: {', '.join(sorted(names)[:9])}")
    for name, own in state.items():
        found = tensors[name]
        if (found.shape, found.dtype) != (own.shape, own.dtype):
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
