"""Arguments that fit does not take: the error says how to call it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from skdann import DANNClassifier, DANNClassifierCV, make_pipeline
from tests.input.tables import ONES, XS, XT, YS

CALLS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "labels of the target": (
        lambda clf: clf.fit(XS, YS, XT, np.ones(30)),
        "fit takes X_source, y_source, X_target by position.*y_target=... for labels",
    ),
    "y_target": (
        lambda clf: clf.fit(XS, YS, XT, yt=np.ones(30)),
        r"unexpected argument 'yt': did you mean y_target\?",
    ),
    "X and y": (
        lambda clf: clf.fit(X=XS, y=YS),
        r"unexpected argument 'X': the source rows are X_source; call fit\(X_source, y_source",
    ),
    "y": (
        lambda clf: clf.fit(XS, y=YS),
        "unexpected argument 'y': the labels of the source rows are y_source",
    ),
    "weights": (
        lambda clf: clf.fit(XS, YS, sample_weights=ONES),
        "unexpected argument 'sample_weights': did you mean sample_weight?",
    ),
    "target": (
        lambda clf: clf.fit(XS, YS, X_targets=XT),
        "unexpected argument 'X_targets': did you mean X_target?",
    ),
    "anything": (lambda clf: clf.fit(XS, YS, foo=1), "unexpected argument 'foo'.*call fit"),
    "no labels": (lambda clf: clf.fit(XS), r"missing.*'y_source'; call fit\(X_source, y_source"),
    "twice": (lambda clf: clf.fit(XS, YS, y_source=YS), "multiple values.*'y_source'; call fit"),
}


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("make", [DANNClassifier, DANNClassifierCV])
@pytest.mark.parametrize(("call", "says"), CALLS.values(), ids=CALLS)
def test_arguments_that_fit_does_not_take_are_explained(make: Any, call: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says) as caught:
        call(make())
    assert f"{make.__name__}.fit" in str(caught.value)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("arguments", "params", "says"),
    [
        ((XS, YS, XT, YS), {}, "by position but got 4 arguments: .* y_target="),
        ((), {"X_source": XS, "y_source": YS}, "unexpected argument 'X_source'.*rows as X"),
        ((XS, YS), {"y_tgt": YS}, "unexpected parameter 'y_tgt': did you mean y_target?"),
    ],
)
def test_arguments_that_a_pipeline_does_not_take_are_explained(
    make_clf: Any, arguments: Any, params: Any, says: str
) -> None:
    with pytest.raises(TypeError, match=says):
        make_pipeline(StandardScaler(), make_clf()).fit(*arguments, **params)


@pytest.mark.usefixtures("no_training")
def test_arguments_of_partial_fit_are_explained(make_clf: Any) -> None:
    with pytest.raises(TypeError, match=r"partial_fit got an unexpected argument 'class'.*classes"):
        make_clf().partial_fit(XS, YS, XT, **{"class": [0, 1]})


@pytest.mark.parametrize("name", ["fit", "partial_fit"])
def test_the_signature_is_that_of_the_method(name: str) -> None:
    parameters = list(inspect.signature(getattr(DANNClassifier, name)).parameters)
    assert parameters[:4] == ["self", "X_source", "y_source", "X_target"]
    assert getattr(DANNClassifier, name).__doc__.startswith("Train")
