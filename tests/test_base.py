"""What the estimators share: scores of rows of either domain, and of partly labelled rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, get_scorer

from skdann import DANNClassifier, DANNClassifierCV
from skdann._base import BaseDomainClassifier
from skdann._training.net import DANNNet


class Columns(BaseDomainClassifier):
    """Estimator that predicts the class by the first column, and by the second in the source."""

    classes_ = np.array(["no", "yes"])
    domains_ = np.array([0, 3, -1])
    n_features_in_ = 2

    def __sklearn_is_fitted__(self):
        return True

    def fit(self, X_source, y_source, X_target=None):
        return self

    def predict_proba(self, X, *, sample_domain=None):
        return np.exp(self._class_log_proba(X, sample_domain))

    def _class_scores(self, X, sample_domain):
        sample_domain = self._resolve_domain(X, sample_domain)
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
    with pytest.raises(ValueError, match=r"2 source domains, \[0, 3\], .*pass sample_domain"):
        clf.score(rows, labels)
    assert clf.score(rows, labels, sample_domain=0) == 1.0


def test_predictions_without_a_domain_warn_of_source_rows(clf):
    rows = np.random.default_rng(0).normal(size=(30, 2))
    assert clf._resolve_domain(rows, None) is None
    clf._domain_statistics = statistics(50.0)
    with pytest.warns(UserWarning, match="looks like rows of the source"):
        assert clf._resolve_domain(rows, None) is None
    assert clf._resolve_domain(rows, 0) == 0
    assert clf._resolve_domain(rows + 50.0, None) is None


class Outer(BaseEstimator):
    """Meta-estimator whose methods resolve the domain of rows."""

    def fit(self, clf, rows):
        return clf._resolve_domain(rows, None)

    def score(self, clf, rows):
        return clf._resolve_domain(rows, None)

    def predict(self, clf, rows):
        return clf._resolve_domain(rows, None)


def test_rows_from_a_meta_estimator_belong_to_the_domain_that_they_resemble(clf):
    rows = np.random.default_rng(0).normal(size=(30, 2))
    clf.domains_, clf._domain_statistics = np.array([3, -1]), statistics(50.0)
    for method in (Outer().fit, Outer().score):
        assert method(clf, rows) == 3
        assert method(clf, rows + 50.0) is None
    assert Outer().predict(clf, rows + 50.0) is None
    with pytest.warns(UserWarning, match="looks like rows of the source"):
        assert Outer().predict(clf, rows) is None


@pytest.mark.parametrize("scoring", ["accuracy", "neg_log_loss"])
def test_a_scorer_treats_rows_like_the_score(clf, scoring):
    rows, labels = np.array([[0.5, -0.5], [-0.5, 0.5]]), np.array(["no", "yes"])
    scorer = get_scorer(scoring)
    as_target = scorer(clf, rows, labels)
    clf.domains_, clf._domain_statistics = np.array([3, -1]), statistics(50.0)
    assert scorer(clf, rows, labels) > as_target


def test_a_scorer_does_not_count_unlabelled_rows_as_errors(clf):
    clf._placeholders = ["?"]
    assert get_scorer("accuracy")(clf, X, LABELS) == 1.0
    with pytest.raises(ValueError, match=r"\['\?'\].*scoring=None"):
        get_scorer("accuracy")(clf, X, np.array(["yes", "no", "?", "?"]))


def test_a_held_out_source_domain_is_scored_where_domains_are_treated_alike(clf):
    assert clf.score(X, LABELS, sample_domain=8) == clf.score(X, LABELS, sample_domain=0)
    assert clf.score(X, LABELS, sample_domain=np.full(4, -7)) == clf.score(X, LABELS)
    clf._domain_statistics = statistics(50.0)
    assert_array_equal(clf._as_known_domain(np.full(4, 8), None), 8)


@pytest.mark.parametrize(
    ("domain", "says"),
    [("source", "integers"), (0.5, "integers"), (np.nan, "integers"), ([0, 0], "inconsistent")],
)
def test_domains_to_score_are_integers_one_per_row(clf, domain, says):
    with pytest.raises(ValueError, match=says):
        clf.score(X, LABELS, sample_domain=domain)
    clf._placeholders = ["?"]
    with pytest.raises(ValueError, match=says):
        clf.score(X, np.array(["yes", "no", "?", "?"]), sample_domain=domain)


@pytest.mark.parametrize("kind", ["classifier", "search"])
@pytest.mark.parametrize("unknown", [7, -3])
def test_a_domain_that_the_fit_did_not_know_is_refused_first(
    kind, unknown, make_clf, domains, monkeypatch
):
    clf = make_clf(standardize="domain")
    if kind == "search":
        clf = DANNClassifierCV(clf, standardize=("domain",), n_seeds=1, random_state=0)
    clf.fit(*domains[:3])
    monkeypatch.setattr(DANNNet, "infer_blocks", lambda *args, **kwargs: pytest.fail("too late"))
    rows, labels = domains.X_target, domains.y_target
    for domain in (unknown, np.r_[np.zeros(39, dtype=int), unknown]):
        says = rf"sample_domain contains \[{unknown}\], but .* fitted on the domains \[0, -1\]"
        for method in (clf.predict, clf.predict_proba, clf.predict_log_proba):
            with pytest.raises(ValueError, match=says):
                method(rows, sample_domain=domain)
        with pytest.raises(ValueError, match=says):
            clf.score(rows, labels, sample_domain=domain)


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
