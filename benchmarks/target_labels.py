"""Measure what a few target labels are worth: curves over 0, 5, 20, 50 and 200 labels.

    python benchmarks/target_labels.py run --data ../shared/data ../shared/data2
    python benchmarks/target_labels.py report
    python benchmarks/target_labels.py report --half choosing
    python benchmarks/target_labels.py run --half choosing --set HALF_SHARE=60 --results share.jsonl

Systems, on the same rows and labels:

- "ours": `DANNClassifierCV()` with `y_target`, labels of rows drawn at random;
- "query": the same, with the rows that `query` of the fit without labels chooses;
- "fine_tuning": a source-only network, all of whose layers are then trained on the labelled rows
  alone, as FineTuning of the package ADAPT does; 100 epochs of batches of 16 at a tenth of the
  learning rate;
- "lr", "hgb": logistic regression and HistGradientBoosting on source rows and labelled rows
  together; "lr_equal" and "hgb_equal" repeat the labelled rows until both parts are equal.

Half of the target rows are for adaptation, and of these come the labels; the other half is for the
score. A task is used if it has at least twice as many labels as needed, and all its classes are in
the source. `--per-set` limits the number of tasks of a data set. `--set NAME=VALUE` replaces a
constant: HALF_SHARE or LABELLED_ROWS of the training, LABEL_VALUE of the weights of the families.
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
from accuracy import HALVES, score
from joblib import Parallel, delayed
from mixture import replace_constants
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

RESULTS = Path(__file__).parent / "results" / "target_labels.jsonl"
COUNTS = (0, 5, 20, 50, 200)
QUERIED = (20, 50)


def mark(y: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the labels of the known rows, NaN for the others."""
    return np.where(np.isin(np.arange(len(y)), known), y, np.nan)


def fit_ours(task: Any, y: np.ndarray, y_target: np.ndarray, seed: int) -> Any:
    """Fit the default search with some target labels."""
    from skdann import DANNClassifierCV

    clf = DANNClassifierCV(random_state=seed)
    return clf.fit(task.X_source, y, task.X_target, y_target=y_target)


def fine_tune(task: Any, y: np.ndarray, known: np.ndarray, label: np.ndarray, seed: int) -> Any:
    """Train a network on the source, then on the labelled target rows alone."""
    from skdann import DANNClassifier

    clf = DANNClassifier(lambda_max=0, random_state=seed).fit(task.X_source, y)
    if len(known):
        clf.set_params(lr=clf.lr / 10, batch_size=16)
        for _ in range(100):
            clf.partial_fit(task.X_target[known], label[known])
    return clf


def fit_pooled(task: Any, y: np.ndarray, known: np.ndarray, label: np.ndarray, seed: int) -> Any:
    """Yield the name and the model of each learner on source rows and labelled rows together."""
    for name, model in (
        ("lr", LogisticRegression(max_iter=2000)),
        ("hgb", HistGradientBoostingClassifier(random_state=seed)),
    ):
        for suffix, times in (("", 1), ("_equal", max(1, round(len(y) / max(len(known), 1))))):
            rows = np.repeat(known, times)
            X = np.concatenate([task.X_source, task.X_target[rows]])
            yield name + suffix, model.fit(X, np.append(y, label[rows]))


def measure(
    folder: str, task: Any, seed: int, max_rows: int, constants: list[str]
) -> list[dict[str, Any]]:
    """Return the result lines of one task and seed."""
    warnings.simplefilter("ignore")
    replace_constants(constants)
    rows = tables.load_task(
        Path(folder), task.set, task.source, task.target, max_rows=max_rows, seed=seed
    )
    classes, y = np.unique(rows.y_source, return_inverse=True)
    if not np.isin(rows.y_target, classes).all() or not np.isin(rows.y_test, classes).all():
        return []
    label, y_test = (np.searchsorted(classes, part) for part in (rows.y_target, rows.y_test))
    order = np.random.default_rng(seed).permutation(len(label))
    line = {"task": rows.name, "set": task.set, "seed": seed, "max_rows": max_rows}
    lines = []

    def add(system: str, n: int, model: Any) -> None:
        figures = score(y_test, model.predict_proba(rows.X_test))
        lines.append({**line, "n_labels": n, "system": system, **figures})

    first = None
    for n in COUNTS:
        if len(label) < 2 * n:
            continue
        known = order[:n]
        ours = fit_ours(rows, y, mark(label, known), seed)
        first = first or ours
        add("ours", n, ours)
        if n in QUERIED:
            chosen = first.query(rows.X_target, n)
            add("query", n, fit_ours(rows, y, mark(label, chosen), seed))
        add("fine_tuning", n, fine_tune(rows, y, known, label, seed))
        for name, model in fit_pooled(rows, y, known, label, seed):
            add(name, n, model)
    return lines


def run(args: argparse.Namespace) -> None:
    """Measure all tasks; each result is written as soon as it is there."""
    known = pd.read_json(args.results, lines=True) if args.results.exists() else pd.DataFrame()
    done = set() if known.empty else set(zip(known["task"], known["seed"], strict=True))
    jobs = []
    for folder in args.data or [tables.data_folder()]:
        tasks = tables.list_tasks(Path(folder), HALVES[args.half])
        for task in tasks.groupby("set").head(args.per_set).itertuples():
            name = f"{task.set}: {task.source} -> {task.target}"
            for seed in range(args.seeds):
                if (name, seed) not in done:
                    jobs.append((str(folder), task, seed, args.max_rows, args.set))
    jobs.sort(key=lambda job: job[2])
    found = Parallel(n_jobs=args.jobs, return_as="generator_unordered")(
        delayed(measure)(*job) for job in jobs
    )
    for lines in found:
        with args.results.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        if lines:
            print(lines[0]["task"], lines[0]["seed"], flush=True)


def report(args: argparse.Namespace) -> None:
    """Print the mean over the tasks by number of labels, and the worst task against the others."""
    frame = pd.read_json(args.results, lines=True)
    if HALVES[args.half] is not None:
        frame = frame[frame["set"].isin(HALVES[args.half])]
    for metric in ("balanced_accuracy", "accuracy"):
        keys = ["task", "set", "n_labels", "system"]
        means = frame.groupby(keys)[metric].mean().unstack("system")
        counts = means.groupby("n_labels").size()
        print(f"\n{metric}: tasks by number of labels {counts.to_dict()}")
        print(means.groupby("n_labels").mean().T.round(4).to_string())
        full = means["ours"].unstack("n_labels").dropna()
        print(f"the {len(full)} tasks with all numbers of labels, deviation over seeds of the mean")
        rows = frame[frame["task"].isin(full.index.get_level_values("task"))]
        by_seed = rows.groupby(["system", "n_labels", "seed"])[metric].mean()
        table = by_seed.groupby(["system", "n_labels"]).agg(["mean", "std"]).unstack("n_labels")
        print(table.round(4).to_string())
        for other in means.columns.drop("ours"):
            gain = 100 * (means["ours"] - means[other]).dropna()
            parts = []
            for n, each in gain.groupby("n_labels"):
                parts.append(
                    f"{n}: {each.mean():+.2f}, worst {each.min():.1f}, {(each < -2).sum()}"
                )
            print(f"ours - {other} (mean, worst, tasks below -2 points): " + "; ".join(parts))
    worst = means.xs(20, level="n_labels")
    print(worst.assign(lead=worst["ours"] - worst["lr"]).sort_values("lead").head(8).round(3))


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    runs = commands.add_parser("run")
    runs.add_argument("--data", nargs="+", help="data folders")
    runs.add_argument("--seeds", type=int, default=5)
    runs.add_argument("--max-rows", type=int, default=1000)
    runs.add_argument("--per-set", type=int, default=1000)
    runs.add_argument("--set", action="append", default=[], help="NAME=VALUE")
    runs.add_argument("--jobs", type=int, default=1)
    runs.set_defaults(command=run)
    reports = commands.add_parser("report")
    reports.set_defaults(command=report)
    for command in (runs, reports):
        command.add_argument("--results", type=Path, default=RESULTS)
        command.add_argument("--half", choices=list(HALVES), default="all")
    args = parser.parse_args()
    args.command(args)


if __name__ == "__main__":
    main()
