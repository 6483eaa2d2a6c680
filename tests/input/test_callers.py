"""Callers: cross-validations that cut rows or predict held-out ones, and fits with inner fits."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdann._input.callers import (
    calling_estimator,
    is_cut,
    is_validating,
    is_within_another_fit,
    scored_labels,
)

SEEN: list[bool] = []


class Spy(LogisticRegression):
    """Classifier that records whether another estimator called its `fit`, or a validation others.

    `rows` are recorded instead if given: whether they were cut.
    """

    def fit(self, X, y, rows=None):
        SEEN.append(is_within_another_fit(self) if rows is None else is_cut("rows", len(rows)))
        return super().fit(X, y)

    def predict(self, X):
        SEEN.append(is_validating(self))
        return super().predict(X)


@pytest.fixture(autouse=True)
def _seen():
    SEEN.clear()
    yield
    SEEN.clear()


class Outer(BaseEstimator):
    """Estimator that fits another one."""

    def fit(self, X, y):
        Spy().fit(X, y)
        return self

    def partial_fit(self, X, y):
        Spy().fit(X, y)

    def assist(self, X, y):
        Spy().fit(X, y)


def in_a_loop(name):
    """Return a function that fits, as if it were in the module of this name."""
    scope = {"__name__": name, "Spy": Spy}
    exec("def fit(X, y):\n    Spy().fit(X, y)", scope)
    return scope["fit"]


class Wrapper:
    """Class of a user, not an estimator of scikit-learn."""

    def fit(self, X, y):
        Spy().fit(X, y)


@pytest.mark.parametrize(
    ("fit", "is_within"),
    [
        (lambda X, y: Spy().fit(X, y), False),
        (lambda X, y: make_pipeline(StandardScaler(), Spy()).fit(X, y), False),
        (lambda X, y: GridSearchCV(Spy(), {}, cv=2, refit=False).fit(X, y), True),
        (lambda X, y: cross_validate(make_pipeline(Spy()), X, y, cv=2), True),
        (lambda X, y: CalibratedClassifierCV(Spy(), cv=2).fit(X, y), True),
        (lambda X, y: BaggingClassifier(Spy(), n_estimators=1).fit(X, y), True),
        (lambda X, y: VotingClassifier([("a", Spy())]).fit(X, y), True),
        (lambda X, y: OneVsRestClassifier(Spy()).fit(X, y), True),
        (lambda X, y: Outer().fit(X, y), True),
        (lambda X, y: Outer().partial_fit(X, y), True),
        (lambda X, y: make_pipeline(StandardScaler(), Outer()).fit(X, y), True),
        (lambda X, y: Wrapper().fit(X, y), True),
        (in_a_loop("optuna.study"), True),
        (in_a_loop("hyperopt.fmin"), True),
        (in_a_loop("joblib.parallel"), True),
        (in_a_loop("optunae"), False),
        (in_a_loop("__main__"), False),
    ],
    ids=[
        "alone", "pipeline", "search", "cross-validation", "calibration", "bagging", "voting",
        "one versus rest", "outer", "outer partial_fit", "outer in a pipeline", "wrapper",
        "optuna", "hyperopt", "joblib", "another library", "script",
    ],
)  # fmt: skip
def test_the_caller_of_a_fit_is_recognized(fit, is_within, domains):
    fit(*domains[:2])
    assert SEEN[0] == is_within


def test_other_methods_of_estimators_do_not_count(domains):
    Outer().assist(*domains[:2])
    assert SEEN == [False]


@pytest.mark.parametrize(
    ("fit", "was_cut"),
    [
        (lambda X, y, rows: Spy().fit(X, y, rows), False),
        (lambda X, y, rows: cross_validate(Spy(), X, y, params={"rows": rows}, cv=2), True),
        (lambda X, y, rows: GridSearchCV(Spy(), {}, cv=2).fit(X, y, rows=rows), True),
        (lambda X, y, rows: CalibratedClassifierCV(Spy(), cv=2).fit(X, y, rows=rows), True),
        (
            lambda X, y, rows: cross_validate(
                make_pipeline(StandardScaler(), Spy()), X, y, params={"spy__rows": rows}, cv=2
            ),
            False,  # by another name; skdann.make_pipeline passes X_target by its own
        ),
        (lambda X, y, rows: MultiOutputClassifier(Spy()).fit(X, np.c_[y, y], rows=rows), False),
    ],
    ids=["alone", "cross-validation", "search", "calibration", "prefixed", "several outputs"],
)
def test_rows_that_scikit_learn_cut_are_recognized(fit, was_cut, domains):
    X, y, *_ = domains
    fit(X, y, X.copy())
    assert SEEN[0] == was_cut
    SEEN.clear()
    fit(X, y, X[:7])  # of another length, which is not cut
    assert not SEEN[0]


def test_bagging_resamples_rows(domains):
    X, y, *_ = domains
    with config_context(enable_metadata_routing=True):
        spy = Spy().set_fit_request(rows=True)
        BaggingClassifier(spy, n_estimators=1, random_state=0).fit(X, y, rows=X.copy())
        assert SEEN == [True]
        VotingClassifier([("a", spy)]).fit(X, y, rows=X.copy())
    assert not SEEN[1]


@pytest.mark.parametrize(
    ("predict", "is_validated"),
    [
        (lambda spy, X, y: spy.predict(X), False),
        (lambda spy, X, y: make_pipeline(spy).predict(X), False),
        (lambda spy, X, y: get_scorer("accuracy")(spy, X, y), True),
        (lambda spy, X, y: make_pipeline(spy).score(X, y), True),
        (lambda spy, X, y: cross_val_predict(spy, X, y, cv=2), True),
        (lambda spy, X, y: permutation_importance(spy, X, y, n_repeats=1), True),
        (lambda spy, X, y: GridSearchCV(spy, {}, cv=2).fit(X, y), True),
        (lambda spy, X, y: VotingClassifier([("a", spy)]).fit(X, y).predict(X), False),
    ],
    ids=[
        "alone", "pipeline", "scorer", "score of a pipeline", "cross-validation", "importance",
        "search", "voting",
    ],
)  # fmt: skip
def test_predictions_for_a_validation_are_recognized(predict, is_validated, domains):
    X, y, *_ = domains
    spy = Spy().fit(X, y)
    SEEN.clear()
    predict(spy, X, y)
    assert SEEN[-1] == is_validated


def test_scorers_of_skdann_name_the_domains_themselves(domains):
    scope = {"__name__": "skdann.model_selection._target"}
    exec("def score(estimator, X, y):\n    estimator.predict(X)\n    return 0.0", scope)
    cross_validate(Spy(), *domains[:2], cv=2, scoring=scope["score"])
    assert not SEEN[1]


def test_labels_that_a_scorer_compares_with_are_recognized(domains):
    X, y, *_ = domains
    labels = []

    class Listener(Spy):
        def predict(self, X):
            labels.append(scored_labels())
            return super().predict(X)

    listener = Listener().fit(X, y)
    listener.predict(X)
    listener.score(X, y)
    get_scorer("accuracy")(listener, X, y)
    assert labels[:2] == [None, None]
    assert labels[2] is y


def test_the_estimator_that_called_a_fit_is_recognized(domains):
    callers = []

    class Listener(Spy):
        def fit(self, X, y):
            callers.append(calling_estimator(self))
            return super().fit(X, y)

    Listener().fit(*domains[:2])
    make_pipeline(Listener()).fit(*domains[:2])
    voting = VotingClassifier([("a", Listener())])
    voting.fit(*domains[:2])
    assert callers == [None, None, voting]
