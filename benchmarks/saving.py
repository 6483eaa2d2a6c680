"""Time and file size of save, load and checkpoints.

The script prints one line per network: the median wall time of the runs, on the disk of the
temporary folder.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from skdann import DANNClassifier, DANNClassifierCV

N_RUNS = 7
NETWORKS = {
    "default (128, 64), 50 columns": {},
    "a million weights": {"feature_extractor": (1024, 900)},
}


def median_seconds(work):
    """Return the median time of a function call, in seconds."""
    seconds = []
    for _ in range(N_RUNS):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds)


def report(name, clf, path):
    """Print the time and file size of saving and loading a fitted estimator."""
    save = median_seconds(lambda: clf.save(path))
    load = median_seconds(lambda: type(clf).load(path))
    size = os.path.getsize(path) / 1e6
    print(f"{name:32} {1e3 * save:7.1f} ms save {1e3 * load:7.1f} ms load {size:8.2f} MB")


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(2000, 50)).astype(np.float32), np.arange(2000) % 2
    X_target = X + 0.5
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        for name, params in NETWORKS.items():
            clf = DANNClassifier(max_epochs=2, random_state=0, **params).fit(X, y, X_target)
            report(name, clf, path)
        search = DANNClassifierCV(DANNClassifier(max_epochs=2), random_state=0)
        report("search, 24 default members", search.fit(X, y, X_target), path)
        for name, params in NETWORKS.items():
            base = {"max_epochs": 8, "random_state": 0, **params}
            seconds = [
                median_seconds(
                    lambda base=base, more=more: DANNClassifier(**base, **more).fit(X, y, X_target)
                )
                for more in ({}, {"checkpoint": Path(folder) / "checkpoint"})
            ]
            per_epoch = [1e3 * value / 8 for value in seconds]
            print(f"{name:32} {per_epoch[0]:7.1f} ms per epoch {per_epoch[1]:7.1f} with checkpoint")
