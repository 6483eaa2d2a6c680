"""Labels that are numbers: their checks, and their scale."""

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdann._input.numeric_labels import LabelScale, is_vector, plain_numbers

NUMBERS = [1.0, 2.5, -3.0]


@pytest.mark.parametrize(
    "y",
    [
        NUMBERS,
        tuple(NUMBERS),
        np.array(NUMBERS, dtype=np.float32),
        np.array(NUMBERS, dtype=object),
        [Decimal("1.0"), Decimal("2.5"), Decimal("-3.0")],
        pd.Series(NUMBERS),
        pd.Series(NUMBERS, dtype="Float64"),
        pl.Series(NUMBERS),
        torch.tensor(NUMBERS),
    ],
    ids=lambda y: type(y).__name__,
)
def test_numbers_in_any_container(y):
    read = plain_numbers(y)
    assert read.shape == (3, 1)
    assert read.dtype == np.float64
    assert_array_equal(read[:, 0], NUMBERS)
    assert is_vector(y)


@pytest.mark.parametrize("y", [[1, 0, 1], [True, False, True], np.array([1, 0, 1], dtype="u1")])
def test_whole_numbers_and_booleans_are_numbers(y):
    assert_array_equal(plain_numbers(y)[:, 0], [1.0, 0.0, 1.0])


@pytest.mark.parametrize(
    "container", [np.array, pd.DataFrame, pl.DataFrame, torch.tensor, lambda y: y]
)
def test_several_outputs(container):
    y = container([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    if isinstance(y, pl.DataFrame):
        y = pl.DataFrame({"a": [1.0, 3.0, 5.0], "b": [2.0, 4.0, 6.0]})
    assert_array_equal(plain_numbers(y), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert not is_vector(y)


@pytest.mark.parametrize(
    ("y", "error"),
    [
        ([1.0, np.nan, 2.0], "y_source contains NaN or infinity"),
        ([1.0, np.inf, 2.0], "y_source contains NaN or infinity"),
        ([1.0, None, 2.0], "y_source contains NaN or None"),
        (pd.Series([1.0, None, 2.0], dtype="Float64"), "y_source contains NaN or"),
        (["1.5", "2", "3"], "y_source must hold numbers, but has dtype <U3.*DANNClassifier"),
        (pd.Series(["a", "b", "c"]), "y_source must hold numbers.*'a'.*DANNClassifier"),
        (np.array([1j, 2j, 3j]), "y_source must hold numbers, but has dtype complex128"),
        (pd.to_datetime(["2020-01-01"] * 3), "y_source must hold numbers.*datetime64"),
        (sp.csr_array(np.ones((3, 2))), "y_source must be .* but is sparse"),
        (np.ones((3, 2, 1)), r"y_source must be .* but has shape \(3, 2, 1\)"),
        (np.ones((3, 0)), r"y_source must be .* but has shape \(3, 0\)"),
        (5.0, r"y_source must be .* but has shape \(\)"),
        ([1.0, 2.0], "y_source has 2 labels but X_source has 3 rows"),
        ([[1.0], [2.0, 3.0], [4.0]], "y_source must hold one or more numbers per row"),
    ],
)
def test_what_is_not_numbers_is_named(y, error):
    with pytest.raises(ValueError, match=error):
        plain_numbers(y, "y_source", is_kept=np.ones(3, bool))


def test_labels_of_rows_that_do_not_count_may_be_anything():
    kept = np.array([True, False, True])
    for other in (np.nan, None, "?"):
        read = plain_numbers(np.array([1.0, other, 2.0], dtype=object), is_kept=kept)
        assert_array_equal(read[:, 0], [1.0, 2.0])


# -- the scale ------------------------------------------------------------------------------------


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e6),
    st.integers(0, 2**31 - 1),
)
def test_the_scale_restores_the_labels(location, scale, seed):
    y = location + scale * np.random.RandomState(seed).standard_normal((20, 2))
    measured = LabelScale.measure(y, None, is_vector=False)
    scaled = measured.apply(y)
    assert scaled.dtype == np.float32
    assert_allclose(scaled.mean(0), 0.0, atol=1e-5)
    assert_allclose(scaled.std(0), 1.0, rtol=1e-4)
    assert_allclose(measured.restore(scaled), y, atol=1e-5 * scale, rtol=1e-12)


def test_weights_of_rows_count_as_repetitions():
    y, weight = np.array([[1.0], [2.0], [10.0]]), np.array([3.0, 1.0, 2.0])
    weighted = LabelScale.measure(y, weight, is_vector=True)
    repeated = LabelScale.measure(y.repeat(weight.astype(int), axis=0), None, is_vector=True)
    assert_allclose(weighted.location, repeated.location)
    assert_allclose(weighted.scale, repeated.scale)


def test_the_prediction_of_a_constant_is_the_constant():
    y = np.stack([np.full(9, 0.1), np.arange(9.0)], axis=1)
    scale = LabelScale.measure(y, None, is_vector=False)
    assert scale.scale[0] == 0.0
    assert not scale.apply(y)[:, 0].any()
    restored = scale.restore(np.random.default_rng(0).normal(size=(5, 2)))
    assert_array_equal(restored[:, 0], 0.1)
    assert len(np.unique(restored[:, 1])) == 5


def test_huge_numbers_do_not_overflow():
    y = np.array([[1e300], [-1e300], [3e299]])
    scale = LabelScale.measure(y, None, is_vector=True)
    assert np.isfinite(scale.scale).all()
    assert_allclose(scale.restore(scale.apply(y)), y[:, 0], rtol=1e-6)


def test_predictions_have_the_dimensions_of_the_labels():
    y = np.arange(4.0)[:, None]
    assert LabelScale.measure(y, None, is_vector=True).restore(y).shape == (4,)
    assert LabelScale.measure(y, None, is_vector=False).restore(y).shape == (4, 1)
