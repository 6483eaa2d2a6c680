"""Importance-weighted validation, against weighted metrics by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss
from sklearn.pipeline import make_pipeline as make_plain_pipeline
from sklearn.preprocessing import StandardScaler

from skdann import DANNClassifierCV, make_pipeline
from skdann.datasets import make_covariate_shift
from skdann.metrics import effective_sample_size, importance_weights
from skdann.model_selection import (
    DeepEmbeddedValidationScorer,
    ImportanceWeightedScorer,
)
from skdann.model_selection._embedded import deep_embedded_risk
from skdann.model_selection._scores import log_losses
from tests.model_selection.common import WEIGHTED, Odds, weighted_case


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


def test_no_source_row_like_the_target() -> None:
    clf, X, y, X_target, _ = weighted_case()
    X[:, 1] = 0.0
    with pytest.raises(ValueError, match="All importance weights are 0"):
        ImportanceWeightedScorer(X_target, weight_estimator=Odds())(clf, X, y)


class TestOverlap:
    @pytest.mark.parametrize("scorer", [ImportanceWeightedScorer, DeepEmbeddedValidationScorer])
    def test_a_score_that_rests_on_few_rows_is_reported(self, scorer):
        X, y, X_target, _ = make_covariate_shift(400, shift=4.0, random_state=0)
        clf = LogisticRegression().fit(X[:200], y[:200])
        text = r"effective sample of \d+ of 200 source rows.*DefaultRuleScorer"
        with pytest.warns(UserWarning, match=text):
            scorer(X_target)(clf, X[200:], y[200:])

    def test_overlapping_domains_give_no_warning(self):
        X, y, X_target, _ = make_covariate_shift(400, shift=0.5, random_state=0)
        clf = LogisticRegression().fit(X[:200], y[:200])
        result = ImportanceWeightedScorer(X_target).evaluate(clf, X[200:], y[200:])
        assert result.effective_sample_size > 30
