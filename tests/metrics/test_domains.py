"""Domain distances, against hand-computed and known values."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from skdann import metrics
from skdann.metrics import (
    domain_auc,
    importance_weights,
    proxy_a_distance,
)
from tests.metrics.common import FirstColumn, column, pair

DISTANCES = [domain_auc, proxy_a_distance]


every_distance = pytest.mark.parametrize("distance", DISTANCES, ids=lambda f: f.__name__)


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
