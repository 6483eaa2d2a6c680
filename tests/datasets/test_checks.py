"""Check of a numeric parameter: bounds, types, and the text of the error."""

from __future__ import annotations

import numpy as np
import pytest

from skdann.datasets._checks import check_number


@pytest.mark.parametrize("value", [0, 1, 0.5, -3.0, np.float32(2.0), np.int64(7), 1e300])
def test_numbers_pass(value):
    check_number("shift", value, example=1.0)


@pytest.mark.parametrize("value", [0, 1, np.int64(1)])
def test_bounds_are_included(value):
    check_number("n", value, example=1, minimum=0, maximum=1, is_integer=True)


@pytest.mark.parametrize("value", [None, "1", True, np.nan, np.inf, -np.inf, 1j, [1.0]])
def test_other_values_are_refused(value):
    with pytest.raises(ValueError, match=r"is not a finite number; pass e\.g\. shift=1\.0\.$"):
        check_number("shift", value, example=1.0)


@pytest.mark.parametrize(
    ("value", "bounds", "text"),
    [
        (-1, {"minimum": 0}, "x=-1 is not a finite number >= 0; pass e.g. x=5."),
        (2, {"maximum": 1}, "x=2 is not a finite number and <= 1; pass e.g. x=5."),
        (2, {"minimum": 0, "maximum": 1}, "x=2 is not a finite number >= 0 and <= 1; pass"),
        (0.5, {"is_integer": True}, "x=0.5 is not an integer; pass e.g. x=5."),
        (0, {"minimum": 1, "is_integer": True}, "x=0 is not an integer >= 1; pass e.g. x=5."),
        (1.0, {"is_integer": True}, "x=1.0 is not an integer; pass e.g. x=5."),
    ],
)
def test_the_error_names_value_expectation_and_example(value, bounds, text):
    with pytest.raises(ValueError, match="x=") as error:
        check_number("x", value, example=5, **bounds)
    assert str(error.value).startswith(text)
