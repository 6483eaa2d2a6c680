"""Columns that tell the domains apart by themselves."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from skdann import DANNClassifier, DomainColumnWarning

N = 60
RNG = np.random.default_rng(0)
Y = np.arange(N) % 2
BASE = pd.DataFrame({"x": RNG.normal(size=N), "c": RNG.choice(["a", "b"], N)})


def fit(source: Any, target: Any) -> DANNClassifier:
    clf = DANNClassifier(feature_extractor=(4,), max_epochs=1, random_state=0)
    return clf.fit(source, Y[: len(source)], target)


DAYS = pd.date_range("2020-01-01", periods=N)
APART = {
    "site": (["A"] * N, ["B"] * N),
    "one site of a source": (["A"] * N, ["B", "C"] * (N // 2)),
    "date": (DAYS, DAYS + pd.Timedelta(days=N)),
    "date as text": (DAYS.astype(str), (DAYS + pd.Timedelta(days=N)).astype(str)),
    "identifier": (np.arange(N), np.arange(N) + N),
    "identifier as text": ([f"ward-{i}" for i in range(N)], [f"icu/{i}" for i in range(N)]),
    "missing in one": (np.full(N, np.nan), RNG.normal(size=N)),
    "constant in one": (np.full(N, 2.0), RNG.normal(size=N)),
    "two constants": (np.zeros(N), np.ones(N)),
}
TOGETHER = {
    "constant in both": (["A"] * N, ["A"] * N),
    "constant number in both": (np.ones(N), np.ones(N)),
    "another unit": (RNG.normal(size=N), 100 + RNG.normal(size=N)),
    "other shares": (["A"] * 50 + ["B"] * 10, ["A"] * 10 + ["B"] * 50),
    "rarely another value": (np.zeros(N), np.r_[np.zeros(N - 4), np.ones(4)]),
    "overlapping identifiers": (np.arange(N), np.arange(N) + N // 2),
    "names": ([f"case {i}" for i in range(N)], [f"case {i}" for i in range(N, 2 * N)]),
}


@pytest.mark.parametrize("values", APART.values(), ids=APART)
def test_a_column_that_tells_the_domains_apart_warns_and_is_diagnosed(values: Any) -> None:
    source, target = BASE.assign(z=values[0]), BASE.assign(z=values[1])
    with pytest.warns(DomainColumnWarning, match="Column 'z' tells the domains") as caught:
        clf = fit(source, target)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    report = clf.diagnose(source, target)
    assert report.domain_columns == ("z",)
    assert "'z'" in report.findings["domain_columns"]


@pytest.mark.parametrize("values", TOGETHER.values(), ids=TOGETHER)
def test_other_columns_do_not_warn(values: Any) -> None:
    fit(BASE.assign(z=values[0]), BASE.assign(z=values[1]))  # a warning would be an error


def test_columns_of_numbers_and_many_names() -> None:
    zeros, ones = pd.DataFrame(np.zeros((N, 12))), pd.DataFrame(np.ones((N, 12)))
    with pytest.warns(DomainColumnWarning, match=r"Columns 0, 1, .* 9 and 2 more tell"):
        fit(
            zeros.assign(x=0.0).rename(columns=lambda c: 12 if c == "x" else c).assign(),
            ones.assign(x=0.0).rename(columns=lambda c: 12 if c == "x" else c),
        )


def test_arrays_and_small_tables_are_not_examined() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(np.zeros((N, 1)), np.ones((N, 1)))
        fit(pd.DataFrame({"z": [0.0] * 10}), pd.DataFrame({"z": [1.0] * 10}))
