"""A few target labels: `y_target` in fits, pipelines and searches."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skdann import (
    DANNClassifier,
    DANNClassifierCV,
    DANNRegressor,
    DomainPipeline,
    make_pipeline,
)
from skdann._input.domains import check_domains
from skdann._selection.candidates import make_folds
from skdann._training.fitting import train_members
from skdann._training.net import DANNNet

TINY = {"feature_extractor": (8,), "domain_classifier": (4,), "batch_size": 16, "lr": 0.01}
SETTINGS = [
    {},
    {"lambda_max": 0},
    {"standardize": "domain", "normalization": "domain_batch"},
    {"normalization": "batch", "activation": "gelu"},
    {"pseudo_labels": "train"},
    {"pseudo_labels": "balance"},
    {"adversarial": "coral"},
    {"adversarial": "non_saturating"},
    {"adversarial": "alternating"},
    {"conditioning": "cdan"},
    {"class_weight": "balanced", "label_smoothing": 0.1},
    {"label_shift": "reweight"},
    {"early_stopping": True, "patience": 30},
    {"feature_extractor": lambda n: nn.Sequential(nn.Linear(n, 8), nn.Tanh())},
]


def make(cls=DANNClassifier, **params):
    return cls(**{**TINY, "max_epochs": 30, "random_state": 0, **params})


@pytest.fixture(scope="module")
def flipped():
    """A target in which the second column means the opposite, and labels of 20 of its 80 rows."""
    rng = np.random.default_rng(0)
    X, X_target = rng.normal(size=(100, 3)), rng.normal(size=(80, 3))
    y = (X[:, 0] + 2 * X[:, 1] > 0).astype(int)
    truth = (X_target[:, 0] - 2 * X_target[:, 1] > 0).astype(int)
    y_target = np.where(np.arange(80) < 20, truth, np.nan)
    return X, y, X_target, y_target, truth


def score(est, flipped):
    return est.score(flipped[2][20:], flipped[4][20:])


@pytest.mark.parametrize("params", SETTINGS, ids=lambda p: next(iter(p.items()), "default"))
def test_target_labels_teach_what_differs_in_the_target(flipped, params):
    X, y, X_target, y_target, _ = flipped
    without = make(**params).fit(X, y, X_target)
    with_labels = make(**params).fit(X, y, X_target, y_target=y_target)
    assert score(without, flipped) < 0.5
    assert score(with_labels, flipped) > score(without, flipped) + 0.2
    again = make(**params).fit(X, y, X_target, y_target=y_target)
    assert_array_equal(again.predict_proba(X_target), with_labels.predict_proba(X_target))


@pytest.mark.parametrize("cls", [DANNClassifier, DANNRegressor, DANNClassifierCV])
def test_no_known_label_is_the_same_as_none(cls, flipped):
    X, y, X_target, *_ = flipped
    est = cls(random_state=0) if cls is DANNClassifierCV else make(cls)
    if cls is DANNClassifierCV:
        est.set_params(n_seeds=2, **{f"estimator__{k}": v for k, v in TINY.items()})
        est.set_params(estimator__max_epochs=2, families=["alignment"])
    plain = clone(est).fit(X, y, X_target)
    for nothing in (np.full(80, np.nan), (None,)):
        same = clone(est).fit(X, y, (X_target,), y_target=nothing)
        assert_array_equal(same.predict(X_target), plain.predict(X_target))


def test_sparse_rows_with_labels_train_as_dense_ones(flipped):
    X, y, X_target, y_target, _ = flipped
    dense = make(standardize=None).fit(X, y, X_target, y_target=y_target)
    sparse = make(standardize=None).fit(
        sp.csr_array(X), y, sp.csr_array(X_target), y_target=y_target
    )
    assert_allclose(sparse.predict_proba(X_target), dense.predict_proba(X_target), atol=1e-4)


def test_several_targets_have_labels_of_their_own(flipped):
    X, y, X_target, y_target, truth = flipped
    halves = (X_target[:40], X_target[40:])
    second = np.where(np.arange(40) < 20, truth[40:], np.nan)
    labels = {"none": (None, None), "one": (None, second), "both": (y_target[:40], second)}
    scores = {}
    for name, y_targets in labels.items():
        clf = make().fit(X, y, halves, y_target=y_targets)
        assert_array_equal(clf.domains_, [0, -1, -2])
        scores[name] = clf.score(X_target[60:], truth[60:])
    assert scores["none"] + 0.2 < scores["one"]
    assert scores["none"] + 0.2 < scores["both"]


@pytest.mark.parametrize("pseudo_labels", [None, "train", "balance"])
def test_members_with_labels_train_together_as_they_do_alone(flipped, pseudo_labels):
    X, y, X_target, y_target, _ = flipped
    data = check_domains(X, y, X_target, y_target=y_target)
    folds = make_folds(data, 3, 5, 0)

    def members():
        return [make(random_state=i, max_epochs=6, pseudo_labels=pseudo_labels) for i in range(3)]

    together, alone = members(), members()
    assert train_members(together, data, folds, [], None) == [None] * 3
    for member, other, fold in zip(together, alone, folds, strict=True):
        train_members([other], data, [fold], [], None)
        found, expected = (each.predict_proba(X_target) for each in (member, other))
        assert_allclose(found, expected, atol=1e-4)
    apart = np.abs(together[0].predict_proba(X_target) - together[1].predict_proba(X_target))
    assert apart.max() > 0.01


def test_the_checkpoint_of_a_fit_with_labels_resumes(flipped, tmp_path, monkeypatch):
    X, y, X_target, y_target, _ = flipped
    expected = make(max_epochs=4, pseudo_labels="balance").fit(X, y, X_target, y_target=y_target)
    path = tmp_path / "fit.ckpt"
    clf = make(max_epochs=4, pseudo_labels="balance", checkpoint=path)
    steps, train = [], DANNNet.run_single_epoch

    def fail_late(net, *args):
        steps.append(0)
        if len(steps) == 3:
            raise RuntimeError("the machine went down")
        return train(net, *args)

    monkeypatch.setattr(DANNNet, "run_single_epoch", fail_late)
    with pytest.raises(RuntimeError, match="the machine went down"):
        clf.fit(X, y, X_target, y_target=y_target)
    resumed = clf.fit(X, y, X_target, y_target=y_target)
    assert_array_equal(resumed.predict_proba(X_target), expected.predict_proba(X_target))
    monkeypatch.setattr(DANNNet, "run_single_epoch", train)


# -- regression -----------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "quantile"])
def test_numbers_of_some_target_rows(flipped, loss):
    X, _, X_target, *_ = flipped
    y, truth = X[:, 0] + 2 * X[:, 1] + 50, X_target[:, 0] - 2 * X_target[:, 1] + 50
    y_target = np.where(np.arange(80) < 20, truth, np.nan)
    without = make(DANNRegressor, loss=loss).fit(X, y, X_target)
    with_labels = make(DANNRegressor, loss=loss).fit(X, y, X_target, y_target=y_target)
    before, after = (est.score(X_target[20:], truth[20:]) for est in (without, with_labels))
    assert before < 0
    assert after > before + 0.5
    pairs = np.stack([y, -y], 1), np.stack([y_target, -y_target], 1)
    both = make(DANNRegressor, loss=loss).fit(X, pairs[0], X_target, y_target=pairs[1])
    assert both.predict(X_target).shape == (80, 2)


# -- the search -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixture(flipped):
    X, y, X_target, y_target, _ = flipped
    return DANNClassifierCV(make(max_epochs=20), random_state=0).fit(
        X, y, X_target, y_target=y_target
    )


def test_held_out_labels_weigh_the_families(mixture, flipped):
    scores = pd.DataFrame(mixture.scores_)
    assert scores["labels_right"].between(0, 20).all()
    figures = scores["information"] + scores["reverse_source"] + scores["reverse_domain"]
    expected = figures - 0.5 * scores["changed"] + 0.1 * scores["labels_right"]
    assert_allclose(scores["score"], expected)
    exponential = np.exp((scores["score"] - scores["score"].max()) / 0.3)
    assert_allclose(scores["weight"], exponential / exponential.sum())  # the baseline too
    assert "weighted by 20 held-out labels of the target" in mixture.reason_
    without = clone(mixture).fit(*flipped[:3])
    assert score(mixture, flipped) > score(without, flipped) + 0.1
    assert "labels_right" not in without.scores_[0]


def test_labels_that_are_counted_were_not_trained_on(flipped):
    """With labels at random, no family predicts more than by chance those that it held out."""
    X, y, X_target, *_ = flipped
    noise = np.where(np.arange(80) < 60, np.random.default_rng(1).integers(0, 2, 80), np.nan)
    clf = DANNClassifierCV(make(max_epochs=40), random_state=0)
    clf.fit(X, y, X_target, y_target=noise)
    rights = [row["labels_right"] for row in clf.scores_]
    assert max(rights) <= 42  # of 60: two and a half standard deviations above one half


@pytest.mark.parametrize("n_labels", [1, 2, 3])
@pytest.mark.parametrize("n_seeds", [1, 2, 4])
def test_very_few_labels(flipped, n_labels, n_seeds):
    X, y, X_target, y_target, _ = flipped
    few = np.where(np.arange(80) < n_labels, y_target, np.nan)
    clf = DANNClassifierCV(make(max_epochs=2), random_state=0, n_seeds=n_seeds)
    clf.fit(X, y, X_target, y_target=few)
    is_counted = n_labels >= max(3, n_seeds)
    assert ("labels_right" in clf.scores_[0]) == is_counted
    assert_allclose(clf.predict_proba(X_target).sum(1), 1.0)


def test_a_model_of_the_user_is_weighed_by_labels_too(flipped):
    X, y, X_target, y_target, _ = flipped
    mine = LogisticRegression().fit(X_target[20:], flipped[4][20:])
    clf = DANNClassifierCV(make(max_epochs=2), baseline=mine, random_state=0)
    clf.fit(X, y, X_target, y_target=y_target)
    right = int((mine.predict(X_target[:20]) == y_target[:20]).sum())
    assert clf.scores_[-1]["labels_right"] == right
    assert clf.scores_[-1]["weight"] == max(row["weight"] for row in clf.scores_)


@pytest.mark.parametrize("aggregate", ["best", "passing"])
def test_labels_help_to_select(flipped, aggregate):
    X, y, X_target, y_target, _ = flipped
    clf = DANNClassifierCV(make(max_epochs=10), aggregate=aggregate, random_state=0, n_seeds=2)
    clf.fit(X, y, X_target, y_target=y_target)
    assert all("labels_right" in row for row in clf.scores_)


def test_a_fit_with_labels_is_stored(mixture, flipped, tmp_path):
    mixture.save(tmp_path / "clf.skdann")
    restored = DANNClassifierCV.load(tmp_path / "clf.skdann")
    assert_array_equal(restored.predict_proba(flipped[2]), mixture.predict_proba(flipped[2]))
    assert restored.scores_ == mixture.scores_


# -- pipelines and searches of scikit-learn -------------------------------------------------------


def test_pipelines_pass_labels_on(flipped):
    X, y, X_target, y_target, _ = flipped
    scaler = StandardScaler().fit(X)
    by_hand = make().fit(scaler.transform(X), y, scaler.transform(X_target), y_target=y_target)
    pipe = make_pipeline(StandardScaler(), make()).fit(X, y, X_target=X_target, y_target=y_target)
    expected = by_hand.predict_proba(scaler.transform(X_target))
    assert_allclose(pipe.predict_proba(X_target), expected, atol=1e-6)
    with config_context(enable_metadata_routing=True):
        routed = Pipeline(
            [("scale", StandardScaler()), ("clf", make())], transform_input=["X_target"]
        )
        routed.fit(X, y, X_target=X_target, y_target=y_target)
    assert_allclose(routed.predict_proba(X_target), expected, atol=1e-6)


def test_a_step_in_the_middle_gets_labels_and_the_last_does_not(flipped):
    X, y, X_target, y_target, _ = flipped
    steps = [("dann", make()), ("last", LogisticRegression())]
    pipe = DomainPipeline(steps, transform_input=["X_target"])
    pipe.fit(X, y, X_target, y_target=y_target)
    alone = make()
    features = alone.fit_transform(X, y, X_target, y_target=y_target)
    last = LogisticRegression().fit(features, y)
    assert_array_equal(pipe.predict(X_target), last.predict(alone.transform(X_target)))


def test_searches_pass_labels_in_a_tuple(flipped):
    X, y, X_target, y_target, _ = flipped
    params = {"X_target": (X_target,), "y_target": (y_target,)}
    search = GridSearchCV(make(max_epochs=5), {"lambda_max": [0, 0.3]}, cv=2)
    search.fit(X, y, **params)
    same = make(max_epochs=5, **search.best_params_).fit(X, y, X_target, y_target=y_target)
    assert_array_equal(search.predict(X_target), same.predict(X_target))


def test_labels_that_a_search_cut_are_refused_or_warned_of(flipped):
    X, y, X_target, y_target, _ = flipped
    X, y = X[:80], y[:80]
    with pytest.raises(ValueError, match="y_target has 40 labels, but X_target has 80 rows"):
        cross_val_score(
            make(max_epochs=1),
            X,
            y,
            params={"X_target": (X_target,), "y_target": y_target},
            cv=2,
            error_score="raise",
        )


def test_partial_fit_takes_no_labels_of_the_target(flipped):
    X, y, X_target, y_target, _ = flipped
    with pytest.raises(TypeError, match="'y_target': labels of target rows are taken by fit alone"):
        make().partial_fit(X, y, X_target, classes=[0, 1], y_target=y_target)


@pytest.mark.parametrize("cls", [DANNClassifier, DANNRegressor, DANNClassifierCV])
def test_labels_by_position_are_explained(cls, flipped):
    X, y, X_target, y_target, _ = flipped
    with pytest.raises(TypeError, match=r"y_target=\.\.\. for labels of some target rows"):
        cls().fit(X, y, X_target, y_target)
    with pytest.raises(TypeError, match=r"did you mean y_target\?"):
        cls().fit(X, y, X_target, yt=y_target)


def test_warm_start_continues_with_labels(flipped):
    X, y, X_target, y_target, _ = flipped
    clf = make(warm_start=True).fit(X, y, X_target)
    before = score(clf, flipped)
    clf.fit(X, y, X_target, y_target=y_target)
    assert score(clf, flipped) > before + 0.2
