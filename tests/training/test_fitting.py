"""Members trained together: each equals a single fit with its parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.base import clone

from skdann._input.domains import check_domains
from skdann._selection.candidates import make_folds
from skdann._training.fitting import can_train_together, train_members
from skdann._training.objective import ADVERSARIES
from tests.training.members import SEEDS, rows, states

# lambda, scaling and pseudo-labels
SETTINGS = [
    (0.0, None, None),
    (0.3, None, None),
    (1.0, "domain", None),
    (0.0, "source", None),
    (0.3, None, "train"),
    (0.5, "domain", "balance"),
]
AT_REST = [(0.0, None, "train"), (0.0, "domain", "balance")]


def train_together(estimator, data, folds, settings):
    """Train members of each setting and seed as a search does; return them with their folds.

    Those that use source rows only are one net, all others another, unless each must be alone.
    """
    trained = [
        (
            clone(estimator).set_params(
                lambda_max=lambda_max,
                standardize=standardize,
                pseudo_labels=pseudo_labels,
                random_state=seed,
            ),
            fold,
        )
        for lambda_max, standardize, pseudo_labels in settings
        for seed, fold in zip(SEEDS, folds, strict=True)
    ]
    groups = {}
    for index, (member, fold) in enumerate(trained):
        is_source_only = member.lambda_max == 0 and member.pseudo_labels is None
        key = is_source_only if can_train_together(estimator) else index
        groups.setdefault(key, []).append((member, fold))
    for group in groups.values():
        members, folds = zip(*group, strict=True)
        assert train_members(members, data, folds, (), None) == [None] * len(group)
    return trained


@pytest.mark.parametrize("dropout", [0.0, pytest.param(0.2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"normalization": "layer"},
        {"normalization": "batch"},
        {"normalization": "domain_batch"},
        {"conditioning": "cdan"},
        {"adversarial": "alternating", "domain_steps": 2},
        *({"adversarial": name} for name in sorted(ADVERSARIES) if name != "grl"),
        *(
            {"adversarial": name, "conditioning": "cdan"}
            for name in sorted(ADVERSARIES)
            if name != "grl"
        ),
        {"optimizer": "sgd", "lr": 0.05, "lr_schedule": "cosine", "weight_decay": 0.01},
        {"class_weight": {0: 2.0, 1: 0.5}, "label_smoothing": 0.1},
        {"lambda_schedule": "constant"},
    ],
    ids=str,
)
def test_a_member_equals_the_single_fit(make_clf, changed, dropout):
    X, y, X_target = rows(60)
    data = check_domains(X, y, X_target)
    folds = make_folds(data, len(SEEDS), 5, 0)
    estimator = make_clf(dropout=dropout, max_epochs=2, **changed)
    # a bias before batch normalization has only rounding errors as gradient, which Adam amplifies
    has_batch_norm = "batch" in str(changed)
    tolerance = 3e-3 if has_batch_norm else 1e-5
    settings = SETTINGS if has_batch_norm or dropout else SETTINGS + AT_REST
    if "class_weight" in changed:
        settings = [setting for setting in settings if "balance" not in setting]
    for member, fold in train_together(estimator, data, folds, settings):
        single = clone(member).fit(X[fold.train], y[fold.train], X_target)
        actual, other = states(member), states(single)
        assert list(actual) == list(other)
        is_at_rest = member.lambda_max == 0 and member.pseudo_labels is not None
        if is_at_rest:  # among aligned members, G_d sees the features of a training step
            actual = {n: v for n, v in actual.items() if not n.startswith("domain_classifier")}
        for name, value in actual.items():
            if not has_batch_norm:
                assert_allclose(value, other[name], rtol=1e-4, atol=1e-5, err_msg=name)
        assert_allclose(
            member.predict_proba(X_target), single.predict_proba(X_target), atol=tolerance
        )
        for row, expected in zip(member.history_, single.history_, strict=True):
            assert row.keys() == expected.keys()
            assert row.keys() >= {"train_loss", "label_loss", "lambda", "lr"}
            losses = () if is_at_rest else ("train_loss", "domain_loss")
            for name in ("label_loss", "lambda", "lr", *losses):
                assert row[name] == pytest.approx(expected[name], abs=tolerance), name
            # the logit of one row may round to the other side of 0
            one_row = 1.01 / (2 * len(fold.train))
            if "domain_accuracy" in expected and not is_at_rest:
                accuracy = expected["domain_accuracy"]
                assert row["domain_accuracy"] == pytest.approx(accuracy, abs=one_row)
        # and continues identically, with the same optimizer state and generators
        for clf in (member, single):
            clf.partial_fit(X[fold.train], y[fold.train], X_target)
        assert_allclose(
            member.predict_proba(X_target), single.predict_proba(X_target), atol=10 * tolerance
        )


@pytest.mark.parametrize("adversarial", sorted(ADVERSARIES))
def test_weights_and_several_domains_reach_the_members(make_clf, adversarial):
    X, y, X_target = rows()
    weight = np.random.default_rng(1).uniform(0.5, 2.0, len(X))
    domain = np.arange(len(X)) % 2
    targets = X_target, X_target[::-1][:50] + 1.0
    data = check_domains(X, y, targets, sample_weight=weight, sample_domain=domain)
    folds = make_folds(data, 2, 5, 0)
    estimator = make_clf(adversarial=adversarial, max_epochs=3)
    for member, fold in train_together(estimator, data, folds, SETTINGS):
        single = clone(member).fit(
            X[fold.train],
            y[fold.train],
            targets,
            sample_weight=weight[fold.train],
            sample_domain=domain[fold.train],
        )
        for name, value in states(member).items():
            assert_allclose(value, states(single)[name], rtol=1e-4, atol=1e-5, err_msg=name)
        if member.pseudo_labels == "balance":
            assert_allclose(member.target_priors_, single.target_priors_, atol=1e-5)
        else:
            assert not hasattr(member, "target_priors_")


def custom_module(n_in):
    return torch.nn.Sequential(torch.nn.Linear(n_in, 6), torch.nn.Dropout(0.2), torch.nn.ReLU())


@pytest.mark.parametrize(
    "changed",
    [
        {"feature_extractor": custom_module},
        {"early_stopping": True, "patience": 1, "max_epochs": 15, "lr": 0.03},
    ],
    ids=["custom module", "early stopping"],
)
def test_members_trained_one_at_a_time(make_clf, assert_same_fit, changed):
    X, y, X_target = rows()
    data = check_domains(X, y, X_target)
    folds = make_folds(data, 2, 5, 0)
    settings = [*SETTINGS[:3], (0.0, None, "train"), (0.3, None, "balance")]
    trained = train_together(make_clf(**changed), data, folds, settings)
    if "early_stopping" in changed:
        assert all("valid_loss" in member.history_[0] for member, _ in trained)
        assert len({member.n_epochs_ for member, _ in trained}) > 1  # each stops separately
        return
    for member, fold in trained:
        assert_same_fit(member, clone(member).fit(X[fold.train], y[fold.train], X_target))
