"""Rows: faults are named with their column, and names of columns of any type."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.preprocessing import StandardScaler

from skdann import DANNClassifierCV, make_pipeline
from skdann.model_selection import InformationMaximizationScorer
from tests.input.common import METHODS, OTHER_NAMES, XS, XT, YS, arrow, make_clf, pandas, polars


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
