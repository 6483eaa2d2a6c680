"""Scaling of the columns by the source, or by each domain."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skdann import DANNClassifier
from tests.training.members import rows


def test_standardize_by_domain_removes_a_shift_of_location_and_scale(make_clf):
    X, y, _ = rows(200)
    factor = np.array([3.0, 0.2, 1.0, 7.0, 1.0])
    clf = make_clf(standardize="domain", lambda_max=0.0, max_epochs=10).fit(X, y, X * factor - 4.0)
    assert_allclose(
        clf.predict_proba(X * factor - 4.0), clf.predict_proba(X, sample_domain=0), atol=1e-4
    )


def test_standardize_by_source_equals_a_scaler(make_clf):
    X, y, X_target = rows()
    mean, std = X.mean(0), X.std(0)
    inside = make_clf(standardize="source").fit(3.0 * X + 1.0, y, 3.0 * X_target + 1.0)
    outside = make_clf().fit((X - mean) / std, y, (X_target - mean) / std)
    assert_allclose(
        inside.predict_proba(3.0 * X_target + 1.0),
        outside.predict_proba((X_target - mean) / std),
        atol=1e-4,
    )


@pytest.mark.parametrize("kind", ["source", "domain"])
def test_standardize_is_saved_and_accepts_constant_columns(make_clf, tmp_path, kind):
    X, y, X_target = rows()
    X[:, 3], X_target[:, 4] = 1.0, 2.0
    clf = make_clf(standardize=kind).fit(X, y, X_target)
    clf.save(tmp_path / "clf")
    loaded = DANNClassifier.load(tmp_path / "clf")
    assert_array_equal(loaded.predict_proba(X_target), clf.predict_proba(X_target))
    assert np.isfinite(clf.predict_proba(X_target)).all()


@pytest.mark.parametrize("standardize", ["source", "domain"])
def test_standardize_treats_denormal_columns_as_constant(make_clf, standardize):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 2))
    X[:, 0] *= 1e-41
    clf = make_clf(standardize=standardize).fit(X, np.arange(20) % 2, X.copy())
    assert np.isfinite(clf.predict_proba(X)).all()
    assert (clf.module_.standardizer.scale[..., 0] == 1.0).all()


def test_standardize_with_all_rows_of_a_domain_held_out(make_clf):
    X = np.random.default_rng(0).normal(size=(20, 2))
    clf = make_clf(standardize="domain", early_stopping=True, validation_fraction=0.3)
    domain = np.append(np.zeros(19, int), 1)  # with a seed that holds out the last row
    for seed in range(10):
        clf.set_params(random_state=seed).fit(X, np.arange(20) % 2, X + 1.0, sample_domain=domain)
        assert torch.isfinite(clf.module_.standardizer.mean).all()
