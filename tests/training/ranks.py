"""A process of a group, started by `test_distributed.py`: python -m tests.training.ranks ..."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from skorch.callbacks import Callback
from torch import distributed as dist

from skdann import DANNClassifier, DANNClassifierCV, DANNRegressor
from skdann.datasets import make_covariate_shift

SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "dropout": {"dropout": 0.3},
    "source": {"standardize": "source", "optimizer": "sgd"},
    "layer": {"normalization": "layer", "conditioning": "cdan"},
    "batch": {"normalization": "batch"},
    "domain_batch": {"normalization": "domain_batch"},
    "alternating": {"adversarial": "alternating", "domain_steps": 2},
    "non_saturating": {"adversarial": "non_saturating"},
    "early_stopping": {"early_stopping": True, "max_epochs": 12, "patience": 2, "lr": 0.03},
    "class_weight": {"class_weight": "balanced", "lambda_max": 0.0},
    "schedule": {"lr_schedule": lambda progress: 1.0 - progress / 2},
    "train": {"pseudo_labels": "train"},
    "balance": {"pseudo_labels": "balance"},
}
CLOSE = {"batch": 5e-3, "domain_batch": 5e-3}  # of the others 1e-5


def data() -> tuple[np.ndarray, ...]:
    """Rows of both domains, as one process has them."""
    X, y, X_target, _ = make_covariate_shift(151, random_state=0)
    return X, y, X_target, np.random.default_rng(0).random(len(X)) + 0.1


def share(rank: int, size: int) -> tuple[slice, slice]:
    """Uneven parts of source and target rows."""
    if size == 1:
        return slice(None), slice(None)
    return (slice(40), slice(40, None))[rank], (slice(110), slice(110, None))[rank]


def fit_all(rank: int, size: int) -> dict[str, Any]:
    """Fit with each setting; return predictions and the history."""
    X, y, X_target, weight = data()
    source, target = share(rank, size)
    y_target = np.full(len(X_target), -1)
    y_target[[3, 60, 120]] = y[[0, 1, 2]]
    is_group = size > 1
    results = {}
    for name, params in SETTINGS.items():
        clf = DANNClassifier(
            **{"max_epochs": 4, "batch_size": 32, **params}, random_state=0, distributed=is_group
        )
        clf.fit(X[source], y[source], X_target[target], sample_weight=weight[source])
        results[name] = clf.predict_proba(X_target), _figures(clf)
    clf = DANNClassifier(max_epochs=3, random_state=0, distributed=is_group)
    clf.fit(pd.DataFrame(X[source]), pd.Series(y[source]), (pd.DataFrame(X_target[target]),))
    results["frames"] = clf.predict_proba(pd.DataFrame(X_target)), _figures(clf)
    for _ in range(2):
        clf.partial_fit(pd.DataFrame(X[source]), y[source], pd.DataFrame(X_target[target]))
    results["chunks"] = clf.predict_proba(pd.DataFrame(X_target)), _figures(clf)
    reg = DANNRegressor(max_epochs=3, random_state=0, distributed=is_group)
    reg.fit(X[source], 2 * X[source, 0] + 1, X_target[target])
    results["regressor"] = reg.predict(X_target), _figures(reg)
    search = DANNClassifierCV(DANNClassifier(max_epochs=3, distributed=is_group), random_state=0)
    search.fit(X[source], y[source], X_target[target])
    results["search"] = search.predict_proba(X_target), search.reason_
    return results


def _figures(clf: Any) -> list[dict[str, float]]:
    return [
        {k: v for k, v in row.items() if isinstance(v, float) and k != "dur"}
        for row in clf.history_
    ]


class Fail(Callback):  # type: ignore[misc]
    """Fails after an epoch."""

    def __init__(self, how: str, at: int = 2) -> None:
        self.how, self.at = how, at

    def on_epoch_end(self, net: Any, **_: Any) -> None:
        """End the process, raise an error, or press Ctrl-C."""
        if len(net.history) != self.at:
            return
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "interrupt":
            signal.raise_signal(signal.SIGINT)
        raise ZeroDivisionError("a fault of one process")


def fit_one(case: str, rank: int, size: int, folder: Path) -> Any:
    """Fit once where something is wrong in process 1, or a checkpoint is written."""
    X, y, X_target, _ = data()
    source, target = share(rank, size)
    X, y, X_target = X[source], y[source], X_target[target]
    params: dict[str, Any] = {"max_epochs": 4, "random_state": 0, "distributed": size > 1}
    if case in ("kill", "raise", "interrupt") and rank == 1:
        params["callbacks"] = [Fail(case)]
    if case in ("checkpoint", "resume"):
        params["checkpoint"] = folder / "fit.ckpt"
    if case == "checkpoint" and rank == 1:
        params["callbacks"] = [Fail("kill", 3)]
    if case == "lr" and rank == 1:
        params["lr"] = 0.5
    if case == "masked" and rank == 1:
        X = np.ma.masked_array(X, mask=X > 1)
    if case == "columns" and rank == 1:
        X = X[:, :1]
    if case == "invalid" and rank == 1:
        params["lr"] = -1.0
    if case == "kinds" and rank == 1:
        y = y.astype(str)
    if case == "labels" and rank == 1:
        y = y[1:]
    try:
        clf = DANNClassifier(**params).fit(X, y, X_target)
    except (Exception, KeyboardInterrupt) as error:
        return type(error).__name__, str(error)
    return clf.predict_proba(data()[2]), len(clf.history_)


def main(case: str, rank: int, size: int, folder: Path) -> None:
    """Join the group, fit, and write the results."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if size > 1:
        store = f"file://{folder / f'{case}.store'}"
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=size)
    results = fit_all(rank, size) if case == "all" else fit_one(case, rank, size, folder)
    (folder / f"{case}.{size}.{rank}").write_bytes(pickle.dumps(results))
    if size > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
