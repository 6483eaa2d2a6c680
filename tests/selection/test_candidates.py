"""Candidates: settings, folds, and candidates that fail."""

from __future__ import annotations

import re

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import FitFailedWarning
from skorch.callbacks import Callback

from skdann import DivergenceError
from skdann._input.domains import check_domains
from skdann._selection.candidates import (
    check_path,
    count_networks,
    make_folds,
    make_settings,
    train_candidates,
)
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


def test_settings_combine_every_lambda_with_every_scaling():
    X, y, X_target = rows()
    settings = make_settings((0.3, 1.0), (None, "domain"), check_domains(X, y, X_target))
    assert settings == [
        (0.0, None), (0.3, None), (1.0, None), (0.0, "domain"), (0.3, "domain"), (1.0, "domain"),
    ]  # fmt: skip


def test_sparse_rows_have_the_first_scaling_only():
    X, y, X_target = rows()
    data = check_domains(sp.csr_array(X), y, sp.csr_array(X_target))
    assert make_settings((0.3,), ("domain", None), data) == [(0.0, "domain"), (0.3, "domain")]


@pytest.mark.filterwarnings("ignore::skdann.SourceOnlyWarning")
def test_without_a_target_the_baseline_is_the_only_setting():
    X, y, _ = rows()
    assert make_settings((0.3,), ("source", None), check_domains(X, y)) == [(0.0, "source")]


SIX = [(0.0, None), (0.3, None), (1.0, None), (0.0, "domain"), (0.3, "domain"), (1.0, "domain")]


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
    ],
    ids=[
        "a path", "baseline", "two baselines", "early stopping", "custom G_f", "custom G_d",
        "callbacks", "no callbacks",
    ],
)  # fmt: skip
def test_networks_are_counted(settings, changed, expected, make_clf):
    assert count_networks(make_clf(**changed), settings, 3) == expected


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
    candidates = train_candidates(clf, data, folds, settings, SEEDS, (), next_checkpoint)
    assert len(groups) == count_networks(clf, settings, 2) == (6 if changed else 2)
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
    train_candidates(make_clf(max_epochs=3), data, folds, settings, SEEDS, [count])
    assert count.n_epochs == 2 * 3


@pytest.mark.parametrize("changed", [{}, {"callbacks": [Callback()]}], ids=["together", "alone"])
def test_a_diverged_baseline_is_an_error(changed, data, make_clf):
    clf = make_clf(optimizer="sgd", lr=1e30, **changed)
    folds = make_folds(data, 2, 5, 0)
    with pytest.raises(DivergenceError, match=r"The source-only baseline failed: .*diverged"):
        train_candidates(clf, data, folds, [(0.0, None), (0.3, None)], SEEDS)


def test_errors_of_the_user_are_not_mistaken_for_divergence(data, make_clf):
    class Broken(Callback):
        def on_epoch_begin(self, net, **kwargs):
            raise ValueError("a typo")

    clf = make_clf(callbacks=[Broken()])
    with pytest.raises(ValueError, match=r"^a typo$"):
        train_candidates(clf, data, make_folds(data, 2, 5, 0), [(0.0, None)], SEEDS)


def test_a_diverged_member_does_not_change_the_others(make_clf):
    X, y, X_target = rows()
    data = check_domains(X, y, X_target)
    folds = make_folds(data, 2, 5, 0)
    settings = [(0.0, None), (0.3, None), (1e39, None)]
    alone = train_candidates(make_clf(), data, folds, settings[:2], SEEDS)
    with pytest.warns(FitFailedWarning, match="1 of 3 candidates failed.*training diverged"):
        beside = train_candidates(make_clf(), data, folds, settings, SEEDS)
    assert "finite" in beside[2].error or "diverged" in beside[2].error
    for candidate, other in zip(alone, beside, strict=False):
        assert other.error == ""
        for first, second in zip(candidate.members, other.members, strict=True):
            for name, value in states(first).items():
                assert_allclose(value, states(second)[name], rtol=1e-4, atol=1e-5)


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
        assert_array_equal(np.sort(np.concatenate(fold)), np.arange(n_rows))
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
