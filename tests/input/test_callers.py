"""Callers of a fit: cross-validations that cut its rows, and fits that it is a part of."""

from __future__ import annotations

import pytest
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdann._input.callers import (
    is_cut,
    is_within_another_fit,
)

SEEN: list[tuple[bool, bool]] = []


class Spy(LogisticRegression):
    """Classifier that records how its `fit` is called."""

    def fit(self, X, y, rows=None):
        has_cut = rows is not None and is_cut("rows", len(rows))
        SEEN.append((has_cut, is_within_another_fit(self)))
        return super().fit(X, y)


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


@pytest.mark.parametrize(
    ("fit", "is_cut", "is_within"),
    [
        (lambda X, y: Spy().fit(X, y), False, False),
        (lambda X, y: make_pipeline(StandardScaler(), Spy()).fit(X, y), False, False),
        (lambda X, y: GridSearchCV(Spy(), {}, cv=2, refit=False).fit(X, y), True, True),
        (lambda X, y: cross_validate(make_pipeline(Spy()), X, y, cv=2), True, True),
        (lambda X, y: CalibratedClassifierCV(Spy(), cv=2).fit(X, y), True, True),
        (lambda X, y: BaggingClassifier(Spy(), n_estimators=1).fit(X, y), True, True),
        (lambda X, y: VotingClassifier([("a", Spy())]).fit(X, y), False, True),
        (lambda X, y: OneVsRestClassifier(Spy()).fit(X, y), False, True),
        (lambda X, y: Outer().fit(X, y), False, True),
        (lambda X, y: Outer().partial_fit(X, y), False, True),
        (lambda X, y: make_pipeline(StandardScaler(), Outer()).fit(X, y), False, True),
        (in_a_loop("optuna.study"), False, True),
        (in_a_loop("joblib.parallel"), False, True),
        (in_a_loop("optunae"), False, False),
        (in_a_loop("__main__"), False, False),
    ],
    ids=[
        "alone", "pipeline", "search", "cross-validation", "calibration", "bagging", "voting",
        "one versus rest", "outer", "outer partial_fit", "outer in a pipeline", "optuna", "joblib",
        "another library", "script",
    ],
)  # fmt: skip
def test_the_caller_of_a_fit_is_recognized(fit, is_cut, is_within, domains):
    fit(*domains[:2])
    assert SEEN
    assert set(SEEN) == {(is_cut, is_within)}


def test_other_methods_of_estimators_do_not_count(domains):
    Outer().assist(*domains[:2])
    assert SEEN == [(False, False)]
