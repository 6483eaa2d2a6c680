"""Target rows against source rows: one check for fits, scorers, metrics and displays."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.linear_model import LogisticRegression

from skdann import DANNClassifier
from skdann._input.matching import match_target, name_targets
from skdann.inspection import DomainShiftDisplay
from skdann.metrics import domain_auc
from skdann.model_selection import InformationMaximizationScorer

ROWS = np.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize(
    "container", [np.asarray, np.ndarray.tolist, sp.csr_matrix, sp.csr_array, sp.coo_array]
)
def test_matching_rows_are_returned_unchanged(container):
    rows, source = container(ROWS[:2]), container(ROWS)
    assert match_target("X_target", rows, source) is rows


def test_texts_match_texts():
    texts = ["a", "b"]
    assert match_target("X_target", texts, ["c"]) is texts
    ragged = [[1], [1, 2]]
    assert match_target("X_target", ragged, ["c"]) is ragged


@pytest.mark.parametrize("make_frame", [pd.DataFrame, pl.DataFrame])
def test_columns_of_a_frame_are_ordered_like_the_source(make_frame):
    source = make_frame(dict(zip("abc", ROWS.T, strict=True)))
    turned = source[["c", "a", "b"]]
    assert_array_equal(np.asarray(match_target("X_target", turned, source)), ROWS)
    assert match_target("X_target", source, source) is source


@pytest.mark.parametrize(
    ("rows", "source", "text"),
    [
        (ROWS[0], ROWS, r"X_target must be 2-D like X, which has shape \(4, 3\), but .* \(3,\)"),
        ([ROWS, ROWS], ROWS, r"\(2, 4, 3\); .* several targets as a tuple of arrays"),
        (ROWS[:, :2], ROWS, "X_target has 2 features but X has 3; .*make_pipeline"),
        (pd.DataFrame(ROWS), ROWS, "X_target is a data frame but X is an array; .*of one kind"),
        (sp.csr_array(ROWS), ROWS, "X_target is a sparse matrix but X is an array"),
        (ROWS, sp.csr_array(ROWS), "X_target is an array but X is a sparse matrix"),
        (
            pd.DataFrame(ROWS, columns=["a", "b", "d"]),
            pd.DataFrame(ROWS, columns=["a", "b", "c"]),
            r"columns of X_target differ from those of X: missing \['c'\].*source \['d'\]",
        ),
        (
            pd.DataFrame(ROWS, columns=["a", "b", "b"]),
            pd.DataFrame(ROWS[:, :2], columns=["a", "b"]),
            r"columns of X_target differ",
        ),
    ],
)
def test_rows_that_do_not_match_are_refused(rows, source, text):
    with pytest.raises(ValueError, match=text):
        match_target("X_target", rows, source, source_name="X")


def test_targets_are_named_by_their_place():
    assert list(name_targets(ROWS)) == list(name_targets((ROWS,))) == ["X_target"]
    several = name_targets((ROWS, ROWS[:1]))
    assert list(several) == ["X_target[0]", "X_target[1]"]
    assert several["X_target[1]"].shape == (1, 3)
    with pytest.raises(ValueError, match=r"X_target is an empty tuple; leave it out\."):
        name_targets((), "leave it out")


def score(X, X_target):
    clf = LogisticRegression().fit(X, [0, 1, 0, 1])
    return InformationMaximizationScorer(X_target)(clf, X)


def report(X, X_target):
    clf = DANNClassifier(max_epochs=1, random_state=0).fit(X, [0, 1, 0, 1], X)
    return clf.diagnose(X, X_target)


@pytest.mark.parametrize("user", [domain_auc, DomainShiftDisplay.from_domains, score, report])
@pytest.mark.parametrize(
    ("X_target", "text"),
    [
        (ROWS[:, :2], "X_target has 2 features but X(_source)? has 3"),
        ((ROWS, ROWS[0]), r"X_target\[1\] must be 2-D like X"),
        (sp.csr_array(ROWS), "X_target is a sparse matrix but X(_source)? is an array"),
        ((), "X_target is an empty tuple"),
    ],
)
def test_every_user_gives_the_same_error(user, X_target, text):
    with pytest.raises(ValueError, match=text):
        user(ROWS, X_target)
