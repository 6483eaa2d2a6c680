"""Members trained together: each equals a single fit with its parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning

from skdann import DANNClassifier
from skdann._input.domains import check_domains
from skdann._selection.candidates import make_folds, train_candidates
from skdann._training.objective import ADVERSARIES

SETTINGS = [(0.0, None), (0.3, None), (1.0, "domain"), (0.0, "source")]
SEEDS = [3, 4]


def rows(n=90, seed=0):
    rng = np.random.default_rng(seed)
    X, X_target = rng.normal(size=(n, 5)), 2.0 * rng.normal(size=(n - 17, 5)) + 0.5
    return X, (X[:, 0] + X[:, 1] > 0).astype(int), X_target


def states(clf):
    return {name: value.numpy() for name, value in clf.module_.state_dict().items()}


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


def test_standardize_by_domain_removes_a_shift_of_location_and_scale(make_clf):
    X, y, _ = rows(200)
    factor = np.array([3.0, 0.2, 1.0, 7.0, 1.0])
    clf = make_clf(standardize="domain", lambda_max=0.0, max_epochs=10).fit(X, y, X * factor - 4.0)
    assert_allclose(
        clf.predict_proba(X * factor - 4.0), clf.predict_proba(X, sample_domain=0), atol=1e-4
    )


def test_standardize_by_source_equals_a_scaler(make_clf):
    X, y, X_target = rows()
    mean, std = X.mean(0), X.std(0)
    inside = make_clf(standardize="source").fit(3.0 * X + 1.0, y, 3.0 * X_target + 1.0)
    outside = make_clf().fit((X - mean) / std, y, (X_target - mean) / std)
    assert_allclose(
        inside.predict_proba(3.0 * X_target + 1.0),
        outside.predict_proba((X_target - mean) / std),
        atol=1e-4,
    )


@pytest.mark.parametrize("kind", ["source", "domain"])
def test_standardize_is_saved_and_accepts_constant_columns(make_clf, tmp_path, kind):
    X, y, X_target = rows()
    X[:, 3], X_target[:, 4] = 1.0, 2.0
    clf = make_clf(standardize=kind).fit(X, y, X_target)
    clf.save(tmp_path / "clf")
    loaded = DANNClassifier.load(tmp_path / "clf")
    assert_array_equal(loaded.predict_proba(X_target), clf.predict_proba(X_target))
    assert np.isfinite(clf.predict_proba(X_target)).all()


@pytest.mark.parametrize("standardize", ["source", "domain"])
def test_standardize_treats_denormal_columns_as_constant(make_clf, standardize):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 2))
    X[:, 0] *= 1e-41
    clf = make_clf(standardize=standardize).fit(X, np.arange(20) % 2, X.copy())
    assert np.isfinite(clf.predict_proba(X)).all()
    assert (clf.module_.standardizer.scale[..., 0] == 1.0).all()


def test_standardize_with_all_rows_of_a_domain_held_out(make_clf):
    X = np.random.default_rng(0).normal(size=(20, 2))
    clf = make_clf(standardize="domain", early_stopping=True, validation_fraction=0.3)
    domain = np.append(np.zeros(19, int), 1)  # with a seed that holds out the last row
    for seed in range(10):
        clf.set_params(random_state=seed).fit(X, np.arange(20) % 2, X + 1.0, sample_domain=domain)
        assert torch.isfinite(clf.module_.standardizer.mean).all()
