"""The gradients written out equal those of autograd, for every network that they take."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose
from sklearn.base import clone
from skorch.callbacks import Callback, Freezer

import skdann._training.step
from skdann import DANNClassifier, DANNClassifierCV
from skdann._training.analytic import SLOPES, AnalyticGradients
from skdann._training.batches import DomainBatches
from skdann.nn._module import ACTIVATIONS

N_SOURCE, N_TARGET = 90, 70


def rows(seed=0):
    rng = np.random.default_rng(seed)
    X, X_target = rng.normal(size=(N_SOURCE, 7)), rng.normal(size=(N_TARGET, 7)) + 0.5
    return X, rng.integers(3, size=N_SOURCE), X_target


@pytest.fixture
def used(monkeypatch):
    """Whether each epoch went by hand; `used.forbid()` sends the next ones through autograd."""

    class Used(list):
        is_allowed = True

    used = Used()

    def of(module, adversary):
        by_hand = AnalyticGradients.of(module, adversary) if used.is_allowed else None
        used.append(by_hand is not None)
        return by_hand

    spy = type("Spy", (), {"of": staticmethod(of)})
    monkeypatch.setattr(skdann._training.step, "AnalyticGradients", spy)
    return used


def fit_both_ways(used, X_target=None, *, fit_params=None, **params):
    """Fit by hand and by autograd."""
    X, y, target = rows()
    X_target = target if X_target is None else X_target
    fitted = []
    for used.is_allowed in (True, False):
        clf = DANNClassifier(batch_size=20, max_epochs=3, random_state=0, **params)
        fitted.append(clf.fit(X, y, X_target, **(fit_params or {})))
    assert list(used) == [True] * 3 + [False] * 3
    return fitted


def assert_equal_fits(by_hand, by_autograd):
    expected = by_autograd.module_.state_dict()
    for name, value in by_hand.module_.state_dict().items():
        assert_allclose(value, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)
    for row, other in zip(by_hand.history_, by_autograd.history_, strict=True):
        assert row.keys() == other.keys()
        for name in ("train_loss", "label_loss", "domain_loss"):
            assert row[name] == pytest.approx(other[name], abs=1e-5)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_every_activation_has_a_slope(used, activation):
    assert_equal_fits(
        *fit_both_ways(used, activation=activation, dropout=0.2, optimizer="sgd", lr=0.05)
    )


@pytest.mark.parametrize(
    "params",
    [
        {"lambda_max": 0.0, "dropout": 0.3},
        {"lambda_max": 0.7, "standardize": "domain", "class_weight": "balanced"},
        {"label_smoothing": 0.1, "domain_label_smoothing": 0.2, "domain_loss_weight": 0.5},
        {"feature_extractor": (), "domain_classifier": (), "label_predictor": (5,)},
        {"feature_extractor": (), "domain_classifier": (), "lambda_max": 0.0},
        {"feature_extractor": (6, 5, 4), "domain_classifier": (3, 3), "label_predictor": (4, 4)},
    ],
    ids=str,
)
def test_every_setting(used, params):
    # tanh has no kink at which rounding could turn a unit off
    assert_equal_fits(*fit_both_ways(used, activation="tanh", optimizer="sgd", lr=0.05, **params))


def test_several_domains_and_weights(used):
    rng = np.random.default_rng(3)
    _, _, X_target = rows()
    given = {"sample_domain": rng.integers(2, size=N_SOURCE), "sample_weight": rng.random(N_SOURCE)}
    several = {"domain_label_smoothing": 0.1, "dropout": 0.1, "optimizer": "sgd", "lr": 0.05}
    fits = fit_both_ways(used, (X_target, X_target[:30]), fit_params=given, **several)
    assert_equal_fits(*fits)


def test_each_gradient_is_that_of_autograd(used):
    """Not only the path of a whole fit: every gradient of a step."""
    gradients = []

    class Keep(Callback):
        def on_grad_computed(self, net, named_parameters, **_):
            gradients.append({name: p.grad.clone() for name, p in named_parameters})

    X, y, X_target = rows()
    for used.is_allowed in (True, False):
        # large weights of the losses, and lambda at its end from the first step on
        DANNClassifier(
            batch_size=N_SOURCE,
            max_epochs=1,
            lambda_schedule="constant",
            lambda_max=3.0,
            domain_loss_weight=2.0,
            random_state=0,
            callbacks=[Keep()],
        ).fit(X, y, X_target)
    own, expected = gradients
    assert own.keys() == expected.keys()
    assert len(own) == 10
    for name, grad in own.items():
        assert grad.abs().max() > 1e-4
        assert_allclose(grad, expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    "params",
    [
        {"normalization": "layer"},
        {"normalization": "batch"},
        {"conditioning": "cdan"},
        {"label_predictor": torch.nn.Linear(64, 3)},
        {"callbacks": [Freezer("label_predictor.*")]},
    ],
    ids=["layer", "batch", "cdan", "own module", "frozen weights"],
)
def test_autograd_takes_everything_else(used, params):
    DANNClassifier(max_epochs=1, random_state=0, **params).fit(*rows())
    assert list(used) == [False]


def test_hooks_of_the_user_are_called(used):
    seen = []

    class Hook(Callback):
        def on_train_begin(self, net, **_):
            layer = net.module_.feature_extractor[0]
            layer.register_forward_hook(lambda *args: seen.append(1))

    DANNClassifier(max_epochs=1, callbacks=[Hook()], random_state=0).fit(*rows())
    assert list(used) == [False]
    assert seen


def test_no_activation_is_without_a_slope():
    assert set(ACTIVATIONS.values()) == set(SLOPES)


def thin_rows(n_rows, rng):
    values = rng.normal(size=(n_rows, 40))
    return sp.csr_array(np.where(rng.random(values.shape) < 0.04, values, 0.0))


@pytest.mark.parametrize("params", [{}, {"lambda_max": 0.0}, {"dropout": 0.3}], ids=str)
def test_thin_sparse_rows_stay_sparse_and_equal_dense_ones(monkeypatch, params):
    rng = np.random.default_rng(0)
    X, X_target = (thin_rows(n, rng) for n in (N_SOURCE, N_TARGET))
    y = rng.integers(3, size=N_SOURCE)
    clf = DANNClassifier(
        activation="tanh", optimizer="sgd", lr=0.5, batch_size=20, max_epochs=3, **params
    )
    clf.set_params(random_state=0)
    dense = clone(clf).fit(X.toarray(), y, X_target.toarray())
    kinds = []
    gather = DomainBatches._sparse_rows

    def watch(self, block):
        for x in gather(self, block):
            kinds.append(type(x))
            yield x

    monkeypatch.setattr(DomainBatches, "_sparse_rows", watch)
    sparse = clf.fit(X.tocsr(), y, X_target.tocsr())
    assert set(kinds) == {list}
    assert_equal_fits(sparse, dense)


def test_members_on_thin_sparse_rows():
    rng = np.random.default_rng(0)
    X, X_target = (thin_rows(n, rng) for n in (N_SOURCE, N_TARGET))
    y = rng.integers(2, size=N_SOURCE)
    search = DANNClassifierCV(DANNClassifier(max_epochs=2), lambdas=(0, 1), n_seeds=2)
    search.set_params(standardize=(None,), random_state=0)
    dense = clone(search).fit(X.toarray(), y, X_target.toarray())
    sparse = search.fit(X.tocsr(), y, X_target.tocsr())
    for own, other in zip(sparse.candidates_, dense.candidates_, strict=True):
        for member, twin in zip(own, other, strict=True):
            proba = twin.predict_proba(X_target.toarray())
            assert_allclose(member.predict_proba(X_target.tocsr()), proba, atol=1e-5)
