"""Interrupts: the last complete epoch is kept, or nothing is fitted."""

from __future__ import annotations

import os
import signal
import threading

import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator
from skorch.callbacks import Callback

from skdann import DANNClassifier, DANNClassifierCV
from skdann._saving.state import net_state
from skdann._training.interrupt import end_interrupted, is_stop
from tests.training.common import SMALL, Interrupt, Stop, assert_same_net, domains, fit


def test_an_interrupt_keeps_the_complete_epochs():
    X, y, targets = domains(n_source=40)
    parameters = {**SMALL, "batch_size": 10, "max_epochs": 6}
    whole = fit(parameters, X, y, targets)
    with pytest.warns(UserWarning, match="keeps its last complete epoch, 2 of 6"):
        clf = fit({**parameters, "callbacks": [Interrupt(epoch=3)]}, X, y, targets)
    assert clf.n_epochs_ == len(clf.history_) == len(clf.net_.history) == 2
    for actual, expected in zip(clf.history_, whole.history_, strict=False):
        assert actual["label_loss"] == expected["label_loss"]
    assert clf.predict(X).shape == y.shape
    assert not clf.module_.training
    assert_array_equal(clf.predict_proba(X), clf.predict_proba(X))
    # and training can continue
    clf.set_params(callbacks=None).partial_fit(X, y, tuple(targets))
    assert clf.n_epochs_ == 3


@pytest.mark.parametrize("changed", [{}, {"early_stopping": True}, {"verbose": 1}])
def test_an_interrupt_of_the_first_epoch_leaves_nothing_fitted(changed):
    X, y, targets = domains()
    clf = DANNClassifier(**{**SMALL, **changed, "callbacks": [Interrupt(epoch=1, step=1)]})
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, y, tuple(targets))
    assert set(vars(clf)) == set(clf.get_params())


def test_an_interrupted_warm_start_keeps_the_earlier_fit():
    X, y, targets = domains()
    clf = fit({**SMALL, "warm_start": True}, X, y, targets)
    before = clf.predict_proba(X)
    clf.set_params(callbacks=[Interrupt(epoch=SMALL["max_epochs"] + 1, step=1)])
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, y, tuple(targets))
    assert_array_equal(clf.predict_proba(X), before)
    clf.callbacks[0].epoch += 1  # after a complete epoch
    with pytest.warns(UserWarning, match="keeps its last complete epoch, 1 of"):
        clf.fit(X, y, tuple(targets))
    assert clf.n_epochs_ == SMALL["max_epochs"] + 1


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("epoch", [2, 5])
def test_an_interrupt_keeps_the_last_complete_epoch(optimizer, epoch, make_clf, domains):
    states = []

    class Record(Callback):
        def on_epoch_begin(self, net, **kwargs):
            states.append({name: value.clone() for name, value in net_state(net).items()})

    clf = make_clf(
        max_epochs=6, optimizer=optimizer, callbacks=[Record(), Stop(epoch, KeyboardInterrupt())]
    )
    with pytest.warns(UserWarning, match="interrupted"):
        clf.fit(*domains[:3])
    assert clf.n_epochs_ == len(clf.history_) == clf.net_.n_epochs_done_ == epoch - 1
    actual = net_state(clf.net_)
    assert actual.keys() == states[-1].keys()
    for name, value in states[-1].items():
        assert torch.equal(actual[name], value), f"{name} is not that of the last complete epoch"


def test_ctrl_c_at_any_moment(make_clf, domains):
    make_clf().fit(*domains[:3])  # torch's imports at its first step take seconds
    params = {"max_epochs": 10**5, "dropout": 0.5}
    for seconds in (0.1, 0.15, 0.2):
        timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.warns(UserWarning, match="interrupted"):
            clf = make_clf(**params).fit(*domains[:3])
        timer.join()
        assert clf.n_epochs_ == len(clf.history_) == clf.net_.n_epochs_done_ > 0
        stop = Stop(clf.n_epochs_ + 1, KeyboardInterrupt())
        with pytest.warns(UserWarning, match="interrupted"):
            other = make_clf(**params, callbacks=[stop]).fit(*domains[:3])
        assert_same_net(clf, other)


def test_an_interrupt_ends_a_search_and_leaves_it_unchanged(make_clf, domains):
    search = DANNClassifierCV(
        make_clf(callbacks=[Stop(2, KeyboardInterrupt())]), n_seeds=2, random_state=0
    )
    with pytest.raises(KeyboardInterrupt):
        search.fit(*domains[:3])
    assert vars(search).keys() == search.get_params(deep=False).keys()


def caught(function):
    with pytest.raises(KeyboardInterrupt) as error:
        function()
    return error.value


def test_an_error_that_a_statement_raised_is_a_stop():
    def stop():
        raise KeyboardInterrupt("patience has ended")

    def indirectly():
        return [stop() for _ in range(2)]

    assert is_stop(caught(stop))
    assert is_stop(caught(indirectly))
    assert is_stop(KeyboardInterrupt())  # never raised


def test_an_error_that_a_signal_raised_is_not_a_stop():
    def interrupted():
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(10**6):
            pass

    assert not is_stop(caught(interrupted))


def test_the_warning_names_the_estimator_and_its_epochs(make_clf):
    clf = make_clf(max_epochs=9)
    with pytest.warns(UserWarning, match="DANNClassifier keeps its last complete epoch, 4 of 9"):
        end_interrupted(clf, 4, 9)
    with pytest.raises(KeyboardInterrupt):
        end_interrupted(clf, 0, 9)


def test_a_fit_within_another_fit_passes_the_interrupt_on(make_clf, domains):
    class Search(BaseEstimator):
        def fit(self, X, y):
            end_interrupted(self.inner, 4, 9)

    search = Search()
    search.inner = make_clf()
    with pytest.raises(KeyboardInterrupt):
        search.fit(*domains[:2])
