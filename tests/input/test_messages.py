"""Errors that name the argument at fault, and warnings that point to the user's line."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline as plain_pipeline
from sklearn.preprocessing import FunctionTransformer

from skdann import DANNClassifier, SourceOnlyWarning
from skdann._input.messages import naming, warn_user


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("no\n  good"), ValueError),
        (TypeError("no\n  good"), TypeError),
        (UnicodeDecodeError("utf8", b"", 0, 1, "no\n  good"), ValueError),
    ],
)
def test_an_error_names_the_argument(error, kind):
    expected = r"^y_source must hold labels: .*no good$"
    with pytest.raises(kind, match=expected) as caught, naming("y_source", "must hold labels"):
        raise error
    assert type(caught.value) is kind
    assert caught.value.__cause__ is error


def test_long_reasons_are_cut():
    with pytest.raises(ValueError, match="finite") as caught, naming("X", "must be finite"):
        raise ValueError("a" * 5000)
    assert str(caught.value) == "X must be finite: " + "a" * 400


def test_other_errors_pass():
    with pytest.raises(KeyError, match=r"^'secret'$"), naming("X", "must be finite"):
        raise KeyError("secret")


def test_floating_point_warnings_are_left_to_the_check():
    with naming("X", "must be finite"):
        assert np.isinf(np.float64(1e300) * np.float64(1e300))


def line():
    """Line of the caller."""
    return inspect.currentframe().f_back.f_lineno


def test_a_warning_points_to_the_line_of_the_user():
    X, y, clf = np.arange(8.0).reshape(4, 2), [0, 1, 0, 1], DANNClassifier(max_epochs=1)
    calls = [
        lambda: (line(), warn_user("text", SourceOnlyWarning)),
        lambda: (line(), clf.fit(X, y)),
        # through methods of scikit-learn
        lambda: (line(), plain_pipeline(FunctionTransformer(), clf).fit(X, y)),
    ]
    for call in calls:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            number, _ = call()
        (warning,) = caught
        assert warning.category is SourceOnlyWarning
        assert (warning.filename, warning.lineno) == (__file__, number)
