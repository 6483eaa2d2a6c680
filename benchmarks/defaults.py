"""Evidence for the defaults: one setting is changed at a time, on one half of the data sets.

Settings are compared by target labels, only on the data sets in `tables.CHOOSING`. The data sets in
`tables.REPORTING` are reserved for reporting the scores of the chosen defaults.

    python benchmarks/defaults.py run --seeds 3 --rows 1000             # DANNClassifier
    python benchmarks/defaults.py run --estimator cv --seeds 3 --rows 1000
    python benchmarks/defaults.py run --settings dropout max_epochs     # only these settings
    python benchmarks/defaults.py report

`run` appends one JSON line per task, seed and value to the result file and skips existing results;
it can be stopped and restarted. `report` prints markdown tables.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import tables
from accuracy import HALVES, Job, load_rows, score  # sets OMP_NUM_THREADS first
from machine import Stopwatch, facts

from skdann import DANNClassifier, DANNClassifierCV

RESULTS = Path(__file__).parent / "results" / "defaults.jsonl"
DEFAULTS = ("defaults", None)
CLASSIFIER: dict[str, list[Any]] = {
    "lambda_max": [0.0, 0.1, 1.0],
    "lambda_schedule": ["linear", "constant"],
    "dropout": [0.0, 0.1, 0.5],
    "normalization": ["batch", "layer", "domain_batch"],
    "standardize": ["domain"],
    "batch_size": [32, 128, 256],
    "max_epochs": [10, 60, 100],
    "lr": [3e-4, 3e-3],
    "lr_schedule": ["dann", "cosine"],
    "weight_decay": [1e-4, 1e-2],
    "feature_extractor": [(64,), (64, 32), (256, 128)],
    "class_weight": ["balanced"],
    "conditioning": ["cdan"],
}
CV_SETTINGS = {
    "lambdas": [(0.1, 0.3), (0.3, 1.0), (0.03, 0.1, 0.3, 1.0), (0.1, 0.3, 1.0, 3.0)],
    "standardize": [(None,), (None, "source", "domain")],
    "n_seeds": [1, 5],
}
SETTINGS = {
    "classifier": CLASSIFIER,
    "cv": CV_SETTINGS
    | {name: CLASSIFIER[name] for name in CLASSIFIER if name not in ("lambda_max", "standardize")},
}
KEY = ["estimator", "setting", "value", "task", "seed", "max_rows"]


def make(estimator: str, setting: str, value: Any, seed: int) -> Any:
    """Create the estimator with one setting changed."""
    changed = {} if setting == "defaults" else {setting: value}
    if estimator == "classifier":
        return DANNClassifier(**changed, random_state=seed)
    if setting in CV_SETTINGS:
        return DANNClassifierCV(**changed, random_state=seed)
    return DANNClassifierCV(DANNClassifier(**changed), random_state=seed)


def measure(job: Job, estimator: str, setting: str, value: Any) -> dict[str, Any]:
    """Score one setting on target rows not used for adaptation."""
    rows, y_test = load_rows(job)
    with Stopwatch() as watch:
        clf = make(estimator, setting, value, job.seed)
        clf.fit(rows.X_source, rows.y_source, rows.X_target)
        proba = clf.predict_proba(rows.X_test)
    key = (estimator, setting, str(value), job.task, job.seed, job.max_rows)
    return {
        **dict(zip(KEY, key, strict=True)),
        **score(y_test, proba),
        "seconds": round(watch.cpu, 3),
    }


def read(path: Path) -> pd.DataFrame:
    """Read the result lines of a file."""
    text = path.read_text().splitlines() if path.exists() else []
    lines = [line for line in map(json.loads, text) if "task" in line]
    return pd.DataFrame(lines, columns=None if lines else KEY)


def missing(args: argparse.Namespace) -> Iterator[tuple[Job, str, Any]]:
    """Yield missing results, seeds in the outer loop: an incomplete run then covers all tasks."""
    done = set(read(args.results)[KEY].itertuples(index=False, name=None))
    values = [DEFAULTS] + [
        (setting, value)
        for setting, values in SETTINGS[args.estimator].items()
        for value in values
        if not args.settings or setting in args.settings
    ]
    folder = tables.data_folder(args.data)
    tasks = tables.list_tasks(folder, HALVES[args.half])
    for seed in range(args.seeds):
        for row in tasks.itertuples():
            job = Job(str(folder), row.set, row.source, row.target, seed, args.rows)
            for setting, value in values:
                key = (args.estimator, setting, str(value), job.task, seed, args.rows)
                if key not in done:
                    yield job, setting, value


def run(args: argparse.Namespace) -> None:
    """Measure the missing results."""
    todo = list(missing(args))
    print(f"{len(todo)} results to measure into {args.results}", flush=True)
    with args.results.open("a") as file:
        if todo:
            file.write(json.dumps({"machine": facts()}) + "\n")
        before = None
        for index, (job, setting, value) in enumerate(todo, 1):
            if job != before:
                load_rows.cache_clear()
                before = job
            line = measure(job, args.estimator, setting, value)
            file.write(json.dumps(line) + "\n")
            file.flush()
            result = f"{setting}={value}: {line['balanced_accuracy']:.3f}"
            print(f"[{index}/{len(todo)}] {job.task} seed {job.seed} {result}", flush=True)


def report(args: argparse.Namespace) -> None:
    """Print the gain of each value over the defaults, per seed, as markdown tables."""
    frame = read(args.results)
    sets = frame["task"].str.split(": ").str[0]
    frame = frame[sets.isin(HALVES[args.half] or set(sets))]
    for (estimator, rows), part in frame.groupby(["estimator", "max_rows"]):
        plain = part[part["setting"].eq("defaults")].set_index(["task", "seed"])
        seconds = plain["seconds"].mean()
        print(
            f"\n{estimator}, at most {rows:,} rows per domain; defaults: balanced accuracy "
            f"{plain.groupby('task')['balanced_accuracy'].mean().mean():.4f} on "
            f"{plain.index.unique('task').size} tasks, {seconds:.2f} s per fit. Gains in points.\n"
        )
        print("| setting | value | tasks | seeds | gain | per data set | worst | lose > 1 | time |")
        print("|---|---|---|---|---|---|---|---|---|")
        for (setting, value), changed in part.groupby(["setting", "value"], sort=False):
            if setting == "defaults":
                continue
            changed = changed.set_index(["task", "seed"])
            gain = 100 * (changed["balanced_accuracy"] - plain["balanced_accuracy"]).dropna()
            by_task = gain.groupby("task").mean()
            by_set = by_task.groupby(by_task.index.str.split(": ").str[0]).mean()
            time = (changed["seconds"] / plain["seconds"]).dropna().median()
            print(
                f"| {setting} | {value} | {len(by_task)} | {gain.index.unique('seed').size} "
                f"| {by_task.mean():+.2f} | {', '.join(f'{x:+.1f}' for x in by_set)} "
                f"| {by_task.min():+.1f} | {(by_task < -1).sum()} | x {time:.1f} |"
            )


def main() -> None:
    """Run or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="measure results missing in the result file")
    runs.add_argument("--estimator", choices=list(SETTINGS), default="classifier")
    runs.add_argument("--settings", nargs="+", help="only these settings")
    runs.add_argument("--seeds", type=int, default=3)
    runs.add_argument("--rows", type=int, default=1000, help="maximum rows per domain")
    runs.add_argument("--data", help="data folder")
    reports = commands.add_parser("report", help="print tables from the result file")
    for command in (runs, reports):
        command.add_argument("--half", choices=list(HALVES), default="choosing")
        command.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    {"run": run, "report": report}[args.command](args)


if __name__ == "__main__":
    main()
