"""Searches with two processes compared with one: GridSearchCV, and DANNClassifierCV by itself.

The search runs with n_jobs=1 and n_jobs=2 in alternation, with warm workers. A worker imports torch
once, which is timed separately. Each fit records the number of threads that torch may use, and the
wall and CPU time of training. CPU time beyond wall time means that several threads were active;
wall time beyond CPU time means waiting.

DANNClassifierCV trains its networks with n_jobs=1 and n_jobs=2 in alternation, also with warm
workers. On a busy machine wall times say little: the CPU time of this thread and of the busiest
worker add up to about the time that a search would take on two free cores.

    python benchmarks/parallel.py                   # joblib's default backend, two minutes
    python benchmarks/parallel.py --backend dask    # a dask cluster of two processes (distributed)
    python benchmarks/parallel.py --mixture         # DANNClassifierCV, ten minutes (needs psutil)
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch
from machine import Stopwatch, describe, facts, load
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from skdann import DANNClassifier, DANNClassifierCV, make_pipeline

RESULTS = Path(__file__).parent / "results" / "parallel.json"
BOUND = 1.7
MIXTURES: dict[str, tuple[int, dict[str, Any]]] = {  # columns, parameters of the networks
    "members together": (20, {}),
    "members together, 300 columns": (300, {}),
    "class weights": (20, {"class_weight": "balanced"}),
    "early stopping": (20, {"early_stopping": True}),
}


class Recorder(Callback):
    """Records threads and times of a fit on the callback object."""

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Start the clocks."""
        self.wall_, self.cpu_ = -time.perf_counter(), -time.process_time()
        self.threads_ = 0

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Record how many threads torch may use."""
        self.threads_ = max(self.threads_, torch.get_num_threads())

    def on_train_end(self, net: Any, **kwargs: Any) -> None:
        """Stop the clocks."""
        self.wall_ += time.perf_counter()
        self.cpu_ += time.process_time()


def recorded(name: str) -> Any:
    """Return a scorer that reads an attribute of the recorder."""

    def scorer(estimator: Any, X: Any, y: Any) -> float:
        callbacks = dict(estimator[-1].net_.callbacks_)
        recorder = next(one for one in callbacks.values() if type(one).__name__ == "Recorder")
        return float(getattr(recorder, name))

    return scorer


def accuracy(estimator: Any, X: Any, y: Any) -> float:
    """Return the source accuracy, to check that all runs give the same result."""
    return float(estimator.score(X, y))


def process(estimator: Any, X: Any, y: Any) -> float:
    """Return the process id."""
    return float(os.getpid())


def search(n_rows: int, n_epochs: int, n_jobs: int) -> dict[str, Any]:
    """Run one search with four lambdas and three folds, and return its figures."""
    X, y, X_target = make_data(n_rows)
    scoring = {"accuracy": accuracy, "process": process}
    scoring |= {name: recorded(f"{name}_") for name in ("threads", "wall", "cpu")}
    clf = DANNClassifier(max_epochs=n_epochs, random_state=0, callbacks=[Recorder()])
    grid = GridSearchCV(
        make_pipeline(StandardScaler(), clf),
        {"dannclassifier__lambda_max": [0.03, 0.1, 0.3, 1.0]},
        scoring=scoring,
        refit=False,
        cv=3,
        n_jobs=n_jobs,
        error_score="raise",
    )
    with Stopwatch() as watch:
        grid.fit(X, y, X_target=(X_target,))
    scores = {
        name: np.concatenate([grid.cv_results_[f"split{k}_test_{name}"] for k in range(3)])
        for name in scoring
    }
    return {
        "wall_s": watch.wall,
        "fits_wall_s": float(scores["wall"].sum()),
        "fits_cpu_s": float(scores["cpu"].sum()),
        "most_threads": int(scores["threads"].max()),
        "n_processes": len(set(scores["process"])),
        "accuracies": scores["accuracy"].tolist(),
    }


def make_data(n_rows: int, n_columns: int = 50) -> tuple[np.ndarray, ...]:
    """Return two shifted domains."""
    rng = np.random.default_rng(0)
    X, X_target = rng.standard_normal((2, n_rows, n_columns))
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    return X, y, X_target + 0.5


def worker_times() -> dict[int, float]:
    """Return the CPU time of each process that this one has started."""
    import psutil  # needed here alone

    workers = psutil.Process().children(recursive=True)
    return {each.pid: sum(each.cpu_times()[:2]) for each in workers}


def mixture(n_rows: int, n_epochs: int, name: str, n_jobs: int) -> dict[str, Any]:
    """Fit DANNClassifierCV once, and return its figures."""
    n_columns, small = MIXTURES[name]
    X, y, X_target = make_data(n_rows, n_columns)
    clf = DANNClassifier(max_epochs=n_epochs, **small)
    clf = DANNClassifierCV(clf, n_jobs=n_jobs, random_state=0)
    before, own = worker_times(), -time.thread_time()
    with Stopwatch() as watch:
        clf.fit(X, y, X_target)
    own += time.thread_time()
    workers = [seconds - before.get(pid, 0.0) for pid, seconds in worker_times().items()]
    return {
        "wall_s": watch.wall,
        "cpu_s": watch.cpu + sum(workers),
        "path_s": own + max(workers, default=0.0),
        "proba": float(clf.predict_proba(X_target)[:, 1].sum()),
        "scores": [row["score"] for row in clf.scores_],
    }


def measure_mixtures(n_rows: int, n_epochs: int, n_repeats: int) -> None:
    """Measure, and print a table for each kind of search."""
    print(f"DANNClassifierCV, {n_rows:,} + {n_rows:,} rows, {n_epochs} epochs; seconds\n")
    for name in MIXTURES:
        mixture(200, 1, name, 2)  # starts the workers
        runs: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
        for _ in range(n_repeats):
            for n_jobs, repeats in runs.items():
                repeats.append(mixture(n_rows, n_epochs, name, n_jobs))
        print(f"| {name} | wall | CPU of all | CPU of this thread and the busiest worker |")
        print("|---|---|---|---|")
        for n_jobs, repeats in runs.items():
            columns = ([run[key] for run in repeats] for key in ("wall_s", "cpu_s", "path_s"))
            print(f"| n_jobs={n_jobs} | {' | '.join(map(show_range, columns))} |")
        distinct = {(run["proba"], *run["scores"]) for repeats in runs.values() for run in repeats}
        print(f"equal results in all runs of {name}: {len(distinct) == 1}\n", flush=True)


def show_range(seconds: list[float]) -> str:
    """Return the median and the range."""
    return f"{np.median(seconds):.2f} [{min(seconds):.2f}-{max(seconds):.2f}]"


@contextlib.contextmanager
def backend(name: str) -> Iterator[None]:
    """Use joblib's default processes, or a local dask cluster of two processes."""
    if name == "loky":
        yield
        return
    from distributed import Client, LocalCluster

    cluster = LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
    )
    with cluster, Client(cluster), joblib.parallel_config(backend="dask"):
        yield


def show(runs: dict[int, list[dict[str, Any]]]) -> None:
    """Print the table and the speed-up."""
    print("\n| n_jobs | wall s | processes | torch threads | CPU / wall within fits |")
    print("|---|---|---|---|---|")
    for n_jobs, repeats in runs.items():
        wall = [run["wall_s"] for run in repeats]
        busy = np.median([run["fits_cpu_s"] / run["fits_wall_s"] for run in repeats])
        print(
            f"| {n_jobs} | {show_range(wall)} "
            f"| {max(run['n_processes'] for run in repeats)} "
            f"| {max(run['most_threads'] for run in repeats)} | {busy:.2f} |"
        )
    ratio = np.median([run["wall_s"] for run in runs[1]]) / np.median(
        [run["wall_s"] for run in runs[2]]
    )
    distinct = {tuple(run["accuracies"]) for repeats in runs.values() for run in repeats}
    print(f"\nspeed-up {ratio:.2f} (bound {BOUND}); equal scores in all runs: {len(distinct) == 1}")


def main() -> None:
    """Measure, print and save the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", nargs="+", choices=["loky", "dask"], default=["loky"])
    parser.add_argument("--mixture", action="store_true", help="measure DANNClassifierCV instead")
    parser.add_argument("--rows", type=int, default=6000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, default=RESULTS, help="file for the figures")
    args = parser.parse_args()
    machine, results = facts(), {}
    print(describe(machine))
    if args.mixture:
        measure_mixtures(args.rows, args.epochs, args.repeats)
        return
    print(f"4 lambdas x 3 folds, {args.rows:,} + {args.rows:,} rows x 50, {args.epochs} epochs")
    for name in args.backend:
        runs: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
        with backend(name):
            with Stopwatch() as cold:
                search(300, 1, 2)
            print(f"\n**{name}**: a small first search, which starts workers: {cold.wall:.1f} s")
            for _ in range(args.repeats):
                with joblib.parallel_config(backend="loky"):
                    runs[1].append(search(args.rows, args.epochs, 1))
                runs[2].append(search(args.rows, args.epochs, 2))
        show(runs)
        results[name] = runs
    kept = {"machine": machine | {"load_at_end": load()}, "results": results}
    args.json.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
