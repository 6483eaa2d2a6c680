"""The history, as callbacks of skorch read and replace it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skorch.callbacks import Checkpoint, LoadInitState

from skdann import DANNClassifier
from skdann._training.history import EpochHistory
from tests.training.common import SMALL, domains, fit


def test_training_continues_after_skorch_loads_a_history(tmp_path):
    X, y, targets = domains()
    kept = Checkpoint(dirname=tmp_path, monitor="train_loss_best", load_best=True)
    clf = fit(SMALL | {"callbacks": [kept]}, X, y, targets)
    clf.partial_fit(X, y, targets[0])
    assert [row["epoch"] for row in clf.history_][-1] == len(clf.net_.history)
    assert "train_loss_best" in clf.net_.history[-1]
    again = DANNClassifier(**SMALL | {"callbacks": [LoadInitState(kept)]}).fit(X, y, targets[0])
    assert len(again.net_.history) > SMALL["max_epochs"]


def test_a_loaded_history_is_used_for_the_best_epoch(tmp_path):
    X, y, targets = domains()
    fit(SMALL, X, y, targets).save(tmp_path / "model")
    clf = DANNClassifier.load(tmp_path / "model", lr=0.5, batch_size=8)
    for _ in range(9):
        clf.partial_fit(X, y, targets[0])
    losses = [row["train_loss"] for row in clf.history_]
    expected = [losses[epoch] < min(losses[:epoch]) for epoch in range(3, 12)]
    assert not expected[0]  # such steps increase the loss at first
    assert any(expected)
    assert [row["train_loss_best"] for row in clf.net_.history[3:]] == expected


def history_of(*losses):
    history = EpochHistory()
    for loss in losses:
        history.new_epoch()
        history.record_with_best("loss", loss)
    return history


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12))
def test_the_best_is_the_least_value_so_far(losses):
    history = history_of(*losses)
    assert history[:, "loss"] == losses
    before = [min(losses[:epoch], default=math.inf) for epoch in range(len(losses))]
    assert history[:, "loss_best"] == [
        loss < least for loss, least in zip(losses, before, strict=True)
    ]


def test_rows_without_the_value_are_passed_over():
    history = history_of(2.0)
    history.new_epoch()  # the value may be recorded in some epochs only
    history.new_epoch()
    history.record_with_best("loss", 3.0)
    assert not history[-1]["loss_best"]
    history.new_epoch()
    history.record_with_best("loss", 1.0)
    assert history[-1]["loss_best"]


def test_nan_is_never_the_best():
    history = history_of(math.nan, 2.0, math.nan, 3.0)
    assert history[:, "loss_best"] == [False, True, False, False]


def test_rows_are_returned_without_a_copy():
    history = history_of(3.0, 2.0, 1.0)
    assert history[1] is list.__getitem__(history, 1)
    assert history[-2:] == [history[1], history[2]]
    assert history[-2:, "loss"] == [2.0, 1.0]  # as in skorch
    with pytest.raises(IndexError):
        history[3]


def test_scalars_of_numpy_are_compared_by_value():
    assert history_of(np.float64(2.0), np.float32(1.0))[-1]["loss_best"]
