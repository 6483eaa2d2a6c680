"""Time of one training step: skdann and a hand-written torch loop with the same networks.

All systems run in one process on one thread, in alternation; the loops are in benchmarks/loops.py.
A repeat times a long and a short fit. The time of a step is the difference of the two times divided
by the difference in steps, so it does not include set-up. Set-up (checks, copies, compilation) is
the time of the short fit beyond its steps, in a separate column. Beyond 100,000 rows one fit of one
epoch is timed, including set-up, and the column is empty.

The first round is a warm-up. The script prints the median and range over the repeats, and the ratio
to the hand-written loop in the same repeat. Packages that are not installed are named and skipped.

    python benchmarks/speed.py                              # the table
    python benchmarks/speed.py --rows 1000000 --batch 256 1024 --repeats 5
    python benchmarks/speed.py --systems hand skdann --dropout 0
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from loops import LOOPS, MANY, REFERENCE, Data, Loop, count_steps, make_data
from machine import Stopwatch, describe, facts, load, spread

RESULTS = Path(__file__).parent / "results" / "speed.json"
SHORT = 0.1  # epochs of the short fit, as a share of the long fit


def time_once(loop: Loop, data: Data, batch: int, n_steps: int, dropout: float) -> dict[str, float]:
    """Return milliseconds of CPU and wall time per step, and CPU time of set-up if measured."""
    fewest = 1 if len(data.X) > MANY else 4
    long = max(fewest, round(n_steps * loop.share / count_steps(len(data.X), batch, 1)))
    short = max(1, round(long * SHORT))
    with Stopwatch() as watch:
        steps = loop.run(data, batch, long, dropout)
    if long == 1:
        return {"cpu_ms": 1e3 * watch.cpu / steps, "wall_ms": 1e3 * watch.wall / steps}
    with Stopwatch() as first:
        short_steps = loop.run(data, batch, short, dropout)
    cpu = (watch.cpu - first.cpu) / (steps - short_steps)
    wall = (watch.wall - first.wall) / (steps - short_steps)
    setup = first.cpu - cpu * short_steps
    return {"cpu_ms": 1e3 * cpu, "wall_ms": 1e3 * wall, "setup_ms": 1e3 * setup}


def measure(
    names: list[str], n_rows: int, batch: int, dropout: float, args: argparse.Namespace
) -> dict[str, list[dict[str, float]]]:
    """Time every system, in alternation; the first round is a short warm-up."""
    data = make_data(n_rows)
    times: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for repeat in range(args.repeats + 1):
        for name in names:
            if not repeat:
                LOOPS[name].run(Data(*(part[:2000] for part in data)), batch, 1, dropout)
                continue
            times[name].append(time_once(LOOPS[name], data, batch, args.steps, dropout))
    return times


def show(times: dict[str, list[dict[str, float]]], heading: str) -> None:
    """Print one block of the table in markdown."""
    print(f"\n**{heading}**\n")
    print("| system | CPU, ms per step | wall, ms per step | ratio to the loop | set-up, ms |")
    print("|---|---|---|---|---|")
    reference = times.get(REFERENCE)
    for name, repeats in times.items():
        cpu, wall = ([one[kind] for one in repeats] for kind in ("cpu_ms", "wall_ms"))
        ratio = ""
        if reference:
            pairs = zip(repeats, reference, strict=True)
            ratio = spread([one["cpu_ms"] / loop["cpu_ms"] for one, loop in pairs], 2)
        setup = [one["setup_ms"] for one in repeats if "setup_ms" in one]
        setup = f"{np.median(setup):.0f}" if setup else ""
        print(f"| {LOOPS[name].title} | {spread(cpu)} | {spread(wall)} | {ratio} | {setup} |")


def choose(names: list[str], n_rows: int, dropout: float) -> list[str]:
    """Return the systems of a block, in the order of the table."""
    return [
        name
        for name, loop in LOOPS.items()
        if name in names and bool(dropout) in loop.dropouts and n_rows <= loop.largest
    ]


def main() -> None:
    """Measure, print and save the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[300, 20_000])
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--dropout", type=float, nargs="+", default=[0.0, 0.2])
    parser.add_argument("--systems", nargs="+", choices=list(LOOPS), default=list(LOOPS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=600, help="steps of a long fit")
    parser.add_argument("--json", type=Path, default=RESULTS, help="file for the figures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    machine = facts()
    print(f"{describe(machine)}\none thread; {args.repeats} repeats")
    for name in [name for name in args.systems if LOOPS[name].obstacle()]:
        print(f"skipped: {LOOPS[name].title}: {LOOPS[name].obstacle()}")
        args.systems.remove(name)
    results = []
    blocks = [(n, b, d) for n in args.rows for b in args.batch for d in args.dropout]
    for n_rows, batch, dropout in blocks:
        times = measure(choose(args.systems, n_rows, dropout), n_rows, batch, dropout, args)
        heading = f"{n_rows:,} + {n_rows:,} rows, batch {batch} + {batch}, dropout {dropout:g}"
        show(times, heading)
        results.append({"n_rows": n_rows, "batch": batch, "dropout": dropout, "times": times})
        args.json.parent.mkdir(parents=True, exist_ok=True)
        kept = {"machine": machine | {"load_at_end": load()}, "results": results}
        args.json.write_text(json.dumps(kept, indent=1) + "\n")
    print(f"\nload at the end {load()}")


if __name__ == "__main__":
    main()
