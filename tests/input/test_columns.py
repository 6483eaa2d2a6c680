"""Tables of any kind: encoded by hand and by the estimators, in every frame library."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import skops.io
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skdann import DANNClassifier, DANNClassifierCV, DomainColumnWarning, make_pipeline
from skdann._input.columns import MixedColumns, NumericColumns, read_description
from skdann._input.tables import read_tables
from skdann._saving.trees import TREE
from skdann.inspection import summarize_networks
from skdann.model_selection import (
    DeepEmbeddedValidationScorer,
    DefaultRuleScorer,
    ImportanceWeightedScorer,
    MixValScorer,
    ReverseValidationScorer,
)

N_SOURCE, N_TARGET = 60, 50


def make_table(n: int, seed: int, wards: tuple[str, ...]) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "age": rng.normal(50, 10, n).round(1),
            "ward": rng.choice(wards, n),
            "smoker": rng.choice([True, False], n),
            "seen": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 400, n), "D"),
            "note": [f"case {i * 7919 % 1000} of the day" for i in range(n)],
            "size": pd.Categorical(rng.choice(["s", "m", "l"], n)),
        }
    )
    table.loc[::7, "age"] = np.nan
    table.loc[1::9, "ward"] = None
    return table


SOURCE, TARGET = make_table(N_SOURCE, 0, ("a", "b")), make_table(N_TARGET, 1, ("a", "b", "c"))
Y = (SOURCE["age"].fillna(50) > 50).to_numpy().astype(int)


def as_pandas(X: pd.DataFrame) -> Any:
    return X


def as_polars(X: pd.DataFrame) -> Any:
    return pl.from_pandas(X)


def as_arrow(X: pd.DataFrame) -> Any:
    return pa.Table.from_pandas(X, preserve_index=False)


def as_arrow_dtypes(X: pd.DataFrame) -> Any:
    return X.convert_dtypes(dtype_backend="pyarrow")


FRAMES = [as_pandas, as_polars, as_arrow, as_arrow_dtypes]


def quick(**params: Any) -> DANNClassifier:
    small = {"feature_extractor": (8,), "domain_classifier": (4,), "max_epochs": 2}
    return DANNClassifier(**{**small, "random_state": 0, **params})


def search(**params: Any) -> DANNClassifierCV:
    return DANNClassifierCV(quick(), lambdas=(0.3,), n_seeds=2, random_state=0, **params)


@pytest.fixture(scope="module")
def fitted() -> DANNClassifier:
    return quick().fit(SOURCE, Y, TARGET)


def encoded(clf: Any, X: Any) -> np.ndarray:
    return np.asarray(clf._columns.read(X, "X"))


class TestEncoding:
    def test_each_column_is_encoded_as_by_hand(self, fitted: Any) -> None:
        both = pd.concat([SOURCE, TARGET])
        read = pd.DataFrame(
            encoded(fitted, TARGET),
            columns=[name for _, name in fitted._columns.names(fitted.feature_names_in_)],
        )
        expected = TARGET["age"].fillna(both["age"].median())
        assert_allclose(read["age"], expected, rtol=1e-6)
        for ward in "abc":  # c occurs in the target alone
            assert_array_equal(read[f"ward={ward}"], TARGET["ward"] == ward)
        assert_array_equal(read["smoker"], TARGET["smoker"])
        days = (TARGET["seen"] - pd.Timestamp("1970-01-01")).dt.days
        assert_array_equal(read["seen (day)"], days)
        assert_array_equal(read["seen (weekday)"], TARGET["seen"].dt.day_of_week)
        for size in "sml":
            assert_array_equal(read[f"size={size}"], TARGET["size"] == size)
        assert sum("note" in name for name in read) == 30
        assert read.shape[1] == 1 + 3 + 1 + 4 + 30 + 3

    @pytest.mark.parametrize("make", FRAMES)
    def test_every_library_gives_the_same_fit(self, fitted: Any, make: Any) -> None:
        clf = quick().fit(make(SOURCE), Y, make(TARGET))
        assert_array_equal(clf.predict_proba(make(TARGET)), fitted.predict_proba(TARGET))

    def test_numbers_without_missing_values_pass_unchanged(self) -> None:
        X, X_target = (np.random.default_rng(i).normal(size=(30, 3)) for i in range(2))
        for make in (np.asarray, pd.DataFrame, lambda rows: pl.DataFrame(rows, schema=list("abc"))):
            columns, (source, target) = read_tables({"X": make(X), "X_target": make(X_target)})
            assert isinstance(columns, NumericColumns)
            assert_array_equal(source, X)
            assert_array_equal(target, X_target)

    @pytest.mark.parametrize("make", [np.asarray, pd.DataFrame, lambda X: X.astype(object)])
    def test_missing_numbers_become_the_median_of_both_domains(self, make: Any) -> None:
        X, X_target = (np.random.default_rng(i).normal(size=(30, 3)) for i in range(2))
        X[::4, 1] = np.nan
        X_target[:, 2] = np.nan
        median = np.nanmedian(np.concatenate([X, X_target]), axis=0)
        whole = [np.where(np.isnan(rows), median, rows) for rows in (X, X_target)]
        y = np.arange(30) % 2
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DomainColumnWarning)  # the third column
            clf = quick().fit(make(X), y, make(X_target))
        expected = quick().fit(whole[0], y, whole[1])
        assert_array_equal(clf.predict_proba(make(X_target)), expected.predict_proba(whole[1]))

    def test_a_column_without_a_value_is_left_out(self) -> None:
        source, target = SOURCE.assign(empty=None), TARGET.assign(empty=np.nan)
        clf = quick().fit(source, Y, target)
        assert clf.columns_[-1][:2] == ("empty", "empty")
        assert clf.columns_[-1].n_encoded == 0

    def test_rows_of_other_kinds_are_refused(self, fitted: Any) -> None:
        for change, says in (
            ({"age": "old"}, "'age' what the fit got, numbers, but holds categories or strings"),
            ({"seen": 3.0}, "'seen' what the fit got, dates, but holds numbers"),
            ({"age": np.inf}, "'age' holds infinity"),
            ({"age": 1e39}, "too large for float32"),
        ):
            with pytest.raises((TypeError, ValueError), match=says):
                fitted.predict(TARGET.assign(**change))
        with pytest.raises(TypeError, match=r"'age' holds values such as \[1\]"):
            fitted.predict(TARGET.assign(age=[[1]] * N_TARGET))
        with pytest.raises(ValueError, match="no value in any column"):
            quick().fit(pd.DataFrame({"a": ["", None]}), [0, 1], pd.DataFrame({"a": ["", ""]}))

    def test_infinite_values_of_both_signs_are_refused_without_a_warning(self) -> None:
        with pytest.raises(ValueError, match="column 'age' holds infinity"):
            quick().fit(pd.DataFrame({"age": [np.inf, -np.inf]}), [0, 1])

    def test_unseen_and_missing_categories_are_zeros(self, fitted: Any) -> None:
        names = [name for _, name in fitted._columns.names(fitted.feature_names_in_)]
        block = encoded(fitted, TARGET.assign(ward="z"))[:, [n.startswith("ward") for n in names]]
        assert not block.any()

    def test_a_frame_of_the_scorer_in_another_order_is_matched_by_name(self, fitted: Any) -> None:
        columns = fitted._columns
        assert_array_equal(columns.read(TARGET[TARGET.columns[::-1]], "X"), encoded(fitted, TARGET))
        with pytest.raises(ValueError, match=r"lacks \['age'\]"):
            columns.read(TARGET.rename(columns={"age": "years"}), "X")


class TestEstimators:
    def test_attributes_are_those_of_the_raw_table(self, fitted: Any) -> None:
        clf = search().fit(SOURCE, Y, TARGET)
        for each in (fitted, clf):
            assert each.n_features_in_ == SOURCE.shape[1]
            assert each.feature_names_in_.tolist() == SOURCE.columns.tolist()
            kinds = [column.kind for column in each.columns_]
            assert kinds == ["number", "category", "boolean", "date", "text", "category"]
            assert "ward" in repr(each.columns_)
            assert "<td>ward</td>" in each.columns_._repr_html_()
            assert pd.DataFrame(each.columns_)["n_encoded"].sum() == 42
        assert summarize_networks(fitted).layers[0].output == (8,)

    def test_columns_of_an_array(self) -> None:
        clf = quick().fit(np.eye(4), [0, 1, 0, 1], np.eye(4))
        assert [column.name for column in clf.columns_] == ["x0", "x1", "x2", "x3"]
        assert clf.columns_[0].treatment == "number; missing: 0"

    @pytest.mark.parametrize("make", [quick, search])
    @pytest.mark.parametrize("frame", [as_pandas, as_polars])
    def test_all_methods_take_raw_rows(self, make: Any, frame: Any) -> None:
        clf = make().fit(frame(SOURCE), Y, (frame(TARGET),))
        assert clf.predict(frame(TARGET)).shape == (N_TARGET,)
        assert 0 <= clf.score(frame(SOURCE), Y, sample_domain=0) <= 1
        report = clf.diagnose(frame(SOURCE), frame(TARGET), y_source=Y)
        assert report.n_features == SOURCE.shape[1]
        assert {column.name for column in report.columns} <= set(SOURCE.columns)
        if make is quick:
            assert clf.transform(frame(TARGET)).shape == (N_TARGET, 8)
            assert clf.predict_domain_proba(frame(TARGET)).shape == (N_TARGET, 2)

    def test_pooled_frames_several_targets_and_chunks(self, fitted: Any) -> None:
        pooled = pd.concat([SOURCE, TARGET], ignore_index=True)
        domain = np.repeat([0, -1], [N_SOURCE, N_TARGET])
        y = np.append(Y, np.zeros(N_TARGET, dtype=int))
        clf = quick().fit(pooled, y, sample_domain=domain)
        assert clf.predict_proba(TARGET).shape == (N_TARGET, 2)
        several = quick().fit(SOURCE, Y, (TARGET[:20], TARGET[20:]))
        assert several.domains_.tolist() == [0, -1, -2]
        chunks = quick().partial_fit(SOURCE, Y, TARGET, classes=[0, 1])
        columns = chunks._columns
        chunks.partial_fit(SOURCE[:20].assign(ward="new"), Y[:20], TARGET[:20])
        assert chunks._columns is columns
        with pytest.raises(ValueError, match=r"lacks|same"):
            chunks.partial_fit(
                SOURCE.rename(columns={"age": "years"}), Y, TARGET.rename(columns={"age": "years"})
            )
        warm = quick(warm_start=True).fit(SOURCE, Y, TARGET)
        assert warm.fit(SOURCE, Y, TARGET).n_epochs_ == 4

    @pytest.mark.parametrize("make", [quick, search])
    def test_copies_predict_the_same(self, make: Any, tmp_path: Any) -> None:
        clf = make().fit(SOURCE, Y, TARGET)
        clf.save(tmp_path / "clf")
        names = ["skdann._classifier.DANNClassifier", "skdann._cv.DANNClassifierCV"]
        trusted = [*names, TREE]
        copies = [
            pickle.loads(pickle.dumps(clf)),
            copy.deepcopy(clf),
            type(clf).load(tmp_path / "clf"),
            skops.io.loads(skops.io.dumps(clf), trusted=trusted),
            clone(clf).fit(SOURCE, Y, TARGET),
        ]
        for each in copies:
            assert_array_equal(each.predict_proba(TARGET), clf.predict_proba(TARGET))
            assert repr(each.columns_) == repr(clf.columns_)

    def test_searches_and_pipelines(self) -> None:
        grid = GridSearchCV(
            quick(), {"lambda_max": [0, 0.3]}, scoring=DefaultRuleScorer(TARGET), cv=2
        )
        grid.fit(SOURCE, Y, X_target=(TARGET,))
        assert np.isfinite(grid.cv_results_["mean_test_score"]).all()
        pipe = make_pipeline(quick()).fit(SOURCE, Y, X_target=TARGET)
        assert_array_equal(pipe.predict(TARGET), quick().fit(SOURCE, Y, TARGET).predict(TARGET))

    @pytest.mark.parametrize(
        "scorer",
        [
            DefaultRuleScorer,
            DeepEmbeddedValidationScorer,
            ImportanceWeightedScorer,
            MixValScorer,
            ReverseValidationScorer,
        ],
    )
    def test_scorers_take_raw_rows(self, fitted: Any, scorer: Any) -> None:
        options = {"cv": 2} if hasattr(scorer(), "cv") else {}
        assert np.isfinite(scorer(TARGET, **options)(fitted, SOURCE, Y))
        clf = search(scoring=scorer(TARGET, **options)).fit(SOURCE, Y, TARGET)
        assert np.isfinite([row["score"] for row in clf.scores_]).all()

    def test_onnx_names_the_columns_that_it_cannot_encode(self, fitted: Any, tmp_path: Any) -> None:
        with pytest.raises(ValueError, match=r"'ward' \(category\).*ColumnTransformer"):
            fitted.to_onnx(tmp_path / "clf.onnx")


@pytest.mark.parametrize(
    "entry",
    [
        {"fill": [0.0], "n_raw": 2},
        {"fill": [0.0, float("nan")], "n_raw": 2},
        {"encoders": [{"kind": "text"}]},
        {"encoders": [{"kind": "empty"}, {"kind": "empty"}]},
        {"encoders": [{"kind": "text"}, {"kind": "os.system"}]},
        {"encoders": [{"kind": "number", "fill": 1.0}, {"kind": "category", "categories": [1]}]},
    ],
)
def test_descriptions_that_do_not_fit_are_refused(entry: Any) -> None:
    with pytest.raises(ValueError, match=r"describe"):
        read_description(entry, 2)


def test_a_description_gives_the_same_encoding(fitted: Any) -> None:
    again = read_description(fitted._columns.describe(), SOURCE.shape[1])
    assert isinstance(again, MixedColumns)
    assert_array_equal(again.read(TARGET, "X"), encoded(fitted, TARGET))
