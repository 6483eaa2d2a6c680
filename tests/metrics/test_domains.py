"""Domain distances and label-shift estimates, against hand-computed and known values."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.svm import LinearSVC

from skdann import metrics
from skdann.datasets import make_covariate_shift, make_label_shift
from skdann.metrics import (
    domain_auc,
    effective_sample_size,
    estimate_target_priors,
    importance_weights,
    proxy_a_distance,
)

DISTANCES = [domain_auc, proxy_a_distance]
METHODS = ["em", "bbse"]

every_distance = pytest.mark.parametrize("distance", DISTANCES, ids=lambda f: f.__name__)
every_method = pytest.mark.parametrize("method", METHODS)


class FirstColumn(ClassifierMixin, BaseEstimator):
    """Predicts the first column as the probability of the target domain; fit learns nothing."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.column_stack([1 - X[:, 0], X[:, 0]])

    def predict(self, X):
        return (X[:, 0] > 0.5).astype(int)


def column(*values):
    return np.array(values, dtype=float)[:, None]


def pair(shift=0.0, n=300, n_target=None, seed=0):
    X, _, X_target, _ = make_covariate_shift(
        n, n_target=n_target, n_features=4, shift=shift, random_state=seed
    )
    return X, X_target


def test_public_names_are_sorted_and_exist():
    assert metrics.__all__ == sorted(metrics.__all__)
    assert all(callable(getattr(metrics, name)) for name in metrics.__all__)


class TestDistances:
    def test_auc_by_hand(self):
        # the target is above the source in three of the 2 x 2 pairs
        source, target = column(0.1, 0.6), column(0.5, 0.9)
        assert domain_auc(source, target, estimator=FirstColumn(), cv=2) == 0.75

    def test_proxy_a_distance_by_hand(self):
        # errors: 1 of 4 source rows, 1 of 2 target rows; 2 (1 - 2 * 0.375)
        source, target = column(0.1, 0.2, 0.6, 0.3), column(0.4, 0.9)
        measured = proxy_a_distance(source, target, estimator=FirstColumn(), cv=2)
        assert measured == pytest.approx(0.5)

    def test_proxy_a_distance_is_never_negative(self):
        assert proxy_a_distance(column(1, 1), column(0, 0), estimator=FirstColumn(), cv=2) == 0.0

    @pytest.mark.parametrize("seed", range(3))
    def test_equal_domains(self, seed):
        X, X_target = pair(0.0, n=1000, seed=seed)
        assert domain_auc(X, X_target, random_state=0) == pytest.approx(0.5, abs=0.05)
        assert proxy_a_distance(X, X_target, random_state=0) < 0.15

    def test_far_domains(self):
        X, X_target = pair(12.0)
        assert domain_auc(X, X_target, random_state=0) > 0.99
        assert proxy_a_distance(X, X_target, random_state=0) == pytest.approx(2.0, abs=0.02)

    def test_auc_of_gaussians_is_the_known_one(self):
        # two normals, shift d apart: AUC = Phi(d / sqrt 2)
        X, X_target = pair(1.0, n=3000)
        measured = domain_auc(X, X_target, estimator=LogisticRegression(), random_state=0)
        assert measured == pytest.approx(0.760, abs=0.02)
        assert domain_auc(X, X_target, random_state=0) == pytest.approx(0.760, abs=0.03)

    def test_sizes_do_not_change_the_linear_distance(self):
        equal = proxy_a_distance(*pair(1.0, n=2000), random_state=0)
        unequal = proxy_a_distance(*pair(1.0, n=2000, n_target=200), random_state=0)
        assert unequal == pytest.approx(equal, abs=0.15)
        assert equal == pytest.approx(2 * (2 * 0.691 - 1), abs=0.1)  # Phi(1 / 2)

    def test_default_trees_detect_a_shift_of_variance(self):
        X, X_target = pair(n=500)
        X_target[:, 2] *= 4
        assert domain_auc(X, X_target, random_state=0) > 0.7
        assert proxy_a_distance(X, X_target, random_state=0) < 0.3  # blind to it

    @every_distance
    def test_sparse_frames_and_lists(self, distance):
        X, X_target = pair(2.0)
        expected = distance(X, X_target, random_state=0)
        frames = [pd.DataFrame(part, columns=list("abcd")) for part in (X, X_target)]
        assert distance(*frames, random_state=0) == expected
        assert distance(X.tolist(), X_target.tolist(), random_state=0) == expected
        kinds = (sp.csr_matrix, sp.csr_array, sp.csc_array)
        measured = {distance(kind(X), kind(X_target), random_state=0) for kind in kinds}
        assert len(measured) == 1
        assert measured.pop() == pytest.approx(expected, rel=0.1)

    @every_distance
    def test_columns_are_matched_by_name(self, distance):
        X, X_target = (pd.DataFrame(part, columns=list("abcd")) for part in pair(2.0))
        turned = X_target[list("dcba")]
        assert distance(X, turned, random_state=0) == distance(X, X_target, random_state=0)
        with pytest.raises(ValueError, match="columns of X_target differ"):
            distance(X, X_target.rename(columns={"a": "z"}), random_state=0)

    @every_distance
    def test_tuple_pools_the_targets(self, distance):
        X, X_target = pair(2.0)
        parts = (X_target[:100], X_target[100:])
        assert distance(X, parts, random_state=0) == distance(X, X_target, random_state=0)

    @every_distance
    def test_nan_is_accepted(self, distance):
        X, X_target = pair(8.0)
        X[::7, 1] = X_target[::5, 2] = np.nan
        assert distance(X, X_target, random_state=0) > 0.9

    def test_any_classifier_works(self):
        X, X_target = pair(2.0)
        measured = proxy_a_distance(X, X_target, estimator=LinearSVC(), random_state=0)
        assert measured == pytest.approx(proxy_a_distance(X, X_target, random_state=0), abs=0.1)

    @every_distance
    def test_errors_name_the_remedy(self, distance):
        X, X_target = pair()
        with pytest.raises(ValueError, match=r"X_target has 3 features but X_source has 4.*make_p"):
            distance(X, X_target[:, :3])
        with pytest.raises(ValueError, match="empty tuple"):
            distance(X, ())
        with pytest.raises(ValueError, match="one has 3; lower cv"):
            distance(X, X_target[:3])
        with pytest.raises(ValueError, match="infinity"):
            distance(X, np.full_like(X_target, np.inf))


class TestRandomness:
    @pytest.mark.parametrize("f", [*DISTANCES, importance_weights])
    def test_random_state_controls_the_result_and_the_global_one_is_untouched(self, f):
        X, X_target = pair(1.5, n=80)
        np.random.seed(3)
        before = np.random.get_state()[1].copy()
        first, again = f(X, X_target, random_state=5), f(X, X_target, random_state=5)
        others = [f(X, X_target, random_state=seed) for seed in range(6, 10)]
        drawn = [f(X, X_target), f(X, X_target)]
        assert_array_equal(np.random.get_state()[1], before)
        assert_array_equal(first, again)
        assert not all(np.array_equal(first, other) for other in others)
        if f is not proxy_a_distance:  # which takes few values
            assert not np.array_equal(*drawn)
        instance = f(X, X_target, random_state=np.random.RandomState(5))
        assert_array_equal(instance, first)


class TestImportanceWeights:
    def test_by_hand(self):
        # n_S / n_T * p / (1 - p), limited to sqrt(4) by default
        source, target = column(0.5, 0.2, 0.8, 1.0), column(0.9, 0.9)
        weights = importance_weights(source, target, estimator=FirstColumn(), cv=2)
        assert_allclose(weights, [2.0, 0.5, 2.0, 2.0])
        weights = importance_weights(source, target, estimator=FirstColumn(), cv=2, max_weight=5)
        assert_allclose(weights, [2.0, 0.5, 5.0, 5.0])

    def test_weights_are_corrected_for_the_size_of_the_domains(self):
        X, X_target = pair(n=400, n_target=100)
        prior = DummyClassifier(strategy="prior")
        assert_allclose(importance_weights(X, X_target, estimator=prior), np.ones(400))

    def test_known_ratio(self):
        X, X_target = pair(1.0, n=2000)
        true = np.exp(X[:, 0] - 0.5)
        logistic = importance_weights(X, X_target, estimator=LogisticRegression(), random_state=0)
        assert np.corrcoef(logistic, true)[0, 1] > 0.95
        trees = importance_weights(X, X_target, random_state=0)
        assert np.corrcoef(trees, true)[0, 1] > 0.8
        assert trees.mean() == pytest.approx(1.0, abs=0.15)

    @pytest.mark.parametrize("limit", [0, -1.0, np.nan])
    def test_bad_limit(self, limit):
        with pytest.raises(ValueError, match=r"max_weight=.* must be positive"):
            importance_weights(*pair(), max_weight=limit)


class TestEffectiveSampleSize:
    @pytest.mark.parametrize(
        ("weights", "expected"),
        [([1, 1, 1, 1], 4), ([3, 3], 2), ([0, 5, 0], 1), ([1, 2], 9 / 5), ([0, 0], 0)],
    )
    def test_by_hand(self, weights, expected):
        assert effective_sample_size(weights) == pytest.approx(expected)

    @given(st.lists(st.floats(0, 1e300), min_size=1, max_size=20), st.floats(1e-3, 1e3))
    def test_bounds_and_scale(self, weights, scale):
        size = effective_sample_size(weights)
        assert 0 <= size <= len(weights) * (1 + 1e-9)
        if max(weights) > 1e-290:
            assert size >= 1 - 1e-9
            assert effective_sample_size(np.array(weights) * scale) == pytest.approx(size)

    @pytest.mark.parametrize("bad", [[-1.0, 2.0], [np.nan], [np.inf, 1.0], []])
    def test_bad_weights(self, bad):
        with pytest.raises(ValueError, match=r"weights|minimum"):
            effective_sample_size(bad)


def predicted(*, n=4000, seed=0, **priors):
    """Labels and out-of-fold probabilities of a source, and probabilities of a target."""
    X, y, X_target, _ = make_label_shift(n, class_sep=2.0, random_state=seed, **priors)
    clf = LogisticRegression()
    proba = cross_val_predict(clf, X, y, method="predict_proba")
    return proba, y, clf.fit(X, y).predict_proba(X_target)


class TestTargetPriors:
    @every_method
    @pytest.mark.parametrize(
        ("source", "target"),
        [
            ((0.5, 0.5), (0.2, 0.8)),
            ((0.7, 0.3), (0.7, 0.3)),
            ((0.3, 0.3, 0.4), (0.7, 0.2, 0.1)),
            ((0.2, 0.5, 0.3), (0.5, 0.5, 0.0)),
        ],
    )
    def test_recovered(self, method, source, target):
        args = predicted(source_priors=source, target_priors=target)
        estimate = estimate_target_priors(*args, method=method)
        assert_allclose(estimate, target, atol=0.04)
        assert estimate.sum() == pytest.approx(1.0)

    def test_em_by_hand(self):
        # a perfect classifier: the shares are those of the predictions
        proba = np.eye(2)[[0, 1, 0, 1]]
        estimate = estimate_target_priors(proba, [0, 1, 0, 1], np.eye(2)[[0, 0, 0, 1]])
        assert_allclose(estimate, [0.75, 0.25])

    def test_em_is_the_maximum_of_the_likelihood(self):
        proba, y, proba_target = predicted()
        grid = np.linspace(0.001, 0.999, 999)
        q = proba.mean(axis=0)
        mixed = np.outer(grid / q[0], proba_target[:, 0])
        mixed += np.outer((1 - grid) / q[1], proba_target[:, 1])
        best = grid[np.log(mixed).sum(axis=1).argmax()]
        estimate = estimate_target_priors(proba, y, proba_target, tol=1e-9)
        assert estimate[0] == pytest.approx(best, abs=2e-3)

    def test_bbse_by_hand(self):
        # M = [[.8, .4], [.2, .6]], mu = (.6, .4): M pi = mu at (1/2, 1/2); the ridge is small
        proba = np.repeat([[0.8, 0.2], [0.4, 0.6]], 50_000, axis=0)
        y = np.repeat(["a", "b"], 50_000)
        target = np.tile([0.6, 0.4], (50_000, 1))
        estimate = estimate_target_priors(proba, y, target, method="bbse")
        assert_allclose(estimate, [0.5, 0.5], atol=1e-6)
        # (.7, .3) is M (.75, .25)
        target = np.tile([0.7, 0.3], (50_000, 1))
        estimate = estimate_target_priors(proba, y, target, method="bbse")
        assert_allclose(estimate, [0.75, 0.25], atol=1e-3)
        # (.9, .1) lies beyond the simplex: all of class a
        target = np.tile([0.9, 0.1], (50_000, 1))
        assert_allclose(estimate_target_priors(proba, y, target, method="bbse"), [1.0, 0.0])

    @every_method
    def test_useless_classifier_keeps_the_shares_of_the_source(self, method):
        y = np.repeat([0, 1], [30, 70])
        proba, target = np.tile([0.3, 0.7], (100, 1)), np.tile([0.3, 0.7], (50, 1))
        assert_allclose(estimate_target_priors(proba, y, target, method=method), [0.3, 0.7])

    @every_method
    def test_equal_predictions_mean_no_shift(self, method):
        proba, y, _ = predicted(source_priors=(0.3, 0.7), n=1000)
        estimate = estimate_target_priors(proba, y, proba, method=method)
        assert_allclose(estimate, [0.3, 0.7], atol=2e-3)

    @every_method
    def test_class_without_source_rows(self, method):
        proba, y, target = predicted(n=1000)
        wide = [np.insert(p, 1, 0.0, axis=1) for p in (proba, target)]
        estimate = estimate_target_priors(wide[0], y * 2, wide[1], method=method, classes=[0, 1, 2])
        expected = estimate_target_priors(proba, y, target, method=method)
        assert_allclose(estimate, np.insert(expected, 1, 0.0), atol=1e-6)

    @every_method
    def test_one_class(self, method):
        one = np.ones((3, 1))
        assert_allclose(estimate_target_priors(one, ["a"] * 3, one, method=method), [1.0])

    @every_method
    def test_probabilities_of_exactly_zero(self, method):
        proba = np.eye(3)[[0, 1, 2]]
        estimate = estimate_target_priors(proba, [0, 1, 2], np.eye(3)[[0, 0]], method=method)
        assert estimate.argmax() == 0
        assert np.isfinite(estimate).all()

    def test_target_rows_of_a_class_without_source_rows(self):
        estimate = estimate_target_priors(
            np.eye(3)[[0, 1]], [0, 1], np.eye(3)[[2, 2]], classes=range(3)
        )
        assert_allclose(estimate, [0.5, 0.5, 0.0])

    def test_shares_follow_the_order_of_classes(self):
        proba, y, target = predicted(n=1000)
        names = np.array(["no", "yes"])[y]
        there = estimate_target_priors(proba, names, target, classes=["no", "yes"])
        back = estimate_target_priors(proba[:, ::-1], names, target[:, ::-1], classes=["yes", "no"])
        assert_allclose(there, back[::-1])

    def test_missing_convergence_warns(self):
        with pytest.warns(ConvergenceWarning, match="max_iter=2"):
            estimate_target_priors(*predicted(n=500), max_iter=2)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"method": "mlls"}, "method='mlls'.*'em' or 'bbse'"),
            ({"classes": [0, 1, 2]}, "proba_source has 2 columns.*3 classes"),
            ({"classes": [0, 7]}, r"labels \[1\] that are not among"),
            ({"proba_target": [[0.2, 0.2]]}, "proba_target must hold probabilities"),
            ({"proba_source": [[1.5, -0.5]] * 4}, "proba_source must hold probabilities"),
            ({"proba_source": [[0.5, 0.5]] * 3}, "inconsistent numbers of samples"),
        ],
    )
    def test_errors(self, change, message):
        given = {
            "proba_source": [[0.5, 0.5]] * 4,
            "y_source": [0, 1, 0, 1],
            "proba_target": [[0.5, 0.5]] * 3,
        }
        with pytest.raises(ValueError, match=message):
            estimate_target_priors(**{**given, **change})
