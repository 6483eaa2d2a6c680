"""Tests of the schedules, against values of their formulas."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skdann._training.schedules import (
    LAMBDA_SCHEDULES,
    LR_SCHEDULES,
    check_schedule,
    evaluate_schedule,
)

progress = st.floats(0, 1)

# computed independently of the code: 2/(1+e^(-10p))-1 = tanh(5p), and powers of (1+10p)
LAMBDA_POINTS = [
    ("dann", 0.0, 0.0),
    ("dann", 0.1, 0.46211715726000976),
    ("dann", 0.25, 0.8482836399575129),
    ("dann", 0.5, 0.9866142981514303),
    ("dann", 1.0, 0.9999092042625951),
    ("linear", 0.0, 0.0),
    ("linear", 0.3, 0.3),
    ("linear", 1.0, 1.0),
    ("constant", 0.0, 1.0),
    ("constant", 0.7, 1.0),
    ("constant", 1.0, 1.0),
]
LR_POINTS = [
    ("dann", 0.0, 1.0),
    ("dann", 0.1, 0.5946035575013605),  # 2^-0.75
    ("dann", 0.3, 0.35355339059327373),  # 4^-0.75
    ("dann", 1.0, 1 / math.sqrt(11 * math.sqrt(11))),
    ("cosine", 0.0, 1.0),
    ("cosine", 1 / 3, 0.75),
    ("cosine", 0.5, 0.5),
    ("cosine", 2 / 3, 0.25),
    ("cosine", 1.0, 0.0),
    ("constant", 0.0, 1.0),
    ("constant", 1.0, 1.0),
]


@pytest.mark.parametrize(("name", "at", "factor"), LAMBDA_POINTS)
def test_lambda_schedule_passes_through_its_points(name, at, factor):
    actual = evaluate_schedule("lambda_schedule", name, LAMBDA_SCHEDULES, at)
    assert actual == pytest.approx(factor, abs=1e-12)


@pytest.mark.parametrize(("name", "at", "factor"), LR_POINTS)
def test_lr_schedule_passes_through_its_points(name, at, factor):
    actual = evaluate_schedule("lr_schedule", name, LR_SCHEDULES, at)
    assert actual == pytest.approx(factor, abs=1e-12)


def test_every_named_schedule_has_its_points_above():
    assert {name for name, *_ in LAMBDA_POINTS} == set(LAMBDA_SCHEDULES)
    assert {name for name, *_ in LR_POINTS} == set(LR_SCHEDULES)


@given(progress, progress)
def test_lambda_rises_and_lr_falls_within_zero_and_one(one, other):
    early, late = sorted((one, other))
    for schedule in LAMBDA_SCHEDULES.values():
        assert 0.0 <= schedule(early) <= schedule(late) <= 1.0
    for schedule in LR_SCHEDULES.values():
        assert 0.0 <= schedule(late) <= schedule(early) <= 1.0


@given(progress)
def test_a_callable_is_called_with_the_progress(p):
    assert evaluate_schedule("lambda_schedule", lambda at: at**2, LAMBDA_SCHEDULES, p) == p**2


@pytest.mark.parametrize("value", [1.5, -0.25, math.nan, math.inf, -math.inf])
def test_a_factor_outside_zero_and_one_raises(value):
    with pytest.raises(ValueError, match=rf"lr_schedule returned {value!r} at progress 0\.42"):
        evaluate_schedule("lr_schedule", lambda at: value, LR_SCHEDULES, 0.42)


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (lambda p: 2.0 * p, r"lambda_schedule returned 1\.02 at progress 0\.51"),
        (lambda p: 0.5 - p, r"lambda_schedule returned -0\.01.* at progress 0\.51"),
        (lambda p: math.nan if p == 1.0 else p, r"lambda_schedule returned nan at progress 1:"),
    ],
)
def test_a_callable_is_checked_on_the_whole_range_before_training(schedule, text):
    with pytest.raises(ValueError, match=text.rstrip(":")):
        check_schedule("lambda_schedule", schedule, LAMBDA_SCHEDULES)


def test_valid_schedules_pass_the_check():
    check_schedule("lambda_schedule", lambda p: p * p, LAMBDA_SCHEDULES)
    for name in LAMBDA_SCHEDULES:
        check_schedule("lambda_schedule", name, LAMBDA_SCHEDULES)
