"""Scaling of the columns by the source, or by each domain."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skdann import DANNClassifier
from skdann.nn import Rows, _standardizer
from skdann.nn._standardizer import ColumnMoments, DomainStandardizer, _mean_and_std, is_constant
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
    outside = make_clf(standardize=None).fit((X - mean) / std, y, (X_target - mean) / std)
    assert_allclose(
        inside.predict_proba(3.0 * X_target + 1.0),
        outside.predict_proba((X_target - mean) / std),
        atol=1e-4,
    )


def test_standardize_by_domain_equals_a_scaler_of_each_domain(make_clf):
    X, y, X_target = rows()
    scaled = [(rows - rows.mean(0)) / rows.std(0) for rows in (X, X_target)]
    inside = make_clf(standardize="domain").fit(3e4 * X + 1.0, y, X_target)
    outside = make_clf(standardize=None).fit(scaled[0], y, scaled[1])
    assert_allclose(inside.predict_proba(X_target), outside.predict_proba(scaled[1]), atol=1e-4)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_columns_of_two_values_are_scaled_by_the_source_alone(container):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 4)).astype(np.float32)
    X[:, 1] = rng.random(40) < np.where(np.arange(40) < 20, 0.2, 0.8)  # an indicator
    X[:, 2] = np.where(X[:, 2] > 0, -1.0, 2.0)  # two values other than 0
    X[:, 3] = rng.integers(0, 3, 40)  # three values
    domain = np.repeat([0, 1], 20)
    by_source, by_domain = (DomainStandardizer([k], 4, 2, 1) for k in ("source", "domain"))
    by_source.measure(0, X, domain)
    by_domain.measure(0, container(X), domain)
    for name in ("mean", "scale", "shift"):
        found, expected = (getattr(s, name)[0] for s in (by_domain, by_source))
        assert_allclose(found[:, 1:3], expected[:, 1:3], rtol=1e-5)
    for index in (0, 3):
        scaled = by_domain(torch.from_numpy(X[20:]))[:, index]
        assert_allclose([scaled.mean(), scaled.std(correction=0)], [0.0, 1.0], atol=1e-5)


def test_sample_weights_weight_the_statistics():
    X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    repeats, domain = np.arange(20) % 3, np.repeat([0, 1], [15, 5])
    repeats[15:] = 1
    scalers = [DomainStandardizer(["domain"], 3, 2, 1) for _ in range(3)]
    scalers[0].measure(0, X, domain, repeats.astype(float))
    scalers[1].measure(0, sp.csr_array(X), domain, repeats.astype(float))
    scalers[2].measure(0, X.repeat(repeats, 0), domain.repeat(repeats))
    for scaler in scalers[:2]:
        assert_allclose(scaler.mean, scalers[2].mean, rtol=1e-5, atol=1e-6)
        assert_allclose(scaler.scale, scalers[2].scale, rtol=1e-5)


def test_sparse_rows_are_left_as_they_are_by_default(make_clf):
    X, y, X_target = rows()
    X, X_target = (sp.csr_array(np.where(part > 1.8, part, 0.0)) for part in (X, X_target))
    default, unscaled = make_clf(standardize="source"), make_clf(standardize=None)
    for clf in (default, unscaled):
        clf.fit(X, y, X_target)
    assert default.module_.standardizer.is_identity
    assert_array_equal(default.predict_proba(X_target), unscaled.predict_proba(X_target))
    assert not make_clf().fit(X.toarray(), y, X_target.toarray()).module_.standardizer.is_identity


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


def test_the_variance_of_a_constant_sparse_column_is_not_below_zero():
    rng = np.random.default_rng(0)
    for value in (3.0, 0.1, -7.3):
        X = sp.csr_array(np.full((5, 1), value, dtype=np.float32))
        for _ in range(50):
            with warnings.catch_warnings(action="error"):
                mean, std = _mean_and_std(X, rng.random(5))
            assert_allclose(mean, value, rtol=1e-6)
            assert_allclose(std, 0.0, atol=1e-6)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_moments_of_the_same_rows_are_computed_once(monkeypatch, container):
    X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    moments, calls = ColumnMoments(container(X)), []
    compute = _standardizer._mean_and_std

    def count(*args):
        calls.append(args)
        return compute(*args)

    monkeypatch.setattr(_standardizer, "_mean_and_std", count)
    rows, weight = np.arange(5, 15), np.arange(10.0)
    for _ in range(2):
        assert_allclose(moments.over(rows)[0], X[rows].mean(0), rtol=1e-6)
        assert_allclose(moments.over(rows)[1], X[rows].std(0), rtol=1e-5)
        weighted = np.average(X[rows], axis=0, weights=weight)
        assert_allclose(moments.over(rows, weight)[0], weighted, rtol=1e-6)
        assert_allclose(moments.over(rows[1:])[0], X[6:15].mean(0), rtol=1e-6)
        assert not moments.has_two_values(rows).any()
    assert len(calls) == 3


@pytest.mark.parametrize(("n_domains", "n_targets"), [(2, 1), (3, 1), (3, 2), (1, 0)])
def test_rows_scaled_for_one_member_are_those_of_all_members(n_domains, n_targets):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 4)).astype(np.float32)
    n_source = 20 if n_targets else 30
    n_sources = n_domains - n_targets
    domain = np.append(
        rng.permutation(np.arange(n_source) % n_sources),
        n_sources + np.arange(30 - n_source) % max(1, n_targets),
    )
    kinds = ["source", "domain", None]
    scaler = DomainStandardizer(kinds, 4, n_domains, n_targets)
    for member in range(3):
        scaler.measure(member, X, domain)
    rows, x = Rows(n_source, torch.from_numpy(domain)), torch.from_numpy(X)
    together, apart = scaler(x.expand(3, -1, -1), rows), torch.empty(3, 30, 4)
    for member in range(3):
        scaler.scale_member(member, x, rows, apart[member])
    assert_array_equal(apart, together)
    assert_array_equal(apart[2], X)
    assert not np.array_equal(apart[0], X)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("value", [1.0, 0.1, -7.3, 123.456])
def test_a_constant_column_has_no_deviation_whatever_the_weights(container, value):
    rng = np.random.default_rng(0)
    for n_rows in (2, 9, 37, 1000, 1_000_000):
        X = container(np.full((n_rows, 1), value, dtype=np.float32))
        mean, std = ColumnMoments(X).over(np.arange(n_rows), rng.random(n_rows))
        assert_allclose(mean, value, rtol=1e-6)
        assert std == 0.0


def test_a_nearly_constant_column_keeps_its_deviation():
    X = np.full((1000, 1), 1000.0, dtype=np.float32)
    X[0] = np.nextafter(np.float32(1000.0), np.float32(2000.0))
    for weight in (None, np.ones(1000)):
        std = ColumnMoments(X).over(np.arange(1000), weight)[1]
        assert_allclose(std, X.astype(np.float64).std(), rtol=1e-6)


@pytest.mark.parametrize("standardize", ["source", "domain"])
def test_a_column_constant_in_the_source_alone_does_no_harm_with_weights(make_clf, standardize):
    X, y, X_target = rows(100)
    X = np.column_stack([X, np.full(len(X), 0.1)])
    X_target = np.column_stack([X_target, np.linspace(0.2, 0.9, len(X_target))])
    weight = np.random.default_rng(0).random(len(X))
    clf = make_clf(standardize=standardize).fit(X, y, X_target, sample_weight=weight)
    assert clf.module_.standardizer.scale.max() < 100
    assert np.isfinite(clf.predict_proba(X_target)).all()


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_constant_columns_are_found_exactly(container):
    X = np.full((1000, 4), 0.1)
    X[0, 1] += 1e-15
    X[:, 2], X[0, 3] = 0.0, 0.0
    assert is_constant(container(X)).tolist() == [True, False, True, False]
    assert (_mean_and_std(container(X), None)[1] > 0).tolist() == [False, True, False, True]


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_rows_of_weight_zero_do_not_make_a_column_vary(container):
    X = np.full((40, 1), 0.1, dtype=np.float32)
    X[:5] = 7.0
    weight = np.random.default_rng(0).random(40)
    weight[:5] = 0.0
    assert _mean_and_std(container(X), weight)[1] == 0.0
