"""Memory of fit and predict, and the cost of predicting in blocks.

Each fit runs in a separate process, after a small fit that loads the libraries. The script reports
the peak growth of the process beyond its input rows.

    python benchmarks/memory.py                       # all parts, about three minutes
    python benchmarks/memory.py --parts dense --rows 200000 400000
    python benchmarks/memory.py --parts sparse predict
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import scipy.sparse as sp
import torch
from machine import Stopwatch, describe, facts
from peaks import MB, PeakGrowth, in_child, make_domains, measured_fit, warm_up

RESULTS = Path(__file__).parent / "results" / "memory.json"
N_FEATURES = 50
BOUND = 1.2  # growth relative to float32 copies of both domains, plus a constant
PREDICT_BOUND = 1.1  # CPU time of predict relative to a raw forward pass


# ---- dense rows


def fit_dense(n_rows: int, dtype: str) -> dict[str, float]:
    """Fit two domains of `n_rows` rows each for one epoch, and measure the fit."""
    from skdann import DANNClassifier

    rows = make_domains(n_rows, N_FEATURES, dtype)
    warm_up(batch_size=1024)
    return measured_fit(DANNClassifier(max_epochs=1, batch_size=1024, random_state=0), *rows)


def dense(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure the growth at each size, and separate the part that depends on the rows."""
    lines = []
    print("\n| dense rows | dtype | float32 copies, MB | peak growth, MB | ratio |")
    print("|---|---|---|---|---|")
    for dtype in ("float32", "float64"):
        for n_rows in args.rows:
            copies = 2 * n_rows * N_FEATURES * 4 / MB
            figures = in_child(fit_dense, n_rows, dtype)
            lines.append(
                {"part": "dense", "dtype": dtype, "rows": n_rows, "copies_mb": copies} | figures
            )
            print(
                f"| {n_rows:,} + {n_rows:,} x {N_FEATURES} | {dtype} | {copies:.0f} "
                f"| {figures['growth_mb']:.0f} | {figures['growth_mb'] / copies:.2f} |",
                flush=True,
            )
    print()
    for dtype in ("float32", "float64") if len(args.rows) > 1 else ():
        part = [line for line in lines if line["dtype"] == dtype]
        copies, growth = ([line[name] for line in part] for name in ("copies_mb", "growth_mb"))
        slope, constant = np.polyfit(copies, growth, 1)
        print(
            f"{dtype}: growth is {slope:.2f} times the copies (bound {BOUND}) "
            f"plus {constant:.0f} MB"
        )
    return lines


# ---- sparse rows


def make_sparse(n_rows: int, n_features: int, density: float, seed: int) -> sp.csr_array:
    """Return random CSR rows, all with the same number of values."""
    rng = np.random.default_rng(seed)
    per_row = max(1, round(density * n_features))
    indices = np.sort(rng.integers(n_features, size=(n_rows, per_row), dtype=np.int32), axis=1)
    data = rng.random(n_rows * per_row, dtype=np.float32)
    indptr = np.arange(0, n_rows * per_row + 1, per_row, dtype=np.int32)
    X = sp.csr_array((data, indices.ravel(), indptr), shape=(n_rows, n_features))
    X.sum_duplicates()
    return X


def fit_sparse(n_rows: int, n_features: int, density: float, batch: int) -> dict[str, float]:
    """Fit two sparse domains for one epoch, and measure fit and predict."""
    from skdann import DANNClassifier

    X, X_target = (make_sparse(n_rows, n_features, density, seed) for seed in range(2))
    y = (X[:, : n_features // 2].sum(axis=1) > X[:, n_features // 2 :].sum(axis=1)).astype(int)
    warm_up(batch_size=batch)
    clf = DANNClassifier(max_epochs=1, batch_size=batch, random_state=0)
    figures = measured_fit(clf, X, y, X_target)
    n_parameters = sum(p.numel() for p in clf.module_.parameters())
    csr = sum(part.nbytes for part in (X.data, X.indices, X.indptr))
    with PeakGrowth() as peak:
        clf.predict(X_target[: n_rows // 10])
    return figures | {
        "parameters_mb": n_parameters * 4 / MB,
        "csr_mb": 2 * csr / MB,
        "predict_growth_mb": peak.total / MB,
    }


def sparse(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Fit a sparse table whose dense copy would not fit in memory."""
    n_rows, n_features, density, batch = args.sparse_rows, 20_000, 0.001, 256
    figures = in_child(fit_sparse, n_rows, n_features, density, batch)
    whole, step = 2 * n_rows * n_features * 4 / MB, 2 * batch * n_features * 4 / MB
    print(
        f"\nsparse: CSR {n_rows:,} + {n_rows:,} x {n_features:,} at {density:.1%}, batch {batch}: "
        f"peak growth {figures['growth_mb']:.0f} MB, {figures['cpu_s']:.0f} s of CPU per epoch;\n"
        f"for comparison: CSR rows {figures['csr_mb']:.0f} MB, all rows dense {whole:,.0f} MB, "
        f"one dense step {step:.0f} MB,\nparameters {figures['parameters_mb']:.0f} MB (four times "
        f"that with gradient and Adam); growth in predict {figures['predict_growth_mb']:.0f} MB"
    )
    return [{"part": "sparse", "rows": n_rows, "batch": batch} | figures]


# ---- predict


def time_predict(n_rows: int, repeats: int) -> dict[str, Any]:
    """Measure the CPU time of predict_proba and of raw forward passes, whole and in blocks."""
    from skdann import DANNClassifier

    X, y, X_target = make_domains(n_rows, N_FEATURES, "float32")
    clf = DANNClassifier(max_epochs=1, random_state=0).fit(X[:5000], y[:5000], X_target[:5000])
    module, rows = clf.module_.eval(), torch.from_numpy(X_target)

    @torch.inference_mode()
    def raw(size: int) -> None:
        torch.cat([module(block) for block in rows.split(size)]).softmax(dim=1).numpy()

    ways = {
        "predict_proba": lambda: clf.predict_proba(X_target),
        "raw forward pass, all rows at once": lambda: raw(n_rows),
        "raw forward pass, 1,024 rows at a time": lambda: raw(1024),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            with Stopwatch() as watch:
                way()
            if repeat:  # the first round is a warm-up
                seconds[name].append(watch.cpu)
    with PeakGrowth() as peak:
        clf.predict(X_target)
    return {"seconds": seconds, "growth_mb": peak.total / MB}


def predict(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Compare blockwise prediction with raw forward passes."""
    figures = in_child(time_predict, args.predict_rows, args.repeats)
    seconds = {name: np.array(values) for name, values in figures["seconds"].items()}
    ours = seconds["predict_proba"]
    title = f"predict, {args.predict_rows:,} rows x {N_FEATURES}"
    print(f"\n| {title} | CPU s | predict_proba relative to this |")
    print("|---|---|---|")
    for name, values in seconds.items():
        ratio = ours / values
        print(
            f"| {name} | {np.median(values):.3f} [{values.min():.3f}-{values.max():.3f}] "
            f"| {np.median(ratio):.2f} [{ratio.min():.2f}-{ratio.max():.2f}] |"
        )
    print(f"\nbound {PREDICT_BOUND}; peak growth in predict {figures['growth_mb']:.0f} MB")
    return [{"part": "predict", "rows": args.predict_rows} | figures]


PARTS = {"dense": dense, "sparse": sparse, "predict": predict}


def main() -> None:
    """Run and print each part, and save the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000, 400_000])
    parser.add_argument("--sparse-rows", type=int, default=100_000)
    parser.add_argument("--predict-rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=11, help="repeats of predict")
    parser.add_argument("--json", type=Path, default=RESULTS, help="file for the figures")
    args = parser.parse_args()
    machine = facts()
    print(describe(machine))
    lines = [line for part in args.parts for line in PARTS[part](args)]
    args.json.write_text(json.dumps({"machine": machine, "results": lines}, indent=1) + "\n")


if __name__ == "__main__":
    main()
