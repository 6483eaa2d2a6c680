"""Losses recorded in each epoch."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

from tests.training.common import ONE_STEP, SMALL, Weights, domains, fit


def test_the_history_has_a_row_per_epoch():
    X, y, targets = domains(n_source=64)
    parameters = {
        **SMALL,
        "batch_size": 16,
        "max_epochs": 5,
        "lambda_max": 0.6,
        "lr_schedule": "cosine",
    }
    clf = fit({**parameters, "early_stopping": True, "validation_fraction": 0.25}, X, y, targets)
    assert [row["epoch"] for row in clf.history_] == [1, 2, 3, 4, 5]
    for epoch, row in enumerate(clf.history_):
        assert {
            "train_loss",
            "label_loss",
            "domain_loss",
            "domain_accuracy",
            "lambda",
            "lr",
        } <= set(row)
        assert {"dur", "valid_loss", "valid_accuracy"} <= set(row)
        assert "batches" not in row
        # three steps of 16 of 48 rows per epoch; the figures of the last one are recorded
        p = (3 * epoch + 2) / 15
        assert row["lambda"] == pytest.approx(0.6 * (2 / (1 + math.exp(-10 * p)) - 1))
        assert row["lr"] == pytest.approx(1e-3 * (1 + math.cos(math.pi * p)) / 2)
        assert row["dur"] > 0
        assert 0 <= row["domain_accuracy"] <= 1
        assert 0 <= row["valid_accuracy"] <= 1
        assert row["train_loss"] == pytest.approx(row["label_loss"] + row["domain_loss"])
    assert clf.history_[0]["domain_loss"] == pytest.approx(2 * math.log(2), rel=0.2)
    assert clf.history_[0]["label_loss"] == pytest.approx(math.log(2), rel=0.3)


def test_recorded_domain_accuracy_is_the_share_of_correct_rows():
    X, y, targets = domains()
    spy = Weights()
    clf = fit({**ONE_STEP, "callbacks": [spy]}, X, y, targets)
    before = copy.deepcopy(clf)
    before.module_.load_state_dict(spy.initial_)
    before.net_.module_.load_state_dict(spy.initial_)
    right = [before.predict_domain_proba(rows)[:, d] > 0.5 for d, rows in enumerate([X, *targets])]
    assert clf.history_[0]["domain_accuracy"] == pytest.approx(np.mean(right))


def test_without_target_the_history_has_no_domain_figures():
    X, y, _ = domains()
    row = fit(SMALL, X, y, []).history_[-1]
    assert {"domain_loss", "domain_accuracy"}.isdisjoint(row)
    assert row["train_loss"] == row["label_loss"]
    assert row["lambda"] == 0.0
