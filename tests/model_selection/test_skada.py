"""Scorers, against those of skada."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline as make_plain_pipeline
from sklearn.preprocessing import FunctionTransformer

from skdann.model_selection import (
    InformationMaximizationScorer,
    ReverseValidationScorer,
    SoftNeighborhoodDensityScorer,
)
from skdann.model_selection._embedded import deep_embedded_risk
from skdann.model_selection._mixval import (
    interpolation_consistency,
    mix_rows,
)
from skdann.model_selection._scores import weighted_score
from tests.model_selection.common import Fixed, random_proba


class Pooled(Fixed):
    """Fixed probabilities, with the parameters that skada passes."""

    def fit(self, X: Any, y: Any) -> Pooled:
        return self

    def predict(self, X: Any, sample_domain: Any = None, allow_source: Any = None) -> np.ndarray:
        return self.classes_[super().predict_proba(X).argmax(axis=1)]

    def predict_proba(
        self, X: Any, sample_domain: Any = None, allow_source: Any = None
    ) -> np.ndarray:
        return super().predict_proba(X)

    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        sample_domain: Any = None,
        allow_source: Any = None,
    ) -> float:
        return float(accuracy_score(y, self.predict(X), sample_weight=sample_weight))


@pytest.fixture
def skada() -> Iterator[Any]:
    with sklearn.config_context():  # importing skada enables metadata routing globally
        pytest.importorskip("skada")
    with sklearn.config_context(enable_metadata_routing=True):
        yield pytest.importorskip("skada.metrics")


@pytest.fixture
def pooled() -> tuple[Any, ...]:
    """Rows of both domains as skada pools them: a classifier, rows, labels and domains."""
    X = np.column_stack([np.arange(60.0), np.random.default_rng(1).normal(size=60)])
    X[30:, 1] += 0.5
    domain = np.repeat([1, -2], 30)  # negative: target
    y = np.where(domain > 0, np.random.default_rng(2).integers(0, 3, 60), -1)
    clf = Pooled(random_proba(60, 3), (0, 1, 2))
    clf.set_predict_proba_request(sample_domain=True, allow_source=True)
    clf.set_score_request(sample_weight=True, sample_domain=True, allow_source=True)
    return clf, X, y, domain


def test_density_equals_skadas(skada: Any, pooled: Any) -> None:
    clf, X, y, domain = pooled
    expected = skada.SoftNeighborhoodDensity()(clf, X, y, sample_domain=domain)
    # skada keeps the similarity of each row to itself, as -1 / 0.05; the paper leaves it out
    assert_allclose(SoftNeighborhoodDensityScorer(X[30:])(clf, X), expected, atol=1e-6)


def test_entropy_equals_skadas(skada: Any, pooled: Any) -> None:
    clf, X, y, domain = pooled
    # skada has no diversity term, and also averages over the classes
    confidence = 3 * skada.PredictionEntropyScorer()(clf, X, y, sample_domain=domain)
    mean = clf.predict_proba(X[30:]).mean(axis=0)
    diversity = -(mean * np.log(mean)).sum()
    # it adds 1e-7 inside the logarithm
    score = InformationMaximizationScorer(X[30:])(clf, X)
    assert_allclose(score, diversity + confidence, atol=1e-6)


def test_importance_weighting_equals_skadas(skada: Any, pooled: Any) -> None:
    clf, X, y, domain = pooled
    scorer = skada.ImportanceWeightedScorer()
    expected = scorer(clf, X, y, sample_domain=domain)
    # skada's weights are ratios of kernel densities
    densities = [
        estimator.score_samples(X[:30])
        for estimator in (scorer.weight_estimator_source_, scorer.weight_estimator_target_)
    ]
    weights = np.exp(densities[1] - densities[0])
    assert np.ptp(weights) > 0
    assert_allclose(weighted_score(y[:30], clf.predict_proba(X[:30]), weights), expected)


def test_deep_embedded_validation_equals_skadas(skada: Any, pooled: Any) -> None:
    clf, X, y, domain = pooled

    def loss(labels: np.ndarray, proba: np.ndarray) -> np.ndarray:
        # 2-D: the default loss of skada is 1-D and would broadcast against the column of weights
        return -np.log(proba[np.arange(len(labels)), labels])[:, None]

    pipe = make_plain_pipeline(FunctionTransformer(), clf)
    scorer = skada.DeepEmbeddedValidation(loss_func=loss, random_state=0)
    expected = scorer(pipe, X, y, sample_domain=domain)
    # skada weights a third of the source rows by a domain classifier trained on the others
    train, test = train_test_split(np.arange(30), test_size=0.33, random_state=0)
    in_target = scorer.domain_classifier_.predict_proba(X[test])[:, 0]
    weights = len(train) / 30 * in_target / (1 - in_target)
    losses = loss(y[test], clf.predict_proba(X[test]))[:, 0]
    assert_allclose(-deep_embedded_risk(losses, weights), expected)


class OfSource(LogisticRegression):
    """A logistic regression that is fitted on the source rows of skada's pooled data."""

    def fit(self, X: Any, y: Any, sample_domain: Any = None) -> OfSource:
        is_source = np.full(len(X), True) if sample_domain is None else sample_domain >= 0
        return super().fit(X[is_source], y[is_source])

    def predict(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        return super().predict(X)


def test_reverse_validation_equals_skadas(skada: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    pooled = np.vstack([X[60:], X_target])
    domain = np.repeat([1, -2], [60, 70])
    masked = np.r_[y[60:], np.full(70, -1)]
    clf = OfSource(C=0.1).fit(X[:60], y[:60])
    expected = skada.CircularValidation()(clf, pooled, masked, sample_domain=domain)
    ours = ReverseValidationScorer(X_target, metric="balanced_accuracy")
    assert_allclose(ours(clf, X[60:], y[60:]), expected)


class Nearest(KNeighborsClassifier):
    """Nearest neighbours, with the parameters that skada passes."""

    def predict(self, X: Any, sample_domain: Any = None) -> np.ndarray:
        return super().predict(X)

    def score(self, X: Any, y: Any, sample_domain: Any = None) -> float:
        return super().score(X, y)


def test_mixval_equals_skadas(skada: Any, domains: Any) -> None:
    X, X_target = domains.X_source, domains.X_target
    y = np.digitize(X[:, 0] * X[:, 1], [-0.3, 0.3])
    clf = Nearest(1).fit(X, y)
    pooled = np.vstack([X, X_target])
    domain = np.repeat([1, -2], 40)
    masked = np.r_[y, np.full(40, -1)]
    labels = clf.predict(X_target)
    # skada pairs by one permutation; here every row gets a partner of each kind
    partner = np.random.RandomState(5).permutation(40)
    for probe in ("intra", "inter"):
        scorer = skada.MixValScorer(ice_type=probe, random_state=5)
        expected = scorer(clf, pooled, masked, sample_domain=domain)
        first = np.flatnonzero((labels == labels[partner]) == (probe == "intra"))
        mixed = clf.predict(mix_rows(X_target, first, partner[first], 0.55))
        assert 0 < expected < 1
        assert_allclose(interpolation_consistency(labels[first], mixed), expected)
