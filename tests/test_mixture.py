"""`DANNClassifierCV` as a mixture of families: weights, the bound, and every configuration."""

from __future__ import annotations

import signal

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from skorch.callbacks import Callback
from torch import nn

import skdann._cv
from skdann import DANNClassifier, DANNClassifierCV, SourceOnlyWarning
from skdann._selection import candidates as selection
from skdann._selection.outcome import Outcome
from skdann._training.divergence import DivergenceError
from skdann._training.net import DANNNet

NETWORKS = ("alignment", "self_training", "balanced")
ROW = {"lambda_max": 0.0, "standardize": None, "score": 1.0}
FAMILIES = ["baseline", *NETWORKS, "trees"]


def make(small=None, **params):
    """Create a small mixture; `small` has parameters of its estimator."""
    tiny = {
        "feature_extractor": (8,),
        "domain_classifier": (4,),
        "max_epochs": 4,
        "batch_size": 16,
        "lr": 0.01,
    }
    return DANNClassifierCV(
        DANNClassifier(**{**tiny, **(small or {})}), **{"n_seeds": 2, "random_state": 0, **params}
    )


@pytest.fixture(scope="module")
def table():
    """Source rows, labels, target rows and labels; the target is shifted and stretched."""
    rng = np.random.default_rng(0)
    X, X_target = rng.normal(size=(80, 4)), rng.normal((0.7, 0.0, -0.7, 0.0), 0.5, size=(90, 4))
    y, y_target = ((rows[:, 0] + rows[:, 1] > 0.1).astype(int) for rows in (X, 2 * X_target))
    return X, y, 2.0 * X_target, y_target


@pytest.fixture(scope="module")
def mixture(table):
    return make().fit(*table[:3])


def mean_of(members, X):
    return np.mean([member.predict_proba(X) for member in members], axis=0)


# -- weights and the bound ------------------------------------------------------------------------


def test_families_are_mixed_by_their_scores(mixture, table):
    scores = pd.DataFrame(mixture.scores_)
    assert scores["family"].tolist() == FAMILIES
    exponential = np.exp(scores["score"][1:] / 0.3)
    assert_allclose(scores["weight"], [0.0, *(exponential / exponential.sum())])
    figures = scores["information"] + scores["reverse_source"] + scores["reverse_domain"]
    assert_allclose(scores["score"], figures - 0.5 * scores["changed"])
    assert scores["lambda_max"].tolist() == [0.0, (0.3, 0.0, 0.3), 0.0, 0.3, 0.0]
    scalings = ["source", ("source", "domain", "domain"), "source", "domain", None]
    assert [row["standardize"] for row in mixture.scores_] == scalings
    rows = zip(mixture.scores_, mixture.candidates_, strict=True)
    expected = sum(row["weight"] * mean_of(members, table[2]) for row, members in rows)
    assert_allclose(mixture.predict_proba(table[2]), expected, rtol=1e-6)
    assert mixture.weights_.sum() == pytest.approx(1.0)
    assert len(mixture.members_) == len(mixture.weights_) == 3 + 2 + 2 + 1
    assert mixture.adapted_
    assert mixture.shift_ == "other"
    best = int(scores["weight"].argmax())
    assert mixture.best_index_ == best
    assert mixture.lambda_ == scores["lambda_max"][best]


def test_the_reason_names_what_is_mixed_and_how_much_changes(mixture):
    order = sorted(mixture.scores_[1:], key=lambda row: -row["weight"])
    parts = [f"{row['weight']:.0%} {row['family'].replace('_', '-')}" for row in order]
    assert mixture.reason_ == (
        f"adapted by a mixture of {', '.join(parts)}; {mixture.changed_share_:.0%} of the target "
        "rows are predicted otherwise than by the baseline"
    )


@pytest.mark.parametrize(
    ("small", "params"),
    [
        ({}, {}),
        ({}, {"families": ("balanced",)}),  # which corrects its predictions
        ({"label_shift": "correct"}, {}),
        ({"label_shift": "correct"}, {"families": ("alignment",), "aggregate": "passing"}),
        ({"class_weight": "balanced"}, {"families": ("self_training", "trees")}),
        ({}, {"aggregate": "best", "margin": 0.0}),
        ({}, {"margin": 9.0, "aggregate": "passing"}),
        ({}, {"baseline": LogisticRegression()}),
    ],
    ids=str,
)
def test_accuracy_differs_by_the_changed_share_at_most(small, params, table):
    X, y, X_target, y_target = table
    mixed = make(small, **params).fit(X, y, X_target)
    fitted = make(small, **{**params, "aggregate": "mixture", "margin": None})
    baseline = mean_of(fitted.fit(X, y, X_target).candidates_[0], X_target).argmax(1)
    predicted = mixed.predict_proba(X_target).argmax(1)
    assert mixed.changed_share_ == np.mean(predicted != baseline)
    assert mixed.changed_share_ > 0 or not mixed.adapted_ or small
    gain = np.sum(predicted == y_target) - np.sum(baseline == y_target)
    assert abs(gain) <= round(mixed.changed_share_ * len(y_target))


def test_an_objection_leaves_the_baseline_alone(table):
    """Neither random halves of one table nor a target equal to the source are shifted."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(400, 4))
    y = (X[:, 0] + X[:, 1] > 0.1).astype(int)
    for X_target in (X[200:], X[:200]):
        clf = make({"max_epochs": 1}).fit(X[:200], y[:200], X_target)
        assert clf.shift_ == "none"
        assert clf.reason_.startswith("not adapted: the domains hardly differ (domain AUC 0.")
        assert (clf.adapted_, clf.changed_share_) == (False, 0.0)
        assert [row["weight"] for row in clf.scores_] == [1.0, 0.0, 0.0, 0.0, 0.0]
        assert clf.members_ == clf.candidates_[0]


def test_a_rotation_is_a_shift_that_only_trees_see():
    rng = np.random.default_rng(0)
    X, X_target = (rng.normal(size=(300, 2)) * [3.0, 0.3] for _ in range(2))
    turn = np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2)
    y = (X[:, 0] > 0).astype(int)
    clf = make({"max_epochs": 1}, n_seeds=1).fit(X @ turn, y, X_target @ turn.T)
    assert (clf.shift_, clf.adapted_) == ("other", True)


# -- failures -------------------------------------------------------------------------------------


@pytest.fixture
def failing(monkeypatch):
    """Return a function that lets the members of some families diverge."""

    def fail(*kinds):
        train = selection.train_members

        def train_some(members, *args, **kwargs):
            errors = train(members, *args, **kwargs)
            return [
                DivergenceError("it broke") if _kind(member) in kinds else error
                for member, error in zip(members, errors, strict=True)
            ]

        monkeypatch.setattr(selection, "train_members", train_some)

    return fail


def _kind(member):
    source_only = "baseline" if member.standardize == "source" and not member.lambda_max else None
    return {"train": "self_training", "balance": "balanced"}.get(
        member.pseudo_labels, source_only or "alignment"
    )


def test_a_family_that_diverges_is_told_once_and_gets_no_weight(table, failing, mixture):
    failing("balanced")
    with pytest.warns(FitFailedWarning, match="1 of 4 candidates failed.*it broke") as caught:
        clf = make().fit(*table[:3])
    assert len(caught) == 1
    row = clf.scores_[3]
    assert (row["family"], row["weight"], row["error"]) == ("balanced", 0.0, "it broke")
    assert row["score"] == -np.inf
    rest = [1, 2, 4]
    assert [clf.scores_[i]["score"] for i in rest] == [mixture.scores_[i]["score"] for i in rest]
    assert sum(clf.scores_[i]["weight"] for i in rest) == pytest.approx(1.0)


def test_if_all_families_diverge_the_baseline_predicts(table, failing):
    failing(*NETWORKS)
    with pytest.warns(FitFailedWarning, match="3 of 4 candidates failed"):
        clf = make(families=NETWORKS).fit(*table[:3])
    assert (clf.adapted_, clf.changed_share_) == (False, 0.0)
    assert clf.reason_ == "not adapted: the training of all other candidates failed"
    assert clf.members_ == clf.candidates_[0]


def test_if_the_baseline_diverges_there_is_nothing_to_fall_back_on(table, failing):
    failing("baseline")
    clf = make()
    with pytest.raises(DivergenceError, match="The source-only baseline failed: it broke"):
        clf.fit(*table[:3])
    assert not hasattr(clf, "members_")


# -- families -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "families",
    [("balanced", "alignment"), ["self_training"], ("trees",), ("trees", "alignment", "trees")],
    ids=str,
)
def test_some_families(families, table, mixture):
    clf = make(families=families).fit(*table[:3])
    expected = [name for name in dict.fromkeys(families) if name != "trees"]
    expected += ["trees"] * ("trees" in families)
    assert [row["family"] for row in clf.scores_] == ["baseline", *expected]
    for row in clf.scores_:
        same = mixture.scores_[FAMILIES.index(row["family"])]
        assert row["score"] == pytest.approx(same["score"], abs=0.02)


def test_without_families_the_baseline_is_the_only_candidate(table):
    clf = make(families=()).fit(*table[:3])
    assert [row["family"] for row in clf.scores_] == ["baseline"]
    assert not clf.adapted_


@pytest.mark.parametrize("n_seeds", [1, 4])
def test_the_number_of_seeds(n_seeds, table):
    clf = make(n_seeds=n_seeds, small={"max_epochs": 1}).fit(*table[:3])
    counts = [len(members) for members in clf.candidates_]
    assert counts == [n_seeds, max(3, n_seeds), n_seeds, n_seeds, 1]


def test_a_class_that_some_folds_lack(table):
    X, _, X_target, _ = table
    y = np.r_[np.arange(78) % 2, 2, 2]
    clf = make({"max_epochs": 1}, n_seeds=3).fit(X, y, X_target)
    assert clf.predict_proba(X_target).shape == (90, 3)
    assert all(np.isfinite(row["score"]) for row in clf.scores_)


def test_sparse_rows_have_no_trees(table):
    X, y, X_target, _ = table
    rows, target = sp.csr_array(X), sp.csr_array(X_target)
    clf = make().fit(rows, y, target)
    assert [row["family"] for row in clf.scores_] == FAMILIES[:-1]
    assert_allclose(clf.predict_proba(target), clf.predict_proba(X_target), atol=1e-6)
    given = make(baseline=LogisticRegression()).fit(rows, y, target)  # which takes sparse rows
    assert [row["family"] for row in given.scores_] == FAMILIES


def test_trees_predict_sparse_rows(mixture, table):
    sparse = mixture.predict_proba(sp.csr_array(table[2]))
    assert_allclose(sparse, mixture.predict_proba(table[2]), atol=1e-6)


def test_trees_get_the_rows_and_weights_of_the_networks(table):
    X, y, X_target, _ = table
    weight = np.linspace(0.1, 1.0, len(y))
    clf = make(families=("trees",)).fit(X, y, X_target, sample_weight=weight)
    (trees,) = clf.candidates_[-1]
    expected = clone(trees).fit(X.astype("f"), y, sample_weight=weight.astype("f"))
    assert type(trees) is HistGradientBoostingClassifier
    assert_allclose(clf.predict_proba(X_target), expected.predict_proba(X_target.astype("f")))


# -- a model of the user --------------------------------------------------------------------------


def test_a_fitted_model_is_used_as_it_is(table):
    X, y, X_target, _ = table
    model = LogisticRegression().fit(X, 1 - y)
    coefficients = model.coef_.copy()
    clf = make(baseline=model).fit(X, y, X_target)
    assert clf.candidates_[-1][0] is clf.baseline is model
    assert_array_equal(model.coef_, coefficients)
    alone = make(baseline=model, families=("trees",)).fit(X, y, X_target)
    assert_allclose(alone.predict_proba(X_target), model.predict_proba(X_target))


def test_another_model_is_cloned_and_fitted_on_the_source(table):
    X, y, X_target, _ = table
    model, weight = LogisticRegression(C=0.1), np.linspace(0.1, 1.0, len(y))
    clf = make(baseline=model, families=("trees",)).fit(X, y, X_target, sample_weight=weight)
    assert not hasattr(model, "coef_")
    expected = LogisticRegression(C=0.1).fit(X, y, sample_weight=weight)
    assert_array_equal(clf.candidates_[-1][0].coef_, expected.coef_)
    assert_allclose(clf.predict_proba(X_target), expected.predict_proba(X_target))


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("model", "error"),
    [
        (LogisticRegression, "must be a scikit-learn classifier"),
        (OneHotEncoder(), "must be a scikit-learn classifier"),
        (LogisticRegression().fit([[0.0] * 4, [1.0] * 4], ["a", "b"]), "y_source lacks"),
    ],
    ids=["class", "transformer", "other classes"],
)
def test_models_that_do_not_fit_raise_before_training(model, error, table):
    with pytest.raises((TypeError, ValueError), match=error):
        make(baseline=model).fit(*table[:3])


def test_a_model_may_know_some_of_the_classes(table):
    X, y, X_target, _ = table
    model = LogisticRegression().fit(X, y)
    clf = make(baseline=model, families=("trees",)).fit(X, np.arange(80) % 3, X_target)
    proba = clf.predict_proba(X_target)
    assert_allclose(proba[:, :2], model.predict_proba(X_target))
    assert not proba[:, 2].any()


def test_a_model_gets_frames_as_they_are_passed(table):
    """The pipeline encodes a column that the networks get as a number."""
    X, y, X_target, _ = table
    X, X_target = np.c_[X, np.arange(80) % 3], np.c_[X_target, np.arange(90) % 3]
    frame, target = (pd.DataFrame(rows, columns=list("abcde")) for rows in (X, X_target))
    columns = make_column_transformer((OneHotEncoder(), ["e"]), remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression())
    clf = make(baseline=model, families=("trees",)).fit(frame, y, target[list("edcba")])
    expected = clone(model).fit(frame, y)
    assert_allclose(clf.predict_proba(target), expected.predict_proba(target))


def test_a_model_predicts_each_target_and_pooled_rows(table):
    X, y, X_target, _ = table
    targets = X_target[:40], X_target[40:] + 1.0
    clf = make(baseline=LogisticRegression()).fit(X, y, targets)
    domain = np.r_[np.zeros(80, dtype=int), np.full(50, -2), np.full(40, -1)]
    rows, labels = np.concatenate([X, *targets[::-1]]), np.r_[y, np.full(90, -1)]
    pooled = make(baseline=LogisticRegression()).fit(rows, labels, sample_domain=domain)
    assert pooled.domains_.tolist() == clf.domains_.tolist() == [0, -1, -2]
    assert pooled.scores_ == clf.scores_


@pytest.mark.parametrize("baseline", [None, LogisticRegression()])
def test_without_a_target_no_family_is_trained(baseline, table):
    with pytest.warns(SourceOnlyWarning):
        clf = make(baseline=baseline).fit(*table[:2])
    assert [row["family"] for row in clf.scores_] == ["baseline"]
    assert clf.changed_share_ == 0.0


# -- the estimator --------------------------------------------------------------------------------


def test_equal_seeds_equal_bits_also_in_other_processes(mixture, table):
    expected = mixture.predict_proba(table[2])
    assert_array_equal(make().fit(*table[:3]).predict_proba(table[2]), expected)
    tasks = [joblib.delayed(make().fit)(*table[:3])]
    for fitted in joblib.Parallel(n_jobs=2, backend="threading")(tasks * 2):
        assert_array_equal(fitted.predict_proba(table[2]), expected)
    other = make(random_state=1).fit(*table[:3])
    assert not np.allclose(other.predict_proba(table[2]), expected)


def test_nested_parameters():
    clf = make(baseline=HistGradientBoostingClassifier())
    clf.set_params(estimator__lr=0.5, baseline__max_depth=3, families=("trees",))
    copy = clone(clf)
    for each in (clf, copy):
        assert (each.estimator.lr, each.baseline.max_depth) == (0.5, 3)
        assert each.get_params()["baseline__max_depth"] == 3
    assert copy.baseline is not clf.baseline
    assert DANNClassifierCV().set_params(estimator__lr=0.5).estimator.lr == 0.5
    assert clone(DANNClassifierCV()).get_params() == DANNClassifierCV().get_params()


def custom_extractor(n_in):
    return nn.Sequential(nn.Linear(n_in, 6), nn.Tanh())


@pytest.mark.parametrize(
    "small",
    [
        {"feature_extractor": custom_extractor},
        {"callbacks": [Callback()]},
        {"early_stopping": True, "validation_fraction": 0.3},
    ],
    ids=["custom module", "callbacks", "early stopping"],
)
def test_members_one_at_a_time(small, table, mixture):
    clf = make({**small, "batch_size": 32}).fit(*table[:3])
    assert [row["family"] for row in clf.scores_] == FAMILIES
    assert [len(members) for members in clf.candidates_] == [2, 3, 2, 2, 1]
    assert all(np.isfinite(row["score"]) for row in clf.scores_)
    if "callbacks" in small:  # only the way of training differs
        clf = make(small).fit(*table[:3])
        for row, same in zip(clf.scores_, mixture.scores_, strict=True):
            assert row["score"] == pytest.approx(same["score"], abs=0.05)


@pytest.mark.parametrize("label_shift", ["correct", "reweight"])
@pytest.mark.parametrize("families", [("balanced", "alignment"), ("trees",)], ids=str)
def test_shares_of_the_target_are_those_of_the_estimator(families, label_shift, table):
    priors = {0: 0.2, 1: 0.8}
    small = {"label_shift": label_shift, "target_priors": priors, "max_epochs": 1}
    clf = make(small, families=families).fit(*table[:3])
    assert_array_equal(clf.target_priors_, [0.2, 0.8])
    assert not hasattr(make({"max_epochs": 1}, families=families).fit(*table[:3]), "target_priors_")


def test_a_parameter_that_the_families_replace_is_named(table):
    with pytest.warns(UserWarning, match="pseudo_labels='train' of the estimator is not used"):
        make({"pseudo_labels": "train", "max_epochs": 1}, families=()).fit(*table[:3])


def test_an_interrupt_ends_the_fit(table):
    class Stop(Callback):
        def on_epoch_end(self, net, **kwargs):
            if net.training.pseudo_labels == ("balance",):
                signal.raise_signal(signal.SIGINT)

    clf = make({"callbacks": [Stop()]})
    with pytest.raises(KeyboardInterrupt):
        clf.fit(*table[:3])
    assert vars(clf).keys() == clf.get_params(deep=False).keys()


def test_checkpoints_are_resumed(table, tmp_path, monkeypatch, mixture):
    """The first attempt ends while the families train; the second goes on from there."""
    clf = make({"checkpoint": tmp_path / "fit"})
    run, n_epochs = DANNNet.run_single_epoch, []

    def count(*args, **kwargs):
        n_epochs.append(1)
        if len(n_epochs) == 7:
            raise RuntimeError("the machine is needed")
        return run(*args, **kwargs)

    monkeypatch.setattr(DANNNet, "run_single_epoch", count)
    with pytest.raises(RuntimeError, match="needed"):
        clf.fit(*table[:3])
    assert list(tmp_path.iterdir())
    n_epochs[:] = [1] * 7
    clf.fit(*table[:3])
    assert len(n_epochs) - 7 < 2 * 4  # two networks of four epochs
    assert_array_equal(clf.predict_proba(table[2]), mixture.predict_proba(table[2]))
    assert clf.scores_ == mixture.scores_
    assert not list(tmp_path.iterdir())


def test_diagnose_without_a_network_says_so(table, monkeypatch):
    """If the trees are the best, they alone stay fitted."""
    trees = Outcome([{"weight": 0.0, **ROW}, {"weight": 1.0, **ROW}], "trees")
    monkeypatch.setattr(skdann._cv, "select", lambda *_: trees)
    clf = make({"max_epochs": 1}, families=("trees",), aggregate="best").fit(*table[:3])
    assert [hasattr(members[0], "classes_") for members in clf.candidates_] == [False, True]
    assert clf.predict_proba(table[2]).shape == (90, 2)
    with pytest.raises(ValueError, match="selected the trees and keeps no network"):
        clf.diagnose(table[0], table[2])


def test_a_report_is_on_the_network_with_the_greatest_weight(mixture, table):
    report = mixture.diagnose(table[0], table[2])
    assert report.reason == mixture.reason_
    networks = mixture.scores_[1:4]
    best = max(range(3), key=lambda i: networks[i]["weight"]) + 1
    member = mixture.candidates_[best][0]
    assert report.lambda_ == pytest.approx(member.history_[-1]["lambda"])
