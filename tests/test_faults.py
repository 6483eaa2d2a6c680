"""Injected faults: the original error is raised, and estimators and files stay unchanged."""

import copy
import errno
import os
import signal
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn

from skdann import DANNClassifier, DANNClassifierCV
from skdann._saving.state import net_state
from skdann._training.step import Step

HOOKS = (
    "on_train_begin", "on_epoch_begin", "on_batch_begin", "on_grad_computed", "on_batch_end",
    "on_epoch_end", "on_train_end",
)  # fmt: skip


def raising(hook, error, epoch=2):
    """Return a callback that raises in one of its methods, in the given epoch."""

    def method(self, net, *args, **kwargs):
        if hook in ("on_train_begin", "on_train_end") or len(net.history) == epoch:
            raise error

    return type("Raising", (Callback,), {hook: method})()


def snapshot(clf):
    """Return the state of an estimator that a failed fit must not change."""
    state = {name: value for name, value in vars(clf).items() if name.endswith("_")}
    tensors = {}
    if hasattr(clf, "net_"):
        tensors = {name: value.clone() for name, value in net_state(clf.net_).items()}
        tensors["epochs"] = torch.tensor([clf.net_.n_epochs_done_, len(clf.net_.history)])
    return state, copy.deepcopy(state.get("history_")), tensors


def assert_unchanged(before, clf):
    after = snapshot(clf)
    assert before[0].keys() == after[0].keys()
    assert all(value is after[0][name] for name, value in before[0].items())
    assert before[1] == after[1]
    assert before[2].keys() == after[2].keys()
    for name, value in before[2].items():
        assert torch.equal(value, after[2][name]), f"{name} was changed"


def fail_at_step(monkeypatch, n, change):
    """Call `change` on the result of the n-th training step."""
    steps, unchanged = [], Step.take

    def take(step, batch, lambda_):
        steps.append(step)
        result = unchanged(step, batch, lambda_)
        return change(step, result) if len(steps) == n else result

    monkeypatch.setattr(Step, "take", take)


@pytest.fixture(params=["new", "fitted", "warm start", "partial_fit"])
def subject(request, make_clf, domains):
    """Return an estimator, and the call that will fail."""
    clf = make_clf(max_epochs=4)
    if request.param != "new":
        clf.fit(*domains[:3])
    clf.set_params(warm_start=request.param == "warm start")
    if request.param == "partial_fit":
        return clf, lambda: clf.partial_fit(*domains[:3])
    return clf, lambda: clf.fit(*domains[:3])


class TestLoss:
    @pytest.mark.parametrize(("logit", "loss"), [(np.nan, "nan"), (-np.inf, "inf")])
    def test_not_finite(self, logit, loss, subject, monkeypatch):
        def spoil(step, outputs):
            logits = outputs.logits.clone()
            logits[..., 0] = logit
            return outputs._replace(logits=logits)

        clf, fit = subject
        before = snapshot(clf)
        fail_at_step(monkeypatch, 2, spoil)
        with pytest.raises(ValueError, match=rf"loss became {loss} in epoch \d.*lower lr"):
            fit()
        assert_unchanged(before, clf)

    def test_weights_overflow(self, subject, monkeypatch):
        def spoil(step, result):
            with torch.no_grad():
                step.module.label_predictor[0].weight.mul_(1e38).mul_(1e38)
            return result

        clf, fit = subject
        before = snapshot(clf)
        fail_at_step(monkeypatch, 3, spoil)
        with pytest.raises(ValueError, match=r"epoch \d+: training diverged\. Scale the columns"):
            fit()
        assert_unchanged(before, clf)

    def test_learning_rate_too_high(self, make_clf, domains):
        clf = make_clf().fit(*domains[:3])
        before = snapshot(clf)
        clf.set_params(optimizer="sgd", lr=1e25)
        with pytest.raises(ValueError, match=r"epoch 1.*diverged.*lower lr"):
            clf.fit(*domains[:3])
        assert_unchanged(before, clf)


class TestMemory:
    ERRORS = (
        MemoryError("Unable to allocate 1.00 TiB"),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    )

    @pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
    def test_out_of_memory_in_a_step(self, error, subject, monkeypatch, domains, assert_same_fit):
        def fail(step, result):
            raise error

        clf, fit = subject
        before = snapshot(clf)
        fail_at_step(monkeypatch, 3 if clf.warm_start else 2, fail)
        with pytest.raises(type(error), match=str(error)):
            fit()
        assert_unchanged(before, clf)
        monkeypatch.undo()
        clf.set_params(warm_start=False).fit(*domains[:3])
        assert_same_fit(clf, DANNClassifier(**clf.get_params()).fit(*domains[:3]))

    def test_out_of_memory_while_predicting(self, make_clf, domains, monkeypatch):
        clf = make_clf().fit(*domains[:3])
        expected = clf.predict_proba(domains.X_target)

        def fail(*args):
            raise MemoryError

        with monkeypatch.context() as patch:
            patch.setattr(type(clf.module_), "predict_labels", fail)
            with pytest.raises(MemoryError):
                clf.predict_proba(domains.X_target)
        np.testing.assert_array_equal(clf.predict_proba(domains.X_target), expected)

    def test_out_of_memory_in_a_search(self, make_clf, domains, monkeypatch):
        def fail(step, result):
            raise MemoryError

        search = DANNClassifierCV(make_clf(), n_seeds=2, random_state=0)
        fail_at_step(monkeypatch, 5, fail)
        with pytest.raises(MemoryError):
            search.fit(*domains[:3])
        assert vars(search).keys() == search.get_params(deep=False).keys()


class TestDisk:
    """Faults of `save` itself are tested in test_persistence."""

    @pytest.fixture
    def read_only_folder(self, make_clf, domains):
        make_clf().fit(*domains[:3])  # later, only root may be able to read what torch imports
        folder = tempfile.mkdtemp()
        os.chmod(folder, 0o555)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)  # root may write anywhere
        yield folder
        if is_root:
            os.seteuid(0)
        os.rmdir(folder)

    @pytest.mark.parametrize("kind", ["classifier", "search"])
    def test_read_only_folder(self, kind, make_clf, domains, read_only_folder):
        clf = make_clf()
        if kind == "search":
            clf = DANNClassifierCV(clf, lambdas=(), n_seeds=1, random_state=0)
        clf.fit(*domains[:3])
        with pytest.raises(PermissionError):
            clf.save(os.path.join(read_only_folder, "model"))
        assert os.listdir(read_only_folder) == []
        assert np.isfinite(clf.predict_proba(domains.X_target)).all()

    def test_checkpoint_in_a_read_only_folder(self, make_clf, domains, read_only_folder):
        seen = []

        class Count(Callback):
            def on_epoch_begin(self, net, **kwargs):
                seen.append(len(net.history))

        path = os.path.join(read_only_folder, "checkpoint")
        clf = make_clf(checkpoint=path, callbacks=[Count()])
        with pytest.raises(PermissionError):
            clf.fit(*domains[:3])
        assert seen == []  # before the first epoch
        assert not hasattr(clf, "net_")

    def test_a_disk_that_fills_up_does_not_stop_training(
        self, make_clf, domains, tmp_path, monkeypatch, assert_same_fit
    ):
        replace, calls = os.replace, []

        def fail(*args):
            calls.append(args)
            if len(calls) > 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            replace(*args)

        clf = make_clf(max_epochs=4, checkpoint=tmp_path / "checkpoint")
        monkeypatch.setattr(os, "replace", fail)
        with pytest.warns(RuntimeWarning, match=r"No space left on device.*training continues"):
            clf.fit(*domains[:3])
        assert len(calls) == 4
        assert_same_fit(clf, make_clf(max_epochs=4).fit(*domains[:3]))
        assert os.listdir(tmp_path) == []


class KillsItsWorker:
    """Schedule that kills the process that calls it, unless that process created it."""

    def __init__(self):
        self.pid = os.getpid()

    def __call__(self, progress):
        if os.getpid() != self.pid and progress > 0.5:
            os.kill(os.getpid(), signal.SIGKILL)
        return progress


@pytest.mark.slow
def test_a_killed_worker_of_a_search(make_clf, domains):
    X, y, X_target, _ = domains
    X_target = (X_target,)
    search = GridSearchCV(
        make_clf(lambda_schedule=KillsItsWorker()), {"lr": [1e-3, 1e-2]}, cv=2, n_jobs=2
    )
    inputs = [X.copy(), y.copy(), X_target[0].copy()]
    with pytest.raises(TerminatedWorkerError):
        search.fit(X, y, X_target=X_target)
    assert not hasattr(search, "best_estimator_")
    for array, before in zip((X, y, X_target[0]), inputs, strict=True):
        np.testing.assert_array_equal(array, before)
    search.estimator.set_params(lambda_schedule="linear")
    search.fit(X, y, X_target=X_target)
    alone = search.set_params(n_jobs=None).fit(X, y, X_target=X_target)
    np.testing.assert_array_equal(
        search.best_estimator_.predict_proba(X), alone.best_estimator_.predict_proba(X)
    )


class CustomError(Exception):
    pass


class TestCallback:
    @pytest.mark.parametrize("hook", HOOKS)
    @pytest.mark.parametrize("verbose", [0, 1])
    def test_raises(self, hook, verbose, make_clf, domains, capfd):
        clf = make_clf(max_epochs=4).fit(*domains[:3])
        before = snapshot(clf)
        threads, generators = torch.get_num_threads(), torch.get_rng_state()
        clf.set_params(callbacks=[raising(hook, CustomError("mine"))], verbose=verbose)
        with pytest.raises(CustomError, match="mine"):
            clf.fit(*domains[:3])
        assert_unchanged(before, clf)
        assert torch.get_num_threads() == threads
        assert torch.equal(torch.get_rng_state(), generators)
        clf.set_params(callbacks=None, verbose=0).fit(*domains[:3])

    def test_of_a_search(self, make_clf, domains):
        search = DANNClassifierCV(
            make_clf(callbacks=[raising("on_epoch_end", CustomError("mine"))]), n_seeds=1
        )
        with pytest.raises(CustomError, match="mine"):
            search.fit(*domains[:3])
        assert vars(search).keys() == search.get_params(deep=False).keys()


class TestInput:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("how", ["read-only", "memory-mapped", "memory-mapped copy-on-write"])
    @pytest.mark.parametrize("kind", ["classifier", "search"])
    def test_read_only(self, dtype, how, kind, make_clf, domains, tmp_path):
        arrays = []
        for index, values in enumerate(domains[:3]):
            array = values.astype(dtype) if values.ndim == 2 else values
            if how == "read-only":
                array.flags.writeable = False
            else:
                path = tmp_path / f"{index}.npy"
                np.save(path, array)
                array = np.load(path, mmap_mode="r" if how[-1] == "d" else "c")
            arrays.append(array)
        files = {path: path.read_bytes() for path in tmp_path.iterdir()}
        weight = np.ones(len(arrays[1]))
        weight.flags.writeable = False
        clf = make_clf(standardize="domain")
        if kind == "search":
            clf = DANNClassifierCV(clf, lambdas=(0.3,), n_seeds=1, random_state=0)
        clf.fit(*arrays, sample_weight=weight)
        expected = type(clf)(**clf.get_params(deep=False)).fit(
            *(np.array(array) for array in arrays), sample_weight=weight
        )
        np.testing.assert_array_equal(
            clf.predict_proba(arrays[2]), expected.predict_proba(np.array(arrays[2]))
        )
        for array, values in zip(arrays, domains, strict=False):
            np.testing.assert_array_equal(array, values.astype(array.dtype))
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("kind", ["dense", "sparse"])
    @pytest.mark.parametrize("has_target", [True, False])
    @pytest.mark.filterwarnings("ignore::skdann.SourceOnlyWarning")
    def test_changed_by_a_callback_during_training(
        self, dtype, kind, has_target, make_clf, domains, assert_same_fit
    ):
        X, y, X_target, _ = domains
        X, X_target = X.astype(dtype), X_target.astype(dtype)
        if kind == "sparse":
            X, X_target = sp.csr_array(X), sp.csr_array(X_target)
        weight, domain = np.linspace(0.5, 1.0, len(y)), np.arange(len(y)) % 2
        params = {"sample_weight": weight, "sample_domain": domain}
        target = X_target if has_target else None
        expected = make_clf().fit(X, y, target, **params)

        class Change(Callback):
            def on_epoch_begin(self, net, **kwargs):
                for array in (X, X_target):
                    (array.data if kind == "sparse" else array)[:] = 7.0
                y[:], weight[:], domain[:] = 0, 0.0, 0

        actual = make_clf(callbacks=[Change()]).fit(X, y, target, **params)
        assert_same_fit(expected, actual)

    def test_changed_by_another_thread(self, make_clf, domains):
        X, y, X_target, _ = (values.copy() for values in domains)
        is_over, rng = threading.Event(), np.random.default_rng(0)

        def change():
            while not is_over.is_set():
                X[rng.integers(40), rng.integers(4)] = rng.normal()
                X_target[rng.integers(40), rng.integers(4)] = rng.normal()

        other = threading.Thread(target=change)
        other.start()
        try:
            for seed in range(5):
                clf = make_clf(random_state=seed).fit(X, y, X_target)
                assert np.isfinite(clf.predict_proba(X_target)).all()
        finally:
            is_over.set()
            other.join()


class CustomExtractor(nn.Module):
    """Custom module that is thread-safe in evaluation, like torch's layers."""

    def __init__(self, n_in):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_in, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout())

    def forward(self, x):
        return self.layers(x)


@pytest.mark.filterwarnings("ignore:X looks like rows of the source")  # as they are, on purpose
class TestThreads:
    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"normalization": "domain_batch", "standardize": "domain", "conditioning": "cdan"},
            {"feature_extractor": CustomExtractor},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("n_threads", [1, 2])
    def test_eight_threads_predict_like_one(self, params, n_threads, make_clf, domains):
        clf = make_clf(**params).fit(*domains[:3])
        rng = np.random.default_rng(0)
        tables = [rng.normal(size=(300 + 10 * index, 4)) for index in range(24)]
        methods = ("predict", "predict_proba", "transform", "predict_domain_proba")
        calls = [(getattr(clf, name), rows) for rows in tables for name in methods]
        before = torch.get_num_threads()
        torch.set_num_threads(n_threads)
        try:
            expected = [method(rows) for method, rows in calls]
            with ThreadPoolExecutor(8) as pool:
                actual = list(pool.map(lambda call: call[0](call[1]), calls))
            assert torch.get_num_threads() == n_threads
        finally:
            torch.set_num_threads(before)
        for one, other in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_eight_threads_predict_with_a_search(self, make_clf, domains):
        clf = DANNClassifierCV(make_clf(), lambdas=(0.3,), n_seeds=2, random_state=0)
        clf.fit(*domains[:3])
        tables = [domains.X_target + index for index in range(24)]
        expected = [clf.predict_proba(rows) for rows in tables]
        with ThreadPoolExecutor(8) as pool:
            actual = list(pool.map(clf.predict_proba, tables))
        np.testing.assert_array_equal(actual, expected)

    def test_four_threads_fit_like_one(self, make_clf, domains, assert_same_fit):
        def fit(seed):
            return make_clf(random_state=seed).fit(*domains[:3])

        expected = [fit(seed) for seed in range(8)]
        with ThreadPoolExecutor(4) as pool:
            for alone, threaded in zip(expected, pool.map(fit, range(8)), strict=True):
                assert_same_fit(alone, threaded)
