"""`DANNClassifierCV`: selection on a path of lambdas, and the estimator interface.

Mixtures of families are tested in `test_mixture.py`.
"""

from __future__ import annotations

import contextlib
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import skdann._cv
from skdann import DANNClassifier, DANNClassifierCV, SourceOnlyWarning, make_pipeline
from skdann._selection import rule as rules
from skdann._selection.outcome import Outcome
from skdann._selection.rule import DefaultRule, Ranking
from skdann.model_selection import (
    ImportanceWeightedScorer,
    InformationMaximizationScorer,
    _default_rule,
)


@pytest.fixture
def make_cv(make_clf):
    def make(*, small=None, **params):
        path = {"lambdas": (0.3,), "families": ("alignment",), "aggregate": "passing"}
        defaults = {**path, "n_seeds": 2, "random_state": 0}
        return DANNClassifierCV(make_clf(**(small or {})), **{**defaults, **params})

    return make


@pytest.fixture
def shifted():
    """Return a target shifted along the column of the classes: scaling it separately suffices."""
    rng = np.random.default_rng(0)
    X, X_target = rng.normal(size=(300, 4)), rng.normal(size=(300, 4))
    y, y_target = (X[:, 0] > 0).astype(int), (X_target[:, 0] > 0).astype(int)
    return X, y, X_target + np.array([4.0, 0.0, 0.0, 0.0]), y_target


def test_adapts_if_adaptation_helps(make_cv, shifted):
    X, y, X_target, y_target = shifted
    clf = make_cv(small={"max_epochs": 15}).fit(X, y, X_target)
    baseline = np.mean([m.predict_proba(X_target) for m in clf.candidates_[0]], axis=0)
    assert clf.adapted_
    assert clf.standardize_ == "domain"
    assert clf.reason_.startswith("adapted by")
    assert np.mean(baseline.argmax(1) == y_target) < 0.7
    assert clf.score(X_target, y_target) > 0.85
    assert not clf.set_params(margin=2.0).fit(X, y, X_target).adapted_


def test_keeps_the_baseline_for_equal_domains(make_cv):
    rng = np.random.default_rng(0)
    X, X_target = rng.normal(size=(300, 4)), rng.normal(size=(300, 4))
    clf = make_cv(small={"max_epochs": 15}).fit(X, (X[:, 0] > 0).astype(int), X_target)
    assert not clf.adapted_
    assert (clf.lambda_, clf.standardize_) == (0.0, "source")
    assert clf.members_ == clf.candidates_[0]
    assert clf.reason_.startswith("not adapted: ")
    assert "\n" not in clf.reason_


def test_attributes_and_predictions_are_consistent(make_cv, domains):
    clf = make_cv(lambdas=(1.0, 0.3, 0.0, 0.3)).fit(
        domains.X_source, domains.y_source, domains.X_target
    )
    table = pd.DataFrame(clf.scores_)
    assert table["lambda_max"].tolist() == [0.0, 0.3, 1.0] * 2
    assert [row["standardize"] for row in clf.scores_] == ["source"] * 3 + ["domain"] * 3
    assert table["weight"].sum() == 1.0
    assert [len(members) for members in clf.candidates_] == [2] * 6
    for row, members in zip(clf.scores_, clf.candidates_, strict=True):
        assert {(m.lambda_max, m.standardize) for m in members} == {
            (row["lambda_max"], row["standardize"])
        }
    proba = clf.predict_proba(domains.X_target)
    members = [member.predict_proba(domains.X_target) for member in clf.members_]
    assert_allclose(proba, np.mean(members, axis=0))
    assert_array_equal(clf.predict(domains.X_target), clf.classes_[proba.argmax(1)])
    assert_allclose(clf.predict_log_proba(domains.X_target), np.log(proba))
    report = clf.diagnose(domains.X_source, domains.X_target, y_source=domains.y_source)
    assert report.reason == clf.reason_
    assert report.lambda_ == pytest.approx(clf.lambda_, rel=0.01)
    for text in (str(report), report._repr_html_()):
        assert "columns" in text


def test_candidates_are_averaged_by_their_weights(make_cv, domains, monkeypatch):
    weights = np.array([0.25, 0.0, 0.75, 0.0])
    settings = [(0.0, None), (0.3, None), (0.0, "domain"), (0.3, "domain")]
    rows = [
        {"lambda_max": lambda_max, "standardize": scaling, "score": 0.0, "weight": weight}
        for (lambda_max, scaling), weight in zip(settings, weights, strict=True)
    ]
    monkeypatch.setattr(skdann._cv, "select", lambda *_: Outcome(rows, "given"))
    clf = make_cv().fit(domains.X_source, domains.y_source, domains.X_target)
    each = [
        np.mean([member.predict_proba(domains.X_target) for member in members], axis=0)
        for members in clf.candidates_
    ]
    assert_allclose(clf.predict_proba(domains.X_target), 0.25 * each[0] + 0.75 * each[2])
    assert (clf.adapted_, clf.lambda_, clf.standardize_) == (True, 0.0, "domain")


def test_held_out_evidence_comes_from_members_not_trained_on_it(make_cv, domains, monkeypatch):
    seen = {}

    def spy(rule, evidence):
        seen["evidence"] = evidence
        return Ranking([{"score": 0.0}] * 4)

    monkeypatch.setattr(DefaultRule, "rank_evidence", spy)
    clf = make_cv().fit(domains.X_source, domains.y_source, domains.X_target)
    evidence = seen["evidence"]
    assert_allclose(evidence.X_source, domains.X_source, rtol=1e-6)
    assert_allclose(evidence.X_target, domains.X_target, rtol=1e-6)
    n = len(evidence.rows_held_out) // 2
    for index, member in enumerate(clf.candidates_[0]):
        rows = evidence.rows_held_out[index * n : (index + 1) * n]
        trained = np.setdiff1d(np.arange(40), rows)
        again = clone(member).fit(
            domains.X_source[trained], domains.y_source[trained], domains.X_target
        )
        assert_allclose(
            again.predict_proba(domains.X_source[rows]),
            evidence.proba_held_out[index * n : (index + 1) * n],
            atol=1e-5,
        )


def test_equal_seeds_are_bit_identical_and_global_state_is_unchanged(make_cv, domains):
    np.random.seed(5)
    before = np.random.get_state()[1].copy()
    first, second, other = (
        make_cv(random_state=seed)
        .fit(domains.X_source, domains.y_source, domains.X_target)
        .candidates_[1][0]
        .predict_proba(domains.X_target)
        for seed in (0, 0, 1)
    )
    assert_array_equal(first, second)
    assert not np.allclose(first, other)
    assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_scoring_selects(make_cv, domains, sign):
    def scoring(estimator, X, y):
        assert len(X) == len(y) == 8  # a fifth of the source rows
        return sign * estimator.lambda_max

    clf = make_cv(scoring=scoring, lambdas=(0.1, 1.0)).fit(
        domains.X_source, domains.y_source, domains.X_target
    )
    assert clf.lambda_ == (1.0 if sign > 0 else 0.0)
    assert [row["score"] for row in clf.scores_] == [0.0, sign * 0.1, sign * 1.0] * 2
    assert clf.set_params(margin=2.0).fit(*domains[:3]).lambda_ == 0.0


@pytest.mark.parametrize("scorer", [ImportanceWeightedScorer, InformationMaximizationScorer])
def test_package_scorers_work_with_and_without_target_rows(make_cv, domains, scorer):
    with_rows = scorer(domains.X_target.astype(np.float32))
    built_in, routed = (
        [row["score"] for row in make_cv(scoring=scoring).fit(*domains[:3]).scores_]
        for scoring in (with_rows, scorer())
    )
    assert built_in == pytest.approx(routed)
    assert len(set(built_in)) > 1


def test_works_in_pipelines_and_searches(make_cv, domains):
    pipe = make_pipeline(StandardScaler(), make_cv())
    pipe.fit(domains.X_source, domains.y_source, X_target=domains.X_target)
    assert pipe.predict(domains.X_target).shape == (40,)
    search = GridSearchCV(pipe, {"dannclassifiercv__estimator__dropout": [0.0, 0.2]}, cv=2)
    search.fit(domains.X_source, domains.y_source, X_target=(domains.X_target,))
    assert len(search.best_estimator_[-1].scores_) == 4
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    assert_array_equal(again.predict(domains.X_target), search.predict(domains.X_target))


def test_containers(make_cv, domains):
    columns = list("abcd")
    frame, target = (pd.DataFrame(X, columns=columns) for X in (domains.X_source, domains.X_target))
    labels = np.array(["no", "yes"])[domains.y_source]
    clf = make_cv().fit(frame, labels, target[columns[::-1]])
    assert clf.feature_names_in_.tolist() == columns
    assert set(clf.predict(target)) <= {"no", "yes"}
    plain = make_cv().fit(domains.X_source, labels, domains.X_target)
    assert_array_equal(clf.predict_proba(target), plain.predict_proba(domains.X_target))
    sparse = make_cv().fit(sp.csr_array(domains.X_source), labels, sp.csr_array(domains.X_target))
    assert [row["standardize"] for row in sparse.scores_] == ["source", "source"]
    assert not hasattr(plain, "feature_names_in_")


def test_several_targets(make_cv, domains):
    clf = make_cv().fit(
        domains.X_source, domains.y_source, (domains.X_target, domains.X_target + 3.0)
    )
    assert clf.domains_.tolist() == [0, -1, -2]
    assert clf.predict_proba(domains.X_target + 3.0, sample_domain=-2).shape == (40, 2)


def test_without_target_rows_only_the_baseline_is_trained(make_cv, domains):
    with pytest.warns(SourceOnlyWarning, match="DANNClassifierCV got no target"):
        clf = make_cv().fit(domains.X_source, domains.y_source)
    assert not clf.adapted_
    assert len(clf.scores_) == 1
    assert clf.reason_ == "not adapted: there are no target rows to adapt to"
    assert clf.shift_ == ""


def test_without_other_candidates_the_baseline_is_selected(make_cv, domains):
    clf = make_cv(lambdas=(0.0,), standardize=(None,)).fit(*domains[:3])
    assert (clf.adapted_, clf.best_index_, clf.margin_) == (False, 0, 0.05)
    assert clf.reason_ == "not adapted: the source-only baseline is the only candidate"


def test_reports_describe_the_best_selected_candidate(make_cv, shifted):
    known = {0.0: 0.1, 0.1: 0.2, 0.3: 0.9, 1.0: 0.5}
    clf = make_cv(
        lambdas=(0.1, 0.3, 1.0), scoring=lambda member, X, y: known[member.lambda_max]
    ).fit(*shifted[:3])
    assert len(clf.weights_) > len(clf.candidates_[0])
    assert clf.candidates_[clf.best_index_][0].lambda_max == clf.lambda_ == 0.3
    assert clf.diagnose(shifted[0], shifted[2]).lambda_ == pytest.approx(0.3, rel=1e-3)


def test_a_baseline_without_a_score_is_selected(make_cv, domains):
    clf = make_cv(scoring=lambda member, X, y: member.lambda_max or float("nan"))
    clf.fit(*domains[:3])
    assert not clf.adapted_
    assert "no score" in clf.reason_


@pytest.mark.parametrize("rule", ["default", "scoring"])
def test_all_candidates_above_the_margin_are_averaged(make_cv, shifted, rule, monkeypatch):
    known = {0.0: 0.1, 0.1: 0.12, 0.3: 0.9, 1.0: 0.5}
    params = {"lambdas": (0.1, 0.3, 1.0), "standardize": (None,), "aggregate": "passing"}
    if rule == "scoring":
        params |= {"scoring": lambda member, X, y: known[member.lambda_max], "margin": 0.05}
    else:
        scores = iter(known.values())
        monkeypatch.setattr(_default_rule, "information", lambda proba: next(scores))
        monkeypatch.setattr(_default_rule, "reverse_accuracy", lambda *rows: 0.0)
        monkeypatch.setattr(rules, "CHANGE_PENALTY", 0.0)
    clf = make_cv(**params).fit(*shifted[:3])
    assert [row["weight"] for row in clf.scores_] == [0.0, 0.0, 0.5, 0.5]
    assert (clf.adapted_, clf.lambda_) == (True, 0.3)
    assert "adapted by 2 of 4 candidates, best with lambda 0.3: its score" in clf.reason_
    members = [member for candidate in clf.candidates_[2:] for member in candidate]
    expected = np.mean([member.predict_proba(shifted[2]) for member in members], axis=0)
    assert_allclose(clf.predict_proba(shifted[2]), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"lambdas": (-1.0,)}, "lambdas"),
        ({"lambdas": ("a",)}, "lambdas"),
        ({"lambdas": (np.inf,)}, "lambdas"),
        ({"standardize": ()}, "standardize"),
        ({"standardize": ("rows",)}, "standardize"),
        ({"n_seeds": 0}, "n_seeds"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"scoring": "accuracy"}, "scoring"),
        ({"estimator": StandardScaler()}, "estimator"),
        ({"estimator": DANNClassifier(lr=-1.0)}, "lr"),
        ({"margin": -0.1}, "margin"),
        ({"aggregate": "all"}, "aggregate"),
        ({"families": "alignment"}, "families"),
        ({"families": ("alignment", "forest")}, r"unknown names \['forest'\]; choose from"),
        ({"families": (None,)}, r"unknown names \[None\]"),
        ({"aggregate": "mixture", "scoring": len}, "needs scoring=None"),
        ({"families": ("alignment", "trees"), "scoring": len}, "'trees', which hold out no rows"),
    ],
)
def test_invalid_parameters_raise_before_training(make_cv, domains, no_training, params, message):
    with pytest.raises(ValueError, match=message):
        make_cv().set_params(**params).fit(*domains[:3])


def test_a_failed_fit_leaves_the_estimator_unchanged(make_cv, domains):
    clf = make_cv().fit(*domains[:3])
    before = clf.predict_proba(domains.X_target)
    with pytest.raises(ValueError, match="diverged"):
        clf.set_params(estimator__lr=1e30, estimator__optimizer="sgd").fit(*domains[:3])
    assert_array_equal(clf.predict_proba(domains.X_target), before)
    with pytest.raises(NotFittedError):
        clone(clf).predict(domains.X_target)


def test_the_passed_estimator_is_unchanged(make_cv, domains):
    clf = make_cv()
    before = repr(clf.estimator.get_params())
    clf.fit(*domains[:3])
    assert repr(clf.estimator.get_params()) == before
    assert not hasattr(clf.estimator, "net_")


EXPECTED = {
    "check_fit_score_takes_y": "the second argument of fit is y_source",
    "check_sample_weight_equivalence_on_dense_data": "mini-batches and folds",
    "check_sample_weight_equivalence_on_sparse_data": "mini-batches and folds",
}


@parametrize_with_checks(
    [
        DANNClassifierCV(
            DANNClassifier(feature_extractor=(32,), max_epochs=30, lr=0.01),
            n_seeds=2,
            lambdas=(0.1,),
        )
    ],
    expected_failed_checks=lambda estimator: EXPECTED,
)
@pytest.mark.filterwarnings("ignore::skdann.SourceOnlyWarning")
@pytest.mark.filterwarnings("ignore:The label loss is")  # rows around 100 in one of the checks
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("score", ["high", None, [1.0]])
def test_a_scorer_that_returns_no_number_raises(score, make_clf, domains):
    search = DANNClassifierCV(make_clf(), n_seeds=1, scoring=lambda *_: score)
    with pytest.raises(TypeError, match=r"scoring returned .* must return a number"):
        search.fit(*domains[:3])


@pytest.mark.parametrize("standardize", [(), ([],), (1,), ("pca",), (np.zeros(2),)], ids=str)
def test_invalid_scalings_raise(standardize, make_clf, domains):
    with pytest.raises(ValueError, match=r"standardize=.* must hold one or more of None"):
        DANNClassifierCV(make_clf(), standardize=standardize).fit(*domains[:3])


def test_rows_whose_sum_overflows_are_predicted_without_a_warning(make_clf, domains):
    search = DANNClassifierCV(make_clf(), lambdas=(), n_seeds=1).fit(*domains[:3])
    rows = np.repeat(np.float32([[3e38], [-3e38]]), 4, axis=1)
    with np.errstate(over="ignore"), pytest.warns(RuntimeWarning, match="invalid value"):
        rows.sum()
    with contextlib.suppress(ValueError):  # the rows may be too far from those of the fit
        search.predict_proba(rows)


def test_nan_scores_keep_the_baseline(make_clf, domains):
    search = DANNClassifierCV(make_clf(), n_seeds=1, scoring=lambda *_: float("nan"))
    assert not search.fit(*domains[:3]).adapted_
