"""Mixup validation, against mixtures by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline as make_plain_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skdann.model_selection import MixValScorer
from skdann.model_selection._mixval import (
    PROBES,
    mix_rows,
    pair_rows,
)


def test_mixval_by_hand() -> None:
    clf = LogisticRegression().fit([[-1.0], [1.0]], ["minus", "plus"])  # the sign of x
    # only one pair has different labels: 0.55 * -1 + 0.45 * 3 > 0, which is wrong
    two = np.array([[-1.0], [3.0]])
    scores = [MixValScorer(two, probe=probe)(clf, two) for probe in ("intra", "inter", "both")]
    assert scores == [0.0, 0.5, 0.25]  # and there is no pair with the same label
    # for any pairs: correct within a label; across labels the distant rows dominate
    four = np.array([[-1.0], [-2.0], [10.0], [11.0]])
    scores = [MixValScorer(four, probe=probe)(clf, four) for probe in ("intra", "inter", "both")]
    assert scores == [1.0, 0.5, 0.75]
    assert MixValScorer(four, probe="inter", share=0.95)(clf, four) == 1.0


def test_mixval_does_not_reward_collapse() -> None:
    clf = LogisticRegression().fit([[-1.0], [1.0]], [0, 1])
    one_sided = np.array([[1.0], [2.0], [3.0]])
    scores = [MixValScorer(one_sided, probe=probe)(clf, one_sided) for probe in PROBES]
    assert scores == [1.0, 0.0]
    assert MixValScorer(one_sided)(clf, one_sided) == 0.5


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(0, 2**31))
def test_pairs(labels: list[int], seed: int) -> None:
    label = np.array(labels)
    counts = np.bincount(label)[label]
    first, second = pair_rows(label, "intra", seed)
    assert sorted(first) == np.flatnonzero(counts > 1).tolist() == sorted(second)
    assert (first != second).all()
    assert (label[first] == label[second]).all()
    first, second = pair_rows(label, "inter", seed)
    assert sorted(first) == np.flatnonzero(counts < len(label)).tolist()
    assert (label[first] != label[second]).all()


def test_pairs_depend_on_the_seed() -> None:
    label = np.arange(60) % 3
    for probe in ("intra", "inter"):
        pairs = [pair_rows(label, probe, seed)[1].tolist() for seed in (0, 0, 1)]
        assert pairs[0] == pairs[1] != pairs[2]


def test_rows_are_mixed_dense_and_sparse() -> None:
    rows = np.array([[0.0, 2.0], [4.0, 0.0]])
    expected = [[1.6, 1.2], [2.4, 0.8]]
    pair = np.array([0, 1]), np.array([1, 0])
    assert_allclose(mix_rows(rows, *pair, 0.6), expected)
    assert_allclose(mix_rows(sp.csr_array(rows), *pair, 0.6).toarray(), expected)


def test_mixval_mixes_the_rows_of_the_last_step() -> None:
    frame = pd.DataFrame({"x": [-1.0, -2.0, 10.0, 11.0], "kind": list("abba")})
    encode = make_column_transformer((StandardScaler(), ["x"]), (OneHotEncoder(), ["kind"]))
    pipe = make_plain_pipeline(encode, LogisticRegression(C=1e3)).fit(frame, [0, 0, 1, 1])
    rows = pipe[0].transform(frame)
    score = MixValScorer(frame, probe="inter")(pipe, frame)
    last = MixValScorer(rows, probe="inter")(pipe[-1], rows)
    assert score == last
    # by hand: the scaled values are about -1.03 and 1.03, so the larger share dominates
    assert score == 1.0


@pytest.mark.parametrize("make_frame", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_mixval_keeps_the_names_of_columns(shifted: Any, make_frame: Any) -> None:
    X, y, X_target = shifted
    names = [f"x{i}" for i in range(X.shape[1])]
    frames = [make_frame(dict(zip(names, rows.T, strict=True))) for rows in (X, X_target)]
    score = MixValScorer(frames[1])(LogisticRegression().fit(frames[0], y), frames[0])
    assert score == MixValScorer(X_target)(LogisticRegression().fit(X, y), X)
    # also where the steps of a pipeline pass frames on
    pipe = make_plain_pipeline(StandardScaler(), LogisticRegression())
    pipe.set_output(transform="pandas" if make_frame is pd.DataFrame else "polars")
    plain = make_plain_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    expected = MixValScorer(X_target)(plain, X)
    assert MixValScorer(frames[1])(pipe.fit(frames[0], y), frames[0]) == expected
