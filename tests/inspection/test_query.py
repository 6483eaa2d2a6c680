"""Rows to label: spread over the features, and where families disagree."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.preprocessing import StandardScaler

from skdann import DANNClassifier, DANNClassifierCV, make_pipeline
from skdann.inspection import _query
from skdann.inspection._query import choose_rows


@pytest.fixture(scope="module")
def clf():
    rng = np.random.default_rng(0)
    X, X_target = rng.normal(size=(60, 3)), rng.normal((1.0, 0.0, 0.0), size=(50, 3))
    tiny = DANNClassifier(feature_extractor=(8,), domain_classifier=(4,), max_epochs=5)
    fitted = DANNClassifierCV(tiny, n_seeds=2, random_state=0)
    return fitted.fit(X, (X[:, 0] > 0).astype(int), X_target), X_target


def test_one_row_of_each_group_is_chosen():
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [9, 0], [0, 9], [9, 9]])
    group = np.repeat(np.arange(4), [40, 30, 20, 10])
    features = centres[group] + rng.normal(0, 0.1, size=(100, 2))
    rows = choose_rows(features, np.full(100, 0.5), 4, seed=0)
    assert_array_equal(group[rows], [0, 1, 2, 3])
    distance = np.linalg.norm(features - centres[group], axis=1)
    assert (distance[rows] < 0.1).all()  # near the centres
    assert_array_equal(rows, choose_rows(features, np.full(100, 0.5), 4, seed=0))


def test_rows_with_disagreement_are_preferred():
    features = np.random.default_rng(0).normal(size=(400, 2))
    agreement = np.where(features[:, 0] > 0.5, 0.2, 1.0)
    rows = choose_rows(features, agreement, 20, seed=0)
    assert (agreement[rows] < 1).sum() >= 12  # of 31 % of the rows


def test_equal_rows_leave_clusters_empty_but_n_rows_are_chosen():
    features = np.repeat([[0.0], [1.0]], 5, axis=0)
    rows = choose_rows(features, np.linspace(0, 1, 10), 6, seed=0)
    assert len(set(rows.tolist())) == 6


def test_of_many_rows_a_sample_is_clustered(monkeypatch):
    monkeypatch.setattr(_query, "MOST_ROWS", 30)
    features = np.random.default_rng(0).normal(size=(200, 2))
    for n in (5, 40):
        rows = choose_rows(features, np.full(200, 0.5), n, seed=1)
        assert len(set(rows.tolist())) == n


def test_a_search_chooses_unlabelled_rows(clf):
    search, X_target = clf
    rows = search.query(X_target, 10)
    assert len(set(rows.tolist())) == 10
    assert_array_equal(rows, np.sort(rows))
    y_target = np.full(50, np.nan)
    y_target[rows] = 1
    rest = search.query(X_target, 40, y_target=y_target)
    assert_array_equal(np.sort([*rows, *rest]), np.arange(50))
    assert_array_equal(rows, search.query(X_target, 10))


def test_pipelines_and_frames(clf):
    search, X_target = clf
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
    target = pd.DataFrame(X_target, columns=list("abc"))
    pipe = make_pipeline(StandardScaler(), DANNClassifierCV(search.estimator, random_state=0))
    pipe.fit(X, (X["a"] > 0).astype(int), X_target=target)
    rows = pipe.query(target, 4)
    expected = pipe[-1].query(pipe[:-1].transform(target), 4)
    assert_array_equal(rows, expected)
    sparse = DANNClassifierCV(search.estimator, random_state=0)
    sparse.fit(sp.csr_array(X.to_numpy()), (X["a"] > 0).astype(int), sp.csr_array(X_target))
    assert len(sparse.query(sp.csr_array(X_target), 4)) == 4
    with pytest.raises(AttributeError, match="query"):
        make_pipeline(StandardScaler(), DANNClassifier()).query  # noqa: B018


@pytest.mark.parametrize("n", [0, -1, 2.5, "3", True, None])
def test_other_numbers_of_rows_are_refused(clf, n):
    search, X_target = clf
    with pytest.raises(ValueError, match="must be a whole number >= 1"):
        search.query(X_target, n)


def test_more_rows_than_there_are_and_labels_of_other_rows_are_refused(clf):
    search, X_target = clf
    with pytest.raises(ValueError, match="n=51 rows cannot be chosen from 50 unlabelled rows"):
        search.query(X_target, 51)
    with pytest.raises(ValueError, match="n=1 rows cannot be chosen from 0 unlabelled rows"):
        search.query(X_target, 1, y_target=np.zeros(50))
    with pytest.raises(ValueError, match="y_target has 3 labels, but X_target has 50 rows"):
        search.query(X_target, 1, y_target=[0, 1, 0])
