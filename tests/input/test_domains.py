"""Rows of several domains: every error is clear and comes before any training."""

from __future__ import annotations

import functools
import hashlib
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import clone

from skdann import DANNClassifier, SourceOnlyWarning
from skdann._input.domains import check_domains
from tests.input.tables import (
    COLUMNS,
    ONES,
    XS,
    XT,
    YS,
    assert_says,
    fitted_attributes,
    pandas,
    polars,
    put,
    state,
)

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
        for value, says in ((np.inf, "infinity"), (-np.inf, "infinity"))
        for side in ("X_source", "X_target")
        for name, make in (
            ("array", np.asarray),
            ("sparse", sparse.csr_array),
            ("pandas", pandas),
            ("polars", polars),
        )
    },
    **{
        f"nan in {side}, sparse": (
            (
                sparse.csr_array(put(XS, np.nan) if side == "X_source" else XS),
                YS,
                sparse.csr_array(put(XT, np.nan) if side == "X_target" else XT),
            ),
            (side, "NaN", "[Ii]mput|drop"),
        )
        for side in ("X_source", "X_target")
    },
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
    "text for numbers": (
        (pandas(XS), YS, pandas(XT).assign(a="red")),
        ("'a'", "numbers in X_source, categories or strings in X_target", "astype"),
    ),
    "dates for numbers": (
        (pandas(XS), YS, pandas(XT).assign(a=pd.Timestamp("2020-01-01"))),
        ("'a'", "numbers in X_source, dates in X_target", "convert"),
    ),
    # sizes
    "empty": ((XS, YS, XT[:0]), ("-1 has 0 rows", "at least 2", "Leave it out")),
    "one row": ((XS, YS, XT[:1]), ("-1 has 1 row;", "at least 2", "Leave it out")),
    "empty in a tuple": ((XS, YS, (XT, XT[:0])), ("-2 has 0 rows", "at least 2", "Leave it out")),
    "empty tuple": ((XS, YS, ()), ("empty tuple", "one array per target domain", "None")),
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
        ("sample_domain has 39", "40 rows", "one per row"),
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


# Warnings


def test_without_target_rows_there_is_one_warning_that_points_here(make_clf: Any) -> None:
    with pytest.warns(SourceOnlyWarning, match="X_target") as caught:
        make_clf().fit(XS, YS)
    assert [w.category for w in caught] == [SourceOnlyWarning]
    assert caught[0].filename == __file__


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
    clf = make_clf(standardize=None)  # which does not scale sparse rows
    expected = clone(clf).fit(XS.astype(np.float32), YS, XT.astype(np.float32))
    assert_same_fit(clf.fit(make(XS), YS, make(XT)), expected)


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
        # whether columns look unscaled is not what is tested here
        warnings.filterwarnings("ignore", message="X_source looks standardized")
        warnings.filterwarnings("ignore", message="The columns of X_source and X_target are on")
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


@pytest.mark.parametrize("dtype", ["M8[D]", "m8[s]"])
def test_labels_that_no_file_could_hold_are_refused(dtype: str) -> None:
    X, y = np.arange(40.0).reshape(20, 2), (np.arange(20) % 2).astype(dtype)
    with pytest.raises(TypeError, match=r"y_source must hold class labels: strings"):
        DANNClassifier().fit(X, y, X)


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


def test_the_remedy_for_too_few_target_rows_works(make_clf: Any) -> None:
    with pytest.raises(ValueError, match="Leave it out to train without it"):
        make_clf().fit(XS, YS, XT[:1])
    with pytest.warns(SourceOnlyWarning):
        make_clf().fit(XS, YS)
