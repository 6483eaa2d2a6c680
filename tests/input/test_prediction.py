"""Rows to predict: those unlike the rows of the fit are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.exceptions import NotFittedError

from skdann import DANNClassifier, SourceOnlyWarning
from tests.input.tables import XS, XT, YS, pandas, put

METHODS = ("predict", "predict_proba", "predict_log_proba", "transform", "predict_domain_proba")


@pytest.mark.parametrize("method", METHODS)
def test_inference_refuses_rows_unlike_those_of_the_fit(make_clf: Any, method: str) -> None:
    clf = make_clf().fit(pandas(XS), YS, pandas(XT))
    infer = getattr(clf, method)
    for rows, says in (
        (pandas(XT).rename(columns={"a": "z"}), "unseen at fit time(.|\n)*z"),
        (pandas(XT)[["b", "a", "c", "d"]], "same order"),
        (pandas(XT)[["a", "b"]], "missing(.|\n)*c"),
        (pandas(put(XT, np.inf)), "infinity"),
    ):
        with pytest.raises(ValueError, match=says):
            infer(rows)
    infer = getattr(make_clf().fit(XS, YS, XT), method)
    for rows, says in (
        (XT[:, :3], "3 features, but DANNClassifier is expecting 4"),
        (sparse.csr_array(XT[:, :3]), "3 features, but DANNClassifier is expecting 4"),
        (XT[0], "2D array, got 1D"),
        (XT[:0], "0 sample"),
        (put(XT, "red", object), "red"),
        (XT * 1j, "Complex data not supported"),
    ):
        with pytest.raises(ValueError, match=says):
            infer(rows)


@pytest.mark.parametrize("method", METHODS)
def test_inference_refuses_values_too_large_for_float32(make_clf: Any, method: str) -> None:
    clf = make_clf().fit(XS, YS, XT)
    for make in (np.asarray, sparse.csr_array):
        with pytest.raises(ValueError, match=r"too large for (float32|dtype)"):
            getattr(clf, method)(make(put(XT, 1e39)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("domain", "says"),
    [
        (5, r"contains \[5\].*\[0, -1\]"),
        (np.full(30, -2), r"contains \[-2\].*\[0, -1\]"),
        (np.full(29, -1), "29 entries.*30 rows"),
        (np.full(30, -0.5), "must hold integers.*float64"),
        (["t"] * 30, "must hold integers"),
        (np.full((30, 2), -1), "sample_domain.*1-?[dD]"),
    ],
    ids=["scalar", "vector", "length", "fraction", "text", "2-D"],
)
def test_inference_refuses_unknown_domains(
    make_clf: Any, method: str, domain: Any, says: str
) -> None:
    clf = make_clf(normalization="domain_batch").fit(XS, YS, XT)
    with pytest.raises(ValueError, match=says):
        getattr(clf, method)(XT, sample_domain=domain)


def test_sample_domain_chooses_the_statistics_of_inference(make_clf: Any) -> None:
    clf = make_clf(normalization="domain_batch").fit(XS, YS, XT)
    as_source, as_target = (clf.predict_proba(XT, sample_domain=name) for name in (0, -1))
    assert not np.allclose(as_source, as_target)
    mixed = clf.predict_proba(XT, sample_domain=np.arange(30) % 2 - 1)
    assert_array_equal(mixed, np.where(np.arange(30)[:, None] % 2, as_source, as_target))


@pytest.mark.parametrize("method", METHODS)
def test_inference_wants_a_fit(make_clf: Any, method: str) -> None:
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(make_clf(), method)(XT)


def test_without_target_there_are_no_domain_probabilities(make_clf: Any) -> None:
    with pytest.warns(SourceOnlyWarning):
        clf = make_clf().fit(XS, YS)
    with pytest.raises(ValueError, match=r"source alone.*X_target"):
        clf.predict_domain_proba(XT)


def test_dates_are_refused_in_both_domains_and_in_predict() -> None:
    X, y = np.random.RandomState(0).standard_normal((20, 2)), np.arange(20) % 2
    dates = np.arange(40).reshape(20, 2).astype("M8[s]")
    with pytest.raises(TypeError, match=r"X_source must hold .* datetime64.*; encode dates"):
        DANNClassifier().fit(dates, y, dates)
    clf = DANNClassifier(max_epochs=1).fit(X, y, X)
    with pytest.raises(TypeError, match=r"X must hold .* datetime64"):
        clf.predict(dates)
