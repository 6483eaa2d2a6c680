"""Training over two processes against one: wall time of an epoch, by width and batch size.

One process uses one thread, two processes use one thread each, on the same machine. Runs alternate;
the first epoch is left out. The table has the median ratio of two processes to one, with the range.

    python benchmarks/distributed.py
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import warnings
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from loops import make_data
from machine import describe, facts, load, spread
from torch import distributed as dist

from skdann import DANNClassifier

N_EPOCHS = 4
SETTINGS = {  # width of two hidden layers, batch size, rows of each domain
    "32-32, batch 64": (32, 64, 4000),
    "128-128, batch 256": (128, 256, 20_000),
    "512-512, batch 1,024": (512, 1024, 20_000),
    "2,048-2,048, batch 4,096": (2048, 4096, 16_384),
}


def fit(rank: int, size: int, store: str, setting: tuple[int, int, int], queue: Any) -> None:
    """Fit on this process's part of the rows; report seconds per epoch and the last loss."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    width, batch_size, n_rows = setting
    X, y, X_target = (np.array_split(part, size)[rank] for part in make_data(n_rows))
    if size > 1:
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=size)
    clf = DANNClassifier(
        feature_extractor=(width, width),
        batch_size=batch_size,
        max_epochs=N_EPOCHS,
        random_state=0,
        distributed=size > 1,
    ).fit(X, y, X_target)
    if rank == 0:
        seconds = statistics.median(row["dur"] for row in clf.history_[1:])
        queue.put((seconds, clf.history_[-1]["label_loss"]))
    if size > 1:
        dist.destroy_process_group()


def run(size: int, setting: tuple[int, int, int]) -> tuple[float, float]:
    """Fit in new processes."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        store = f"file://{Path(folder) / 'store'}"
        processes = [
            context.Process(target=fit, args=(rank, size, store, setting, queue))
            for rank in range(size)
        ]
        for process in processes:
            process.start()
        result: tuple[float, float] = queue.get(timeout=600)
        for process in processes:
            process.join()
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(f"{describe(facts())}\none thread a process; {repeats} repeats, {N_EPOCHS} epochs\n")
    print("| networks | one process, s per epoch | two, s per epoch | ratio | loss differs by |")
    print("|---|---|---|---|---|")
    for name, setting in SETTINGS.items():
        runs = [(run(1, setting), run(2, setting)) for _ in range(repeats)]
        one, two = ([pair[i][0] for pair in runs] for i in (0, 1))
        ratio = [b / a for a, b in zip(one, two, strict=True)]
        gap = max(abs(a[1] - b[1]) for a, b in runs)
        print(
            f"| {name} | {spread(one)} | {spread(two)} | {spread(ratio, 2)} | {gap:.0e} |",
            flush=True,
        )
    print(f"\nload at the end {load()}")


if __name__ == "__main__":
    main()
