"""Snapshot of a net between two epochs, for rolling back an interrupted epoch."""

from __future__ import annotations

import copy
import operator
from typing import Any

import torch
from torch import Tensor

from skdann._compat import copy_tensors


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
