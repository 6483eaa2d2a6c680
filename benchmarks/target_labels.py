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
- "adapt": FineTuning of ADAPT 0.4.5 itself, on two layers of 100, with the schedule of its example:
  100 epochs on the source, then on the labelled rows 30 for the last layer and 100 for all. It is
  measured with `--systems adapt`, in an environment that has it;
- "lr", "hgb": logistic regression and HistGradientBoosting on source rows and labelled rows
  together; "lr_equal" and "hgb_equal" repeat the labelled rows until both parts are equal.

Half of the target rows are for adaptation, and of these come the labels; the other half is for the
score. A task is used if it has at least twice as many labels as needed, and all its classes are in
the source. `--per-set` limits the number of tasks of a data set, `--skip` leaves sets out. `--set
NAME=VALUE` replaces a constant: HALF_SHARE or LABELLED_ROWS of the training, LABEL_VALUE of the
weights of the families.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Iterator
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
from sklearn.preprocessing import StandardScaler

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


def fine_tune_adapt(
    task: Any, y: np.ndarray, label: np.ndarray, order: np.ndarray, seed: int
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield the system, the number of labels and the class probabilities for each number."""
    import tensorflow as tf
    from adapt.parameter_based import FineTuning

    tf.keras.utils.set_random_seed(seed)
    scaler = StandardScaler().fit(task.X_source)
    X_source, X_target, X_test = (
        scaler.transform(X).astype(np.float32) for X in (task.X_source, task.X_target, task.X_test)
    )
    one_hot = np.eye(y.max() + 1, dtype=np.float32)
    layers, hidden = tf.keras.layers, {"activation": "relu"}
    networks = {
        "encoder": tf.keras.Sequential([layers.Dense(100, **hidden), layers.Dense(100, **hidden)]),
        "task": tf.keras.Sequential([layers.Dense(len(one_hot), activation="softmax")]),
    }
    settings = {"loss": "categorical_crossentropy", "optimizer": "adam", "random_state": seed}
    source = FineTuning(**networks, **settings)
    source.fit(X_source, one_hot[y], epochs=100, batch_size=64, verbose=0)
    for n in label_counts(label):
        known, model = order[:n], source
        if n:
            parts = {"encoder": source.encoder_, "task": source.task_}
            model = FineTuning(**parts, pretrain=True, pretrain__epochs=30, **settings)
            rows = X_target[known], one_hot[label[known]]
            model.fit(*rows, epochs=100, batch_size=16, verbose=0)
        proba = np.asarray(model.predict(X_test, verbose=0), dtype=float)
        yield "adapt", n, proba / proba.sum(axis=1, keepdims=True)


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


def label_counts(label: np.ndarray) -> list[int]:
    """Return the numbers of labels for which there are enough rows."""
    return [n for n in COUNTS if len(label) >= 2 * n]


def fit_searches(
    task: Any, y: np.ndarray, label: np.ndarray, order: np.ndarray, seed: int
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield the system, the number of labels and the class probabilities of our searches."""
    first = None
    for n in label_counts(label):
        ours = fit_ours(task, y, mark(label, order[:n]), seed)
        first = first or ours
        yield "ours", n, ours.predict_proba(task.X_test)
        if n in QUERIED:
            chosen = first.query(task.X_target, n)
            queried = fit_ours(task, y, mark(label, chosen), seed)
            yield "query", n, queried.predict_proba(task.X_test)


def fit_others(
    task: Any, y: np.ndarray, label: np.ndarray, order: np.ndarray, seed: int
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Yield the same of the systems that do not adapt."""
    for n in label_counts(label):
        known = order[:n]
        tuned = fine_tune(task, y, known, label, seed)
        yield "fine_tuning", n, tuned.predict_proba(task.X_test)
        for name, model in fit_pooled(task, y, known, label, seed):
            yield name, n, model.predict_proba(task.X_test)


SYSTEMS = {"ours": fit_searches, "others": fit_others, "adapt": fine_tune_adapt}


def measure(folder: str, task: Any, seed: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the result lines of one task and seed."""
    warnings.simplefilter("ignore")
    replace_constants(args.set)
    rows = tables.load_task(
        Path(folder), task.set, task.source, task.target, max_rows=args.max_rows, seed=seed
    )
    classes, y = np.unique(rows.y_source, return_inverse=True)
    if not np.isin(rows.y_target, classes).all() or not np.isin(rows.y_test, classes).all():
        return []
    label, y_test = (np.searchsorted(classes, part) for part in (rows.y_target, rows.y_test))
    order = np.random.default_rng(seed).permutation(len(label))
    line = {"task": rows.name, "set": task.set, "seed": seed, "max_rows": args.max_rows}
    return [
        {**line, "n_labels": n, "system": system, **score(y_test, proba)}
        for group in args.systems
        for system, n, proba in SYSTEMS[group](rows, y, label, order, seed)
    ]


def run(args: argparse.Namespace) -> None:
    """Measure all tasks; each result is written as soon as it is there."""
    known = pd.read_json(args.results, lines=True) if args.results.exists() else pd.DataFrame()
    done = set() if known.empty else set(zip(known["task"], known["seed"], strict=True))
    jobs = []
    for folder in args.data or [tables.data_folder()]:
        tasks = tables.list_tasks(Path(folder), HALVES[args.half])
        tasks = tasks[~tasks["set"].isin(args.skip)]
        for task in tasks.groupby("set").head(args.per_set).itertuples():
            name = f"{task.set}: {task.source} -> {task.target}"
            for seed in range(args.seeds):
                if (name, seed) not in done:
                    jobs.append((str(folder), task, seed, args))
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
    runs.add_argument("--skip", nargs="+", default=[], help="data sets to leave out")
    runs.add_argument("--per-set", type=int, default=1000)
    runs.add_argument("--set", action="append", default=[], help="NAME=VALUE")
    runs.add_argument("--jobs", type=int, default=1)
    runs.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=["ours", "others"])
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
