"""Progress bar, and scikit-learn's callbacks on the estimators."""

import io
import pickle
import re
import signal
import sys
import types
import warnings

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version
from skorch.callbacks import Callback

from skdann import DANNClassifierCV, make_pipeline
from skdann._training import progress as module
from skdann._training.progress import report_training

HAS_CALLBACKS = parse_version(sklearn.__version__) >= parse_version("1.9")
needs_callbacks = pytest.mark.skipif(not HAS_CALLBACKS, reason="came with scikit-learn 1.9")


@pytest.fixture
def make_cv(make_clf):
    def make(clf=None, **params):
        small = {
            "families": ("alignment",),
            "aggregate": "passing",
            "lambdas": (1.0,),
            "standardize": (None,),
            "n_seeds": 2,
        }
        small["random_state"] = 0
        return DANNClassifierCV(clf or make_clf(), **{**small, **params})

    return make


def last_line(captured):
    return captured.err.rstrip("\n").split("\r")[-1]


class Terminal(io.StringIO):
    def isatty(self):
        return True


class TestAutomaticBar:
    @pytest.fixture
    def open_terminal(self, monkeypatch):
        monkeypatch.setattr(module, "AUTOMATIC_DELAY", 1e-9)

        def open_terminal():  # within the test: pytest replaces stderr before it
            terminal = Terminal()
            monkeypatch.setattr(sys, "stderr", terminal)
            return terminal

        return open_terminal

    def test_in_a_terminal_a_slow_fit_shows_a_bar_and_clears_it(
        self, domains, make_clf, open_terminal, monkeypatch
    ):
        terminal = open_terminal()
        make_clf(max_epochs=200).fit(*domains[:3])  # longer than the tenth of a second of a step
        shown = terminal.getvalue()
        assert "/200 |" in shown
        assert shown.endswith("\r")  # nothing is left

    def test_a_fast_fit_shows_nothing(self, domains, make_clf, open_terminal, monkeypatch):
        terminal = open_terminal()
        monkeypatch.setattr(module, "AUTOMATIC_DELAY", 60.0)
        make_clf(max_epochs=2).fit(*domains[:3])
        assert terminal.getvalue() == ""

    def test_nothing_is_shown_without_a_terminal(self, domains, make_clf, capsys, monkeypatch):
        monkeypatch.setattr(module, "AUTOMATIC_DELAY", 1e-9)
        make_clf(max_epochs=2).fit(*domains[:3])
        assert capsys.readouterr() == ("", "")

    def test_verbose_0_is_silent_also_for_the_estimator_of_a_search(
        self, domains, make_clf, make_cv, open_terminal
    ):
        terminal = open_terminal()
        make_clf(max_epochs=2, verbose=0).fit(*domains[:3])
        make_cv(make_clf(verbose=1, max_epochs=2), verbose=0).fit(*domains[:3])
        make_cv(make_clf(verbose=0, max_epochs=2)).fit(*domains[:3])
        assert terminal.getvalue() == ""

    def test_workers_are_silent(self, open_terminal):
        open_terminal()
        from concurrent.futures import ThreadPoolExecutor

        assert module.is_watched()
        with ThreadPoolExecutor(1) as pool:
            assert not pool.submit(module.is_watched).result()

    def test_notebooks_are_watched(self, monkeypatch):
        class ZMQInteractiveShell:
            pass

        fake = types.SimpleNamespace(get_ipython=ZMQInteractiveShell)
        monkeypatch.setitem(sys.modules, "IPython", fake)
        assert module.is_watched()

    def test_the_bar_changes_no_bit(self, domains, make_clf, open_terminal):
        open_terminal()
        X, y, X_target, _ = domains
        shown, silent = (make_clf(verbose=v).fit(X, y, X_target) for v in (None, 0))
        assert_array_equal(shown.predict_proba(X_target), silent.predict_proba(X_target))


class TestProgressBar:
    def test_shows_epoch_losses_accuracy_and_lambda(self, domains, make_clf, capsys):
        X, y, X_target, _ = domains
        clf = make_clf(max_epochs=3, verbose=1).fit(X, y, X_target)
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        line, last = last_line(captured), clf.history_[-1]
        assert line.startswith("epoch 3/3 |")
        assert f"label {last['label_loss']:.2f}, domain {last['domain_loss']:.2f} " in line
        assert f"(accuracy {last['domain_accuracy']:.2f}); lambda {last['lambda']:.2f}" in line

    def test_fits_in_80_columns(self, domains, make_clf, capsys, monkeypatch):
        X, y, X_target, _ = domains
        for columns, has_times in ((80, False), (120, True)):
            monkeypatch.setenv("COLUMNS", str(columns))
            make_clf(max_epochs=100, verbose=1).fit(X, y, X_target)
            line = last_line(capsys.readouterr())
            bar = re.search(r"\|(.*)\|", line)[1]
            assert len(line) - len(bar) + 4 <= columns
            assert ("<" in line) == has_times

    def test_source_only_fit_shows_no_domain_loss(self, domains, make_clf, capsys):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # there is no target
            make_clf(verbose=1).fit(domains.X_source, domains.y_source)
        line = last_line(capsys.readouterr())
        assert "label" in line
        assert "domain" not in line

    @pytest.mark.parametrize("early_stopping", [False, True])
    def test_one_bar_covers_all_networks_of_a_path(
        self, domains, make_clf, make_cv, capsys, early_stopping
    ):
        X, y, X_target, _ = domains
        inner = make_clf(max_epochs=8, early_stopping=early_stopping, patience=1, lr=0.3)
        cv = make_cv(inner, verbose=1).fit(X, y, X_target)
        captured = capsys.readouterr()
        members = [member for candidate in cv.candidates_ for member in candidate]
        n_epochs = sum(member.n_epochs_ for member in members)
        n_epochs = n_epochs if early_stopping else 2 * 8  # two networks with several members
        assert captured.err.count("\n") == 1
        assert last_line(captured).startswith(f"epoch {n_epochs}/{n_epochs} |")
        if early_stopping:
            assert "held out" in captured.err
            assert n_epochs < 8 * 4

    def test_is_closed_when_training_fails(self, domains, make_clf, capsys):
        X, y, X_target, _ = domains
        clf = make_clf(verbose=1, optimizer="sgd", lr=1e20)
        with pytest.raises(ValueError, match="diverged"):
            clf.fit(X, y, X_target)
        assert capsys.readouterr().err.endswith("\n")

    @pytest.mark.parametrize(
        ("params", "n_networks"),
        [({}, 2), ({"class_weight": "balanced"}, 3), ({"callbacks": [Callback()]}, 2 + 2 + 2 + 2)],
        ids=["together", "class weights", "one by one"],
    )
    def test_one_bar_covers_all_networks_of_a_mixture(
        self, domains, make_clf, make_cv, capsys, params, n_networks
    ):
        inner = make_clf(max_epochs=3, **params)
        make_cv(inner, families=None, aggregate="mixture", verbose=1).fit(*domains[:3])
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
        n_epochs = 3 * n_networks
        assert last_line(captured).startswith(f"epoch {n_epochs}/{n_epochs} |")

    @pytest.mark.parametrize("kind", ["one", "path"])
    def test_leaves_no_attributes_and_changes_no_result(self, domains, make_clf, make_cv, kind):
        X, y, X_target, _ = domains
        make = make_clf if kind == "one" else make_cv
        silent, shown = (make(verbose=v).fit(X, y, X_target) for v in (0, 1))
        assert np.array_equal(silent.predict_proba(X), shown.predict_proba(X))
        nets = [shown.net_] if kind == "one" else [member.net_ for member in shown.members_]
        assert all([name for name, _ in net.callbacks_] == ["epoch_timer"] for net in nets)
        pickle.loads(pickle.dumps(shown))

    def test_verbose_2_prints_a_line_per_epoch(self, domains, make_clf, make_cv, capsys):
        X, y, X_target, _ = domains
        make_cv().fit(X, y, X_target)
        make_clf().fit(X, y, X_target)
        captured = capsys.readouterr()
        assert captured.out == captured.err == ""
        make_clf(verbose=2, max_epochs=3).fit(X, y, X_target)
        captured = capsys.readouterr()
        assert captured.err == ""
        assert len(captured.out.splitlines()) == 2 + 3  # header, line, epochs
        make_cv(verbose=2).fit(X, y, X_target)
        captured = capsys.readouterr()
        assert captured.err == ""
        assert len(captured.out.splitlines()) == 2 * (2 + 2)  # two networks of two epochs


class TestReport:
    class Log(Callback):
        def __init__(self, stop=lambda: None):
            self.stop, self.heard = stop, []

        def on_train_begin(self, net, **kwargs):
            self.heard.append("begin")

        def on_epoch_begin(self, net, **kwargs):
            self.heard.append("epoch")

        def on_epoch_end(self, net, **kwargs):
            self.stop()
            self.heard.append(len(net.history))

        def on_train_end(self, net, **kwargs):
            self.heard.append("end")

    def test_each_listener_hears_of_every_epoch_of_a_network_once(self, make_clf, domains):
        members = [make_clf(), *(make_clf(max_epochs=2).fit(*domains[:3]) for _ in range(2))]
        logs = [self.Log(), self.Log()]
        report_training(members, logs)
        for log in logs:
            assert log.heard == ["begin", "epoch", 2, "epoch", 2, "end"]
        report_training(members[:1], logs[:1])  # it diverged
        assert len(logs[0].heard) == 6

    def test_a_listener_cannot_stop_what_has_ended_but_ctrl_c_can(self, make_clf, domains):
        def stop():
            raise KeyboardInterrupt

        members = [make_clf(max_epochs=2).fit(*domains[:3])]
        log = self.Log(stop)
        report_training(members, [log])
        assert log.heard == ["begin", "epoch", "epoch", "end"]
        with pytest.raises(KeyboardInterrupt):
            report_training(members, [self.Log(lambda: signal.raise_signal(signal.SIGINT))])


class Recorder:
    """scikit-learn callback that records its calls."""

    max_propagation_depth = None

    def __init__(self, stop_at=None):
        self.stop_at = stop_at
        self.begun, self.ended, self.calls = [], [], []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.begun.append((type(estimator).__name__, context.task_name))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.ended.append((context.task_name, X, y, fitted_estimator))
        return context.task_name == "epoch" and context.task_id == self.stop_at

    def count(self, name):
        assert sum(begun == name for _, begun in self.begun) == len(self.ended_tasks(name))
        return len(self.ended_tasks(name))

    def ended_tasks(self, name):
        return [ended for ended in self.ended if ended[0] == name]


@pytest.mark.skipif(HAS_CALLBACKS, reason="scikit-learn has callbacks")
def test_no_set_callbacks_without_support_in_scikit_learn(make_clf, make_cv):
    assert not hasattr(make_clf(), "set_callbacks")
    assert not hasattr(make_cv(), "set_callbacks")


@needs_callbacks
class TestCallbacksOfScikitLearn:
    def test_every_epoch_is_a_task_with_a_fitted_estimator(self, domains, make_clf):
        X, y, X_target, _ = domains
        recorder = Recorder()
        clf = make_clf(max_epochs=3).set_callbacks(recorder).fit(X, y, X_target)
        assert recorder.calls == ["setup", "teardown"]
        assert [name for name, *_ in recorder.ended] == ["epoch"] * 3 + ["fit"]
        for n_epochs, (_, X_seen, y_seen, fitted) in enumerate(recorder.ended_tasks("epoch"), 1):
            assert X_seen is X
            assert y_seen is y
            assert fitted.n_epochs_ == n_epochs
            # as if training had ended there, with schedules over three epochs
            assert len(np.unique(fitted.predict_proba(X))) > 2
        probabilities = [fitted.predict_proba(X) for *_, fitted in recorder.ended]
        assert not np.array_equal(probabilities[0], probabilities[1])
        assert np.array_equal(probabilities[2], clf.predict_proba(X))
        assert np.array_equal(probabilities[3], clf.predict_proba(X))

    def test_the_estimator_of_an_epoch_equals_interrupted_training(self, domains, make_clf):
        X, y, X_target, _ = domains
        recorder, stopper = Recorder(), Recorder(stop_at=0)
        make_clf(max_epochs=3).set_callbacks(recorder).fit(X, y, X_target)
        stopped = make_clf(max_epochs=3).set_callbacks(stopper).fit(X, y, X_target)
        assert stopped.n_epochs_ == len(stopped.history_) == 1
        first = recorder.ended_tasks("epoch")[0][-1]
        assert np.array_equal(first.predict_proba(X), stopped.predict_proba(X))

    def test_callbacks_change_no_result(self, domains, make_clf, assert_same_fit):
        X, y, X_target, _ = domains
        plain = make_clf().fit(X, y, X_target)
        clf = make_clf().set_callbacks(Recorder()).fit(X, y, X_target)
        assert_same_fit(plain, clf)
        assert vars(clf).keys() - vars(plain).keys() == {"_skl_callbacks"}
        assert [name for name, _ in clf.net_.callbacks_] == ["epoch_timer"]
        assert hasattr(clone(clf), "_skl_callbacks")

    def test_callbacks_are_torn_down_when_training_fails(self, domains, make_clf):
        X, y, X_target, _ = domains
        recorder = Recorder()
        clf = make_clf(optimizer="sgd", lr=1e20).set_callbacks(recorder)
        with pytest.raises(ValueError, match="diverged"):
            clf.fit(X, y, X_target)
        assert recorder.calls == ["setup", "teardown"]
        assert vars(clf).keys() - clf.get_params().keys() == {"_skl_callbacks"}

    def test_pooled_domains_pass_no_rows(self, domains, make_clf):
        X, y, X_target, _ = domains
        recorder = Recorder()
        make_clf().set_callbacks(recorder).fit(
            np.vstack([X, X_target]),
            np.concatenate([y, y]),
            sample_domain=np.repeat([0, -1], 40),
        )
        assert all(X_seen is y_seen is None for _, X_seen, y_seen, _ in recorder.ended)

    @pytest.mark.parametrize(("early_stopping", "n_networks"), [(False, 2), (True, 4)])
    def test_a_path_has_a_task_per_network(
        self, domains, make_clf, make_cv, early_stopping, n_networks
    ):
        X, y, X_target, _ = domains
        recorder = Recorder()
        cv = make_cv(make_clf(early_stopping=early_stopping)).set_callbacks(recorder)
        cv.fit(X, y, X_target)
        assert recorder.calls == ["setup", "teardown"]
        assert recorder.count("network") == n_networks
        assert recorder.count("epoch") == 2 * n_networks
        name, *_, fitted = recorder.ended[-1]
        assert name == "fit"
        assert np.array_equal(fitted.predict_proba(X), cv.predict_proba(X))

    def test_a_path_of_one_network(self, domains, make_cv):
        recorder = Recorder()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # there is no target
            cv = make_cv(n_seeds=1).set_callbacks(recorder)
            cv.fit(domains.X_source, domains.y_source)
        assert [name for name, *_ in recorder.ended] == ["epoch", "epoch", "fit"]

    @pytest.mark.parametrize("kind", ["one", "path"])
    def test_from_a_domain_pipeline(self, domains, make_clf, make_cv, kind):
        X, y, X_target, _ = domains
        recorder = Recorder()
        last = make_clf() if kind == "one" else make_cv()
        pipe = make_pipeline(StandardScaler(), last).set_callbacks(recorder)
        pipe.fit(X, y, X_target=X_target)
        assert recorder.calls == ["setup", "teardown"]
        assert recorder.count("epoch") == (2 if kind == "one" else 4)
        assert ("StandardScaler", "fit") in recorder.begun
        assert recorder.ended[-1][0] == "fit"
        plain = make_pipeline(StandardScaler(), clone(last).set_callbacks())
        plain.fit(X, y, X_target=X_target)
        assert np.array_equal(plain.predict_proba(X), pipe.predict_proba(X))

    def test_from_a_pipeline_with_routing(self, domains, make_clf):
        X, y, X_target, _ = domains
        with sklearn.config_context(enable_metadata_routing=True):
            for make in (make_pipeline, _plain_pipeline):
                recorder = Recorder()
                pipe = make(StandardScaler(), make_clf()).set_callbacks(recorder)
                pipe.fit(X, y, X_target=X_target)
                assert recorder.count("epoch") == 2

    @pytest.mark.parametrize("is_piped", [False, True])
    def test_from_a_search(self, domains, make_clf, is_piped):
        X, y, X_target, _ = domains
        estimator = make_pipeline(StandardScaler(), make_clf()) if is_piped else make_clf()
        name = "dannclassifier__lambda_max" if is_piped else "lambda_max"
        recorder = Recorder()
        search = GridSearchCV(estimator, {name: [0.0, 1.0]}, cv=2).set_callbacks(recorder)
        search.fit(X, y, X_target=(X_target,))
        assert recorder.calls == ["setup", "teardown"]
        assert recorder.count("epoch") == 2 * (2 * 2 + 1)  # epochs of candidates, folds, refit
        assert not hasattr(search.best_estimator_, "_skl_callbacks")

    def test_a_scoring_monitor_scores_every_epoch(self, domains, make_clf):
        from sklearn.callback import ScoringMonitor

        X, y, X_target, _ = domains
        monitor = ScoringMonitor(scoring="accuracy")
        clf = make_clf(max_epochs=3).set_callbacks(monitor).fit(X, y, X_target)
        rows = monitor.get_logs().data
        assert [row["task_name"] for row in rows] == ["fit", "epoch", "epoch", "epoch"]
        assert rows[0]["accuracy"] == rows[-1]["accuracy"] == clf.score(X, y)


def _plain_pipeline(*steps):
    return Pipeline([(str(i), step) for i, step in enumerate(steps)], transform_input=["X_target"])
