"""Parameters of the constructor: bad values are refused before training."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from sklearn.utils._param_validation import Interval, InvalidParameterError, StrOptions

from skdann import DANNClassifier
from tests.input.tables import XS, XT, YS, assert_says, fitted_attributes

NETWORKS = ("feature_extractor", "label_predictor", "domain_classifier")
CONSTRAINTS = DANNClassifier._parameter_constraints


def _unknown_names() -> list[Any]:
    return [
        pytest.param(name, options.options, id=name)
        for name, allowed in CONSTRAINTS.items()
        for options in allowed
        if isinstance(options, StrOptions)
    ]


def _out_of_range() -> list[Any]:
    cases = []
    for name, allowed in CONSTRAINTS.items():
        for interval in allowed:
            if not isinstance(interval, Interval):
                continue
            is_integer = not isinstance(0.5, interval.type)
            values = [interval.left - 1, np.nan, "1"] + [1.5] * is_integer
            if interval.closed in ("neither", "right"):
                values.append(interval.left)
            if interval.right is not None:
                values.append(2 * interval.right + 1)
                if interval.closed in ("neither", "left"):
                    values.append(interval.right)
            cases += [pytest.param(name, value, id=f"{name}={value!r}") for value in values]
    return cases


def test_every_parameter_has_constraints() -> None:
    assert set(CONSTRAINTS) == set(DANNClassifier().get_params())
    assert len(_unknown_names()) >= 7
    assert len(_out_of_range()) >= 40


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("name", "options"), _unknown_names())
def test_unknown_names_are_refused(make_clf: Any, name: str, options: set[str]) -> None:
    clf = make_clf(**{name: "no-such-thing"})
    with pytest.raises(InvalidParameterError) as caught:
        clf.fit(XS, YS, XT)
    assert_says(caught.value, (f"'{name}'", "'no-such-thing'", *map(repr, options)))
    assert fitted_attributes(clf) == []


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(("name", "value"), _out_of_range())
def test_numbers_out_of_range_are_refused(make_clf: Any, name: str, value: Any) -> None:
    clf = make_clf(**{name: value})
    with pytest.raises(InvalidParameterError) as caught:
        clf.fit(XS, YS, XT)
    assert_says(caught.value, (f"'{name}'", re.escape(repr(value)), "in the range"))
    assert fitted_attributes(clf) == []


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("sizes", [(0,), (8, -3), (True,), (2.0,), ("8",), [8, None], ((8,),)])
def test_sizes_that_are_no_positive_integers_are_refused(
    make_clf: Any, name: str, sizes: Any
) -> None:
    clf = make_clf(**{name: sizes})
    with pytest.raises(ValueError, match="positive integers") as caught:
        clf.fit(XS, YS, XT)
    assert_says(caught.value, (f"{name}=", re.escape(repr(sizes)), "torch module"))
    assert fitted_attributes(clf) == []


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("spec", [8, "8", None, np.array([8])], ids=repr)
def test_networks_of_no_known_kind_are_refused(make_clf: Any, name: str, spec: Any) -> None:
    with pytest.raises(InvalidParameterError, match=f"'{name}' .*tuple"):
        make_clf(**{name: spec}).fit(XS, YS, XT)


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", ["lambda_schedule", "lr_schedule"])
@pytest.mark.parametrize(
    ("schedule", "value", "progress"),
    [
        (lambda p: 2 * p, "1.02", "0.51"),
        (lambda p: -p, "-0.01", "0.01"),
        (lambda p: float("nan"), "nan", "0"),
        (lambda p: 0.5 if p < 1 else 1.5, "1.5", "1"),
    ],
    ids=["above 1", "below 0", "nan", "at the end only"],
)
def test_schedules_that_leave_the_unit_interval_are_refused(
    make_clf: Any, name: str, schedule: Any, value: str, progress: str
) -> None:
    clf = make_clf(**{name: schedule})
    with pytest.raises(ValueError, match=name) as caught:
        clf.fit(XS, YS, XT)
    says = (
        f"{name} returned {re.escape(value)} at progress {re.escape(progress)};",
        r"\[0, 1\]",
        "scale",
    )
    assert_says(caught.value, says)
    assert fitted_attributes(clf) == []


@pytest.mark.usefixtures("no_training")
def test_an_unknown_device_is_refused(make_clf: Any) -> None:
    with pytest.raises(ValueError, match="device"):
        make_clf(device="abacus").fit(XS, YS, XT)


@pytest.mark.usefixtures("no_training")
def test_early_stopping_needs_rows_to_train_on(make_clf: Any) -> None:
    clf = make_clf(early_stopping=True, validation_fraction=0.99)
    with pytest.raises(ValueError, match=r"3 of 3 source rows.*lower validation_fraction"):
        clf.fit(XS[:3], YS[:3], XT)
