"""Reverse validation, against a reverse classifier by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss
from sklearn.pipeline import make_pipeline as make_plain_pipeline
from sklearn.preprocessing import StandardScaler

from skdann import make_pipeline
from skdann.model_selection import ReverseValidationScorer
from tests.model_selection.common import Fixed, lines


class Recorder(LogisticRegression):
    """Records the arguments of its fits."""

    def fit(self, X: Any, y: Any, X_target: Any = None) -> Recorder:
        FITS.append((X, y, X_target))
        return super().fit(X, y)


FITS: list[tuple[Any, Any, Any]] = []


@pytest.fixture
def fits() -> Iterator[list[tuple[Any, Any, Any]]]:
    FITS.clear()
    yield FITS
    FITS.clear()


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "log_loss"])
def test_reverse_validation_by_hand(metric: str, shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression(C=0.1).fit(X[:80], y[:80])
    reverse = LogisticRegression(C=0.1).fit(X_target, clf.predict(X_target))
    guess = reverse.predict(X[80:])
    expected = {
        "accuracy": accuracy_score(y[80:], guess),
        "balanced_accuracy": balanced_accuracy_score(y[80:], guess),
        "log_loss": -log_loss(y[80:], reverse.predict_proba(X[80:])),
    }[metric]
    score = ReverseValidationScorer(X_target, metric=metric)(clf, X[80:], y[80:])
    assert_allclose(score, expected, rtol=1e-12)


def test_the_reverse_classifier_adapts_to_the_source(fits: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    clf = Recorder().fit(X[:80], y[:80])
    fits.clear()
    ReverseValidationScorer(X_target)(clf, X[80:], y[80:])
    ((rows, labels, target),) = fits
    assert_array_equal(rows, X_target)
    assert_array_equal(labels, clf.predict(X_target))
    assert len(target) == 1
    assert_array_equal(target[0], X[80:])


@pytest.mark.parametrize("case", ["classifier", "make_pipeline", "plain pipeline", "nested"])
def test_reverse_validation_of_our_classifier(domains: Any, make_clf: Any, case: str) -> None:
    X, y, X_target = domains.X_source, domains.y_source, domains.X_target
    clf = make_pipeline(StandardScaler(), make_clf()) if case != "classifier" else make_clf()
    clf.fit(X, y, X_target=X_target)
    candidate = make_plain_pipeline(*clf) if case in ("plain pipeline", "nested") else clf
    if case == "nested":
        candidate = make_plain_pipeline(candidate)
    labels = clf.predict(X_target)
    assert len(set(labels)) == 2
    # by hand: the scaler is fitted on the target, which is now the source
    source, target = X_target, X
    if case != "classifier":
        scaler = StandardScaler().fit(X_target)
        source, target = scaler.transform(X_target), scaler.transform(X)
    reverse = make_clf().fit(source, labels, target)
    expected = -log_loss(y, reverse.predict_proba(target).astype(float))
    before = clf.predict_proba(X)
    score = ReverseValidationScorer(X_target, metric="log_loss")(candidate, X, y)
    assert_allclose(score, expected, rtol=1e-6)
    assert_array_equal(clf.predict_proba(X), before)  # the candidate itself is not refitted


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("accuracy", 0.25), ("balanced_accuracy", 0.5), ("log_loss", 0.75 * np.log(2.0**-52))],
)
def test_reverse_validation_of_collapse(metric: str, expected: float) -> None:
    clf = Fixed(np.full((8, 2), [0.1, 0.9]))
    y = np.array([0, 0, 0, 1, 0, 0, 0, 1])
    score = ReverseValidationScorer(lines(5), metric=metric)(clf, lines(8), y)
    assert_allclose(score, expected)


def test_a_class_may_be_missing_in_the_reverse_classifier(shifted: Any) -> None:
    X, _, X_target = shifted
    y = np.digitize(X[:, 0], [-0.5, 0.5])
    clf = LogisticRegression().fit(X, y)
    few = X_target[clf.predict(X_target) > 0]
    reverse = LogisticRegression().fit(few, clf.predict(few))
    assert reverse.classes_.tolist() == [1, 2]
    right = reverse.predict(X) == y
    assert not right[y == 0].any()
    assert ReverseValidationScorer(few)(clf, X, y) == right.mean()
