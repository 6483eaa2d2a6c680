"""Hyperparameters as typed objects: every one is read from the estimator, and checked."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from sklearn.utils._param_validation import InvalidParameterError

from skdann import DANNClassifier, DANNRegressor
from skdann._training import params as params_module
from skdann._training.params import (
    ABSENT,
    DataShape,
    NetworkParams,
    TrainingParams,
    check_params,
    count_draws,
    count_epochs,
    network_params,
    read_param,
    training_params,
)
from skdann._training.passes import ShuffledRows

# parameters of the estimator that describe neither the networks nor a training step
ELSEWHERE = {
    "callbacks", "checkpoint", "class_weight", "early_stopping", "patience", "random_state",
    "validation_fraction", "verbose", "warm_start",
}  # fmt: skip


class Recorder:
    """Estimator whose parameters are distinct objects."""

    max_epochs = 7

    def __getattr__(self, name):
        return f"<{name}>"


def names_of(kind):
    return {field.name for field in dataclasses.fields(kind)}


def test_every_parameter_has_one_place():
    networks, training = names_of(NetworkParams), names_of(TrainingParams)
    assert networks.isdisjoint(training)
    assert ELSEWHERE.isdisjoint(networks | training)
    every = set(DANNClassifier().get_params()) | set(DANNRegressor().get_params())
    assert networks | training | ELSEWHERE == every


def test_parameters_that_an_estimator_lacks_are_off():
    both = set(DANNClassifier().get_params()) & set(DANNRegressor().get_params())
    every = set(DANNClassifier().get_params()) | set(DANNRegressor().get_params())
    assert set(ABSENT) == every - both
    ours, theirs = training_params(DANNRegressor()), training_params(DANNClassifier())
    off = set(ABSENT) - {"loss"}
    assert {name: vars(ours)[name] for name in off & set(vars(ours))} == {
        name: vars(theirs)[name] for name in off & set(vars(ours))
    }
    assert (ours.loss, theirs.loss) == ("squared_error", "cross_entropy")
    assert training_params(DANNRegressor(loss="quantile", quantile=0.2)).quantile == 0.2
    assert read_param(DANNRegressor(), "class_weight") is None
    assert read_param(DANNClassifier(class_weight="balanced"), "class_weight") == "balanced"


@pytest.mark.parametrize("read", [network_params, training_params])
def test_each_field_is_read_from_the_parameter_of_its_name(read):
    for name, value in vars(read(Recorder())).items():
        expected = 7 if name == "max_epochs" else f"<{name}>"
        is_per_member = name in ("lambda_max", "pseudo_labels", "standardize")
        assert value == ((expected,) if is_per_member else expected), name


def test_members_may_differ_in_lambda_scaling_and_pseudo_labels():
    clf = DANNClassifier(lambda_max=0.5, standardize="source", pseudo_labels="train")
    assert training_params(clf, [0.1, 0.2]).lambda_max == (0.1, 0.2)
    assert training_params(clf, None, [None, "balance"]).pseudo_labels == (None, "balance")
    assert training_params(clf).pseudo_labels == ("train",)
    assert network_params(clf, [None, "domain"]).standardize == (None, "domain")
    assert training_params(clf).lambda_max == (0.5,)
    assert network_params(clf).standardize == ("source",)


def test_parameters_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        training_params(DANNClassifier()).lr = 1.0


def test_the_shape_is_that_of_the_data():
    class Data:
        n_features, n_outputs, domains, n_targets = 3, 2, np.array([0, -1]), 1

    shape = DataShape.of(Data)
    assert (shape.n_features, shape.n_outputs, shape.n_targets) == (3, 2, 1)
    assert shape.domains is Data.domains


@pytest.mark.parametrize(
    ("params", "error", "text"),
    [
        ({"lr": -1.0}, InvalidParameterError, "'lr' parameter of DANNClassifier"),
        ({"feature_extractor": (0,)}, ValueError, "feature_extractor=(0,)"),
        ({"domain_classifier": (2, True)}, ValueError, "domain_classifier=(2, True)"),
        ({"device": "nonsense"}, ValueError, "device='nonsense'"),
        ({"checkpoint": "file"}, ValueError, "checkpoint='file' needs a random_state"),
        ({"callbacks": [3]}, TypeError, "callbacks"),
        ({"lambda_schedule": lambda p: 2.0}, ValueError, "lambda_schedule returned 2.0"),
        ({"lr_schedule": lambda p: -1.0}, ValueError, "lr_schedule returned -1.0"),
        ({"max_epochs": 0}, InvalidParameterError, "'max_epochs' parameter of DANNClassifier"),
        ({"max_epochs": "many"}, InvalidParameterError, "'max_epochs' parameter"),
        ({"pseudo_labels": "all"}, InvalidParameterError, "'pseudo_labels' parameter"),
        (
            {"pseudo_labels": "balance", "class_weight": "balanced"},
            ValueError,
            "class_weight='balanced' cannot be combined with pseudo_labels='balance', which "
            "already draws all classes in equal shares; set class_weight=None.",
        ),
        (
            {"pseudo_labels": "balance", "label_shift": "correct"},
            ValueError,
            "label_shift='correct' cannot be combined with pseudo_labels='balance'",
        ),
    ],
)
def test_each_check_is_made(params, error, text):
    with pytest.raises(error, match=re.escape(text)):
        check_params(DANNClassifier(**params))


def test_valid_parameters_pass():
    check_params(DANNClassifier())
    check_params(DANNClassifier(pseudo_labels="balance"))
    check_params(DANNClassifier(pseudo_labels="train", class_weight="balanced"))
    check_params(DANNClassifier(pseudo_labels="train", label_shift="correct"))


@pytest.mark.parametrize(
    ("max_epochs", "batch_size", "n_rows", "expected"),
    [
        (5, 64, 10_000, 5),
        ("auto", 64, None, 30),
        ("auto", 64, 10_000, 30),
        ("auto", 64, 832, 31),  # 13 steps: 31 epochs are 403 steps
        ("auto", 64, 833, 30),  # 14 steps: 30 epochs are 420
        ("auto", 64, 100, 200),
        ("auto", 64, 64, 400),
        ("auto", 1, 3, 134),
    ],
)
def test_auto_epochs_make_enough_steps(max_epochs, batch_size, n_rows, expected):
    clf = DANNClassifier(max_epochs=max_epochs, batch_size=batch_size)
    assert count_epochs(clf, n_rows) == expected


def test_auto_epochs_count_the_rows_trained_on():
    """Rows held out are not trained on; a chunk says nothing of the number of rows."""
    X, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    clf = DANNClassifier(batch_size=1, early_stopping=True, patience=1, random_state=0)
    clf.fit(X, y, X.copy())
    assert clf.net_.max_epochs == 30
    clf = DANNClassifier(batch_size=2, random_state=0).fit(X, y, X.copy())
    assert clf.n_epochs_ == 40
    clf.set_params(warm_start=True, batch_size=1).fit(X[:10], y[:10], X.copy())
    assert clf.n_epochs_ == 40 + 40
    assert clf.partial_fit(X, y, X.copy()).net_.max_epochs == 30


@pytest.mark.parametrize("n_rows", [20, 64, 65])
@pytest.mark.parametrize(
    "params", [{"batch_size": 8}, {"batch_size": 30, "early_stopping": True}, {"max_epochs": 2}]
)
def test_a_fit_draws_at_most_the_rows_that_are_counted(params, n_rows, monkeypatch):
    drawn = []
    draw = ShuffledRows.draw
    monkeypatch.setattr(params_module, "MIN_STEPS", 30)
    monkeypatch.setattr(params_module, "MIN_EPOCHS", 3)
    monkeypatch.setattr(
        ShuffledRows, "draw", lambda self, count: drawn.append(count) or draw(self, count)
    )
    X, y = np.random.default_rng(0).normal(size=(n_rows, 2)), np.arange(n_rows) % 2
    clf = DANNClassifier(**{"feature_extractor": (2,), "random_state": 0} | params)
    clf.fit(X, y, np.vstack([X, X]))
    most = count_draws(clf, n_rows)
    assert sum(drawn) <= most
    if not clf.early_stopping:
        assert most <= 2 * sum(drawn)
