"""Early stopping: which epochs it compares, and what it restores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from skorch.callbacks import Callback
from torch import nn

from tests.training.common import SMALL, Weights, assert_weights, domains, fit, late


def test_held_out_source_rows_are_evaluated_as_source_rows():
    class Judge(Callback):
        def on_epoch_end(self, net, dataset_valid, **kwargs):
            rows, labels = dataset_valid.X, dataset_valid.y
            source = np.zeros(len(rows), dtype=np.int64)
            (logits,) = net.infer_blocks(rows, source, "labels")
            loss = nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels))
            assert net.history[-1, "valid_loss"] == pytest.approx(float(loss), rel=1e-5)

    X, y, targets = domains(n_source=80, shift=4.0)
    fit(
        {**SMALL, "normalization": "domain_batch", "early_stopping": True, "callbacks": [Judge()]},
        X,
        y,
        targets,
    )


def test_early_stopping_compares_only_epochs_near_the_final_lambda():
    # the target is shifted along the labels, so adaptation increases the source loss
    X, y, _ = domains(n_source=80)
    targets, spy = [X + np.array([3.0, 1.0, 0.0, 0.0], dtype=np.float32)], Weights()
    parameters = {
        **SMALL,
        "lambda_max": 3.0,
        "lambda_schedule": late,
        "lr": 0.02,
        "max_epochs": 20,
        "early_stopping": True,
        "patience": 30,
        "callbacks": [spy],
    }
    clf = fit(parameters, X, y, targets)
    losses = np.array([row["valid_loss"] for row in clf.history_])
    is_adapted = np.array([row["lambda"] >= 2.7 for row in clf.history_])
    assert_array_equal(is_adapted, np.arange(20) >= 10)
    best = 10 + int(np.argmin(losses[10:]))
    assert losses.argmin() < 10
    assert best < 19
    assert_weights(clf.module_, spy.epochs_[best], atol=0)


def test_early_stopping_stops_after_its_patience_and_keeps_the_best_epoch():
    X, y, _ = domains(n_source=80)
    y = np.random.default_rng(0).integers(0, 2, 80)  # nothing to learn, so the loss soon increases
    spy = Weights()
    parameters = {**SMALL, "lr": 0.02, "max_epochs": 200, "early_stopping": True, "patience": 4}
    clf = fit({**parameters, "callbacks": [spy]}, X, y, [])
    losses = [row["valid_loss"] for row in clf.history_]
    best = int(np.argmin(losses))
    assert clf.n_epochs_ == len(losses) == best + 1 + 4 < 200
    assert_weights(clf.module_, spy.epochs_[best], atol=0)


def test_patience_counts_from_the_first_comparable_epoch():
    X, y, targets = domains(n_source=80)
    y = np.random.default_rng(0).integers(0, 2, 80)
    parameters = {**SMALL, "lr": 0.02, "max_epochs": 40, "early_stopping": True, "patience": 2}
    clf = fit({**parameters, "lambda_schedule": late}, X, y, targets)
    assert 20 + 2 < clf.n_epochs_ < 40
