"""The history of a fit: one row per epoch."""

from __future__ import annotations

import itertools
import math
from typing import Any

from skorch.history import History


class EpochHistory(History):
    """skorch's history, in which an epoch costs the same however many came before."""

    def __getitem__(self, key: Any) -> Any:
        """Return rows by index without copying all of them, and anything else as skorch does."""
        if isinstance(key, int | slice):
            return list.__getitem__(self, key)
        return super().__getitem__(key)

    def record_with_best(self, name: str, value: float) -> None:
        """Record a value, and whether it is the least so far, as skorch's Checkpoint expects."""
        least = math.inf
        for row in itertools.islice(reversed(self), 1, None):
            least = min(least, row.get(name, math.inf))
            if row.get(f"{name}_best"):  # the least of all rows up to there
                break
        self.record(name, value)
        self.record(f"{name}_best", value < least)
