"""Reliability of single rows: by hand, and on fitted classifiers."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from skdann import DANNClassifier, DANNClassifierCV
from skdann.datasets import make_covariate_shift
from skdann.inspection import _reliability as module
from skdann.inspection._reliability import row_agreement, row_distance


def test_agreement_with_each_family():
    predicted = np.array([0, 1, 2])
    families = [np.array([0, 1, 0]), np.array([0, 0, 1]), np.array([0, 1, 2]), np.array([0, 1, 1])]
    assert_allclose(row_agreement(predicted, families), [1.0, 0.75, 0.25])


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_distance_in_deviations_with_a_limit_for_each_column(container, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_ROWS", 2)
    X = container(np.array([[1.0, 10.0], [2.0, 10.0], [1.0, 1e9]]))
    distance = row_distance(X, np.array([1.0, 10.0]), np.array([0.5, 5.0]))
    assert_allclose(distance, [0.0, np.sqrt(2.0), 5 / np.sqrt(2.0)])


@pytest.fixture(scope="module")
def fitted():
    X, y, X_target, _ = make_covariate_shift(200, random_state=0)
    clf = DANNClassifierCV(DANNClassifier(max_epochs=8), random_state=0).fit(X, y, X_target)
    return clf, X, X_target


class TestFitted:
    def test_rows_of_the_source_are_near_and_others_far(self, fitted):
        clf, X, X_target = fitted
        distance = clf.reliability(X_target).distance
        assert_allclose(distance, row_distance(X_target, X.mean(0), X.std(0)), rtol=1e-5)
        assert distance.mean() > 1.5

    def test_agreement_is_that_of_the_families(self, fitted):
        clf, _, X_target = fitted
        families = [
            clf.classes_[np.mean([m.predict_proba(X_target) for m in members], axis=0).argmax(1)]
            for members in clf.candidates_
        ]
        expected = row_agreement(clf.predict(X_target), families)
        assert_allclose(clf.reliability(X_target).agreement, expected)
        assert 0 < (expected < 1).mean() < 0.5

    def test_it_survives_saving(self, fitted, tmp_path):
        clf, _, X_target = fitted
        clf.save(tmp_path / "clf")
        loaded = DANNClassifierCV.load(tmp_path / "clf")
        for one, other in zip(loaded.reliability(X_target), clf.reliability(X_target), strict=True):
            assert_array_equal(one, other)

    def test_one_row_and_another_number_of_columns(self, fitted):
        clf, _, X_target = fitted
        assert clf.reliability(X_target[:1]).distance.shape == (1,)
        with pytest.raises(ValueError, match="features"):
            clf.reliability(X_target[:, :1])


def test_sparse_rows_and_constant_columns():
    X, y, X_target, _ = make_covariate_shift(100, random_state=0)
    X, X_target = (sp.csr_array(np.hstack([part, 0 * part])) for part in (X, X_target))
    clf = DANNClassifierCV(DANNClassifier(max_epochs=2), random_state=0).fit(X, y, X_target)
    dense = row_distance(X_target.toarray(), X.toarray().mean(0), [*X.toarray().std(0)[:2], 1, 1])
    assert_allclose(clf.reliability(X_target).distance, dense, rtol=1e-5)
