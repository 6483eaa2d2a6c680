"""Domains of single rows: integers of any kind, their names, and their indices."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdann._input.row_domains import (
    check_domain_vector,
    check_known,
    check_sample_domain,
    index_in,
)


@pytest.mark.parametrize(
    "container",
    [
        list, tuple, np.array, lambda v: np.array(v, dtype=np.int8), lambda v: np.array(v, float),
        lambda v: np.array(v, dtype=object), pd.Series, pl.Series, torch.tensor,
    ],
    ids=["list", "tuple", "array", "int8", "float", "object", "pandas", "polars", "torch"],
)  # fmt: skip
def test_integers_of_any_container_are_read(container):
    domain = check_sample_domain(container([0, 3, -1, -5]), 4)
    assert domain.dtype == np.int64
    assert domain.tolist() == [0, 3, -1, -5]


def test_without_domains_every_row_is_of_the_first_source():
    assert_array_equal(check_sample_domain(None, 3), [0, 0, 0])


@pytest.mark.parametrize("value", [2**53, -(2.0**53), np.nan, np.inf, 0.5])
def test_numbers_that_float64_does_not_count_with_are_refused(value):
    with pytest.raises(ValueError, match="must hold integers of ordinary size but has dtype float"):
        check_domain_vector([0.0, float(value)], 2, "X")
    assert check_domain_vector([0.0, 2.0**53 - 1], 2, "X")[1] == 2**53 - 1


@pytest.mark.parametrize(
    "values", [["a", "b"], [True, False], [1j, 0], [None, 1], np.array([2**63, 0], dtype=np.uint64)]
)
def test_other_values_are_refused(values):
    with pytest.raises(ValueError, match=r"must hold integers of ordinary size.*negative number"):
        check_domain_vector(values, 2, "X")


def test_the_largest_integers_are_taken():
    values = np.array([2**63 - 1, 0], dtype=np.uint64)
    assert check_domain_vector(values, 2, "X").tolist() == [2**63 - 1, 0]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([[0], [1]], r"must be 1-D, one integer per row of X_new, but has shape \(2, 1\)"),
        (0, r"must be 1-D, one integer per row of X_new, but has shape \(\)"),
        ([0, 1, 2], "has 3 entries but X_new has 2 rows; it needs one per row"),
    ],
)
def test_there_is_one_integer_a_row(values, text):
    with pytest.raises(ValueError, match=f"sample_domain {text}"):
        check_domain_vector(values, 2, "X_new")


def test_some_row_must_be_of_a_source():
    with pytest.raises(ValueError, match="leaves no labelled source row; give source rows"):
        check_sample_domain([-1, -2], 2)


def test_sources_are_named_ascending_then_targets_descending():
    names = check_known(np.array([-5, 7, -1, 0, 7, -2]), None, "Estimator")
    assert names.tolist() == [0, 7, -1, -2, -5]


def test_a_chunk_may_lack_sources_but_no_target():
    known = [0, 7, -1, -2]
    assert check_known(np.array([7, -2, -1]), known, "Estimator").tolist() == known
    for rows, shown in (([0, 7, -1], r"\[0, 7, -1\]"), ([0, 1, -1, -2], r"\[0, 1, -1, -2\]")):
        text = rf"X has {shown} domains, but Estimator is expecting \[0, 7, -1, -2\] domains"
        with pytest.raises(ValueError, match=text):
            check_known(np.array(rows), known, "Estimator")


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=9, unique=True), st.data())
def test_names_are_indexed_in_any_order(known, data):
    names = data.draw(st.lists(st.sampled_from(known), max_size=20))
    index = index_in(np.array(known), np.array(names, dtype=np.int64))
    assert index.dtype == np.int64
    assert index.tolist() == [known.index(name) for name in names]
