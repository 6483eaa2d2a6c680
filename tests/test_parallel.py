"""Searches over several processes: equal results, and thread limits are respected."""

import os

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from skdann import DANNClassifier, make_pipeline
from skdann.model_selection import InformationMaximizationScorer


class ThreadCount(Callback):
    """Callback that records the number of torch threads during training."""

    def on_epoch_begin(self, net, **kwargs):
        self.n_threads_ = torch.get_num_threads()


def n_threads(estimator, X, y=None):
    callbacks = dict(estimator[-1].net_.callbacks_)
    return next(one.n_threads_ for one in callbacks.values() if isinstance(one, ThreadCount))


def process(estimator, X, y=None):
    return os.getpid()


def search(domains, n_jobs):
    """Search two lambdas without target labels, and record the process and threads of each fit."""
    X, y, X_target = domains[:3]
    clf = DANNClassifier(max_epochs=3, random_state=0, callbacks=[ThreadCount()])
    scoring = {
        "score": InformationMaximizationScorer(X_target),
        "process": process,
        "threads": n_threads,
    }
    grid = GridSearchCV(
        make_pipeline(StandardScaler(), clf),
        {"dannclassifier__lambda_max": [0.0, 0.3, 1.0]},
        scoring=scoring,
        refit="score",
        cv=3,
        n_jobs=n_jobs,
        error_score="raise",
    )
    return grid.fit(X, y, X_target=(X_target,))


def splits(grid, name):
    return np.concatenate([grid.cv_results_[f"split{fold}_test_{name}"] for fold in range(3)])


def assert_equal_searches(grid, expected, X_target):
    assert_array_equal(splits(grid, "score"), splits(expected, "score"))
    assert_array_equal(grid.predict_proba(X_target), expected.predict_proba(X_target))
    assert set(splits(grid, "threads")) == {1}
    assert os.getpid() not in splits(grid, "process")


@pytest.mark.slow
def test_two_processes_of_joblib(domains):
    grid, expected = search(domains, 2), search(domains, 1)
    assert_equal_searches(grid, expected, domains[2])


@pytest.mark.slow
def test_a_dask_cluster_of_two_processes(domains):
    distributed = pytest.importorskip("distributed")
    expected = search(domains, 1)
    cluster = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
    )
    with cluster, distributed.Client(cluster), joblib.parallel_config(backend="dask"):
        grid = search(domains, 2)
    assert_equal_searches(grid, expected, domains[2])
