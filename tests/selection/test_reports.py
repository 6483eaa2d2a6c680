"""Reports of a fitted search: the accuracy to expect, doubtful rows, and rows to label."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import StandardScaler

from skdann import DANNClassifier, DANNClassifierCV, make_pipeline
from skdann._selection import reports
from skdann.datasets import make_covariate_shift
from skdann.inspection._accuracy import estimate_accuracy
from skdann.inspection._reliability import row_agreement, row_distance


@pytest.fixture(scope="module")
def fitted():
    X, y, X_target, _ = make_covariate_shift(200, random_state=0)
    base = DANNClassifier(max_epochs=8)
    clf = DANNClassifierCV(base, random_state=0).fit(X, y, X_target)
    return clf, X, y, X_target


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(0)
    X, X_target = rng.normal(size=(60, 3)), rng.normal((1.0, 0.0, 0.0), size=(50, 3))
    tiny = DANNClassifier(feature_extractor=(8,), domain_classifier=(4,), max_epochs=5)
    fitted = DANNClassifierCV(tiny, n_seeds=2, random_state=0)
    return fitted.fit(X, (X[:, 0] > 0).astype(int), X_target), X_target


class TestEstimatedAccuracy:
    def test_held_out_rows_are_those_of_the_baseline(self, fitted):
        clf, X = fitted[:2]
        assert set(clf.held_out_) == {"accuracy", "balanced_accuracy", "n_rows"}
        assert clf.held_out_["n_rows"] == 3 * len(X) / 5  # each of three members holds out a fifth
        assert 0.5 < clf.held_out_["accuracy"] <= 1

    def test_it_rests_on_the_predictions_of_all_families(self, fitted):
        clf, X, y, X_target = fitted
        by_hand = [
            np.mean([member.predict_proba(X_target) for member in members], axis=0).argmax(1)
            for members in clf.candidates_
        ]
        expected = estimate_accuracy(by_hand, clf.held_out_)
        assert clf.estimate_accuracy(X, y, X_target) == expected

    def test_several_targets_are_judged_as_one(self, fitted):
        clf, X, y, X_target = fitted
        both = clf.estimate_accuracy(X, y, (X_target[:80], X_target[80:]))
        assert both == clf.estimate_accuracy(X, y, X_target)

    def test_worse_source_rows_lower_it_and_better_ones_do_not_raise_it(self, fitted):
        clf, X, y, X_target = fitted
        usual = clf.estimate_accuracy(X, y, X_target).accuracy
        assert clf.estimate_accuracy(X, 1 - y, X_target).accuracy < usual
        best = clf.predict(X, sample_domain=0)
        assert clf.estimate_accuracy(X, best, X_target).accuracy == usual

    def test_few_rows_of_a_large_target_are_read(self, fitted, monkeypatch):
        clf, X, _, X_target = fitted
        monkeypatch.setattr(reports, "MOST_ROWS", 50)
        predictions = clf._family_predictions(X, X_target, clf)
        assert {len(each) for each in predictions} == {50}

    def test_it_survives_saving(self, fitted, tmp_path):
        clf, X, y, X_target = fitted
        clf.save(tmp_path / "clf")
        loaded = DANNClassifierCV.load(tmp_path / "clf")
        assert loaded.held_out_ == clf.held_out_
        assert loaded.estimate_accuracy(X, y, X_target) == clf.estimate_accuracy(X, y, X_target)

    def test_without_other_families_there_is_none(self, fitted):
        _, X, y, X_target = fitted
        base = DANNClassifier(max_epochs=2)
        alone = DANNClassifierCV(base, families=[], aggregate="best", random_state=0)
        alone.fit(X, y, X_target)
        assert "only one family" in alone.estimate_accuracy(X, y, X_target).reason

    def test_columns_must_match(self, fitted):
        clf, X, y, X_target = fitted
        with pytest.raises(ValueError, match="features"):
            clf.estimate_accuracy(X, y, X_target[:, :1])


class TestAccuracyOfOneNetwork:
    def test_it_is_compared_with_the_families(self, fitted):
        _, X, y, X_target = fitted
        clf = DANNClassifier(lambda_max=0.5, max_epochs=8, random_state=0).fit(X, y, X_target)
        estimate = clf.estimate_accuracy(X, y, X_target)
        assert "6 models" in estimate.reason
        by_families = DANNClassifierCV(DANNClassifier(max_epochs=8), random_state=0).fit(
            X, y, X_target
        )
        others = by_families._family_predictions(X, X_target, by_families)
        own = clf.predict(X_target)
        expected = estimate_accuracy([*others, own], by_families.held_out_)
        assert estimate == expected

    def test_other_labels_are_refused(self, fitted):
        _, X, y, X_target = fitted
        clf = DANNClassifier(max_epochs=2, random_state=0).fit(X, y, X_target)
        with pytest.raises(ValueError, match=r"\[1, 2\], but fit saw \[0, 1\]"):
            clf.estimate_accuracy(X, y + 1, X_target)


class TestReliability:
    def test_rows_of_the_source_are_near_and_others_far(self, fitted):
        clf, X, _, X_target = fitted
        distance = clf.reliability(X_target).distance
        assert_allclose(distance, row_distance(X_target, X.mean(0), X.std(0)), rtol=1e-5)
        assert distance.mean() > 1.5

    def test_agreement_is_that_of_the_families(self, fitted):
        clf, _, _, X_target = fitted
        families = [
            clf.classes_[np.mean([m.predict_proba(X_target) for m in members], axis=0).argmax(1)]
            for members in clf.candidates_
        ]
        expected = row_agreement(clf.predict(X_target), families)
        assert_allclose(clf.reliability(X_target).agreement, expected)
        assert 0 < (expected < 1).mean() < 0.5

    def test_it_survives_saving(self, fitted, tmp_path):
        clf, _, _, X_target = fitted
        clf.save(tmp_path / "clf")
        loaded = DANNClassifierCV.load(tmp_path / "clf")
        for one, other in zip(loaded.reliability(X_target), clf.reliability(X_target), strict=True):
            assert_array_equal(one, other)

    def test_one_row_and_another_number_of_columns(self, fitted):
        clf, _, _, X_target = fitted
        assert clf.reliability(X_target[:1]).distance.shape == (1,)
        with pytest.raises(ValueError, match="features"):
            clf.reliability(X_target[:, :1])


def test_reliability_of_sparse_rows_and_constant_columns():
    X, y, X_target, _ = make_covariate_shift(100, random_state=0)
    X, X_target = (sp.csr_array(np.hstack([part, 0 * part])) for part in (X, X_target))
    clf = DANNClassifierCV(DANNClassifier(max_epochs=2), random_state=0).fit(X, y, X_target)
    dense = row_distance(X_target.toarray(), X.toarray().mean(0), [*X.toarray().std(0)[:2], 1, 1])
    assert_allclose(clf.reliability(X_target).distance, dense, rtol=1e-5)


def test_a_search_chooses_unlabelled_rows(small):
    search, X_target = small
    rows = search.query(X_target, 10)
    assert len(set(rows.tolist())) == 10
    assert_array_equal(rows, np.sort(rows))
    y_target = np.full(50, np.nan)
    y_target[rows] = 1
    rest = search.query(X_target, 40, y_target=y_target)
    assert_array_equal(np.sort([*rows, *rest]), np.arange(50))
    assert_array_equal(rows, search.query(X_target, 10))


def test_pipelines_and_frames_are_queried(small):
    search, X_target = small
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
    target = pd.DataFrame(X_target, columns=list("abc"))
    pipe = make_pipeline(StandardScaler(), DANNClassifierCV(search.estimator, random_state=0))
    pipe.fit(X, (X["a"] > 0).astype(int), X_target=target)
    rows = pipe.query(target, 4)
    expected = pipe[-1].query(pipe[:-1].transform(target), 4)
    assert_array_equal(rows, expected)
    sparse = DANNClassifierCV(search.estimator, random_state=0)
    sparse.fit(sp.csr_array(X.to_numpy()), (X["a"] > 0).astype(int), sp.csr_array(X_target))
    assert len(sparse.query(sp.csr_array(X_target), 4)) == 4
    with pytest.raises(AttributeError, match="query"):
        make_pipeline(StandardScaler(), DANNClassifier()).query  # noqa: B018


@pytest.mark.parametrize("n", [0, -1, 2.5, "3", True, None])
def test_other_numbers_of_rows_are_refused(small, n):
    search, X_target = small
    with pytest.raises(ValueError, match="must be a whole number >= 1"):
        search.query(X_target, n)


def test_more_rows_than_there_are_and_labels_of_other_rows_are_refused(small):
    search, X_target = small
    with pytest.raises(ValueError, match="n=51 rows cannot be chosen from 50 unlabelled rows"):
        search.query(X_target, 51)
    with pytest.raises(ValueError, match="n=1 rows cannot be chosen from 0 unlabelled rows"):
        search.query(X_target, 1, y_target=np.zeros(50))
    with pytest.raises(ValueError, match="y_target has 3 labels, but X_target has 50 rows"):
        search.query(X_target, 1, y_target=[0, 1, 0])
