"""What the estimators share: scores of rows of either domain, and of partly labelled rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.base import is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score

from skdann import DANNClassifier, DANNClassifierCV
from skdann._base import BaseDomainClassifier, takes_target, transform_training_rows


class Columns(BaseDomainClassifier):
    """Estimator that predicts the class by the first column, and by the second in the source."""

    classes_ = np.array(["no", "yes"])
    domains_ = np.array([0, 3, -1])
    n_features_in_ = 2

    def __sklearn_is_fitted__(self):
        return True

    def fit(self, X_source, y_source, X_target=None):
        return self

    def _class_scores(self, X, sample_domain):
        X = np.asarray(X.todense() if sp.issparse(X) else X, dtype=float)
        domain = np.broadcast_to(-1 if sample_domain is None else sample_domain, len(X))
        value = np.where(domain < 0, X[:, 0], X[:, 1])
        return np.column_stack([-value, value])

    def _class_log_proba(self, X, sample_domain):
        return -np.logaddexp(0.0, -2.0 * self._class_scores(X, sample_domain))

    def _diagnosed(self):
        raise NotImplementedError


@pytest.fixture
def clf():
    return Columns()


X = np.array([[1.0, -1.0], [-1.0, 1.0], [2.0, 3.0], [-2.0, -3.0]])
LABELS = np.array(["yes", "no", "yes", "no"])


def test_the_prediction_has_the_largest_score(clf):
    assert clf.predict(X).tolist() == ["yes", "no", "yes", "no"]
    assert clf.predict(X, sample_domain=0).tolist() == ["no", "yes", "yes", "no"]
    assert_array_equal(clf.predict_log_proba(X).argmax(1), clf.predict(X) == "yes")
    assert is_classifier(clf)
    assert clf.__sklearn_tags__().input_tags.sparse


@pytest.mark.parametrize(
    "container", [np.asarray, sp.csr_array, pd.DataFrame, np.ndarray.tolist], ids=str
)
def test_the_score_is_the_accuracy(clf, container):
    weight = [1.0, 2.0, 3.0, 4.0]
    assert clf.score(container(X), LABELS) == 1.0
    assert clf.score(container(X), LABELS, sample_domain=3) == 0.5
    assert clf.score(container(X), LABELS, sample_domain=[0, -1, -1, -1]) == 0.75
    expected = accuracy_score(LABELS, clf.predict(X, sample_domain=0), sample_weight=weight)
    assert clf.score(container(X), LABELS, weight, sample_domain=0) == expected == 0.7


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, pd.DataFrame])
def test_labels_that_mark_unlabelled_rows_are_ignored(clf, container):
    clf._placeholders = ["?", "none"]
    labels = np.array(["?", "yes", "yes", "none"])
    assert clf.score(container(X), labels) == 0.5
    assert clf.score(container(X), labels, [9.0, 1.0, 3.0, 9.0]) == 0.75
    assert clf.score(container(X), labels, sample_domain=[0, 3, -1, -1]) == 1.0
    assert clf.score(container(X), LABELS) == 1.0  # no such label
    with pytest.raises(ValueError, match=r"labels that mark unlabelled rows \(\['\?', 'none'\]\)"):
        clf.score(container(X), np.array(["?", "none", "?", "?"]))


def statistics(shift):
    """Moments of a source around 0 and of a target around `shift`."""
    return np.array([[0.0, 0.0], [shift, shift]]), np.ones((2, 2))


def test_rows_that_resemble_the_source_are_scored_as_source_rows(clf):
    rows, labels = np.array([[0.5, -0.5], [-0.5, 0.5]]), np.array(["no", "yes"])
    assert clf.score(rows, labels) == 0.0  # without statistics, as target rows
    clf.domains_, clf._domain_statistics = np.array([3, -1]), statistics(50.0)
    assert clf.score(rows, labels) == 1.0
    assert clf.score(rows, labels, sample_domain=-1) == 0.0
    assert clf.score(rows + 50.0, np.array(["yes", "yes"])) == 1.0
    clf.domains_ = np.array([0, 3, -1])
    with pytest.raises(ValueError, match=r"for 2 source domains, \[0, 3\]; pass sample_domain"):
        clf.score(rows, labels)
    assert clf.score(rows, labels, sample_domain=0) == 1.0


def test_predictions_without_a_domain_warn_of_source_rows(clf):
    rows = np.random.default_rng(0).normal(size=(30, 2))
    clf._warn_if_source(rows, None)
    clf._domain_statistics = statistics(50.0)
    with pytest.warns(UserWarning, match="looks like rows of the source"):
        clf._warn_if_source(rows, None)
    clf._warn_if_source(rows, 0)
    clf._warn_if_source(rows + 50.0, None)


@pytest.mark.parametrize("make", [DANNClassifier, DANNClassifierCV])
def test_methods_need_a_fit(make):
    for call in (
        lambda clf: clf.score(X, LABELS),
        lambda clf: clf.predict(X),
        lambda clf: clf.predict_log_proba(X),
        lambda clf: clf.diagnose(X, X),
        lambda clf: clf.save("/nowhere"),
        lambda clf: clf.to_onnx("/nowhere"),
    ):
        with pytest.raises(NotFittedError):
            call(make())


def test_estimators_that_take_a_target_are_recognized(clf):
    assert takes_target(clf)
    assert takes_target(DANNClassifierCV())

    class Plain:
        def fit(self, X, y):
            return self

    assert not takes_target(Plain())
    assert not takes_target("passthrough")


def test_training_rows_are_transformed_as_rows_of_the_first_source():
    class Recorder:
        domains_ = np.array([5, 7, -1])

        def transform(self, X, sample_domain):
            return X, sample_domain

    assert transform_training_rows(Recorder(), "rows", None) == ("rows", 5)
    assert transform_training_rows(Recorder(), "rows", 7) == ("rows", 7)
