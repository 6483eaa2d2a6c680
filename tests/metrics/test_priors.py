"""Class shares of the target, against known shares."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from skdann.datasets import make_label_shift
from skdann.metrics import estimate_target_priors

METHODS = ["em", "bbse"]


every_method = pytest.mark.parametrize("method", METHODS)


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
