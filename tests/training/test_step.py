"""One training step, against the equations of Ganin et al. in plain torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from skdann import DANNClassifier
from tests.training.common import (
    LAMBDA,
    LR,
    ONE_STEP,
    SMALL,
    Weights,
    as_variables,
    assert_weights,
    by_hand_domain_loss,
    by_hand_features,
    by_hand_gradients,
    by_hand_label_loss,
    domains,
    fit,
    stacked,
)

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
