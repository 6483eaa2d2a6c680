"""Tests of make_pipeline: the target passes the transformers, with and without routing."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.pipeline import make_pipeline as plain_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
)

from skdann import DANNClassifier, DANNClassifierCV, SourceOnlyWarning, make_pipeline

ROUTING = pytest.mark.parametrize("routing", [False, True], ids=["plain", "routing"])


@pytest.fixture
def raw(domains: Any) -> Any:
    """Rows that need scaling."""
    scale, offset = np.array([300.0, 1.0, 0.01, 20.0]), np.array([5000.0, 0.0, 3.0, -70.0])
    return domains._replace(
        X_source=domains.X_source * scale + offset, X_target=domains.X_target * scale + offset
    )


@pytest.fixture
def by_hand(raw: Any, make_clf: Any) -> DANNClassifier:
    """Return a classifier fitted on rows of both domains that are scaled by hand."""
    scaler = StandardScaler().fit(raw.X_source)
    X_source, X_target = scaler.transform(raw.X_source), scaler.transform(raw.X_target)
    return make_clf().fit(X_source, raw.y_source, X_target)


class Recorder(TransformerMixin, BaseEstimator):
    """Transformer that changes nothing, and records the number of rows of each call in a list."""

    def __init__(self, seen: list[tuple[str, int]]) -> None:
        self.seen = seen

    def fit(self, X: Any, y: Any = None) -> Recorder:
        self.seen.append(("fit", X.shape[0]))
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> Any:
        self.seen.append(("transform", X.shape[0]))
        return X

    def __deepcopy__(self, memo: Any) -> Recorder:
        return type(self)(self.seen)


class CrossFitted(TransformerMixin, BaseEstimator):
    """Transformer that treats training rows differently from later rows, like TargetEncoder."""

    def fit(self, X: Any, y: Any = None) -> CrossFitted:
        self.fitted_ = True
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        return self.fit(X).transform(X) + 1

    def transform(self, X: Any) -> Any:
        return X


# Equal to scaling by hand


def with_make_pipeline(clf: DANNClassifier) -> Pipeline:
    return make_pipeline(StandardScaler(), clf)


def with_plain_pipeline(clf: DANNClassifier) -> Pipeline:
    return Pipeline(
        [("standardscaler", StandardScaler()), ("dannclassifier", clf)],
        transform_input=["X_target"],
    )


@pytest.mark.parametrize(
    ("make", "routing"),
    [(with_make_pipeline, False), (with_make_pipeline, True), (with_plain_pipeline, True)],
    ids=["make_pipeline", "make_pipeline, routing", "Pipeline, routing"],
)
@pytest.mark.parametrize("wrap", [lambda X: X, lambda X: (X,)], ids=["bare", "tuple"])
def test_a_pipeline_equals_scaling_by_hand(
    raw: Any,
    by_hand: DANNClassifier,
    make_clf: Any,
    assert_same_fit: Any,
    make: Callable[[DANNClassifier], Pipeline],
    routing: bool,
    wrap: Any,
) -> None:
    with sklearn.config_context(enable_metadata_routing=routing):
        pipe = make(make_clf()).fit(raw.X_source, raw.y_source, X_target=wrap(raw.X_target))
        assert_same_fit(pipe[-1], by_hand)
        scaled = StandardScaler().fit(raw.X_source).transform(raw.X_target)
        for method in ("predict", "predict_proba", "transform"):
            expected = getattr(by_hand, method)(scaled)
            assert_array_equal(getattr(pipe, method)(raw.X_target), expected)
        assert pipe.score(raw.X_target, raw.y_target) == by_hand.score(scaled, raw.y_target)
    assert_array_equal(pipe.classes_, by_hand.classes_)
    assert pipe.n_features_in_ == 4


@ROUTING
def test_several_targets_are_each_transformed(
    raw: Any, make_clf: Any, assert_same_fit: Any, routing: bool
) -> None:
    second = raw.X_target[:7] + 1
    scaler = StandardScaler().fit(raw.X_source)
    parts = [scaler.transform(X) for X in (raw.X_source, raw.X_target, second)]
    expected = make_clf().fit(parts[0], raw.y_source, (parts[1], parts[2]))
    with sklearn.config_context(enable_metadata_routing=routing):
        pipe = make_pipeline(StandardScaler(), make_clf())
        pipe.fit(raw.X_source, raw.y_source, X_target=(raw.X_target, second))
    assert_same_fit(pipe[-1], expected)
    assert pipe[-1].domains_.tolist() == [0, -1, -2]


def test_several_steps_equal_scikit_learn(raw: Any, make_clf: Any, assert_same_fit: Any) -> None:
    def steps() -> list[Any]:
        return [StandardScaler(), PCA(3, random_state=0), SelectKBest(k=2), MinMaxScaler()]

    ours = make_pipeline(*steps(), make_clf())
    ours.fit(raw.X_source, raw.y_source, X_target=raw.X_target)
    with sklearn.config_context(enable_metadata_routing=True):
        theirs = plain_pipeline(*steps(), make_clf(), transform_input=["X_target"])
        theirs.fit(raw.X_source, raw.y_source, X_target=raw.X_target)
    assert list(ours.named_steps) == list(theirs.named_steps)
    assert_same_fit(ours[-1], theirs[-1])


def test_transformers_are_fitted_on_the_source_only(raw: Any, make_clf: Any) -> None:
    seen: list[tuple[str, int]] = []
    pipe = make_pipeline(Recorder(seen), make_clf(standardize="source"))
    pipe.fit(raw.X_source, raw.y_source, X_target=(raw.X_target[:11], raw.X_target[:9]))
    assert seen == [("fit", 40), ("transform", 40), ("transform", 11), ("transform", 9)]


@ROUTING
def test_fit_transform_of_a_transformer_is_used_for_the_source(
    domains: Any, make_clf: Any, assert_same_fit: Any, routing: bool
) -> None:
    expected = make_clf().fit(domains.X_source + 1, domains.y_source, domains.X_target)
    with sklearn.config_context(enable_metadata_routing=routing):
        pipe = make_pipeline(CrossFitted(), make_clf())
        pipe.fit(domains.X_source, domains.y_source, X_target=domains.X_target)
    assert_same_fit(pipe[-1], expected)


@ROUTING
def test_without_a_target_a_pipeline_warns_like_the_classifier(
    raw: Any, make_clf: Any, routing: bool
) -> None:
    with sklearn.config_context(enable_metadata_routing=routing):
        for params in ({}, {"X_target": None}):
            with pytest.warns(SourceOnlyWarning) as caught:
                make_pipeline(StandardScaler(), make_clf()).fit(
                    raw.X_source, raw.y_source, **params
                )
            assert len(caught) == 1


# Mixed columns


def mixed_frames(raw: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    frames = []
    for X, colours in (
        (raw.X_source, ["red", "green", None, "blue"]),
        (raw.X_target, ["red", "violet", "blue", None]),
    ):
        frame = pd.DataFrame(X, columns=["mass", "width", "age", "heat"])
        frame.loc[::5, "width"] = np.nan
        frame["colour"] = pd.Series(colours * 10, dtype="object")
        frame["size"] = pd.Categorical(["s", "m", "l", "s"] * 10)
        frames.append(frame)
    return frames[0], frames[1]


def column_transformer(*, is_sparse: bool) -> ColumnTransformer:
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=is_sparse)
    numbers = plain_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    return ColumnTransformer(
        [
            ("numbers", numbers, ["mass", "width", "age", "heat"]),
            ("text", encoder, ["colour", "size"]),
        ],
        sparse_threshold=1.0 if is_sparse else 0.0,
    )


@ROUTING
@pytest.mark.parametrize("is_sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("wrap", [lambda X: X, lambda X: (X,)], ids=["bare", "tuple"])
def test_mixed_frames_with_missing_values(
    raw: Any, make_clf: Any, assert_same_fit: Any, is_sparse: bool, wrap: Any, routing: bool
) -> None:
    source, target = mixed_frames(raw)
    columns = column_transformer(is_sparse=is_sparse)
    X_source, X_target = columns.fit_transform(source), columns.transform(target)
    assert sparse.issparse(X_source) == is_sparse
    expected = make_clf().fit(X_source, raw.y_source, X_target)
    with sklearn.config_context(enable_metadata_routing=routing):
        pipe = make_pipeline(clone(columns), make_clf())
        pipe.fit(source, raw.y_source, X_target=wrap(target))
    assert_same_fit(pipe[-1], expected)
    assert_array_equal(pipe.predict(target), expected.predict(X_target))
    assert pipe.feature_names_in_.tolist() == list(source.columns)


def test_set_output_names_the_features(raw: Any, make_clf: Any, assert_same_fit: Any) -> None:
    source, target = mixed_frames(raw)
    pipe = make_pipeline(column_transformer(is_sparse=False), make_clf())
    pipe.set_output(transform="pandas").fit(source, raw.y_source, X_target=target)
    features = pipe.transform(target)
    assert isinstance(features, pd.DataFrame)
    assert features.columns.tolist() == [f"dannclassifier{i}" for i in range(8)]
    assert pipe.get_feature_names_out().tolist() == features.columns.tolist()
    assert "numbers__mass" in pipe[-1].feature_names_in_
    plain = make_pipeline(column_transformer(is_sparse=False), make_clf())
    plain.fit(source, raw.y_source, X_target=target)
    assert_same_fit(pipe[-1], plain[-1])
    assert_array_equal(plain.transform(target), features.to_numpy())


# Parameters of fit


@pytest.mark.parametrize("prefix", ["", "dannclassifier__"], ids=["bare", "prefixed"])
def test_weights_and_domains_reach_the_classifier(
    raw: Any, make_clf: Any, assert_same_fit: Any, prefix: str
) -> None:
    weight, domain = np.linspace(0.5, 2, 40), np.arange(40) // 15
    scaler = StandardScaler().fit(raw.X_source)
    expected = make_clf().fit(
        scaler.transform(raw.X_source),
        raw.y_source,
        scaler.transform(raw.X_target),
        sample_weight=weight,
        sample_domain=domain,
    )
    pipe = make_pipeline(StandardScaler(), make_clf())
    params = {f"{prefix}sample_weight": weight, f"{prefix}sample_domain": domain}
    pipe.fit(raw.X_source, raw.y_source, X_target=raw.X_target, **params)
    assert_same_fit(pipe[-1], expected)
    assert pipe[-1].domains_.tolist() == [0, 1, 2, -1]
    unweighted = make_pipeline(StandardScaler(), make_clf())
    unweighted.fit(raw.X_source, raw.y_source, X_target=raw.X_target, sample_domain=domain)
    with pytest.raises(AssertionError):  # the weights matter, so the equality is informative
        assert_same_fit(unweighted[-1], expected)


def test_weights_and_domains_reach_the_classifier_by_routing(
    raw: Any, make_clf: Any, assert_same_fit: Any
) -> None:
    weight, domain = np.linspace(0.5, 2, 40), np.arange(40) // 15
    params = {"sample_weight": weight, "sample_domain": domain, "X_target": raw.X_target}
    plain = make_pipeline(StandardScaler(), make_clf()).fit(raw.X_source, raw.y_source, **params)
    with sklearn.config_context(enable_metadata_routing=True):
        clf = make_clf().set_fit_request(sample_weight=True, sample_domain=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        routed = make_pipeline(scaler, clf).fit(raw.X_source, raw.y_source, **params)
    assert_same_fit(routed[-1], plain[-1])


def test_parameters_of_transformers_reach_them(raw: Any, make_clf: Any) -> None:
    weight = np.linspace(0.5, 2, 40)
    pipe = make_pipeline(StandardScaler(), make_clf())
    params = {"standardscaler__sample_weight": weight}
    pipe.fit(raw.X_source, raw.y_source, X_target=raw.X_target, **params)
    expected = StandardScaler().fit(raw.X_source, sample_weight=weight)
    assert_array_equal(pipe[0].mean_, expected.mean_)
    assert not np.array_equal(pipe[0].mean_, raw.X_source.mean(0))


def test_a_prefixed_target_is_passed_unchanged(
    raw: Any, by_hand: Any, make_clf: Any, assert_same_fit: Any
) -> None:
    scaled = StandardScaler().fit(raw.X_source).transform(raw.X_target)
    pipe = make_pipeline(StandardScaler(), make_clf())
    pipe.fit(raw.X_source, raw.y_source, dannclassifier__X_target=scaled)
    assert_same_fit(pipe[-1], by_hand)
    with pytest.warns(UserWarning, match=r"X_target is not.*make_pipeline"):
        pipe.fit(raw.X_source, raw.y_source, dannclassifier__X_target=raw.X_target)


@pytest.mark.usefixtures("no_training")
def test_a_target_passed_by_two_names_raises(raw: Any, make_clf: Any) -> None:
    pipe = make_pipeline(StandardScaler(), make_clf())
    both = {"X_target": raw.X_target, "dannclassifier__X_target": raw.X_target / 2}
    for params in (both, dict(reversed(both.items()))):
        with pytest.raises((TypeError, ValueError), match="X_target"):
            pipe.fit(raw.X_source, raw.y_source, **params)


@ROUTING
@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize("name", ["X_targets", "nostep__X_target", "classes"])
def test_unknown_parameters_raise(raw: Any, make_clf: Any, routing: bool, name: str) -> None:
    pipe = make_pipeline(StandardScaler(), make_clf())
    with (
        sklearn.config_context(enable_metadata_routing=routing),
        pytest.raises((TypeError, ValueError), match=name),
    ):
        pipe.fit(raw.X_source, raw.y_source, X_target=raw.X_target, **{name: raw.X_target})


def test_an_unknown_parameter_is_answered_with_the_known_ones(raw: Any, make_clf: Any) -> None:
    says = r"X_targets.*X_target, y_target, sample_weight, sample_domain.*stepname__parameter"
    with pytest.raises(TypeError, match=says):
        make_pipeline(StandardScaler(), make_clf()).fit(
            raw.X_source, raw.y_source, X_targets=raw.X_target
        )


@pytest.mark.usefixtures("no_training")
def test_invalid_targets_raise_in_the_transformers(raw: Any, make_clf: Any) -> None:
    pipe = make_pipeline(StandardScaler(), make_clf())
    with pytest.raises(ValueError, match="3 features, but StandardScaler is expecting 4"):
        pipe.fit(raw.X_source, raw.y_source, X_target=raw.X_target[:, :3])
    with pytest.raises(ValueError, match="empty tuple"):
        pipe.fit(raw.X_source, raw.y_source, X_target=())


@ROUTING
def test_inference_accepts_domains(raw: Any, make_clf: Any, routing: bool) -> None:
    clf = make_clf(normalization="domain_batch")
    with sklearn.config_context(enable_metadata_routing=routing):
        if routing:
            clf.set_predict_proba_request(sample_domain=True)
        pipe = make_pipeline(StandardScaler(), clf)
        pipe.fit(raw.X_source, raw.y_source, X_target=raw.X_target)
        scaled = pipe[0].transform(raw.X_target)
        got = pipe.predict_proba(raw.X_target, sample_domain=np.zeros(40, int))
        assert_array_equal(got, pipe[-1].predict_proba(scaled, sample_domain=0))
        assert not np.array_equal(got, pipe.predict_proba(raw.X_target))


# Behavior of scikit-learn's pipelines


@ROUTING
def test_fit_transform(raw: Any, make_clf: Any, routing: bool) -> None:
    with sklearn.config_context(enable_metadata_routing=routing):
        pipe = make_pipeline(StandardScaler(), make_clf())
        features = pipe.fit_transform(raw.X_source, raw.y_source, X_target=raw.X_target)
        again = make_pipeline(StandardScaler(), make_clf())
        again.fit(raw.X_source, raw.y_source, X_target=raw.X_target)
    assert features.shape == (40, 8)
    assert_array_equal(features, again.transform(raw.X_source))
    assert_array_equal(pipe.predict(raw.X_target), again.predict(raw.X_target))


@ROUTING
def test_memory_caches_the_transformers(
    raw: Any, by_hand: Any, make_clf: Any, assert_same_fit: Any, tmp_path: Path, routing: bool
) -> None:
    scaler = StandardScaler()
    with sklearn.config_context(enable_metadata_routing=routing):
        for _ in range(2):
            pipe = make_pipeline(scaler, make_clf(), memory=str(tmp_path))
            pipe.fit(raw.X_source, raw.y_source, X_target=raw.X_target)
            assert_same_fit(pipe[-1], by_hand)
            assert pipe.predict(raw.X_target).shape == (40,)
    assert not hasattr(scaler, "mean_")  # a cached transformer is cloned before it is fitted
    assert len(list(tmp_path.rglob("output.pkl"))) == 1  # and fitted once


@ROUTING
@pytest.mark.parametrize("copy", [clone, lambda pipe: pickle.loads(pickle.dumps(pipe))])
def test_a_copy_fits_like_the_original(
    raw: Any, by_hand: Any, make_clf: Any, assert_same_fit: Any, copy: Any, routing: bool
) -> None:
    pipe = copy(make_pipeline(StandardScaler(), make_clf()))
    assert pipe.transform_input == ["X_target"]
    with sklearn.config_context(enable_metadata_routing=routing):
        pipe.fit(raw.X_source, raw.y_source, X_target=raw.X_target)
        assert_same_fit(pipe[-1], by_hand)
        fresh = clone(pipe)
    with pytest.raises(NotFittedError):
        fresh.predict(raw.X_target)


def test_a_fitted_pipeline_survives_every_round_trip(
    raw: Any, make_clf: Any, tmp_path: Path
) -> None:
    pipe = make_pipeline(StandardScaler(), make_clf())
    pipe.fit(raw.X_source, raw.y_source, X_target=raw.X_target)
    joblib.dump(pipe, tmp_path / "pipe.joblib")
    for copy in (
        pickle.loads(pickle.dumps(pipe)),
        cloudpickle.loads(cloudpickle.dumps(pipe)),
        joblib.load(tmp_path / "pipe.joblib"),
    ):
        assert type(copy) is type(pipe)
        assert_array_equal(copy.predict_proba(raw.X_target), pipe.predict_proba(raw.X_target))


@ROUTING
@pytest.mark.parametrize("step", ["passthrough", None])
def test_steps_that_are_skipped(
    domains: Any, make_clf: Any, assert_same_fit: Any, step: Any, routing: bool
) -> None:
    expected = make_clf().fit(domains.X_source, domains.y_source, domains.X_target)
    with sklearn.config_context(enable_metadata_routing=routing):
        pipe = make_pipeline(StandardScaler(), make_clf())
        pipe.set_params(standardscaler=step)
        pipe.fit(domains.X_source, domains.y_source, X_target=domains.X_target)
    assert_same_fit(pipe[-1], expected)


@ROUTING
@pytest.mark.parametrize("wrap", [lambda X: X, lambda X: (X,)], ids=["bare", "tuple"])
def test_a_pipeline_with_only_the_classifier(
    domains: Any, make_clf: Any, assert_same_fit: Any, wrap: Any, routing: bool
) -> None:
    expected = make_clf().fit(domains.X_source, domains.y_source, domains.X_target)
    with sklearn.config_context(enable_metadata_routing=routing):
        pipe = make_pipeline(make_clf())
        pipe.fit(domains.X_source, domains.y_source, X_target=wrap(domains.X_target))
    assert_same_fit(pipe[-1], expected)


@ROUTING
def test_a_pipeline_within_a_pipeline(
    raw: Any, by_hand: Any, make_clf: Any, assert_same_fit: Any, routing: bool
) -> None:
    with sklearn.config_context(enable_metadata_routing=routing):
        inner = make_pipeline(StandardScaler(), make_clf())
        outer = make_pipeline(FunctionTransformer(), inner)
        outer.fit(raw.X_source, raw.y_source, X_target=raw.X_target)
    assert_same_fit(outer[-1][-1], by_hand)


def test_pipelines_of_transformers_within_a_pipeline(
    raw: Any, by_hand: Any, make_clf: Any, assert_same_fit: Any
) -> None:
    """They do not take a target, although the signature of their fit has one."""
    columns = list(range(raw.X_source.shape[1]))
    for step in (
        make_pipeline(StandardScaler()),
        ColumnTransformer([("scale", make_pipeline(StandardScaler()), columns)]),
    ):
        pipe = make_pipeline(step, make_clf())
        pipe.fit(raw.X_source, raw.y_source, X_target=raw.X_target)
        assert_same_fit(pipe[-1], by_hand)


@ROUTING
def test_a_calibrated_classifier_within_a_pipeline(raw: Any, make_clf: Any, routing: bool) -> None:
    scaler = StandardScaler().fit(raw.X_source)
    X_source, X_target = scaler.transform(raw.X_source), scaler.transform(raw.X_target)
    with sklearn.config_context(enable_metadata_routing=routing):
        expected = CalibratedClassifierCV(make_clf(), cv=3)
        expected.fit(X_source, raw.y_source, X_target=(X_target,))
        pipe = make_pipeline(StandardScaler(), CalibratedClassifierCV(make_clf(), cv=3))
        pipe.fit(raw.X_source, raw.y_source, X_target=(raw.X_target,))
        assert_array_equal(pipe.predict_proba(raw.X_target), expected.predict_proba(X_target))


def test_a_classifier_without_target_parameter_raises(raw: Any) -> None:
    pipe = make_pipeline(StandardScaler(), LogisticRegression())
    pipe.fit(raw.X_source, raw.y_source).predict(raw.X_target)
    with pytest.raises(TypeError, match="X_target"):
        pipe.fit(raw.X_source, raw.y_source, X_target=raw.X_target)


@pytest.mark.parametrize("method", ["predict", "transform"])
def test_an_unfitted_pipeline_raises(raw: Any, make_clf: Any, method: str) -> None:
    with pytest.raises(NotFittedError):
        getattr(make_pipeline(StandardScaler(), make_clf()), method)(raw.X_target)


def test_refitting_forgets_the_earlier_target(raw: Any, by_hand: Any, make_clf: Any) -> None:
    pipe = make_pipeline(StandardScaler(), make_clf())
    pipe.fit(raw.X_source, raw.y_source, X_target=(raw.X_target, raw.X_target))
    pipe.fit(raw.X_source, raw.y_source, X_target=raw.X_target)
    assert pipe[-1].domains_.tolist() == by_hand.domains_.tolist() == [0, -1]


def test_verbose_prints_every_step_like_scikit_learn(
    raw: Any, make_clf: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def lines() -> list[str]:
        printed = capsys.readouterr().out
        return re.sub(r"total=.*|\.{3,}", "", printed).split("\n")

    make_pipeline(StandardScaler(), make_clf(), verbose=True).fit(
        raw.X_source, raw.y_source, X_target=raw.X_target
    )
    ours = [line.split(")", 1)[-1].strip() for line in lines()]
    with sklearn.config_context(enable_metadata_routing=True):
        plain_pipeline(
            StandardScaler(), make_clf(), verbose=True, transform_input=["X_target"]
        ).fit(raw.X_source, raw.y_source, X_target=raw.X_target)
    theirs = [line.split(")", 1)[-1].strip() for line in lines()]
    assert len(theirs) > 2
    assert ours == theirs


@pytest.mark.parametrize("masked", ["X", "X_target"])
def test_masked_rows_are_refused_before_a_transformer_reads_them(
    domains: Any, make_clf: Any, masked: str
) -> None:
    rows = {"X": domains.X_source, "X_target": domains.X_target}
    rows[masked] = np.ma.masked_array(rows[masked], mask=rows[masked] > 1)
    pipe = make_pipeline(StandardScaler(), make_clf())
    with pytest.raises(ValueError, match=f"{masked} is a masked array with"):
        pipe.fit(rows["X"], domains.y_source, X_target=rows["X_target"])


@pytest.fixture(scope="module")
def shifted():
    rng = np.random.RandomState(0)

    def table(n, shift):
        return pd.DataFrame(
            {
                "age": rng.standard_normal(n) + shift,
                "age_group": rng.choice(["young", "old"], n),
                "ward": rng.choice(["a", "b"], n, p=[0.5 + shift / 5, 0.5 - shift / 5]),
            }
        )

    source, target = table(200, 0.0), table(200, 2.0)
    y = (source["age"] > 0).astype(int).to_numpy()
    encode = make_column_transformer(
        (StandardScaler(), ["age"]), (OneHotEncoder(), ["age_group", "ward"])
    )
    base = DANNClassifier(max_epochs=3)
    pipe = make_pipeline(encode, DANNClassifierCV(base, random_state=0))
    return pipe.fit(source, y, X_target=target), source, y, target


class TestReports:
    def test_columns_have_the_names_of_the_raw_table(self, shifted):
        pipe, source, y, target = shifted
        report = pipe.diagnose(source, target, y_source=y)
        assert [column.name for column in report.columns] == ["age", "ward"]
        last = pipe[-1].diagnose(pipe[:-1].transform(source), pipe[:-1].transform(target))
        assert report.input_auc == last.input_auc
        assert report.reason == pipe[-1].reason_

    def test_transformed_columns_without_names_keep_their_numbers(self, shifted):
        _, source, y, target = shifted
        pick = FunctionTransformer(lambda X: np.asarray(X[["age"]], dtype=float))
        pipe = make_pipeline(pick, DANNClassifier(max_epochs=2, random_state=0))
        pipe.fit(source, y, X_target=target)
        assert [column.name for column in pipe.diagnose(source, target).columns] == ["x0"]

    def test_the_accuracy_is_estimated_on_transformed_rows(self, shifted):
        pipe, source, y, target = shifted
        rows = map(pipe[:-1].transform, (source, target))
        expected = pipe[-1].estimate_accuracy(next(rows), y, next(rows))
        assert pipe.estimate_accuracy(source, y, target) == expected

    def test_rows_pass_an_adaptive_step_by_their_domain(self, domains):
        X, y, X_target, _ = domains
        step = DANNClassifier(max_epochs=3, standardize="domain", random_state=0)
        pipe = make_pipeline(step, DANNClassifier(max_epochs=3, random_state=0))
        pipe.fit(X, y, X_target=X_target)
        report = pipe.diagnose(X, X_target, y_source=y)
        first = pipe[0].transform(X, sample_domain=0), pipe[0].transform(X_target, sample_domain=-1)
        assert report.input_auc == pipe[1].diagnose(*first, y_source=y).input_auc

    def test_a_last_step_without_reports_has_none(self, domains):
        assert not hasattr(make_pipeline(LogisticRegression()), "diagnose")
        assert not hasattr(make_pipeline(LogisticRegression()), "estimate_accuracy")
