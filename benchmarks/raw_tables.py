"""Measure what a newcomer gets: raw frames straight into `DANNClassifierCV()`.

    python benchmarks/raw_tables.py run --data ../shared/data
    python benchmarks/raw_tables.py check --data ../shared/data
    python benchmarks/raw_tables.py report

`run` fits the frames of hotel bookings (at most `--max-rows` rows per domain) and heart disease
(half of the target rows) as they are, without any preprocessing, and scores other target rows. The
seed determines the rows. For comparison, on the same rows: the source-only baseline of the same
fit; logistic regression behind the usual imputation, one-hot encoding and scaling; and histogram
gradient boosting behind an OrdinalEncoder. Results are appended, and existing ones are skipped.

`check` fits the hotel frame as polars, and with its date of arrival as one column, as dates of
pandas, dates of polars and text, and compares the predictions.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import tables
from machine import Stopwatch, load
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

RESULTS = Path(__file__).parent / "results" / "raw_tables.jsonl"
SETS = ("hotel_bookings", "heart_disease")
TITLES = {
    "cv": "`DANNClassifierCV()`",
    "baseline": "its source-only baseline",
    "trees": "gradient boosting, ordinal encoding",
    "lr": "logistic regression, one-hot and scaled",
}


class Frames(NamedTuple):
    """Raw frames of one task; `X_test` and `y_test` are target rows used for the score only."""

    X_source: Any
    y_source: np.ndarray
    X_target: Any
    X_test: Any
    y_test: np.ndarray

    def map(self, change: Callable[[pd.DataFrame], Any]) -> Frames:
        """Return the task with changed frames."""
        X_source, X_target, X_test = map(change, (self.X_source, self.X_target, self.X_test))
        return self._replace(X_source=X_source, X_target=X_target, X_test=X_test)


def load_frames(folder: Path, task: Any, max_rows: int, seed: int) -> Frames:
    """Return raw rows: half of the target rows (at most `max_rows`) are for the score."""
    frame = pd.read_parquet(folder / f"{task.set}.parquet")
    y, domain = frame.pop("y").to_numpy(), frame.pop("domain").to_numpy()
    rng = np.random.RandomState(seed)
    source = rng.permutation(np.flatnonzero(domain == task.source))[:max_rows]
    target = rng.permutation(np.flatnonzero(domain == task.target))[: 2 * max_rows]
    adapt, test = np.array_split(target, 2)
    return Frames(frame.iloc[source], y[source], frame.iloc[adapt], frame.iloc[test], y[test])


# ---- systems


def fit_cv(frames: Frames, seed: int) -> Any:
    """Fit the classifier under test; `seed` is its only parameter."""
    from skdann import DANNClassifierCV

    clf = DANNClassifierCV(random_state=seed)
    return clf.fit(frames.X_source, frames.y_source, frames.X_target)


def fit_lr(frames: Frames, seed: int) -> Any:
    """Fit today's recipe on the source."""
    model = make_pipeline(tables.preprocessor(), LogisticRegression(max_iter=1000))
    return model.fit(frames.X_source, frames.y_source)


def fit_trees(frames: Frames, seed: int) -> Any:
    """Fit trees on the source; they take missing numbers, but no column without any value."""
    X_source = frames.X_source.dropna(axis=1, how="all")
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer(
        (encoder, make_column_selector(dtype_exclude="number")),
        remainder="passthrough",
    )
    model = make_pipeline(columns, HistGradientBoostingClassifier(random_state=seed))
    return model.fit(X_source, frames.y_source)


def predict_baseline(clf: Any, X: Any) -> np.ndarray:
    """Predict with the source-only baseline, the first candidate of a fitted classifier."""
    from skdann._input.rows import check_rows_to_predict

    rows = check_rows_to_predict(clf, X)
    proba = clf._family_proba(clf.candidates_[0], X, rows, clf._only_target())
    return clf.classes_[proba.argmax(axis=1)]


def score(frames: Frames, predicted: np.ndarray) -> dict[str, float]:
    """Return both accuracies on the rows kept for the score."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a test half without one of the classes
        balanced = balanced_accuracy_score(frames.y_test, predicted)
    accuracy = accuracy_score(frames.y_test, predicted)
    return {"balanced_accuracy": round(balanced, 5), "accuracy": round(accuracy, 5)}


def measure(frames: Frames, seed: int) -> Iterator[dict[str, Any]]:
    """Yield the scores and seconds of all systems on one task."""
    for name, fit in {"cv": fit_cv, "trees": fit_trees, "lr": fit_lr}.items():
        with Stopwatch() as watch, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = fit(frames, seed)
            predicted = model.predict(frames.X_test)
        line = {"system": name, **score(frames, predicted)}
        line |= {"cpu": round(watch.cpu, 2), "wall": round(watch.wall, 2), "load": load()[0]}
        if name == "cv":
            line["warnings"] = sorted({f"{w.category.__name__}: {w.message}" for w in caught})
            line["reason"] = model.reason_
            baseline = predict_baseline(model, frames.X_test)
            yield {"system": "baseline", **score(frames, baseline)}
        yield line


# ---- commands


def list_tasks(folder: Path) -> Iterator[Any]:
    """Yield the tasks of the two data sets."""
    yield from tables.list_tasks(folder, SETS).itertuples()


def run(args: argparse.Namespace) -> None:
    """Measure all tasks; results are written as soon as they are available."""
    folder = tables.data_folder(args.data)
    done = {(line["task"], line["seed"], line["max_rows"]) for line in read(args.results)}
    for seed in range(args.seeds):
        for task in list_tasks(folder):
            name = f"{task.set}: {task.source} -> {task.target}"
            if (name, seed, args.max_rows) in done:
                continue
            frames = load_frames(folder, task, args.max_rows, seed)
            lines = list(measure(frames, seed))
            with args.results.open("a") as file:
                for line in lines:
                    head = {"task": name, "seed": seed, "max_rows": args.max_rows}
                    file.write(json.dumps(head | line) + "\n")
            by_system = {line["system"]: line["balanced_accuracy"] for line in lines}
            print(name, seed, by_system, flush=True)


def read(path: Path) -> list[dict[str, Any]]:
    """Return all result lines."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def with_arrival(frame: pd.DataFrame, as_text: bool = False) -> pd.DataFrame:
    """Return the hotel frame with the date of arrival in one column instead of four."""
    year, month, day = (f"arrival_date_{part}" for part in ("year", "month", "day_of_month"))
    text = frame[[year, day]].astype(int).astype(str)
    arrival = pd.to_datetime(text[year] + frame[month].astype(str) + text[day], format="%Y%B%d")
    frame = frame.drop(columns=[year, month, day, "arrival_date_week_number"])
    return frame.assign(arrival=arrival.dt.strftime("%Y-%m-%d") if as_text else arrival)


def check(args: argparse.Namespace) -> None:
    """Print whether the same table gives the same predictions in other libraries and dtypes."""
    import polars

    folder = tables.data_folder(args.data)
    task = next(task for task in list_tasks(folder) if task.set == "hotel_bookings")
    raw = load_frames(folder, task, args.max_rows, 0)
    dated = raw.map(with_arrival)
    variants = {
        "pandas": raw,
        "polars": raw.map(polars.from_pandas),
        "date, pandas": dated,
        "date, polars": dated.map(polars.from_pandas),
        "date, text": raw.map(lambda frame: with_arrival(frame, as_text=True)),
    }
    expected = {}
    for name, frames in variants.items():
        with Stopwatch() as watch, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clf = fit_cv(frames, 0)
            proba = clf.predict_proba(frames.X_test)
        first = expected.setdefault(name.split(",")[0] if "date" in name else "raw", proba)
        balanced = score(frames, clf.classes_[proba.argmax(axis=1)])["balanced_accuracy"]
        print(
            f"{name:14} balanced accuracy {balanced:.3f}, {watch.cpu:.0f} s, greatest difference "
            f"of a probability from pandas {np.abs(proba - first).max():.1e}",
            flush=True,
        )


def report(args: argparse.Namespace) -> None:
    """Print mean and standard deviation over the seeds."""
    frame = pd.DataFrame(read(args.results))
    fits = frame[frame["system"] == "cv"]
    loads = fits["load"]
    print(f"{frame['seed'].nunique()} seeds, load {loads.min():.1f} to {loads.max():.1f}\n")
    for metric in ("balanced_accuracy", "accuracy"):
        by_system = frame.groupby(["task", "system"], sort=False)[metric]
        cells = by_system.mean().map("{:.3f}".format) + " ± " + by_system.std().map("{:.3f}".format)
        table = cells.unstack()[list(TITLES)]
        print(f"| {metric.replace('_', ' ')} | {' | '.join(TITLES.values())} |")
        print("|---|" + "---|" * len(TITLES))
        for name, row in table.iterrows():
            print(f"| {name} | {' | '.join(row)} |")
        print()
    seconds = fits.groupby("task", sort=False)["cpu"]
    for name, values in seconds:
        print(f"{name}: {values.mean():.0f} s of one core, at most {values.max():.0f}")


def main() -> None:
    """Run, check or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="fit all tasks")
    runs.add_argument("--seeds", type=int, default=5)
    checks = commands.add_parser("check", help="compare polars and dates with pandas")
    for command in (runs, checks):
        command.add_argument("--data", help="data folder, see tables.py")
        command.add_argument("--max-rows", type=int, default=4000, help="maximum rows per domain")
    reports = commands.add_parser("report", help="print the tables")
    for command in (runs, reports):
        command.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    {"run": run, "check": check, "report": report}[args.command](args)


if __name__ == "__main__":
    main()
