"""CPU time to read a partition from parquet and to predict it, by kind of table and estimator.

    python benchmarks/predict.py > benchmarks/results/predict.txt     # about two minutes

Tables have 50 columns: numbers only, or mixed: 35 of numbers, five of numbers with missing
values, and ten of text. The estimators have their defaults. The target is shifted, so that all
families of the search enter the mixture.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from machine import Stopwatch, describe, facts

from skdann import DANNClassifier, DANNClassifierCV

KINDS = ("numbers", "mixed")
N_NUMBERS, N_MISSING, N_TEXT = 35, 5, 10


def make_table(n_rows: int, shift: float, seed: int, kind: str) -> pd.DataFrame:
    """Return a frame of 50 columns; `shift` moves the first ten of numbers."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, N_NUMBERS + N_MISSING + N_TEXT))
    X[:, :10] += shift
    frame = pd.DataFrame(X).add_prefix("column ")
    if kind == "mixed":
        missing = frame.columns[N_NUMBERS : N_NUMBERS + N_MISSING]
        frame[missing] = frame[missing].mask(rng.random((n_rows, N_MISSING)) < 0.1)
        for name in frame.columns[-N_TEXT:]:
            frame[name] = rng.choice(["north", "east", "south", "west"], n_rows)
    return frame


def fit(kind: str, n_rows: int) -> tuple[DANNClassifier, DANNClassifierCV]:
    """Return both estimators, fitted on tables of this kind."""
    source, target = (make_table(n_rows, shift, seed, kind) for shift, seed in ((0, 0), (0.7, 1)))
    y = (source.iloc[:, :3].sum(axis=1) > 0).astype(int)
    both = DANNClassifier(random_state=0), DANNClassifierCV(random_state=0)
    return tuple(estimator.fit(source, y, target) for estimator in both)


def main() -> None:
    """Fit the estimators, and measure reading and predicting in alternation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--fit-rows", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    print(f"{describe(facts())}\n\n{args.rows:,} rows of 50 columns, {args.repeats} repeats\n")
    steps: dict[tuple[str, str], Callable[[], Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            table, path = make_table(args.rows, 0.7, 2, kind), Path(folder) / kind
            table.to_parquet(path)
            print(f"{kind}: {path.stat().st_size / args.rows:.0f} bytes a row in parquet")
            steps[kind, "reading parquet"] = partial(pd.read_parquet, path)
            for estimator in fit(kind, args.fit_rows):
                steps[kind, type(estimator).__name__] = partial(estimator.predict_proba, table)
        micros: dict[tuple[str, str], list[float]] = {key: [] for key in steps}
        for _ in range(args.repeats):
            for key, step in steps.items():
                with Stopwatch() as watch:
                    step()
                micros[key].append(1e6 * watch.cpu / args.rows)
    print("\n| table | step | CPU, µs a row |\n|---|---|---|")
    for (kind, name), values in micros.items():
        figure = f"{np.median(values):.1f} [{min(values):.1f}-{max(values):.1f}]"
        print(f"| {kind} | {name} | {figure} |")


if __name__ == "__main__":
    main()
