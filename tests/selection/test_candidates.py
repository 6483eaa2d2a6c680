"""Candidates: settings, folds, and candidates that fail."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from skorch.callbacks import Callback

from skdann import DivergenceError
from skdann._input.domains import check_domains
from skdann._selection.candidates import (
    Candidate,
    check_path,
    count_networks,
    make_folds,
    make_plan,
    train_candidates,
)
from skdann._selection.families import BASELINE, FAMILIES, Setting
from skdann._training.fitting import train_members
from tests.training.members import SEEDS, rows, states

# -- settings -------------------------------------------------------------------------------------


def test_a_path_begins_with_the_baseline_and_repeats_nothing():
    scalings, lambdas = check_path((1.0, 0.1, np.float32(0.5), 1), ("domain", None, "domain"))
    assert scalings == ["domain", None]
    assert lambdas == [0.0, 0.1, 0.5, 1.0]
    assert check_path((), [None]) == ([None], [0.0])
    assert check_path([0, 2], [None, "source"]) == ([None, "source"], [0.0, 2.0])


@pytest.mark.parametrize("lambdas", [(-0.1,), (0.1, np.nan), [np.inf], ("a",), 3, [[0.1]], (None,)])
def test_bad_lambdas_are_named(lambdas):
    expected = re.escape(f"lambdas={lambdas!r} must hold finite numbers >= 0; pass candidates")
    with pytest.raises(ValueError, match=expected):
        check_path(lambdas, (None,))


@pytest.mark.parametrize("standardize", [(), ("both",), (None, 3), ("source", True)])
def test_bad_scalings_are_named(standardize):
    expected = re.escape(f"standardize={standardize!r} must hold one or more of None, 'source'")
    with pytest.raises(ValueError, match=expected):
        check_path((0.1,), standardize)


def plan_of(settings, n_seeds=2):
    """Plan of a path: one candidate for each setting, the baseline first."""
    plan = [("alignment", [(Setting(*each), seed) for seed in range(n_seeds)]) for each in settings]
    return [(BASELINE, plan[0][1]), *plan[1:]]


def plan_path(lambdas, scalings, data, families=("alignment",)):
    return make_plan(lambdas, scalings, families, 2, data, is_pooled=False)


def test_settings_combine_every_lambda_with_every_scaling():
    X, y, X_target = rows()
    plan = plan_path((0.3, 1.0), (None, "domain"), check_domains(X, y, X_target))
    assert plan == plan_of([
        (0.0, None), (0.3, None), (1.0, None), (0.0, "domain"), (0.3, "domain"), (1.0, "domain"),
    ])  # fmt: skip


def test_sparse_rows_have_the_first_scaling_only():
    X, y, X_target = rows()
    data = check_domains(sp.csr_array(X), y, sp.csr_array(X_target))
    assert plan_path((0.3,), ("domain", None), data) == plan_of([(0.0, "domain"), (0.3, "domain")])
    for _, members in make_plan((0.3,), ("domain", None), FAMILIES, 2, data, is_pooled=True):
        assert {setting.standardize for setting, _ in members} == {"domain"}


@pytest.mark.parametrize("is_pooled", [False, True])
@pytest.mark.filterwarnings("ignore::skdann.SourceOnlyWarning")
def test_without_a_target_the_baseline_is_the_only_setting(is_pooled):
    X, y, _ = rows()
    data = check_domains(X, y)
    plan = make_plan((0.3,), ("source", None), FAMILIES, 2, data, is_pooled=is_pooled)
    assert plan == plan_of([(0.0, "source")])


def test_each_setting_of_each_family_is_a_candidate_on_its_own():
    data = check_domains(*rows())
    plan = plan_path((0.3,), (None, "domain"), data, ("balanced", "trees", "alignment"))
    assert [(family, members[0][0]) for family, members in plan] == [
        ("baseline", (0.0, None, None)),
        ("balanced", (0.3, "domain", "balance")),
        ("alignment", (0.3, None, None)),
        ("alignment", (0.0, "domain", None)),
        ("alignment", (0.3, "domain", None)),
    ]
    for _, members in plan:
        assert len({setting for setting, _ in members}) == 1
        assert [seed for _, seed in members] == [0, 1]


@pytest.mark.parametrize("n_seeds", [1, 2, 3, 7])
def test_members_of_a_pooled_family_have_its_settings_and_seeds_in_turn(n_seeds):
    data = check_domains(*rows())
    plan = dict(make_plan((0.3,), (None, "domain"), FAMILIES, n_seeds, data, is_pooled=True))
    assert list(plan) == ["baseline", "alignment", "self_training", "balanced"]
    path = [(0.3, None, None), (0.0, "domain", None), (0.3, "domain", None)]
    n_members = max(3, n_seeds)
    assert plan["alignment"] == [(path[i % 3], i % n_seeds) for i in range(n_members)]
    assert plan["self_training"] == [((0.0, None, "train"), seed) for seed in range(n_seeds)]
    assert plan["balanced"] == [((0.3, "domain", "balance"), seed) for seed in range(n_seeds)]
    assert plan["baseline"] == [((0.0, None, None), seed) for seed in range(n_seeds)]


def test_a_family_without_settings_is_left_out():
    data = check_domains(*rows())
    plan = make_plan((), (None,), FAMILIES, 2, data, is_pooled=True)
    assert [family for family, _ in plan] == ["baseline", "self_training", "balanced"]


def test_a_candidate_names_the_settings_of_its_members():
    members = [SimpleNamespace(lambda_max=value, standardize="domain") for value in (0.3, 0.3, 1.0)]
    assert Candidate("alignment", members, [0, 1, 0]).lambda_max == (0.3, 0.3, 1.0)
    assert Candidate("alignment", members, [0, 1, 0]).standardize == "domain"
    assert Candidate("alignment", members[:2], [0, 1]).lambda_max == 0.3
    trees = Candidate("trees", [LogisticRegression()], [])
    assert (trees.lambda_max, trees.standardize) == (0.0, None)


LAYER = "feature_extractor.0.weight"
SIX = [(0.0, None), (0.3, None), (1.0, None), (0.0, "domain"), (0.3, "domain"), (1.0, "domain")]
BALANCED = [(0.0, None), (0.3, None), (0.3, "domain", "balance"), (0.0, None, "train")]


@pytest.mark.parametrize(
    ("settings", "changed", "expected"),
    [
        (SIX, {}, 2),  # one for lambda 0, one for the others
        ([(0.0, None)], {}, 1),
        ([(0.0, None), (0.0, "domain")], {}, 1),
        (SIX, {"early_stopping": True}, 18),
        (SIX, {"feature_extractor": torch.nn.Linear}, 18),
        (SIX, {"domain_classifier": torch.nn.Linear}, 18),
        (SIX[:2], {"callbacks": [Callback()]}, 6),
        (SIX, {"callbacks": []}, 2),
        (BALANCED, {}, 2),
        (BALANCED, {"class_weight": "balanced"}, 3),  # which balanced members ignore
        (BALANCED, {"label_shift": "reweight"}, 3),
        (SIX, {"class_weight": "balanced"}, 2),
    ],
    ids=[
        "a path", "baseline", "two baselines", "early stopping", "custom G_f", "custom G_d",
        "callbacks", "no callbacks", "balanced", "class weights", "label shift",
        "class weights, none balanced",
    ],
)  # fmt: skip
def test_networks_are_counted(settings, changed, expected, make_clf):
    assert count_networks(make_clf(**changed), plan_of(settings, 3)) == expected


# -- training -------------------------------------------------------------------------------------


@pytest.fixture
def data():
    return check_domains(*rows(30))


@pytest.mark.parametrize("changed", [{}, {"callbacks": [Callback()]}], ids=["together", "alone"])
def test_each_network_has_a_checkpoint_of_its_members(changed, data, make_clf):
    groups = []

    def next_checkpoint(members):
        groups.append(list(members))

    clf = make_clf(max_epochs=1, lambda_max=0.7, **changed)
    settings = [(0.0, None), (0.3, None), (1.0, "domain")]
    folds = make_folds(data, 2, 5, 0)
    plan = plan_of(settings)
    candidates = train_candidates(clf, data, folds, plan, SEEDS, (), next_checkpoint)
    assert len(groups) == count_networks(clf, plan) == (6 if changed else 2)
    members = [member for candidate in candidates for member in candidate.members]
    assert [member for group in groups for member in group] == members
    for candidate, setting in zip(candidates, settings, strict=True):
        assert (candidate.lambda_max, candidate.standardize, candidate.error) == (*setting, "")
        for member, seed in zip(candidate.members, SEEDS, strict=True):
            assert (member.lambda_max, member.standardize) == setting
            assert member.random_state == seed
    assert clf.lambda_max == 0.7  # the given classifier is not changed
    assert not hasattr(clf, "net_")


def test_members_hear_the_listeners(data, make_clf):
    class Count(Callback):
        n_epochs = 0

        def on_epoch_end(self, net, **kwargs):
            self.n_epochs += 1

    count = Count()
    folds = make_folds(data, 2, 5, 0)
    settings = [(0.0, None), (0.3, None)]
    train_candidates(make_clf(max_epochs=3), data, folds, plan_of(settings), SEEDS, [count])
    assert count.n_epochs == 2 * 3


@pytest.mark.parametrize("changed", [{}, {"callbacks": [Callback()]}], ids=["together", "alone"])
def test_a_diverged_baseline_is_an_error(changed, data, make_clf):
    clf = make_clf(optimizer="sgd", lr=1e30, **changed)
    folds = make_folds(data, 2, 5, 0)
    with pytest.raises(DivergenceError, match=r"The source-only baseline failed: .*diverged"):
        train_candidates(clf, data, folds, plan_of([(0.0, None), (0.3, None)]), SEEDS)


def test_errors_of_the_user_are_not_mistaken_for_divergence(data, make_clf):
    class Broken(Callback):
        def on_epoch_begin(self, net, **kwargs):
            raise ValueError("a typo")

    clf = make_clf(callbacks=[Broken()])
    with pytest.raises(ValueError, match=r"^a typo$"):
        train_candidates(clf, data, make_folds(data, 2, 5, 0), plan_of([(0.0, None)]), SEEDS)


def test_a_diverged_member_does_not_change_the_others(make_clf):
    X, y, X_target = rows()
    data = check_domains(X, y, X_target)
    folds = make_folds(data, 2, 5, 0)
    settings = [(0.0, None), (0.3, None), (1e39, None)]
    alone = train_candidates(make_clf(), data, folds, plan_of(settings[:2]), SEEDS)
    with pytest.warns(FitFailedWarning, match="1 of 3 candidates failed.*training diverged"):
        beside = train_candidates(make_clf(), data, folds, plan_of(settings), SEEDS)
    assert "finite" in beside[2].error or "diverged" in beside[2].error
    for candidate, other in zip(alone, beside, strict=False):
        assert other.error == ""
        for first, second in zip(candidate.members, other.members, strict=True):
            for name, value in states(first).items():
                assert_allclose(value, states(second)[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("label_shift", [None, "reweight", "correct"])
def test_balanced_members_ignore_other_weights_of_classes(label_shift, data, make_clf):
    weighted = make_clf(class_weight={0: 1.0, 1: 5.0}, label_shift=label_shift)
    folds, plan = make_folds(data, 2, 5, 0), plan_of(BALANCED)
    baseline, _, balanced, _ = train_candidates(weighted, data, folds, plan, SEEDS)
    for member in balanced.members:
        assert (member.class_weight, member.label_shift, member.target_priors) == (None,) * 3
        assert member._label_shift.kind == "correct"  # undoes the balance
    for member in baseline.members:
        assert (member.class_weight, member.label_shift) == ({0: 1.0, 1: 5.0}, label_shift)
    fit_data = check_domains(*rows(30))
    teachers = [member.net_ for member in baseline.members]
    by_hand = [clone(member) for member in balanced.members]
    assert train_members(by_hand, fit_data, folds, (), None, teachers) == [None, None]
    for member, expected in zip(balanced.members, by_hand, strict=True):
        for name, value in states(expected).items():
            assert_allclose(states(member)[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("changed", [{}, {"callbacks": [Callback()]}], ids=["together", "alone"])
def test_the_baseline_gives_the_first_pseudo_labels(changed, data, make_clf):
    folds, settings = make_folds(data, 2, 5, 0), [(0.0, None), (0.0, None, "train")]
    clf = make_clf(max_epochs=1, **changed)  # too short for pseudo-labels of its own
    source_only, taught = train_candidates(clf, data, folds, plan_of(settings), SEEDS)
    for member, expected in zip(taught.members, source_only.members, strict=True):
        assert (member.pseudo_labels, expected.pseudo_labels) == ("train", None)
        assert not np.allclose(states(member)[LAYER], states(expected)[LAYER])


@pytest.mark.parametrize("n_rows", [2, 7, 53])
@pytest.mark.parametrize("n_seeds", [1, 3, 7])
def test_folds_hold_out_every_row_and_train_on_equally_many(n_rows, n_seeds):
    X, y, X_target = rows(60)
    y[:2] = 0, 1
    data = check_domains(X[:n_rows], y[:n_rows], X_target)
    folds = make_folds(data, n_seeds, 5, 0)
    assert len(folds) == n_seeds
    assert len({len(fold.train) for fold in folds}) == 1
    for fold in folds:
        assert_array_equal(np.sort(np.concatenate([fold.train, fold.valid])), np.arange(n_rows))
        assert fold.labelled is fold.labelled_valid is None
    if n_seeds >= 5:
        assert len(np.unique(np.concatenate([fold.valid for fold in folds]))) == n_rows
    again = make_folds(data, n_seeds, 5, 0)
    assert all(map(np.array_equal, folds[0], again[0]))


def test_folds_are_stratified_if_every_class_has_a_row_per_fold():
    X, _, X_target = rows(100)
    for n_rare, is_stratified in ((10, True), (5, True), (4, False)):
        y = np.repeat([0, 1], [100 - n_rare, n_rare])
        folds = make_folds(check_domains(X, y, X_target), 5, 5, 0)
        counts = {int(y[fold.valid].sum()) for fold in folds}
        assert (counts == {n_rare // 5}) == is_stratified


def test_seeds_beyond_the_number_of_folds_repeat_them():
    data = check_domains(*rows(50))
    folds = make_folds(data, 7, 5, 0)
    assert all(map(np.array_equal, folds[5], folds[0]))
    assert all(map(np.array_equal, folds[6], folds[1]))
    assert not np.array_equal(folds[1].valid, folds[0].valid)
    assert not np.array_equal(make_folds(data, 1, 5, 1)[0].valid, folds[0].valid)
