"""Scorers that need no target labels, in GridSearchCV, RandomizedSearchCV and Optuna."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_score,
    train_test_split,
)
from sklearn.preprocessing import StandardScaler

from skdann import make_pipeline
from skdann.datasets import make_covariate_shift
from skdann.model_selection import ImportanceWeightedScorer, InformationMaximizationScorer

SCORERS = [ImportanceWeightedScorer, InformationMaximizationScorer]
STRENGTHS = [1e-4, 1e-2, 1.0]


@pytest.fixture
def tables():
    X, y, X_target, _ = make_covariate_shift(120, random_state=0)
    return X, y, X_target


def by_hand(scorer, X, y, strengths, cv):
    """Mean score of each strength over the folds, without a search."""
    means = []
    for strength in strengths:
        scores = []
        for train, valid in cv.split(X, y):
            model = LogisticRegression(C=strength).fit(X[train], y[train])
            scores.append(scorer(model, X[valid], y[valid]))
        means.append(np.mean(scores))
    return np.array(means)


# a fold holds out 40 rows, few of which weigh much
@pytest.mark.filterwarnings("ignore:ImportanceWeightedScorer rests on an effective sample")
@pytest.mark.parametrize("make_scorer", SCORERS)
def test_a_grid_search_selects_the_strength_with_the_highest_score(make_scorer, tables):
    X, y, X_target = tables
    scorer, cv = make_scorer(X_target), StratifiedKFold(3)
    if make_scorer is ImportanceWeightedScorer:
        scorer.set_params(random_state=0)
    search = GridSearchCV(LogisticRegression(), {"C": STRENGTHS}, scoring=scorer, cv=cv).fit(X, y)
    expected = by_hand(scorer, X, y, STRENGTHS, cv)
    assert search.cv_results_["mean_test_score"] == pytest.approx(expected)
    assert search.best_params_["C"] == STRENGTHS[expected.argmax()]
    assert len(set(expected)) == 3


def test_a_randomized_search_of_a_pipeline_adapts_every_candidate(make_clf, tables):
    X, y, X_target = tables
    search = RandomizedSearchCV(
        make_pipeline(StandardScaler(), make_clf()),
        {"dannclassifier__lambda_max": [0.0, 0.1, 0.3, 1.0], "dannclassifier__lr": [1e-3, 1e-2]},
        n_iter=4,
        scoring=InformationMaximizationScorer(X_target),
        cv=2,
        random_state=0,
    )
    search.fit(X, y, X_target=(X_target,))
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert search.best_score_ == scores.max()
    assert len(set(scores)) == 4
    assert search.best_estimator_[-1].domains_.tolist() == [0, -1]


def test_an_optuna_study_selects_like_a_grid_search(make_clf, tables):
    X, y, X_target = tables
    X_train, X_valid, y_train, y_valid = train_test_split(X, y, stratify=y, random_state=0)
    scorer = InformationMaximizationScorer(X_target)
    lambdas = [0.0, 0.3, 3.0]

    def score(lambda_max):
        clf = make_clf(lambda_max=lambda_max).fit(X_train, y_train, X_target)
        return scorer(clf, X_valid, y_valid)

    def objective(trial):
        return score(trial.suggest_categorical("lambda_max", lambdas))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.GridSampler({"lambda_max": lambdas}, seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=3)
    by_lambda = {value: score(value) for value in lambdas}
    assert {t.params["lambda_max"]: t.value for t in study.trials} == by_lambda
    assert study.best_params["lambda_max"] == max(by_lambda, key=by_lambda.get)


def test_a_scorer_works_beside_others(tables):
    X, y, X_target = tables
    search = GridSearchCV(
        LogisticRegression(),
        {"C": STRENGTHS},
        scoring={"source": "accuracy", "target": InformationMaximizationScorer(X_target)},
        refit="target",
        cv=3,
    ).fit(X, y)
    alone = [
        cross_val_score(LogisticRegression(C=C), X, y, scoring=get_scorer("accuracy"), cv=3).mean()
        for C in STRENGTHS
    ]
    assert search.cv_results_["mean_test_source"] == pytest.approx(np.array(alone))
    assert search.best_index_ == search.cv_results_["mean_test_target"].argmax()
