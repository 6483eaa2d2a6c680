"""Training: the time of a step against a hand-written torch loop, and the memory of a fit."""

from __future__ import annotations

import statistics
import time
from typing import Any

from loops import LOOPS, N_MEMBERS, Data, make_data

from skdann import DANNClassifier

N_REPEATS = 7


def cpu_per_step(name: str, data: Data, batch: int, n_epochs: int) -> float:
    """Return seconds of processor time per step and member, including set-up."""
    begun = time.process_time()
    n_steps = LOOPS[name].run(data, batch, n_epochs, 0.0)
    return (time.process_time() - begun) / n_steps


def ratio_to_loop(name: str, data: Data, batch: int, n_epochs: int) -> float:
    """Return the median ratio to the hand-written loop, after one round to warm up."""
    rounds = [
        cpu_per_step(name, data, batch, n_epochs) / cpu_per_step("hand", data, batch, n_epochs)
        for _ in range(N_REPEATS + 1)
    ]
    return statistics.median(rounds[1:])


class Steps:
    """One network, by number of rows and batch size."""

    params = ([300, 20_000], [64, 256])
    param_names = ("n_rows", "batch_size")
    unit = "ratio"
    timeout = 300

    def setup(self, n_rows: int, batch: int) -> None:
        """Make two shifted domains."""
        self.data, self.n_epochs = make_data(n_rows), 2 if n_rows > 1000 else 60

    def track_ratio_to_loop(self, n_rows: int, batch: int) -> float:
        """CPU time against the hand-written loop."""
        return ratio_to_loop("skdann", self.data, batch, self.n_epochs)


class Members:
    """The members of a search, which train as one network."""

    unit = "ratio"
    timeout = 300

    def setup(self) -> None:
        """Make two shifted domains."""
        self.data = make_data(5000)

    def track_ratio_to_loop(self) -> float:
        """CPU time per member against the hand-written loop."""
        return ratio_to_loop("members", self.data, 256, 8)

    track_ratio_to_loop.pretty_name = f"{N_MEMBERS} members, ratio to loop"  # type: ignore[attr-defined]


class Memory:
    """A fit on 100,000 + 100,000 rows of 50 columns, 40 MB as float32."""

    def setup(self) -> None:
        """Make two shifted domains."""
        self.data = make_data(100_000)

    def peakmem_fit(self) -> Any:
        """Peak memory of the process."""
        return DANNClassifier(max_epochs=1, batch_size=1024, random_state=0).fit(*self.data)
