"""Saved trees: bit for bit, and refused if a node points outside its tree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from skdann._saving.trees import dump_trees, load_trees

CLASSES = np.array([0, 1])
skops = pytest.importorskip("skops.io")


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3)).astype(np.float32)
    return X, (X[:, 0] * X[:, 1] > 0).astype(int)


@pytest.fixture
def trees(table):
    return HistGradientBoostingClassifier(max_iter=3, random_state=0).fit(*table)


def test_round_trip(trees, table):
    X, _ = table
    X = np.concatenate([X, np.full((1, 3), np.nan, dtype=np.float32)])
    content = dump_trees(trees)
    assert content.dtype == torch.uint8
    loaded = load_trees(content, CLASSES, 3)
    assert_array_equal(loaded.predict_proba(X), trees.predict_proba(X))
    assert loaded.get_params() == trees.get_params()


def nodes_of(model):
    return model._predictors[-1][0].nodes


def inner_of(nodes):
    return int(np.flatnonzero(nodes["is_leaf"] == 0)[-1])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("left", 10**6),  # outside
        ("right", 2**32 - 1),
        ("left", "self"),  # a cycle
        ("right", 0),
        ("left", "size"),
        ("feature_idx", 3),
        ("feature_idx", -1),
        ("is_categorical", 1),
    ],
)
def test_nodes_that_point_outside_the_tree_are_refused(trees, field, value):
    nodes = nodes_of(trees)
    index = inner_of(nodes)
    nodes[field][index] = {"self": index, "size": len(nodes)}.get(value, value)
    with pytest.raises(ValueError, match="nodes that point outside it"):
        load_trees(dump_trees(trees), CLASSES, 3)


def test_a_tree_without_nodes_is_refused(trees):
    trees._predictors[0][0].nodes = nodes_of(trees)[:0]
    with pytest.raises(ValueError, match="nodes that point outside it"):
        load_trees(dump_trees(trees), CLASSES, 3)


def test_trees_must_fit_the_networks(trees):
    content = dump_trees(trees)
    for classes, n_features in ((np.array([0, 2]), 3), (np.array([0, 1, 2]), 3), (CLASSES, 4)):
        with pytest.raises(ValueError, match="other classes or columns"):
            load_trees(content, classes, n_features)


def test_another_model_is_refused(table):
    content = dump_trees(LogisticRegression().fit(*table))
    with pytest.raises(ValueError, match="holds a LogisticRegression, not trees"):
        load_trees(content, CLASSES, 3)


def test_bytes_that_are_no_trees_are_refused():
    with pytest.raises(Exception, match="zip"):
        load_trees(torch.zeros(20, dtype=torch.uint8), CLASSES, 3)
