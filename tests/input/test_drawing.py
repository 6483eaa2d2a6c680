"""Samples of rows: all rows of small tables, otherwise a sorted draw without replacement."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skdann._input.drawing import draw_labelled, draw_rows, sample_rows

ROWS = np.arange(40.0).reshape(20, 2)
LABELS = np.array([f"label {i}" for i in range(20)])


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_a_sample_is_sorted_without_repeats_and_not_too_large(n_rows, most, seed):
    drawn = np.arange(n_rows)[draw_rows(n_rows, most, seed)]
    assert len(drawn) == min(n_rows, most)
    assert (np.diff(drawn) > 0).all()
    assert_array_equal(drawn, np.arange(n_rows)[draw_rows(n_rows, most, seed)])


def test_small_tables_are_returned_unchanged():
    assert draw_rows(5, 5, 0) == slice(None)
    assert draw_labelled(ROWS, LABELS, 20, 0)[0] is ROWS
    assert draw_labelled(ROWS, LABELS, 20, 0)[1] is LABELS


def test_all_rows_are_equally_likely():
    counts = np.bincount(np.concatenate([draw_rows(6, 2, seed) for seed in range(3000)]))
    assert np.abs(counts / 3000 - 2 / 6).max() < 0.04


@given(st.integers(1, 50), st.data(), st.integers(0, 2**32 - 1))
def test_a_sample_is_sorted_and_has_no_repeats(n_rows, data, seed):
    n_sample = data.draw(st.integers(0, n_rows))
    rows = sample_rows(n_rows, n_sample, np.random.default_rng(seed))
    assert len(rows) == n_sample
    assert rows.tolist() == sorted(set(rows.tolist()) & set(range(n_rows)))


def test_all_samples_are_equally_likely():
    generator = np.random.default_rng(0)
    samples = [tuple(sample_rows(4, 2, generator).tolist()) for _ in range(3000)]
    counts = np.unique(samples, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert np.abs(counts / 3000 - 1 / 6).max() < 0.03


@pytest.mark.parametrize(
    "container",
    [
        np.asarray,
        np.ndarray.tolist,
        pd.DataFrame,
        lambda X: pl.DataFrame(X, schema=["a", "b"]),
        sp.csr_array,
        sp.csc_matrix,
        sp.coo_array,
    ],
    ids=["array", "list", "pandas", "polars", "csr", "csc", "coo"],
)
@pytest.mark.parametrize("label_container", [np.asarray, list, pd.Series])
def test_rows_of_any_container_keep_their_labels(container, label_container):
    X, y = draw_labelled(container(ROWS), label_container(LABELS), 7, 0)
    drawn = draw_rows(20, 7, 0)
    assert_array_equal(np.asarray(X.toarray() if sp.issparse(X) else X), ROWS[drawn])
    assert list(y) == LABELS[drawn].tolist()
    assert draw_labelled(container(ROWS), None, 7, 0)[1] is None


@pytest.mark.parametrize("most", [7, 100])
def test_labels_of_another_length_are_refused(most):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        draw_labelled(ROWS, LABELS[:-1], most, 0)
