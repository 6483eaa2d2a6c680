"""Pooled rows of two domains, and out-of-fold predictions, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

from skdann._input.seeding import derive_seed
from skdann.metrics._pooling import boosted_trees, linear_classifier, out_of_fold, pool_domains

X, X_TARGET = np.arange(12.0).reshape(6, 2), -np.arange(8.0).reshape(4, 2)


def test_source_rows_come_first():
    pooled, is_target, names = pool_domains(X, (X_TARGET[:1], X_TARGET[1:]))
    assert_array_equal(pooled, np.vstack([X, X_TARGET]))
    assert_array_equal(is_target, [0] * 6 + [1] * 4)
    assert names is None


def test_frames_have_names_and_are_matched_by_them():
    frame, target = (pd.DataFrame(rows, columns=["a", "b"]) for rows in (X, X_TARGET))
    pooled, _, names = pool_domains(frame, target[["b", "a"]])
    assert_array_equal(pooled, np.vstack([X, X_TARGET]))
    assert names == ["a", "b"]


def test_sparse_rows_stay_sparse():
    pooled, is_target, _ = pool_domains(sp.csr_array(X), sp.coo_array(X_TARGET))
    assert sp.issparse(pooled)
    assert pooled.format == "csr"
    assert_array_equal(pooled.toarray(), np.vstack([X, X_TARGET]))
    assert is_target.sum() == 4


def test_rows_may_be_missing_but_not_infinite():
    missing = np.where(X_TARGET == 0, np.nan, X_TARGET)
    assert np.isnan(pool_domains(X, missing)[0]).sum() == 1
    with pytest.raises(ValueError, match="X_target must hold finite real numbers"):
        pool_domains(X, np.where(X_TARGET == 0, np.inf, X_TARGET))


@pytest.fixture
def pooled():
    rng = np.random.default_rng(0)
    rows = np.vstack([rng.normal(size=(30, 2)), rng.normal(1.0, size=(20, 2))])
    return rows, np.repeat([0, 1], [30, 20])


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_predictions_are_those_of_scikit_learn(pooled, method):
    folds = StratifiedKFold(4, shuffle=True, random_state=derive_seed(3))
    expected = cross_val_predict(LogisticRegression(), *pooled, cv=folds, method=method)
    actual = out_of_fold(*pooled, LogisticRegression(), 4, 3, method)
    assert_array_equal(actual, expected if method == "predict" else expected[:, 1])


def test_a_splitter_is_used_as_it_is(pooled):
    folds = KFold(3, shuffle=True, random_state=1)
    expected = cross_val_predict(LogisticRegression(), *pooled, cv=folds, method="predict_proba")
    assert_array_equal(out_of_fold(*pooled, LogisticRegression(), folds, 0), expected[:, 1])


def test_the_default_is_trees_for_dense_rows_and_a_linear_model_for_sparse_ones(pooled):
    rows, is_target = pooled
    for container, make in (
        (np.asarray, lambda X: boosted_trees(5)),
        (sp.csr_array, linear_classifier),
    ):
        X = container(rows)
        actual = out_of_fold(X, is_target, None, 4, 5)
        assert_array_equal(actual, out_of_fold(X, is_target, make(X), 4, 5))


@pytest.mark.parametrize("n_target", [4, 5])
def test_each_domain_needs_a_row_per_fold(pooled, n_target):
    rows, is_target = (part[: 30 + n_target] for part in pooled)
    if n_target == 5:
        assert len(out_of_fold(rows, is_target, LogisticRegression(), 5, 0)) == 35
        return
    with pytest.raises(ValueError, match=r"cv=5 folds need at least 5 rows .* one has 4; lower cv"):
        out_of_fold(rows, is_target, LogisticRegression(), 5, 0)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_scales_do_not_matter_to_the_linear_model(pooled, container):
    rows, is_target = pooled
    plain = linear_classifier(container(rows)).fit(container(rows), is_target)
    scaled = container(rows * [1e3, 1e-3])
    other = linear_classifier(scaled).fit(scaled, is_target)
    assert_array_equal(plain.predict(container(rows)), other.predict(scaled))


def test_the_linear_model_accepts_missing_values(pooled):
    rows, is_target = pooled
    rows[::3, 1] = np.nan
    assert linear_classifier(rows).fit(rows, is_target).score(rows, is_target) > 0.6


def test_class_weights_reach_the_linear_model(pooled):
    rows, is_target = pooled
    balanced = linear_classifier(rows, "balanced").fit(rows, is_target)
    plain = linear_classifier(rows).fit(rows, is_target)
    assert balanced.predict(rows).sum() > plain.predict(rows).sum()
