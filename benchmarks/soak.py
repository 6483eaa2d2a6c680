"""A thousand fits in one process: memory, open files, threads and references must not grow.

    python benchmarks/soak.py                # 1,000 rounds, about a quarter of an hour
    python benchmarks/soak.py --rounds 50

A round fits, continues, copies, saves, loads and predicts with a classifier; every tenth round does
so with a regressor and a search as well, and lets a fit fail. The table shows the process at the
end of each tenth of the rounds. References are those to None: Python 3.11 ends if a library drops
more of them than it took.
"""

from __future__ import annotations

import argparse
import copy
import gc
import os
import pickle
import resource
import sys
import tempfile
import threading
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from machine import describe, facts

from skdann import DANNClassifier, DANNClassifierCV, DANNRegressor, DivergenceError
from skdann.datasets import make_covariate_shift

SMALL = {"feature_extractor": (16,), "domain_classifier": (8,), "max_epochs": 3}


def use(estimator: object, rows: tuple[np.ndarray, ...], path: Path) -> None:
    """Fit, copy, save, load and predict."""
    estimator.fit(*rows)
    estimator = pickle.loads(pickle.dumps(copy.deepcopy(estimator)))
    estimator.save(path)
    type(estimator).load(path).predict(rows[2])


def round_of(index: int, rows: tuple[np.ndarray, ...], path: Path) -> None:
    """Use a classifier, and the other estimators in every tenth round."""
    small = {**SMALL, "random_state": index}
    use(DANNClassifier(**small), rows, path)
    clf = DANNClassifier(**small).fit(*rows)
    for _ in range(3):
        clf.partial_fit(*rows)
    if index % 10:
        return
    use(DANNRegressor(**small), rows, path)
    use(DANNClassifierCV(DANNClassifier(**small), n_seeds=1, random_state=index), rows, path)
    try:
        DANNClassifier(optimizer="sgd", lr=1e25, **small).fit(*rows)
    except DivergenceError:
        return
    raise AssertionError("the fit did not diverge")


def state() -> tuple[float, int, int, int]:
    """Return the resident memory in MB, open files, threads, and references to None."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    memory = pages * resource.getpagesize() / 1e6
    n_files = len(list(Path("/proc/self/fd").iterdir()))
    return memory, n_files, threading.active_count(), sys.getrefcount(None)


def main() -> None:
    """Parse the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=1000)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    print(describe(facts()))
    print("\n| rounds | memory, MB | open files | threads | references to None |")
    print("|---|---|---|---|---|")
    X_source, y_source, X_target, _ = make_covariate_shift(80, random_state=0)
    with tempfile.TemporaryDirectory() as folder:
        for index in range(args.rounds):
            round_of(index, (X_source, y_source, X_target), Path(folder) / "model")
            if (index + 1) % max(1, args.rounds // 10) == 0:
                memory, n_files, n_threads, n_references = state()
                print(
                    f"| {index + 1:,} | {memory:.0f} | {n_files} | {n_threads} "
                    f"| {n_references:,} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
