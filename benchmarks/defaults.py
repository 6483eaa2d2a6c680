"""Where the defaults of DANNClassifier come from: a grid on one half of the data sets.

`choose` prints the mean balanced accuracy of a grid over the sets in `tables.CHOOSING`, by target
labels; that is what these sets are for. `report` prints the defaults against their source-only twin
on the sets in `tables.REPORTING`, which no default was chosen by.

    python benchmarks/defaults.py choose --seeds 3 --rows 600      # about a quarter of an hour
    python benchmarks/defaults.py report --seeds 5 --rows 2000     # about ten minutes
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import tables
from sklearn.metrics import recall_score

from skdann import DANNClassifier

GRID = [
    {"lambda_max": lambda_max, "max_epochs": n_epochs, "dropout": dropout}
    for dropout, n_epochs in [(0.0, 30), (0.2, 10), (0.2, 30), (0.2, 100)]
    for lambda_max in (0.0, 0.1, 0.3, 1.0)
]
TWIN_AND_DEFAULT = [{"lambda_max": 0.0}, {}]


def score(task: tables.Task, params: dict, seed: int) -> float:
    """Balanced accuracy on target rows that were not used to adapt."""
    clf = DANNClassifier(**params, random_state=seed)
    clf.fit(task.X_source, task.y_source, task.X_target)
    classes = np.unique(task.y_test)  # a class of the source may be absent from the target
    predicted = clf.predict(task.X_test)
    return float(recall_score(task.y_test, predicted, labels=classes, average="macro"))


def main() -> None:
    """Print one line a task, and the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["choose", "report"])
    parser.add_argument("--data", help="folder of the tables")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=4000, help="most rows a domain")
    args = parser.parse_args()
    settings = GRID if args.what == "choose" else TWIN_AND_DEFAULT
    sets = tables.CHOOSING if args.what == "choose" else tables.REPORTING
    folder, start, means = tables.data_folder(args.data), time.perf_counter(), {}
    for row in tables.list_tasks(folder, sets).itertuples():
        task = tables.load_task(folder, row.set, row.source, row.target, max_rows=args.rows)
        found = np.array(
            [[score(task, params, seed) for params in settings] for seed in range(args.seeds)]
        )
        means[task.name] = found.mean(0)
        cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(found.mean(0), found.std(0), strict=True)]
        print(f"{task.name:50}" + "  ".join(cells), flush=True)
    table = np.array(list(means.values()))
    print(f"\nmeans over {len(table)} tasks, {args.seeds} seeds, at most {args.rows} rows a domain")
    for params, column in zip(settings, table.T, strict=True):
        print(f"{column.mean():.4f}  {params or 'defaults'}")
    if args.what == "report":
        gain = table[:, 1] - table[:, 0]
        print(
            f"gain {gain.mean():+.3f}; worst task {gain.min():+.3f}, best {gain.max():+.3f}; "
            f"{(gain > 0).sum()} tasks gain, {(gain < 0).sum()} lose"
        )
    print(f"{time.perf_counter() - start:.0f} s on one thread")


if __name__ == "__main__":
    main()
