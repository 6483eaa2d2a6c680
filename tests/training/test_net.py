"""The net: whole fits against plain loops, callbacks of skorch, and copies."""

from __future__ import annotations

import copy
import math
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    GradientNormClipping,
    LRScheduler,
)
from torch import nn

from skdann import DANNClassifier
from skdann._training.batches import DomainBatches
from skdann._training.net import DANNNet
from skdann._training.randomness import spawn_generators
from tests.training.common import (
    LAMBDA,
    LR,
    ONE_STEP,
    SMALL,
    Weights,
    as_variables,
    assert_weights,
    by_hand_gradients,
    domains,
    every_fit,
    fit,
    late,
    stacked,
)

# Many steps


def make_batches(clf, X, y, targets, seed=0):
    """Return the batches of a fit, rebuilt from its seed."""
    rows, _, domain = stacked(X, y, targets)
    return DomainBatches(
        rows.float().numpy(),
        y,
        domain.numpy(),
        n_domains=1 + len(targets),
        n_targets=len(targets),
        source_rows=np.arange(len(y)),
        sample_weight=None,
        class_weight=None,
        batch_size=clf.batch_size,
        generators=[spawn_generators(seed)],
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("lambda_max", "n_targets"), [(0.0, ()), (0.0, (25,)), (1.0, (25,)), (0.6, (30, 25))]
)
def test_training_equals_a_plain_loop_on_the_same_batches(lambda_max, n_targets, optimizer):
    X, y, targets = domains(n_source=47, n_targets=n_targets)
    n_epochs, spy = 4, Weights()
    parameters = {
        **ONE_STEP,
        "optimizer": optimizer,
        "lambda_max": lambda_max,
        "lambda_schedule": "dann",
        "lr": 0.02,
        "lr_schedule": "dann",
        "weight_decay": 0.01,
        "batch_size": 10,
        "max_epochs": n_epochs,
        "callbacks": [spy],
    }
    clf = fit(parameters, X, y, targets)

    w = as_variables(spy.initial_)
    plain = {
        "sgd": partial(torch.optim.SGD, momentum=0.9),
        "adam": partial(torch.optim.Adam),
    }[optimizer](list(w.values()), lr=0.02, weight_decay=0.01)
    batches, n_done, n_all = make_batches(clf, X, y, targets), 0, 5 * n_epochs
    for _ in range(n_epochs):
        for batch in batches.epoch():
            p = n_done / n_all
            plain.param_groups[0]["lr"] = 0.02 / (1 + 10 * p) ** 0.75
            lambda_ = lambda_max * (2 / (1 + math.exp(-10 * p)) - 1)
            gradients, *_ = by_hand_gradients(
                w, batch.x.double(), batch.y, batch.rows.domain, lambda_
            )
            for name, value in w.items():
                value.grad = gradients[name]
            plain.step()
            n_done += 1
    assert n_done == n_all
    assert_weights(clf.module_, w, atol=2e-5)


# Lambda 0 trains on the source only


SOURCE_ONLY_CASES = {
    "plain": {},
    "dropout": {"dropout": 0.3},
    "batch": {"normalization": "batch"},
    "layer": {"normalization": "layer"},
    "deep label predictor": {"label_predictor": (8,), "dropout": 0.2, "normalization": "batch"},
    "cdan": {"conditioning": "cdan", "dropout": 0.2},
    "alternating": {"adversarial": "alternating", "dropout": 0.2},
    "early stopping": {"early_stopping": True, "dropout": 0.2},
    "schedules": {"lr_schedule": "dann", "optimizer": "sgd", "weight_decay": 0.01},
    "custom module": {
        "feature_extractor": lambda n: nn.Sequential(nn.Linear(n, 8), nn.Dropout(0.4))
    },
}
every_case = pytest.mark.parametrize(
    "changed", SOURCE_ONLY_CASES.values(), ids=SOURCE_ONLY_CASES.keys()
)


@every_case
def test_lambda_zero_is_bit_identical_to_a_source_only_fit(changed):
    X, y, targets = domains(n_source=70, n_targets=(33, 20))
    parameters = {**SMALL, "batch_size": 16, **changed}
    alone = fit({**parameters, "lambda_max": 1.0}, X, y, [])
    beside = fit({**parameters, "lambda_max": 0.0}, X, y, targets)
    fresh = domains(n_source=50, seed=9)[0]
    assert_array_equal(beside.predict_proba(fresh), alone.predict_proba(fresh))
    assert_array_equal(beside.transform(fresh), alone.transform(fresh))
    assert [row["label_loss"] for row in beside.history_] == [
        row["label_loss"] for row in alone.history_
    ]


def test_lambda_zero_equals_a_source_only_fit_with_several_sources():
    X, y, targets = domains(n_source=70, n_targets=(33,))
    parameters, sample_domain = {**SMALL, "dropout": 0.3}, np.arange(70) % 2
    alone = fit(parameters, X, y, [], sample_domain=sample_domain)
    beside = fit({**parameters, "lambda_max": 0.0}, X, y, targets, sample_domain=sample_domain)
    assert_array_equal(beside.predict_proba(X), alone.predict_proba(X))


@every_case
def test_lambda_one_differs_from_a_source_only_fit(changed):
    X, y, targets = domains(n_source=70, n_targets=(33,))
    zero, one = (
        fit({**SMALL, **changed, "lambda_max": lambda_}, X, y, targets) for lambda_ in (0.0, 1.0)
    )
    assert np.abs(one.transform(X) - zero.transform(X)).max() > 1e-4


@pytest.mark.parametrize("adversarial", ["grl", "alternating"])
@pytest.mark.parametrize("conditioning", [None, "cdan"])
def test_the_adversary_makes_the_domains_indistinguishable(adversarial, conditioning):
    # two columns separate the domains, a third separates the classes
    X, y, (X_target,) = domains(n_source=300, n_targets=(300,), shift=1.5)
    fresh, _, (fresh_target,) = domains(n_source=300, n_targets=(300,), shift=1.5, seed=1)

    def domain_accuracy(clf):
        is_target = [clf.predict_domain_proba(rows)[:, 1] > 0.5 for rows in (fresh, fresh_target)]
        return (np.mean(~is_target[0]) + np.mean(is_target[1])) / 2

    zero, one = (
        DANNClassifier(
            feature_extractor=(16,),
            domain_classifier=(16,),
            lambda_max=lambda_,
            adversarial=adversarial,
            conditioning=conditioning,
            lr=5e-3,
            max_epochs=30,
            random_state=0,
        ).fit(X, y, X_target)
        for lambda_ in (0.0, 1.0)
    )
    # the best possible accuracy is Phi(1.5 / sqrt(2)) = 0.856 for a shift of 1.5 in two columns
    assert domain_accuracy(zero) > 0.8
    assert domain_accuracy(one) < domain_accuracy(zero) - 0.1
    assert zero.history_[-1]["domain_accuracy"] > one.history_[-1]["domain_accuracy"] + 0.1
    assert one.score(fresh, domains(n_source=300, seed=1)[1]) > 0.85


def test_the_domain_classifier_learns_at_lambda_zero():
    X, y, (X_target,) = domains(n_source=300, n_targets=(300,), shift=5.0)
    fresh, _, (fresh_target,) = domains(n_source=300, n_targets=(300,), shift=5.0, seed=1)
    parameters = {**SMALL, "feature_extractor": (32,), "max_epochs": 30, "lr": 0.01}
    clf = DANNClassifier(**{**parameters, "lambda_max": 0.0}).fit(X, y, X_target)
    assert (clf.predict_domain_proba(fresh)[:, 0] > 0.5).mean() > 0.9
    assert (clf.predict_domain_proba(fresh_target)[:, 1] > 0.5).mean() > 0.9
    assert clf.history_[-1]["domain_loss"] < 0.5 * clf.history_[0]["domain_loss"]


# Separate statistics of each domain


def test_equal_domains_have_equal_predictions_with_separate_statistics():
    # the target equals the source, so the domain of a row should hardly matter
    X, y, _ = domains(n_source=200)
    clf = DANNClassifier(
        **{**SMALL, "max_epochs": 20, "lambda_max": 0.1},
        label_predictor=(8,),
        normalization="domain_batch",
        lr=5e-3,
    ).fit(X, y, X.copy())
    assert clf.score(X, y) > 0.9
    difference = clf.predict_proba(X) - clf.predict_proba(X, sample_domain=0)
    assert np.abs(difference).max() < 0.15
    for network in (clf.module_.feature_extractor, clf.module_.label_predictor):
        # no domain, including the target, still has its initial statistics
        assert (network[1].running_mean != 0).any(-1).all()
        assert (network[1].running_var != 1).any(-1).all()


# Callbacks


class Listener(Callback):
    """Callback that records every batch notification."""

    def __init__(self):
        self.begun, self.ended, self.rows = [], [], []

    def on_batch_begin(self, net, batch, training, **kwargs):
        assert training
        self.begun.append(batch)

    def on_batch_end(self, net, batch, training, loss, y_pred, **kwargs):
        assert training
        self.ended.append(float(loss))
        self.rows.append((batch[0].shape, batch[1].shape, y_pred.shape))


def test_a_listener_is_notified_of_every_step_with_its_loss():
    X, y, targets = domains(n_source=40)
    listener = Listener()
    clf = fit({**SMALL, "batch_size": 10, "callbacks": [listener]}, X, y, targets)
    assert len(listener.begun) == len(listener.ended) == 3 * 4
    assert listener.rows == [((20, 4), (10,), (10, 2))] * 12
    for epoch, row in enumerate(clf.history_):
        steps = listener.ended[4 * epoch : 4 * epoch + 4]
        assert np.mean(steps) == pytest.approx(row["train_loss"], rel=1e-5)
        recorded = [batch["train_loss"] for batch in clf.net_.history[epoch]["batches"]]
        assert_allclose(recorded, steps, rtol=1e-6)


@pytest.mark.parametrize("hears", ["on_batch_begin", "on_batch_end", "on_grad_computed"])
def test_a_callback_may_implement_a_single_hook(hears):
    class One(Callback):
        count = 0

    def heard(self, net, **kwargs):
        self.count += 1

    setattr(One, hears, heard)
    X, y, targets = domains(n_source=40)
    one = One()
    fit({**SMALL, "batch_size": 10, "callbacks": [one]}, X, y, targets)
    assert one.count == 12


def test_listening_changes_no_bit():
    X, y, targets = domains(n_source=40)
    silent, heard = (
        fit({**SMALL, "dropout": 0.2, "callbacks": callbacks}, X, y, targets)
        for callbacks in (None, [Listener()])
    )
    assert_array_equal(silent.predict_proba(X), heard.predict_proba(X))


def test_gradients_are_passed_to_callbacks_before_the_step():
    class Gradients(Callback):
        def on_grad_computed(self, net, named_parameters, batch, training, **kwargs):
            self.seen_ = {name: value.grad.clone() for name, value in named_parameters}

    X, y, targets = domains()
    spy, gradients = Weights(), Gradients()
    fit({**ONE_STEP, "callbacks": [spy, gradients]}, X, y, targets)
    expected, *_ = by_hand_gradients(as_variables(spy.initial_), *stacked(X, y, targets), LAMBDA)
    assert {name.removeprefix("module_.") for name in gradients.seen_} >= set(expected)
    for name, value in gradients.seen_.items():
        assert_allclose(value.numpy(), expected[name].numpy(), rtol=0, atol=3e-7)


@pytest.mark.parametrize("adversarial", ["grl", "alternating"])
def test_gradient_clipping_of_skorch_works(adversarial):
    X, y, targets = domains()
    spy, clip = Weights(), GradientNormClipping(gradient_clip_value=1e-2)
    changed = {"adversarial": adversarial, "callbacks": [spy, clip]}
    clf = fit({**ONE_STEP, **changed}, X, y, targets)
    moves = {
        name: (value - spy.initial_[name]).double()
        for name, value in clf.module_.state_dict().items()
        if adversarial == "grl" or not name.startswith("domain_classifier")
    }
    norm = math.sqrt(sum(float(move.square().sum()) for move in moves.values()))
    assert norm == pytest.approx(LR * 1e-2, rel=1e-3)


def test_no_batch_notifications_without_listeners(monkeypatch):
    names = []
    notify = DANNNet.notify
    monkeypatch.setattr(
        DANNNet, "notify", lambda self, name, **kw: names.append(name) or notify(self, name, **kw)
    )
    X, y, targets = domains()
    clf = fit({**SMALL, "callbacks": [Weights()]}, X, y, targets)
    assert names == ["on_train_begin", *["on_epoch_begin", "on_epoch_end"] * 3, "on_train_end"]
    # at most one row per epoch, which Checkpoint uses in its file names
    assert all(len(row["batches"]) <= 1 for row in clf.net_.history)


def test_checkpoints_keep_the_best_epoch(tmp_path):
    X, y, targets = domains(n_source=60, shift=5.0)
    spy = Weights()
    checkpoint = Checkpoint(dirname=str(tmp_path), monitor="train_loss_best", load_best=True)
    # the domain loss decreases until adaptation starts halfway
    parameters = {**SMALL, "lambda_max": 5.0, "lambda_schedule": late, "lr": 0.02}
    parameters |= {"max_epochs": 12, "batch_size": 10}
    clf = fit({**parameters, "callbacks": [spy, checkpoint]}, X, y, targets)
    assert {path.name for path in tmp_path.iterdir()} >= {
        "params.pt",
        "optimizer.pt",
        "history.json",
    }
    losses = [row["train_loss"] for row in clf.history_]
    best = int(np.argmin(losses))
    assert best < 11  # otherwise the best epoch is the last one, and the test shows nothing
    assert_weights(clf.module_, spy.epochs_[best], atol=0)
    assert_weights_file(tmp_path / "params.pt", spy.epochs_[best])


def assert_weights_file(path, expected):
    actual = torch.load(path, weights_only=True)
    for name, value in expected.items():
        assert_array_equal(actual[name].numpy(), value.numpy())


def test_checkpoints_watch_the_held_out_loss(tmp_path):
    X, y, targets = domains(n_source=60)
    checkpoint = Checkpoint(dirname=str(tmp_path))  # monitors "valid_loss_best"
    fit({**SMALL, "early_stopping": True, "callbacks": [checkpoint]}, X, y, targets)
    assert (tmp_path / "params.pt").exists()


@pytest.mark.parametrize(("step_every", "n_steps"), [("batch", 12), ("epoch", 3)])
def test_a_learning_rate_scheduler_of_skorch_works(step_every, n_steps):
    X, y, targets = domains(n_source=40)
    scheduler = LRScheduler("StepLR", step_size=1, gamma=0.5, step_every=step_every)
    clf = fit(
        {**SMALL, "batch_size": 10, "lr": 0.08, "optimizer": "sgd", "callbacks": [scheduler]},
        X,
        y,
        targets,
    )
    assert clf.net_.optimizer_.param_groups[0]["lr"] == pytest.approx(0.08 * 0.5**n_steps)


def test_early_stopping_of_skorch_works():
    X, y, targets = domains()
    stopping = EarlyStopping(
        monitor="label_loss", patience=2, threshold=0.9, sink=lambda text: None
    )
    clf = fit({**SMALL, "max_epochs": 10, "callbacks": [stopping]}, X, y, targets)
    # no epoch improves by nine tenths: the first is the best, and patience is two epochs
    assert clf.n_epochs_ == len(clf.history_) == 3


@pytest.mark.parametrize("use_caching", [False, True])
def test_skorch_scoring_gets_the_held_out_rows(use_caching):
    def accuracy(net, X, y):
        return (net.predict_proba(X).argmax(1) == y).mean()

    X, y, targets = domains(n_source=80)
    scoring = EpochScoring(accuracy, name="own_accuracy", use_caching=use_caching)
    clf = fit({**SMALL, "early_stopping": True, "callbacks": [scoring]}, X, y, targets)
    for row in clf.history_:
        assert row["own_accuracy"] == pytest.approx(row["valid_accuracy"])


# Copies and continued training


@every_fit
@pytest.mark.parametrize("again", [copy.deepcopy, lambda clf: pickle.loads(pickle.dumps(clf))])
def test_copies_predict_and_continue_identically(changed, again):
    X, y, targets = domains()
    clf = fit({**SMALL, **changed, "warm_start": True}, X, y, targets)
    copied = again(clf)
    assert_array_equal(copied.predict_proba(X), clf.predict_proba(X))
    for one in (clf, copied):
        one.partial_fit(X, y, tuple(targets))
        one.fit(X, y, tuple(targets))
    assert_array_equal(copied.predict_proba(X), clf.predict_proba(X))
    assert [row["label_loss"] for row in copied.history_] == [
        row["label_loss"] for row in clf.history_
    ]


def test_a_copy_is_independent():
    X, y, targets = domains()
    clf = fit(SMALL, X, y, targets)
    before, copied = clf.predict_proba(X), copy.deepcopy(clf)
    copied.partial_fit(X, y, tuple(targets))
    assert_array_equal(clf.predict_proba(X), before)
    assert not np.array_equal(copied.predict_proba(X), before)


class Keeping(nn.Module):
    """Linear layer that keeps the rows it was trained on, as a memory bank does."""

    def __init__(self):
        super().__init__()
        self.linear, self.kept = nn.Linear(4, 8), []

    def forward(self, x):
        self.kept.append((x.detach(), x.detach().clone()) if self.training else None)
        return self.linear(x)


def test_a_module_may_keep_the_rows_of_earlier_batches(monkeypatch):
    monkeypatch.setattr("skdann._training.batches.BLOCK_BYTES", 1)  # a block for each step
    X, y, targets = domains(n_source=40)
    clf = fit({**SMALL, "feature_extractor": Keeping(), "standardize": None}, X, y, targets)
    kept = [pair for pair in clf.module_.feature_extractor.kept if pair is not None]
    assert len(kept) > 2
    for rows, copied in kept:
        assert_array_equal(rows, copied)
