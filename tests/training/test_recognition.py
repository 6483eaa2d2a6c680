"""Recognition of source rows by the statistics of each domain, against normal log-likelihoods."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm

from skdann import DANNClassifier, DANNClassifierCV
from skdann._input.domains import check_domains
from skdann._training.recognition import (
    MAX_ROWS,
    MAX_SPARSE_ROWS,
    MIN_ROWS,
    MIN_STD_SHARE,
    DomainStatistics,
    measure_domains,
)


def two_domains(shift=1.0, n=60, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)), np.arange(n) % 2, rng.normal(shift, 2.0, size=(n - 7, 3))


def measure(X, y, X_target):
    return DomainStatistics.measure(check_domains(X, y, X_target))


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_moments_are_those_of_each_domain(container):
    X, y, X_target = two_domains()
    statistics = measure(container(X), y, container(X_target))
    assert_allclose(statistics.mean, [X.mean(0), X_target.mean(0)], rtol=1e-4)
    assert_allclose(statistics.std, [X.std(0), X_target.std(0)], rtol=1e-5)


def test_constant_columns_do_not_count():
    X, y, X_target = two_domains()
    plain = measure(X, y, X_target).log_ratio(X_target)
    for value in (0.1, 5.0, -3e4):
        rows, targets = (np.c_[part, np.full(len(part), value)] for part in (X, X_target))
        statistics = measure(rows, y, targets)
        assert_array_equal(statistics.std[:, 3], 1.0)
        ratio = statistics.log_ratio(targets.astype(np.float32))
        assert_allclose(ratio, plain, atol=1e-3)


def test_a_column_that_is_constant_in_one_domain_has_a_small_deviation():
    X, y, X_target = two_domains()
    X[:, 0] = 3.0
    statistics = measure(X, y, X_target)
    pooled = np.sqrt(X_target[:, 0].var() / 2 + (3.0 - X_target[:, 0].mean()) ** 2 / 4)
    assert statistics.std[0, 0] == pytest.approx(MIN_STD_SHARE * pooled, rel=1e-5)


def test_the_log_ratio_is_that_of_two_normal_densities():
    statistics = measure(*two_domains())
    rows = np.random.default_rng(1).normal(size=(30, 3))
    source, target = (
        norm.logpdf(rows, mean, std).sum(1)
        for mean, std in zip(statistics.mean, statistics.std, strict=True)
    )
    assert np.abs((rows - statistics.mean[0]) / statistics.std[0]).max() < 5
    assert_allclose(statistics.log_ratio(rows), source - target, rtol=1e-9)
    assert_allclose(statistics.log_ratio(sp.csr_array(rows)), source - target, rtol=1e-9)


def test_outliers_count_up_to_five_standard_deviations():
    statistics = DomainStatistics(np.zeros((2, 1)), np.array([[1.0], [2.0]]))
    ratios = statistics.log_ratio(np.array([[5.0], [10.0], [1e6]]))
    expected = -25 / 2 + np.log(2.0) + np.array([25 / 4 / 2, 25 / 2, 25 / 2])
    assert_allclose(ratios, expected)


@pytest.mark.parametrize(
    ("container", "most"), [(np.asarray, MAX_ROWS), (sp.csr_array, MAX_SPARSE_ROWS)]
)
@pytest.mark.parametrize("n_rows", [1, 99, 100, 101, 500, 501, 2300])
def test_large_tables_are_thinned_evenly(container, most, n_rows):
    statistics = measure(*two_domains())
    rows = np.random.default_rng(2).normal(size=(n_rows, 3))
    ratio = statistics.log_ratio(container(rows))
    assert len(ratio) <= most
    step = -(-n_rows // most)
    assert len(ratio) == -(-n_rows // step)
    assert_allclose(ratio, statistics.log_ratio(rows[::step]))


def test_rows_of_either_domain_are_recognized():
    X, y, X_target = two_domains()
    statistics = measure(X, y, X_target)
    assert statistics.is_source(X)
    assert not statistics.is_source(X_target)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_rows_of_a_mixture_are_recognized_one_by_one(container):
    X, y, X_target = two_domains(shift=30.0, n=300)
    statistics = measure(X, y, X_target)
    assert statistics.find_source(container(X)) is True
    assert statistics.find_source(container(X_target)) is False
    mixture, is_source = np.vstack([X, X_target]), np.repeat([True, False], [300, 293])
    order = np.random.default_rng(0).permutation(593)
    found = statistics.find_source(container(mixture[order]))
    assert_array_equal(found, is_source[order])


def test_a_mixture_of_rows_that_may_be_of_either_domain_is_refused():
    X, _, X_target = two_domains(shift=3.0, n=300)
    X_target[:, 1:] = X[:293, 1:]
    X_target[:100, 0] += 20.0
    statistics = DomainStatistics(np.array([[0.0] * 3, [4.0, 0.0, 0.0]]), np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"rows of both domains, and \d+ of 593 may be of either"):
        statistics.find_source(np.vstack([X, X_target]))


@pytest.mark.parametrize("n_rows", [MIN_ROWS - 1, MIN_ROWS])
def test_few_rows_never_warn(n_rows):
    X, y, X_target = two_domains(shift=20.0)
    statistics = measure(X, y, X_target)
    if n_rows < MIN_ROWS:
        statistics.warn_if_source(X[:n_rows])
        return
    with pytest.warns(UserWarning, match="looks like rows of the source.*sample_domain=0"):
        statistics.warn_if_source(X[:n_rows])


def test_doubtful_rows_do_not_warn():
    """The mean log-ratio must lie five standard errors above 0."""
    statistics = DomainStatistics(np.array([[0.0], [1.0]]), np.ones((2, 1)))
    rng = np.random.default_rng(0)
    for mean, is_clear in ((0.3, False), (-0.4, True)):  # the log-ratio is 0.5 - x
        rows = rng.normal(mean, 1.0, size=(100, 1))
        deviations = (0.5 - rows.mean()) / (rows.std() / 10)
        assert (deviations > 5.0) == is_clear
        assert deviations > 1.0
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            statistics.warn_if_source(rows)
        assert len(caught) == is_clear


@pytest.mark.parametrize(
    ("params", "matters"),
    [
        ({}, False),
        ({"standardize": "source", "normalization": "batch"}, False),
        ({"standardize": "domain"}, True),
        ({"normalization": "domain_batch"}, True),
        ({"label_shift": "correct"}, True),
        ({"label_shift": "reweight"}, False),
    ],
)
def test_statistics_are_kept_where_the_domain_of_a_row_matters(params, matters):
    data = check_domains(*two_domains())
    clf = DANNClassifier(**{"standardize": None, **params})
    kept = measure_domains(data, [DANNClassifier(standardize=None), clf])
    assert (kept is not None) == matters
    if matters:
        assert_array_equal(kept, DomainStatistics.measure(data))


@pytest.mark.filterwarnings("ignore::skdann.SourceOnlyWarning")
def test_without_a_target_nothing_is_kept():
    X, y, _ = two_domains()
    assert measure_domains(check_domains(X, y), [DANNClassifier(standardize="domain")]) is None


@pytest.mark.parametrize("is_search", [False, True])
def test_predictions_for_source_rows_warn_once(is_search, make_clf):
    X, y, X_target = two_domains(shift=8.0)
    clf = make_clf(standardize="domain", lambda_max=0.0)
    if is_search:
        clf = DANNClassifierCV(clf, lambdas=(), standardize=("domain",), n_seeds=2, random_state=0)
    clf.fit(X, y, X_target)
    with pytest.warns(UserWarning, match="looks like rows of the source") as caught:
        clf.predict(X)
    assert len(caught) == 1
    clf.predict(X_target)
    clf.predict(X, sample_domain=0)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_rare_indicators_that_the_source_lacks_do_not_make_target_rows_source_rows(container):
    X, y, X_target = two_domains(shift=0.5)
    rare = np.arange(len(X_target)) % 12 == 0
    X, X_target = np.c_[X, np.zeros(len(X))], np.c_[X_target, rare]
    statistics = measure(container(X), y, container(X_target))
    assert_array_equal(statistics.std[:, 3], 1.0)
    assert not statistics.is_source(X_target)
    assert statistics.is_source(X)
    plain = measure(X[:, :3], y, X_target[:, :3])
    assert_allclose(statistics.log_ratio(X_target), plain.log_ratio(X_target[:, :3]), rtol=1e-6)
