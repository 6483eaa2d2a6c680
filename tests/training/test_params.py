"""Hyperparameters as typed objects: every one is read from the estimator, and checked."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from sklearn.utils._param_validation import InvalidParameterError

from skdann import DANNClassifier
from skdann._training.params import (
    DataShape,
    NetworkParams,
    TrainingParams,
    check_params,
    network_params,
    training_params,
)

# parameters of the estimator that describe neither the networks nor a training step
ELSEWHERE = {
    "callbacks", "checkpoint", "class_weight", "early_stopping", "patience", "random_state",
    "validation_fraction", "verbose", "warm_start",
}  # fmt: skip


class Recorder:
    """Estimator whose parameters are distinct objects."""

    def __getattr__(self, name):
        return f"<{name}>"


def names_of(kind):
    return {field.name for field in dataclasses.fields(kind)}


def test_every_parameter_has_one_place():
    networks, training = names_of(NetworkParams), names_of(TrainingParams)
    assert networks.isdisjoint(training)
    assert ELSEWHERE.isdisjoint(networks | training)
    assert networks | training | ELSEWHERE == set(DANNClassifier().get_params())


@pytest.mark.parametrize("read", [network_params, training_params])
def test_each_field_is_read_from_the_parameter_of_its_name(read):
    for name, value in vars(read(Recorder())).items():
        expected = f"<{name}>"
        assert value == ((expected,) if name in ("lambda_max", "standardize") else expected), name


def test_members_may_differ_in_lambda_and_scaling():
    clf = DANNClassifier(lambda_max=0.5, standardize="source")
    assert training_params(clf, [0.1, 0.2]).lambda_max == (0.1, 0.2)
    assert network_params(clf, [None, "domain"]).standardize == (None, "domain")
    assert training_params(clf).lambda_max == (0.5,)
    assert network_params(clf).standardize == ("source",)


def test_parameters_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        training_params(DANNClassifier()).lr = 1.0


def test_the_shape_is_that_of_the_data():
    class Data:
        n_features, classes, domains, n_targets = 3, np.array(["a", "b"]), np.array([0, -1]), 1

    shape = DataShape.of(Data)
    assert (shape.n_features, shape.n_targets) == (3, 1)
    assert shape.classes is Data.classes
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
    ],
)
def test_each_check_is_made(params, error, text):
    with pytest.raises(error, match=re.escape(text)):
        check_params(DANNClassifier(**params))


def test_valid_parameters_pass():
    check_params(DANNClassifier())
