"""The estimate of the accuracy: by hand, and on fitted classifiers."""

import numpy as np
import pytest
from scipy.special import expit, logit

from skdann import DANNClassifier, DANNClassifierCV
from skdann.datasets import make_covariate_shift
from skdann.inspection import _accuracy as module
from skdann.inspection._accuracy import estimate_accuracy, mean_agreement, score_source

HELD_OUT = {"accuracy": 0.8, "balanced_accuracy": 0.7, "n_rows": 100.0}


def predictions_that_agree(shares, n_rows=100):
    """The first predicts class 0; each other one agrees with it on a share of the rows."""
    first = np.zeros(n_rows, dtype=int)
    others = [(np.arange(n_rows) >= share * n_rows).astype(int) for share in shares]
    return [first, *others]


def test_agreement_is_the_mean_over_all_pairs():
    # of the other two, the second differs from the third on a fifth of the rows
    assert mean_agreement(predictions_that_agree([0.9, 0.7])) == pytest.approx(
        (0.9 + 0.7 + 0.8) / 3
    )


def test_the_estimate_is_the_product_moved_in_logits():
    estimate = estimate_accuracy(predictions_that_agree([0.9]), HELD_OUT)
    low, middle, high = (expit(logit(0.8 * 0.9) + by) for by in module.LOGIT_ERROR)
    assert estimate.accuracy == pytest.approx(middle)
    assert estimate.interval == pytest.approx((low, high))
    balanced = expit(logit(0.7 * 0.9) + module.BALANCED_LOGIT_ERROR)
    assert estimate.balanced_accuracy == pytest.approx(balanced)
    assert estimate.reason == (
        "the accuracy is 0.80 on held-out source rows, and 2 models agree on 90% of the target rows"
    )
    assert 0 < low < middle < high < 1


def test_more_agreement_and_a_higher_accuracy_raise_the_estimate():
    less = estimate_accuracy(predictions_that_agree([0.7]), HELD_OUT).accuracy
    more = estimate_accuracy(predictions_that_agree([0.9]), HELD_OUT).accuracy
    best = estimate_accuracy(predictions_that_agree([0.9]), {**HELD_OUT, "accuracy": 0.95}).accuracy
    assert less < more < best


def test_without_shift_it_is_the_accuracy_on_held_out_rows():
    estimate = estimate_accuracy(predictions_that_agree([0.6]), HELD_OUT, "none")
    assert estimate[:2] == (0.8, 0.7)
    low, high = estimate.interval
    # a proportion of 80 in 100: about 1.64 * sqrt(0.8 * 0.2 / 100) to either side
    assert (low, high) == pytest.approx((0.8 - 0.066, 0.8 + 0.066), abs=0.01)
    assert "hardly differ" in estimate.reason


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_extreme_accuracies_have_an_interval_inside_zero_and_one(accuracy):
    held_out = dict.fromkeys(("accuracy", "balanced_accuracy"), accuracy) | {"n_rows": 100}
    low, high = estimate_accuracy(predictions_that_agree([1.0]), held_out).interval
    assert 0 < low < high < 1


@pytest.mark.parametrize(
    ("predictions", "held_out", "reason"),
    [
        (predictions_that_agree([0.4]), HELD_OUT, "agree on 40%"),
        (predictions_that_agree([]), HELD_OUT, "only one family"),
        (predictions_that_agree([0.9]), None, "unknown"),
        (predictions_that_agree([0.9]), {**HELD_OUT, "n_rows": 29.0}, "29 held-out source rows"),
        (predictions_that_agree([0.9], 20), HELD_OUT, "20 target rows"),
    ],
    ids=["agreement", "one", "unknown", "few source rows", "few target rows"],
)
def test_where_there_is_no_estimate_the_reason_says_why(predictions, held_out, reason):
    estimate = estimate_accuracy(predictions, held_out)
    assert estimate[:3] == (None, None, None)
    assert estimate.reason.startswith("no estimate: ")
    assert reason in estimate.reason


def test_scores_of_source_rows_by_hand():
    label, predicted = np.array([0, 0, 0, 1]), np.array([0, 0, 2, 1])
    assert score_source(label, predicted) == pytest.approx(
        {"accuracy": 0.75, "balanced_accuracy": (2 / 3 + 1) / 2, "n_rows": 4}
    )
    weighted = score_source(label, predicted, np.array([1.0, 1.0, 2.0, 4.0]))
    assert weighted == pytest.approx(
        {"accuracy": 6 / 8, "balanced_accuracy": (2 / 4 + 1) / 2, "n_rows": 4}
    )


@pytest.fixture(scope="module")
def fitted():
    X, y, X_target, _ = make_covariate_shift(200, random_state=0)
    base = DANNClassifier(max_epochs=8)
    clf = DANNClassifierCV(base, random_state=0).fit(X, y, X_target)
    return clf, X, y, X_target


class TestFitted:
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
        import skdann._cv

        clf, X, _, X_target = fitted
        monkeypatch.setattr(skdann._cv, "MOST_ROWS", 50)
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


class TestOneNetwork:
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
