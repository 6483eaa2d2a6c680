"""The history, as callbacks of skorch read and replace it."""

from __future__ import annotations

from skorch.callbacks import (
    Checkpoint,
    LoadInitState,
)

from skdann import DANNClassifier
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
