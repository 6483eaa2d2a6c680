"""The model of the family "trees": gradient-boosted trees, or the user's model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skdann._input.containers import column_names
from skdann._input.domains import check_domains
from skdann._selection.candidates import Candidate, make_folds
from skdann._selection.families import FAMILIES
from skdann._selection.source_model import (
    aligned_proba,
    check_baseline,
    check_classes,
    fit_model,
    fit_trees,
    is_fitted,
    raw_targets,
)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    X, X_target = rng.normal(size=(60, 3)), rng.normal(size=(30, 3))
    return X, (X[:, 0] > 0.5).astype(int), X_target


@pytest.mark.parametrize(
    "model", [LogisticRegression, LinearRegression(), StandardScaler(), "trees", 3]
)
def test_what_is_not_a_classifier_is_named(model):
    with pytest.raises(TypeError, match=r"baseline=.* must be a scikit-learn classifier"):
        check_baseline(model, FAMILIES)


def test_a_classifier_needs_probabilities():
    with pytest.raises(TypeError, match=r"LinearSVC\(\) has no predict_proba.*Calibrated"):
        check_baseline(LinearSVC(), FAMILIES)
    for model in (None, LogisticRegression(), make_pipeline(StandardScaler(), DummyClassifier())):
        check_baseline(model, FAMILIES)


def test_fitted_models_are_recognized(table):
    X, y, _ = table
    for model in (LogisticRegression(), make_pipeline(StandardScaler(), LogisticRegression())):
        assert not is_fitted(model)
        assert is_fitted(model.fit(X, y))


def test_a_fitted_model_is_used_as_it_is_and_another_one_cloned(table):
    X, y, _ = table
    fitted = LogisticRegression().fit(X, 1 - y)
    coefficients = fitted.coef_.copy()
    assert fit_model(fitted, X, y, None) is fitted
    assert_array_equal(fitted.coef_, coefficients)
    model = LogisticRegression(C=0.1)
    result = fit_model(model, X, y, None)
    assert result is not model
    assert not hasattr(model, "coef_")
    assert_array_equal(result.coef_, LogisticRegression(C=0.1).fit(X, y).coef_)


def test_a_model_that_no_family_uses_is_refused():
    with pytest.raises(ValueError, match=r"baseline=LogisticRegression.*'trees', which is not"):
        check_baseline(LogisticRegression(), FAMILIES[:3])
    check_baseline(None, FAMILIES[:3])


def test_weights_are_passed_to_models_that_take_them(table):
    X, y, _ = table
    weight = np.linspace(0.1, 3.0, len(y))
    expected = LogisticRegression().fit(X, y, sample_weight=weight)
    assert_array_equal(fit_model(LogisticRegression(), X, y, weight).coef_, expected.coef_)
    with pytest.warns(UserWarning, match="sample_weight is not used in the fit of baseline=KNeigh"):
        neighbours = fit_model(KNeighborsClassifier(), X, y, weight)
    assert_array_equal(neighbours.predict(X), KNeighborsClassifier().fit(X, y).predict(X))


def test_classes_that_the_source_lacks_are_named(table):
    X, y, _ = table
    model = LogisticRegression().fit(X, np.array(["no", "yes"])[y])
    check_classes(model, np.array(["maybe", "no", "yes"]))
    with pytest.raises(ValueError, match=r"predicts the classes \['no', 'yes'\].*it has \[0, 1\]"):
        check_classes(model, np.array([0, 1]))


def test_probabilities_have_a_column_for_each_class(table):
    X, y, X_target = table
    model = LogisticRegression().fit(X, np.array(["b", "d"])[y])
    proba = aligned_proba(model, X_target, np.array(["a", "b", "c", "d"]))
    assert proba.dtype == np.float64
    assert_array_equal(proba[:, [1, 3]], model.predict_proba(X_target))
    assert not proba[:, [0, 2]].any()


# -- trees ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("class_weight", [None, "balanced", {"no": 1.0, "yes": 4.0}])
def test_trees_are_trained_with_the_weights_of_the_networks(table, class_weight, is_weighted):
    X, y, X_target = table
    labels = np.array(["no", "yes"])[y]
    weight = np.linspace(0.1, 1.0, len(y)) if is_weighted else None
    data = check_domains(X, labels, X_target, sample_weight=weight)
    [model] = fit_trees(data, class_weight, 3).members
    by_hand = np.ones(len(y)) if weight is None else data.weight
    if class_weight == "balanced":
        mass = np.bincount(y, weights=by_hand)
        by_hand = by_hand * (mass.sum() / (2 * mass))[y]
    elif class_weight:
        by_hand = by_hand * np.array([1.0, 4.0])[y]
    expected = HistGradientBoostingClassifier(random_state=3)
    expected.fit(data.X[:60], labels, sample_weight=by_hand)
    assert_array_equal(model.classes_, ["no", "yes"])
    rows = data.X[60:]
    np.testing.assert_allclose(model.predict_proba(rows), expected.predict_proba(rows), rtol=1e-6)


def test_trees_of_each_fold_have_its_labelled_rows_as_often_as_source_rows(table):
    X, y, X_target = table
    y_target = np.where(np.arange(30) < 6, 1, np.nan)
    data = check_domains(X, y, X_target, y_target=y_target, sample_weight=np.full(60, 2.0))
    folds = make_folds(data, 3, 5, 0)
    trees = fit_trees(data, None, 3, folds)
    assert trees.folds == [0, 1, 2]
    for member, fold in zip(trees.members, folds, strict=True):
        rows = np.concatenate([np.arange(60), np.repeat(fold.labelled, 15)])
        assert set(fold.labelled).isdisjoint(fold.labelled_valid)
        expected = HistGradientBoostingClassifier(random_state=3)
        expected.fit(data.X[rows], data.y_known[rows])
        found = member.predict_proba(data.X)
        np.testing.assert_allclose(found, expected.predict_proba(data.X), rtol=1e-6)


def test_there_are_no_trees_on_sparse_rows(table):
    X, y, X_target = table
    sparse = check_domains(sp.csr_array(X), y, sp.csr_array(X_target))
    assert fit_trees(sparse, None, 0) is None
    assert fit_trees(check_domains(X, y, X_target), None, 0) is not None


def test_a_class_of_one_row_needs_no_row_held_out(monkeypatch):
    """Early stopping, which begins at 10,000 rows, would need two rows to hold one out."""
    fitted = []
    monkeypatch.setattr(
        HistGradientBoostingClassifier, "fit", lambda self, *_, **kw: fitted.append(self) or self
    )
    rng = np.random.default_rng(0)
    for n_rare in (1, 2):
        y = np.repeat([0, 1], [20 - n_rare, n_rare])
        fit_trees(check_domains(rng.normal(size=(20, 2)), y, rng.normal(size=(9, 2))), None, 0)
    assert [model.early_stopping for model in fitted] == [False, "auto"]


# -- target rows ----------------------------------------------------------------------------------


def test_raw_targets_have_the_order_of_the_checked_rows(table):
    X, y, X_target = table
    (rows,) = raw_targets(X, X_target, None)
    assert rows is X_target
    assert raw_targets(X, None, None) == []
    parts = (X_target[:10], X_target[10:])
    assert all(a is b for a, b in zip(raw_targets(X, parts, None), parts, strict=True))
    domain = np.tile([0, -2, 1, -1], 15)
    data = check_domains(X, y, None, sample_domain=domain)
    pooled = np.concatenate(raw_targets(X, None, domain))
    assert_array_equal(pooled.astype(np.float32), data.X[data.n_source :])


def test_frames_are_ordered_like_the_source(table):
    X, _, X_target = table
    frame, target = (pd.DataFrame(rows, columns=["a", "b", "c"]) for rows in (X, X_target))
    (rows,) = raw_targets(frame, target[["c", "a", "b"]], None)
    pd.testing.assert_frame_equal(rows, target)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_raw_targets_are_matched_by_name_in_every_library(library):
    module = pytest.importorskip(library)
    make = module.table if library == "pyarrow" else module.DataFrame
    frame = make({"a": [0.0, 1.0], "b": [2.0, 3.0]})
    target = make({"b": [5.0, 7.0], "a": [4.0, 6.0]})
    (rows,) = raw_targets(frame, target, None)
    assert column_names(rows) == ["a", "b"]
    assert_array_equal(np.asarray(rows), [[4.0, 5.0], [6.0, 7.0]])


def test_the_reason_names_the_model_of_the_user(table):
    X, y, _ = table
    fitted = LogisticRegression().fit(X, y)
    for model in (fitted, make_pipeline(fitted)):
        assert Candidate("trees", [model], [], proba_target=X).name == "LogisticRegression"
    assert Candidate("self_training", [], []).name == "self-training"
