"""Searches over several processes: equal results, and thread limits are respected."""

import os
import pickle
import signal

import joblib
import numpy as np
import pytest
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError
from numpy.testing import assert_array_equal
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import nn

from skdann import DANNClassifier, DANNClassifierCV, DivergenceError, make_pipeline
from skdann._selection import jobs
from skdann._training.net import DANNNet
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


# -- n_jobs of DANNClassifierCV -------------------------------------------------------------------

ALONE = {"callbacks": [Callback()]}  # members train one at a time


class Copies:
    """Runs jobs on copies of their arguments, as other processes do, but in this process."""

    def __init__(self, n_jobs, **options):
        assert n_jobs > 1

    def __call__(self, tasks):
        return [self.run(*map(self.copy, task)) for task in tasks]

    def run(self, function, args, options):
        return self.copy(function(*args, **options))

    def copy(self, value):
        return pickle.loads(pickle.dumps(value))


@pytest.fixture
def copies(monkeypatch):
    monkeypatch.setattr(jobs, "Parallel", Copies)


@pytest.fixture
def make(make_clf):
    def make(small=ALONE, n_jobs=2, **params):
        clf = make_clf(**{"max_epochs": 2, **small})
        return DANNClassifierCV(
            clf, **{"n_seeds": 2, "random_state": 0, "n_jobs": n_jobs, **params}
        )

    return make


def make_extractor(n_in):
    return nn.Sequential(nn.Linear(n_in, 6), nn.Dropout(0.2))


def assert_equal_fits(clf, expected, X_target):
    assert_array_equal(clf.predict_proba(X_target), expected.predict_proba(X_target))
    assert clf.scores_ == expected.scores_
    assert clf.reason_ == expected.reason_
    assert vars(clf).keys() == vars(expected).keys()
    for members, others in zip(clf.candidates_, expected.candidates_, strict=True):
        assert [vars(each).keys() for each in members] == [vars(each).keys() for each in others]
        for member, other in zip(members[: hasattr(members[0], "net_") * 9], others, strict=False):
            assert [{**row, "dur": 0} for row in member.history_] == [
                {**row, "dur": 0} for row in other.history_
            ]


@pytest.mark.parametrize(
    ("small", "params"),
    [
        ({}, {}),
        (ALONE, {}),
        ({"early_stopping": True}, {"aggregate": "best"}),
        ({"class_weight": "balanced"}, {}),
        ({"feature_extractor": make_extractor}, {"families": ("balanced", "alignment")}),
        ({}, {"families": ("alignment",), "aggregate": "passing"}),
    ],
    ids=["together", "alone", "early stopping", "class weights", "modules", "a path"],
)
def test_jobs_do_not_change_a_search(small, params, make, domains, copies):
    expected = make(small, n_jobs=1, **params).fit(*domains[:3])
    clf = make(small, **params).fit(*domains[:3])
    assert_equal_fits(clf, expected, domains.X_target)


def test_jobs_do_not_change_a_search_with_labels(make, domains, copies):
    y_target = np.where(np.arange(40) < 12, domains.y_target, np.nan)
    rows = {**dict(zip(("X_source", "y_source", "X_target"), domains, strict=False))}
    expected, clf = (make(n_jobs=n).fit(**rows, y_target=y_target) for n in (1, 2))
    assert_equal_fits(clf, expected, domains.X_target)


def test_threads_do_not_change_a_search(make, domains):
    expected = make(n_jobs=1).fit(*domains[:3])
    with joblib.parallel_config("threading", n_jobs=2):
        clf = make(n_jobs=None).fit(*domains[:3])
    assert_equal_fits(clf, expected, domains.X_target)


def test_the_bar_counts_all_epochs(make, domains, copies, capsys):
    make(verbose=1).fit(*domains[:3])
    assert "epoch 18/18" in capsys.readouterr().err  # nine networks of two epochs


def test_a_failed_candidate_warns_as_in_one_process(make, domains, copies):
    texts = set()
    for n_jobs in (1, 2):
        with pytest.warns(FitFailedWarning) as caught:
            make(n_jobs=n_jobs, lambdas=(1e39,), families=("alignment",)).fit(*domains[:3])
        texts.add(str(caught[0].message))
    assert len(texts) == 1


def test_a_diverged_baseline_is_an_error(make, domains, copies):
    clf = make({**ALONE, "optimizer": "sgd", "lr": 1e30})
    with pytest.raises(DivergenceError, match="The source-only baseline failed"):
        clf.fit(*domains[:3])
    assert vars(clf).keys() == clf.get_params(deep=False).keys()


def test_checkpoints_of_jobs_are_resumed_by_one_process(
    make, domains, copies, tmp_path, monkeypatch
):
    small = {"early_stopping": True, "checkpoint": tmp_path / "fit"}
    expected = make({**small, "checkpoint": None}, n_jobs=1).fit(*domains[:3])
    run, n_epochs = DANNNet.run_single_epoch, []

    def count(*args, **kwargs):
        n_epochs.append(1)
        if len(n_epochs) == 6:
            raise RuntimeError("the machine is needed")
        return run(*args, **kwargs)

    clf = make(small, verbose=1)
    monkeypatch.setattr(DANNNet, "run_single_epoch", count)
    with pytest.raises(RuntimeError, match="needed"):
        clf.fit(*domains[:3])
    monkeypatch.setattr(DANNNet, "run_single_epoch", run)
    assert {"fit.0", "fit.2"} <= set(os.listdir(tmp_path))
    clf = make(small, n_jobs=1, verbose=1).fit(*domains[:3])
    assert os.listdir(tmp_path) == []
    assert_equal_fits(clf, expected, domains.X_target)


class Worker(Callback):
    """Records the process and the threads of a network."""

    def on_epoch_end(self, net, **kwargs):
        self.found_ = os.getpid(), torch.get_num_threads()


class Interrupt(Callback):
    """Interrupts the process as Ctrl-C does."""

    def on_epoch_begin(self, net, **kwargs):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
def test_a_search_in_two_processes_of_joblib(make, domains):
    small = {"callbacks": [("worker", Worker())]}
    expected = make(small, n_jobs=1).fit(*domains[:3])
    clf = make(small).fit(*domains[:3])
    assert_equal_fits(clf, expected, domains.X_target)
    networks = [member for members in clf.candidates_[:-1] for member in members]
    found = {dict(member.net_.callbacks_)["worker"].found_ for member in networks}
    assert {n_threads for _, n_threads in found} == {1}
    assert os.getpid() not in {process for process, _ in found}
    clf = make({"callbacks": [Interrupt()]})
    with pytest.raises(KeyboardInterrupt):
        clf.fit(*domains[:3])
    assert vars(clf).keys() == clf.get_params(deep=False).keys()


class KillOnce(Callback):
    """Kills the process after an epoch, unless that has happened."""

    def __init__(self, epoch, mark):
        self.epoch, self.mark = epoch, mark

    def __repr__(self):
        return "KillOnce"

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch and not os.path.exists(self.mark):
            open(self.mark, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_search_whose_workers_are_killed_at_random_resumes(make, domains, tmp_path):
    early = {"early_stopping": True, "max_epochs": 6, "patience": 6}
    expected = make(early, n_jobs=1).fit(*domains[:3])
    for moment, epoch in enumerate(np.random.default_rng(0).integers(1, 7, 3)):
        mark, folder = str(tmp_path / f"killed{moment}"), tmp_path / str(moment)
        folder.mkdir()
        kill = KillOnce(int(epoch), mark)
        clf = make({**early, "callbacks": [kill], "checkpoint": folder / "fit"})
        with pytest.raises(TerminatedWorkerError):
            clf.fit(*domains[:3])
        assert os.path.exists(mark)
        assert vars(clf).keys() == clf.get_params(deep=False).keys()
        clf.fit(*domains[:3])
        assert os.listdir(folder) == []
        assert_array_equal(
            clf.predict_proba(domains.X_target), expected.predict_proba(domains.X_target)
        )
        assert clf.scores_ == expected.scores_
