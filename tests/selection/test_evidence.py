"""Evidence: predictions of the members, class shares, and how far the domains differ."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from skdann._input.domains import check_domains
from skdann._input.drawing import draw_rows
from skdann._selection.candidates import Candidate
from skdann._selection.evidence import (
    Evidence,
    _forest_scores,
    class_ratio,
    collect_evidence,
    matched_auc,
    predict_labelled,
    score_held_out,
)
from skdann._training.fitting import Fold
from skdann._training.label_shift import LabelShift
from skdann.metrics import estimate_target_priors
from tests.selection.common import make_evidence

# -- predictions ----------------------------------------------------------------------------------


class Linear:
    """Member whose logits are a product with its columns plus a multiple of the domain index."""

    def __init__(self, seed):
        self.columns = np.random.default_rng(seed).normal(size=(3, 2)).astype(np.float32)
        self.net_ = self

    def infer_rows(self, X, domain, what):
        assert what == "labels"
        return X @ self.columns + np.outer(domain, [0.0, 0.5]).astype(np.float32)

    def proba(self, X, domain):
        return softmax(self.infer_rows(X, domain, "labels").astype(np.float64), axis=1)


@pytest.fixture
def collected():
    """Evidence of three candidates of two members, one of them failed, and what it is made of."""
    rng = np.random.default_rng(0)
    X, X_target = rng.normal(size=(9, 3)), rng.normal(size=(5, 3))
    data = check_domains(X, np.arange(9) % 2, (X_target[:3], X_target[3:]))
    candidates = [
        Candidate("alignment", [Linear(2 * i), Linear(2 * i + 1)], [0, 1]) for i in range(3)
    ]
    candidates[1].error = "it diverged"
    folds = [Fold(np.arange(7), np.array([7, 8])), Fold(np.arange(2, 9), np.array([0, 1, 4]))]
    return collect_evidence(candidates, folds, data, 0), candidates, data


def test_rows_are_those_of_the_domains(collected):
    evidence, _, data = collected
    assert_array_equal(evidence.X_source, data.X[:9])
    assert_array_equal(evidence.X_target, data.X[9:])
    assert_array_equal(evidence.y, data.y)


def test_target_rows_are_predicted_by_the_mean_of_the_members(collected):
    evidence, candidates, data = collected
    assert evidence.proba_target[1] is None
    domain = np.array([1, 1, 1, 2, 2])
    for index in (0, 2):
        expected = sum(each.proba(data.X[9:], domain) for each in candidates[index].members) / 2
        assert_allclose(evidence.proba_target[index], expected, rtol=1e-12)
        assert evidence.proba_target[index].dtype == np.float64


def test_predictions_are_corrected_as_members_do_it_beside_the_evidence(collected):
    _, candidates, data = collected
    shift = LabelShift("correct", np.array([0.2, 0.8]), np.array([0.4, 1.6]))
    candidates[2].members[1]._label_shift = shift
    folds = [Fold(np.arange(7), np.array([7, 8])), Fold(np.arange(2, 9), np.array([0, 1, 4]))]
    evidence = collect_evidence(candidates, folds, data, 0)
    assert_array_equal(evidence.predicted_target[0], evidence.proba_target[0])
    assert evidence.predicted_target[1] is None
    domain = np.array([1, 1, 1, 2, 2])
    first, second = (member.proba(data.X[9:], domain) for member in candidates[2].members)
    assert_allclose(evidence.proba_target[2], (first + second) / 2)
    second = second * [0.4, 1.6]
    second /= second.sum(1, keepdims=True)
    assert_allclose(evidence.predicted_target[2], (first + second) / 2)


def test_many_target_rows_are_drawn_by_the_seed(collected, monkeypatch):
    whole, candidates, data = collected
    monkeypatch.setattr("skdann._selection.evidence.MOST_ROWS", 3)
    folds = [Fold(np.arange(7), np.array([7, 8])), Fold(np.arange(2, 9), np.array([0, 1, 4]))]
    given = Candidate("trees", [None], [], proba_target=np.eye(2)[[0, 1, 0, 1, 1]])
    evidence = collect_evidence([*candidates, given], folds, data, 4)
    drawn = draw_rows(5, 3, 4)
    assert len(drawn) == 3
    assert_array_equal(evidence.X_target, data.X[9:][drawn])
    assert_allclose(evidence.proba_target[0], whole.proba_target[0][drawn])
    assert_array_equal(evidence.proba_target[3], given.proba_target[drawn])


def test_held_out_rows_are_predicted_by_the_member_of_the_baseline_that_held_them_out(collected):
    evidence, candidates, data = collected
    assert evidence.rows_held_out.tolist() == [7, 8, 0, 1, 4]
    first, second = candidates[0].members
    expected = [
        first.proba(data.X[[7, 8]], np.zeros(2)),
        second.proba(data.X[[0, 1, 4]], np.zeros(3)),
    ]
    assert_allclose(evidence.proba_held_out, np.concatenate(expected), rtol=1e-12)


def test_every_member_of_the_baseline_has_a_fold(collected):
    _, candidates, data = collected
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        collect_evidence(candidates, [Fold(np.arange(7), np.array([7, 8]))], data, 0)


# -- class shares ---------------------------------------------------------------------------------


def test_trees_and_given_models_are_read_by_their_classes(collected):
    _, candidates, data = collected
    X, y = data.X[:9], np.array([1, 0, 1, 0, 1, 0, 1, 0, 1])
    models = [LogisticRegression(C=c).fit(X, y) for c in (0.1, 10.0)]
    trees = Candidate("trees", models, [0, 1])
    folds = [Fold(np.arange(7), np.array([7, 8])), Fold(np.arange(2, 9), np.array([0, 1, 4]))]
    evidence = collect_evidence([candidates[0], trees], folds, data, 0)
    expected = (models[0].predict_proba(data.X[9:]) + models[1].predict_proba(data.X[9:])) / 2
    assert_allclose(evidence.proba_target[1], expected)


@pytest.mark.parametrize("weighted", [False, True])
def test_held_out_rows_are_scored_by_the_members_that_held_them_out(weighted):
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(9, 3)), rng.uniform(0.5, 2.0, 9)
    given = {"sample_weight": weight} if weighted else {}
    data = check_domains(X, np.arange(9) % 2, X + 1, **given)
    members = [Linear(0), Linear(1)]
    folds = [Fold(np.arange(7), np.array([7, 8])), Fold(np.arange(2, 9), np.array([0, 1, 4]))]
    found = score_held_out(members, folds, data)
    rows, domain = [7, 8, 0, 1, 4], np.zeros(5)
    predicted = [m.proba(data.X[rows], domain).argmax(1) for m in members]
    predicted = [*predicted[0][:2], *predicted[1][2:]]
    own = data.weight[rows] if weighted else None
    expected = accuracy_score(data.y[rows], predicted, sample_weight=own)
    assert found["accuracy"] == pytest.approx(expected)
    assert found["n_rows"] == 5


def test_labelled_rows_are_predicted_by_the_members_that_held_them_out():
    rng = np.random.default_rng(0)
    X, X_target = rng.normal(size=(9, 3)), rng.normal(size=(5, 3))
    y_target = np.array([0, 1, np.nan, 1, 0])
    data = check_domains(X, np.arange(9) % 2, X_target, y_target=y_target)
    folds = [
        Fold(np.arange(7), np.array([7]), np.array([9, 13]), np.array([10, 12])),
        Fold(np.arange(7), np.array([8]), np.array([10, 12]), np.array([13])),
        Fold(np.arange(7), np.array([6])),
    ]
    plain, corrected, failed, twice = (
        Candidate("alignment", [Linear(3 * i + j) for j in range(3)], [0, 1, 2]) for i in range(4)
    )
    corrected.members[0]._label_shift = LabelShift(
        "correct", np.array([0.2, 0.8]), np.array([0.4, 1.6])
    )
    failed.error = "it diverged"
    twice.folds = [0, 0, 1]
    model = LogisticRegression().fit(X, [1, 0, 1, 0, 1, 0, 1, 0, 1])
    trees = Candidate("trees", [model] * 2, [0, 1])
    given = Candidate("trees", [], [], proba_target=rng.uniform(size=(5, 2)))
    proba, y = predict_labelled([plain, corrected, failed, twice, trees, given], folds, data)
    assert_array_equal(y, [1, 1, 0])
    rows, domain = data.X[[10, 12, 13]], np.ones(3)
    own = [0, 0, 1]
    expected = np.stack([plain.members[j].proba(rows, domain)[i] for i, j in enumerate(own)])
    assert_allclose(proba[0], expected)
    odds = corrected.members[0].proba(rows, domain) * [0.4, 1.6]
    odds[2] = corrected.members[1].proba(rows, domain)[2]
    assert_allclose(proba[1], odds / odds.sum(1, keepdims=True), rtol=1e-6)
    assert proba[2] is None
    both = (twice.members[0].proba(rows, domain) + twice.members[1].proba(rows, domain)) / 2
    assert_allclose(proba[3], [*both[:2], twice.members[2].proba(rows, domain)[2]])
    assert_allclose(proba[4], model.predict_proba(rows))
    assert_array_equal(proba[5], given.proba_target[[1, 3, 4]])


def test_without_labelled_rows_none_are_predicted():
    X = np.random.default_rng(0).normal(size=(6, 3))
    data = check_domains(X, np.arange(6) % 2, X + 1)
    folds = [Fold(np.arange(4), np.array([4]))]
    [proba], y = predict_labelled([Candidate("alignment", [Linear(0)], [0])], folds, data)
    assert proba.shape == (0, 2)
    assert len(y) == 0


def evidence_of(y, y_target, held_out=None, n_classes=2):
    """Evidence of a perfect classifier."""
    rows = np.arange(len(y)) if held_out is None else held_out
    proba = np.eye(n_classes)
    return Evidence(None, None, y, [proba[y_target]], rows, proba[y[rows]])


def test_the_ratio_of_the_shares_of_a_perfect_classifier():
    y, y_target = np.repeat([0, 1], [6000, 4000]), np.repeat([0, 1], [2000, 8000])
    # the estimate is smoothed a little
    assert_allclose(class_ratio(evidence_of(y, y_target)), [0.2 / 0.6, 0.8 / 0.4], rtol=1e-3)


def test_shares_are_those_of_all_source_rows_not_of_the_held_out_ones():
    y, y_target = np.repeat([0, 1], [6000, 4000]), np.repeat([0, 1], [5000, 5000])
    held_out = np.arange(5000, 8000)  # a third of them of class 0
    ratio = class_ratio(evidence_of(y, y_target, held_out))
    assert_allclose(ratio, [0.5 / 0.6, 0.5 / 0.4], rtol=1e-3)


def test_the_shares_in_the_target_are_estimated_by_black_box_shift_estimation():
    rng = np.random.default_rng(0)
    y, y_target = np.repeat([0, 1], [60, 40]), np.repeat([0, 1], [20, 80])
    held_out, target = rng.dirichlet([2, 2], 100), rng.dirichlet([2, 2], 100)
    held_out[np.arange(100), y] += 0.6  # a classifier that is often wrong
    target[np.arange(100), y_target] += 0.6
    held_out, target = (proba / proba.sum(1, keepdims=True) for proba in (held_out, target))
    evidence = evidence_of(y, y_target)._replace(proba_target=[target], proba_held_out=held_out)
    expected = estimate_target_priors(held_out, y, target, method="bbse") / [0.6, 0.4]
    assert_allclose(class_ratio(evidence), expected)
    other = estimate_target_priors(held_out, y, target, method="em") / [0.6, 0.4]
    assert np.abs(expected - other).max() > 0.01


def test_a_class_missing_among_the_held_out_rows_leaves_the_shares_as_they_are():
    y, y_target = np.repeat([0, 1, 2], [50, 40, 10]), np.repeat([0, 1, 2], [10, 10, 80])
    evidence = evidence_of(y, y_target, np.arange(80), n_classes=3)
    assert_allclose(class_ratio(evidence), [1.0, 1.0, 1.0])


def test_a_class_without_source_rows_has_ratio_zero():
    y, y_target = np.repeat([0, 1], [50, 50]), np.repeat([0, 1, 2], [10, 10, 80])
    ratio = class_ratio(evidence_of(y, y_target, n_classes=3))
    assert_allclose(ratio, [1.0, 1.0, 0.0])


def test_without_predictions_of_the_baseline_the_shares_stay():
    evidence = evidence_of(np.repeat([0, 1], [60, 40]), np.zeros(3, dtype=int))
    assert_allclose(class_ratio(evidence._replace(proba_target=[None])), [1.0, 1.0])


# -- domain AUC -----------------------------------------------------------------------------------


def auc_by_hand(X, y, X_target, class_weight, seed, n_folds=5):
    """Return the out-of-fold AUC of a weighted logistic regression, by scikit-learn."""
    rows = np.vstack([X, X_target])
    is_target = np.repeat([0, 1], [len(X), len(X_target)])
    source = class_weight[y] * len(X_target) / class_weight[y].sum()
    weight = np.concatenate([source, np.ones(len(X_target))])
    score = cross_val_predict(
        LogisticRegression(max_iter=1000),
        rows,
        is_target,
        cv=StratifiedKFold(n_folds, shuffle=True, random_state=seed),
        params={"sample_weight": weight},
        method="decision_function",
    )
    return roc_auc_score(is_target, score, sample_weight=weight)


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.2, 1.8), (0.0, 2.0)])
@pytest.mark.parametrize("n_target", [40, 90])
def test_the_matched_auc_weights_the_source_classes(weights, n_target):
    rng = np.random.default_rng(0)
    X, y, X_target = rng.normal(size=(60, 2)), np.arange(60) % 2, rng.normal(size=(n_target, 2))
    X[:, 0] += 2.0 * y
    X_target[:, 0] += 2.0
    expected = auc_by_hand(X, y, X_target, np.array(weights), 3)
    assert matched_auc(X, y, X_target, np.array(weights), 3) == pytest.approx(expected, abs=1e-9)
    sparse = matched_auc(sp.csr_array(X), y, sp.csr_array(X_target), np.array(weights), 3)
    assert sparse == pytest.approx(expected, abs=1e-4)


def test_the_matched_auc_ignores_label_shift():
    evidence, _ = make_evidence(shift=0.0, target_share=0.9, n=2000)
    weights = np.array([0.1, 0.9]) / 0.5
    unmatched = matched_auc(evidence.X_source, evidence.y, evidence.X_target, np.ones(2), 0)
    matched = matched_auc(evidence.X_source, evidence.y, evidence.X_target, weights, 0)
    assert unmatched > 0.6
    assert matched == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("n_few", [2, 3, 4])
def test_few_rows_of_a_domain_have_as_many_folds(n_few):
    rng = np.random.default_rng(1)
    X, y, few = rng.normal(size=(20, 2)), np.arange(20) % 2, rng.normal(size=(n_few, 2))
    expected = auc_by_hand(X, y, few, np.ones(2), 0, n_folds=n_few)
    assert matched_auc(X, y, few, np.ones(2), 0) == pytest.approx(expected, abs=1e-9)


def test_the_size_of_the_weights_does_not_matter():
    evidence, _ = make_evidence(shift=0.5, n=60)
    args = evidence.X_source, evidence.y, evidence.X_target
    plain = matched_auc(*args, np.array([1.0, 3.0]), 0)
    for factor in (1e-6, 1e6):
        scaled = matched_auc(*args, factor * np.array([1.0, 3.0]), 0)
        assert scaled == pytest.approx(plain, abs=1e-6)


def test_domains_that_cannot_be_compared_count_as_different():
    X, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    assert matched_auc(X, y, X[:1], np.ones(2), 0) == 1.0
    assert matched_auc(X[:1], y[:1], X, np.ones(2), 0) == 1.0
    assert matched_auc(X, y, X, np.zeros(2), 0) == 1.0
    assert matched_auc(X, y, X, np.full(2, np.nan), 0) == 1.0


def test_the_seed_decides_the_folds():
    evidence, _ = make_evidence(shift=0.2, n=60)
    args = evidence.X_source, evidence.y, evidence.X_target, np.ones(2)
    assert matched_auc(*args, 0) == matched_auc(*args, 0) != matched_auc(*args, 1)


def test_a_rotation_is_seen_by_trees_only():
    rng = np.random.default_rng(0)
    X, X_target = rng.normal(size=(200, 2)) * [3.0, 0.3], rng.normal(size=(200, 2)) * [0.3, 3.0]
    args = X, np.arange(200) % 2, X_target, np.ones(2), 0
    assert matched_auc(*args) < 0.6
    assert matched_auc(*args, is_linear=False) > 0.9


def test_the_forest_ignores_label_shift_once_classes_are_weighted():
    evidence, _ = make_evidence(shift=0.0, target_share=0.9, n=2000)
    args = evidence.X_source, evidence.y, evidence.X_target
    assert matched_auc(*args, np.ones(2), 0, is_linear=False) > 0.6
    matched = matched_auc(*args, np.array([0.1, 0.9]) / 0.5, 0, is_linear=False)
    assert matched == pytest.approx(0.5, abs=0.05)
    dense = matched_auc(X := evidence.X_source, evidence.y, X, np.ones(2), 0, is_linear=False)
    assert dense < 0.6  # a target equal to the source


def test_the_forest_scores_rows_out_of_bag():
    evidence, _ = make_evidence(shift=0.5, n=60)
    X = np.vstack([evidence.X_source, evidence.X_target])
    is_target, weight = np.repeat([0, 1], 60), np.random.default_rng(0).uniform(0.5, 2.0, 120)
    forest = RandomForestClassifier(min_samples_leaf=5, oob_score=True, random_state=3)
    forest.fit(X, is_target, sample_weight=weight)
    expected = forest.oob_decision_function_[:, 1]
    assert_array_equal(_forest_scores(X, is_target, weight, 3), expected)
    assert_array_equal(_forest_scores(sp.csr_array(X), is_target, weight, 3), expected)


def test_rows_with_nearly_all_the_weight_warn_of_nothing():
    """Newer versions of scikit-learn draw them into all bags."""
    X = np.arange(29.0)[:, None]
    is_target, weight = np.arange(29) >= 2, np.repeat([1e9, 1.0], [2, 27])
    score = _forest_scores(X, is_target.astype(int), weight, 0)
    assert ((score >= 0) & (score <= 1)).all()
