"""Labels, weights and domains in any container."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.preprocessing import StandardScaler

from skdann import DANNClassifier, make_pipeline
from skdann._input.labels import plain_labels
from skdann.model_selection import (
    ImportanceWeightedScorer,
    ReverseValidationScorer,
)
from tests.input.common import MASK, WORDS, XS, XT, YS, make_clf

# -- labels ---------------------------------------------------------------------------------------


LABELS: dict[str, tuple[Any, np.ndarray]] = {
    "int": (YS, YS),
    "uint8": (YS.astype(np.uint8), YS),
    "bool": (YS == 1, YS == 1),
    "float": (YS.astype(float), YS),
    "strings": (WORDS, WORDS),
    "strings in objects": (WORDS.astype(object), WORDS),
    "list": (YS.tolist(), YS),
    "list of strings": (WORDS.tolist(), WORDS),
    "tuple": (tuple(YS.tolist()), YS),
    "masked, nothing masked": (np.ma.array(YS, mask=YS < 0), YS),
    "tensor": (torch.tensor(YS), YS),
    "tensor of booleans": (torch.tensor(YS == 1), YS == 1),
    "series": (pd.Series(YS), YS),
    "index": (pd.Index(YS), YS),
    "Int64": (pd.Series(YS, dtype="Int64"), YS),
    "Float64": (pd.Series(YS, dtype="Float64"), YS),
    "boolean": (pd.Series(YS == 1, dtype="boolean"), YS == 1),
    "int64 of arrow": (pd.Series(YS, dtype="int64[pyarrow]"), YS),
    "bool of arrow": (pd.Series(YS == 1, dtype="bool[pyarrow]"), YS == 1),
    "pandas array": (pd.array(YS, dtype="Int64"), YS),
    "string": (pd.Series(WORDS, dtype="string"), WORDS),
    "str": (pd.Series(WORDS), WORDS),
    "string of arrow": (pd.Series(WORDS, dtype=pd.ArrowDtype(pa.string())), WORDS),
    "category": (pd.Series(WORDS, dtype="category"), WORDS),
    "category of numbers": (pd.Series(YS, dtype="category"), YS),
    "categorical": (pd.Categorical(WORDS), WORDS),
    "sparse": (pd.Series(pd.arrays.SparseArray(YS)), YS),
    "polars": (pl.Series(YS), YS),
    "polars strings": (pl.Series(WORDS), WORDS),
    "polars booleans": (pl.Series(YS == 1), YS == 1),
    "polars categories": (pl.Series(WORDS, dtype=pl.Categorical), WORDS),
    "polars enum": (pl.Series(WORDS, dtype=pl.Enum(["no", "yes"])), WORDS),
    "arrow": (pa.array(YS), YS),
    "arrow strings": (pa.array(WORDS), WORDS),
    "arrow chunks": (pa.chunked_array([pa.array(WORDS[:9]), pa.array(WORDS[9:])]), WORDS),
    "arrow dictionary": (pa.array(WORDS).dictionary_encode(), WORDS),
}


SCORINGS = (None, "accuracy", "balanced_accuracy", "roc_auc")
SCORERS = (ImportanceWeightedScorer(XT), ReverseValidationScorer(XT))


def cross_validated(y: Any, scoring: Any) -> np.ndarray:
    params = {"X_target": (XT,)}
    return cross_val_score(make_clf(), XS, y, scoring=scoring, params=params, cv=2)


@pytest.fixture(scope="module")
def results_of_arrays() -> dict[str, tuple[Any, ...]]:
    """Return a fit, and scores in the order of the constants, for each kind of plain labels."""
    results = {}
    for plain in {plain.dtype.kind: plain for _, plain in LABELS.values()}.values():
        clf = make_clf().fit(XS, plain, XT)
        scores = [cross_validated(plain, scoring) for scoring in SCORINGS]
        target_scores = [scorer(clf, XS, plain) for scorer in SCORERS]
        results[plain.dtype.kind] = clf, scores, target_scores
    return results


def test_plain_labels_of_one_kind_are_equal() -> None:
    for _, plain in LABELS.values():
        assert_array_equal(plain, {"b": YS == 1, "U": WORDS}.get(plain.dtype.kind, YS))


@pytest.mark.parametrize(("y", "plain"), LABELS.values(), ids=LABELS)
def test_labels_of_every_container_work_throughout(
    y: Any, plain: np.ndarray, results_of_arrays: dict[str, tuple[Any, ...]]
) -> None:
    right, right_scores, right_target_scores = results_of_arrays[plain.dtype.kind]
    clf = make_clf().fit(XS, y, XT)
    assert clf.classes_.dtype.kind in "biufUO"
    assert clf.classes_.tolist() == right.classes_.tolist()
    assert_array_equal(clf.predict(XS), right.predict(XS))
    assert clf.score(XS, y) == accuracy_score(y, clf.predict(XS)) == right.score(XS, plain)
    for scoring, expected in zip(SCORINGS, right_scores, strict=True):
        if scoring == "roc_auc" and isinstance(y, pa.ChunkedArray):
            continue  # scikit-learn finds no pos_label
        assert_array_equal(cross_validated(y, scoring), expected)
    guess = cross_val_predict(make_clf(), XS, y, params={"X_target": (XT,)}, cv=2)
    assert balanced_accuracy_score(y, guess) == balanced_accuracy_score(plain, guess)
    for scorer, expected in zip(SCORERS, right_target_scores, strict=True):
        assert scorer(clf, XS, y) == expected
    pipe = make_pipeline(StandardScaler(), make_clf()).fit(XS, y, X_target=XT)
    assert pipe.score(XS, y) == accuracy_score(plain, pipe.predict(XS))
    search = GridSearchCV(make_clf(), {"lambda_max": [0.1, 0.3]}, cv=2)
    search.fit(XS, y, X_target=(XT,))
    assert np.isfinite(search.score(XS, y))


@pytest.mark.parametrize(
    "classes",
    [[0, 1], np.array([1, 0]), np.array([0, 1], object), pd.Series([0, 1], dtype="Int64")],
)
@pytest.mark.parametrize("name", ["int", "Int64", "polars", "tensor", "float"])
def test_labels_of_every_container_in_chunks(name: str, classes: Any) -> None:
    y = LABELS[name][0]
    clf = make_clf().partial_fit(XS, y, XT, classes=classes).partial_fit(XS, y, XT)
    right = make_clf().partial_fit(XS, YS, XT, classes=[0, 1]).partial_fit(XS, YS, XT)
    assert_array_equal(clf.predict_proba(XT), right.predict_proba(XT))


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("y", "remedy"),
    [
        (YS.astype(object), r"astype\(int\)"),
        (YS.astype(float).astype(object), r"astype\(float\)"),
        ((YS == 1).astype(object), r"astype\(bool\)"),
        (pd.Series(YS, dtype=object), r"astype\(int\)"),
        (pd.DataFrame({"y": YS}, dtype=object)["y"], r"astype\(int\)"),
        (pl.Series(values=YS.tolist(), dtype=pl.Object), r"astype\(int\)"),
    ],
)
def test_numbers_in_objects_are_refused_with_a_remedy(y: Any, remedy: str) -> None:
    with pytest.raises(TypeError, match=f"y_source .*dtype object.*metrics refuse.*{remedy}"):
        make_clf().fit(XS, y, XT)


def test_numbers_in_objects_are_taken_where_labels_are_missing() -> None:
    y = np.array([*YS.tolist(), *[None] * 30], dtype=object)
    domain = np.repeat([0, -1], [40, 30])
    clf = make_clf().fit(np.vstack([XS, XT]), y, sample_domain=domain)
    assert clf.classes_.dtype == np.int64
    assert_array_equal(clf.predict_proba(XT), make_clf().fit(XS, YS, XT).predict_proba(XT))


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    "y",
    [
        pd.Series(YS, dtype="Int64").mask(MASK),
        pd.Series(YS, dtype="int64[pyarrow]").mask(MASK),
        pd.Series(WORDS, dtype="category").mask(MASK),
        pd.Series(WORDS).mask(MASK),
        pl.Series([None, *YS[1:].tolist()]),
        pa.array([None, *WORDS[1:].tolist()]),
        [None, *YS[1:].tolist()],
        np.where(MASK, np.nan, YS),
        np.array([Decimal(int(label)) for label in YS]),
        WORDS.astype("S"),
        YS.astype("M8[D]"),
        YS + 0.5 * MASK,
        YS + 1j,
        [(int(label), 1) for label in YS],
    ],
)
def test_labels_that_are_none_are_refused(y: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="y_source"):
        make_clf().fit(XS, y, XT)


def test_plain_labels_names_its_argument() -> None:
    with pytest.raises(ValueError, match=r"Input labels contains NaN"):
        plain_labels([0, None], "labels")
    assert plain_labels([0, None, 1], is_kept=np.array([True, False, True])).tolist() == [0, 1]


# -- weights and domains --------------------------------------------------------------------------

VECTORS: dict[str, Callable[[np.ndarray], Any]] = {
    "list": np.ndarray.tolist,
    "series": lambda v: pd.Series(v, index=v * 0),
    "nullable": lambda v: pd.Series(v).convert_dtypes(),
    "arrow dtype": lambda v: pd.Series(v).convert_dtypes(dtype_backend="pyarrow"),
    "objects": lambda v: v.astype(object),
    "polars": pl.Series,
    "arrow": pa.array,
    "tensor": torch.tensor,
    "dask": lambda v: da.from_array(v, chunks=7),
    "masked, nothing masked": lambda v: np.ma.array(v, mask=v != v),
}


@pytest.mark.parametrize("make", VECTORS.values(), ids=VECTORS)
def test_weights_and_domains_of_every_container(make: Any) -> None:
    weight, domain = np.arange(40) % 3 + 0.5, np.arange(40) % 3 - 1

    def fit(wrap: Any) -> DANNClassifier:
        return make_clf(standardize="domain").fit(
            XS, YS, XT, sample_weight=wrap(weight), sample_domain=wrap(domain)
        )

    clf, right = fit(make), fit(np.asarray)
    assert clf.domains_.tolist() == [0, 1, -1]
    assert_array_equal(
        clf.predict_proba(XS, sample_domain=make(domain)),
        right.predict_proba(XS, sample_domain=domain),
    )
