"""Rows: names of columns of any type, in every order."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_array_equal
from sklearn.preprocessing import StandardScaler

from skdann import DANNClassifierCV, make_pipeline
from skdann._input.rows import read_rows
from skdann.model_selection import InformationMaximizationScorer
from tests.input.common import METHODS, OTHER_NAMES, XS, XT, YS, make_clf, pandas


@pytest.mark.parametrize("container", [sp.csr_matrix, sp.csr_array, sp.csc_array, sp.coo_array])
def test_sparse_rows_have_short_indices(container: Any) -> None:
    X = container(XS)
    for name in ("indices", "indptr", "row", "col"):
        if hasattr(X, name) and not isinstance(X, sp.coo_array):
            setattr(X, name, getattr(X, name).astype(np.int64))
    if isinstance(X, sp.coo_array):
        X.coords = tuple(each.astype(np.int64) for each in X.coords)
    rows = read_rows(X, "X").values
    assert rows.indices.dtype == rows.indptr.dtype == np.int32
    assert_array_equal(rows.toarray(), XS)


def test_a_search_takes_sparse_tensors_with_targets_that_only_trees_find() -> None:
    rng = np.random.default_rng(0)
    X = np.where(rng.random((60, 3)) < 0.5, rng.normal(size=(60, 3)), 0.0)
    y, domain = (X[:, 0] > 0).astype(int), np.arange(60) % 2 - 1
    clf = DANNClassifierCV(make_clf(), n_seeds=1, random_state=0)
    clf.fit(torch.from_numpy(X).to_sparse(), y, sample_domain=domain)
    assert clf.predict(torch.from_numpy(X).to_sparse()).shape == (60,)


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
