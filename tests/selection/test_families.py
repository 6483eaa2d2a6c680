"""Families: the settings of their members on a path of lambdas and scalings."""

from __future__ import annotations

import pytest

from skdann import DANNClassifier
from skdann._selection.families import (
    FAMILIES,
    NETWORK_FAMILIES,
    Setting,
    alignment,
    balanced,
    baseline,
    self_training,
)

LAMBDAS = [0.0, 0.3, 1.0]


def test_names_and_order():
    assert FAMILIES == ("alignment", "self_training", "balanced", "trees")
    assert list(NETWORK_FAMILIES) == ["alignment", "self_training", "balanced"]


def test_settings_are_parameters_of_the_classifier():
    assert set(Setting._fields) <= set(DANNClassifier().get_params())
    DANNClassifier().set_params(**Setting(0.3, "domain", "train")._asdict())


@pytest.mark.parametrize("scalings", [[None], ["source"], [None, "domain"], ["domain", None]])
def test_settings_of_each_family(scalings):
    first, last = scalings[0], scalings[-1]
    assert baseline(LAMBDAS, scalings) == [(0.0, first, None)]
    assert self_training(LAMBDAS, scalings) == [(0.0, first, "train")]
    assert balanced(LAMBDAS, scalings) == [(0.3, last, "balance"), (1.0, last, "balance")]
    path = [(value, scaling, None) for scaling in scalings for value in LAMBDAS]
    assert alignment(LAMBDAS, scalings) == path[1:]
    assert path[0] not in alignment(LAMBDAS, scalings)  # which is the baseline


def test_without_lambdas_only_scaling_and_pseudo_labels_are_left():
    assert alignment([0.0], [None]) == []
    assert alignment([0.0], [None, "domain"]) == [(0.0, "domain", None)]
    assert balanced([0.0], [None, "domain"]) == [(0.0, "domain", "balance")]
