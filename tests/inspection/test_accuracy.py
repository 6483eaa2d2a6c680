"""The estimate of the accuracy: by hand, and on fitted classifiers."""

import numpy as np
import pytest
from scipy.special import expit, logit

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
