"""Measure `estimate_accuracy`: how often the interval holds the accuracy, and how far it is off.

    python benchmarks/estimates.py run --data ../shared/data ../shared/data2
    python benchmarks/estimates.py report

`run` fits `DANNClassifierCV()` on three quarters of the source rows of every task, at most 1,500
rows per domain. `report` leaves each data set out in turn: the quantiles of the error that make the
interval come from the other sets. For comparison: the accuracy on the source rows left out, and
the mean confidence of the classifier, calibrated by isotonic regression on these rows (confidence-
based performance estimation, the method of NannyML).
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
from accuracy import HALVES, Job, load_rows
from joblib import Parallel, delayed
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import recall_score
from sklearn.model_selection import train_test_split

RESULTS = Path(__file__).parent / "results" / "estimates.jsonl"


def measure(job: Job) -> dict[str, Any]:
    """Fit on one task, and return what the estimate rests on, and the accuracy."""
    warnings.simplefilter("ignore")
    import skdann
    from skdann.inspection._accuracy import mean_agreement

    rows, y = load_rows(job)
    counts = np.bincount(rows.y_source)
    train, rest = train_test_split(
        np.arange(len(rows.y_source)),
        test_size=0.25,
        random_state=job.seed,
        stratify=rows.y_source if counts.min() > 1 else None,
    )
    X, label = rows.X_source[train], rows.y_source[train]
    line = {"task": job.task, "set": job.set, "seed": job.seed, "max_rows": job.max_rows}
    if len(np.unique(label)) < len(counts):
        return {**line, "error": "a class has no row to train on"}
    clf = skdann.DANNClassifierCV(random_state=job.seed).fit(X, label, rows.X_target)
    estimate = clf.estimate_accuracy(X, label, rows.X_target)
    proba = clf.predict_proba(rows.X_test)
    predicted = proba.argmax(axis=1)
    return {
        **line,
        "held_out": clf.held_out_["accuracy"],
        "held_out_balanced": clf.held_out_["balanced_accuracy"],
        "agreement": mean_agreement(clf._family_predictions(X, rows.X_target, clf)),
        "declined": estimate.interval is None,
        "accuracy": float((predicted == y).mean()),
        "balanced_accuracy": float(
            recall_score(y, predicted, labels=np.unique(y), average="macro", zero_division=0)
        ),
        **count_agreement(clf, rows.X_test, y),
        **compare(clf, rows.X_source[rest], rows.y_source[rest], proba),
    }


def count_agreement(clf: Any, X: Any, y: np.ndarray) -> dict[str, float]:
    """Return the share of rows on which all families agree, and how many of these are right."""
    agrees = clf.reliability(X).agreement == 1
    is_right = clf.predict(X) == y
    return {
        "agreeing": float(agrees.mean()),
        "right_agreeing": float(is_right[agrees].mean()) if agrees.any() else np.nan,
        "right_others": float(is_right[~agrees].mean()) if not agrees.all() else np.nan,
    }


def compare(clf: Any, X_rest: Any, y_rest: np.ndarray, proba: np.ndarray) -> dict[str, float]:
    """Return the estimates by the source rows left out, and by calibrated confidence."""
    on_source = clf.predict_proba(X_rest, sample_domain=np.zeros(len(y_rest), dtype=int))
    is_right = on_source.argmax(axis=1) == y_rest
    calibration = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    calibration.fit(on_source.max(axis=1), is_right)
    return {
        "source_rows": float(is_right.mean()),
        "confidence": float(calibration.predict(proba.max(axis=1)).mean()),
    }


def run(args: argparse.Namespace) -> None:
    """Measure all tasks; each result is written as soon as it is there."""
    jobs = [
        Job(str(folder), task.set, task.source, task.target, seed, args.max_rows)
        for seed in range(args.seeds)
        for folder in map(Path, args.data)
        for task in tables.list_tasks(folder, HALVES[args.half]).itertuples()
    ]
    lines = Parallel(n_jobs=args.jobs, return_as="generator_unordered")(
        delayed(measure)(job) for job in jobs
    )
    with args.results.open("w") as file:
        for line in lines:
            file.write(json.dumps(line) + "\n")
            file.flush()
            print(line["task"], line["seed"], line.get("error", ""), flush=True)


def shifted(product: np.ndarray, by: float) -> np.ndarray:
    """Return the product, moved by an error in logits."""
    from skdann.inspection._accuracy import MOST

    return expit(logit(np.clip(product, 0.02, MOST)) + by)


def errors(frame: pd.DataFrame, truth: str, held_out: str) -> np.ndarray:
    """Return the errors of the product, in logits."""
    from skdann.inspection._accuracy import MOST

    product = (frame[held_out] * frame["agreement"]).clip(0.02, MOST)
    return (logit(frame[truth].clip(0.02, 0.99)) - logit(product)).to_numpy()


def leave_sets_out(frame: pd.DataFrame) -> pd.DataFrame:
    """Return low, middle and high by the errors on all other data sets."""
    parts = []
    for name in frame["set"].unique():
        here = frame["set"] == name
        quantiles = np.quantile(errors(frame[~here], "accuracy", "held_out"), (0.05, 0.5, 0.95))
        product = frame.loc[here, "held_out"] * frame.loc[here, "agreement"]
        low, middle, high = (shifted(product, q) for q in quantiles)
        parts.append(frame[here].assign(low=low, estimate=middle, high=high))
    return pd.concat(parts)


def report(args: argparse.Namespace) -> None:
    """Print the constants, the coverage and the errors."""
    lines = [json.loads(line) for line in args.results.read_text().splitlines()]
    frame = pd.DataFrame(lines)
    if "error" in frame:
        frame = frame[frame["error"].isna()]
    declined = frame["declined"].astype(bool)
    print(f"{frame['task'].nunique()} tasks of {frame['set'].nunique()} data sets, ", end="")
    print(f"{frame['seed'].nunique()} seeds; declined: {declined.mean():.1%}")
    frame = frame[~declined]
    low, middle, high = np.quantile(errors(frame, "accuracy", "held_out"), (0.05, 0.5, 0.95))
    balanced = np.median(errors(frame, "balanced_accuracy", "held_out_balanced"))
    print(f"LOGIT_ERROR = ({low:.2f}, {middle:.2f}, {high:.2f})")
    print(f"BALANCED_LOGIT_ERROR = {balanced:.2f}\n")
    frame = leave_sets_out(frame)
    is_inside = frame["accuracy"].between(frame["low"], frame["high"])
    by_seed = is_inside.groupby(frame["seed"]).mean()
    width = (frame["high"] - frame["low"]).mean()
    print("each data set left out in turn:")
    print(f"coverage {is_inside.mean():.1%} (by seed {by_seed.min():.1%} to {by_seed.max():.1%})")
    print(f"mean width {width:.3f}\n")
    means = frame[["agreeing", "right_agreeing", "right_others"]].mean()
    print(f"all families agree on {means['agreeing']:.0%} of the target rows, mean over tasks:")
    print(f"accuracy {means['right_agreeing']:.3f} there, {means['right_others']:.3f} elsewhere\n")
    print("| estimate of the accuracy | mean absolute error | bias | correlation |")
    print("|---|---|---|---|")
    names = {
        "estimate": "`estimate_accuracy`",
        "confidence": "calibrated confidence (the method of NannyML)",
        "source_rows": "accuracy on source rows left out",
    }
    for column, title in names.items():
        off = frame[column] - frame["accuracy"]
        correlation = frame[column].corr(frame["accuracy"])
        print(f"| {title} | {off.abs().mean():.3f} | {off.mean():+.3f} | {correlation:.2f} |")


def main() -> None:
    """Run or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="fit all tasks")
    runs.add_argument("--data", nargs="+", required=True, help="data folders, see tables.py")
    runs.add_argument("--half", choices=list(HALVES), default="all")
    runs.add_argument("--max-rows", type=int, default=1500, help="maximum rows per domain")
    runs.add_argument("--seeds", type=int, default=5)
    runs.add_argument("--jobs", type=int, default=1, help="processes, one thread each")
    reports = commands.add_parser("report", help="print the table")
    for command in (runs, reports):
        command.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    {"run": run, "report": report}[args.command](args)


if __name__ == "__main__":
    main()
