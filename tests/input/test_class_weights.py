"""Class weights that fit no class are explained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_allclose
from sklearn.ensemble import VotingClassifier
from sklearn.utils.class_weight import compute_class_weight

from skdann._input.labels import class_weights
from tests.input.tables import XS, XT, YS, assert_says, fitted_attributes


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("weights", "says"),
    [
        (
            {0: 1.0, "maybe": 2.0},
            ("class_weight names .*'maybe'", r"\[0, 1\]", "labels of y_source"),
        ),
        ({0: -1.0}, ("class_weight", ">= 0", r"-1\.0")),
        ({0: np.nan}, ("class_weight", ">= 0", "nan")),
        ({0: np.inf}, ("class_weight", "inf")),
        ({0: "heavy"}, ("class_weight", "heavy")),
        ({0: 0.0, 1: 0.0}, ("class_weight", "0")),
    ],
    ids=["unknown class", "negative", "nan", "inf", "text", "all zero"],
)
def test_bad_class_weights_are_refused(make_clf: Any, weights: Any, says: Any) -> None:
    clf = make_clf(class_weight=weights)
    with pytest.raises((ValueError, TypeError)) as caught:
        clf.fit(XS, YS, XT)
    assert_says(caught.value, says)
    assert fitted_attributes(clf) == []


def test_class_weights_of_encoded_labels_are_explained(make_clf: Any) -> None:
    weights = {"ill": 2.0, "healthy": 1.0}
    members = [("a", make_clf(class_weight=weights))]
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(ValueError, match=r"class_weight names.*meta-estimator.*0, 1, \.\.\."),
    ):
        VotingClassifier(members).fit(XS, np.where(YS, "ill", "healthy"), X_target=(XT,))


CLASSES = np.array(["a", "b", "c"])


@pytest.mark.parametrize("weight", [None, np.array([1.0, 2.0, 0.5, 1.5, 3.0])])
def test_balanced_weights_give_every_class_the_same_mass(weight: Any) -> None:
    y = np.array([0, 0, 0, 2, 0])
    weights = class_weights("balanced", y, CLASSES, weight)
    mass = np.bincount(y, weights[y] if weight is None else weight * weights[y], minlength=3)
    assert_allclose(mass[[0, 2]], mass.sum() / 2)
    assert weights[1] == 1.0  # a class without rows
    if weight is None:
        expected = compute_class_weight("balanced", classes=np.array([0, 2]), y=y)
        assert_allclose(weights[[0, 2]], expected)


def test_given_weights_are_looked_up_by_label() -> None:
    weights = class_weights({"c": 2.0, "a": 0.0}, np.array([0, 1, 2]), CLASSES, None)
    assert weights.tolist() == [0.0, 1.0, 2.0]
    numbers = class_weights({3: 2.0}, np.array([0, 1]), np.array([1, 3]), None)
    assert numbers.tolist() == [1.0, 2.0]
    assert class_weights(None, np.array([0, 1]), CLASSES, None) is None
