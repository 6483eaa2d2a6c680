"""Containers: every one gives the fit of arrays, and what is masked is never read."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from numpy.testing import assert_array_equal
from pyarrow.dataset import dataset
from scipy import sparse

from skdann import DANNClassifier, DANNClassifierCV
from skdann._input.containers import column_names, stack_rows, unwrap
from skdann._input.domains import check_domains
from skdann.metrics import domain_auc, effective_sample_size
from skdann.model_selection import (
    ImportanceWeightedScorer,
    InformationMaximizationScorer,
)
from tests.input.common import (
    MASK,
    METHODS,
    NAMES,
    WORDS,
    XS,
    XT,
    YS,
    arrow,
    make_clf,
    pandas,
    polars,
)


class Subclass(np.ndarray):
    """An array that numpy does not make plain by itself."""


ARRAYS: dict[str, Callable[[np.ndarray], Any]] = {
    "float64": lambda X: X.astype(np.float64),
    "big endian": lambda X: X.astype(">f8"),
    "longdouble": lambda X: X.astype(np.longdouble),
    "objects": lambda X: X.astype(object),
    "subclass": lambda X: X.view(Subclass),
    "masked, nothing masked": lambda X: np.ma.array(X, mask=np.zeros(X.shape, bool)),
    "masked, no mask": np.ma.array,
    "list": lambda X: X.tolist(),
    "list of tuples": lambda X: list(map(tuple, X.tolist())),
    "list of series": lambda X: [pd.Series(row) for row in X],
    "list of tensors": lambda X: list(torch.tensor(X)),
    "tensor": torch.tensor,
    "tensor, float64": lambda X: torch.tensor(X, dtype=torch.float64),
    "tensor with gradient": lambda X: torch.tensor(X, requires_grad=True),
    "tensor, negative view": lambda X: (
        torch.complex(torch.tensor(0 * X), torch.tensor(-X)).conj().imag
    ),
    "tensor, a view": lambda X: torch.tensor(np.repeat(X, 2, axis=0))[::2],
    "dask array": lambda X: da.from_array(X, chunks=(7, 2)),
}
SPARSE: dict[str, Callable[[np.ndarray], Any]] = {
    **{
        f"{kind} {what}": (lambda X, make=f"{kind}_{what}": getattr(sparse, make)(X))
        for kind in ("csr", "csc", "coo", "lil", "dok", "dia", "bsr")
        for what in ("array", "matrix")
    },
    "sparse tensor": lambda X: torch.tensor(X).to_sparse(),
    "sparse tensor, CSC": lambda X: torch.tensor(X).to_sparse_csc(),
}
FRAMES: dict[str, Callable[[np.ndarray], Any]] = {
    "pandas": pandas,
    "pandas, float64": lambda X: pandas(X.astype(np.float64)),
    "pandas, mixed floats": lambda X: pandas(X).astype({"a": "float64"}),
    "pandas, objects": lambda X: pandas(X).astype(object),
    "pandas, nullable": lambda X: pandas(X).astype("Float32"),
    "pandas, nullable and not": lambda X: pandas(X).astype({"a": "Float64"}),
    "pandas, arrow": lambda X: pandas(X).astype("double[pyarrow]"),
    "pandas, arrow and not": lambda X: pandas(X).astype({"b": "float[pyarrow]"}),
    "pandas, sparse": lambda X: pandas(X).astype(pd.SparseDtype(np.float32, 0.0)),
    "pandas, sparse in part": lambda X: pandas(X).astype({"a": pd.SparseDtype(np.float32, 0.0)}),
    "pandas, sparse around NaN": lambda X: pandas(X).astype(pd.SparseDtype(np.float32, np.nan)),
    "pandas, index of strings": lambda X: pandas(X, index=[f"r{i}" for i in range(len(X))]),
    "polars": polars,
    "polars, lazy": lambda X: polars(X).lazy(),
    "polars, mixed floats": lambda X: polars(X).cast({"a": pl.Float64}),
    "arrow": arrow,
    "arrow, chunked": lambda X: pa.concat_tables([arrow(X[:7]), arrow(X[7:])]),
    "arrow, one batch": lambda X: arrow(X).to_batches()[0],
    "arrow, dataset": lambda X: dataset([arrow(X[:7]), arrow(X[7:])]),
    "dask frame": lambda X: dd.from_pandas(pandas(X), npartitions=2),
}
CONTAINERS = {**ARRAYS, **SPARSE, **FRAMES}


@pytest.fixture(scope="module")
def thin() -> DANNClassifier:
    return make_clf().fit(sparse.csr_array(XS), YS, sparse.csr_array(XT))


def right_of(name: str, dense: Any, thin: Any) -> DANNClassifier:
    return thin if name in SPARSE or name == "pandas, sparse" else dense


@pytest.mark.filterwarnings("ignore:Sparse (CSR|CSC) tensor support is in beta")
@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_the_fit_of_arrays(name: str, dense: Any, thin: Any) -> None:
    make, right = CONTAINERS[name], right_of(name, dense, thin)
    clf = make_clf().fit(make(XS), YS, make(XT))
    several = make_clf().fit(make(XS), YS, (make(XT), make(XT[:9])))
    pooled = make_clf().fit(
        make(np.vstack([XS, XT])), np.append(YS, 0 * XT[:, 0]), sample_domain=[0] * 40 + [-1] * 30
    )
    for method in METHODS:
        expected = getattr(right, method)(XT)
        assert_array_equal(getattr(clf, method)(make(XT)), expected)
        assert_array_equal(getattr(pooled, method)(make(XT)), expected)
    assert several.domains_.tolist() == [0, -1, -2]
    if name in FRAMES:
        assert clf.feature_names_in_.tolist() == NAMES
    else:
        assert not hasattr(clf, "feature_names_in_")


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("other", ["pandas", "polars", "arrow"])
def test_frames_of_two_libraries_are_matched_by_name(
    name: str, other: str, dense: Any, thin: Any
) -> None:
    def turned(X: np.ndarray) -> Any:
        frame = CONTAINERS[other](X)
        return frame.select(["b", "a"]) if hasattr(frame, "select") else frame[["b", "a"]]

    clf = make_clf().fit(CONTAINERS[name](XS), YS, turned(XT))
    right = right_of(name, dense, thin)
    assert_array_equal(clf.predict_proba(CONTAINERS[other](XT)), right.predict_proba(XT))
    with pytest.raises(ValueError, match="same order"):
        clf.predict(turned(XT))


def figures(make: Callable[[np.ndarray], Any], clf: Any) -> list[float]:
    """A metric, and scores with one target and with two, for rows of a container."""
    return [
        domain_auc(make(XS), make(XT), random_state=0),
        *(
            scorer(targets)(clf, make(XS), YS)
            for scorer in (InformationMaximizationScorer, ImportanceWeightedScorer)
            for targets in (make(XT), (make(XT), make(XT)))
        ),
    ]


@pytest.fixture(scope="module")
def right_figures(dense: Any) -> dict[bool, list[float]]:
    """Figures for arrays, by whether they are sparse."""
    makes = {False: np.asarray, True: sparse.csr_array}
    return {is_sparse: figures(make, dense) for is_sparse, make in makes.items()}


@pytest.fixture(scope="module")
def of_frames() -> DANNClassifier:
    return make_clf().fit(pandas(XS), YS, pandas(XT))


@pytest.mark.filterwarnings("ignore:Sparse (CSR|CSC) tensor support is in beta")
@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_in_metrics_scorers_and_reports(
    name: str, dense: Any, of_frames: Any, right_figures: dict[bool, list[float]]
) -> None:
    make = CONTAINERS[name]
    clf = of_frames if name in FRAMES else dense
    is_sparse = name in SPARSE or name == "pandas, sparse"
    assert figures(make, clf) == right_figures[is_sparse]
    report = clf.diagnose(make(XS), make(XT), y_source=YS)
    assert report.n_target == 30


def test_frames_of_several_libraries_are_stacked() -> None:
    frames = [pandas(XS), polars(XS), arrow(XS)]
    for first in frames:
        for second in frames:
            stacked = stack_rows([first, second])
            assert column_names(stacked) == NAMES
            assert_array_equal(np.asarray(unwrap(stacked, "X")), np.vstack([XS, XS]))


@pytest.mark.slow
def test_tensors_under_array_api_dispatch() -> None:
    script = (
        "import numpy as np, sklearn, torch\n"
        "from skdann import DANNClassifier\n"
        "X = np.random.default_rng(0).normal(size=(40, 2)); y = np.arange(40) % 2\n"
        "make = lambda: DANNClassifier(max_epochs=1, random_state=0)\n"
        "right = make().fit(X, y, X + 1).predict_proba(X)\n"
        "with sklearn.config_context(array_api_dispatch=True):\n"
        "    for clf in (make().fit(X, y, X + 1), make().fit(*map(torch.tensor, (X, y, X + 1)))):\n"
        "        assert (clf.predict_proba(torch.tensor(X)) == right).all()\n"
        "        assert (clf.predict_proba(X) == right).all()\n"
        "        assert clf.score(X, y) == clf.score(torch.tensor(X), torch.tensor(y))\n"
    )
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


MASKED_ROWS = np.ma.array(np.where(MASK[:, None], -9999.0, XS), mask=np.c_[MASK, MASK])


def masked(values: Any) -> np.ma.MaskedArray:
    return np.ma.array(values, mask=MASK)


MASKED: dict[str, tuple[str, Any, Callable[[Any], Any]]] = {
    "X_source": ("X_source", MASKED_ROWS, lambda X: make_clf().fit(X, YS, XT)),
    "X_target": ("X_target", MASKED_ROWS, lambda X: make_clf().fit(XS, YS, X)),
    "X_target in a tuple": (
        r"X_target\[1\]",
        MASKED_ROWS,
        lambda X: make_clf().fit(XS, YS, (XT, X)),
    ),
    "list of rows": ("X_source", list(MASKED_ROWS), lambda X: make_clf().fit(X, YS, XT)),
    "objects": ("X_source", MASKED_ROWS.astype(object), lambda X: make_clf().fit(X, YS, XT)),
    "masked constants": (
        "X_source",
        [[0.0, np.ma.masked] for _ in YS],
        lambda X: make_clf().fit(X, YS, XT),
    ),
    "y_source": ("y_source", masked(YS), lambda y: make_clf().fit(XS, y, XT)),
    "y_source of strings": ("y_source", masked(WORDS), lambda y: make_clf().fit(XS, y, XT)),
    "sample_weight": (
        "sample_weight",
        masked(YS + 1.0),
        lambda w: make_clf().fit(XS, YS, XT, sample_weight=w),
    ),
    "sample_domain": (
        "sample_domain",
        masked(YS),
        lambda d: make_clf().fit(XS, YS, XT, sample_domain=d),
    ),
    "partial_fit": (
        "X_target",
        MASKED_ROWS,
        lambda X: make_clf().partial_fit(XS, YS, X, classes=[0, 1]),
    ),
    "search": (
        "X_target",
        MASKED_ROWS,
        lambda X: DANNClassifierCV(make_clf()).fit(XS, YS, X),
    ),
    "domain_auc": ("X_target", MASKED_ROWS, lambda X: domain_auc(XS, X)),
    "weights": ("weights", masked(YS), effective_sample_size),
}


@pytest.mark.parametrize(("name", "value", "call"), MASKED.values(), ids=MASKED)
def test_what_is_masked_is_never_read(name: str, value: Any, call: Any) -> None:
    with pytest.raises(ValueError, match=rf"{name} is a masked array with \d+ masked"):
        call(value)


@pytest.mark.parametrize(
    "call",
    [
        lambda clf: clf.predict(MASKED_ROWS),
        lambda clf: clf.predict_proba(XS, sample_domain=masked(YS)),
        lambda clf: clf.transform(list(MASKED_ROWS)),
        lambda clf: clf.score(XS, masked(YS)),
        lambda clf: clf.score(XS, YS, masked(np.ones(40))),
        lambda clf: clf.score(XS, YS, sample_domain=masked(0 * YS)),
        lambda clf: clf.diagnose(XS, MASKED_ROWS),
        lambda clf: clf.diagnose(XS, XT, y_source=masked(YS)),
        lambda clf: InformationMaximizationScorer(MASKED_ROWS)(clf, XS),
        lambda clf: ImportanceWeightedScorer(XT)(clf, XS, masked(YS)),
    ],
)
def test_what_is_masked_is_never_read_by_a_fitted_estimator(call: Any, dense: Any) -> None:
    with pytest.raises(ValueError, match="masked"):
        call(dense)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        (pandas, np.asarray, "X_target is an array but X_source is a data frame"),
        (arrow, np.asarray, "X_target is an array but X_source is a data frame"),
        (np.asarray, arrow, "X_target is a data frame but X_source is an array"),
        (np.asarray, lambda X: torch.tensor(X).to_sparse(), "X_target is a sparse matrix but"),
        (pandas, lambda X: polars(X).rename({"a": "z"}), r"missing \['a'\].*source \['z'\]"),
        (arrow, lambda X: pandas(X)[["a"]], r"missing \['b'\].*negative sample_domain"),
        (pd.DataFrame, polars, r"missing \[0, 1\].*source \['a', 'b'\]"),
        (np.asarray, lambda X: X[:, :1], "make_pipeline.*selects columns.*negative sample_domain"),
    ],
)
def test_domains_of_unlike_containers_are_refused(source: Any, target: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make_clf().fit(source(XS), YS, target(XT))


def test_a_frame_sparse_in_one_domain_only(dense: Any, thin: Any) -> None:
    thinner = FRAMES["pandas, sparse"]
    one = make_clf().fit(thinner(XS), YS, pandas(XT))
    assert_array_equal(one.predict_proba(pandas(XT)), thin.predict_proba(XT))
    other = make_clf().fit(pandas(XS), YS, thinner(XT))
    assert_array_equal(other.predict_proba(thinner(XT)), dense.predict_proba(XT))


def test_reading_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for make in CONTAINERS.values():
            if "tensor" not in str(type(make(XS))).lower():
                check_domains(make(XS), YS, make(XT))
