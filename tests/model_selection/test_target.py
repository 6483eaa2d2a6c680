"""Scorers that need no target labels."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_validate,
    train_test_split,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline as make_plain_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from skdann import DANNClassifierCV, make_pipeline, model_selection
from skdann.datasets import make_covariate_shift
from skdann.metrics import effective_sample_size, importance_weights
from skdann.model_selection import (
    DeepEmbeddedValidationScorer,
    ImportanceWeightedScorer,
    InformationMaximizationScorer,
    MixValScorer,
    ReverseValidationScorer,
    SoftNeighborhoodDensityScorer,
    _density,
)
from skdann.model_selection._base import TargetScorer
from skdann.model_selection._embedded import deep_embedded_risk
from skdann.model_selection._mixval import (
    PROBES,
    interpolation_consistency,
    mix_rows,
    pair_rows,
)
from skdann.model_selection._scores import log_losses, weighted_score
from skdann.model_selection._target import (
    batch_nuclear_norm,
    information_maximization,
    soft_neighborhood_density,
)
from skdann.model_selection._weighted import WeightedScorer

SCORERS = [
    scorer_class
    for scorer_class in (getattr(model_selection, name) for name in model_selection.__all__)
    if issubclass(scorer_class, TargetScorer)
]
WEIGHTED = [scorer_class for scorer_class in SCORERS if issubclass(scorer_class, WeightedScorer)]
EACH = pytest.mark.parametrize("scorer_class", SCORERS)


class Fixed(ClassifierMixin, BaseEstimator):
    """A fitted classifier with a table of probabilities, indexed by the first column of X."""

    def __init__(self, table: Any, labels: Any = (0, 1)) -> None:
        self.table = table
        self.labels = labels

    @property
    def classes_(self) -> np.ndarray:
        return np.array(self.labels)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict_proba(self, X: Any) -> np.ndarray:
        return np.asarray(self.table)[np.asarray(X)[:, 0].astype(int)]


class Odds(ClassifierMixin, BaseEstimator):
    """Predicts the second column of X as the probability of the target domain."""

    def fit(self, X: Any, y: Any) -> Odds:
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        return np.column_stack([1 - X[:, 1], X[:, 1]])

    def predict(self, X: Any) -> np.ndarray:
        return X[:, 1] > 0.5


class Recorder(LogisticRegression):
    """Records the arguments of its fits."""

    def fit(self, X: Any, y: Any, X_target: Any = None) -> Recorder:
        FITS.append((X, y, X_target))
        return super().fit(X, y)


FITS: list[tuple[Any, Any, Any]] = []


@pytest.fixture
def fits() -> Iterator[list[tuple[Any, Any, Any]]]:
    FITS.clear()
    yield FITS
    FITS.clear()


@pytest.fixture
def shifted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source rows, labels, and fewer target rows."""
    X, y, X_target, _ = make_covariate_shift(120, shift=1.0, random_state=0)
    return X, y, X_target[:70]


def lines(n: int) -> np.ndarray:
    """Rows that index the lines 0 to n - 1 of a table."""
    return np.column_stack([np.arange(n), np.full(n, 0.5)])


def random_proba(n: int, k: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(k, 0.5), size=n)


def needs_labels(scorer_class: Any) -> bool:
    """Whether a scorer refuses to score without source labels."""
    try:
        scorer_class(lines(4))(Fixed(random_proba(4, 2)), lines(4))
    except ValueError as error:
        return "needs the labels of the source rows" in str(error)
    return False


SOURCE_SCORERS = [scorer_class for scorer_class in SCORERS if needs_labels(scorer_class)]
TARGET_SCORERS = [scorer_class for scorer_class in SCORERS if scorer_class not in SOURCE_SCORERS]


PROBA = st.tuples(
    st.integers(2, 30), st.integers(2, 5), st.integers(0, 2**31), st.sampled_from([0.01, 1.0, 50.0])
).map(lambda t: np.random.default_rng(t[2]).dirichlet(np.full(t[1], t[3]), size=t[0]))


# Information maximization


@pytest.mark.parametrize(
    ("proba", "expected"),
    [
        ([[1.0, 0.0], [0.0, 1.0]], np.log(2)),  # certain and diverse: the maximum
        ([[0.5, 0.5], [0.5, 0.5]], 0.0),
        ([[1.0, 0.0], [1.0, 0.0]], 0.0),  # certain, but all of one class
        (
            [[0.8, 0.2], [0.4, 0.6]],
            -0.6 * np.log(0.6)
            - 0.4 * np.log(0.4)
            + 0.5 * (0.8 * np.log(0.8) + 0.2 * np.log(0.2) + 0.4 * np.log(0.4) + 0.6 * np.log(0.6)),
        ),
    ],
)
def test_information_maximization_by_hand(proba: Any, expected: float) -> None:
    X_target = lines(2)
    score = InformationMaximizationScorer(X_target)(Fixed(proba), X_target)
    assert_allclose(score, expected, atol=1e-15)


@given(PROBA)
def test_information_is_that_of_the_joint_distribution(proba: np.ndarray) -> None:
    joint = proba / len(proba)  # draw a row uniformly, then a class
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    positive = joint > 0
    expected = (joint[positive] * np.log(joint[positive] / independent[positive])).sum()
    score = information_maximization(proba)
    assert_allclose(score, expected, atol=1e-12)
    assert -1e-12 <= score <= np.log(proba.shape[1]) + 1e-12


# Soft neighbourhood density


def density_by_loops(vectors: np.ndarray, temperature: float) -> float:
    unit = [row / np.sqrt((row**2).sum()) for row in vectors]
    entropies = []
    for i, row in enumerate(unit):
        closeness = [np.exp(row @ unit[j] / temperature) for j in range(len(unit)) if j != i]
        shares = np.array(closeness) / sum(closeness)
        entropies.append(-sum(shares * np.log(shares)))
    return float(np.mean(entropies))


@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_soft_neighborhood_density_by_loops(temperature: float) -> None:
    proba = random_proba(9, 3)
    scorer = SoftNeighborhoodDensityScorer(lines(9), temperature=temperature)
    expected = density_by_loops(proba, temperature)
    assert_allclose(scorer(Fixed(proba, (0, 1, 2)), lines(9)), expected, rtol=1e-12)


def test_density_by_hand() -> None:
    # two distant pairs: each row has one neighbour, and two others with similarity e^-20
    proba = np.eye(2)[[0, 0, 1, 1]]
    tiny = np.exp(-20.0)
    shares = np.array([1.0, tiny, tiny]) / (1.0 + 2.0 * tiny)
    assert_allclose(soft_neighborhood_density(proba), -(shares * np.log(shares)).sum(), atol=1e-14)
    # collapse has the highest score, as the docs warn
    assert_allclose(soft_neighborhood_density(proba[[0] * 7]), np.log(6), rtol=1e-12)


@pytest.mark.parametrize("block_entries", [1, 23, 60, 10**6])
def test_density_in_blocks(block_entries: int) -> None:
    proba = random_proba(23, 4)
    whole = density_by_loops(proba, 0.05)
    assert_allclose(
        soft_neighborhood_density(proba, block_entries=block_entries), whole, rtol=1e-12
    )


def test_density_of_a_sample() -> None:
    proba = random_proba(50, 3)
    clf = Fixed(proba, (0, 1, 2))
    scores = [
        SoftNeighborhoodDensityScorer(lines(50), max_rows=20, random_state=seed)(clf, lines(50))
        for seed in (0, 0, 1)
    ]
    assert scores[0] == scores[1] != scores[2]
    assert scores[0] <= np.log(19)  # the bound with 20 rows
    all_but_one = SoftNeighborhoodDensityScorer(lines(50), max_rows=49)(clf, lines(50))
    others = [soft_neighborhood_density(np.delete(proba, i, axis=0)) for i in range(50)]
    assert np.isclose(others, all_but_one, rtol=1e-12).sum() == 1
    whole = SoftNeighborhoodDensityScorer(lines(50), max_rows=50)(clf, lines(50))
    assert whole == soft_neighborhood_density(proba)


# Batch nuclear norm


def test_batch_nuclear_norm_by_hand() -> None:
    sure = np.eye(3)[[0, 1, 2, 0, 1, 2]]
    assert_allclose(batch_nuclear_norm(sure), 1.0)
    # one singular value, the Frobenius norm sqrt(n / k), of at most sqrt(n * k)
    assert_allclose(batch_nuclear_norm(np.full((6, 3), 1 / 3)), 1 / 3)
    assert_allclose(batch_nuclear_norm(sure[[0] * 5]), 1 / np.sqrt(3))


@given(PROBA)
def test_nuclear_norm_is_the_trace_of_the_root(proba: np.ndarray) -> None:
    roots = np.sqrt(np.linalg.eigvalsh(proba.T @ proba).clip(0))
    n, k = proba.shape
    score = batch_nuclear_norm(proba)
    assert_allclose(score, roots.sum() / np.sqrt(n * min(n, k)), atol=1e-6)
    assert 0 < score <= 1 + 1e-12


def test_nuclear_norm_ranks_as_the_norm_over_n() -> None:
    probas = [random_proba(40, 3, seed) ** p for seed, p in enumerate((1, 2, 3, 4, 5, 6))]
    probas = [proba / proba.sum(axis=1, keepdims=True) for proba in probas]
    musgrave = [np.linalg.norm(proba, "nuc") / 40 for proba in probas]
    ours = [batch_nuclear_norm(proba) for proba in probas]
    assert_array_equal(np.argsort(ours), np.argsort(musgrave))
    assert_allclose(ours[0], batch_nuclear_norm(np.vstack([probas[0]] * 3)))  # whatever n


# Importance-weighted validation


def weighted_case() -> tuple[Any, ...]:
    """Source rows with known density ratios, their labels, and target rows."""
    n_target = 12
    h = np.array([0.2, 0.5, 0.6, 0.9, 0.5, 0.1, 0.75, 0.3])  # probability of the target
    X = np.column_stack([np.arange(8), h])
    X_target = np.column_stack([np.arange(n_target), np.full(n_target, 0.5)])
    table = np.vstack([random_proba(8, 2, seed=3), random_proba(4, 2)])
    y = np.array([0, 1, 1, 0, 1, 0, 1, 1])
    ratio = [8 / n_target * p / (1 - p) for p in h]
    return Fixed(table), X, y, X_target, np.array(ratio)


@pytest.mark.parametrize("max_weight", [None, 1.0])
@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "log_loss"])
def test_importance_weighting_by_hand(metric: str, max_weight: float | None) -> None:
    clf, X, y, X_target, ratio = weighted_case()
    limit = np.sqrt(8) if max_weight is None else max_weight
    weights = np.array([min(w, limit) for w in ratio])
    assert (weights < ratio).any()
    proba = clf.predict_proba(X)
    guess = proba.argmax(axis=1)
    expected = {
        "accuracy": accuracy_score(y, guess, sample_weight=weights),
        "balanced_accuracy": balanced_accuracy_score(y, guess, sample_weight=weights),
        "log_loss": -log_loss(y, proba, sample_weight=weights),
    }[metric]
    scorer = ImportanceWeightedScorer(
        X_target, metric=metric, max_weight=max_weight, weight_estimator=Odds()
    )
    assert_allclose(scorer(clf, X, y), expected, rtol=1e-12)
    result = scorer.evaluate(clf, X, y)
    assert result.score == scorer(clf, X, y)
    assert_allclose(result.weights, weights, rtol=1e-12)
    n_effective = sum(weights) ** 2 / sum(weights**2)
    assert_allclose(result.effective_sample_size, n_effective, rtol=1e-12)


def test_classes_without_weight_do_not_count() -> None:
    proba, index = np.eye(3)[[0, 1, 0, 1]], np.array([0, 1, 1, 2])
    weights = np.array([1.0, 2.0, 1.0, 0.0])
    expected = (1 + 2 / 3) / 2
    assert_allclose(weighted_score(index, proba, weights, "balanced_accuracy"), expected)


def test_importance_weighting_estimates_the_target_accuracy() -> None:
    X, y, X_target, y_target = make_covariate_shift(2000, shift=2.0, random_state=0)
    # correct only in the region of the target, so that source accuracy is misleading
    clf = LogisticRegression().fit(X_target, y_target)
    plain, truth = clf.score(X, y), clf.score(X_target, y_target)
    score = ImportanceWeightedScorer(X_target)(clf, X, y)
    assert plain < truth - 0.2
    assert abs(score - truth) < 0.03


def test_weights_are_those_of_the_metrics(shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    result = ImportanceWeightedScorer(X_target, random_state=3, cv=4).evaluate(clf, X, y)
    weights = importance_weights(X, X_target, random_state=3, cv=4)
    assert_array_equal(result.weights, weights)
    assert_allclose(result.score, clf.score(X, y, weights))
    assert result.effective_sample_size == effective_sample_size(weights)


@pytest.mark.parametrize("scorer_class", WEIGHTED)
def test_space(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    X, X_target = X * 1e-3, X_target * 1e-3
    linear = LogisticRegression()  # depends on the scale, unlike trees
    options = {"weight_estimator": linear, "cv": 3, "random_state": 0}

    def weigh(*rows: Any) -> np.ndarray:
        return importance_weights(*rows, estimator=linear, cv=3, random_state=0)

    scaler, lda = StandardScaler(), LinearDiscriminantAnalysis()
    pipe = make_plain_pipeline(scaler, lda).fit(X, y)
    scaled = scaler.transform(X), scaler.transform(X_target)
    features = lda.transform(scaled[0]), lda.transform(scaled[1])
    for space, rows in {"inputs": scaled, "features": features}.items():
        weights = scorer_class(X_target, space=space, **options).evaluate(pipe, X, y).weights
        assert_array_equal(weights, weigh(*rows))
    default = "inputs" if scorer_class is ImportanceWeightedScorer else "features"
    assert scorer_class().space == default
    assert not np.allclose(weigh(*scaled), weigh(X, X_target))
    # pipelines within pipelines
    nested = make_plain_pipeline(make_plain_pipeline(scaler, lda))
    weights = scorer_class(X_target, space="inputs", **options).evaluate(nested, X, y).weights
    assert_array_equal(weights, weigh(*scaled))
    nested = make_plain_pipeline(scaler, make_plain_pipeline(lda))
    weights = scorer_class(X_target, space="features", **options).evaluate(nested, X, y).weights
    assert_array_equal(weights, weigh(*features))
    # without transform the features are the inputs
    pipe = make_plain_pipeline(scaler, LogisticRegression()).fit(X, y)
    weights = scorer_class(X_target, space="features", **options).evaluate(pipe, X, y).weights
    assert_array_equal(weights, weigh(*scaled))


def test_features_of_our_classifier(domains: Any, make_clf: Any) -> None:
    pipe = make_pipeline(StandardScaler(), make_clf())
    pipe.fit(domains.X_source, domains.y_source, X_target=domains.X_target)
    scorer = DeepEmbeddedValidationScorer(domains.X_target)
    weights = scorer.evaluate(pipe, domains.X_source, domains.y_source).weights
    features = pipe.transform(domains.X_source), pipe.transform(domains.X_target)
    assert features[0].shape == (40, 8)
    assert_array_equal(weights, importance_weights(*features, random_state=0))


def test_source_rows_keep_the_scaling_of_the_source_in_the_features(
    domains: Any, make_clf: Any
) -> None:
    X_target = domains.X_target - 6  # as target rows, source rows would be far off
    pipe = make_pipeline(StandardScaler(), make_clf(standardize="domain", max_epochs=20))
    pipe.fit(domains.X_source, domains.y_source, X_target=X_target)
    clf, X = pipe[-1], pipe[:-1].transform(domains.X_source)
    scorer = DeepEmbeddedValidationScorer(X_target)
    features = clf.transform(X, sample_domain=0), pipe.transform(X_target)
    weights = importance_weights(*features, random_state=0)
    result = scorer.evaluate(pipe, domains.X_source, domains.y_source)
    assert_array_equal(result.weights, weights)
    losses = log_losses(domains.y_source, clf.predict_proba(X, sample_domain=0))
    assert result.score == -deep_embedded_risk(losses, weights)
    search = DANNClassifierCV(make_clf(), n_seeds=1, lambdas=(), standardize=("domain",))
    search.fit(X, domains.y_source, X_target)  # it has no features and is scored in the inputs
    scores = [
        DeepEmbeddedValidationScorer(X_target, space=space)(search, X, domains.y_source)
        for space in ("features", "inputs")
    ]
    assert scores[0] == scores[1]
    # in the inputs, source rows are predicted like the target
    weighted = ImportanceWeightedScorer(X_target, metric="log_loss")(
        pipe, domains.X_source, domains.y_source
    )
    assert weighted < result.score


@pytest.fixture
def n_weighings(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Count how often weights are computed, starting from an empty cache."""
    calls = []

    def weigh(*args: Any, **options: Any) -> np.ndarray:
        calls.append(args)
        return importance_weights(*args, **options)

    monkeypatch.setattr(_density, "importance_weights", weigh)
    monkeypatch.setattr(_density, "_CACHE", type(_density._CACHE)())
    return lambda: len(calls)


def test_weights_are_computed_once_per_fold(shifted: Any, n_weighings: Callable[[], int]) -> None:
    X, y, X_target = shifted
    search = GridSearchCV(
        LogisticRegression(),
        {"C": [0.01, 1.0, 100.0]},
        scoring=ImportanceWeightedScorer(X_target),
        cv=3,
    )
    search.fit(X, y)
    assert n_weighings() == 3


def test_cached_weights_are_not_reused_for_other_rows_or_options(
    shifted: Any, n_weighings: Callable[[], int]
) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    scorer = ImportanceWeightedScorer(X_target)
    first = scorer.evaluate(clf, X, y).weights
    first *= 0.0  # the caller got a copy
    assert scorer.evaluate(clf, X, y).weights.any()
    assert n_weighings() == 1
    for other in (
        ImportanceWeightedScorer(X_target[1:]),
        ImportanceWeightedScorer(X_target, random_state=1),
        ImportanceWeightedScorer(X_target, cv=3),
        ImportanceWeightedScorer(X_target, max_weight=1.0),
        ImportanceWeightedScorer(X_target, weight_estimator=LogisticRegression()),
    ):
        before = n_weighings()
        other(clf, X, y)
        assert n_weighings() == before + 1
    scorer(clf, X[::-1], y[::-1])
    assert n_weighings() == 7
    for random_state in (None, np.random.RandomState(0)):
        scorer = ImportanceWeightedScorer(X_target, random_state=random_state)
        weights = [scorer.evaluate(clf, X, y).weights for _ in range(2)]
        assert not np.array_equal(*weights)


def test_the_cache_of_weights_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_density, "importance_weights", lambda X, T, **options: np.ones(len(X)))
    for i in range(100):
        _density.source_weights(np.full((3, 1), i), np.ones((3, 1)), random_state=0)
    assert len(_density._CACHE) == _density._CACHE_SIZE < 100


# Deep embedded validation


@pytest.mark.parametrize("loss", ["log_loss", "zero_one"])
def test_deep_embedded_validation_by_hand(loss: str) -> None:
    clf, X, y, X_target, ratio = weighted_case()
    weights = [min(w, np.sqrt(8)) for w in ratio]
    proba = clf.predict_proba(X)
    if loss == "log_loss":
        losses = [-np.log(proba[i, label]) for i, label in enumerate(y)]
    else:
        losses = [float(proba[i, label] < 0.5) for i, label in enumerate(y)]
    products = [w * value for w, value in zip(weights, losses, strict=True)]
    mean_w, mean_p = sum(weights) / 8, sum(products) / 8
    covariance = sum((w - mean_w) * (p - mean_p) for w, p in zip(weights, products, strict=True))
    variance = sum((w - mean_w) ** 2 for w in weights)
    expected = mean_p - covariance / variance * (mean_w - 1)
    scorer = DeepEmbeddedValidationScorer(X_target, loss=loss, weight_estimator=Odds())
    assert_allclose(scorer(clf, X, y), -expected, rtol=1e-12)
    assert_allclose(scorer.evaluate(clf, X, y).weights, weights, rtol=1e-12)


@given(st.floats(0, 5), st.integers(0, 2**31))
def test_the_risk_of_a_constant_loss_is_that_loss(loss: float, seed: int) -> None:
    weights = np.random.default_rng(seed).exponential(size=20) * 3.0
    assert_allclose(deep_embedded_risk(np.full(20, loss), weights), loss, atol=1e-9)


def test_equal_weights_give_the_weighted_mean() -> None:
    losses = np.array([0.5, 2.0, 0.1])
    assert_allclose(deep_embedded_risk(losses, np.ones(3)), losses.mean())
    assert_allclose(deep_embedded_risk(losses[:1], np.array([2.0])), 1.0)


def test_the_control_variate_reduces_the_variance() -> None:
    rng = np.random.default_rng(0)
    plain, controlled = [], []
    for _ in range(200):
        x = rng.normal(size=200)
        weights, losses = np.exp(x - 0.5), 1.0 + 0.2 * rng.normal(size=200)
        plain.append((weights * losses).mean())
        controlled.append(deep_embedded_risk(losses, weights))
    assert np.std(controlled) < 0.5 * np.std(plain)
    assert abs(np.mean(controlled) - 1.0) < 0.01


# Reverse validation


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "log_loss"])
def test_reverse_validation_by_hand(metric: str, shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression(C=0.1).fit(X[:80], y[:80])
    reverse = LogisticRegression(C=0.1).fit(X_target, clf.predict(X_target))
    guess = reverse.predict(X[80:])
    expected = {
        "accuracy": accuracy_score(y[80:], guess),
        "balanced_accuracy": balanced_accuracy_score(y[80:], guess),
        "log_loss": -log_loss(y[80:], reverse.predict_proba(X[80:])),
    }[metric]
    score = ReverseValidationScorer(X_target, metric=metric)(clf, X[80:], y[80:])
    assert_allclose(score, expected, rtol=1e-12)


def test_the_reverse_classifier_adapts_to_the_source(fits: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    clf = Recorder().fit(X[:80], y[:80])
    fits.clear()
    ReverseValidationScorer(X_target)(clf, X[80:], y[80:])
    ((rows, labels, target),) = fits
    assert_array_equal(rows, X_target)
    assert_array_equal(labels, clf.predict(X_target))
    assert len(target) == 1
    assert_array_equal(target[0], X[80:])


@pytest.mark.parametrize("case", ["classifier", "make_pipeline", "plain pipeline", "nested"])
def test_reverse_validation_of_our_classifier(domains: Any, make_clf: Any, case: str) -> None:
    X, y, X_target = domains.X_source, domains.y_source, domains.X_target
    clf = make_pipeline(StandardScaler(), make_clf()) if case != "classifier" else make_clf()
    clf.fit(X, y, X_target=X_target)
    candidate = make_plain_pipeline(*clf) if case in ("plain pipeline", "nested") else clf
    if case == "nested":
        candidate = make_plain_pipeline(candidate)
    labels = clf.predict(X_target)
    assert len(set(labels)) == 2
    # by hand: the scaler is fitted on the target, which is now the source
    source, target = X_target, X
    if case != "classifier":
        scaler = StandardScaler().fit(X_target)
        source, target = scaler.transform(X_target), scaler.transform(X)
    reverse = make_clf().fit(source, labels, target)
    expected = -log_loss(y, reverse.predict_proba(target).astype(float))
    before = clf.predict_proba(X)
    score = ReverseValidationScorer(X_target, metric="log_loss")(candidate, X, y)
    assert_allclose(score, expected, rtol=1e-6)
    assert_array_equal(clf.predict_proba(X), before)  # the candidate itself is not refitted


@pytest.mark.parametrize(
    ("metric", "expected"),
    [("accuracy", 0.25), ("balanced_accuracy", 0.5), ("log_loss", 0.75 * np.log(2.0**-52))],
)
def test_reverse_validation_of_collapse(metric: str, expected: float) -> None:
    clf = Fixed(np.full((8, 2), [0.1, 0.9]))
    y = np.array([0, 0, 0, 1, 0, 0, 0, 1])
    score = ReverseValidationScorer(lines(5), metric=metric)(clf, lines(8), y)
    assert_allclose(score, expected)


def test_a_class_may_be_missing_in_the_reverse_classifier(shifted: Any) -> None:
    X, _, X_target = shifted
    y = np.digitize(X[:, 0], [-0.5, 0.5])
    clf = LogisticRegression().fit(X, y)
    few = X_target[clf.predict(X_target) > 0]
    reverse = LogisticRegression().fit(few, clf.predict(few))
    assert reverse.classes_.tolist() == [1, 2]
    right = reverse.predict(X) == y
    assert not right[y == 0].any()
    assert ReverseValidationScorer(few)(clf, X, y) == right.mean()


# MixVal


def test_mixval_by_hand() -> None:
    clf = LogisticRegression().fit([[-1.0], [1.0]], ["minus", "plus"])  # the sign of x
    # only one pair has different labels: 0.55 * -1 + 0.45 * 3 > 0, which is wrong
    two = np.array([[-1.0], [3.0]])
    scores = [MixValScorer(two, probe=probe)(clf, two) for probe in ("intra", "inter", "both")]
    assert scores == [0.0, 0.5, 0.25]  # and there is no pair with the same label
    # for any pairs: correct within a label; across labels the distant rows dominate
    four = np.array([[-1.0], [-2.0], [10.0], [11.0]])
    scores = [MixValScorer(four, probe=probe)(clf, four) for probe in ("intra", "inter", "both")]
    assert scores == [1.0, 0.5, 0.75]
    assert MixValScorer(four, probe="inter", share=0.95)(clf, four) == 1.0


def test_mixval_does_not_reward_collapse() -> None:
    clf = LogisticRegression().fit([[-1.0], [1.0]], [0, 1])
    one_sided = np.array([[1.0], [2.0], [3.0]])
    scores = [MixValScorer(one_sided, probe=probe)(clf, one_sided) for probe in PROBES]
    assert scores == [1.0, 0.0]
    assert MixValScorer(one_sided)(clf, one_sided) == 0.5


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(0, 2**31))
def test_pairs(labels: list[int], seed: int) -> None:
    label = np.array(labels)
    counts = np.bincount(label)[label]
    first, second = pair_rows(label, "intra", seed)
    assert sorted(first) == np.flatnonzero(counts > 1).tolist() == sorted(second)
    assert (first != second).all()
    assert (label[first] == label[second]).all()
    first, second = pair_rows(label, "inter", seed)
    assert sorted(first) == np.flatnonzero(counts < len(label)).tolist()
    assert (label[first] != label[second]).all()


def test_pairs_depend_on_the_seed() -> None:
    label = np.arange(60) % 3
    for probe in ("intra", "inter"):
        pairs = [pair_rows(label, probe, seed)[1].tolist() for seed in (0, 0, 1)]
        assert pairs[0] == pairs[1] != pairs[2]


def test_rows_are_mixed_dense_and_sparse() -> None:
    rows = np.array([[0.0, 2.0], [4.0, 0.0]])
    expected = [[1.6, 1.2], [2.4, 0.8]]
    pair = np.array([0, 1]), np.array([1, 0])
    assert_allclose(mix_rows(rows, *pair, 0.6), expected)
    assert_allclose(mix_rows(sp.csr_array(rows), *pair, 0.6).toarray(), expected)


def test_mixval_mixes_the_rows_of_the_last_step() -> None:
    frame = pd.DataFrame({"x": [-1.0, -2.0, 10.0, 11.0], "kind": list("abba")})
    encode = make_column_transformer((StandardScaler(), ["x"]), (OneHotEncoder(), ["kind"]))
    pipe = make_plain_pipeline(encode, LogisticRegression(C=1e3)).fit(frame, [0, 0, 1, 1])
    rows = pipe[0].transform(frame)
    score = MixValScorer(frame, probe="inter")(pipe, frame)
    last = MixValScorer(rows, probe="inter")(pipe[-1], rows)
    assert score == last
    # by hand: the scaled values are about -1.03 and 1.03, so the larger share dominates
    assert score == 1.0


@pytest.mark.parametrize("make_frame", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_mixval_keeps_the_names_of_columns(shifted: Any, make_frame: Any) -> None:
    X, y, X_target = shifted
    names = [f"x{i}" for i in range(X.shape[1])]
    frames = [make_frame(dict(zip(names, rows.T, strict=True))) for rows in (X, X_target)]
    score = MixValScorer(frames[1])(LogisticRegression().fit(frames[0], y), frames[0])
    assert score == MixValScorer(X_target)(LogisticRegression().fit(X, y), X)
    # also where the steps of a pipeline pass frames on
    pipe = make_plain_pipeline(StandardScaler(), LogisticRegression())
    pipe.set_output(transform="pandas" if make_frame is pd.DataFrame else "polars")
    plain = make_plain_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    expected = MixValScorer(X_target)(plain, X)
    assert MixValScorer(frames[1])(pipe.fit(frames[0], y), frames[0]) == expected


# All scorers


def test_the_tables_hold_every_scorer() -> None:
    assert len(SCORERS) >= 8
    assert ImportanceWeightedScorer in SOURCE_SCORERS
    assert MixValScorer in TARGET_SCORERS
    table = re.search(r"^=+ .*^=+", model_selection.__doc__, re.MULTILINE | re.DOTALL)
    listed = re.findall(r"^(\w+Scorer) ", table[0], re.MULTILINE)
    assert sorted(listed) == sorted(scorer_class.__name__ for scorer_class in SCORERS)


@EACH
def test_any_classifier_and_container(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    names = ["a", "b", "c", "d", "e"][: X.shape[1]]
    clf = LogisticRegression().fit(X, y)
    expected = scorer_class(X_target)(clf, X, y)
    approx = pytest.approx(expected, rel=1e-12)  # frames may be stored in another memory order
    assert np.isfinite(expected)
    assert isinstance(expected, float)
    assert scorer_class(X_target.tolist())(clf, X.tolist(), y.tolist()) == approx
    assert scorer_class((X_target,))(clf, X, y) == approx
    assert scorer_class((X_target[:20], X_target[20:]))(clf, X, y) == approx  # pooled
    for make_frame in (pd.DataFrame, pl.DataFrame):
        frame, *targets = (
            make_frame(dict(zip(names, rows.T, strict=True)))
            for rows in (X, X_target[:20], X_target[20:])
        )
        turned = tuple(target[names[::-1]] for target in targets)  # columns are matched by name
        of_frames = LogisticRegression().fit(frame, y)
        assert scorer_class(turned)(of_frames, frame, y) == approx


@EACH
def test_sparse_rows(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = (sp.csr_array(rows) if rows.ndim > 1 else rows for rows in shifted)
    clf = LogisticRegression().fit(X, y)
    whole = scorer_class(X_target)(clf, X, y)
    assert np.isfinite(whole)
    assert scorer_class((X_target[:20], X_target[20:]))(clf, X, y) == whole


@EACH
def test_documents(scorer_class: Any) -> None:
    texts = ["good film", "bad film", "good book", "bad book", "film", "good", "bad", "a good one"]
    y = [1, 0, 1, 0, 0, 1, 0, 1]
    pipe = make_plain_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, y)
    scorer = scorer_class((["good pen", "bad pen", "a bad one"], ["good", "a good pen"]))
    assert np.isfinite(scorer(pipe, texts, y))


@EACH
def test_column_transformer_on_frames(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    frames = [
        pd.DataFrame({"x": rows[:, 0], "z": rows[:, 1], "kind": np.where(rows[:, 1] > 0, "a", "b")})
        for rows in (X, X_target)
    ]
    encode = make_column_transformer((StandardScaler(), ["x", "z"]), (OneHotEncoder(), ["kind"]))
    for last in (LogisticRegression(), LinearDiscriminantAnalysis()):
        pipe = make_plain_pipeline(encode, last).fit(frames[0], np.where(y, "yes", "no"))
        score = scorer_class(frames[1])(pipe, frames[0], np.where(y, "yes", "no"))
        assert np.isfinite(score)


@EACH
@pytest.mark.parametrize("is_pipeline", [False, True], ids=["classifier", "pipeline"])
def test_our_classifier(scorer_class: Any, domains: Any, make_clf: Any, is_pipeline: bool) -> None:
    clf = make_pipeline(StandardScaler(), make_clf()) if is_pipeline else make_clf()
    clf.fit(domains.X_source, domains.y_source, X_target=domains.X_target)
    scorer = scorer_class((domains.X_target,))
    score = scorer(clf, domains.X_source, domains.y_source)
    assert np.isfinite(score)
    assert scorer(clf, domains.X_source, domains.y_source) == score


@pytest.mark.parametrize("scorer_class", TARGET_SCORERS)
def test_target_scorers_ignore_source_labels(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    scorer = scorer_class(X_target)
    assert scorer(clf, X) == scorer(clf, X[:9], 1 - y[:9])


@pytest.mark.parametrize(
    "scorer_class", [each for each in TARGET_SCORERS if each is not MixValScorer]
)
def test_order_of_rows_and_classes_does_not_matter(scorer_class: Any) -> None:
    proba = random_proba(30, 3)
    rows = lines(30)
    expected = scorer_class(rows)(Fixed(proba, (0, 1, 2)), rows)
    assert_allclose(scorer_class(rows[::-1])(Fixed(proba, (0, 1, 2)), rows), expected)
    assert_allclose(scorer_class(rows)(Fixed(proba[:, ::-1], (0, 1, 2)), rows), expected)


@EACH
def test_inputs_are_not_changed(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    before = copy.deepcopy((X, y, X_target))
    fitted = joblib.hash(clf)
    for rows in (X, y, X_target):
        rows.flags.writeable = False  # like the memory maps of joblib
    scorer = scorer_class(X_target)
    params = scorer.get_params()
    scorer(clf, X, y)
    for rows, earlier in zip((X, y, X_target), before, strict=True):
        assert_array_equal(rows, earlier)
    assert joblib.hash(clf) == fitted
    assert scorer.get_params() == params
    assert scorer.X_target is X_target


@EACH
def test_copies(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    scorer = scorer_class(X_target)
    expected = scorer(clf, X, y)
    for other in (pickle.loads(pickle.dumps(scorer)), clone(scorer), copy.deepcopy(scorer)):
        assert other(clf, X, y) == expected
        assert repr(other) == repr(scorer)
    assert vars(clone(scorer)).keys() == scorer.get_params().keys()


@EACH
def test_global_random_state_is_untouched(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    before = np.random.get_state()[1].tolist()
    scorer_class(X_target)(clf, X[::2], y[::2])
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize("params", [{"max_rows": 20}, {}], ids=["sample", "pairs"])
def test_without_a_seed_entropy_is_fresh(params: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    scorer_class = SoftNeighborhoodDensityScorer if params else MixValScorer
    scores = set()
    for _ in range(5):
        np.random.seed(0)  # the global state is not read
        before = np.random.get_state()[1].tolist()
        scores.add(scorer_class(X_target, random_state=None, **params)(clf, X))
        assert np.random.get_state()[1].tolist() == before
    assert len(scores) > 1


def test_repr() -> None:
    scorer = ImportanceWeightedScorer(np.ones((300, 2)), metric="log_loss", random_state=3)
    expected = "ImportanceWeightedScorer(X_target=<300 x 2>, metric='log_loss', random_state=3)"
    assert repr(scorer) == expected
    assert repr(MixValScorer()) == "MixValScorer()"
    two = SoftNeighborhoodDensityScorer((np.ones((3, 2)), np.ones((4, 2))), temperature=0.1)
    assert repr(two) == "SoftNeighborhoodDensityScorer(X_target=<3 x 2, 4 x 2>, temperature=0.1)"
    search = GridSearchCV(LogisticRegression(), {}, scoring=MixValScorer(np.ones((3, 2))))
    assert "MixValScorer(X_target=<3 x 2>)" in repr(search)


# Searches


def assert_scores_are_those_of_folds(search: Any, estimator: Any, scorer: Any, data: Any) -> None:
    """Assert that the scores of a search equal those of a loop over candidates and folds."""
    X, y, X_target = data
    for i, params in enumerate(search.cv_results_["params"]):
        for fold, (train, test) in enumerate(StratifiedKFold(3).split(X, y)):
            clf = clone(estimator).set_params(**params)
            fit_params = {"X_target": X_target} if "DANN" in str(estimator) else {}
            clf.fit(X[train], y[train], **fit_params)
            score = search.cv_results_[f"split{fold}_test_score"][i]
            assert score == scorer(clf, X[test], y[test])


@EACH
def test_grid_search(scorer_class: Any, domains: Any, make_clf: Any) -> None:
    data = domains.X_source, domains.y_source, domains.X_target
    pipe = make_pipeline(StandardScaler(), make_clf())
    scorer = scorer_class(domains.X_target, **({"cv": 3} if scorer_class in WEIGHTED else {}))
    search = GridSearchCV(
        pipe, {"dannclassifier__lr": [1e-4, 1e-1]}, scoring=scorer, cv=3, error_score="raise"
    )
    search.fit(data[0], data[1], X_target=(data[2],))
    assert_scores_are_those_of_folds(search, pipe, scorer, data)
    assert np.ptp(search.cv_results_["mean_test_score"]) > 0
    assert search.score(data[0], data[1]) == scorer(search.best_estimator_, data[0], data[1])


def test_parallel_search(shifted: Any) -> None:
    X, y, X_target = shifted
    scoring = {scorer.__name__: scorer(X_target) for scorer in SCORERS}
    results = [
        GridSearchCV(
            LogisticRegression(),
            {"C": [1e-3, 1e3]},
            scoring=scoring,
            refit="MixValScorer",
            cv=3,
            n_jobs=n_jobs,
            error_score="raise",
        )
        .fit(X, y)
        .cv_results_
        for n_jobs in (1, 2)
    ]
    for name in scoring:
        for part in ("mean", "std"):
            serial, parallel = (result[f"{part}_test_{name}"] for result in results)
            assert_array_equal(serial, parallel)
        assert np.ptp(results[0][f"mean_test_{name}"]) > 0


def test_randomized_search(shifted: Any) -> None:
    X, y, X_target = shifted
    scorer = InformationMaximizationScorer(X_target)
    search = RandomizedSearchCV(
        LogisticRegression(), {"C": [0.1, 1, 10]}, n_iter=2, scoring=scorer, cv=3, random_state=0
    )
    assert_scores_are_those_of_folds(search.fit(X, y), LogisticRegression(), scorer, shifted)


def test_cross_validate(shifted: Any) -> None:
    X, y, X_target = shifted
    scorer = ReverseValidationScorer(X_target)
    result = cross_validate(
        LogisticRegression(), X, y, scoring=scorer, cv=KFold(3), return_estimator=True
    )
    expected = [
        scorer(clf, X[test], y[test])
        for clf, (_, test) in zip(result["estimator"], KFold(3).split(X), strict=True)
    ]
    assert_array_equal(result["test_score"], expected)


@pytest.fixture
def routed() -> Iterator[None]:
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routed")
@EACH
def test_the_target_is_requested_by_default(scorer_class: Any) -> None:
    requests = scorer_class().get_metadata_routing().score.requests
    assert requests == {"X_target": True}
    named = scorer_class().set_score_request(X_target="X_judge")
    assert named.get_metadata_routing().score.requests == {"X_target": "X_judge"}
    assert clone(named).get_metadata_routing().score.requests == {"X_target": "X_judge"}


@pytest.mark.usefixtures("routed")
@EACH
def test_routing(scorer_class: Any, domains: Any, make_clf: Any) -> None:
    data = domains.X_source, domains.y_source, domains.X_target
    assert len(data[0]) == len(data[2])  # otherwise scikit-learn would not slice a bare array
    options = {"cv": 3} if scorer_class in WEIGHTED else {}
    pipe = make_pipeline(StandardScaler(), make_clf())
    search = GridSearchCV(
        pipe,
        {"dannclassifier__lr": [1e-4, 1e-1]},
        scoring=scorer_class(**options).set_score_request(X_target=True),
        cv=3,
        error_score="raise",
    )
    search.fit(data[0], data[1], X_target=(data[2],))
    assert_scores_are_those_of_folds(search, pipe, scorer_class(data[2], **options), data)


@pytest.mark.usefixtures("routed")
def test_routing_to_the_scorer_alone(shifted: Any) -> None:
    X, y, X_target = shifted
    result = cross_validate(
        LogisticRegression(),
        X,
        y,
        scoring={"density": SoftNeighborhoodDensityScorer(), "mix": MixValScorer()},
        params={"X_target": (X_target,)},
        cv=3,
        return_estimator=True,
    )
    expected = [SoftNeighborhoodDensityScorer(X_target)(clf, X) for clf in result["estimator"]]
    assert_array_equal(result["test_density"], expected)


@pytest.mark.usefixtures("routed")
def test_the_target_of_the_constructor_takes_precedence(shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    given, other = X_target[:30], X_target[30:]
    built = InformationMaximizationScorer(given)
    assert built(clf, X, X_target=other) == built(clf, X)
    assert built(clf, X) != InformationMaximizationScorer()(clf, X, X_target=other)
    result = cross_validate(
        clf, X, y, scoring=built, params={"X_target": (other,)}, cv=3, return_estimator=True
    )
    assert_array_equal(result["test_score"], [built(clf, X) for clf in result["estimator"]])


# Errors


@EACH
def test_no_target(scorer_class: Any, shifted: Any) -> None:
    X, y, _ = shifted
    clf = LogisticRegression().fit(X, y)
    with pytest.raises(ValueError, match=rf"{scorer_class.__name__} has no target rows; construct"):
        scorer_class()(clf, X, y)


@EACH
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda T: (), "empty tuple"),
        (lambda T: T[:, :1], r"X_target has 1 features but X has 2"),
        (lambda T: T[:0], "X_target has no rows"),
        (
            lambda T: T[0],
            r"X_target must be 2-D like X, which has shape \(120, 2\), but has shape \(2,\)",
        ),
        (lambda T: (T, T[:, :1]), r"X_target\[1\] has 1 features"),
        (lambda T: [T, T], r"several targets as a tuple"),
        (pd.DataFrame, "X_target is a data frame but X is an array"),
    ],
)
def test_bad_targets(scorer_class: Any, shifted: Any, change: Any, text: str) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    with pytest.raises(ValueError, match=text):
        scorer_class(change(X_target))(clf, X, y)


def test_frames_of_other_columns(shifted: Any) -> None:
    X, y, X_target = shifted
    X, X_target = pd.DataFrame(X, columns=["a", "b"]), pd.DataFrame(X_target, columns=["a", "c"])
    with pytest.raises(ValueError, match=r"missing \['b'\]"):
        MixValScorer(X_target)(LogisticRegression().fit(X, y), X)


@EACH
def test_unsuitable_estimators(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    scorer = scorer_class(X_target)
    with pytest.raises(TypeError, match="LinearSVC has no predict_proba; wrap it"):
        scorer(LinearSVC().fit(X, y), X, y)
    error = TypeError if scorer_class in SOURCE_SCORERS else NotFittedError
    with pytest.raises(error, match=r"fitted"):
        scorer(LogisticRegression(), X, y)


@EACH
def test_invalid_probabilities(scorer_class: Any) -> None:
    clf = Fixed(np.full((8, 2), np.nan))
    with pytest.raises(ValueError, match="output of predict_proba contains NaN"):
        scorer_class(lines(8))(clf, lines(8), np.arange(8) % 2)


@pytest.mark.parametrize("scorer_class", SOURCE_SCORERS)
def test_labels_that_do_not_match(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    scorer = scorer_class(X_target)
    with pytest.raises(ValueError, match="needs the labels of the source rows but y is None"):
        scorer(clf, X)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        scorer(clf, X, y[:-1])
    with pytest.raises(ValueError, match=r"y holds no label that LogisticRegression knows.*'1'"):
        scorer(clf, X, y.astype(str))


def test_unknown_labels_have_probability_zero() -> None:
    clf, X, y, X_target, _ = weighted_case()
    other = np.where(np.arange(8) == 2, 7, y)
    scorer = ImportanceWeightedScorer(X_target, weight_estimator=Odds())
    weights = scorer.evaluate(clf, X, y).weights
    right = (clf.predict_proba(X).argmax(axis=1) == y) & (other == y)
    assert_allclose(scorer(clf, X, other), weights[right].sum() / weights.sum())
    scorer.set_params(metric="log_loss")
    proba = clf.predict_proba(X)[np.arange(8), y]
    losses = -np.log(np.where(other == y, proba, np.finfo(float).eps))
    assert_allclose(scorer(clf, X, other), -(weights @ losses) / weights.sum())


@pytest.mark.parametrize(
    ("scorer", "text"),
    [
        (ImportanceWeightedScorer(metric="auc"), "'metric' parameter of ImportanceWeightedScorer"),
        (ImportanceWeightedScorer(space="rows"), "'space'"),
        (ImportanceWeightedScorer(max_weight=0), "'max_weight'"),
        (ImportanceWeightedScorer(random_state="x"), "'random_state'"),
        (DeepEmbeddedValidationScorer(loss="hinge"), "'loss'"),
        (ReverseValidationScorer(metric="auc"), "'metric'"),
        (SoftNeighborhoodDensityScorer(temperature=0), "'temperature'"),
        (SoftNeighborhoodDensityScorer(max_rows=1), "'max_rows'"),
        (MixValScorer(probe="all"), "'probe'"),
        (MixValScorer(share=0.5), "'share'"),
    ],
)
def test_bad_parameters(scorer: Any, text: str, shifted: Any) -> None:
    X, y, X_target = shifted
    with pytest.raises(ValueError, match=text):
        scorer(LogisticRegression().fit(X, y), X, y, X_target)


def test_one_row_has_no_neighbours(shifted: Any) -> None:
    X, y, X_target = shifted
    with pytest.raises(ValueError, match="at least 2"):
        SoftNeighborhoodDensityScorer(X_target[:1])(LogisticRegression().fit(X, y), X)


def test_rows_that_are_not_numbers(shifted: Any) -> None:
    _, y, _ = shifted
    texts = np.where(y, "good", "bad")[:, None].astype(object)
    clf = Fixed(np.full((1, 2), 0.5))
    clf.predict_proba = lambda X: np.full((len(X), 2), 0.5)  # type: ignore[method-assign]
    for scorer in (ImportanceWeightedScorer(texts), MixValScorer(texts)):
        with pytest.raises(ValueError, match=r"column 0 holds strings such as .*make_pipeline"):
            scorer(clf, texts, y)


def test_too_few_rows_for_the_folds(shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    with pytest.raises(ValueError, match=r"cv=5 folds.*has 3; lower cv"):
        ImportanceWeightedScorer(X_target)(clf, X[-3:], y[-3:])


def test_no_source_row_like_the_target() -> None:
    clf, X, y, X_target, _ = weighted_case()
    X[:, 1] = 0.0
    with pytest.raises(ValueError, match="All importance weights are 0"):
        ImportanceWeightedScorer(X_target, weight_estimator=Odds())(clf, X, y)


# Comparison with skada, where its scorers compute the same from the same predictions


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
