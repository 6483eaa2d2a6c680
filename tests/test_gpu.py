"""Training and predicting on a GPU, if there is one."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from skdann import DANNClassifierCV, DANNRegressor

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize(
    "changed",
    [{}, {"normalization": "batch"}, {"normalization": "domain_batch"}, {"conditioning": "cdan"}],
    ids=str,
)
def test_training_on_the_gpu_resembles_training_on_the_cpu(domains, make_clf, changed):
    X, y, X_target = domains[:3]
    on_cpu = make_clf(activation="tanh", dropout=0.2, **changed).fit(X, y, X_target)
    on_gpu = clone(on_cpu).set_params(device="cuda").fit(X, y, X_target)
    assert {p.device.type for p in on_gpu.module_.parameters()} == {"cuda"}
    expected = on_cpu.predict_proba(X_target)
    assert_allclose(on_gpu.predict_proba(X_target), expected, atol=1e-2)
    again = clone(on_gpu).fit(X, y, X_target)
    assert_allclose(again.predict_proba(X_target), on_gpu.predict_proba(X_target), atol=1e-4)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "quantile"])
def test_numbers(domains, loss):
    X, X_target = domains.X_source, domains.X_target
    y = np.stack([X[:, 0], 5.0 + X[:, 1] ** 2], axis=1)
    small = {"feature_extractor": (8,), "max_epochs": 3, "early_stopping": True, "random_state": 0}
    on_cpu = DANNRegressor(loss=loss, activation="tanh", **small).fit(X, y, X_target)
    on_gpu = clone(on_cpu).set_params(device="cuda").fit(X, y, X_target)
    assert {p.device.type for p in on_gpu.module_.parameters()} == {"cuda"}
    assert_allclose(on_gpu.predict(X_target), on_cpu.predict(X_target), atol=5e-2)


def test_sparse_rows(domains, make_clf):
    X, y, X_target = domains[:3]
    sparse = make_clf(device="cuda").fit(sp.csr_array(X), y, sp.csr_array(X_target))
    expected = make_clf(device="cuda").fit(X, y, X_target).predict_proba(X_target)
    assert_allclose(sparse.predict_proba(sp.csr_array(X_target)), expected, atol=1e-3)


def test_members(domains, make_clf):
    X, y, X_target = domains[:3]
    base = make_clf(max_epochs=3)
    on_cpu = DANNClassifierCV(base, n_seeds=2, random_state=0).fit(X, y, X_target)
    on_gpu = clone(on_cpu).set_params(estimator__device="cuda").fit(X, y, X_target)
    for row, other in zip(on_gpu.scores_, on_cpu.scores_, strict=True):
        assert row["score"] == pytest.approx(other["score"], abs=0.05)
    proba = on_gpu.predict_proba(X_target)
    assert np.isfinite(proba).all()
    assert_array_equal(on_gpu.classes_, on_cpu.classes_)
