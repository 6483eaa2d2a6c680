"""What every scorer promises: any classifier and container, copies, searches, routing, errors."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Iterator
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_validate,
)
from sklearn.pipeline import make_pipeline as make_plain_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from skdann import make_pipeline, model_selection
from skdann.model_selection import (
    DeepEmbeddedValidationScorer,
    ImportanceWeightedScorer,
    InformationMaximizationScorer,
    MixValScorer,
    ReverseValidationScorer,
    SoftNeighborhoodDensityScorer,
)
from tests.model_selection.common import SCORERS, WEIGHTED, Fixed, lines, random_proba

EACH = pytest.mark.parametrize("scorer_class", SCORERS)


def needs_labels(scorer_class: Any) -> bool:
    """Whether a scorer refuses to score without source labels."""
    try:
        scorer_class(lines(4))(Fixed(random_proba(4, 2)), lines(4))
    except ValueError as error:
        return "needs the labels of the source rows" in str(error)
    return False


SOURCE_SCORERS = [scorer_class for scorer_class in SCORERS if needs_labels(scorer_class)]
TARGET_SCORERS = [scorer_class for scorer_class in SCORERS if scorer_class not in SOURCE_SCORERS]


# All scorers


def test_the_tables_hold_every_scorer() -> None:
    assert len(SCORERS) >= 8
    assert ImportanceWeightedScorer in SOURCE_SCORERS
    assert MixValScorer in TARGET_SCORERS
    table = re.search(r"^=+ .*^=+", model_selection.__doc__, re.MULTILINE | re.DOTALL)
    listed = re.findall(r"^(\w+Scorer) ", table[0], re.MULTILINE)
    assert sorted(listed) == sorted(scorer_class.__name__ for scorer_class in SCORERS)


@EACH
def test_any_classifier_and_container(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    names = ["a", "b", "c", "d", "e"][: X.shape[1]]
    clf = LogisticRegression().fit(X, y)
    expected = scorer_class(X_target)(clf, X, y)
    approx = pytest.approx(expected, rel=1e-12)  # frames may be stored in another memory order
    assert np.isfinite(expected)
    assert isinstance(expected, float)
    assert scorer_class(X_target.tolist())(clf, X.tolist(), y.tolist()) == approx
    assert scorer_class((X_target,))(clf, X, y) == approx
    assert scorer_class((X_target[:20], X_target[20:]))(clf, X, y) == approx  # pooled
    for make_frame in (pd.DataFrame, pl.DataFrame):
        frame, *targets = (
            make_frame(dict(zip(names, rows.T, strict=True)))
            for rows in (X, X_target[:20], X_target[20:])
        )
        turned = tuple(target[names[::-1]] for target in targets)  # columns are matched by name
        of_frames = LogisticRegression().fit(frame, y)
        assert scorer_class(turned)(of_frames, frame, y) == approx


@EACH
def test_sparse_rows(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = (sp.csr_array(rows) if rows.ndim > 1 else rows for rows in shifted)
    clf = LogisticRegression().fit(X, y)
    whole = scorer_class(X_target)(clf, X, y)
    assert np.isfinite(whole)
    assert scorer_class((X_target[:20], X_target[20:]))(clf, X, y) == whole


@EACH
def test_documents(scorer_class: Any) -> None:
    texts = ["good film", "bad film", "good book", "bad book", "film", "good", "bad", "a good one"]
    y = [1, 0, 1, 0, 0, 1, 0, 1]
    pipe = make_plain_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, y)
    scorer = scorer_class((["good pen", "bad pen", "a bad one"], ["good", "a good pen"]))
    assert np.isfinite(scorer(pipe, texts, y))


@EACH
def test_column_transformer_on_frames(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    frames = [
        pd.DataFrame({"x": rows[:, 0], "z": rows[:, 1], "kind": np.where(rows[:, 1] > 0, "a", "b")})
        for rows in (X, X_target)
    ]
    encode = make_column_transformer((StandardScaler(), ["x", "z"]), (OneHotEncoder(), ["kind"]))
    for last in (LogisticRegression(), LinearDiscriminantAnalysis()):
        pipe = make_plain_pipeline(encode, last).fit(frames[0], np.where(y, "yes", "no"))
        score = scorer_class(frames[1])(pipe, frames[0], np.where(y, "yes", "no"))
        assert np.isfinite(score)


@EACH
@pytest.mark.parametrize("is_pipeline", [False, True], ids=["classifier", "pipeline"])
def test_our_classifier(scorer_class: Any, domains: Any, make_clf: Any, is_pipeline: bool) -> None:
    clf = make_pipeline(StandardScaler(), make_clf()) if is_pipeline else make_clf()
    clf.fit(domains.X_source, domains.y_source, X_target=domains.X_target)
    scorer = scorer_class((domains.X_target,))
    score = scorer(clf, domains.X_source, domains.y_source)
    assert np.isfinite(score)
    assert scorer(clf, domains.X_source, domains.y_source) == score


@pytest.mark.parametrize("scorer_class", TARGET_SCORERS)
def test_target_scorers_ignore_source_labels(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    scorer = scorer_class(X_target)
    assert scorer(clf, X) == scorer(clf, X[:9], 1 - y[:9])


@pytest.mark.parametrize(
    "scorer_class", [each for each in TARGET_SCORERS if each is not MixValScorer]
)
def test_order_of_rows_and_classes_does_not_matter(scorer_class: Any) -> None:
    proba = random_proba(30, 3)
    rows = lines(30)
    expected = scorer_class(rows)(Fixed(proba, (0, 1, 2)), rows)
    assert_allclose(scorer_class(rows[::-1])(Fixed(proba, (0, 1, 2)), rows), expected)
    assert_allclose(scorer_class(rows)(Fixed(proba[:, ::-1], (0, 1, 2)), rows), expected)


@EACH
def test_inputs_are_not_changed(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    before = copy.deepcopy((X, y, X_target))
    fitted = joblib.hash(clf)
    for rows in (X, y, X_target):
        rows.flags.writeable = False  # like the memory maps of joblib
    scorer = scorer_class(X_target)
    params = scorer.get_params()
    scorer(clf, X, y)
    for rows, earlier in zip((X, y, X_target), before, strict=True):
        assert_array_equal(rows, earlier)
    assert joblib.hash(clf) == fitted
    assert scorer.get_params() == params
    assert scorer.X_target is X_target


@EACH
def test_copies(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    scorer = scorer_class(X_target)
    expected = scorer(clf, X, y)
    for other in (pickle.loads(pickle.dumps(scorer)), clone(scorer), copy.deepcopy(scorer)):
        assert other(clf, X, y) == expected
        assert repr(other) == repr(scorer)
    assert vars(clone(scorer)).keys() == scorer.get_params().keys()


@EACH
def test_global_random_state_is_untouched(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    before = np.random.get_state()[1].tolist()
    scorer_class(X_target)(clf, X[::2], y[::2])
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize("params", [{"max_rows": 20}, {}], ids=["sample", "pairs"])
def test_without_a_seed_entropy_is_fresh(params: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    scorer_class = SoftNeighborhoodDensityScorer if params else MixValScorer
    scores = set()
    for _ in range(5):
        np.random.seed(0)  # the global state is not read
        before = np.random.get_state()[1].tolist()
        scores.add(scorer_class(X_target, random_state=None, **params)(clf, X))
        assert np.random.get_state()[1].tolist() == before
    assert len(scores) > 1


def test_repr() -> None:
    scorer = ImportanceWeightedScorer(np.ones((300, 2)), metric="log_loss", random_state=3)
    expected = "ImportanceWeightedScorer(X_target=<300 x 2>, metric='log_loss', random_state=3)"
    assert repr(scorer) == expected
    assert repr(MixValScorer()) == "MixValScorer()"
    two = SoftNeighborhoodDensityScorer((np.ones((3, 2)), np.ones((4, 2))), temperature=0.1)
    assert repr(two) == "SoftNeighborhoodDensityScorer(X_target=<3 x 2, 4 x 2>, temperature=0.1)"
    search = GridSearchCV(LogisticRegression(), {}, scoring=MixValScorer(np.ones((3, 2))))
    assert "MixValScorer(X_target=<3 x 2>)" in repr(search)


# Searches


def assert_scores_are_those_of_folds(search: Any, estimator: Any, scorer: Any, data: Any) -> None:
    """Assert that the scores of a search equal those of a loop over candidates and folds."""
    X, y, X_target = data
    for i, params in enumerate(search.cv_results_["params"]):
        for fold, (train, test) in enumerate(StratifiedKFold(3).split(X, y)):
            clf = clone(estimator).set_params(**params)
            fit_params = {"X_target": X_target} if "DANN" in str(estimator) else {}
            clf.fit(X[train], y[train], **fit_params)
            score = search.cv_results_[f"split{fold}_test_score"][i]
            assert score == scorer(clf, X[test], y[test])


@EACH
def test_grid_search(scorer_class: Any, domains: Any, make_clf: Any) -> None:
    data = domains.X_source, domains.y_source, domains.X_target
    pipe = make_pipeline(StandardScaler(), make_clf())
    scorer = scorer_class(domains.X_target, **({"cv": 3} if scorer_class in WEIGHTED else {}))
    search = GridSearchCV(
        pipe, {"dannclassifier__lr": [1e-4, 1e-1]}, scoring=scorer, cv=3, error_score="raise"
    )
    search.fit(data[0], data[1], X_target=(data[2],))
    assert_scores_are_those_of_folds(search, pipe, scorer, data)
    assert np.ptp(search.cv_results_["mean_test_score"]) > 0
    assert search.score(data[0], data[1]) == scorer(search.best_estimator_, data[0], data[1])


@pytest.mark.slow
def test_parallel_search(shifted: Any) -> None:
    X, y, X_target = shifted
    scoring = {scorer.__name__: scorer(X_target) for scorer in SCORERS}
    results = [
        GridSearchCV(
            LogisticRegression(),
            {"C": [1e-3, 1e3]},
            scoring=scoring,
            refit="MixValScorer",
            cv=3,
            n_jobs=n_jobs,
            error_score="raise",
        )
        .fit(X, y)
        .cv_results_
        for n_jobs in (1, 2)
    ]
    for name in scoring:
        for part in ("mean", "std"):
            serial, parallel = (result[f"{part}_test_{name}"] for result in results)
            assert_array_equal(serial, parallel)
        assert np.ptp(results[0][f"mean_test_{name}"]) > 0


def test_randomized_search(shifted: Any) -> None:
    X, y, X_target = shifted
    scorer = InformationMaximizationScorer(X_target)
    search = RandomizedSearchCV(
        LogisticRegression(), {"C": [0.1, 1, 10]}, n_iter=2, scoring=scorer, cv=3, random_state=0
    )
    assert_scores_are_those_of_folds(search.fit(X, y), LogisticRegression(), scorer, shifted)


def test_cross_validate(shifted: Any) -> None:
    X, y, X_target = shifted
    scorer = ReverseValidationScorer(X_target)
    result = cross_validate(
        LogisticRegression(), X, y, scoring=scorer, cv=KFold(3), return_estimator=True
    )
    expected = [
        scorer(clf, X[test], y[test])
        for clf, (_, test) in zip(result["estimator"], KFold(3).split(X), strict=True)
    ]
    assert_array_equal(result["test_score"], expected)


@pytest.fixture
def routed() -> Iterator[None]:
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routed")
@EACH
def test_the_target_is_requested_by_default(scorer_class: Any) -> None:
    requests = scorer_class().get_metadata_routing().score.requests
    assert requests == {"X_target": True}
    named = scorer_class().set_score_request(X_target="X_judge")
    assert named.get_metadata_routing().score.requests == {"X_target": "X_judge"}
    assert clone(named).get_metadata_routing().score.requests == {"X_target": "X_judge"}


@pytest.mark.usefixtures("routed")
@EACH
def test_routing(scorer_class: Any, domains: Any, make_clf: Any) -> None:
    data = domains.X_source, domains.y_source, domains.X_target
    assert len(data[0]) == len(data[2])  # otherwise scikit-learn would not slice a bare array
    options = {"cv": 3} if scorer_class in WEIGHTED else {}
    pipe = make_pipeline(StandardScaler(), make_clf())
    search = GridSearchCV(
        pipe,
        {"dannclassifier__lr": [1e-4, 1e-1]},
        scoring=scorer_class(**options).set_score_request(X_target=True),
        cv=3,
        error_score="raise",
    )
    search.fit(data[0], data[1], X_target=(data[2],))
    assert_scores_are_those_of_folds(search, pipe, scorer_class(data[2], **options), data)


@pytest.mark.usefixtures("routed")
def test_routing_to_the_scorer_alone(shifted: Any) -> None:
    X, y, X_target = shifted
    result = cross_validate(
        LogisticRegression(),
        X,
        y,
        scoring={"density": SoftNeighborhoodDensityScorer(), "mix": MixValScorer()},
        params={"X_target": (X_target,)},
        cv=3,
        return_estimator=True,
    )
    expected = [SoftNeighborhoodDensityScorer(X_target)(clf, X) for clf in result["estimator"]]
    assert_array_equal(result["test_density"], expected)


@pytest.mark.usefixtures("routed")
def test_the_target_of_the_constructor_takes_precedence(shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    given, other = X_target[:30], X_target[30:]
    built = InformationMaximizationScorer(given)
    assert built(clf, X, X_target=other) == built(clf, X)
    assert built(clf, X) != InformationMaximizationScorer()(clf, X, X_target=other)
    result = cross_validate(
        clf, X, y, scoring=built, params={"X_target": (other,)}, cv=3, return_estimator=True
    )
    assert_array_equal(result["test_score"], [built(clf, X) for clf in result["estimator"]])


# Errors


@EACH
def test_no_target(scorer_class: Any, shifted: Any) -> None:
    X, y, _ = shifted
    clf = LogisticRegression().fit(X, y)
    with pytest.raises(ValueError, match=rf"{scorer_class.__name__} has no target rows; construct"):
        scorer_class()(clf, X, y)


@EACH
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda T: (), "empty tuple"),
        (lambda T: T[:, :1], r"X_target has 1 features but X has 2"),
        (lambda T: T[:0], "X_target has no rows"),
        (
            lambda T: T[0],
            r"X_target must be 2-D like X, which has shape \(120, 2\), but has shape \(2,\)",
        ),
        (lambda T: (T, T[:, :1]), r"X_target\[1\] has 1 features"),
        (lambda T: [T, T], r"several targets as a tuple"),
        (pd.DataFrame, "X_target is a data frame but X is an array"),
    ],
)
def test_bad_targets(scorer_class: Any, shifted: Any, change: Any, text: str) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    with pytest.raises(ValueError, match=text):
        scorer_class(change(X_target))(clf, X, y)


def test_frames_of_other_columns(shifted: Any) -> None:
    X, y, X_target = shifted
    X, X_target = pd.DataFrame(X, columns=["a", "b"]), pd.DataFrame(X_target, columns=["a", "c"])
    with pytest.raises(ValueError, match=r"missing \['b'\]"):
        MixValScorer(X_target)(LogisticRegression().fit(X, y), X)


@EACH
def test_unsuitable_estimators(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    scorer = scorer_class(X_target)
    with pytest.raises(TypeError, match="LinearSVC has no predict_proba; wrap it"):
        scorer(LinearSVC().fit(X, y), X, y)
    error = TypeError if scorer_class in SOURCE_SCORERS else NotFittedError
    with pytest.raises(error, match=r"fitted"):
        scorer(LogisticRegression(), X, y)


@EACH
def test_invalid_probabilities(scorer_class: Any) -> None:
    clf = Fixed(np.full((8, 2), np.nan))
    with pytest.raises(ValueError, match="output of predict_proba contains NaN"):
        scorer_class(lines(8))(clf, lines(8), np.arange(8) % 2)


@pytest.mark.parametrize("scorer_class", SOURCE_SCORERS)
def test_labels_that_do_not_match(scorer_class: Any, shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    scorer = scorer_class(X_target)
    with pytest.raises(ValueError, match="needs the labels of the source rows but y is None"):
        scorer(clf, X)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        scorer(clf, X, y[:-1])
    with pytest.raises(ValueError, match=r"y holds no label that LogisticRegression knows.*'1'"):
        scorer(clf, X, y.astype(str))


@pytest.mark.parametrize(
    ("scorer", "text"),
    [
        (ImportanceWeightedScorer(metric="auc"), "'metric' parameter of ImportanceWeightedScorer"),
        (ImportanceWeightedScorer(space="rows"), "'space'"),
        (ImportanceWeightedScorer(max_weight=0), "'max_weight'"),
        (ImportanceWeightedScorer(random_state="x"), "'random_state'"),
        (DeepEmbeddedValidationScorer(loss="hinge"), "'loss'"),
        (ReverseValidationScorer(metric="auc"), "'metric'"),
        (SoftNeighborhoodDensityScorer(temperature=0), "'temperature'"),
        (SoftNeighborhoodDensityScorer(max_rows=1), "'max_rows'"),
        (MixValScorer(probe="all"), "'probe'"),
        (MixValScorer(share=0.5), "'share'"),
    ],
)
def test_bad_parameters(scorer: Any, text: str, shifted: Any) -> None:
    X, y, X_target = shifted
    with pytest.raises(ValueError, match=text):
        scorer(LogisticRegression().fit(X, y), X, y, X_target)


def test_one_row_has_no_neighbours(shifted: Any) -> None:
    X, y, X_target = shifted
    with pytest.raises(ValueError, match="at least 2"):
        SoftNeighborhoodDensityScorer(X_target[:1])(LogisticRegression().fit(X, y), X)


def test_rows_that_are_not_numbers(shifted: Any) -> None:
    _, y, _ = shifted
    texts = np.where(y, "good", "bad")[:, None].astype(object)
    clf = Fixed(np.full((1, 2), 0.5))
    clf.predict_proba = lambda X: np.full((len(X), 2), 0.5)  # type: ignore[method-assign]
    for scorer in (ImportanceWeightedScorer(texts), MixValScorer(texts)):
        with pytest.raises(ValueError, match=r"column 0 holds strings such as .*make_pipeline"):
            scorer(clf, texts, y)


def test_too_few_rows_for_the_folds(shifted: Any) -> None:
    X, y, X_target = shifted
    clf = LogisticRegression().fit(X, y)
    with pytest.raises(ValueError, match=r"cv=5 folds.*has 3; lower cv"):
        ImportanceWeightedScorer(X_target)(clf, X[-3:], y[-3:])
