"""Large targets: a sample replaces them where training can draw a small part of them only."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from skdann import DANNClassifier, DANNClassifierCV, DANNRegressor, make_pipeline
from skdann._input import large_targets
from skdann._input.large_targets import sample_pooled, sample_targets
from tests.input.common import XS, YS, arrow, make_clf, pandas, polars

LEAST = 25
N = 1000  # rows of the target, whose second column tells the index
XT = np.column_stack([np.random.default_rng(0).normal(size=N), np.arange(N) / N]).astype(np.float32)
MESSAGE = "X_target has 1,000 rows, far more than this fit can train on"


@pytest.fixture(autouse=True)
def small_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_targets, "LEAST_SAMPLE", LEAST)


def index_of(rows: np.ndarray) -> np.ndarray:
    return np.rint(rows[:, 1] * N).astype(int)


def sample(X_target: Any = XT, y_target: Any = None, n_draws: int = 0, seed: Any = 0) -> Any:
    return sample_targets(XS, X_target, y_target, lambda n_rows: n_draws, seed)


def sampled(y_target: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sample(XT, y_target, n_draws=40)


@pytest.fixture
def ignored() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*far more than this fit can train on")
        yield


# the rule


def test_a_target_of_up_to_four_times_the_sample_is_used_as_it_is() -> None:
    assert sample(XT[: 4 * LEAST])[0].shape == (100, 2)
    assert sample(XT, n_draws=N // 4)[0] is XT
    with pytest.warns(UserWarning, match="has 101 rows.* 25 rows.* at most 100"):
        assert sample(XT[: 4 * LEAST + 1])[0][0].shape == (LEAST, 2)
    with pytest.warns(UserWarning, match=MESSAGE):
        assert sample(XT, n_draws=N // 4 - 1)[0][0].shape == (N // 4 - 1, 2)


@pytest.mark.parametrize("value", [None, (), [[0.0, 1.0]], "rows", 3])
def test_other_values_are_returned_unchanged_for_the_checks_of_fit(value: Any) -> None:
    assert sample(value) == (value, None)


@pytest.mark.usefixtures("ignored")
def test_samples_are_sorted_uniform_and_seeded() -> None:
    first = sample(seed=0)[0][0]
    assert (np.diff(index_of(first)) > 0).all()
    assert_array_equal(sample(seed=0)[0][0], first)
    assert (sample(seed=1)[0][0] != first).any()
    counts = np.zeros(N)
    for seed in range(800):
        counts[index_of(sample(seed=seed)[0][0])] += 1
    assert abs(counts[: N // 2].mean() - 20) < 1  # 800 samples of a fortieth
    assert counts.max() < 20 + 6 * 20**0.5


def test_one_warning_for_several_targets_of_which_small_ones_are_kept() -> None:
    with pytest.warns(
        UserWarning, match=r"X_target\[0\] has 1,000 and X_target\[2\] has 500 rows"
    ) as w:
        targets, labels = sample((XT, XT[:50], XT[:500]))
    assert len(w) == 1
    assert [len(part) for part in targets] == [LEAST, 50, LEAST]
    assert labels is None


# labels


@pytest.mark.usefixtures("ignored")
@pytest.mark.parametrize("make", [np.asarray, list, lambda y: np.ma.masked_invalid(y)])
@pytest.mark.parametrize("as_tuple", [False, True])
def test_all_labelled_rows_are_kept_with_their_labels(
    make: Callable[[np.ndarray], Any], as_tuple: bool
) -> None:
    y = np.full(N, np.nan)
    y[[7, 500, 999]] = [0, 1, 1]
    given = make(y)
    (rows,), (labels,) = sample(XT, (given,) if as_tuple else given)
    assert LEAST <= len(rows) == len(labels) <= LEAST + 3
    values = np.ma.filled(np.ma.masked_invalid(np.ma.asarray(labels)), np.nan)
    assert_array_equal(values, y[index_of(rows)])
    assert {7, 500, 999} <= set(index_of(rows))


@pytest.mark.usefixtures("ignored")
def test_labelled_rows_remain_a_small_part_of_the_sample() -> None:
    y = np.full(N, np.nan)
    y[:60] = 1
    (rows,), _ = sample(XT, y)
    assert 4 * 60 <= len(rows) <= 5 * 60
    y[:] = 1
    assert sample(XT, y)[0] is XT


@pytest.mark.parametrize("y", [np.zeros(3), (None, None)], ids=["rows", "targets"])
def test_labels_that_do_not_match_are_left_to_the_checks_of_fit(y: Any) -> None:
    assert sample(XT, y)[0] is XT
    with pytest.raises(ValueError, match="y_target has"):
        make_clf().fit(XS, YS, XT, y_target=y)


# targets in X_source


def pooled() -> dict[str, Any]:
    """Return 40 source rows, and a large and a small target, in random order."""
    order = np.random.default_rng(1).permutation(40 + N + 30)
    return {
        "X_source": np.vstack([XS, XT, XT[:30] + 5])[order],
        "y_source": np.append(YS, np.full(N + 30, -1))[order],
        "sample_weight": np.linspace(1, 2, 40 + N + 30)[order],
        "sample_domain": np.repeat([0, -1, -2], [40, N, 30])[order],
    }


@pytest.mark.parametrize(
    "make",
    [np.asarray, list, pd.Series, lambda v: dd.from_pandas(pd.Series(v), npartitions=3)],
    ids=["array", "list", "series", "dask"],
)
def test_large_targets_in_the_source_are_sampled_with_labels_weights_and_domains(make: Any) -> None:
    X, *vectors = pooled().values()
    with pytest.warns(UserWarning, match="Target domain -1 has 1,000 rows") as record:
        found = sample_pooled(X, *map(make, vectors), lambda n_rows: n_rows, 0)
    rows, y, weight, domain = map(np.asarray, found)
    assert len(record) == 1
    assert [(domain == each).sum() for each in (0, -1, -2)] == [40, 40, 30]
    positions = [np.flatnonzero((row == X).all(axis=1))[0] for row in rows]
    assert positions == sorted(set(positions))
    for before, after in zip(vectors, (y, weight, domain), strict=True):
        assert_array_equal(after, before[positions])


def test_small_targets_and_rows_that_do_not_match_are_left_to_the_checks_of_fit() -> None:
    given = pooled()
    for change in ({"sample_domain": None}, {"y_source": None}, {"sample_weight": np.ones(3)}):
        values = (given | change).values()
        assert list(map(id, sample_pooled(*values, len, 0))) == list(map(id, values))
    values = given.values()
    found = sample_pooled(*values, lambda n_rows: N // 4, 0)
    assert list(map(id, found)) == list(map(id, values))


@pytest.mark.usefixtures("ignored")
@pytest.mark.parametrize("name", ["classifier", "choosing"])
def test_fit_with_a_large_target_in_the_source_equals_the_fit_on_its_sample(name: str) -> None:
    make, names = ESTIMATORS[name], list(pooled())
    found = sample_pooled(*pooled().values(), lambda n_rows: 40, 0)
    expected = (
        make().fit(**dict(zip(names, found, strict=True))).predict_proba(XT, sample_domain=-1)
    )
    assert_array_equal(make().fit(**pooled()).predict_proba(XT, sample_domain=-1), expected)


# estimators

CONTAINERS: dict[str, Callable[[np.ndarray], Any]] = {
    "array": np.asarray,
    "csr": sparse.csr_array,
    "pandas": pandas,
    "polars": polars,
    "polars, lazy": lambda X: polars(X).lazy(),
    "arrow": arrow,
    "dask array": lambda X: da.from_array(X, chunks=(300, 1)),
    "dask frame": lambda X: dd.from_pandas(pandas(X), npartitions=3),
    "dataset": lambda X: ds.dataset(arrow(X)),
}


@pytest.mark.usefixtures("ignored")
@pytest.mark.parametrize("name", CONTAINERS)
def test_fit_on_any_container_equals_the_fit_on_its_sample(name: str, assert_same_fit: Any) -> None:
    make = CONTAINERS[name]
    rows = sample(n_draws=96, seed=3)[0][0]  # 2 epochs of 3 steps of 16 rows
    clf = make_clf(random_state=3).fit(make(XS), YS, make(XT))
    assert_same_fit(clf, make_clf(random_state=3).fit(make(XS), YS, make(rows)))


class CountingScaler(StandardScaler):
    """Scaler that records how many rows it transforms."""

    counts: ClassVar[list[int]] = []

    def transform(self, X: Any, copy: Any = None) -> Any:
        self.counts.append(len(X))
        return super().transform(X, copy)


FEW = {"feature_extractor": (6,), "max_epochs": 1, "batch_size": 64, "random_state": 0}
ESTIMATORS: dict[str, Callable[[], Any]] = {
    "classifier": lambda: DANNClassifier(**FEW),
    "regressor": lambda: DANNRegressor(**FEW),
    "choosing": lambda: DANNClassifierCV(
        DANNClassifier(**FEW), n_seeds=2, random_state=0, baseline=LogisticRegression()
    ),
    "pipeline": lambda: make_pipeline(CountingScaler(), DANNClassifier(**FEW)),
    "features": lambda: make_pipeline(DANNClassifier(**FEW), LogisticRegression()),
}


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("is_routed", [False, True])
def test_every_estimator_warns_once_and_trains_on_the_same_sample(
    name: str, is_routed: bool
) -> None:
    make = ESTIMATORS[name]
    y_target = np.full(N, np.nan)
    y_target[[3, 900]] = [0, 1]
    (rows,), (labels,) = sampled(y_target)
    with config_context(enable_metadata_routing=is_routed):
        with pytest.warns(UserWarning, match=MESSAGE) as record:
            fitted = make().fit(XS, YS, X_target=XT, y_target=y_target)
        expected = make().fit(XS, YS, X_target=(rows,), y_target=(labels,))
    assert sum("far more" in str(each.message) for each in record) == 1
    assert record[0].filename == __file__
    assert_array_equal(fitted.predict(XT), expected.predict(XT))


@pytest.mark.usefixtures("ignored")
def test_a_pipeline_transforms_the_sample_alone() -> None:
    CountingScaler.counts.clear()
    ESTIMATORS["pipeline"]().fit(XS, YS, X_target=XT)
    assert max(CountingScaler.counts) == 40


@pytest.mark.usefixtures("ignored")
def test_a_generator_is_drawn_from_only_if_there_is_a_sample() -> None:
    states = [np.random.RandomState(0) for _ in range(2)]
    sample(XT[:100], seed=states[0])
    assert states[0].randint(2**31) == states[1].randint(2**31)
    first, second = sample(seed=states[0])[0][0], sample(seed=states[0])[0][0]
    assert (first != second).any()


def test_chunks_and_the_source_are_used_as_they_are() -> None:
    clf = make_clf().partial_fit(XS, YS, XT, classes=[0, 1])
    clf.fit(np.tile(XS, (20, 1)), np.tile(YS, 20), XT[:90])
    assert clf.n_epochs_ == 2


@pytest.mark.usefixtures("no_training")
def test_parameters_are_checked_before_rows_are_read() -> None:
    pipe = make_pipeline(StandardScaler(), make_clf(batch_size=0))
    with pytest.raises(ValueError, match="batch_size"):
        pipe.fit(XS, YS, X_target=XT)
    pipe = make_pipeline(StandardScaler(), DANNClassifierCV("network"))
    with pytest.raises(ValueError, match="estimator"):
        pipe.fit(XS, YS, X_target=XT)


@pytest.mark.usefixtures("ignored")
def test_rows_that_are_left_out_are_not_checked() -> None:
    kept = index_of(sample(n_draws=96)[0][0])
    X_target = XT.copy()
    X_target[np.setdiff1d(np.arange(N), kept)] = np.inf
    make_clf().fit(XS, YS, X_target)
    X_target[kept[0]] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        make_clf().fit(XS, YS, X_target)
