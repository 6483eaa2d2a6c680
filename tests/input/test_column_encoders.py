"""Encoders of single columns, against what they replace."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import OneHotEncoder

from skdann._input.column_encoders import (
    MAX_CATEGORIES,
    N_HASHED,
    CategoryEncoder,
    DateEncoder,
    TextEncoder,
    describe_encoder,
    fit_encoder,
    read_encoder,
)


def texts(*values: Any) -> np.ndarray:
    return np.array(values, dtype=object)


def test_missing_numbers_become_the_median_of_all_parts() -> None:
    parts = [np.array([1.0, np.nan, 2.0]), np.array([10.0])]
    encoder = fit_encoder("number", parts)
    assert_array_equal(encoder.encode(parts[0]), [[1.0], [2.0], [2.0]])
    assert encoder.treatment == "number; missing: 2"


def test_durations_are_days() -> None:
    encoder = fit_encoder("duration", [np.array([36, "NaT"], dtype="m8[h]")])
    assert_array_equal(encoder.encode(np.array(["NaT", 12], dtype="m8[h]")), [[1.5], [0.5]])


def test_indicators_equal_those_of_a_one_hot_encoder() -> None:
    parts = [texts("b", "a", "a"), texts("c", "a")]
    encoder = fit_encoder("category", parts)
    assert isinstance(encoder, CategoryEncoder)
    rows = np.concatenate([*parts, texts("unseen")])
    expected = OneHotEncoder(sparse_output=False, handle_unknown="ignore").fit(rows[:5, None])
    assert_array_equal(encoder.encode(rows), expected.transform(rows[:, None]))
    assert encoder.names("w") == ["w=a", "w=b", "w=c"]
    assert not encoder.encode(texts(None)).any()


def test_rare_categories_share_one_column() -> None:
    values = texts(*["a"] * 500, *["b"] * 480, *[f"rare {i}" for i in range(20)])
    encoder = fit_encoder("category", [values])
    assert encoder.names("w") == ["w=a", "w=b", "w: others"]
    assert_array_equal(encoder.encode(values).sum(0), [500, 480, 20])
    assert_array_equal(encoder.encode(texts("new")), [[0, 0, 1]])


def test_a_category_of_one_domain_is_kept_whatever_the_size_of_the_other() -> None:
    encoder = fit_encoder("category", [texts(*["a", "b"] * 5000), texts(*["c"] * 20)])
    assert encoder.names("") == ["=a", "=b", "=c"]


def test_many_values_are_text_of_a_fixed_number_of_columns() -> None:
    names = texts(*[f"passenger {i}" for i in range(1000)], None)
    encoder = fit_encoder("category", [names])
    assert isinstance(encoder, TextEncoder)
    hashed = encoder.encode(names)
    assert hashed.shape == (1001, N_HASHED) == (1001, len(encoder.names("")))
    assert_array_equal(hashed[-1], 0.0)
    assert_allclose(np.linalg.norm(hashed[:-1], axis=1), 1.0, rtol=1e-5)
    alike, unlike = encoder.encode(texts("passenger 7", "passenger 8", "42 Elm Street"))[[1, 2]]
    assert hashed[7] @ alike > hashed[7] @ unlike
    assert len(fit_encoder("category", [texts(*[f"{i % 60}" for i in range(600)])]).names("")) == (
        MAX_CATEGORIES + 1
    )


def test_dates_are_numbers_and_turns() -> None:
    dates = np.array(["1970-01-01", "1970-01-05", "NaT"], dtype="M8[D]")
    encoder = fit_encoder("date", [dates])
    encoded = encoder.encode(dates)
    assert_array_equal(encoded[:, 0], [0.0, 4.0, 2.0])
    assert_array_equal(encoded[:, 3], [3.0, 0.0, 5.0])  # Thursday, Monday, Saturday
    assert_allclose((encoded[:, 1:3] ** 2).sum(1), 1.0)
    with_time = fit_encoder("date", [dates.astype("M8[h]") + np.timedelta64(6, "h")])
    assert isinstance(with_time, DateEncoder)
    assert_allclose(with_time.encode(dates)[0, 4:], [0.0, 1.0], atol=1e-9)
    assert with_time.n_encoded == encoder.n_encoded + 2 == 6


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("number", np.array([1.0])),
        ("boolean", np.array([True])),
        ("duration", np.array([1], dtype="m8[D]")),
        ("date", np.array(["2020-01-01"], dtype="M8[D]")),
        ("category", texts("a", "b")),
        ("category", texts(*map(str, range(99)))),
        ("empty", texts(None)),
    ],
)
def test_descriptions_give_the_same_encoder(kind: str, values: np.ndarray) -> None:
    encoder = fit_encoder(kind, [values])
    assert read_encoder(describe_encoder(encoder)) == encoder
    assert encoder.encode(values).shape == (len(values), encoder.n_encoded)
    assert encoder.treatment
