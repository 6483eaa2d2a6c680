"""Small fits, and the equations of Ganin et al. in plain torch to compare them with."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from skorch.callbacks import Callback
from torch import nn

from skdann import DANNClassifier, SourceOnlyWarning
from skdann._saving.state import net_state

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
    "standardize": None,
    "batch_size": 1000,
    "max_epochs": 1,
    "random_state": 0,
}
SMALL = {
    "feature_extractor": (12, 8),
    "domain_classifier": (8,),
    "dropout": 0.0,
    "lambda_max": 1.0,
    "standardize": None,
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
    clf = DANNClassifier(**{"standardize": None, **parameters})
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


class Stop(Callback):
    """Callback that raises at the first batch of an epoch."""

    def __init__(self, epoch, error):
        self.epoch, self.error = epoch, error

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise self.error


def assert_same_net(first, second):
    """Assert that weights, optimizer state, generators and history are bit-identical."""
    state, other = net_state(first.net_), net_state(second.net_)
    assert state.keys() == other.keys()
    for name, value in state.items():
        assert torch.equal(value, other[name]), f"{name} differs"
    histories = [
        [{k: v for k, v in row.items() if k != "dur"} for row in clf.history_]
        for clf in (first, second)
    ]
    assert histories[0] == histories[1]
