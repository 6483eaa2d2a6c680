"""Scales of the columns: warnings where domains or columns are scaled unlike each other."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.pipeline import make_pipeline as plain_pipeline
from sklearn.preprocessing import StandardScaler

import skdann
from skdann import DANNClassifierCV, make_pipeline
from skdann._input.domains import check_domains
from skdann._input.scales import find_tiny, stack_float32
from tests.input.tables import XS, XT, YS


@pytest.mark.parametrize("n_targets", [1, 2])
def test_an_unscaled_target_in_a_plain_pipeline_warns(make_clf: Any, n_targets: int) -> None:
    source, target = 300 * XS + 5000, 300 * XT + 5000
    pipe = plain_pipeline(StandardScaler(), make_clf())
    scaled = StandardScaler().fit(source).transform(target)
    targets = (scaled,) * (n_targets - 1) + (target,)
    with pytest.warns(UserWarning, match=r"X_target is not.*skdann\.make_pipeline") as caught:
        pipe.fit(source, YS, dannclassifier__X_target=targets)
    assert len(caught) == 1


def test_a_scaled_target_does_not_warn(make_clf: Any) -> None:
    source, target = 300 * XS + 5000, 300 * XT + 5000
    scaled = StandardScaler().fit(source).transform(target)
    pipe = plain_pipeline(StandardScaler(), make_clf())
    pipe.fit(source, YS, dannclassifier__X_target=scaled)  # a warning would be an error
    make_pipeline(StandardScaler(), make_clf()).fit(source, YS, X_target=target)
    make_clf().fit(source, YS, target)  # neither is scaled: not for us to say


def test_some_rows_of_many_tell_whether_the_target_is_unscaled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20_000, 3)), np.arange(20_000) % 2
    monkeypatch.setattr(skdann._input.scales, "ROWS_LOOKED_AT", 500)
    with pytest.warns(UserWarning, match="X_target is not"):
        check_domains(X, y, 30 * X + 5, estimator="DANNClassifier")
    far = np.where(np.arange(20_000)[:, None] % 40, 30 * X + 5, X)  # but those looked at
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_domains(X, y, far, estimator="DANNClassifier")


WIDE = XS * [1.0, 5000.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("source", "target", "params", "is_warned"),
    [
        (WIDE, XT * [1.0, 5000.0, 1.0, 1.0], {}, True),
        (WIDE, XT * [1e-4, 1.0, 1.0, 1.0], {}, True),
        (XS + np.array([0, 1e4, 0, 0]), XT + np.array([0, 1e4, 0, 0]), {}, True),
        (WIDE, XT, {}, False),  # it is the domains that differ
        (WIDE, XT * [1.0, 5000.0, 1.0, 1.0], {"standardize": "source"}, False),
        (WIDE, XT * [1.0, 5000.0, 1.0, 1.0], {"standardize": "domain"}, False),
        (WIDE, XT * [1.0, 5000.0, 1.0, 1.0], {"feature_extractor": torch.nn.Identity}, False),
        (XS * 5000 + 1e5, XT * 5000 + 1e5, {}, False),  # large, but alike
        (XS * [1, 100, 0.1, 10], XT * [1, 100, 0.1, 10], {}, False),
        (np.c_[XS[:, :2], XS[:, 2:] > 0] * [50, 1, 0.01, 1e5], XT * 20, {}, False),
        (np.c_[XS[:, :2], 0 * XS[:, 2:]], np.c_[XT[:, :2], 0 * XT[:, 2:]], {}, False),
        (sparse.csr_array(WIDE), sparse.csr_array(XT * [1.0, 5000.0, 1, 1]), {}, False),
    ],
)
def test_columns_on_very_different_scales_warn_once(
    make_clf: Any, source: Any, target: Any, params: Any, is_warned: bool
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make_clf(**{"standardize": None, **params}).fit(source, YS, target)
    texts = [str(warning.message) for warning in caught]
    assert len(texts) == is_warned
    if is_warned:
        assert "different scales" in texts[0]
        assert "standardize='source'" in texts[0]
        assert caught[0].filename == __file__


def test_chunks_warn_of_their_scales_at_the_first_call_alone(make_clf: Any) -> None:
    target = XT * [1.0, 5000.0, 1.0, 1.0]
    with pytest.warns(UserWarning, match="different scales"):
        clf = make_clf(standardize=None).partial_fit(WIDE, YS, target, classes=[0, 1])
    clf.partial_fit(WIDE, YS, target)  # a warning would be an error


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, sparse.coo_array])
def test_rows_are_stacked_as_float32(container: Any) -> None:
    parts = [container(XS), container(XT), container(XS[:1].round(2).astype(np.int8))]
    stacked = stack_float32(parts)
    assert stacked.dtype == np.float32
    assert sparse.issparse(stacked) == (container is not np.asarray)
    dense = stacked.toarray() if sparse.issparse(stacked) else stacked
    expected = np.vstack([XS, XT, XS[:1].round(2).astype(np.int8)]).astype(np.float32)
    assert_array_equal(dense, expected)


def test_the_stacked_rows_are_a_copy() -> None:
    for part in (XS.astype(np.float32), sparse.csr_array(XS.astype(np.float32))):
        stacked = stack_float32([part])
        values = getattr(stacked, "data", stacked) if sparse.issparse(stacked) else stacked
        values[...] = 0.0
        assert abs(part).sum() > 0


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize(
    ("value", "text"), [(1e39, "too large for float32"), (np.nan, "contains NaN")]
)
def test_values_that_float32_cannot_hold_are_refused(
    container: Any, value: float, text: str
) -> None:
    rows = XT.copy()
    rows[3, 1] = value
    with pytest.raises(ValueError, match=f"X_source or X_target .*{text}"):
        stack_float32([container(XS), container(rows)])


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_the_largest_of_tiny_values_is_found(container: Any) -> None:
    rows = np.array([[1e-9, -3e-9], [0.0, 2e-9]])
    assert find_tiny(container(rows)) == 3e-9
    assert find_tiny(container(-rows)) == 3e-9
    assert find_tiny(container(1e6 * rows)) == 0.0  # the largest is 0.003
    assert find_tiny(container(0.0 * rows)) == 0.0


def test_columns_in_tiny_units_are_named_if_the_labels_were_not_learned(make_clf: Any) -> None:
    source, target = 1e-9 * XS, 1e-9 * XT
    clf = make_clf(max_epochs=3, standardize=None)
    for estimator in (clf, DANNClassifierCV(clf, standardize=(None,), n_seeds=1, random_state=0)):
        with pytest.warns(UserWarning, match=r"No value is larger than .*e-09.*standardize"):
            estimator.fit(source, YS, target)
    make_clf(max_epochs=3, standardize="source").fit(source, YS, target)  # no warning
    make_clf(max_epochs=3, standardize=None).fit(XS, YS, XT)
