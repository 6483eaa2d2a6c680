"""Label shift: known and estimated shares, corrected predictions, reweighted losses."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from skdann import DANNClassifier, DANNClassifierCV, SourceOnlyWarning, make_pipeline
from skdann._training.label_shift import estimate_shares
from skdann.datasets import make_label_shift
from skdann.model_selection import ReverseValidationScorer

PRIORS = {0: 0.2, 1: 0.8}


def ratio_of(y, weight=None, priors=PRIORS):
    shares = np.bincount(y, weights=weight) / (len(y) if weight is None else np.sum(weight))
    return np.array(list(priors.values())) / shares


def test_corrected_probabilities_follow_bayes_rule(make_clf, domains):
    X, y, X_target, _ = domains
    plain = make_clf().fit(X, y, X_target)
    clf = make_clf(label_shift="correct", target_priors=PRIORS).fit(X, y, X_target)
    expected = plain.predict_proba(X_target) * ratio_of(y)
    expected /= expected.sum(axis=1, keepdims=True)
    assert_allclose(clf.predict_proba(X_target), expected, rtol=1e-10)
    assert_allclose(clf.predict_log_proba(X_target), np.log(expected), atol=1e-10)
    assert_array_equal(clf.predict(X_target), expected.argmax(axis=1))
    assert (clf.predict(X_target) != plain.predict(X_target)).any()
    assert_allclose(clf.target_priors_, [0.2, 0.8])


def test_source_rows_are_not_corrected(make_clf, domains):
    X, y, X_target, _ = domains
    plain = make_clf().fit(X, y, (X_target, X_target + 1.0))
    clf = make_clf(label_shift="correct", target_priors=PRIORS)
    clf.fit(X, y, (X_target, X_target + 1.0))
    domain = np.array([0, -1, -2] * 13 + [0])
    is_source = domain == 0
    corrected, other = clf.predict_proba(X, sample_domain=domain), plain.predict_proba(X)
    assert_allclose(corrected[is_source], other[is_source], rtol=1e-10)
    assert (corrected[~is_source] != other[~is_source]).all()
    assert_allclose(clf.predict_proba(X, sample_domain=0), other, rtol=1e-10)


def test_class_and_sample_weights_are_part_of_the_shares_trained_on(make_clf, domains):
    X, y, X_target, _ = domains
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    params = {"class_weight": {0: 3.0, 1: 0.5}}
    plain = make_clf(**params).fit(X, y, X_target, sample_weight=weight)
    clf = make_clf(**params, label_shift="correct", target_priors=PRIORS)
    clf.fit(X, y, X_target, sample_weight=weight)
    trained_on = weight * np.where(y == 0, 3.0, 0.5)
    expected = plain.predict_proba(X_target) * ratio_of(y, trained_on)
    expected /= expected.sum(axis=1, keepdims=True)
    assert_allclose(clf.predict_proba(X_target), expected, rtol=1e-10)


@pytest.mark.parametrize("params", [{}, {"class_weight": "balanced"}, {"early_stopping": True}])
def test_reweighting_equals_a_fit_with_sample_weights(make_clf, domains, assert_same_fit, params):
    X, y, X_target, _ = domains
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    clf = make_clf(**params, label_shift="reweight", target_priors=PRIORS)
    clf.fit(X, y, X_target, sample_weight=weight)
    weighted = weight * ratio_of(y, weight)[y]
    by_hand = make_clf(**params).fit(X, y, X_target, sample_weight=weighted / weighted.max())
    assert_same_fit(clf, by_hand)
    assert_array_equal(clf.predict_proba(X_target), by_hand.predict_proba(X_target))
    with pytest.raises(AssertionError, match="differs"):
        assert_same_fit(clf, make_clf(**params).fit(X, y, X_target, sample_weight=weight))


@pytest.mark.parametrize("as_container", [np.asarray, sp.csr_array])
def test_estimated_shares_are_near_the_truth_and_correction_helps(as_container):
    X, y, X_target, y_target = make_label_shift(
        600, target_priors=(0.1, 0.9), class_sep=1.5, random_state=0
    )
    X, X_target = as_container(X), as_container(X_target)
    scores = {}
    for kind in (None, "correct", "reweight"):
        clf = DANNClassifier(
            feature_extractor=(8,),
            lambda_max=0.0,
            lr=0.01,
            max_epochs=8,
            label_shift=kind,
            random_state=0,
        )
        scores[kind] = clf.fit(X, y, X_target).score(X_target, y_target)
        assert hasattr(clf, "target_priors_") == (kind is not None)
        if kind:
            assert_allclose(clf.target_priors_, [0.1, 0.9], atol=0.05)
    assert scores["correct"] > scores[None] + 0.05
    assert scores["reweight"] > scores[None] + 0.05


def test_estimated_shares_of_rare_and_single_classes():
    X, y, X_target, _ = make_label_shift(200, random_state=0)
    rows = np.vstack([X, X_target])
    names = np.array(["a", "b", "c"])
    y = names[y]
    y[0] = "c"  # too rare for out-of-fold predictions
    shares = estimate_shares(rows, y, names, 0)
    assert shares[2] == 0.0
    assert shares.sum() == pytest.approx(1.0)
    lone = np.array(["a"] * 199 + ["c"])
    assert_allclose(estimate_shares(rows, lone, names, 0), [0.995, 0.0, 0.005])


def test_no_estimated_share_is_zero(make_clf):
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    X = rng.normal(size=(80, 2)) + 20.0 * y[:, None]
    clf = make_clf(label_shift="reweight", standardize="source").fit(X, y, X[y == 1] + 0.1)
    assert 0 < clf.target_priors_[0] < 0.05
    assert clf.target_priors_.sum() == pytest.approx(1.0)


def test_without_target_rows_only_known_shares_are_used(make_clf, domains):
    X, y, X_target, _ = domains
    with pytest.warns(SourceOnlyWarning):
        plain = make_clf().fit(X, y)
    with pytest.warns(SourceOnlyWarning):
        clf = make_clf(label_shift="correct").fit(X, y)
    assert_allclose(clf.target_priors_, np.bincount(y) / len(y))
    assert_allclose(clf.predict_proba(X_target), plain.predict_proba(X_target), rtol=1e-10)
    with pytest.warns(SourceOnlyWarning):
        known = make_clf(label_shift="correct", target_priors=PRIORS).fit(X, y)
    assert (known.predict_proba(X_target)[:, 1] > plain.predict_proba(X_target)[:, 1]).all()


def test_partial_fit_keeps_the_shares_of_its_first_call(make_clf, domains):
    X, y, X_target, _ = domains
    clf = make_clf(label_shift="reweight")
    clf.partial_fit(X[y == 1], y[y == 1], X_target, classes=[0, 1])
    assert clf._label_shift.ratio[0] == 1.0  # a class without rows
    first = clf.target_priors_.copy()
    clf.partial_fit(X, y, X_target + 3.0)
    assert_array_equal(clf.target_priors_, first)
    clf.fit(X, y, X_target)
    assert (clf.target_priors_ != first).any()
    assert not hasattr(clf.set_params(label_shift=None).fit(X, y, X_target), "target_priors_")


@pytest.mark.parametrize(
    ("priors", "says"),
    [
        ({0: 1.0}, (r"\{?\[0\]", r"classes are \[0, 1\]", "each class")),
        ({0: 0.5, 2: 0.5}, (r"\[0, 2\]", r"classes are \[0, 1\]", "each class", "may encode")),
        ({0: 0.5, 1: 0.3, 2: 0.3}, ("0.3", "sum to 1")),
        ({0: 0.5, 1: 0.6}, ("0.6", "sum to 1")),
        ({0: 0.0, 1: 1.0}, ("positive", "from the source")),
        ({0: -0.5, 1: 1.5}, ("positive", "-0.5")),
        ({0: np.nan, 1: 1.0}, ("positive", "nan")),
        ({0: "half", 1: 0.5}, ("positive", "half")),
    ],
)
@pytest.mark.usefixtures("no_training")
def test_invalid_shares_raise(make_clf, domains, priors, says):
    clf = make_clf(label_shift="correct", target_priors=priors)
    for fit in (clf.fit, DANNClassifierCV(clf, lambdas=(0.3,), n_seeds=1).fit):
        with pytest.raises(ValueError, match="target_priors") as error:
            fit(*domains[:3])
        for text in says:
            error.match(text)


@pytest.mark.parametrize("kind", ["correct", "reweight"])
def test_label_shift_is_saved(make_clf, domains, tmp_path, kind):
    clf = make_clf(label_shift=kind, target_priors=PRIORS).fit(*domains[:3])
    clf.save(tmp_path / "clf")
    copies = [DANNClassifier.load(tmp_path / "clf"), pickle.loads(pickle.dumps(clf))]
    for _ in range(2):
        proba = clf.predict_proba(domains.X_target)
        for loaded in copies:
            assert_array_equal(loaded.predict_proba(domains.X_target), proba)
            assert_array_equal(loaded.target_priors_, clf.target_priors_)
        for fitted in (clf, *copies):  # training continues identically
            fitted.partial_fit(*domains[:3])


def test_label_shift_of_a_search_is_saved(make_clf, domains, tmp_path):
    shifted = make_clf(label_shift="correct", target_priors=PRIORS)
    clf = DANNClassifierCV(shifted, lambdas=(0.3,), n_seeds=1, random_state=0).fit(*domains[:3])
    clf.save(tmp_path / "clf")
    loaded = DANNClassifierCV.load(tmp_path / "clf")
    assert_array_equal(loaded.predict_proba(domains.X_target), clf.predict_proba(domains.X_target))
    assert_array_equal(loaded.target_priors_, [0.2, 0.8])


def test_a_path_is_selected_uncorrected_and_predicts_corrected(make_clf, domains):
    X, y, X_target, _ = domains
    path = {"lambdas": (0.3,), "families": ("alignment",), "aggregate": "passing"}
    params = {**path, "n_seeds": 2, "random_state": 0}
    plain = DANNClassifierCV(make_clf(), **params).fit(X, y, X_target)
    shifted = make_clf(label_shift="correct", target_priors=PRIORS)
    clf = DANNClassifierCV(shifted, **params).fit(X, y, X_target)
    assert clf.scores_ == plain.scores_
    assert_array_equal(clf.target_priors_, [0.2, 0.8])
    assert not hasattr(plain, "target_priors_")
    expected = []
    for member in plain.members_:
        proba = member.predict_proba(X_target) * ratio_of(y)
        expected.append(proba / proba.sum(axis=1, keepdims=True))
    assert_allclose(clf.predict_proba(X_target), np.mean(expected, axis=0), rtol=1e-10)


def test_a_path_reweights_its_members(make_clf, domains):
    X, y, X_target, _ = domains
    path = {"lambdas": (0.3,), "families": ("alignment",), "aggregate": "passing"}
    params = {**path, "n_seeds": 2, "random_state": 0}
    shifted = make_clf(label_shift="reweight", target_priors=PRIORS)
    clf = DANNClassifierCV(shifted, **params).fit(X, y, X_target)
    by_hand = DANNClassifierCV(make_clf(), **params)
    by_hand.fit(X, y, X_target, sample_weight=ratio_of(y)[y])
    assert_allclose(clf.predict_proba(X_target), by_hand.predict_proba(X_target), atol=1e-6)
    plain = DANNClassifierCV(make_clf(), **params).fit(X, y, X_target)
    assert not np.allclose(clf.predict_proba(X_target), plain.predict_proba(X_target), atol=1e-3)


def test_reverse_validation_trains_without_the_target_shares(make_clf):
    X, y, X_target, _ = make_label_shift(
        90, source_priors=(0.4, 0.4, 0.2), target_priors=(0.45, 0.45, 0.1), random_state=0
    )
    priors = {0: 0.499, 1: 0.5, 2: 0.001}
    clf = make_clf(lr=0.03, label_shift="correct", target_priors=priors).fit(X, y, X_target)
    labels = clf.predict(X_target)
    assert set(labels) == {0, 1}  # one class of target_priors is not among the reverse labels
    reverse = make_clf(lr=0.03).fit(X_target, labels, X)
    score = ReverseValidationScorer(X_target)(make_pipeline(clf), X, y)
    assert score == pytest.approx(np.mean(reverse.predict(X) == y))
    assert clf.label_shift == "correct"
