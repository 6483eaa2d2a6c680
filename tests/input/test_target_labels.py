"""Labels of some target rows: what counts as missing, and what does not match the rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from numpy.testing import assert_array_equal

from skdann._input.domains import check_domains
from skdann._input.matching import name_targets
from skdann._input.target_labels import check_target_labels, find_labels, stack_labels

X = np.zeros((4, 2))
CLASSES = np.array([0, 1, 2])
TEXTS = np.array(["a", "b"])


def check(y_target, X_target=X, classes=CLASSES, n_outputs=1):
    targets = {} if X_target is None else name_targets(X_target)
    return check_target_labels(y_target, targets, classes, n_outputs)


@pytest.mark.parametrize(
    "y_target",
    [
        [np.nan, 2, np.nan, 1],
        np.array([np.nan, 2.0, np.nan, 1.0], dtype=np.float32),
        np.array([None, 2, None, 1], dtype=object),
        np.ma.masked_array([0, 2, 0, 1], mask=[True, False, True, False]),
        np.ma.masked_array([0, 2, np.nan, 1], mask=[True, False, False, False]),
        pd.Series([pd.NA, 2, pd.NA, 1], dtype="Int64", index=[7, 3, 5, 1]),
        pd.Series([None, 2.0, None, 1.0]),
        pl.Series([None, 2, None, 1]),
        torch.tensor([torch.nan, 2.0, torch.nan, 1.0]),
    ],
)
def test_missing_labels_in_any_container_mark_unlabelled_rows(y_target):
    [(rows, label)] = check(y_target)
    assert_array_equal(rows, [1, 3])
    assert_array_equal(label, [2, 1])
    assert label.dtype == np.int64


@pytest.mark.parametrize(
    "y_target",
    [
        np.array(["b", None, np.nan, "a"], dtype=object),
        pd.Series(["b", pd.NA, None, "a"], dtype="string"),
        pd.Series(["b", None, None, "a"], dtype="category"),
        pl.Series(["b", None, None, "a"]),
    ],
)
def test_labels_that_are_texts(y_target):
    [(rows, label)] = check(y_target, classes=TEXTS)
    assert_array_equal(rows, [0, 3])
    assert_array_equal(label, [1, 0])


@pytest.mark.parametrize("y_target", [[2, 2, 1, 0], [True, True, False, True]])
def test_objects_are_read_alike_whether_labels_are_missing_or_not(y_target):
    y_target = np.array(y_target, dtype=object)
    [(rows, label)] = check(y_target)
    assert_array_equal(rows, np.arange(4))
    assert_array_equal(label, y_target.astype(int))
    y_target[0] = None
    assert_array_equal(check(y_target)[0][1], label[1:])


def test_rows_in_a_container_that_does_not_know_their_number():
    X_target = pl.DataFrame(X, schema=["a", "b"]).lazy()
    data = check_domains(X_target, [0, 1, 2, 0], X_target, y_target=[None, 2, 1, None])
    assert_array_equal(data.labelled, [5, 6])
    assert_array_equal(data.y_labelled, [2, 1])


def test_minus_one_is_a_class_like_others():
    [(rows, label)] = check([-1, 1, np.nan, -1], classes=np.array([-1, 1]))
    assert_array_equal(rows, [0, 1, 3])
    assert_array_equal(label, [0, 1, 0])


def test_numbers_of_several_outputs():
    y = np.array([[1.0, 2.0], [np.nan, np.nan], [3.0, 4.0], [np.nan, np.nan]])
    [(rows, numbers)] = check(y, classes=np.zeros(0), n_outputs=2)
    assert_array_equal(rows, [0, 2])
    assert_array_equal(numbers, [[1.0, 2.0], [3.0, 4.0]])


def test_no_labels_at_all():
    assert check(None) == []
    for nothing in (np.full(4, np.nan), (None,), [None] * 4):
        [(rows, label)] = check(nothing)
        assert len(rows) == len(label) == 0
        assert stack_labels([(rows, label)], np.array([0, 1, 1]), 1) is None


@pytest.mark.parametrize(
    ("y_target", "changed", "expected"),
    [
        ([1, 2], {}, "y_target has 2 labels, but X_target has 4 rows; pass a label for each"),
        ([1, 2, 3, 9], {}, r"y_target holds labels \[3, 9\] that y_source lacks; its classes are"),
        ([1, "", 2, 1], {}, "y_target"),
        ([[1, 2, 0, 1]], {}, "y_target"),
        (np.zeros((4, 2, 2)), {}, r"y_target must have one label per row .* shape \(4, 2, 2\)"),
        (([1, 2, 0, 1],) * 2, {}, r"y_target has labels of 2 target\(s\), but X_target has 1"),
        ([1, 2, 0, 1], {"X_target": (X, X)}, r"labels of 1 target\(s\), but X_target has 2"),
        ((None, [1]), {"X_target": (X, X)}, r"y_target\[1\] has 1 labels, but X_target\[1\] has 4"),
        ([1, 2, 0, 1], {"X_target": None}, "y_target was passed without X_target"),
        (["c", "b", None, "a"], {"classes": TEXTS}, r"labels \['c'\] that y_source lacks"),
        ([0.5, 1, 0, 1], {}, "Unknown label type: continuous, such as 0.5"),
        ([[1, np.nan]] * 4, {"classes": CLASSES[:0], "n_outputs": 2}, "lacks some of the 2 number"),
        ([1, np.nan, 2, 3], {"classes": CLASSES[:0], "n_outputs": 2}, "has 1 numbers per row, but"),
        ([np.inf] * 4, {"classes": CLASSES[:0]}, "y_target contains NaN or infinity"),
    ],
)
def test_labels_that_do_not_match_are_refused(y_target, changed, expected):
    with pytest.raises((ValueError, TypeError), match=expected):
        check(y_target, **changed)


def test_find_labels_reads_masks_and_missing_values():
    assert_array_equal(find_labels([1, None, 2]), [True, False, True])
    masked = np.ma.masked_array([[1.0], [2.0]], mask=[[False], [True]])
    assert_array_equal(find_labels(masked), [True, False])


def test_labelled_rows_are_found_among_the_rows_of_all_domains():
    rng = np.random.default_rng(0)
    source, first, second = (rng.normal(size=(n, 2)) for n in (6, 4, 5))
    domain = np.array([1, 0, 1, 0, 1, -2])
    data = check_domains(
        source,
        ["a", "b", "a", "b", "a", "b"],
        (first, second),
        y_target=([None, "b", None, None], [None, None, "a", None, "b"]),
        sample_domain=domain,
    )
    assert_array_equal(data.X[data.labelled], np.float32([first[1], second[2], second[4]]))
    assert_array_equal(data.y_labelled, [1, 0, 1])
    assert_array_equal(data.y_known[: data.n_source], data.y)
    assert_array_equal(data.y_known[data.labelled], [1, 0, 1])
    assert data.y_known.shape == data.domain.shape
    assert_array_equal(data.domains[data.domain[data.labelled]], [-1, -2, -2])
    nothing = check_domains(source, domain, (first, second), y_target=(None, None))
    assert nothing.labelled is None
    assert nothing.y_known is nothing.y
