"""Chunks of partial_fit: what they may lack, and errors that change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from skdann import DANNClassifier
from skdann._input.domains import check_domains
from tests.input.tables import (
    COLUMNS,
    XS,
    XT,
    YS,
    assert_says,
    fitted_attributes,
    pandas,
    polars,
    state,
)

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
