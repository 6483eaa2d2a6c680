"""The net as skorch's callbacks see it."""

from __future__ import annotations

import numpy as np
import pytest
from skorch.callbacks import Callback, EpochScoring

from skdann._training.interface import SourceRows


def test_scores_of_training_and_held_out_rows_are_recorded(make_clf, domains):
    names = {"train_accuracy": True, "held_out_accuracy": False}
    callbacks = [
        EpochScoring("accuracy", name=name, lower_is_better=False, on_train=on_train)
        for name, on_train in names.items()
    ]
    clf = make_clf(callbacks=callbacks, early_stopping=True, max_epochs=3)
    clf.fit(*domains[:3])
    for row in clf.history_:
        assert all(0 <= row[name] <= 1 for name in names)
        assert row["held_out_accuracy"] == pytest.approx(row["valid_accuracy"])


def test_the_net_predicts_class_indices(make_clf, domains):
    labels = np.array(["no", "yes"])[domains.y_source]
    net = make_clf().fit(domains.X_source, labels, domains.X_target).net_
    X = domains.X_target.astype(np.float32)
    assert set(net.predict(X)) <= {0, 1}
    assert net.classes_.tolist() == [0, 1]
    np.testing.assert_array_equal(net.predict(X), net.predict_proba(X).argmax(1))


def test_a_callback_cannot_rebuild_the_networks(make_clf, domains):
    class Rebuild(Callback):
        def on_train_begin(self, net, **kwargs):
            net.set_params(module__n_features=3)

    with pytest.raises(ValueError, match=r"callback sets module__n_features.*already"):
        make_clf(callbacks=[Rebuild()]).fit(*domains[:3])


def test_listeners_are_those_that_implement_a_hook(make_clf, domains):
    class Listener(Callback):
        def on_batch_end(self, net, **kwargs):
            pass

    net = make_clf(callbacks=[Listener()]).fit(*domains[:3]).net_
    assert net.has_listener("on_batch_begin", "on_batch_end")
    assert not net.has_listener("on_grad_computed")


def test_source_rows_keep_their_domains():
    class Data:
        X, y, domain = np.eye(4), np.arange(4), np.array([0, 0, 1, 2])

    rows = SourceRows.of(Data, np.array([1, 2]))
    assert rows.domain.tolist() == [0, 1]
    assert rows.dataset.y.tolist() == [1, 2]
