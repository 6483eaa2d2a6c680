"""The default rule as a scorer, against arithmetic by hand and against `DANNClassifierCV`."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline as make_plain_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from skdann import DANNClassifierCV, make_pipeline
from skdann._selection import rule
from skdann.datasets import make_covariate_shift
from skdann.model_selection import DefaultRuleScorer, RuleScore, _default_rule
from skdann.model_selection._default_rule import (
    LinearWitness,
    information,
    reduce_columns,
    reverse_accuracy,
)
from tests.selection.common import make_evidence, onehot


@pytest.fixture
def shifted():
    """Source rows, labels, and fewer target rows, with columns in different units."""
    X, y, X_target, _ = make_covariate_shift(150, shift=1.5, random_state=0)
    units, offset = np.array([1e3, 1e-2]), np.array([-300.0, 0.003])
    return X * units, y, X_target[:90] * units + offset


def information_by_hand(proba):
    """Information of rows and classes in units of its maximum: logarithms to the base K."""

    def entropy(p):
        return -sum(share * np.log(share) / np.log(len(p)) for share in p if share > 0)

    return entropy(proba.mean(axis=0)) - np.mean([entropy(row) for row in proba])


def scale_by_hand(X, reference=None):
    pairs = zip(X.T, (X if reference is None else reference).T, strict=True)
    deviations = [(column - other.mean()) / other.std() for column, other in pairs]
    return np.column_stack([np.minimum(np.maximum(column, -20), 20) for column in deviations])


def reverse_by_hand(X, y, X_target, label, reference=None):
    """Balanced accuracy on the source; target columns are scaled by themselves or a reference."""
    back = LogisticRegression(max_iter=1000).fit(scale_by_hand(X_target, reference), label)
    predicted = back.predict(scale_by_hand(X))
    return np.mean([np.mean(predicted[y == k] == k) for k in np.unique(y)])


def test_score_by_hand(shifted):
    X, y, X_target = shifted
    clf = make_plain_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    proba = clf.predict_proba(X_target)
    result = DefaultRuleScorer(X_target).evaluate(clf, X, y)
    assert isinstance(result, RuleScore)
    assert result.information == pytest.approx(information_by_hand(proba))
    label = clf.predict(X_target)
    expected = [reverse_by_hand(X, y, X_target, label, each) for each in (X, None)]
    assert all(0.5 < each < 1.0 for each in expected)
    assert expected[0] != expected[1]
    assert [result.reverse_source, result.reverse_domain] == pytest.approx(expected)
    assert result.score == result.information + result.reverse_source + result.reverse_domain
    assert DefaultRuleScorer(X_target)(clf, X, y) == result.score


def test_three_named_classes_and_an_outlier(shifted):
    X, _, X_target = shifted
    X_target[3] = 1e9  # clipped
    y = np.digitize(X[:, 0], [-500.0, 500.0])
    names = np.array(["low", "mid", "top"])
    clf = make_plain_pipeline(StandardScaler(), LogisticRegression()).fit(X, names[y])
    label = clf.predict_proba(X_target).argmax(axis=1)
    assert set(label) == {0, 1, 2}
    result = DefaultRuleScorer(X_target).evaluate(clf, X, names[y])
    assert result.reverse_domain == pytest.approx(reverse_by_hand(X, y, X_target, label))
    assert result.reverse_source == pytest.approx(reverse_by_hand(X, y, X_target, label, X))
    assert result.information == pytest.approx(information_by_hand(clf.predict_proba(X_target)))


def test_rows_are_those_of_the_last_step(shifted):
    X, _, X_target = shifted
    y = ((X / [1e3, 1e-2]) ** 2).sum(axis=1) > 1.5  # a circle
    steps = make_plain_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False))
    pipe = make_plain_pipeline(steps, LogisticRegression()).fit(X, y)
    result = DefaultRuleScorer(X_target).evaluate(pipe, X, y)
    rows, target = steps.transform(X), steps.transform(X_target)
    assert result == DefaultRuleScorer(target).evaluate(pipe[-1], rows, y)
    label = pipe.predict(X_target)
    assert result.reverse_domain == pytest.approx(reverse_by_hand(rows, y, target, label))
    assert result.reverse_source == pytest.approx(reverse_by_hand(rows, y, target, label, rows))
    assert result.reverse_domain != pytest.approx(reverse_by_hand(X, y, X_target, label))
    assert result.reverse_source != pytest.approx(reverse_by_hand(X, y, X_target, label, X))


def test_sparse_rows_are_not_scaled(shifted):
    X, y, X_target = (rows / [1e3, 1e-2] if rows.ndim > 1 else rows for rows in shifted)
    clf = LogisticRegression().fit(sp.csr_array(X), y)
    label = clf.predict(sp.csr_array(X_target))
    result = DefaultRuleScorer(sp.csr_array(X_target)).evaluate(clf, sp.csc_matrix(X), y)
    back = LogisticRegression(max_iter=1000).fit(X_target, label)
    expected = np.mean([np.mean(back.predict(X[y == k]) == k) for k in (0, 1)])
    assert result.reverse_source == pytest.approx(expected)
    assert result.reverse_domain == result.reverse_source
    assert result.score == result.information + 2 * result.reverse_source


def test_large_sparse_values_are_clipped_so_that_the_linear_classifiers_converge():
    rng = np.random.default_rng(0)
    X = sp.csr_array(np.where(rng.random((60, 8)) < 0.3, rng.normal(size=(60, 8)), 0.0))
    X_target = 1e30 * X
    proba = np.eye(2)[rng.integers(0, 2, 60)]
    y = np.arange(60) % 2
    rows = LinearWitness(X, y, X_target, 0).rows
    assert_array_equal(rows[0][0].data, X.data)
    assert np.abs(rows[0][1].data).max() == 1e6
    assert_array_equal(np.sign(rows[0][1].data), np.sign(X.data))
    assert np.abs(X_target.data).max() > 1e29  # the caller's rows are left as they are
    scorer, seeds = DefaultRuleScorer(), range(20)
    with warnings.catch_warnings(action="error"):
        for seed in seeds:
            values = np.random.default_rng(seed).normal(size=X.nnz)
            extreme = sp.csr_array((1e30 * values, X.indices, X.indptr), shape=X.shape)
            assert np.isfinite(scorer.score_predictions(X, y, extreme, proba).score)


def test_one_predicted_class_is_chance(shifted):
    X, _, X_target = shifted
    y = np.arange(len(X)) % 3
    clf = LogisticRegression().fit(X, y)
    clf.coef_, clf.intercept_ = np.zeros((3, 2)), np.array([0.0, 50.0, 0.0])
    result = DefaultRuleScorer(X_target).evaluate(clf, X, y)
    assert result.information == pytest.approx(0.0, abs=1e-12)
    assert (result.reverse_source, result.reverse_domain) == pytest.approx((1 / 3, 1 / 3))


def test_a_single_class_carries_no_information():
    assert _default_rule.information(np.ones((4, 1))) == 0.0


def test_a_label_that_the_classifier_does_not_know_counts_as_wrong(shifted):
    X, y, X_target = shifted
    clf = make_plain_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    known = DefaultRuleScorer(X_target).evaluate(clf, X, y)
    other = np.where((np.arange(len(y)) % 3 == 0) & (y == 1), 7, y)
    result = DefaultRuleScorer(X_target).evaluate(clf, X, other)
    for actual, reference in ((result.reverse_source, X), (result.reverse_domain, None)):
        predicted = LogisticRegression(max_iter=1000).fit(
            scale_by_hand(X_target, reference), clf.predict(X_target)
        )
        right = predicted.predict(scale_by_hand(X)) == other
        expected = np.mean([right[other == 0].mean(), right[other == 1].mean(), 0.0])
        assert actual == pytest.approx(expected)
    assert result.information == known.information


def test_large_tables_are_sampled_by_the_seed(shifted, monkeypatch):
    X, y, X_target = shifted
    clf = make_plain_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    whole = DefaultRuleScorer(X_target).evaluate(clf, X, y)
    monkeypatch.setattr(_default_rule, "MOST_ROWS", 40)

    def evaluate(seed):
        return DefaultRuleScorer(X_target, random_state=seed).evaluate(clf, X, y)

    results = [evaluate(seed) for seed in range(5)]
    assert evaluate(0) == results[0]
    assert len({result.reverse_source for result in results}) > 1
    assert len({result.reverse_domain for result in results}) > 1
    assert {result.information for result in results} == {whole.information}  # of all rows


def test_rows_must_be_finite_numbers(shifted):
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    clf.predict_proba = lambda rows: np.full((len(rows), 2), 0.5)
    holed = np.where(X_target > X_target.max() - 1, np.nan, X_target)
    for rows in (holed, np.full(X_target.shape, "text")):
        with pytest.raises(
            ValueError, match=r"X_target must hold finite real numbers.*make_pipeline"
        ):
            DefaultRuleScorer(rows)(clf, X, y)


def assert_search_selects_the_best(search, estimator, scorer, data):
    """Assert that the scores of a search are those of the scorer on its folds."""
    X, y, X_target = data
    for i, params in enumerate(search.cv_results_["params"]):
        for fold, (train, test) in enumerate(StratifiedKFold(3).split(X, y)):
            clf = clone(estimator).set_params(**params)
            clf.fit(X[train], y[train], X_target=X_target)
            score = search.cv_results_[f"split{fold}_test_score"][i]
            assert score == scorer(clf, X[test], y[test])
    means = search.cv_results_["mean_test_score"]
    assert np.ptp(means) > 0
    assert search.best_index_ == means.argmax()


@pytest.mark.parametrize("is_routed", [False, True], ids=["plain", "routing"])
@pytest.mark.parametrize("is_pipeline", [False, True], ids=["classifier", "pipeline"])
def test_grid_search_over_lambda(shifted, make_clf, is_pipeline, is_routed):
    X, y, X_target = shifted
    if not is_pipeline:  # the pipeline scales them itself
        X, X_target = scale_by_hand(X), scale_by_hand(X_target)
    clf = make_clf(lr=0.01, max_epochs=3)
    estimator = make_pipeline(StandardScaler(), clf) if is_pipeline else clf
    grid = {f"{'dannclassifier__' * is_pipeline}lambda_max": [0.0, 1.0]}
    with sklearn.config_context(enable_metadata_routing=is_routed):
        scorer = DefaultRuleScorer() if is_routed else DefaultRuleScorer(X_target)
        search = GridSearchCV(estimator, grid, scoring=scorer, cv=3, error_score="raise")
        search.fit(X, y, X_target=(X_target,))
    scorer = DefaultRuleScorer(X_target)
    assert_search_selects_the_best(search, estimator, scorer, (X, y, X_target))


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, pd.DataFrame])
def test_scoring_of_a_path_of_lambdas(shifted, make_clf, container):
    X, y, X_target = shifted
    X, X_target = scale_by_hand(X), scale_by_hand(X_target)
    path = DANNClassifierCV(
        make_clf(lr=0.01),
        lambdas=(0.5,),
        standardize=(None,),
        n_seeds=2,
        scoring=DefaultRuleScorer(),
        random_state=0,
    ).fit(container(X), y, container(X_target))
    held_out = folds_of(path, y)
    rows, target = X.astype(np.float32), X_target.astype(np.float32)
    if container is sp.csr_array:
        rows, target = container(rows), container(target)
    scorer = DefaultRuleScorer(target)
    for row, members in zip(path.scores_, path.candidates_, strict=True):
        scores = [
            scorer(member, rows[fold], y[fold])
            for member, fold in zip(members, held_out, strict=True)
        ]
        assert row["score"] == pytest.approx(np.mean(scores))
    assert path.scores_[0]["score"] != path.scores_[1]["score"]


def folds_of(path, y):
    """Rows held out from each member: seeds are drawn as DANNClassifierCV draws them."""
    seeds = np.random.SeedSequence(path.random_state).generate_state(path.n_seeds + 1)
    splitter = StratifiedKFold(5, shuffle=True, random_state=int(seeds[-1]))
    return [valid for _, valid in splitter.split(np.zeros(len(y)), y)][: path.n_seeds]


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_the_score_is_that_of_a_path_of_lambdas(shifted, make_clf, container, monkeypatch):
    X, y, X_target = shifted
    X, X_target = scale_by_hand(X).astype("f"), scale_by_hand(X_target).astype("f")
    X, X_target = container(X), container(X_target)
    monkeypatch.setattr(_default_rule, "MOST_ROWS", 60)
    monkeypatch.setattr(rule, "MOST_ROWS", 60, raising=False)
    path = DANNClassifierCV(
        make_clf(lr=0.01),
        lambdas=(0.5,),
        families=("alignment",),
        aggregate="passing",
        n_seeds=2,
        random_state=3,
    ).fit(X, y, X_target)
    seed = int(np.random.SeedSequence(3).generate_state(3)[-1])
    scorer = DefaultRuleScorer(random_state=seed)
    probas = [
        np.mean([member.predict_proba(X_target) for member in members], axis=0)
        for members in path.candidates_
    ]
    for row, proba in zip(path.scores_, probas, strict=True):
        result = scorer.score_predictions(X, y, X_target, proba)._asdict()
        changed = np.mean(proba.argmax(1) != probas[0].argmax(1))
        result["score"] -= 0.5 * changed  # the scorer knows no baseline
        assert row["changed"] == changed
        assert result == pytest.approx({name: row[name] for name in result})
    if container is np.asarray:  # sparse rows are not scaled, and lambda changes little
        assert any(row["changed"] > 0 for row in path.scores_)


def test_information_by_hand():
    proba = np.array([[0.8, 0.2], [0.4, 0.6]])
    mean = proba.mean(0)
    expected = -(mean * np.log2(mean)).sum() + (proba * np.log2(proba)).sum(1).mean()
    assert information(proba) == pytest.approx(expected)
    assert information(onehot([0, 1, 0, 1], 1.0)) == pytest.approx(1.0)
    assert information(np.full((5, 3), 1 / 3)) == pytest.approx(0.0, abs=1e-12)
    assert information(onehot([1, 1, 1], 1.0)) == pytest.approx(0.0, abs=1e-12)


def test_reverse_accuracy_equals_training_on_target_and_scoring_on_source():
    evidence, y_target = make_evidence(shift=0.0)
    X, y, X_target = evidence.X_source, evidence.y, evidence.X_target
    model = LogisticRegression(max_iter=1000).fit(X_target, y_target)
    hits = [np.mean(model.predict(X[y == label]) == label) for label in (0, 1)]
    assert reverse_accuracy(X, y, X_target, y_target) == pytest.approx(np.mean(hits))
    assert reverse_accuracy(X, y, X_target, 1 - y_target) < 0.2
    assert reverse_accuracy(X, y, X_target, np.zeros_like(y_target)) == 0.5


@pytest.mark.parametrize("rank", [1, 5, 30])
@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e6])
def test_rotated_rows_have_the_same_products(rank, unit):
    rng = np.random.default_rng(0)
    X = unit * rng.normal(size=(30, rank)) @ rng.normal(size=(rank, 100))  # rows may depend
    source, target = reduce_columns(X[:20], X[20:])
    assert source.shape == (20, 30)
    assert target.shape == (10, 30)
    rows, products = np.vstack([source, target]), X @ X.T
    np.testing.assert_allclose(rows @ rows.T, products, atol=1e-7 * products.max())


def test_rows_of_zeros_are_rotated():
    source, target = reduce_columns(np.zeros((3, 9)), np.zeros((2, 9)))
    assert abs(source).max() < 1e-3
    assert abs(target).max() < 1e-3


def test_scores_of_wide_rows_do_not_depend_on_the_rotation(monkeypatch):
    rng = np.random.default_rng(0)
    X, X_target = rng.normal(size=(60, 300)), rng.normal(0.3, 2.0, size=(50, 300))
    y, proba = (X[:, :20].sum(1) > 0).astype(int), rng.dirichlet(np.ones(2), size=50)
    rotated = LinearWitness(X, y, X_target, 0)
    assert rotated.rows[0][0].shape == (60, 110)
    score = rotated.score(proba)
    monkeypatch.setattr(_default_rule, "reduce_columns", lambda *rows: rows)
    whole = LinearWitness(X, y, X_target, 0)
    assert whole.rows[0][0].shape == (60, 300)
    assert score == pytest.approx(whole.score(proba), abs=1e-12)
