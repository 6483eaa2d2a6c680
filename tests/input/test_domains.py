"""Tests of the checks of two-domain input: every error is clear and comes before any training."""

from __future__ import annotations

import functools
import hashlib
import inspect
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline as plain_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import Interval, InvalidParameterError, StrOptions

import skdann
from skdann import DANNClassifier, DANNClassifierCV, SourceOnlyWarning, make_pipeline
from skdann._input.domains import check_domains

COLUMNS = ["a", "b", "c", "d"]
NETWORKS = ("feature_extractor", "label_predictor", "domain_classifier")
CONSTRAINTS = DANNClassifier._parameter_constraints

_rng = np.random.default_rng(1)
XS, XT = _rng.normal(size=(40, 4)), _rng.normal(size=(30, 4)) + 0.5
YS = np.arange(40) % 2
ONES = np.ones(40)


def put(X: np.ndarray, value: Any, dtype: Any = None) -> np.ndarray:
    """Copy of X with another value in the third row of the second column."""
    X = X.astype(dtype or X.dtype)
    X[2, 1] = value
    return X


def pandas(X: np.ndarray, columns: Any = COLUMNS) -> pd.DataFrame:
    return pd.DataFrame(X, columns=columns)


def polars(X: np.ndarray, columns: Any = COLUMNS) -> pl.DataFrame:
    return pl.DataFrame(X, schema=columns)


def fitted_attributes(estimator: Any) -> list[str]:
    return [name for name in vars(estimator) if name.endswith("_") and not name.startswith("__")]


def state(clf: DANNClassifier) -> dict[str, Any]:
    """Fitted attributes, with weights and random generators by value, and who holds them."""
    tensors = {**clf.module_.state_dict()}
    tensors |= {name: g.get_state() for name, g in clf.net_.generators_[0].items()}
    return {
        "tensors": {name: value.tolist() for name, value in tensors.items()},
        "optimizer": str(clf.net_.optimizer_.state_dict()),
        "net": id(clf.net_),
        "attributes": {
            name: np.asarray(getattr(clf, name)).tolist()
            for name in fitted_attributes(clf)
            if name not in ("net_", "module_")
        },
    }


def assert_says(error: BaseException, patterns: tuple[str, ...]) -> None:
    for pattern in patterns:
        assert re.search(pattern, str(error)), f"{pattern!r} is not in: {error}"


# Bad input of fit. Each case: arguments, type of the error, and what its text must hold: the value,
# the expectation, the remedy.

BAD = {
    # width
    "width": ((XS, YS, XT[:, :3]), ("X_target has 3 features", "X_source has 4", "make_pipeline")),
    "width of a later target": (
        (XS, YS, (XT, XT[:, :3])),
        (r"X_target\[1\] has 3 features", "X_source has 4", "make_pipeline"),
    ),
    "width, sparse": (
        (sparse.csr_array(XS), YS, sparse.csr_array(XT[:, :3])),
        ("X_target has 3 features", "X_source has 4", "make_pipeline"),
    ),
    "width 0": ((XS, YS, XT[:, :0]), ("X_target has 0 features", "has 4", "make_pipeline")),
    # columns
    **{
        f"{what} column, {frame.__name__}": (
            (frame(XS), YS, frame(XT[:, : len(columns)], columns)),
            ("columns of X_target differ", *says, "same columns|make_pipeline"),
        )
        for frame in (pandas, polars)
        for what, columns, says in (
            ("renamed", ["z", "b", "c", "d"], (r"missing \['a'\]", r"\['z'\]")),
            ("missing", ["a", "b", "c"], (r"missing \['d'\]",)),
        )
    },
    **{
        f"extra column, {frame.__name__}": (
            (frame(XS[:, :3], COLUMNS[:3]), YS, frame(XT)),
            ("columns of X_target differ", r"not in the source \['d'\]", "same columns"),
        )
        for frame in (pandas, polars)
    },
    # values
    **{
        f"{value} in {side}, {name}": (
            (
                make(put(XS, value) if side == "X_source" else XS),
                YS,
                make(put(XT, value) if side == "X_target" else XT),
            ),
            (side, says),
        )
        for value, says in ((np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity"))
        for side in ("X_source", "X_target")
        for name, make in (
            ("array", np.asarray),
            ("sparse", sparse.csr_array),
            ("pandas", pandas),
            ("polars", polars),
        )
    },
    "missing values want a remedy": (
        (XS, YS, put(XT, np.nan)),
        ("X_target", "NaN", "[Ii]mput|drop"),
    ),
    "null, polars": (
        (polars(XS), YS, polars(put(XT, np.nan)).fill_nan(None)),
        ("X_target", "NaN"),
    ),
    "pandas.NA": ((pandas(XS), YS, pandas(put(XT, np.nan)).convert_dtypes()), ("X_target", "NaN")),
    "nan in a later target": ((XS, YS, (XT, put(XT, np.nan))), (r"X_target\[1\]", "NaN")),
    **{
        f"{value:g}, too large, {side}, {name}": (
            (
                make(put(XS, value) if side == "X_source" else XS),
                YS,
                make(put(XT, value) if side == "X_target" else XT),
            ),
            (side, "too large for float32", r"3\.4e\+38", "scale", "make_pipeline"),
        )
        for value in (1e39, -1e200)
        for side in ("X_source", "X_target")
        for name, make in (("array", np.asarray), ("sparse", sparse.csr_array))
    },
    "complex source": ((XS * 1j, YS, XT), ("Complex data not supported",)),
    "complex target": ((XS, YS, XT * 1j), ("Complex data not supported", "X_target")),
    "text array": ((XS, YS, XT.astype(str)[:, :4].astype("<U3")), ("X_target", "[Ee]ncod|numeric")),
    "text column, array": (
        (XS, YS, put(XT, "red", object)),
        ("X_target", "red", "[Ee]ncod|numeric"),
    ),
    "text column, pandas": (
        (pandas(XS).assign(a="red"), YS, pandas(XT).assign(a="red")),
        ("X_source", "red", "[Ee]ncod|numeric"),
    ),
    "dates": (
        (pandas(XS), YS, pandas(XT).assign(a=pd.Timestamp("2020-01-01"))),
        ("X_target", "[Ee]ncod|numeric"),
    ),
    # sizes
    "empty": ((XS, YS, XT[:0]), ("-1 has 0 rows", "at least 2", "Leave it out")),
    "one row": ((XS, YS, XT[:1]), ("-1 has 1 row;", "at least 2", "Leave it out")),
    "empty in a tuple": ((XS, YS, (XT, XT[:0])), ("-2 has 0 rows", "at least 2", "Leave it out")),
    "empty tuple": ((XS, YS, ()), ("empty tuple", "one array a target domain", "None")),
    "None in a tuple": ((XS, YS, (XT, None)), (r"X_target\[1\]", "2-D|None")),
    "list of targets": ((XS, YS, [XT, XT]), ("X_target", "2-D", "tuple")),
    "list of targets of other lengths": ((XS, YS, [XT, XT[:9]]), ("X_target", "2-D", "tuple")),
    "nothing at all": (([], [], XT), ("X_source|2D array|0 sample",)),
    "empty list": ((XS, YS, []), ("X_target", r"2-D", r"\(0,\)")),
    "one row in sample_domain": (
        (XS, YS, None, {"sample_domain": put(ONES[:, None].repeat(2, 1), -3).astype(int)[:, 1]}),
        ("-3 has 1 row;", "at least 2"),
    ),
    # labels
    "one class": ((XS, np.full(40, "yes"), XT), ("1 class", "yes", "at least 2 classes")),
    "one class of positive weight": (
        (XS, YS, XT, {"sample_weight": YS}),
        ("1 class", "positive weight", "at least 2 classes"),
    ),
    "one class in the source rows": (
        (XS, YS, None, {"sample_domain": YS - 1}),
        ("1 class", "at least 2 classes"),
    ),
    "labels of both domains": (
        (XS, np.arange(70) % 2, XT),
        ("70 labels", "40 rows", "target rows need none"),
    ),
    "y_source and X_target swapped": (
        (XS, XT, YS),
        (r"y_source must be 1-D|X_target must be 2-D", r"fit\(X_source, y_source, X_target\)"),
    ),
    "labels as X_target": (
        (XS, YS, YS),
        ("X_target must be 2-D", r"\(40,\)", r"fit\(X_source, y_source, X_target\)"),
    ),
    "two columns of labels": (
        (XS, np.c_[YS, YS], XT),
        ("y_source must be 1-D", r"\(40, 2\)", r"fit\(X_source, y_source, X_target\)"),
    ),
    "no labels": ((XS, None, XT), ("y is None", "y_source")),
    "numbers for labels": ((XS, XS[:, 0], XT), ("continuous",)),
    "nan labels": ((XS, np.where(YS, np.nan, 1), XT), ("y_source", "NaN")),
    "None labels": (
        (XS, np.where(YS, None, "a"), XT),
        ("y_source", "None", "drop", "sample_domain"),
    ),
    "pandas.NA labels": (
        (XS, pd.Series(np.where(YS, pd.NA, "a"), dtype="string"), XT),
        ("y_source", "NaN|NA", "drop", "sample_domain"),
    ),
    "labels of two types": ((XS, np.array([1, "a"] * 20, dtype=object), XT), ("y_source", "type")),
    # weights
    "negative weight": (
        (XS, YS, XT, {"sample_weight": put(ONES[:, None].repeat(2, 1), -2)[:, 1]}),
        ("sample_weight", "-2", ">= 0"),
    ),
    "weights all zero": (
        (XS, YS, XT, {"sample_weight": 0 * ONES}),
        ("[Ss]ample.weight", "zero", "positive"),
    ),
    "weights of sources all zero": (
        (XS, YS, None, {"sample_weight": YS, "sample_domain": -YS}),
        ("[Ss]ample.weight", "zero", "positive"),
    ),
    "weights, wrong length": (
        (XS, YS, XT, {"sample_weight": ONES[1:]}),
        ("sample_weight", "39", "40"),
    ),
    "weights of both domains": (
        (XS, YS, XT, {"sample_weight": np.ones(70)}),
        ("sample_weight", "70", "40"),
    ),
    "nan weight": ((XS, YS, XT, {"sample_weight": ONES * np.nan}), ("sample_weight", "NaN")),
    # domains
    "sample_domain, wrong length": (
        (XS, YS, None, {"sample_domain": np.zeros(39, int)}),
        ("sample_domain has 39", "40 rows", "one a row"),
    ),
    **{
        f"sample_domain of {name}": (
            (XS, YS, None, {"sample_domain": values}),
            ("sample_domain must hold integers", says, "negative number"),
        )
        for name, values, says in (
            ("fractions", ONES / 2, "float64"),
            ("nan", ONES * np.nan, "float64"),
            ("inf", ONES * np.inf, "float64"),
            ("text", ["s"] * 40, "<U1"),
            ("bool", YS == 1, "bool"),
        )
    },
    **{
        f"sample_domain, {name}": (
            (XS, YS, None, {"sample_domain": value}),
            ("sample_domain", "1-?[dD]"),
        )
        for name, value in (("2-D", np.zeros((40, 2), int)), ("scalar", 0))
    },
    "sample_domain all negative": (
        (XS, YS, XT, {"sample_domain": -ONES.astype(int)}),
        ("sample_domain is negative in every row", "no labelled source row", ">= 0"),
    ),
    # containers
    **{
        f"{name} source, {other} target": (
            (make(XS), YS, make_other(XT)),
            (f"X_target is .*{other}", f"X_source is .*{name}", "make_pipeline"),
        )
        for name, make, other, make_other in (
            ("frame", pandas, "array", np.asarray),
            ("array", np.asarray, "frame", polars),
            ("sparse", sparse.csr_array, "array", np.asarray),
            ("array", np.asarray, "sparse", sparse.csr_array),
            ("frame", pandas, "sparse", sparse.csr_array),
        )
    },
}


@pytest.mark.parametrize(("arguments", "says"), BAD.values(), ids=BAD)
@pytest.mark.usefixtures("no_training")
def test_bad_input_is_refused_before_training(
    make_clf: Any, arguments: tuple[Any, ...], says: tuple[str, ...]
) -> None:
    *data, params = arguments if isinstance(arguments[-1], dict) else (*arguments, {})
    clf = make_clf()
    with pytest.raises((ValueError, TypeError)) as caught:
        clf.fit(*data, **params)
    assert_says(caught.value, says)
    assert fitted_attributes(clf) == []


def test_what_the_bad_input_is_made_of_fits(make_clf: Any) -> None:
    make_clf().fit(XS, YS, XT)
    make_clf().fit(pandas(XS), YS, polars(XT))
    make_clf().fit(sparse.csr_array(XS), YS, sparse.csr_array(XT), sample_weight=ONES)
    make_clf().fit(XS, YS, (XT, XT[:2]), sample_domain=np.arange(40) // 2 - 2)


def test_a_refused_refit_leaves_the_earlier_fit_as_it_was(make_clf: Any) -> None:
    clf = make_clf().fit(XS, YS, XT)
    before = state(clf)
    with pytest.raises(ValueError, match="2 features"):
        clf.fit(XS, YS, XT[:, :2])
    assert state(clf) == before


@pytest.mark.parametrize("frame", [pandas, polars])
@pytest.mark.parametrize("wrap", [lambda X: X, lambda X: (X,)], ids=["bare", "tuple"])
def test_columns_in_another_order_are_matched_by_name(
    make_clf: Any, assert_same_fit: Any, frame: Any, wrap: Any
) -> None:
    order = [2, 0, 3, 1]
    ordered = make_clf().fit(frame(XS), YS, frame(XT))
    shuffled = frame(XT[:, order], [COLUMNS[i] for i in order])
    matched = make_clf().fit(frame(XS), YS, wrap(shuffled))
    assert_same_fit(ordered, matched)
    assert matched.feature_names_in_.tolist() == COLUMNS
    by_position = make_clf().fit(XS, YS, XT[:, order])
    with pytest.raises(AssertionError):  # the order matters, so the match above says something
        assert_same_fit(ordered, by_position)


def test_integer_column_names_are_not_taken_by_position(
    make_clf: Any, assert_same_fit: Any
) -> None:
    source, target = pd.DataFrame(XS), pd.DataFrame(XT)
    ordered = make_clf().fit(source, YS, target)
    try:
        matched = make_clf().fit(source, YS, target[[2, 0, 3, 1]])
    except ValueError as error:
        assert_says(error, ("X_target", "column"))
    else:
        assert_same_fit(ordered, matched)


# Constructor parameters


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
                values.append(interval.right + 1)
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


@pytest.mark.usefixtures("no_training")
def test_an_unknown_device_is_refused(make_clf: Any) -> None:
    with pytest.raises(ValueError, match="device"):
        make_clf(device="abacus").fit(XS, YS, XT)


@pytest.mark.usefixtures("no_training")
def test_early_stopping_needs_rows_to_train_on(make_clf: Any) -> None:
    clf = make_clf(early_stopping=True, validation_fraction=0.99)
    with pytest.raises(ValueError, match=r"3 of 3 source rows.*lower validation_fraction"):
        clf.fit(XS[:3], YS[:3], XT)


# Warnings


def test_without_target_rows_there_is_one_warning_that_points_here(make_clf: Any) -> None:
    with pytest.warns(SourceOnlyWarning, match="X_target") as caught:
        make_clf().fit(XS, YS)
    assert [w.category for w in caught] == [SourceOnlyWarning]
    assert caught[0].filename == __file__


@pytest.mark.parametrize("n_targets", [1, 2])
def test_an_unscaled_target_in_a_plain_pipeline_warns(make_clf: Any, n_targets: int) -> None:
    source, target = 300 * XS + 5000, 300 * XT + 5000
    pipe = plain_pipeline(StandardScaler(), make_clf())
    scaled = StandardScaler().fit(source).transform(target)
    targets = (scaled,) * (n_targets - 1) + (target,)
    with pytest.warns(UserWarning, match=r"X_target is not.*skdann\.make_pipeline") as caught:
        pipe.fit(source, YS, dannclassifier__X_target=targets)
    assert len(caught) == 1


def test_a_scaled_target_does_not_warn(make_clf: Any) -> None:
    source, target = 300 * XS + 5000, 300 * XT + 5000
    scaled = StandardScaler().fit(source).transform(target)
    pipe = plain_pipeline(StandardScaler(), make_clf())
    pipe.fit(source, YS, dannclassifier__X_target=scaled)  # a warning would be an error
    make_pipeline(StandardScaler(), make_clf()).fit(source, YS, X_target=target)
    make_clf().fit(source, YS, target)  # neither is scaled: not for us to say


# The caller's data


def digest(data: Any) -> str:
    """Hash of everything in a container, taken from its raw content."""
    if data is None:
        return ""
    if isinstance(data, tuple):
        return "".join(map(digest, data))
    if sparse.issparse(data):
        return digest((data.data, data.indices, data.indptr))
    if hasattr(data, "columns"):
        head = pickle.dumps([str(c) for c in data.columns])
        return hashlib.sha256(head).hexdigest() + digest(data.to_numpy())
    array = np.asarray(data)
    raw = pickle.dumps(array.tolist()) if array.dtype == object else array.tobytes()
    return hashlib.sha256(raw).hexdigest()


CONTAINERS: dict[str, Callable[[np.ndarray], Any]] = {
    "float64": np.array,
    "float32": lambda X: np.array(X, dtype=np.float32),
    "float32, Fortran": lambda X: np.array(X, dtype=np.float32, order="F"),
    "CSR float32": lambda X: sparse.csr_array(X, dtype=np.float32),
    "CSC": sparse.csc_matrix,
    "pandas": pandas,
    "pandas float32": lambda X: pandas(X.astype(np.float32)),
    "polars": polars,
}


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
def test_the_callers_data_is_never_written_to(make_clf: Any, make: Any) -> None:
    # a weight of 0, early stopping and pooled target rows take every path that selects or copies
    weight, domain = put(ONES[:, None].repeat(2, 1), 0)[:, 1], np.where(np.arange(40) % 7, 0, -2)
    X, y, X_target = make(XS), YS.copy(), (make(XT), make(XT + 1))
    before = [digest(data) for data in (X, y, X_target, weight, domain)]
    clf = make_clf(early_stopping=True, class_weight="balanced", normalization="batch")
    clf.fit(X, y, X_target, sample_weight=weight, sample_domain=domain)
    clf.set_params(early_stopping=False, warm_start=True)
    clf.fit(X, y, X_target, sample_weight=weight, sample_domain=domain)
    clf.partial_fit(X, y, X_target, sample_weight=weight, sample_domain=domain)
    clf.predict(X, sample_domain=domain)
    clf.transform(X_target[0])
    clf.predict_domain_proba(X_target[1])
    assert [digest(data) for data in (X, y, X_target, weight, domain)] == before


def test_read_only_arrays_and_memmaps_fit_as_others_do(
    make_clf: Any, assert_same_fit: Any, tmp_path: Path
) -> None:
    def read_only(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array.flags.writeable = False
        return array

    def memmap(array: np.ndarray) -> np.ndarray:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r")

    arrays = (XS.astype(np.float32), YS, XT.astype(np.float32))
    weight = np.arange(40) + 1.0
    expected = make_clf().fit(*arrays, sample_weight=weight)
    for make in (read_only, memmap):
        clf = make_clf().fit(*map(make, arrays), sample_weight=make(weight))
        assert_same_fit(clf, expected)
        assert_array_equal(clf.predict_proba(make(XT)), expected.predict_proba(XT))
    frozen = sparse.csr_array(XS)
    for part in (frozen.data, frozen.indices, frozen.indptr):
        part.flags.writeable = False
    clf = make_clf().fit(frozen, YS, sparse.csr_array(XT))
    clf.predict(frozen)


# What is equal


@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
def test_every_container_gives_the_fit_of_float32_arrays(
    make_clf: Any, assert_same_fit: Any, make: Any
) -> None:
    expected = make_clf().fit(XS.astype(np.float32), YS, XT.astype(np.float32))
    assert_same_fit(make_clf().fit(make(XS), YS, make(XT)), expected)


def pool(*parts: np.ndarray, seed: int = 0) -> tuple[np.ndarray, list[np.ndarray]]:
    """Mix rows of several arrays, each in its own order; return where each array's rows went."""
    lengths = [len(part) for part in parts]
    owner = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(parts)), lengths))
    places = [np.flatnonzero(owner == i) for i in range(len(parts))]
    pooled = np.empty((len(owner), parts[0].shape[1]))
    for part, place in zip(parts, places, strict=True):
        pooled[place] = part
    return pooled, places


@pytest.mark.parametrize(
    "ignored",
    [
        np.array([7], dtype=int),
        np.array([np.nan]),
        np.array([None]),
        np.array(["?"], dtype=object),
        np.array([pd.NA], dtype=object),
    ],
    ids=["any label", "nan", "None", "another type", "pandas.NA"],
)
@pytest.mark.parametrize("labels", [int, str])
def test_pooled_rows_equal_a_separate_target(
    make_clf: Any, assert_same_fit: Any, ignored: np.ndarray, labels: type
) -> None:
    y = np.array(["no", "yes"])[YS] if labels is str else YS
    X, (source, target) = pool(XS, XT)
    if ignored.dtype != object:
        ignored = ignored.astype(str) if labels is str else ignored
    pooled_y = np.empty(len(X), dtype=np.result_type(y.dtype, ignored.dtype))
    pooled_y[source], pooled_y[target] = y, ignored[0]
    domain = np.zeros(len(X), dtype=int)
    domain[target] = -1
    separate = make_clf().fit(XS, y, XT)
    pooled = make_clf().fit(X, pooled_y, sample_domain=domain)
    assert_same_fit(pooled, separate)
    assert_array_equal(pooled.classes_, separate.classes_)
    assert_array_equal(pooled.predict(XT), separate.predict(XT))
    assert pooled.domains_.tolist() == separate.domains_.tolist() == [0, -1]


@pytest.mark.parametrize("make", [list, pd.Series, pl.Series], ids=["list", "pandas", "polars"])
def test_labels_of_pooled_target_rows_may_be_missing_in_any_container(
    make_clf: Any, assert_same_fit: Any, make: Any
) -> None:
    X, (source, target) = pool(XS, XT)
    y: list[Any] = [None] * len(X)
    for row, label in zip(source, YS, strict=True):
        y[row] = int(label)
    domain = np.zeros(len(X), dtype=int)
    domain[target] = -1
    assert_same_fit(make_clf().fit(X, make(y), sample_domain=domain), make_clf().fit(XS, YS, XT))


def test_pooled_domains_equal_separate_ones_of_any_name(
    make_clf: Any, assert_same_fit: Any
) -> None:
    X, (source, first, _) = pool(XS, XT, XT[:9] - 1)
    y, domain = np.full(len(X), 1), np.full(len(X), -40)
    y[source], domain[source], domain[first] = YS, 5 - 3 * YS, -4
    separate = make_clf().fit(XS, YS, (XT, XT[:9] - 1), sample_domain=1 - YS)
    pooled = make_clf().fit(X, y, sample_domain=domain)
    assert_same_fit(pooled, separate)
    assert separate.domains_.tolist() == [0, 1, -1, -2]
    assert pooled.domains_.tolist() == [2, 5, -4, -40]
    assert pooled.predict_domain_proba(XT).shape == (30, 4)


@pytest.mark.parametrize("make", [np.asarray, sparse.csr_array, pandas])
@pytest.mark.parametrize("left_out", ["rows", "a class", "a source domain"])
def test_rows_of_weight_0_equal_leaving_them_out(
    make_clf: Any, assert_same_fit: Any, make: Any, left_out: str
) -> None:
    y, domain = np.arange(40) % 3, np.arange(40) // 20
    kept = {"rows": np.arange(40) % 7 > 1, "a class": y > 0, "a source domain": domain > 0}[
        left_out
    ]
    weight = np.where(kept, np.linspace(0.5, 2, 40), 0)
    X_target = make(XT)
    zero = make_clf().fit(make(XS), y, X_target, sample_weight=weight, sample_domain=domain)
    less = make_clf().fit(
        make(XS[kept]), y[kept], X_target, sample_weight=weight[kept], sample_domain=domain[kept]
    )
    assert_same_fit(zero, less)
    assert_array_equal(zero.classes_, less.classes_)
    assert_array_equal(zero.domains_, less.domains_)


# Properties of all inputs

DTYPES = hnp.floating_dtypes(endianness="=") | hnp.integer_dtypes() | hnp.unsigned_integer_dtypes()
ANY_CONTAINER = st.sampled_from(
    [
        np.asarray,
        np.asfortranarray,
        np.ndarray.tolist,
        pandas,
        polars,
        functools.partial(np.ndarray.astype, dtype=object),
        *(getattr(sparse, f"{kind}_array") for kind in ("csr", "csc", "coo", "lil", "dia", "dok")),
        sparse.bsr_matrix,
    ]
)


@st.composite
def finite_rows(draw: Any, n_features: int = 4) -> np.ndarray:
    dtype = draw(DTYPES | st.just(np.dtype(bool)))
    finite = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    shape = (draw(st.integers(0, 6)), n_features)
    return draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(dtype, **finite)))


@given(source=finite_rows(), target=finite_rows(), make=ANY_CONTAINER, make_target=ANY_CONTAINER)
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
def test_any_finite_rows_fit_or_are_refused(
    source: np.ndarray, target: np.ndarray, make: Any, make_target: Any
) -> None:
    clf = DANNClassifier(feature_extractor=(3,), max_epochs=1, random_state=0)
    y = np.arange(len(source)) % 2
    try:
        X, X_target = make(source), make_target(target)
    except (TypeError, ValueError, pl.exceptions.PolarsError):
        assume(False)  # the container itself has no such dtype, as sparse has no float16
    with warnings.catch_warnings():
        # whether the target looks unscaled is not what is tested here
        warnings.filterwarnings("ignore", message="X_source looks standardised")
        try:
            clf.fit(X, y, X_target)
        except (ValueError, TypeError):
            assert fitted_attributes(clf) == []
            return
    for rows in (X, X_target):
        probability = clf.predict_proba(rows)
        assert np.isfinite(probability).all()
        assert np.isin(clf.predict(rows), [0, 1]).all()


@given(
    domain=st.lists(
        st.integers(-4, 4) | st.sampled_from([-(10**9), 10**9]), min_size=4, max_size=20
    ),
    n_separate=st.integers(0, 3),
    dtype=st.sampled_from([int, np.int32, float]),
)
def test_domains_are_sources_ascending_then_targets_descending(
    domain: list[int], n_separate: int, dtype: Any
) -> None:
    X = np.arange(float(len(domain)))[:, None]
    separate = [np.full((3, 1), 100.0 + j) for j in range(n_separate)]
    sources = sorted({name for name in domain if name >= 0})
    rows_of = {
        name: [r[0] for r, own in zip(X, domain, strict=True) if own == name] for name in domain
    }
    for j in range(n_separate):
        rows_of[-1 - j] = rows_of.get(-1 - j, []) + [100.0 + j] * 3
    targets = sorted((name for name in rows_of if name < 0), reverse=True)
    is_source = np.array(domain) >= 0
    y = np.cumsum(is_source) % 2
    call = functools.partial(
        check_domains, X, y, tuple(separate) or None, sample_domain=np.array(domain, dtype=dtype)
    )
    is_bad = is_source.sum() < 2 or any(len(rows_of[name]) < 2 for name in targets)
    if is_bad:
        with pytest.raises(ValueError, match=r"sample_domain|at least 2"):
            call()
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error" if targets else "ignore", SourceOnlyWarning)
        data = call()
    assert data.domains.tolist() == sources + targets
    assert data.n_targets == len(targets)
    assert data.n_source == is_source.sum()
    assert data.X[: data.n_source, 0].tolist() == X[is_source, 0].tolist()
    assert data.domains[data.domain[: data.n_source]].tolist() == [d for d in domain if d >= 0]
    for index, name in enumerate(sources + targets):
        assert sorted(data.X[data.domain == index, 0]) == sorted(rows_of[name])


# partial_fit


@pytest.mark.usefixtures("no_training")
def test_partial_fit_wants_the_classes_first(make_clf: Any) -> None:
    clf = make_clf()
    with pytest.raises(ValueError, match=r"classes must be passed on the first call.*np\.unique"):
        clf.partial_fit(XS, YS, XT)
    assert fitted_attributes(clf) == []


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("classes", "says"),
    [
        ([0, 2], (r"labels \[1\]", r"\[0, 2\]", "all classes")),
        (["no", "yes"], (r"labels \[0, 1\]", "no", "all classes")),
        ([1], ("labels|at least 2",)),
    ],
)
def test_partial_fit_refuses_labels_that_are_no_class(
    make_clf: Any, classes: Any, says: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the texts are the parameters
        make_clf().partial_fit(XS, YS, XT, classes=classes)
    assert_says(caught.value, says)


PARTIAL_BAD = {
    "other classes": (
        (XS, YS, XT, {"classes": [0, 1, 5]}),
        (r"classes=\[0, 1, 5\]", r"\[0, 1, 2\]", "omit classes|fit a new"),
    ),
    "unknown label": ((XS, YS + 2, XT), (r"labels \[3\]", r"\[0, 1, 2\]", "all classes")),
    "width": ((XS[:, :3], YS, XT[:, :3]), ("3 features", "expecting 4", "fit a new")),
    "more targets": ((XS, YS, (XT, XT)), (r"\[0, -1, -2\] domains", r"\[0, -1\]", "fit a new")),
    "no target": ((XS, YS, None), (r"\[0\] domains", r"\[0, -1\]", "fit a new")),
    "no labels": ((XS, None, XT), ("y_source",)),
}


# a chunk without target rows warns too, before it is refused
@pytest.mark.filterwarnings("ignore::skdann.SourceOnlyWarning")
@pytest.mark.parametrize(("arguments", "says"), PARTIAL_BAD.values(), ids=PARTIAL_BAD)
def test_a_refused_chunk_changes_nothing(make_clf: Any, arguments: Any, says: Any) -> None:
    clf = make_clf().partial_fit(XS, YS, XT, classes=[0, 1, 2])
    before = state(clf)
    *data, params = arguments if isinstance(arguments[-1], dict) else (*arguments, {})
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the texts are the parameters
        clf.partial_fit(*data, **params)
    assert_says(caught.value, says)
    assert state(clf) == before


def test_partial_fit_takes_the_classes_again_in_any_order(
    make_clf: Any, assert_same_fit: Any
) -> None:
    again = make_clf().partial_fit(XS, YS, XT, classes=[2, 0, 1])
    again.partial_fit(XS, YS, XT, classes=[1, 0, 2])
    silent = make_clf().partial_fit(XS, YS, XT, classes=[0, 1, 2]).partial_fit(XS, YS, XT)
    assert_same_fit(again, silent)
    assert again.classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("is_fitted", [False, True])
def test_partial_fit_holds_nothing_out(
    make_clf: Any, assert_same_fit: Any, is_fitted: bool
) -> None:
    stopping, plain = make_clf(early_stopping=True), make_clf()
    for clf in (stopping, plain):
        if is_fitted:
            clf.fit(XS, YS, XT)
        clf.partial_fit(XS, YS, XT, classes=[0, 1])
    if not is_fitted:
        assert_same_fit(stopping, plain)


@pytest.mark.parametrize("goes_on", ["partial_fit", "warm_start"])
@pytest.mark.parametrize("frame", [pandas, polars])
@pytest.mark.parametrize("columns", [list("dabc"), list("abcz")], ids=["order", "names"])
def test_going_on_with_other_columns_matches_them_or_is_refused(
    make_clf: Any, assert_same_fit: Any, goes_on: str, frame: Any, columns: list[str]
) -> None:
    def go_on(clf: DANNClassifier, *data: Any) -> DANNClassifier:
        return clf.fit(*data) if goes_on == "warm_start" else clf.partial_fit(*data)

    def first() -> DANNClassifier:
        if goes_on == "warm_start":
            return make_clf(warm_start=True).fit(frame(XS), YS, frame(XT))
        return make_clf().partial_fit(frame(XS), YS, frame(XT), classes=[0, 1])

    expected = go_on(first(), frame(XS), YS, frame(XT))
    index = [COLUMNS.index(name) if name in COLUMNS else 3 for name in columns]
    clf = first()
    try:
        go_on(clf, frame(XS[:, index], columns), YS, frame(XT[:, index], columns))
    except ValueError as error:
        assert_says(error, ("feature names|columns",))
    else:
        assert set(columns) == set(COLUMNS), "columns of other names were trained on"
        assert_same_fit(clf, expected)


# Inference

METHODS = ("predict", "predict_proba", "predict_log_proba", "transform", "predict_domain_proba")


@pytest.mark.parametrize("method", METHODS)
def test_inference_refuses_rows_unlike_those_of_the_fit(make_clf: Any, method: str) -> None:
    clf = make_clf().fit(pandas(XS), YS, pandas(XT))
    infer = getattr(clf, method)
    for rows, says in (
        (pandas(XT).rename(columns={"a": "z"}), "unseen at fit time(.|\n)*z"),
        (pandas(XT)[["b", "a", "c", "d"]], "same order"),
        (pandas(XT)[["a", "b"]], "missing(.|\n)*c"),
        (pandas(put(XT, np.nan)), "NaN"),
        (pandas(put(XT, np.inf)), "infinity"),
    ):
        with pytest.raises(ValueError, match=says):
            infer(rows)
    infer = getattr(make_clf().fit(XS, YS, XT), method)
    for rows, says in (
        (XT[:, :3], "3 features, but DANNClassifier is expecting 4"),
        (sparse.csr_array(XT[:, :3]), "3 features, but DANNClassifier is expecting 4"),
        (XT[0], "2D array, got 1D"),
        (XT[:0], "0 sample"),
        (put(XT, "red", object), "red"),
        (XT * 1j, "Complex data not supported"),
    ):
        with pytest.raises(ValueError, match=says):
            infer(rows)


@pytest.mark.parametrize("method", METHODS)
def test_inference_refuses_values_too_large_for_float32(make_clf: Any, method: str) -> None:
    clf = make_clf().fit(XS, YS, XT)
    for make in (np.asarray, sparse.csr_array):
        with pytest.raises(ValueError, match=r"too large for (float32|dtype)"):
            getattr(clf, method)(make(put(XT, 1e39)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("domain", "says"),
    [
        (5, r"contains \[5\].*\[0, -1\]"),
        (np.full(30, -2), r"contains \[-2\].*\[0, -1\]"),
        (np.full(29, -1), "29 entries.*30 rows"),
        (np.full(30, -0.5), "must hold integers.*float64"),
        (["t"] * 30, "must hold integers"),
        (np.full((30, 2), -1), "sample_domain.*1-?[dD]"),
    ],
    ids=["scalar", "vector", "length", "fraction", "text", "2-D"],
)
def test_inference_refuses_unknown_domains(
    make_clf: Any, method: str, domain: Any, says: str
) -> None:
    clf = make_clf(normalization="domain_batch").fit(XS, YS, XT)
    with pytest.raises(ValueError, match=says):
        getattr(clf, method)(XT, sample_domain=domain)


def test_sample_domain_chooses_the_statistics_of_inference(make_clf: Any) -> None:
    clf = make_clf(normalization="domain_batch").fit(XS, YS, XT)
    as_source, as_target = (clf.predict_proba(XT, sample_domain=name) for name in (0, -1))
    assert not np.allclose(as_source, as_target)
    mixed = clf.predict_proba(XT, sample_domain=np.arange(30) % 2 - 1)
    assert_array_equal(mixed, np.where(np.arange(30)[:, None] % 2, as_source, as_target))


@pytest.mark.parametrize("method", METHODS)
def test_inference_wants_a_fit(make_clf: Any, method: str) -> None:
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(make_clf(), method)(XT)


def test_some_rows_of_many_tell_whether_the_target_is_unscaled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20_000, 3)), np.arange(20_000) % 2
    monkeypatch.setattr(skdann._input.scales, "ROWS_LOOKED_AT", 500)
    with pytest.warns(UserWarning, match="X_target is not"):
        check_domains(X, y, 30 * X + 5, estimator="DANNClassifier")
    far = np.where(np.arange(20_000)[:, None] % 40, 30 * X + 5, X)  # but those looked at
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_domains(X, y, far, estimator="DANNClassifier")


def test_without_target_there_are_no_domain_probabilities(make_clf: Any) -> None:
    with pytest.warns(SourceOnlyWarning):
        clf = make_clf().fit(XS, YS)
    with pytest.raises(ValueError, match=r"source alone.*X_target"):
        clf.predict_domain_proba(XT)


def test_dates_are_refused_in_both_domains_and_in_predict() -> None:
    X, y = np.random.RandomState(0).standard_normal((20, 2)), np.arange(20) % 2
    dates = np.arange(40).reshape(20, 2).astype("M8[s]")
    with pytest.raises(TypeError, match=r"X_source must hold .* datetime64.*; encode dates"):
        DANNClassifier().fit(dates, y, dates)
    clf = DANNClassifier(max_epochs=1).fit(X, y, X)
    with pytest.raises(TypeError, match=r"X must hold .* datetime64"):
        clf.predict(dates)


@pytest.mark.parametrize("dtype", ["M8[D]", "m8[s]"])
def test_labels_that_no_file_could_hold_are_refused(dtype: str) -> None:
    X, y = np.arange(40.0).reshape(20, 2), (np.arange(20) % 2).astype(dtype)
    with pytest.raises(TypeError, match=r"y_source must hold class labels: strings"):
        DANNClassifier().fit(X, y, X)


# Calls with arguments that fit does not take

CALLS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "labels of the target": (
        lambda clf: clf.fit(XS, YS, XT, np.ones(30)),
        "fit takes X_source, y_source, X_target by position.*labels of target rows are not taken",
    ),
    "y_target": (
        lambda clf: clf.fit(XS, YS, XT, y_target=np.ones(30)),
        "unexpected argument 'y_target': labels of target rows are not taken.*score predictions",
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
        ((XS, YS, XT, YS), {}, "by position but got 4 arguments: labels of target rows"),
        ((), {"X_source": XS, "y_source": YS}, "unexpected argument 'X_source'.*rows as X"),
        ((XS, YS), {"y_target": YS}, "unexpected argument 'y_target': labels of target rows"),
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


# Unlabelled rows and unscaled columns


@pytest.mark.parametrize(
    ("y", "is_hinted"),
    [
        (np.arange(40) % 3 - 1, True),
        ((np.arange(40) % 3 - 1.0), True),
        (pd.Series(np.arange(40) % 3 - 1, dtype="Int64"), True),
        (np.arange(40) % 4 - 2, True),
        (2 * YS - 1, False),
        (np.arange(40) % 3, False),
        ((np.arange(40) % 3 - 1).astype(str), False),
    ],
)
def test_minus_one_among_the_classes_is_explained_without_target_rows(
    make_clf: Any, y: Any, is_hinted: bool
) -> None:
    with pytest.warns(SourceOnlyWarning, match="X_target") as caught:
        make_clf().fit(XS, y)
    assert len(caught) == 1
    assert ("labelled -1" in str(caught[0].message)) == is_hinted
    if is_hinted:
        assert "negative sample_domain" in str(caught[0].message)
    make_clf().fit(XS, y, XT)  # with target rows, -1 is a class like any other


WIDE = XS * [1.0, 5000.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("source", "target", "params", "is_warned"),
    [
        (WIDE, XT * [1.0, 5000.0, 1.0, 1.0], {}, True),
        (WIDE, XT * [1e-4, 1.0, 1.0, 1.0], {}, True),
        (XS + np.array([0, 1e4, 0, 0]), XT + np.array([0, 1e4, 0, 0]), {}, True),
        (WIDE, XT, {}, False),  # it is the domains that differ
        (WIDE, XT * [1.0, 5000.0, 1.0, 1.0], {"standardize": "source"}, False),
        (WIDE, XT * [1.0, 5000.0, 1.0, 1.0], {"standardize": "domain"}, False),
        (WIDE, XT * [1.0, 5000.0, 1.0, 1.0], {"feature_extractor": torch.nn.Identity}, False),
        (XS * 5000 + 1e5, XT * 5000 + 1e5, {}, False),  # large, but alike
        (XS * [1, 100, 0.1, 10], XT * [1, 100, 0.1, 10], {}, False),
        (np.c_[XS[:, :2], XS[:, 2:] > 0] * [50, 1, 0.01, 1e5], XT * 20, {}, False),
        (np.c_[XS[:, :2], 0 * XS[:, 2:]], np.c_[XT[:, :2], 0 * XT[:, 2:]], {}, False),
        (sparse.csr_array(WIDE), sparse.csr_array(XT * [1.0, 5000.0, 1, 1]), {}, False),
    ],
)
def test_columns_on_very_different_scales_warn_once(
    make_clf: Any, source: Any, target: Any, params: Any, is_warned: bool
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make_clf(**params).fit(source, YS, target)
    texts = [str(warning.message) for warning in caught]
    assert len(texts) == is_warned
    if is_warned:
        assert "different scales" in texts[0]
        assert "standardize='source'" in texts[0]
        assert caught[0].filename == __file__


def test_chunks_warn_of_their_scales_at_the_first_call_alone(make_clf: Any) -> None:
    target = XT * [1.0, 5000.0, 1.0, 1.0]
    with pytest.warns(UserWarning, match="different scales"):
        clf = make_clf().partial_fit(WIDE, YS, target, classes=[0, 1])
    clf.partial_fit(WIDE, YS, target)  # a warning would be an error


# Chunks


def test_the_last_chunk_may_have_one_row_of_each_domain(make_clf: Any) -> None:
    for params in (
        {},
        {"normalization": "batch"},
        {"normalization": "domain_batch"},
        {"standardize": "domain"},
        {"label_shift": "correct"},
    ):
        clf = make_clf(**params).partial_fit(XS, YS, XT, classes=[0, 1])
        for source, target in ((40, 1), (1, 30), (1, 1), (2, 1)):
            clf.partial_fit(XS[:source], YS[:source], XT[:target])
        assert np.isfinite(clf.predict_proba(XT)).all()
        assert clf.n_epochs_ == 5


def test_the_first_chunk_wants_two_target_rows_and_says_so(make_clf: Any) -> None:
    with pytest.raises(ValueError, match="-1 has 1 row; at least 2 needed"):
        make_clf().partial_fit(XS, YS, XT[:1], classes=[0, 1])


def test_a_chunk_may_lack_classes_and_source_domains(make_clf: Any) -> None:
    domain = np.arange(40) // 20
    clf = make_clf(standardize="domain").partial_fit(
        XS, YS, XT, classes=[0, 1], sample_domain=domain
    )
    clf.partial_fit(XS[:20], np.zeros(20, int), XT, sample_domain=domain[:20])
    clf.partial_fit(XS[20:], YS[20:], XT, sample_domain=domain[20:])
    assert clf.domains_.tolist() == [0, 1, -1]
    assert clf.n_epochs_ == 3
    assert np.isfinite(clf.predict_domain_proba(XS, sample_domain=domain)).all()


def test_a_chunk_without_a_source_domain_indexes_the_others_as_before(make_clf: Any) -> None:
    """A chunk of the second domain alone trains as rows of the second, not of the first."""
    domain = np.arange(40) // 20
    data = check_domains(XS[20:], YS[20:], XT, sample_domain=domain[20:], domains=[0, 1, -1])
    assert set(data.domain[:20]) == {1}
    assert set(data.domain[20:]) == {2}
    assert data.domains.tolist() == [0, 1, -1]
    assert data.n_targets == 1
    whole = check_domains(XS, YS, XT, sample_domain=domain, domains=np.array([0, 1, -1]))
    assert whole.domain.tolist() == check_domains(XS, YS, XT, sample_domain=domain).domain.tolist()


CHUNKS: dict[str, tuple[tuple[Any, ...], dict[str, Any], tuple[str, ...]]] = {
    "no source rows": ((XS[:0], YS[:0], XT), {}, ("X_source has 0 sample", "skip chunks")),
    "no target rows": ((XS, YS, XT[:0]), {}, ("-1 has 0 rows", "at least 1", "Skip this chunk")),
    "no target": ((XS, YS), {}, (r"\[0\] domains", "rows of every target", "itertools.cycle")),
    "only target rows": (
        (XS, YS),
        {"sample_domain": -np.ones(40, int)},
        ("no labelled source row", ">= 0"),
    ),
    "another source": (
        (XS, YS, XT),
        {"sample_domain": np.arange(40) % 2 + 4},
        (r"\[4, 5, -1\] domains", r"\[0, -1\]", "fit a new"),
    ),
}


@pytest.mark.parametrize(("data", "params", "says"), CHUNKS.values(), ids=CHUNKS)
def test_chunks_that_cannot_be_trained_on_change_nothing(
    make_clf: Any, data: Any, params: Any, says: tuple[str, ...]
) -> None:
    clf = make_clf().partial_fit(XS, YS, XT, classes=[0, 1])
    before = state(clf)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the texts are the parameters
        clf.partial_fit(*data, **params)
    assert_says(caught.value, says)
    assert state(clf) == before
    clf.partial_fit(XS, YS, np.vstack([XT[:0], XT[:1]]))  # the remedy: earlier rows again


def test_the_remedy_for_too_few_target_rows_works(make_clf: Any) -> None:
    with pytest.raises(ValueError, match="Leave it out to train without it"):
        make_clf().fit(XS, YS, XT[:1])
    with pytest.warns(SourceOnlyWarning):
        make_clf().fit(XS, YS)


# Class weights


def test_class_weights_of_encoded_labels_are_explained(make_clf: Any) -> None:
    weights = {"ill": 2.0, "healthy": 1.0}
    members = [("a", make_clf(class_weight=weights))]
    with (
        sklearn.config_context(enable_metadata_routing=True),
        pytest.raises(ValueError, match=r"class_weight names.*meta-estimator.*0, 1, \.\.\."),
    ):
        VotingClassifier(members).fit(XS, np.where(YS, "ill", "healthy"), X_target=(XT,))
