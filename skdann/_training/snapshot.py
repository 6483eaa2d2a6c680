"""Snapshot of a net between two epochs, for rolling back an interrupted epoch."""

from __future__ import annotations

import copy
import operator
from typing import Any

import torch
from torch import Tensor

from skdann._compat import copy_tensors


class Snapshot:
    """Copy of everything that an epoch changes in a net; reuses its buffers."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.copies: list[Tensor] = []

    @torch.no_grad()
    def take(self, net: Any) -> None:
        """Copy the state of the net, on the same device."""
        self.counts = net.n_epochs_done_, len(net.history), len(net.member_history_)
        self.slots = {
            key: {name: _copy_slot(value) for name, value in slot.items()}
            for key, slot in net.optimizer_.state.items()
        }
        self.tables = [
            (table, dict(table))
            for part in net.module_.modules()
            for table in (part._parameters, part._buffers)
            if table
        ]
        tables = [*self.slots.values(), *(content for _, content in self.tables)]
        tensors = [value for table in tables for value in table.values() if _is_tensor(value)]
        if len(tensors) != len(self.tensors) or any(map(operator.is_not, tensors, self.tensors)):
            self.tensors, self.copies = tensors, [torch.empty_like(value) for value in tensors]
        copy_tensors(self.copies, self.tensors)
        self.generators = [
            (stream, stream.get_state()) for member in net.generators_ for stream in member.values()
        ]

    @torch.no_grad()
    def restore(self, net: Any) -> None:
        """Restore the state of the net, and drop what was recorded since."""
        net.n_epochs_done_, n_rows, n_member_rows = self.counts
        del net.history[n_rows:]
        del net.member_history_[n_member_rows:]
        net.optimizer_.state.clear()
        net.optimizer_.state.update(self.slots)
        for table, content in self.tables:  # a module may have replaced a tensor
            table.update(content)
        copy_tensors(self.tensors, self.copies)
        for stream, state in self.generators:
            stream.set_state(state)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _copy_slot(value: Any) -> Any:
    """Copy a value of the optimizer's state, except tensors, which are copied all at once."""
    return value if isinstance(value, Tensor | int | float) else copy.deepcopy(value)
