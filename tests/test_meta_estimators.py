"""Searches and meta-estimators of scikit-learn around the classifier."""

from __future__ import annotations

import contextlib
import copy
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import cloudpickle
import joblib
import numpy as np
import pytest
import sklearn
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RandomizedSearchCV,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.utils.metadata_routing import get_routing_for_object

from skdann import DANNClassifier, SourceOnlyWarning, make_pipeline

ROUTING = pytest.mark.parametrize("routing", [False, True], ids=["plain", "routing"])
GRID = {"lambda_max": [0.0, 1.0]}
FOLD = 40 * 2 // 3  # rows of X_source in the smallest training fold of three


class Spy(DANNClassifier):
    """A DANNClassifier that records the arguments of every fit."""

    seen: ClassVar[list[dict[str, Any]]] = []

    def fit(self, X_source, y_source, X_target=None, *, sample_weight=None, sample_domain=None):
        is_tuple = isinstance(X_target, tuple)
        targets = X_target if is_tuple else (X_target,)
        call = {
            "source": np.shape(X_source),
            "targets": [np.shape(rows) for rows in targets],
            "is_tuple": is_tuple,
            "rows": None if targets[0] is None else np.array(targets[0]),
            "weight": sample_weight,
            "domain": sample_domain,
        }
        self.seen.append(call)
        params = {"sample_weight": sample_weight, "sample_domain": sample_domain}
        return super().fit(X_source, y_source, X_target, **params)


@pytest.fixture
def spy(make_clf: Any) -> Iterator[Spy]:
    Spy.seen.clear()
    yield Spy(**make_clf(max_epochs=1).get_params())
    Spy.seen.clear()


@pytest.fixture
def is_routed(routing: bool) -> Iterator[bool]:
    """Switch scikit-learn's metadata routing on or off for a whole test."""
    with sklearn.config_context(enable_metadata_routing=routing):
        yield routing


def assert_whole_target(domains: Any, n_fits: int) -> None:
    """Assert that every fit of the spy got the whole target."""
    assert len(Spy.seen) == n_fits
    for call in Spy.seen:
        assert call["targets"] == [(40, 4)]
        assert_array_equal(call["rows"], domains.X_target)


# The target in cross-validation


@ROUTING
@pytest.mark.usefixtures("is_routed")
def test_a_tuple_is_passed_whole_to_every_fold(domains: Any, spy: Spy) -> None:
    assert len(domains.X_source) == len(domains.X_target)  # otherwise scikit-learn would not slice
    search = GridSearchCV(spy, GRID, cv=3)
    search.fit(domains.X_source, domains.y_source, X_target=(domains.X_target,))
    assert_whole_target(domains, n_fits=2 * 3 + 1)
    assert [call["source"][0] >= FOLD for call in Spy.seen] == [True] * 7
    assert [call["source"][0] < 40 for call in Spy.seen] == [True] * 6 + [False]


@ROUTING
@pytest.mark.usefixtures("is_routed")
def test_a_bare_target_of_equal_length_is_sliced(domains: Any, spy: Spy) -> None:
    """Show the pitfall that the docs warn of; they must follow if scikit-learn changes."""
    search = GridSearchCV(spy, GRID, cv=3)
    with pytest.warns(UserWarning, match="as many rows as X_source"):
        search.fit(domains.X_source, domains.y_source, X_target=domains.X_target)
    for call in Spy.seen[:-1]:
        assert call["targets"] == [call["source"]]
        assert call["source"][0] < 40
    assert Spy.seen[-1]["targets"] == [(40, 4)]  # the refit, on all rows


@ROUTING
@pytest.mark.usefixtures("is_routed")
def test_a_bare_target_of_another_length_is_whole(domains: Any, spy: Spy) -> None:
    search = GridSearchCV(spy, GRID, cv=3)
    search.fit(domains.X_source, domains.y_source, X_target=domains.X_target[:39])
    assert {shape for call in Spy.seen for shape in call["targets"]} == {(39, 4)}


@ROUTING
@pytest.mark.usefixtures("is_routed")
def test_within_make_pipeline_too(domains: Any, spy: Spy) -> None:
    search = GridSearchCV(
        make_pipeline(StandardScaler(), spy), {"spy__lambda_max": [0.0, 1.0]}, cv=3
    )
    search.fit(domains.X_source, domains.y_source, X_target=(domains.X_target,))
    assert [call["targets"] for call in Spy.seen] == [[(40, 4)]] * 7
    # the scaler of each fold, fitted on its source rows alone, transformed the target
    splits = StratifiedKFold(3).split(domains.X_source, domains.y_source)
    scalers = [StandardScaler().fit(domains.X_source[train]) for train, _ in splits]
    scalers = [*scalers, *scalers, StandardScaler().fit(domains.X_source)]
    for call, scaler in zip(Spy.seen, scalers, strict=True):
        assert_array_equal(call["rows"], scaler.transform(domains.X_target))


@ROUTING
@pytest.mark.usefixtures("is_routed")
def test_randomized_search(domains: Any, spy: Spy) -> None:
    search = RandomizedSearchCV(spy, {"lr": [1e-3, 1e-2, 1e-1]}, n_iter=2, cv=3, random_state=0)
    search.fit(domains.X_source, domains.y_source, X_target=(domains.X_target,))
    assert_whole_target(domains, n_fits=2 * 3 + 1)
    assert search.predict(domains.X_target).shape == (40,)


@ROUTING
@pytest.mark.usefixtures("is_routed")
def test_cross_validate(domains: Any, spy: Spy) -> None:
    params = {"X_target": (domains.X_target,)}
    result = cross_validate(
        spy, domains.X_source, domains.y_source, params=params, cv=3, return_estimator=True
    )
    assert_whole_target(domains, n_fits=3)
    splits = StratifiedKFold(3).split(domains.X_source, domains.y_source)
    for clf, score, (train, test) in zip(
        result["estimator"], result["test_score"], splits, strict=True
    ):
        alone = clone(clf).fit(domains.X_source[train], domains.y_source[train], domains.X_target)
        assert alone.score(domains.X_source[test], domains.y_source[test]) == score
    scores = cross_val_score(spy, domains.X_source, domains.y_source, params=params, cv=3)
    assert_array_equal(scores, result["test_score"])


@ROUTING
@pytest.mark.usefixtures("is_routed")
def test_cross_val_predict(domains: Any, spy: Spy) -> None:
    params = {"X_target": (domains.X_target,)}
    predicted = cross_val_predict(
        spy, domains.X_source, domains.y_source, params=params, cv=KFold(4), method="predict_proba"
    )
    assert_whole_target(domains, n_fits=4)
    for train, test in KFold(4).split(domains.X_source):
        alone = clone(spy).fit(domains.X_source[train], domains.y_source[train], domains.X_target)
        assert_array_equal(predicted[test], alone.predict_proba(domains.X_source[test]))


@ROUTING
def test_pooled_rows_are_sliced_with_the_folds(domains: Any, spy: Spy, is_routed: bool) -> None:
    X = np.vstack([domains.X_source, domains.X_target])
    y = np.r_[domains.y_source, np.full(40, -9)]
    domain = np.repeat([0, -1], 40)
    estimator = spy.set_fit_request(sample_domain=True) if is_routed else spy
    search = GridSearchCV(estimator, GRID, cv=StratifiedKFold(4))
    search.fit(X, y, sample_domain=domain)
    trains = [train for train, _ in StratifiedKFold(4).split(X, y)]
    for call, rows in zip(Spy.seen, [*trains, *trains, np.arange(80)], strict=True):
        assert call["source"] == (len(rows), 4)
        assert_array_equal(call["domain"], domain[rows])
        assert call["targets"] == [()]
    assert search.best_estimator_.domains_.tolist() == [0, -1]
    assert search.classes_.tolist() == [0, 1]


@ROUTING
def test_weights_are_sliced_with_the_folds(domains: Any, spy: Spy, is_routed: bool) -> None:
    weight = np.linspace(0.5, 2, 40)
    estimator = spy
    if is_routed:
        estimator = spy.set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
    search = GridSearchCV(estimator, {"lr": [1e-3]}, cv=KFold(4))
    search.fit(
        domains.X_source, domains.y_source, X_target=(domains.X_target,), sample_weight=weight
    )
    trains = [train for train, _ in KFold(4).split(domains.X_source)]
    for call, rows in zip(Spy.seen, [*trains, np.arange(40)], strict=True):
        assert_array_equal(call["weight"], weight[rows])


def test_groups_beside_the_target(domains: Any, spy: Spy) -> None:
    groups = np.arange(40) % 4
    search = GridSearchCV(spy, {"lr": [1e-3]}, cv=GroupKFold(4))
    search.fit(domains.X_source, domains.y_source, groups=groups, X_target=(domains.X_target,))
    assert_whole_target(domains, n_fits=5)


def test_an_error_of_the_target_stops_the_search(domains: Any, make_clf: Any) -> None:
    search = GridSearchCV(make_clf(), GRID, cv=3, error_score="raise")
    with pytest.raises(ValueError, match=r"X_target has 3 features but X_source has 4"):
        search.fit(domains.X_source, domains.y_source, X_target=(domains.X_target[:, :3],))


# Parallel searches


@pytest.mark.parametrize("is_pipeline", [False, True], ids=["classifier", "pipeline"])
def test_a_parallel_search_gives_the_same_bits(
    domains: Any, make_clf: Any, is_pipeline: bool
) -> None:
    clf = make_clf(feature_extractor=(128, 64), batch_size=40, max_epochs=3)
    if is_pipeline:
        clf = make_pipeline(StandardScaler(), clf)
    grid = {f"{'dannclassifier__' * is_pipeline}lambda_max": [0.0, 0.5, 1.0]}

    def search(n_jobs: int) -> GridSearchCV:
        fitted = GridSearchCV(clf, grid, cv=3, scoring="neg_log_loss", n_jobs=n_jobs)
        return fitted.fit(domains.X_source, domains.y_source, X_target=(domains.X_target,))

    serial, parallel = search(1), search(2)
    scores = [name for name in serial.cv_results_ if "test_score" in name and "rank" not in name]
    assert len(scores) == 5
    for name in scores:
        assert_array_equal(parallel.cv_results_[name], serial.cv_results_[name])
    assert len(set(serial.cv_results_["mean_test_score"])) == 3  # lambda matters
    assert parallel.best_params_ == serial.best_params_
    expected = serial.predict_proba(domains.X_target)
    assert_array_equal(parallel.predict_proba(domains.X_target), expected)


# Meta-estimators


def test_calibration_of_a_fitted_classifier(domains: Any, make_clf: Any) -> None:
    clf = make_clf().fit(domains.X_source, domains.y_source, domains.X_target)
    calibrated = CalibratedClassifierCV(FrozenEstimator(clf))
    calibrated.fit(domains.X_source, domains.y_source)  # a fit without target would warn
    # Platt's sigmoid is a monotone function of the classifier's score
    order = np.argsort(clf.predict_proba(domains.X_target)[:, 1])
    steps = np.diff(calibrated.predict_proba(domains.X_target)[order, 1])
    assert (steps >= 0).all() or (steps <= 0).all()


@ROUTING
@pytest.mark.usefixtures("is_routed")
def test_cross_validated_calibration(domains: Any, spy: Spy) -> None:
    calibrated = CalibratedClassifierCV(spy, cv=3)
    calibrated.fit(domains.X_source, domains.y_source, X_target=(domains.X_target,))
    assert_whole_target(domains, n_fits=3)
    assert calibrated.predict_proba(domains.X_target).shape == (40, 2)


@pytest.fixture
def routed() -> Iterator[None]:
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def meta_estimators(spy: Spy) -> dict[str, tuple[Any, int]]:
    """Estimators that pass the target on by routing, with the number of fits of the classifier."""
    others = [("dann", spy), ("logistic", LogisticRegression())]
    return {
        "voting": (VotingClassifier(others, voting="soft"), 1),
        "one versus rest": (OneVsRestClassifier(spy), 3),
        "bagging": (BaggingClassifier(spy, n_estimators=3, random_state=0), 3),
    }


@pytest.mark.usefixtures("routed")
@pytest.mark.parametrize("name", meta_estimators(Spy()))
def test_meta_estimators_pass_the_target_on(domains: Any, spy: Spy, name: str) -> None:
    estimator, n_fits = meta_estimators(spy)[name]
    estimator.fit(domains.X_source, np.arange(40) % 3, X_target=(domains.X_target,))
    assert_whole_target(domains, n_fits)
    assert estimator.predict_proba(domains.X_target).shape == (40, 3)


@pytest.mark.usefixtures("routed")
@pytest.mark.parametrize("name", meta_estimators(Spy()))
def test_only_bagging_resamples_a_bare_target_of_equal_length(
    domains: Any, spy: Spy, name: str
) -> None:
    """Show the pitfall: bagging passes a bootstrap sample of the target."""
    estimator, n_fits = meta_estimators(spy)[name]
    warns = pytest.warns(UserWarning, match="as many rows as X_source")
    with warns if name == "bagging" else contextlib.nullcontext():
        estimator.fit(domains.X_source, np.arange(40) % 3, X_target=domains.X_target)
    assert len(Spy.seen) == n_fits
    is_whole = [np.array_equal(call["rows"], domains.X_target) for call in Spy.seen]
    assert is_whole == [name != "bagging"] * n_fits


@pytest.mark.usefixtures("routed")
def test_stacking_accepts_a_fitted_classifier(domains: Any, make_clf: Any, spy: Spy) -> None:
    """Show a limit of scikit-learn: stacking passes every parameter to its final estimator."""
    members = [("dann", spy), ("logistic", LogisticRegression())]
    with pytest.raises(TypeError, match="X_target"):
        StackingClassifier(members, cv=3).fit(
            domains.X_source, domains.y_source, X_target=(domains.X_target,)
        )
    clf = make_clf().fit(domains.X_source, domains.y_source, domains.X_target)
    stacking = StackingClassifier([("dann", FrozenEstimator(clf)), members[1]], cv=3)
    stacking.fit(domains.X_source, domains.y_source)
    assert_array_equal(
        stacking.transform(domains.X_target)[:, 0], clf.predict_proba(domains.X_target)[:, 1]
    )


@pytest.mark.usefixtures("routed")
def test_voting_equals_the_mean_of_its_members(domains: Any, make_clf: Any) -> None:
    members = [make_clf(random_state=seed) for seed in (0, 1)]
    voting = VotingClassifier(list(zip("ab", members, strict=True)), voting="soft")
    voting.fit(domains.X_source, domains.y_source, X_target=(domains.X_target,))
    alone = [
        clf.fit(domains.X_source, domains.y_source, domains.X_target).predict_proba(
            domains.X_target
        )
        for clf in members
    ]
    assert_array_equal(voting.predict_proba(domains.X_target), np.mean(alone, axis=0))
    assert not np.array_equal(*alone)


def test_one_versus_rest_without_routing_sees_no_target(domains: Any, make_clf: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="enable_metadata_routing"):
        OneVsRestClassifier(make_clf()).fit(
            domains.X_source, domains.y_source, X_target=domains.X_target
        )
    with pytest.warns(SourceOnlyWarning):
        OneVsRestClassifier(make_clf()).fit(domains.X_source, domains.y_source)


# Metadata requests of the classifier


@pytest.mark.usefixtures("routed")
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_the_target_is_requested_by_default(method: str) -> None:
    requests = getattr(get_routing_for_object(DANNClassifier()), method).requests
    assert requests["X_target"] is True
    assert requests["sample_weight"] is requests["sample_domain"] is None
    assert not {"X", "y", "X_source", "y_source"} & set(requests)


@pytest.mark.usefixtures("routed")
def test_requests_can_be_changed_but_not_for_the_source() -> None:
    clf = DANNClassifier().set_fit_request(
        X_target=False, y_target=False, sample_weight=True, sample_domain="where"
    )
    assert clf.get_metadata_routing().fit.requests == {
        "X_target": False,
        "y_target": False,
        "sample_weight": True,
        "sample_domain": "where",
    }
    for name in ("X_source", "y_source"):
        with pytest.raises(TypeError, match=f"Unexpected args.*{name}"):
            DANNClassifier().set_fit_request(**{name: True})


@pytest.mark.usefixtures("routed")
@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", "transform"])
def test_inference_requests_domains_only(method: str) -> None:
    requests = getattr(get_routing_for_object(DANNClassifier()), method).requests
    assert requests == {"sample_domain": None}


@pytest.mark.usefixtures("routed")
def test_weights_pass_a_meta_estimator_on_request(domains: Any, spy: Spy) -> None:
    weight = np.linspace(0.5, 2, 40)
    params = {"X_target": (domains.X_target,), "sample_weight": weight}
    with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError, match="sample_weight"):
        cross_validate(spy, domains.X_source, domains.y_source, params=params, cv=KFold(4))
    asking = spy.set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
    cross_validate(asking, domains.X_source, domains.y_source, params=params, cv=KFold(4))
    for call, (train, _) in zip(Spy.seen, KFold(4).split(domains.X_source), strict=True):
        assert_array_equal(call["weight"], weight[train])
    assert_whole_target(domains, n_fits=4)


@pytest.mark.usefixtures("routed")
def test_a_request_can_be_declined(domains: Any, spy: Spy) -> None:
    declining = spy.set_fit_request(X_target=False)
    with pytest.raises(TypeError, match="X_target"):
        cross_validate(
            declining, domains.X_source, domains.y_source, params={"X_target": (domains.X_target,)}
        )


def test_rows_and_labels_are_the_first_positional_arguments(domains: Any, make_clf: Any) -> None:
    # every meta-estimator of scikit-learn calls fit(X, y, **params)
    first, second = make_clf(), make_clf()
    first.fit(domains.X_source, domains.y_source, X_target=domains.X_target)
    second.fit(X_source=domains.X_source, y_source=domains.y_source, X_target=domains.X_target)
    assert_array_equal(
        first.predict_proba(domains.X_target), second.predict_proba(domains.X_target)
    )


# Copies


def _joblib(clf: DANNClassifier, folder: Path) -> DANNClassifier:
    joblib.dump(clf, folder / "clf.joblib")
    return joblib.load(folder / "clf.joblib")


ROUND_TRIPS = {
    "pickle": lambda clf, folder: pickle.loads(pickle.dumps(clf)),
    "cloudpickle": lambda clf, folder: cloudpickle.loads(cloudpickle.dumps(clf)),
    "joblib": _joblib,
    "deepcopy": lambda clf, folder: copy.deepcopy(clf),
}


@pytest.mark.parametrize("round_trip", ROUND_TRIPS.values(), ids=ROUND_TRIPS)
@pytest.mark.parametrize(
    "params",
    [
        {"normalization": "domain_batch"},
        {"early_stopping": True, "max_epochs": 3},
        {"feature_extractor": torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh())},
    ],
    ids=["norm", "stopping", "module"],
)
def test_round_trips(
    domains: Any, make_clf: Any, tmp_path: Path, round_trip: Any, params: dict[str, Any]
) -> None:
    clf = make_clf(**params).fit(domains.X_source, domains.y_source, domains.X_target)
    other = round_trip(clf, tmp_path)
    for method in ("predict", "predict_proba", "transform", "predict_domain_proba"):
        expected = getattr(clf, method)(domains.X_target)
        assert_array_equal(getattr(other, method)(domains.X_target), expected)
    assert other.history_ == clf.history_
    # training continues identically, because random generators are copied too
    clf.set_params(early_stopping=False), other.set_params(early_stopping=False)
    for each in (clf, other):
        each.partial_fit(domains.X_source, domains.y_source, domains.X_target)
    assert_array_equal(other.predict_proba(domains.X_target), clf.predict_proba(domains.X_target))


LAMBDAS = {
    "lambda_schedule": lambda p: p**2,
    "feature_extractor": lambda n_in: torch.nn.Linear(n_in, 5),
    "optimizer": lambda parameters, lr: torch.optim.SGD(parameters, lr=lr),
}


@pytest.mark.parametrize("name", LAMBDAS)
def test_lambdas_survive_cloudpickle(domains: Any, make_clf: Any, name: str) -> None:
    clf = make_clf(**{name: LAMBDAS[name]})
    clf.fit(domains.X_source, domains.y_source, domains.X_target)
    other = cloudpickle.loads(cloudpickle.dumps(clf))
    assert_array_equal(other.predict_proba(domains.X_target), clf.predict_proba(domains.X_target))


@pytest.mark.parametrize("name", LAMBDAS)
def test_training_continues_with_lambdas(domains: Any, make_clf: Any, name: str) -> None:
    clf = make_clf(**{name: LAMBDAS[name]}, warm_start=True)
    clf.fit(domains.X_source, domains.y_source, domains.X_target)
    before = clf.predict_proba(domains.X_target)
    clf.partial_fit(domains.X_source, domains.y_source, domains.X_target)
    clf.fit(domains.X_source, domains.y_source, domains.X_target)
    assert not np.array_equal(clf.predict_proba(domains.X_target), before)


def test_a_clone_is_unfitted_and_fits_alike(
    domains: Any, make_clf: Any, assert_same_fit: Any
) -> None:
    clf = make_clf().fit(domains.X_source, domains.y_source, domains.X_target)
    other = clone(clf)
    assert vars(other).keys() == clf.get_params().keys()
    target = (domains.X_target,)  # a bare target as long as the source would warn in a clone
    assert_same_fit(other.fit(domains.X_source, domains.y_source, target), clf)


# Random states


def global_states() -> list[Any]:
    numpy_state = np.random.get_state()
    return [
        random.getstate(),
        [part.tolist() if isinstance(part, np.ndarray) else part for part in numpy_state],
        torch.get_rng_state().tolist(),
    ]


def reseed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@pytest.fixture
def restored_states() -> Iterator[None]:
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    yield
    random.setstate(before[0])
    np.random.set_state(before[1])
    torch.set_rng_state(before[2])


MODULE_PARAMS = [
    {},
    {"dropout": 0.5, "early_stopping": True, "normalization": "batch"},
    {"feature_extractor": torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Dropout(0.5))},
    {"feature_extractor": lambda n_in: torch.nn.Linear(n_in, 5)},
    {"adversarial": "alternating", "conditioning": "cdan"},
]


@pytest.mark.usefixtures("restored_states")
@pytest.mark.parametrize("random_state", [0, None, "instance"])
@pytest.mark.parametrize(
    "params", MODULE_PARAMS, ids=["plain", "held out", "module", "made", "gan"]
)
def test_global_random_states_are_untouched(
    domains: Any, make_clf: Any, random_state: Any, params: dict[str, Any]
) -> None:
    if random_state == "instance":
        random_state = np.random.RandomState(0)
    before = global_states()
    clf = make_clf(random_state=random_state, **params)
    clf.fit(domains.X_source, domains.y_source, domains.X_target)
    clf.set_params(early_stopping=False)
    clf.partial_fit(domains.X_source, domains.y_source, domains.X_target)
    clf.predict(domains.X_target)
    assert global_states() == before


@pytest.mark.usefixtures("restored_states")
@pytest.mark.parametrize(
    "params", MODULE_PARAMS, ids=["plain", "held out", "module", "made", "gan"]
)
def test_global_random_states_do_not_matter(
    domains: Any, make_clf: Any, assert_same_fit: Any, params: dict[str, Any]
) -> None:
    fits = []
    for seed in (1, 2):
        reseed(seed)
        clf = make_clf(**params)
        fits.append(clf.fit(domains.X_source, domains.y_source, domains.X_target))
    assert_same_fit(*fits)


@pytest.mark.usefixtures("restored_states")
def test_without_a_seed_every_fit_differs(domains: Any, make_clf: Any) -> None:
    weights = []
    for _ in range(2):
        reseed(0)  # the global state is not used as a seed
        clf = make_clf(random_state=None)
        clf.fit(domains.X_source, domains.y_source, domains.X_target)
        weights.append(clf.predict_proba(domains.X_target))
    assert not np.array_equal(*weights)
