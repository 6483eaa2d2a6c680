"""Time of one training step: skdann against a hand-written torch loop of the same network.

Networks 128-64 / classes / 64-1, Adam, dense float32 data. All systems run in one process on one
thread, in alternation; the first round is a warm-up. Printed per step, processor and wall time:
median and spread of the repeats, and the ratio to the hand-written loop, pair by pair.

    python benchmarks/speed.py                      # the table, about five minutes
    python benchmarks/speed.py --rows 2000 --batch 64 --repeats 3
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from skdann import DANNClassifier
from skdann.nn import gradient_reversal

N_FEATURES = 50


def make_data(n_rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two shifted Gaussian domains with a linear label."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((n_rows, N_FEATURES)).astype(np.float32)
    X_target = rng.standard_normal((n_rows, N_FEATURES)).astype(np.float32) + np.float32(0.5)
    return X, (X[:, 0] + X[:, 1] > 0).astype(np.int64), X_target


def hand_written(X, y, X_target, batch: int, n_epochs: int) -> int:
    """Train as people write it: gathers, autograd, Adam, losses by torch's modules."""
    nn = torch.nn
    torch.manual_seed(0)
    extractor = nn.Sequential(nn.Linear(N_FEATURES, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())
    predictor = nn.Linear(64, 2)
    classifier = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    networks = nn.ModuleList([extractor, predictor, classifier])
    optimizer = torch.optim.Adam(networks.parameters(), lr=1e-3)
    label_loss, domain_loss = nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss()
    X, y, X_target = torch.from_numpy(X), torch.from_numpy(y), torch.from_numpy(X_target)
    n_steps = 0
    for epoch in range(n_epochs):
        order, target_order = torch.randperm(len(X)), torch.randperm(len(X_target))
        for start in range(0, len(X), batch):
            progress = (epoch + start / len(X)) / n_epochs
            lambda_ = 2 / (1 + np.exp(-10 * progress)) - 1
            rows = order[start : start + batch]
            x_source, labels = X[rows], y[rows]
            x_target = X_target[target_order[start : start + batch]]
            features = extractor(torch.cat([x_source, x_target]))
            is_target = torch.cat([torch.zeros(len(x_source), 1), torch.ones(len(x_target), 1)])
            logits = classifier(gradient_reversal(features, lambda_))
            loss = label_loss(predictor(features[: len(rows)]), labels)
            loss = loss + 2 * domain_loss(logits, is_target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            n_steps += 1
    return n_steps


def ours(X, y, X_target, batch: int, n_epochs: int) -> int:
    """`DANNClassifier.fit`, everything included: checks, copies, history."""
    clf = DANNClassifier(dropout=0.0, batch_size=batch, max_epochs=n_epochs, random_state=0)
    clf.fit(X, y, X_target)
    return n_epochs * -(-len(X) // batch)


def mlp(X, y, X_target, batch: int, n_epochs: int) -> int:
    """scikit-learn's MLPClassifier on the source rows, without a domain part."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        MLPClassifier(
            (128, 64),
            batch_size=min(batch, len(X)),
            max_iter=n_epochs,
            n_iter_no_change=n_epochs + 1,
            random_state=0,
        ).fit(X, y)
    return n_epochs * -(-len(X) // batch)


def products(X, y, X_target, batch: int, n_epochs: int) -> int:
    """The matrix products of a step alone: forward, input gradient, weight gradient."""
    n_steps = n_epochs * -(-len(X) // batch)
    rows = min(batch, len(X))
    sizes = [(N_FEATURES, 128, 2), (128, 64, 2), (64, 64, 2), (64, 1, 2), (64, 2, 1)]
    operands = [
        (torch.randn(m * rows, i), torch.randn(i, o), torch.randn(m * rows, o), index > 0)
        for index, (i, o, m) in enumerate(sizes)
    ]
    for _ in range(n_steps):
        for x, weight, grad, needs_input_grad in operands:
            x @ weight
            x.T @ grad
            if needs_input_grad:
                grad @ weight.T
    return n_steps


SYSTEMS: dict[str, Callable[..., int]] = {
    "hand-written loop": hand_written,
    "skdann": ours,
    "MLPClassifier, source only": mlp,
    "matrix products alone": products,
}


def measure(
    n_rows: int, batch: int, repeats: int, n_steps: int
) -> dict[str, dict[str, list[float]]]:
    """Milliseconds a step of every system, in alternation; the first round does not count."""
    data = make_data(n_rows)
    n_epochs = max(1, round(n_steps * batch / n_rows))
    times: dict[str, dict[str, list[float]]] = {
        name: {"cpu_ms": [], "wall_ms": []} for name in SYSTEMS
    }
    for repeat in range(repeats + 1):
        for name, system in SYSTEMS.items():
            wall, cpu = time.perf_counter(), time.process_time()
            steps = system(*data, batch, n_epochs)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            if repeat:
                times[name]["cpu_ms"].append(1e3 * cpu / steps)
                times[name]["wall_ms"].append(1e3 * wall / steps)
    return times


def show(n_rows: int, batch: int, times: dict[str, dict[str, list[float]]]) -> None:
    """Print one block of the table."""
    print(f"\n{n_rows} + {n_rows} rows, batch {batch} + {batch}; ms a step: median [min - max]")
    print(f"{'':28}{'processor':>24}{'wall':>24}{'ratio to the loop':>26}")
    base = np.array(times["hand-written loop"]["cpu_ms"])
    for name, own in times.items():
        cells = [
            f"{np.median(own[kind]):.3f} [{min(own[kind]):.3f} - {max(own[kind]):.3f}]"
            for kind in ("cpu_ms", "wall_ms")
        ]
        ratio = np.array(own["cpu_ms"]) / base
        cells.append(f"{np.median(ratio):.2f} [{ratio.min():.2f} - {ratio.max():.2f}]")
        print(f"{name:28}{cells[0]:>24}{cells[1]:>24}{cells[2]:>26}")


def main() -> None:
    """Measure, print, and keep the figures where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[300, 20_000])
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=600, help="least steps of one fit")
    parser.add_argument("--json", type=Path, help="file to keep the figures in")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, 1 thread")
    print(f"python {platform.python_version()}, torch {torch.__version__}, load {os.getloadavg()}")
    results = []
    for n_rows in args.rows:
        for batch in args.batch:
            times = measure(n_rows, batch, args.repeats, args.steps)
            show(n_rows, batch, times)
            results.append({"n_rows": n_rows, "batch": batch, "times": times})
    if args.json:
        machine = {"cores": os.cpu_count(), "threads": 1, "torch": torch.__version__}
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"machine": machine, "results": results}, indent=1))


if __name__ == "__main__":
    main()
