"""Saved searches: every candidate, bit for bit."""

import copy
import itertools
import os
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression

from skdann import DANNClassifier, DANNClassifierCV
from skdann._selection import rule
from tests.saving.common import (
    WEIGHT,
    CustomExtractor,
    assert_same,
    changed,
    param,
    read,
    tensor,
    write,
)

PATH = {"families": ("alignment",), "aggregate": "passing"}


def scorer(estimator, X, y):
    return float((estimator.predict(X) == y).mean())


class TestSearch:
    @pytest.fixture
    def search(self, make_clf, domains):
        labels = np.array(["no", "yes"])[domains.y_source]
        search = DANNClassifierCV(make_clf(), lambdas=(0.3,), **PATH, n_seeds=2, random_state=0)
        return search.fit(domains.X_source, labels, domains.X_target)

    @staticmethod
    def assert_same_search(original, loaded, X):
        names = ("classes_", "domains_", "n_features_in_", "adapted_", "lambda_", "standardize_")
        for name in (*names, "reason_", "scores_", "weights_", "shift_", "changed_share_"):
            np.testing.assert_array_equal(
                getattr(original, name), getattr(loaded, name), strict=True
            )
        assert vars(original).keys() == vars(loaded).keys()
        np.testing.assert_array_equal(
            original.predict_proba(X), loaded.predict_proba(X), strict=True
        )
        for members, others in zip(original.candidates_, loaded.candidates_, strict=True):
            for member, other in zip(members, others, strict=True):
                if isinstance(member, DANNClassifier):
                    assert_same(member, other, X)
                else:
                    assert type(member) is type(other)
                    np.testing.assert_array_equal(member.predict_proba(X), other.predict_proba(X))
        assert all(
            any(m is member for member in itertools.chain(*loaded.candidates_))
            for m in loaded.members_
        )

    def test_round_trip(self, search, domains, path):
        search.save(path)
        loaded = DANNClassifierCV.load(path)
        self.assert_same_search(search, loaded, domains.X_target)
        assert repr(loaded.get_params()) == repr(search.get_params())
        loaded.save(path.with_name("again"))
        assert path.with_name("again").read_bytes() == path.read_bytes()

    def test_column_names(self, make_clf, domains, path):
        X, X_target = (pd.DataFrame(part, columns=list("abcd")) for part in domains[:3:2])
        search = DANNClassifierCV(make_clf(), lambdas=(), n_seeds=1, random_state=0)
        search.fit(X, domains.y_source, X_target).save(path)
        loaded = DANNClassifierCV.load(path)
        assert loaded.feature_names_in_.tolist() == list("abcd")
        with pytest.raises(ValueError, match="feature names should match"):
            loaded.predict(X_target[list("dcba")])

    def test_custom_parts_are_passed_again(self, domains, path):
        estimator = DANNClassifier(feature_extractor=CustomExtractor, max_epochs=1)
        search = DANNClassifierCV(
            estimator, lambdas=(0.3,), standardize=(None,), n_seeds=1, scoring=scorer
        )
        search.fit(*domains[:3]).save(path)
        with pytest.raises(ValueError, match=r"scoring=<scorer>") as error:
            DANNClassifierCV.load(path)
        assert "estimator__feature_extractor=<CustomExtractor>" in str(error.value)
        given = {"scoring": scorer, "estimator__feature_extractor": CustomExtractor}
        loaded = DANNClassifierCV.load(path, **given)
        self.assert_same_search(search, loaded, domains.X_target)
        assert loaded.scoring is scorer
        assert loaded.estimator.feature_extractor is CustomExtractor
        with pytest.raises(TypeError, match=r"\['feature_extractor'\].*prefix 'estimator__'"):
            DANNClassifierCV.load(path, **given, feature_extractor=CustomExtractor)

    def test_a_diverged_member(self, make_clf, domains, path):
        search = DANNClassifierCV(
            make_clf(optimizer="sgd"), lambdas=(1e30,), standardize=(None,), n_seeds=1, **PATH
        )
        with pytest.warns(FitFailedWarning, match="1 of 2 candidates failed"):
            search.fit(*domains[:3])
        assert "diverged" in search.scores_[1]["error"]
        search.save(path)
        loaded = DANNClassifierCV.load(path)
        np.testing.assert_equal(loaded.scores_, search.scores_)  # some are NaN
        assert not hasattr(loaded.candidates_[1][0], "net_")
        np.testing.assert_array_equal(
            loaded.predict_proba(domains.X_target), search.predict_proba(domains.X_target)
        )

    def test_a_file_of_the_other_class_raises(self, clf, search, path):
        clf.save(path)
        with pytest.raises(ValueError, match="holds a 'DANNClassifier'"):
            DANNClassifierCV.load(path)
        search.save(path)
        with pytest.raises(ValueError, match="holds a 'DANNClassifierCV'"):
            DANNClassifier.load(path)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (changed(scores=[]), "0 scores for 4 candidates"),
            (changed(candidates=[[], [], [], []]), "4 scores for 4 candidates"),
            (changed(candidates=[1]), "its parameters are invalid"),
            (changed(candidates=[[{}]]), "its parameters are invalid"),
            (changed(classes=["<U3", ["no", "maybe"]]), "has other columns"),
            (changed(n_features_in=3, columns=None), "has other columns"),
            (changed(reason=None), "reason is None, not a str"),
            (changed(estimator=[1]), "its parameters are invalid"),
            (changed(estimator={"params": {"lr": -1}}), "'lr' parameter"),
            (param("lambdas", ["os.system"]), "must hold finite numbers"),
            (
                lambda d, t: d["candidates"][0][0].pop("seed"),
                "is selected, but a",
            ),
            (
                lambda d, t: d["candidates"][1][0].update(n_features_in=10**15, columns=None),
                "need .* weights",
            ),
            (lambda d, t: d["scores"][0].update(weight=0.5), "do not sum to one"),
            (lambda d, t: d["scores"][0].update(weight={"float": "nan"}), "not numbers in"),
            (tensor("evil", torch.zeros(1)), "not enough values to unpack"),
            (tensor("9.9.evil", torch.zeros(1)), "unknown tensors: 9.9"),
            (lambda d, t: t.pop(f"0.0.{WEIGHT}"), "missing tensors"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_hostile_files(self, change, message, search, path):
        search.save(path)
        description, tensors = read(path)
        description["scores"][0]["weight"] = 1.0
        for row in description["scores"][1:]:
            row["weight"] = 0.0
        change(description, tensors)
        write(path, description, tensors)
        with pytest.raises(ValueError, match=message) as error:
            DANNClassifierCV.load(path)
        assert str(path) in str(error.value)

    def test_copies(self, search, domains):
        for other in (pickle.loads(pickle.dumps(search)), copy.deepcopy(search)):
            self.assert_same_search(search, other, domains.X_target)

    def test_failed_save_keeps_the_old_file(self, search, path, monkeypatch, tmp_path):
        search.save(path)
        before = path.read_bytes()
        monkeypatch.setattr(os, "replace", lambda *_: os.stat("/nowhere"))
        with pytest.raises(FileNotFoundError):
            search.save(path)
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == [path.name]


class TestMixture:
    @pytest.fixture(autouse=True)
    def adapts(self, monkeypatch):
        """The domains of this small table hardly differ."""
        monkeypatch.setattr(rule, "MIN_AUC", 0.0)

    @pytest.fixture
    def fit(self, make_clf, domains):
        def fit(**params):
            search = DANNClassifierCV(make_clf(), **{"n_seeds": 2, "random_state": 0, **params})
            return search.fit(*domains[:3])

        return fit

    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"aggregate": "passing", "margin": 0.0},
            {"aggregate": "best", "margin": 0.0},
            {"families": ("trees",)},
            {"families": ["balanced"]},
        ],
        ids=str,
    )
    def test_round_trip(self, params, fit, domains, path):
        search = fit(**params)
        search.save(path)
        loaded = DANNClassifierCV.load(path)
        assert repr(loaded.get_params()) == repr(search.get_params())
        assert loaded.scores_ == search.scores_
        assert (loaded.reason_, loaded.shift_) == (search.reason_, search.shift_)
        assert loaded.changed_share_ == search.changed_share_
        np.testing.assert_array_equal(
            loaded.predict_proba(domains.X_target), search.predict_proba(domains.X_target)
        )
        if params.get("aggregate") != "best":
            TestSearch.assert_same_search(search, loaded, domains.X_target)
        for other in (pickle.loads(pickle.dumps(search)), copy.deepcopy(search)):
            np.testing.assert_array_equal(
                other.predict_proba(domains.X_target), search.predict_proba(domains.X_target)
            )

    def test_the_best_candidate_is_smaller(self, fit, path):
        sizes = []
        for aggregate in ("passing", "best"):
            fit(aggregate=aggregate, margin=0.0).save(path)
            sizes.append(path.stat().st_size)
        assert sizes[1] < sizes[0] / 2

    def test_a_model_of_the_user_is_passed_again(self, fit, domains, path):
        search = fit(baseline=LogisticRegression())
        search.save(path)
        with pytest.raises(ValueError, match=r"saved with baseline=<LogisticRegression>"):
            DANNClassifierCV.load(path)
        with pytest.raises(ValueError, match="must be the fitted model, the last one"):
            DANNClassifierCV.load(path, baseline=LogisticRegression())
        with pytest.raises(ValueError, match="its parameters are invalid"):
            DANNClassifierCV.load(path, baseline=None)
        fitted = search.candidates_[-1][0]
        loaded = DANNClassifierCV.load(path, baseline=fitted)
        assert loaded.candidates_[-1][0] is loaded.baseline is fitted
        np.testing.assert_array_equal(
            loaded.predict_proba(domains.X_target), search.predict_proba(domains.X_target)
        )
        other = LogisticRegression().fit(domains.X_source, domains.y_source + 5)
        with pytest.raises(ValueError, match=r"predicts the classes \[5, 6\]"):
            DANNClassifierCV.load(path, baseline=other)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda model: model._predictors[0][0].nodes["left"].fill(99), "point outside"),
            (lambda model: model._predictors[0][0].nodes["feature_idx"].fill(4), "point outside"),
            (lambda model: vars(model).update(n_features_in_=3), "other classes or columns"),
            (lambda model: vars(model).update(classes_=np.array([0, 2])), "other classes or"),
        ],
        ids=["child", "column", "columns", "classes"],
    )
    def test_hostile_trees(self, change, message, fit, path):
        search = fit(families=("trees",))
        change(search.candidates_[-1][0])
        search.save(path)
        with pytest.raises(ValueError, match=message) as error:
            DANNClassifierCV.load(path)
        assert str(path) in str(error.value)

    def test_selected_trees_cannot_be_missing(self, fit, path):
        fit(families=("trees",)).save(path)
        description, tensors = read(path)
        del tensors["1.0.skops"]
        write(path, description, tensors)
        with pytest.raises(ValueError, match="candidate 1 is selected, but has no trees"):
            DANNClassifierCV.load(path)
