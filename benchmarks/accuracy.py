"""Compare the accuracy of skdann and its alternatives on real two-domain tables.

Each system learns from labelled source rows and unlabelled target rows, and is scored on other
target rows. The seed determines the rows (at most `--max-rows` per domain) and the randomness of
the system, so all systems are compared on the same rows. Target labels are used only for the score.
The exceptions are the *ceilings*, the best candidate of DANNClassifierCV by target labels.

    python benchmarks/accuracy.py run --systems lr skada        # keys or groups, see `list`
    python benchmarks/accuracy.py run --half reporting --seeds 5
    python benchmarks/accuracy.py run --amazon --systems ours lr
    python benchmarks/accuracy.py run --data ../shared/data2 --results results/accuracy2.jsonl
    python benchmarks/accuracy.py report --half reporting --tasks

`run` appends one JSON line per task, seed and system to the result file and skips existing results.
It can be stopped and restarted, and run in several processes with different tasks. The data folder
is described in benchmarks/tables.py; other tables in that format also work.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import tables
from joblib import Parallel, delayed
from machine import Stopwatch, facts
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.metrics import accuracy_score, recall_score
from systems import BASELINE, SYSTEMS, Rows, is_installed

RESULTS = Path(__file__).parent / "results" / "accuracy.jsonl"
METRICS = ("balanced_accuracy", "accuracy", "log_loss")
MIN_PROBABILITY = 1e-7  # makes float32 and float64 probabilities comparable
AMAZON = "amazon_reviews"
CEILING, CEILING_PATH, CV_BASELINE = "ceiling", "ceiling_path", "cv_baseline"
FORMER_CV = "dann_cv_path"  # results of the version that selected among strengths of one adapter
DERIVED = {
    CEILING: "CEILING: best family of DANNClassifierCV by target labels",
    CEILING_PATH: "CEILING: best of eight strengths of alignment by target labels",
    CV_BASELINE: "source-only baseline of DANNClassifierCV",
    FORMER_CV: "DANNClassifierCV of version 0.1, which selects among strengths of alignment",
}
FAMILY = "family "  # before the name of a family that predicts alone
FORMER_BASELINE = "twin"  # name of the source-only baseline in older result files


class Job(NamedTuple):
    """A task with a seed."""

    folder: str
    set: str
    source: str
    target: str
    seed: int
    max_rows: int

    @property
    def task(self) -> str:
        """Name of the task in the result file."""
        return f"{self.set}: {self.source} -> {self.target}"


# ---- run


@cache
def load_rows(job: Job) -> tuple[Rows, np.ndarray]:
    """Load the input of the systems, and the labels for the score (-1: not a source class)."""
    folder = Path(job.folder)
    if job.set == AMAZON:
        X_source, y, X_target, X_test, y_test = tables.load_amazon(folder, job.source, job.target)
        tfidf = TfidfTransformer(sublinear_tf=True).fit(tables.sp.vstack([X_source, X_target]))
        X_source, X_target, X_test = map(tfidf.transform, (X_source, X_target, X_test))
    else:
        task = tables.load_task(
            folder, job.set, job.source, job.target, max_rows=job.max_rows, seed=job.seed
        )
        X_source, y, X_target = task.X_source, task.y_source, task.X_target
        X_test, y_test = task.X_test, task.y_test
    classes, y = np.unique(y, return_inverse=True)
    place = np.searchsorted(classes, y_test).clip(max=len(classes) - 1)
    y_test = np.where(classes[place] == y_test, place, -1)
    return Rows(X_source, y, X_target, X_test, len(classes)), y_test


def score(y_test: np.ndarray, proba: np.ndarray) -> dict[str, float]:
    """Compute all metrics; balanced accuracy ignores classes that do not occur in the target."""
    predicted = proba.argmax(axis=1)
    recall = recall_score(
        y_test, predicted, labels=np.unique(y_test), average="macro", zero_division=0
    )
    known = y_test >= 0
    true = np.where(known, proba[np.arange(len(proba)), y_test], 0.0)
    log_loss = -np.log(true.clip(MIN_PROBABILITY, 1)).mean()
    values = (recall, accuracy_score(y_test, predicted), log_loss)
    return {name: round(float(v), 5) for name, v in zip(METRICS, values, strict=True)}


def measure(job: Job, key: str) -> dict[str, Any]:
    """Return the result line of one system; a failure is recorded as well."""
    rows, y_test = load_rows(job)
    if not SYSTEMS[key].takes_sparse and tables.sp.issparse(rows.X_source):
        dense = (X.toarray() for X in (rows.X_source, rows.X_target, rows.X_test))
        rows = Rows(next(dense), rows.y_source, next(dense), next(dense), rows.n_classes)
    line = {"task": job.task, "seed": job.seed, "max_rows": job.max_rows, "system": key}
    with Stopwatch() as watch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            answer = SYSTEMS[key].answer(rows, job.seed)
            if not np.isfinite(answer.proba).all():
                raise ValueError("probabilities are not finite")
        except Exception as error:  # a failure is part of the result
            return {**line, "error": f"{type(error).__name__}: {error}"[:200]}
    line |= {**score(y_test, answer.proba), "seconds": round(watch.cpu, 3)}
    if answer.candidates:
        line["candidates"] = {
            name: score(y_test, proba) for name, proba in answer.candidates.items()
        }
    return line | ({"note": answer.note} if answer.note else {})


def run_job(job: Job, keys: list[str], output: Path) -> list[dict[str, Any]]:
    """Measure systems on one task and seed; append each result as soon as it is available."""
    lines = []
    for key in keys:
        lines.append(measure(job, key))
        with output.open("a") as file:  # one short write per line: processes can share the file
            file.write(json.dumps(lines[-1]) + "\n")
    load_rows.cache_clear()
    return lines


def missing(jobs: list[Job], keys: list[str], output: Path) -> Iterator[tuple[Job, list[str]]]:
    """Yield each job with the systems that are missing in the result file."""
    done = {(line["task"], line["seed"], line["max_rows"], line["system"]) for line in read(output)}
    for job in jobs:
        wanted = [key for key in keys if (job.task, job.seed, job.max_rows, key) not in done]
        if wanted:
            yield job, wanted


def choose_systems(names: list[str]) -> list[str]:
    """Return the keys of the given systems or groups whose packages are installed."""
    known = {*SYSTEMS, *(s.group for s in SYSTEMS.values())}
    if unknown := set(names) - known:
        raise SystemExit(f"unknown system or group {sorted(unknown)}; choose from {sorted(known)}")
    chosen = [s for s in SYSTEMS.values() if {s.key, s.group} & set(names)]
    for system in chosen:
        if not is_installed(system.group):
            print(f"skipped, not installed: {system.title}")
    return [system.key for system in chosen if is_installed(system.group)]


def list_jobs(args: argparse.Namespace) -> list[Job]:
    """List all jobs, seeds in the outer loop: an incomplete run then covers all tasks."""
    folder = tables.data_folder(args.data)
    tasks = tables.list_tasks(folder, HALVES[args.half])
    if args.amazon:
        every = pd.read_csv(folder / "tasks.csv", dtype={"source": str, "target": str})
        tasks = every[every["set"] == AMAZON]
    return [
        Job(str(folder), row.set, row.source, row.target, seed, args.max_rows)
        for seed in range(args.seeds)
        for row in tasks.itertuples()
        if not args.sets or row.set in args.sets
    ]


def run(args: argparse.Namespace) -> None:
    """Measure the missing results."""
    keys = choose_systems(args.systems)
    args.results.parent.mkdir(parents=True, exist_ok=True)
    todo = list(missing(list_jobs(args), keys, args.results))
    n_lines = sum(len(wanted) for _, wanted in todo)
    print(f"{n_lines} results to measure into {args.results}", flush=True)
    if not todo:
        return
    with args.results.open("a") as file:
        file.write(json.dumps({"machine": facts()}) + "\n")
    calls = (delayed(run_job)(job, wanted, args.results) for job, wanted in todo)
    n_done = 0
    for lines in Parallel(n_jobs=args.jobs, return_as="generator_unordered")(calls):
        n_done += len(lines)
        cells = [f"{line['system']} {line.get('balanced_accuracy', 'failed')}" for line in lines]
        name = f"{lines[0]['task']} seed {lines[0]['seed']}"
        print(f"[{n_done}/{n_lines}] {name}: {', '.join(cells)}", flush=True)


# ---- report


def read(path: Path) -> list[dict[str, Any]]:
    """Read the result lines of a file; of repeated results, the last counts."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    lines = [with_current_names(line) for line in lines if "task" in line]
    return list({(x["task"], x["seed"], x["max_rows"], x["system"]): x for x in lines}.values())


def with_current_names(line: dict[str, Any]) -> dict[str, Any]:
    """Rename the source-only baseline in a line of an older result file."""
    if line["system"] == FORMER_BASELINE:
        line = {**line, "system": BASELINE}
    if FORMER_BASELINE in line.get("candidates", {}):
        scores = line["candidates"].items()
        renamed = {BASELINE if name == FORMER_BASELINE else name: value for name, value in scores}
        line = {**line, "candidates": renamed}
    return line


def with_candidates(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the source-only baseline, each family alone, and the ceilings.

    The ceiling of a task is the candidate that is best over all seeds by target labels.
    """
    by_task: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in lines:
        if line.get("candidates"):
            by_task.setdefault((line["system"], line["task"]), []).append(line)
    added = []
    for (system, _), seeds in by_task.items():
        names = set.intersection(*(set(line["candidates"]) for line in seeds))
        best = max(
            sorted(names, key=lambda name: (name == BASELINE, name)),  # a tie goes to a candidate
            key=lambda name: np.mean([x["candidates"][name]["balanced_accuracy"] for x in seeds]),
        )
        derived = {CEILING_PATH if system == FORMER_CV else CEILING: best}
        if system != FORMER_CV:
            others = sorted(names - {BASELINE})
            derived |= {CV_BASELINE: BASELINE, **{FAMILY + name: name for name in others}}
        for key, name in derived.items():
            added += [{**line, **line["candidates"][name], "system": key} for line in seeds]
    return lines + added


def summarize(frame: pd.DataFrame, against: str) -> pd.DataFrame:
    """Return one row per system: means over tasks, and gains over the reference system per seed.

    A win or a loss is a task whose mean gain is above +1 or below -1 point. A system that failed on
    some rows is compared with the reference on the other rows.
    """
    by_task = frame.groupby(["system", "task"])[[*METRICS, "seconds"]].mean()
    table = by_task.groupby("system").mean()
    table.insert(0, "tasks", by_task.groupby("system").size())
    for metric, prefix in (("balanced_accuracy", ""), ("accuracy", "acc_")):
        scores = frame.pivot_table(index=["task", "seed"], columns="system", values=metric)
        gain = 100 * scores.sub(scores[against], axis=0).groupby("task").mean()
        table[prefix + "gain"], table[prefix + "worst"] = gain.mean(), gain.min()
        table[prefix + "worst five"] = gain.apply(lambda column: column.nsmallest(5).mean())
        if prefix:
            continue
        sets = gain.index.str.split(": ").str[0]
        table["by set"] = gain.groupby(sets).mean().mean()
        table["won"], table["lost"] = (gain > 1).sum(), (gain < -1).sum()
        table["worst task"] = gain.idxmin()
        deviation = 100 * scores.sub(scores[against], axis=0).groupby("seed").mean().std()
        table["deviation"] = deviation
    return table.sort_values("balanced_accuracy", ascending=False)


def title(key: str) -> str:
    """Return the name of a system in a table."""
    if key.startswith(FAMILY):
        return f"its {key.removeprefix(FAMILY).replace('_', '-')} family alone"
    return SYSTEMS[key].title if key in SYSTEMS else DERIVED.get(key, key)


def print_summary(table: pd.DataFrame, n_failed: pd.Series, against: str) -> None:
    """Print the means as a markdown table."""
    print(f"\nGains are points of balanced accuracy (bal.) and accuracy over: {title(against)}.\n")
    print(
        "| system | tasks | bal. acc. | acc. | log loss | gain in bal. (deviation over seeds) "
        "| mean of sets | worst | worst five | won / lost | gain in acc. | worst | worst five "
        "| seconds |"
    )
    print("|---|" + "---|" * 13)
    for key, row in table.iterrows():
        failed = f", {n_failed[key]} fits failed" if n_failed.get(key, 0) else ""
        worst = "" if key == against else f"{row['worst']:+.1f} ({row['worst task']})"
        print(
            f"| {title(key)}{failed} | {row['tasks']} | {row['balanced_accuracy']:.4f} "
            f"| {row['accuracy']:.4f} | {row['log_loss']:.3f} | {row['gain']:+.2f} "
            f"({row['deviation']:.2f}) | {row['by set']:+.2f} | {worst} | {row['worst five']:+.1f} "
            f"| {row['won']} / {row['lost']} | {row['acc_gain']:+.2f} | {row['acc_worst']:+.1f} "
            f"| {row['acc_worst five']:+.1f} | {row['seconds']:.2f} |"
        )


def print_tasks(frame: pd.DataFrame, order: list[str]) -> None:
    """Print balanced accuracy of every task as a markdown table."""
    means = frame.groupby(["task", "system"])["balanced_accuracy"].mean().unstack("system")[order]
    print("\n| task | " + " | ".join(order) + " |\n|---|" + "---|" * len(order))
    for task, row in means.iterrows():
        cells = ["" if np.isnan(value) else f"{value:.3f}" for value in row]
        print(f"| {task} | " + " | ".join(cells) + " |")


def report(args: argparse.Namespace) -> None:
    """Print markdown tables from the result files."""
    lines = with_candidates([line for path in args.results for line in read(path)])
    frame = pd.DataFrame(lines)
    sets = frame["task"].str.split(": ").str[0]
    wanted = sets.eq(AMAZON) if args.amazon else sets.ne(AMAZON)
    if HALVES[args.half]:
        wanted &= sets.isin(HALVES[args.half])
    if args.max_rows:
        wanted &= frame["max_rows"].eq(args.max_rows)
    if args.systems:
        wanted &= frame["system"].isin(args.systems)
    frame = frame[wanted]
    if "error" not in frame:
        frame = frame.assign(error=None)
    n_seeds = frame.groupby(["task", "system"]).size()
    n_failed = frame[frame["error"].notna()].groupby("system").size()
    frame = frame[frame["error"].isna()]
    names = list(frame["system"].unique())
    if not names:
        raise SystemExit("no results to report; measure some with `run`")
    against = next(key for key in (args.against, BASELINE, "lr", names[0]) if key in names)
    table = summarize(frame, against)
    seeds = (
        f"{n_seeds.min()}"
        if n_seeds.min() == n_seeds.max()
        else (f"{n_seeds.min()} to {n_seeds.max()}")
    )
    rows = ", ".join(f"{n:,}" for n in sorted(frame["max_rows"].unique()))
    print(
        f"{frame['task'].nunique()} tasks ({'amazon' if args.amazon else args.half}), {seeds} "
        f"seeds, at most {rows} rows per domain; seconds are CPU time of one fit and predict."
    )
    print_summary(table, n_failed, against)
    if args.tasks:
        print_tasks(frame, list(table.index))


HALVES = {"choosing": tables.CHOOSING, "reporting": tables.REPORTING, "all": None}


def main() -> None:
    """Run, report, or list the systems."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="measure results missing in the result file")
    runs.add_argument("--systems", nargs="+", default=["ours", "sklearn", "skada"])
    runs.add_argument("--seeds", type=int, default=5)
    runs.add_argument("--max-rows", type=int, default=4000, help="maximum rows per domain")
    runs.add_argument("--sets", nargs="+", help="only these data sets")
    runs.add_argument("--data", help="data folder")
    runs.add_argument("--results", type=Path, default=RESULTS)
    runs.add_argument("--jobs", type=int, default=1, help="processes, one thread each")
    reports = commands.add_parser("report", help="print tables from result files")
    reports.add_argument("--results", nargs="+", type=Path, default=[RESULTS])
    reports.add_argument("--against", default=CV_BASELINE, help="reference system")
    reports.add_argument("--systems", nargs="+")
    reports.add_argument("--max-rows", type=int, default=4000)
    reports.add_argument("--tasks", action="store_true", help="also print every task")
    for command in (runs, reports):
        command.add_argument("--half", choices=list(HALVES), default="all")
        command.add_argument("--amazon", action="store_true", help="the twelve Amazon tasks")
    commands.add_parser("list", help="names of the systems")
    args = parser.parse_args()
    if args.command == "list":
        for system in SYSTEMS.values():
            state = "" if is_installed(system.group) else " (not installed)"
            print(f"{system.group:8} {system.key:20} {system.title}{state}")
    else:
        {"run": run, "report": report}[args.command](args)


if __name__ == "__main__":
    main()
