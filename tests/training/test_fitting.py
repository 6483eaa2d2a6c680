"""Members trained together: each equals a single fit with its parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.base import clone

from skdann._input.domains import check_domains
from skdann._selection.candidates import make_folds, train_candidates
from skdann._training.objective import ADVERSARIES
from tests.training.members import SEEDS, rows, states

SETTINGS = [(0.0, None), (0.3, None), (1.0, "domain"), (0.0, "source")]


@pytest.mark.parametrize("dropout", [0.0, 0.2])
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
    X, y, X_target = rows()
    data = check_domains(X, y, X_target)
    folds = make_folds(data, len(SEEDS), 5, 0)
    estimator = make_clf(dropout=dropout, max_epochs=3, **changed)
    # a bias before batch normalization has only rounding errors as gradient, which Adam amplifies
    tolerance = 1e-3 if "batch" in str(changed) else 1e-5
    for candidate in train_candidates(estimator, data, folds, SETTINGS, SEEDS):
        assert candidate.error == ""
        for member, fold, seed in zip(candidate.members, folds, SEEDS, strict=True):
            assert (member.lambda_max, member.random_state) == (candidate.lambda_max, seed)
            single = clone(member).fit(X[fold.train], y[fold.train], X_target)
            actual, other = states(member), states(single)
            assert list(actual) == list(other)
            for name, value in actual.items():
                if tolerance < 1e-3:
                    assert_allclose(value, other[name], rtol=1e-4, atol=1e-5, err_msg=name)
            assert_allclose(
                member.predict_proba(X_target), single.predict_proba(X_target), atol=tolerance
            )
            for row, expected in zip(member.history_, single.history_, strict=True):
                assert row.keys() == expected.keys()
                assert row.keys() >= {"train_loss", "label_loss", "lambda", "lr"}
                for name in ("train_loss", "domain_loss", "lambda", "lr"):
                    assert row[name] == pytest.approx(expected[name], abs=tolerance), name
                # the logit of one row may round to the other side of 0
                one_row = 1.01 / (2 * len(fold.train))
                if "domain_accuracy" in expected:
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
    data = check_domains(
        X, y, (X_target, X_target[::-1] + 1.0), sample_weight=weight, sample_domain=domain
    )
    folds = make_folds(data, 2, 5, 0)
    estimator = make_clf(adversarial=adversarial)
    for candidate in train_candidates(estimator, data, folds, SETTINGS, SEEDS):
        for member, fold in zip(candidate.members, folds, strict=True):
            single = clone(member).fit(
                X[fold.train],
                y[fold.train],
                (X_target, X_target[::-1] + 1.0),
                sample_weight=weight[fold.train],
                sample_domain=domain[fold.train],
            )
            for name, value in states(member).items():
                assert_allclose(value, states(single)[name], rtol=1e-4, atol=1e-5, err_msg=name)


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
    candidates = train_candidates(make_clf(**changed), data, folds, SETTINGS[:3], SEEDS)
    members = [member for candidate in candidates for member in candidate.members]
    assert all(candidate.error == "" for candidate in candidates)
    if "early_stopping" in changed:
        assert all("valid_loss" in member.history_[0] for member in members)
        assert len({member.n_epochs_ for member in members}) > 1  # each stops separately
        return
    for index, member in enumerate(members):
        fold = folds[index % 2]
        assert_same_fit(member, clone(member).fit(X[fold.train], y[fold.train], X_target))
