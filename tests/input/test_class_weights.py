"""Class weights that fit no class are explained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.ensemble import VotingClassifier

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
