"""Pooled rows equal separate domains, and labels that only mark unlabelled rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression

from skdann._input.pooling import (
    find_placeholders,
    keep_source_rows,
    mark_unlabelled,
    warn_if_a_class,
)
from tests.input.tables import (
    XS,
    XT,
    YS,
)


def pool(*parts: np.ndarray, seed: int = 0) -> tuple[np.ndarray, list[np.ndarray]]:
    """Mix rows of several arrays, each in its own order; return where each array's rows went."""
    lengths = [len(part) for part in parts]
    owner = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(parts)), lengths))
    places = [np.flatnonzero(owner == i) for i in range(len(parts))]
    pooled = np.empty((len(owner), parts[0].shape[1]))
    for part, place in zip(parts, places, strict=True):
        pooled[place] = part
    return pooled, places


@pytest.mark.parametrize(
    "ignored",
    [
        np.array([7], dtype=int),
        np.array([np.nan]),
        np.array([None]),
        np.array(["?"], dtype=object),
        np.array([pd.NA], dtype=object),
    ],
    ids=["any label", "nan", "None", "another type", "pandas.NA"],
)
@pytest.mark.parametrize("labels", [int, str])
def test_pooled_rows_equal_a_separate_target(
    make_clf: Any, assert_same_fit: Any, ignored: np.ndarray, labels: type
) -> None:
    y = np.array(["no", "yes"])[YS] if labels is str else YS
    X, (source, target) = pool(XS, XT)
    if ignored.dtype != object:
        ignored = ignored.astype(str) if labels is str else ignored
    pooled_y = np.empty(len(X), dtype=np.result_type(y.dtype, ignored.dtype))
    pooled_y[source], pooled_y[target] = y, ignored[0]
    domain = np.zeros(len(X), dtype=int)
    domain[target] = -1
    separate = make_clf().fit(XS, y, XT)
    pooled = make_clf().fit(X, pooled_y, sample_domain=domain)
    assert_same_fit(pooled, separate)
    assert_array_equal(pooled.classes_, separate.classes_)
    assert_array_equal(pooled.predict(XT), separate.predict(XT))
    assert pooled.domains_.tolist() == separate.domains_.tolist() == [0, -1]


@pytest.mark.parametrize("make", [list, pd.Series, pl.Series], ids=["list", "pandas", "polars"])
def test_labels_of_pooled_target_rows_may_be_missing_in_any_container(
    make_clf: Any, assert_same_fit: Any, make: Any
) -> None:
    X, (source, target) = pool(XS, XT)
    y: list[Any] = [None] * len(X)
    for row, label in zip(source, YS, strict=True):
        y[row] = int(label)
    domain = np.zeros(len(X), dtype=int)
    domain[target] = -1
    assert_same_fit(make_clf().fit(X, make(y), sample_domain=domain), make_clf().fit(XS, YS, XT))


def test_pooled_domains_equal_separate_ones_of_any_name(
    make_clf: Any, assert_same_fit: Any
) -> None:
    X, (source, first, _) = pool(XS, XT, XT[:9] - 1)
    y, domain = np.full(len(X), 1), np.full(len(X), -40)
    y[source], domain[source], domain[first] = YS, 5 - 3 * YS, -4
    separate = make_clf().fit(XS, YS, (XT, XT[:9] - 1), sample_domain=1 - YS)
    pooled = make_clf().fit(X, y, sample_domain=domain)
    assert_same_fit(pooled, separate)
    assert separate.domains_.tolist() == [0, 1, -1, -2]
    assert pooled.domains_.tolist() == [2, 5, -4, -40]
    assert pooled.predict_domain_proba(XT).shape == (30, 4)


# -- labels that mark unlabelled rows --------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "classes", "expected"),
    [
        (["a", "b", "?", "?"], ["a", "b"], ["?"]),
        (["a", "b", "a", "b"], ["a", "b"], []),  # any class of the source marks them too
        ([0, 1, -1, 1], [0, 1], [-1]),
        ([0.0, 1.0, np.nan, np.nan], [0.0, 1.0], [None]),
        (["a", "b", None, np.nan], ["a", "b"], [None]),
        (["a", "b", "?", None], ["a", "b"], ["?", None]),
        (pd.Series([0, 1, pd.NA, -1], dtype="Int64"), [0, 1], [-1, None]),
        (pl.Series([0, 1, None, 5]), [0, 1], [5, None]),
    ],
)
def test_placeholders_are_the_labels_of_target_rows_that_are_no_class(
    y: Any, classes: list[Any], expected: list[Any]
) -> None:
    found = find_placeholders(y, [0, 3, -1, -7], np.array(classes))
    assert sorted(found, key=str) == sorted(expected, key=str)
    marked = mark_unlabelled(y, found)
    assert marked.dtype == bool
    assert marked.tolist()[:2] == [False, False]
    assert marked.any() == bool(expected)


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([1.5, 2.5, np.nan, np.nan], [None]),
        ([1.5, 2.5, -1.0, -1.0], [-1.0]),  # one number, which no source row has
        ([1.5, -1.0, -1.0, -1.0], []),  # a source row has it too
        ([1.5, 2.5, 3.0, 4.0], []),  # the true numbers, perhaps
        ([1.5, 2.5, -1.0, np.nan], [-1.0, None]),
        ([[1, 2], [3, 4], [np.nan, 5], [6, np.nan]], [None]),
        ([[1, 2], [3, 4], [0, 0], [0, 0]], [(0, 0)]),
        (pd.Series([1.5, 2.5, None, None], dtype="Float64"), [None]),
    ],
)
def test_numbers_of_target_rows_are_placeholders_if_missing_or_all_the_same(
    y: Any, expected: list[Any]
) -> None:
    found = find_placeholders(y, [0, 3, -1, -7], np.zeros(0))
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert mark_unlabelled(y, found).tolist() == [False, False] + [bool(expected)] * 2


def test_without_target_rows_there_are_no_placeholders() -> None:
    assert find_placeholders(["a", "?"], None, np.array(["a"])) == []
    assert find_placeholders(["a", "?"], [0, 1], np.array(["a"])) == []
    assert mark_unlabelled(["a", "b"], []).tolist() == [False, False]


def test_labels_that_cannot_be_hashed_are_told_apart_by_their_text() -> None:
    y = np.array([0, 1, [1, 2], [3]], dtype=object)
    found = find_placeholders(y, [0, 0, -1, -1], np.array([0, 1]))
    assert sorted(found) == ["[1, 2]", "[3]"]
    assert mark_unlabelled(y, found[:1]).sum() == 1


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, pd.DataFrame, pl.DataFrame])
def test_source_rows_are_kept_with_their_labels_and_weights(container: Any) -> None:
    X, y = container(XS[:4]), ["a", "b", "?", "a"]
    given = {"sample_domain": [0, -1, -2, 3], "sample_weight": [1.0, 2.0, 3.0, 4.0], "other": 5}
    kept, labels, params = keep_source_rows(X, y, given)
    assert_array_equal(kept.toarray() if sparse.issparse(kept) else np.asarray(kept), XS[[0, 3]])
    assert labels == ["a", "a"]
    assert params == {"sample_weight": [1.0, 4.0], "other": 5}
    assert given["sample_domain"] == [0, -1, -2, 3]  # the given parameters stay


def test_rows_of_source_domains_only_are_passed_on() -> None:
    y, given = ["a", "b"], {"other": 5}
    assert keep_source_rows(XS, y, given) == (XS, y, given)
    X, labels, params = keep_source_rows(XS, y, {"sample_domain": [0, 1], "other": 5})
    assert X is XS
    assert labels is y
    assert params == {"other": 5}


class Counting(BaseEstimator):
    """Meta-estimator that counts the classes before it fits."""

    def fit(self, y: Any, placeholders: Any, classes: Any) -> None:
        self.classes_ = np.unique(y)
        warn_if_a_class(placeholders, np.array(classes), LogisticRegression())


def test_a_meta_estimator_that_counts_a_placeholder_as_a_class_is_named() -> None:
    with pytest.warns(UserWarning, match=r"Counting counts the labels \['\?'\], which mark"):
        Counting().fit(["a", "b", "?"], ["?"], ["a", "b"])
    Counting().fit(["a", "b", "?"], [], ["a", "b"])  # a warning would be an error
    Counting().fit(["a", "b"], ["?"], ["a", "b"])
    warn_if_a_class(["?"], np.array(["a", "b"]), LogisticRegression())  # nobody calls
