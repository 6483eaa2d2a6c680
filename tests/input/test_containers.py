"""Every container that users hold gives the result of a plain array, or a clear error."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
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
from scipy import sparse
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.preprocessing import StandardScaler

from skdann import DANNClassifier, DANNClassifierCV, make_pipeline
from skdann._input.containers import column_names, stack_rows, unwrap
from skdann._input.domains import check_domains
from skdann._input.labels import plain_labels
from skdann.metrics import domain_auc, effective_sample_size
from skdann.model_selection import (
    ImportanceWeightedScorer,
    InformationMaximizationScorer,
    ReverseValidationScorer,
)

_rng = np.random.default_rng(5)
# float32 numbers, which every container and dtype below holds exactly
XS, XT = (_rng.normal(size=(n, 2)).astype(np.float32) for n in (40, 30))
YS = (XS[:, 0] > 0).astype(int)
WORDS = np.array(["no", "yes"])[YS]
NAMES = ["a", "b"]

METHODS = ("predict", "predict_proba", "transform")


def pandas(X: Any, **kwargs: Any) -> pd.DataFrame:
    return pd.DataFrame(X, columns=NAMES, **kwargs)


def arrow(X: np.ndarray) -> pa.Table:
    return pa.table({name: X[:, i] for i, name in enumerate(NAMES)})


def polars(X: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame(X, schema=NAMES)


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
    "dask frame": lambda X: dd.from_pandas(pandas(X), npartitions=2),
}
CONTAINERS = {**ARRAYS, **SPARSE, **FRAMES}


def make_clf(**params: Any) -> DANNClassifier:
    return DANNClassifier(
        **{"feature_extractor": (6,), "max_epochs": 2, "batch_size": 16, "random_state": 0} | params
    )


@pytest.fixture(scope="module")
def dense() -> DANNClassifier:
    return make_clf().fit(XS, YS, XT)


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


@pytest.mark.filterwarnings("ignore:Sparse (CSR|CSC) tensor support is in beta")
@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_in_metrics_scorers_and_reports(name: str, dense: Any) -> None:
    make = CONTAINERS[name]
    clf = make_clf().fit(pandas(XS), YS, pandas(XT)) if name in FRAMES else dense
    kind = sparse.csr_array if name in SPARSE or name == "pandas, sparse" else np.asarray
    assert domain_auc(make(XS), make(XT), random_state=0) == domain_auc(
        kind(XS), kind(XT), random_state=0
    )
    for scorer in (InformationMaximizationScorer, ImportanceWeightedScorer):
        right = scorer(kind(XT))(dense, kind(XS), YS)
        assert scorer(make(XT))(clf, make(XS), YS) == right
        assert scorer((make(XT), make(XT)))(clf, make(XS), YS) == scorer((kind(XT), kind(XT)))(
            dense, kind(XS), YS
        )
    report = clf.diagnose(make(XS), make(XT), y_source=YS)
    assert report.n_target == 30


def test_frames_of_several_libraries_are_stacked() -> None:
    frames = [pandas(XS), polars(XS), arrow(XS)]
    for first in frames:
        for second in frames:
            stacked = stack_rows([first, second])
            assert column_names(stacked) == NAMES
            assert_array_equal(np.asarray(unwrap(stacked, "X")), np.vstack([XS, XS]))


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


# -- what is refused ------------------------------------------------------------------------------

MASK = np.arange(40) % 7 == 0
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
        lambda clf: clf.diagnose(XS, MASKED_ROWS),
        lambda clf: clf.diagnose(XS, XT, y_source=masked(YS)),
        lambda clf: InformationMaximizationScorer(MASKED_ROWS)(clf, XS),
        lambda clf: ImportanceWeightedScorer(XT)(clf, XS, masked(YS)),
    ],
)
def test_what_is_masked_is_never_read_by_a_fitted_estimator(call: Any, dense: Any) -> None:
    with pytest.raises(ValueError, match="masked"):
        call(dense)


def column(values: Any) -> Callable[[np.ndarray], Any]:
    """Make a frame whose second column is another."""
    return lambda X: pandas(X).assign(b=values(len(X)) if callable(values) else values)


FAULTS: dict[str, tuple[Callable[[np.ndarray], Any], tuple[str, ...]]] = {
    "strings": (column("red"), ("'b'", "strings such as 'red'", "OneHotEncoder")),
    "categories": (
        column(lambda n: pd.Categorical(["red"] * n)),
        ("'b'", "categories such as 'red'", "OneHotEncoder"),
    ),
    "strings of pandas 3": (column(lambda n: pd.array(["red"] * n, dtype="string")), ("'b'",)),
    "strings, polars": (
        lambda X: polars(X).with_columns(b=pl.lit("red")),
        ("'b'", "strings such as 'red'"),
    ),
    "categories, polars": (
        lambda X: polars(X).with_columns(b=pl.lit("red", pl.Categorical)),
        ("'b'", "categories such as 'red'"),
    ),
    "categories, arrow": (
        lambda X: arrow(X).set_column(1, "b", pa.array(["red"] * len(X)).dictionary_encode()),
        ("'b'", "categories such as 'red'"),
    ),
    "strings, array": (
        lambda X: np.c_[X.astype(object), ["red"] * len(X)][:, 1:],
        ("column 1 ", "strings such as 'red'"),
    ),
    "dates": (column(pd.Timestamp("2020-01-01")), ("'b'", "dates", "as days since")),
    "spans": (column(pd.Timedelta(1)), ("'b'", "dates or times", "as days since")),
    "dates, arrow": (
        column(lambda n: pd.array([pd.Timestamp("2020")] * n, dtype="timestamp[ns][pyarrow]")),
        ("'b'", "dates"),
    ),
    "dates, pyarrow": (
        lambda X: arrow(X).set_column(1, "b", pa.array([0] * len(X), pa.date32())),
        ("'b'", "dates"),
    ),
    "dates, polars": (
        lambda X: polars(X).with_columns(b=pl.lit(pd.Timestamp("2020").to_pydatetime())),
        ("'b'", "dates"),
    ),
    "periods": (column(pd.Period("2020")), ("'b'", "Period")),
    "missing": (lambda X: pandas(X).mask(X > 1), ("NaN in \\d+ rows", "SimpleImputer")),
    "missing, nullable": (
        lambda X: pandas(X).astype("Float64").mask(X > 1),
        ("'a'|'b'", "NaN in \\d+ rows"),
    ),
    "missing, arrow": (
        lambda X: pandas(X).mask(X > 1).astype("double[pyarrow]"),
        ("'a'|'b'", "NaN in \\d+ rows"),
    ),
    "missing, polars": (
        lambda X: polars(X).with_columns(b=pl.lit(None, pl.Float64)),
        ("'b'", "NaN in"),
    ),
    "None": (column(None), ("'b'", "NaN in|missing")),
    "infinite": (lambda X: pandas(X).replace(X[3, 1], np.inf), ("'b'", "infinity")),
    "lists": (lambda X: polars(X).with_columns(b=pl.lit([1.0])), ("'b'",)),
    "complex": (column(1j), ("Complex data not supported",)),
    "repeated names": (
        lambda X: pd.DataFrame(X, columns=["a", "a"]),
        ("several columns named \\['a'\\]", "rename"),
    ),
    "mixed names": (
        lambda X: pd.DataFrame(X, columns=["a", 1]),
        ("mixes int, str|\\['int', 'str'\\]", "astype\\(str\\)"),
    ),
    "tensor of nothing": (lambda X: torch.tensor(X).to("meta"), ("torch tensor", "numpy array")),
    "nested tensor": (
        lambda X: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        ("torch tensor", "dense"),
    ),
    "masked tensor": (
        lambda X: torch.masked.as_masked_tensor(torch.tensor(X), torch.tensor(X) < 1),
        ("masked entries",),
    ),
    "matrix": (lambda X: X.view(np.matrix), ("np.matrix", "np.asarray")),
    "mapping": (lambda X: {"a": X[:, 0]}, ("scalar or dict",)),
    "generator": (lambda X: (row for row in X), ("scalar or generator",)),
    "vector": (lambda X: X[:, 0], ("2D array, got 1D", "Reshape your data")),
    "cube": (lambda X: X[:, :, None], ("2D array, got 3D",)),
}


# matrices, nested and masked tensors warn when they are made
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.filterwarnings("ignore:The PyTorch API of (nested|MaskedTensors)")
@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("make", "says"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_in_fit(make: Any, says: tuple[str, ...]) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        make_clf().fit(make(XS), YS, make(XT))
    text = str(caught.value)
    assert "X_source" in text
    for pattern in says:
        assert re.search(pattern, text), f"{pattern!r} not in: {text}"


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.filterwarnings("ignore:The PyTorch API of (nested|MaskedTensors)")
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
@pytest.mark.parametrize(("make", "says"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_in_predict(make: Any, says: tuple[str, ...], dense: Any) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        dense.predict(make(XT))
    for pattern in says:
        assert re.search(pattern, str(caught.value)), str(caught.value)


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


# -- names that are not strings -------------------------------------------------------------------

OTHER_NAMES = {
    "numbers": [1, 0],
    "floats": [0.5, 2],
    "pairs": pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]),
    "dates": pd.to_datetime(["2020-01-01", "2021-01-01"]),
    "booleans": [True, False],
}


@pytest.fixture(params=OTHER_NAMES)
def frame(request: pytest.FixtureRequest) -> Callable[[np.ndarray], pd.DataFrame]:
    return lambda X: pd.DataFrame(X, columns=OTHER_NAMES[request.param])


def turn(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[:, [1, 0]]


def test_other_names_are_matched_in_fit(frame: Any, dense: Any) -> None:
    clf = make_clf().fit(frame(XS), YS, turn(frame(XT)))
    assert_array_equal(clf.predict_proba(frame(XT)), dense.predict_proba(XT))
    assert_array_equal(clf.predict_proba(XT), dense.predict_proba(XT))


@pytest.mark.parametrize("is_search", [False, True])
@pytest.mark.parametrize("copied", [lambda clf: clf, lambda clf: pickle.loads(pickle.dumps(clf))])
def test_other_names_in_another_order_are_refused(frame: Any, is_search: bool, copied: Any) -> None:
    clf = make_clf()
    if is_search:
        clf = DANNClassifierCV(clf, lambdas=(0.3,), n_seeds=1, random_state=0)
    clf = copied(clf.fit(frame(XS), YS, frame(XT)))
    for method in METHODS[:2]:
        with pytest.raises(ValueError, match=r"feature names should match.*same order"):
            getattr(clf, method)(turn(frame(XT)))
    with pytest.raises(ValueError, match="feature names should match"):
        InformationMaximizationScorer(turn(frame(XT)))(clf, turn(frame(XS)))
    assert InformationMaximizationScorer(turn(frame(XT)))(clf, frame(XS)) > 0
    clf.diagnose(frame(XS), turn(frame(XT)))
    with pytest.raises(ValueError, match="feature names should match"):
        clf.diagnose(turn(frame(XS)), frame(XT))


@pytest.mark.parametrize("is_search", [False, True])
def test_other_names_are_saved_if_json_can_hold_them(is_search: bool, tmp_path: Path) -> None:
    for name, names in OTHER_NAMES.items():
        clf = make_clf()
        if is_search:
            clf = DANNClassifierCV(clf, lambdas=(0.3,), n_seeds=1, random_state=0)
        rows = pd.DataFrame(XS, columns=names)
        clf.fit(rows, YS, rows + 1).save(tmp_path / "clf")
        loaded = type(clf).load(tmp_path / "clf")
        if name == "dates":
            loaded.predict(turn(rows))
            continue
        with pytest.raises(ValueError, match="feature names should match"):
            loaded.predict(turn(rows))


@pytest.mark.parametrize("goes_on", ["partial_fit", "warm_start"])
def test_other_names_in_another_order_do_not_go_on(frame: Any, goes_on: str) -> None:
    clf = make_clf(warm_start=True).fit(frame(XS), YS, frame(XT))
    method = clf.fit if goes_on == "warm_start" else clf.partial_fit
    with pytest.raises(ValueError, match="column names"):
        method(turn(frame(XS)), YS, turn(frame(XT)))
    method(frame(XS), YS, turn(frame(XT)))
    method(XS, YS, XT)  # arrays have no names to compare


def test_a_new_fit_forgets_other_names() -> None:
    clf = make_clf().fit(pd.DataFrame(XS), YS, pd.DataFrame(XT)).fit(XS, YS, XT)
    clf.predict(pd.DataFrame(XT)[[1, 0]])  # fitted by position, so predicted by position


@pytest.mark.filterwarnings("ignore:X has feature names")
def test_names_not_known_in_the_fit_are_taken_by_position_with_a_warning(dense: Any) -> None:
    clf = make_clf().fit(pd.DataFrame(XS), YS, pd.DataFrame(XT))
    for fitted in (clf, dense):
        with pytest.warns(UserWarning, match="X has feature names"):
            fitted.predict(pandas(XT))
    named = make_clf().fit(pandas(XS), YS, pandas(XT))
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        named.predict(XT)


@pytest.mark.parametrize("is_routed", [False, True])
def test_a_pipeline_refuses_other_names_in_another_order(is_routed: bool) -> None:
    from sklearn import config_context

    source, target = pd.DataFrame(XS), pd.DataFrame(XT)
    with config_context(enable_metadata_routing=is_routed):
        pipe = make_pipeline(StandardScaler(), make_clf())
        for rows in (target[[1, 0]], (target, target[[1, 0]])):
            with pytest.raises(ValueError, match="X_target has the columns of X in another order"):
                pipe.fit(source, YS, X_target=rows)
        pipe.fit(source, YS, X_target=(target, target))
        pipe.fit(source, YS, X_target=target)


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


@pytest.mark.parametrize(("y", "plain"), LABELS.values(), ids=LABELS)
def test_labels_of_every_container_work_throughout(y: Any, plain: np.ndarray) -> None:
    clf = make_clf().fit(XS, y, XT)
    right = make_clf().fit(XS, plain, XT)
    assert clf.classes_.dtype.kind in "biufUO"
    assert clf.classes_.tolist() == right.classes_.tolist()
    assert_array_equal(clf.predict(XS), right.predict(XS))
    assert clf.score(XS, y) == accuracy_score(y, clf.predict(XS)) == right.score(XS, plain)
    for scoring in (None, "accuracy", "balanced_accuracy", "roc_auc"):
        if scoring == "roc_auc" and isinstance(y, pa.ChunkedArray):
            continue  # scikit-learn finds no pos_label
        scores, expected = (
            cross_val_score(
                make_clf(), XS, labels, scoring=scoring, params={"X_target": (XT,)}, cv=2
            )
            for labels in (y, plain)
        )
        assert_array_equal(scores, expected)
    guess = cross_val_predict(make_clf(), XS, y, params={"X_target": (XT,)}, cv=2)
    assert balanced_accuracy_score(y, guess) == balanced_accuracy_score(plain, guess)
    for scorer in (ImportanceWeightedScorer(XT), ReverseValidationScorer(XT)):
        assert scorer(clf, XS, y) == scorer(right, XS, plain)
    pipe = make_pipeline(StandardScaler(), make_clf()).fit(XS, y, X_target=XT)
    assert pipe.score(XS, y) == accuracy_score(plain, pipe.predict(XS))
    search = GridSearchCV(make_clf(), {"lambda_max": [0.1, 0.3]}, cv=2)
    search.fit(XS, y, X_target=(XT,))
    assert np.isfinite(search.score(XS, y))


@pytest.mark.parametrize("classes", [[0, 1], np.array([1, 0]), pd.Series([0, 1], dtype="Int64")])
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


def test_reading_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for make in CONTAINERS.values():
            if "tensor" not in str(type(make(XS))).lower():
                check_domains(make(XS), YS, make(XT))
