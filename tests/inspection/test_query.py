"""Rows to label: spread over the features, and where families disagree."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_array_equal

from skdann.inspection import _query
from skdann.inspection._query import choose_rows


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
