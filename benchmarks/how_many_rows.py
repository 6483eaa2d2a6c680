"""Accuracy of `DANNClassifierCV()` by the number of source rows and of unlabelled target rows.

    python benchmarks/how_many_rows.py run --data ../shared/data    # about ten minutes
    python benchmarks/how_many_rows.py report

The tasks are the first of each data set of `tasks.csv` that has at least 4,000 source rows and
8,000 target rows. One number is varied, the other is 1,000. Smaller samples are subsets of larger
ones. Scores are computed on 1,000 other rows of the target; target labels are used for nothing
else. The baseline is that of `DANNClassifierCV`: three networks with lambda 0, averaged.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import tables
from machine import Stopwatch, facts

RESULTS = Path(__file__).parent / "results" / "how_many_rows.jsonl"
N_FIXED, N_TEST, N_SEEDS = 1000, 1000, 3
BY_TARGET = tuple((N_FIXED, n) for n in (50, 200, 1000, 4000))
BY_SOURCE = tuple((n, N_FIXED) for n in (100, 300, 1000, 4000))
SIZES = tuple(dict.fromkeys(BY_TARGET + BY_SOURCE))


def find_tasks(folder: Path) -> pd.DataFrame:
    """Return the first large task of each data set."""
    tasks = tables.list_tasks(folder)
    large = tasks[(tasks["n_source"] >= 4000) & (tasks["n_target"] >= 8000)]
    return large.drop_duplicates("set")


def measure(task: tables.Task, n_source: int, n_target: int, seed: int) -> dict[str, Any]:
    """Fit one classifier, and return the scores of the mixture and of its families."""
    from accuracy import score
    from systems import candidate_probabilities

    from skdann import DANNClassifierCV

    classes, y = np.unique(task.y_source, return_inverse=True)
    place = np.searchsorted(classes, task.y_test[:N_TEST]).clip(max=len(classes) - 1)
    y_test = np.where(classes[place] == task.y_test[:N_TEST], place, -1)
    X_test, clf = task.X_test[:N_TEST], DANNClassifierCV(random_state=seed)
    with Stopwatch() as watch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf.fit(task.X_source[:n_source], y[:n_source], task.X_target[:n_target])
    proba = {**candidate_probabilities(clf, X_test), "mixture": clf.predict_proba(X_test)}
    return {
        **{"task": task.name, "seed": seed, "n_source": n_source, "n_target": n_target},
        **{"scores": {name: score(y_test, p) for name, p in proba.items()}},
        **{"reason": clf.reason_, "cpu": round(watch.cpu, 2)},
    }


def run(args: argparse.Namespace) -> None:
    """Measure all tasks, sizes and seeds, and write one line for each."""
    folder, lines = tables.data_folder(args.data), []
    for seed in range(args.seeds):
        for row in find_tasks(folder).itertuples():
            task = tables.load_task(folder, row.set, row.source, row.target, seed=seed)
            for n_source, n_target in SIZES:
                line = measure(task, n_source, n_target, seed)
                lines.append(json.dumps({**line, "machine": facts()}))
                print(lines[-1][:400], flush=True)
                args.results.write_text("\n".join(lines) + "\n", encoding="utf-8")


def summarize(found: pd.DataFrame, sizes: tuple[tuple[int, int], ...], varied: str) -> None:
    """Print one table: the baseline and the mixture by the number of rows, for each task."""
    numbers = [size[varied.startswith("target")] for size in sizes]
    print(f"| {varied} | " + " | ".join(f"{number:,}" for number in numbers) + " |")
    print("|---|" + "---|" * len(sizes))
    mean = found.groupby(["task", "n_source", "n_target"])[["first", "mixture"]].mean()
    tasks = sorted(found["task"].unique())
    for task in tasks:
        pairs = [mean.loc[(task, *size)] for size in sizes]
        texts = [f"{p['first']:.3f} → {p['mixture']:.3f}" for p in pairs]
        print(f"| {task} | " + " | ".join(texts) + " |")
    gains = []
    for n_source, n_target in sizes:
        part = found[(found["n_source"] == n_source) & (found["n_target"] == n_target)]
        gain = 100 * (part["mixture"] - part["first"])
        by_seed = gain.groupby(part["seed"]).mean()
        gains.append(f"{gain.mean():+.1f} ({by_seed.std():.1f})")
    print("| **mean gain in points** | " + " | ".join(gains) + " |\n")


def report(args: argparse.Namespace) -> None:
    """Print the tables by target rows and by source rows."""
    lines = [json.loads(line) for line in args.results.read_text(encoding="utf-8").splitlines()]
    rows = [
        {
            **{key: line[key] for key in ("task", "seed", "n_source", "n_target")},
            "first": next(iter(line["scores"].values()))[args.metric],
            "mixture": line["scores"]["mixture"][args.metric],
        }
        for line in lines
    ]
    found = pd.DataFrame(rows)
    summarize(found, BY_TARGET, f"target rows, with {N_FIXED:,} source rows")
    summarize(found, BY_SOURCE, f"source rows, with {N_FIXED:,} target rows")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("run", "report"))
    parser.add_argument("--data")
    parser.add_argument("--seeds", type=int, default=N_SEEDS)
    parser.add_argument("--metric", default="balanced_accuracy")
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    {"run": run, "report": report}[args.command](args)


if __name__ == "__main__":
    main()
