"""Tests of training, against steps and losses computed in plain torch."""

from __future__ import annotations

import contextlib
import copy
import math
import pickle
import random
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
    LoadInitState,
    LRScheduler,
)
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from skdann import DANNClassifier, SourceOnlyWarning
from skdann._training.batches import DomainBatches
from skdann._training.net import DANNNet
from skdann._training.randomness import spawn_generators

LR, LAMBDA = 0.5, 0.7

# one step of plain gradient descent on all rows
ONE_STEP = {
    "feature_extractor": (6,),
    "label_predictor": (),
    "domain_classifier": (5,),
    "activation": "tanh",
    "optimizer": torch.optim.SGD,
    "lr": LR,
    "lambda_max": LAMBDA,
    "lambda_schedule": "constant",
    "dropout": 0.0,
    "batch_size": 1000,
    "max_epochs": 1,
    "random_state": 0,
}
SMALL = {
    "feature_extractor": (12, 8),
    "domain_classifier": (8,),
    "dropout": 0.0,
    "lambda_max": 1.0,
    "max_epochs": 3,
    "random_state": 0,
}


def domains(n_source=40, n_targets=(40,), n_classes=2, shift=1.5, seed=0):
    """Draw source rows with labels, and target rows that are shifted."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_source, 4)).astype(np.float32)
    y = np.digitize(X[:, 0] + 0.3 * X[:, 1], np.linspace(-0.7, 0.7, n_classes + 1)[1:-1])
    targets = [
        (rng.normal(size=(n, 4)) + shift * (i + 1) * np.array([0, 1, 1, 0])).astype(np.float32)
        for i, n in enumerate(n_targets)
    ]
    return X, y, targets


def fit(parameters, X, y, targets, **fit_parameters):
    """Fit on the source and a tuple of targets; an empty tuple is expected to warn."""
    clf = DANNClassifier(**parameters)
    if targets:
        return clf.fit(X, y, tuple(targets), **fit_parameters)
    with pytest.warns(SourceOnlyWarning):
        return clf.fit(X, y, **fit_parameters)


def late(progress):
    """Schedule that starts adaptation in the second half of training."""
    return 1.0 if progress >= 0.5 else 0.0


class Weights(Callback):
    """Callback that copies the weights at the start and after each epoch."""

    def on_train_begin(self, net, **kwargs):
        self.initial_ = copy.deepcopy(net.module_.state_dict())
        self.epochs_ = []

    def on_epoch_end(self, net, **kwargs):
        self.epochs_.append(copy.deepcopy(net.module_.state_dict()))


# The equations of Ganin et al. in plain torch


def by_hand_features(w, x):
    return torch.tanh(x @ w["feature_extractor.0.weight"][0] + w["feature_extractor.0.bias"][0])


def by_hand_label_loss(w, features, y, smoothing=0.0):
    logits = features @ w["label_predictor.0.weight"][0] + w["label_predictor.0.bias"][0]
    log_p = logits - torch.logsumexp(logits, 1, keepdim=True)
    hit = log_p[torch.arange(len(y)), y]
    return -((1 - smoothing) * hit + smoothing * log_p.mean(1)).mean()


def by_hand_domain_loss(w, features, domain, n_domains, smoothing=0.0):
    """Return 2 / n_domains times the sum of the mean cross-entropies of the domains."""
    hidden = torch.tanh(
        features @ w["domain_classifier.0.weight"][0] + w["domain_classifier.0.bias"][0]
    )
    logits = hidden @ w["domain_classifier.2.weight"][0] + w["domain_classifier.2.bias"][0]
    if logits.shape[1] == 1:  # the logistic loss is that of two logits (0, z)
        logits = torch.cat([torch.zeros_like(logits), logits], 1)
    log_p = logits - torch.logsumexp(logits, 1, keepdim=True)
    hit = log_p[torch.arange(len(domain)), domain]
    losses = -((1 - smoothing) * hit + smoothing * log_p.mean(1))
    return 2 / n_domains * sum(losses[domain == d].mean() for d in range(n_domains))


def as_variables(state):
    return {name: value.double().clone().requires_grad_() for name, value in state.items()}


def part(w, network):
    return [value for name, value in w.items() if name.startswith(network)]


def by_hand_gradients(w, x, y, domain, lambda_, weight=1.0, smoothing=0.0, domain_smoothing=0.0):
    """Return dLy - lambda dLd for G_f, dLy for G_y and dLd for G_d."""
    n_domains = int(domain.max()) + 1
    f, c, d = (
        part(w, name) for name in ("feature_extractor", "label_predictor", "domain_classifier")
    )
    features = by_hand_features(w, x)
    label_loss = by_hand_label_loss(w, features[: len(y)], y, smoothing)
    label = torch.autograd.grad(label_loss, f + c, retain_graph=True)
    if not d:
        return dict(zip(w, label, strict=True)), label_loss.item(), None
    domain_loss = by_hand_domain_loss(w, features, domain, n_domains, domain_smoothing)
    other = torch.autograd.grad(domain_loss, f + d)
    n = len(f)
    gradients = [a - lambda_ * weight * b for a, b in zip(label[:n], other[:n], strict=True)]
    gradients += [*label[n:], *(weight * b for b in other[n:])]
    return dict(zip(w, gradients, strict=True)), label_loss.item(), domain_loss.item()


def stacked(X, y, targets):
    x = torch.from_numpy(np.concatenate([X, *targets])).double()
    lengths = [len(X), *map(len, targets)]
    return (
        x,
        torch.from_numpy(y),
        torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths)),
    )


def assert_weights(module, expected, atol=3e-7):
    actual = module.state_dict()
    assert set(actual) == set(expected)
    for name, value in expected.items():
        assert_allclose(
            actual[name].numpy(), value.detach().numpy(), rtol=0, atol=atol, err_msg=name
        )


# One step

STEPS = {
    "two domains": ({}, (40,), {}),
    "three domains": ({}, (20, 20), {}),
    "four domains": ({}, (14, 13, 13), {}),
    "half the domain loss": ({"domain_loss_weight": 0.5}, (40,), {"weight": 0.5}),
    "label smoothing": ({"label_smoothing": 0.2}, (40,), {"smoothing": 0.2}),
    "domain label smoothing": ({"domain_label_smoothing": 0.3}, (40,), {"domain_smoothing": 0.3}),
    "smoothed three": ({"domain_label_smoothing": 0.3}, (20, 20), {"domain_smoothing": 0.3}),
    "lambda 0": ({"lambda_max": 0.0}, (40,), {"lambda_": 0.0}),
    "lambda 3": ({"lambda_max": 3.0}, (40,), {"lambda_": 3.0}),
}


@pytest.mark.parametrize(("changed", "n_targets", "by_hand"), STEPS.values(), ids=STEPS.keys())
def test_the_first_step_follows_the_equations(changed, n_targets, by_hand):
    X, y, targets = domains(n_targets=n_targets, n_classes=3)
    spy = Weights()
    clf = fit({**ONE_STEP, **changed, "callbacks": [spy]}, X, y, targets)
    w = as_variables(spy.initial_)
    gradients, label_loss, domain_loss = by_hand_gradients(
        w, *stacked(X, y, targets), **{"lambda_": LAMBDA, **by_hand}
    )
    # every network has non-zero gradients, so equality is informative
    assert all(gradient.abs().max() > 1e-3 for gradient in gradients.values())
    assert_weights(clf.module_, {name: w[name] - LR * gradients[name] for name in w})
    (row,) = clf.history_
    assert row["label_loss"] == pytest.approx(label_loss, rel=1e-5)
    assert row["domain_loss"] == pytest.approx(domain_loss, rel=1e-5)
    weight = by_hand.get("weight", 1.0)
    assert row["train_loss"] == pytest.approx(label_loss + weight * domain_loss, rel=1e-5)


def test_the_first_step_without_target_follows_the_label_loss():
    X, y, _ = domains()
    spy = Weights()
    clf = fit({**ONE_STEP, "callbacks": [spy]}, X, y, [])
    w = as_variables(spy.initial_)
    gradients, _, _ = by_hand_gradients(w, *stacked(X, y, []), LAMBDA)
    assert_weights(clf.module_, {name: w[name] - LR * gradients[name] for name in w})


class TwoLogits(nn.Module):
    """Custom domain classifier with one logit for each of two domains."""

    def __init__(self, n_in, n_out=2):
        super().__init__()
        self.one, self.two = nn.Linear(n_in, 5), nn.Linear(5, 2)

    def forward(self, x):
        return self.two(self.one(x).tanh())


def test_two_logits_for_two_domains_use_softmax():
    X, y, targets = domains()
    spy = Weights()
    clf = fit(
        {
            **ONE_STEP,
            "domain_classifier": TwoLogits,
            "domain_label_smoothing": 0.1,
            "callbacks": [spy],
        },
        X,
        y,
        targets,
    )
    names = {
        f"domain_classifier.{name}.{kind}": f"domain_classifier.{index}.{kind}"
        for name, index in (("one", 0), ("two", 2))
        for kind in ("weight", "bias")
    }

    def translated(state):
        # a torch layer keeps its weights transposed
        return {
            names.get(k, k): v.T[None]
            if k in names and v.dim() == 2
            else v[None]
            if k in names
            else v
            for k, v in state.items()
        }

    w = as_variables(translated(spy.initial_))
    gradients, *_ = by_hand_gradients(w, *stacked(X, y, targets), LAMBDA, domain_smoothing=0.1)
    actual = translated(clf.module_.state_dict())
    for name in w:
        expected = w[name] - LR * gradients[name]
        assert_allclose(actual[name].numpy(), expected.detach().numpy(), rtol=0, atol=3e-7)


@pytest.mark.parametrize("domain_steps", [1, 3])
def test_alternating_updates_the_domain_classifier_first(domain_steps):
    X, y, targets = domains()
    spy = Weights()
    changed = {
        "adversarial": "alternating",
        "domain_steps": domain_steps,
        "domain_loss_weight": 0.8,
    }
    clf = fit({**ONE_STEP, **changed, "callbacks": [spy]}, X, y, targets)
    w, rows = as_variables(spy.initial_), stacked(X, y, targets)

    def moved(w, gradients, *networks):
        return {
            name: (w[name] - LR * gradients[name] if name.startswith(networks) else w[name])
            .detach()
            .requires_grad_()
            for name in w
        }

    for _ in range(domain_steps):
        gradients, *_ = by_hand_gradients(w, *rows, LAMBDA, weight=0.8)
        w = moved(w, gradients, "domain_classifier")
    gradients, *_ = by_hand_gradients(w, *rows, LAMBDA, weight=0.8)
    w = moved(w, gradients, "feature_extractor", "label_predictor")
    assert_weights(clf.module_, w)


def test_sample_and_class_weights_apply_to_the_losses_of_a_step():
    X, y, targets = domains()
    spy = Weights()
    weight = np.random.default_rng(1).uniform(0.2, 3.0, len(X))
    clf = DANNClassifier(**ONE_STEP, class_weight={0: 2.0, 1: 0.5}, callbacks=[spy])
    clf.fit(X, y, targets[0], sample_weight=weight)
    w = as_variables(spy.initial_)
    x, labels, _ = stacked(X, y, targets)
    mean_one = torch.from_numpy(weight / weight.mean())
    f = by_hand_features(w, x)
    by_row = torch.stack(
        [by_hand_label_loss(w, f[i : i + 1], labels[i : i + 1]) for i in range(40)]
    )
    label_loss = (by_row * mean_one * torch.tensor([2.0, 0.5])[labels]).mean()
    zero = torch.zeros(1, dtype=torch.long)
    source = torch.stack([by_hand_domain_loss(w, f[i : i + 1], zero, 1) / 2 for i in range(40)])
    target = [
        by_hand_domain_loss(w, f[[0, i]], torch.tensor([0, 1]), 2) - source[0]
        for i in range(40, 80)
    ]
    domain_loss = (source * mean_one).mean() + torch.stack(target).mean()
    (row,) = clf.history_
    assert row["label_loss"] == pytest.approx(label_loss.item(), rel=1e-5)
    assert row["domain_loss"] == pytest.approx(domain_loss.item(), rel=1e-5)
    expected = {}
    for name in w:
        (label,) = torch.autograd.grad(label_loss, w[name], retain_graph=True, allow_unused=True)
        (other,) = torch.autograd.grad(domain_loss, w[name], retain_graph=True, allow_unused=True)
        label, other = (torch.zeros_like(w[name]) if g is None else g for g in (label, other))
        sign = -LAMBDA if name.startswith("feature_extractor") else 1.0
        expected[name] = w[name] - LR * (label + sign * other)
    assert_weights(clf.module_, expected)


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


class HostReads(TorchDispatchMode):
    """Counts the values that the host reads from tensors; each read synchronizes."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += "_local_scalar_dense" in str(function)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"optimizer": "adamw", "lr_schedule": "dann"},
        {"optimizer": "sgd"},
        {"lambda_max": 0.0},
        {"adversarial": "alternating"},
        {"conditioning": "cdan", "dropout": 0.2, "normalization": "batch"},
    ],
)
def test_steps_do_not_synchronize_with_the_device(changed):
    X, y, targets = domains(n_source=96, n_targets=(50, 40))
    counts = []
    for batch_size in (96, 3):
        with HostReads() as reads:
            fit({**SMALL, **changed, "batch_size": batch_size, "max_epochs": 1}, X, y, targets)
        counts.append(reads.count)
    assert counts[0] > 0
    assert counts[1] == counts[0]


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


# History


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


def test_a_domain_loss_weight_of_zero_equals_a_source_only_fit():
    X, y, targets = domains()
    spy = Weights()
    clf = fit({**ONE_STEP, "domain_loss_weight": 0.0, "callbacks": [spy]}, X, y, targets)
    w = as_variables(spy.initial_)
    gradients, *_ = by_hand_gradients(w, *stacked(X, y, targets), LAMBDA, weight=0.0)
    assert_weights(clf.module_, {name: w[name] - LR * gradients[name] for name in w})
    assert_array_equal(
        clf.module_.domain_classifier[0].weight.detach(),
        spy.initial_["domain_classifier.0.weight"],
    )


# Early stopping


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


# Interrupts and divergence


class Interrupt(Callback):
    """Callback that raises KeyboardInterrupt in the given epoch and step."""

    def __init__(self, epoch, step=2):
        self.epoch, self.step = epoch, step

    def on_epoch_begin(self, net, **kwargs):
        self.n_steps_ = 0

    def on_batch_end(self, net, **kwargs):
        self.n_steps_ += 1
        if len(net.history) == self.epoch and self.n_steps_ == self.step:
            raise KeyboardInterrupt


def test_an_interrupt_keeps_the_complete_epochs():
    X, y, targets = domains(n_source=40)
    parameters = {**SMALL, "batch_size": 10, "max_epochs": 6}
    whole = fit(parameters, X, y, targets)
    with pytest.warns(UserWarning, match="keeps its last complete epoch, 2 of 6"):
        clf = fit({**parameters, "callbacks": [Interrupt(epoch=3)]}, X, y, targets)
    assert clf.n_epochs_ == len(clf.history_) == len(clf.net_.history) == 2
    for actual, expected in zip(clf.history_, whole.history_, strict=False):
        assert actual["label_loss"] == expected["label_loss"]
    assert clf.predict(X).shape == y.shape
    assert not clf.module_.training
    assert_array_equal(clf.predict_proba(X), clf.predict_proba(X))
    # and training can continue
    clf.set_params(callbacks=None).partial_fit(X, y, tuple(targets))
    assert clf.n_epochs_ == 3


@pytest.mark.parametrize("changed", [{}, {"early_stopping": True}, {"verbose": 1}])
def test_an_interrupt_of_the_first_epoch_leaves_nothing_fitted(changed):
    X, y, targets = domains()
    clf = DANNClassifier(**{**SMALL, **changed, "callbacks": [Interrupt(epoch=1, step=1)]})
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, y, tuple(targets))
    assert set(vars(clf)) == set(clf.get_params())


def test_an_interrupted_warm_start_keeps_the_earlier_fit():
    X, y, targets = domains()
    clf = fit({**SMALL, "warm_start": True}, X, y, targets)
    before = clf.predict_proba(X)
    clf.set_params(callbacks=[Interrupt(epoch=SMALL["max_epochs"] + 1, step=1)])
    with pytest.raises(KeyboardInterrupt):
        clf.fit(X, y, tuple(targets))
    assert_array_equal(clf.predict_proba(X), before)
    clf.callbacks[0].epoch += 1  # after a complete epoch
    with pytest.warns(UserWarning, match="keeps its last complete epoch, 1 of"):
        clf.fit(X, y, tuple(targets))
    assert clf.n_epochs_ == SMALL["max_epochs"] + 1


@pytest.mark.parametrize("changed", [{}, {"optimizer": "adam"}, {"adversarial": "alternating"}])
def test_a_diverging_fit_raises_and_leaves_the_estimator_unfitted(changed):
    X, y, targets = domains()
    broken = {**SMALL, "optimizer": "sgd", "lr": 1e20, "batch_size": 8, **changed}
    clf = DANNClassifier(**broken)
    with pytest.raises(ValueError, match=r"epoch 1\b.*diverged.*lower lr"):
        clf.fit(X, y, targets[0])
    assert set(vars(clf)) == set(clf.get_params())


@pytest.mark.parametrize("warm_start", [False, True])
def test_a_fit_that_diverges_late_names_the_epoch_and_keeps_the_previous_fit(warm_start):
    class Explosion(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == net.history_before_ + 3:
                with torch.no_grad():
                    net.module_.label_predictor[0].weight.fill_(math.nan)

        def on_train_begin(self, net, **kwargs):
            net.history_before_ = len(net.history)

    X, y, targets = domains()
    clf = fit({**SMALL, "warm_start": warm_start}, X, y, targets)
    before, probabilities = dict(vars(clf)), clf.predict_proba(X)
    state = copy.deepcopy(clf.net_.module_.state_dict())
    clf.set_params(callbacks=[Explosion()], max_epochs=5)
    epoch = 6 if warm_start else 3
    with pytest.raises(ValueError, match=rf"epoch {epoch}\b"):
        clf.fit(X, y, targets[0])
    clf.set_params(callbacks=None, max_epochs=3)
    assert vars(clf).keys() == before.keys()
    assert all(vars(clf)[name] is before[name] for name in before if name.endswith("_"))
    assert_weights(clf.module_, state, atol=0)
    assert_array_equal(clf.predict_proba(X), probabilities)
    assert len(clf.net_.history) == len(clf.history_) == 3


def test_weights_that_overflow_in_the_last_step_raise():
    # a single step, so the recorded loss was finite
    X, y, targets = domains()
    with pytest.raises(ValueError, match=r"epoch 1\b.*diverged"):
        fit(
            {**ONE_STEP, "activation": "relu", "lr": 3e38},
            1e4 * X,
            y,
            [1e4 * rows for rows in targets],
        )


# Randomness


def random_states():
    name, keys, *rest = np.random.get_state()
    return [torch.get_rng_state().tolist(), random.getstate(), name, keys.tolist(), rest]


@contextlib.contextmanager
def no_trace():
    before = random_states()
    yield
    assert random_states() == before


def seed_globals(seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


class CustomExtractor(nn.Module):
    """Custom module whose weights and dropout use torch's global generator."""

    def __init__(self, n_in):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_in, 8), nn.ReLU(), nn.Dropout(0.3))

    def forward(self, x):
        return self.layers(x)


class CustomClassifier(nn.Sequential):
    """Dropout followed by a linear layer."""

    def __init__(self, n_in, n_out):
        super().__init__(nn.Dropout(0.1), nn.Linear(n_in, n_out))


FITS = {
    "default": {},
    "dropout": {"dropout": 0.3, "normalization": "batch"},
    "custom class": {"feature_extractor": CustomExtractor},
    "custom classes": {
        "feature_extractor": CustomExtractor,
        "label_predictor": nn.Linear,
        "domain_classifier": CustomClassifier,
    },
    "early stopping": {"early_stopping": True},
    "alternating": {"adversarial": "alternating"},
}
every_fit = pytest.mark.parametrize("changed", FITS.values(), ids=FITS.keys())


@pytest.fixture
def _global_states_put_back():
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()
    yield
    torch.set_rng_state(states[0])
    random.setstate(states[1])
    np.random.set_state(states[2])


@every_fit
@pytest.mark.usefixtures("_global_states_put_back")
def test_fits_neither_read_nor_change_global_random_states(changed):
    X, y, targets = domains()
    fits = []
    for seed in (1, 2):
        seed_globals(seed)
        with no_trace():
            fits.append(fit({**SMALL, **changed}, X, y, targets))
            fits[-1].partial_fit(X, y, tuple(targets))
    assert_array_equal(fits[0].predict_proba(X), fits[1].predict_proba(X))


@pytest.mark.parametrize("changed", [{}, {"feature_extractor": CustomExtractor}])
@pytest.mark.usefixtures("_global_states_put_back")
def test_random_state_none_draws_fresh_entropy_and_changes_no_global_state(changed):
    X, y, targets = domains()
    fits = []
    for _ in range(2):
        seed_globals(0)
        with no_trace():
            fits.append(fit({**SMALL, **changed, "random_state": None}, X, y, targets))
    assert not np.array_equal(fits[0].predict_proba(X), fits[1].predict_proba(X))


@pytest.mark.usefixtures("_global_states_put_back")
def test_random_states_are_restored_after_an_error_and_an_interrupt():
    X, y, targets = domains()
    params = {**SMALL, "feature_extractor": CustomExtractor}
    with no_trace(), pytest.raises(ValueError, match="diverged"):
        fit({**params, "optimizer": "sgd", "lr": 1e25}, X, y, targets)
    with no_trace(), pytest.warns(UserWarning, match="interrupted"):
        fit({**params, "callbacks": [Interrupt(epoch=2, step=1)]}, X, y, targets)


def test_a_fit_on_the_cpu_seeds_no_other_device(monkeypatch):
    def seeded(seed):
        raise AssertionError("the generators of all CUDA devices were seeded")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded)
    X, y, targets = domains()
    fit({**SMALL, "feature_extractor": CustomExtractor}, X, y, targets)


@every_fit
def test_equal_seeds_are_bit_identical_and_different_seeds_differ(changed):
    X, y, targets = domains()
    one, same = (fit({**SMALL, **changed}, X, y, targets) for _ in range(2))
    other = fit({**SMALL, **changed, "random_state": 1}, X, y, targets)
    for name in ("predict_proba", "transform", "predict_domain_proba"):
        assert_array_equal(getattr(one, name)(X), getattr(same, name)(X))
        assert not np.array_equal(getattr(one, name)(X), getattr(other, name)(X))


def test_streams_of_one_seed_differ_from_each_other():
    first = [torch.rand(4, generator=g).tolist() for g in spawn_generators(3).values()]
    assert len({tuple(values) for values in first}) == len(first)
    assert first == [torch.rand(4, generator=g).tolist() for g in spawn_generators(3).values()]


# Inference


@pytest.mark.filterwarnings("ignore:X looks like rows of the source")  # as they are, on purpose
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"feature_extractor": (128, 64), "domain_classifier": (64,)},
        {"normalization": "batch", "label_predictor": (7,)},
        {"normalization": "domain_batch"},
        {"conditioning": "cdan"},
    ],
)
def test_a_prediction_does_not_depend_on_the_other_rows(changed):
    X, y, targets = domains(n_source=60, n_classes=3)
    clf = fit({**SMALL, "max_epochs": 1, **changed}, X, y, targets)
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(4200, 4)).astype(np.float32)  # more than one block
    order = rng.permutation(len(rows))
    # for odd widths, rounding depends on a row's position in its block: the last bits may differ
    has_odd_width = "label_predictor" in changed
    same = partial(assert_allclose, rtol=1e-5, atol=1e-7) if has_odd_width else assert_array_equal
    for name in ("predict_proba", "transform", "predict_domain_proba"):
        predict = getattr(clf, name)
        whole = predict(rows)
        same(predict(rows[order]), whole[order])
        for size in (1, 2, 63, 64, 65, 200, 1000):
            assert_array_equal(predict(rows[:size]), whole[:size])
        for i in (0, 70, 4150):
            same(predict(rows[i : i + 1])[0], whole[i])


def test_inference_uses_blocks_of_one_size():
    X, y, targets = domains(n_source=600)
    net = fit(SMALL, X, y, targets).net_
    for what, width in (("features", 8), ("labels", 2), ("domains", 1)):
        blocks = list(net.infer_blocks(X, None, what))
        assert [block.shape for block in blocks] == [(256, width), (256, width), (88, width)]


def test_predictions_equal_those_of_the_module():
    X, y, targets = domains(n_source=150, n_classes=3)
    clf = fit({**SMALL, "dropout": 0.4, "normalization": "batch"}, X, y, targets)
    module, x = clf.module_, torch.from_numpy(X)
    with torch.no_grad():
        features = module.extract_features(x)
        assert_allclose(clf.transform(X), features, atol=1e-6)
        assert_allclose(clf.predict_proba(X), module(x).softmax(1), atol=1e-6)
        is_target = module.classify_domains(features).squeeze(1).sigmoid()
        assert_allclose(clf.predict_domain_proba(X)[:, 1], is_target, atol=1e-6)
    assert_array_equal(clf.predict(X), clf.predict_proba(X).argmax(1))


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
