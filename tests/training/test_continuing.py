"""Continued fits: schedules, and parameters that may or may not change."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skdann import DANNClassifier
from tests.training.common import SMALL, domains, fit


def test_continuing_epoch_by_epoch_follows_the_schedules_of_one_fit():
    X, y, targets = domains()
    parameters = {**SMALL, "max_epochs": 4, "lr_schedule": "cosine", "batch_size": 10}
    whole = fit(parameters, X, y, targets)
    clf = DANNClassifier(**parameters)
    for _ in range(6):
        clf.partial_fit(X, y, tuple(targets), classes=[0, 1])
    for actual, expected in zip(clf.history_, whole.history_, strict=False):
        assert actual["lambda"] == expected["lambda"]
        assert actual["lr"] == expected["lr"]
    assert clf.history_[-1]["lambda"] == pytest.approx(1.0, abs=1e-3)
    assert clf.history_[-1]["lr"] == pytest.approx(0.0, abs=1e-12)


def test_a_fit_of_one_epoch_equals_the_first_partial_fit():
    X, y, targets = domains()
    parameters = {**SMALL, "max_epochs": 1, "dropout": 0.2}
    whole = fit(parameters, X, y, targets)
    part = DANNClassifier(**parameters).partial_fit(X, y, tuple(targets), classes=[0, 1])
    assert_array_equal(part.predict_proba(X), whole.predict_proba(X))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_continuing_uses_changed_hyperparameters(method):
    X, y, targets = domains()
    clf = fit({**SMALL, "warm_start": True, "lr_schedule": "cosine"}, X, y, targets)
    before = clf.transform(X)
    clf.set_params(lr=0.2, lr_schedule="constant", lambda_max=0.25, lambda_schedule="constant")
    getattr(clf, method)(X, y, tuple(targets))
    assert clf.history_[-1]["lambda"] == 0.25
    assert clf.history_[-1]["lr"] == 0.2
    assert np.abs(clf.transform(X) - before).max() > 0.1
