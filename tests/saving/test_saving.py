"""Loading with custom parts, and copies by pickle, joblib and skops."""

import copy
import pickle

import cloudpickle
import joblib
import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from skdann import DANNClassifier, DANNClassifierCV, make_pipeline
from skdann._saving.trees import TREE
from tests.saving.common import CountingSGD, CustomExtractor, assert_same


class CustomExtractorOfSeven(CustomExtractor):
    def __init__(self, n_features):
        super().__init__(n_features)
        self.linear = nn.Linear(n_features, 7)
        self.frozen = nn.Linear(7, 7).requires_grad_(False)


def custom_schedule(progress):
    return progress**2


class TestCustomParts:
    @pytest.fixture
    def original(self, domains):
        return DANNClassifier(
            feature_extractor=CustomExtractor,
            domain_classifier=nn.Linear(6, 1),
            lambda_schedule=custom_schedule,
            optimizer=torch.optim.NAdam,
            random_state=np.random.RandomState(0),
            max_epochs=2,
        ).fit(*domains[:3])

    def test_are_passed_again(self, original, domains, path, assert_same_fit):
        original.save(path)
        names = [
            "feature_extractor",
            "domain_classifier",
            "lambda_schedule",
            "optimizer",
            "random_state",
        ]
        loaded = DANNClassifier.load(path, **{name: getattr(original, name) for name in names})
        assert_same(original, loaded, domains.X_target)
        for clf in (original, loaded):
            clf.partial_fit(*domains[:3])
        assert_same_fit(original, loaded)

    def test_missing_parts_are_named(self, original, path):
        original.save(path)
        with pytest.raises(ValueError, match="lambda_schedule=<custom_schedule>") as error:
            DANNClassifier.load(path, feature_extractor=CustomExtractor)
        assert "domain_classifier=<Linear>" in str(error.value)
        assert "optimizer=..., random_state=...)" in str(error.value)
        assert "feature_extractor" not in str(error.value)

    def test_module_of_another_shape_raises(self, original, path):
        original.save(path)
        with pytest.raises(
            ValueError, match=r"linear.weight is .* \(6, 4\) in the file, .* \(7, 4\)"
        ):
            DANNClassifier.load(
                path,
                feature_extractor=CustomExtractorOfSeven,
                domain_classifier=nn.Linear(7, 1),
                lambda_schedule="dann",
                optimizer=torch.optim.NAdam,
                random_state=0,
            )

    def test_unknown_parameter(self, saved):
        with pytest.raises(TypeError, match="feature_extracter"):
            DANNClassifier.load(saved, feature_extracter=CustomExtractor)

    def test_bad_device(self, saved):
        with pytest.raises(
            ValueError, match=r"nonsense.*pass the matching parameters, modules and device"
        ):
            DANNClassifier.load(saved, device="nonsense")

    def test_optimizer_with_non_tensor_state_restarts(self, domains, path):
        original = DANNClassifier(optimizer=CountingSGD, max_epochs=1).fit(*domains[:3])
        original.save(path)
        loaded = DANNClassifier.load(path, optimizer=CountingSGD)
        assert_same(original, loaded, domains.X_target)
        loaded.partial_fit(*domains[:3])

    def test_module_state_that_is_not_a_tensor_raises(self, domains, path):
        class Stateful(nn.Linear):
            def get_extra_state(self):
                return {"calls": 1}

            def set_extra_state(self, state):
                pass

        original = DANNClassifier(feature_extractor=Stateful(4, 3), max_epochs=1).fit(*domains[:3])
        with pytest.raises(ValueError, match="_extra_state is not a tensor"):
            original.save(path)

    def test_tied_weights(self, domains, path):
        class Tied(nn.Module):
            def __init__(self):
                super().__init__()
                self.first = nn.Linear(4, 4)
                self.second = nn.Linear(4, 4)
                self.second.weight = self.first.weight

            def forward(self, x):
                return self.second(self.first(x))

        original = DANNClassifier(feature_extractor=Tied, max_epochs=1).fit(*domains[:3])
        original.save(path)
        assert_same(original, DANNClassifier.load(path, feature_extractor=Tied), domains.X_target)


class TestSkops:
    """skops.io executes no code either, and needs to trust only the classes of skdann."""

    @pytest.mark.parametrize("kind", ["classifier", "pipeline", "search"])
    def test_round_trip(self, kind, make_clf, domains, path):
        skops = pytest.importorskip("skops.io")
        X, y, X_target, _ = domains
        clf = make_clf(normalization="domain_batch")
        trusted = ["skdann._classifier.DANNClassifier"]
        if kind == "pipeline":
            clf = make_pipeline(StandardScaler(), clf)
            trusted.append("skdann._pipeline.DomainPipeline")
        if kind == "search":
            clf = DANNClassifierCV(clf, lambdas=(0.3,), n_seeds=1, random_state=0)
            trusted += ["skdann._cv.DANNClassifierCV", TREE]
        clf.fit(X, y, X_target=X_target)
        skops.dump(clf, path)
        assert sorted(skops.get_untrusted_types(file=path)) == sorted(trusted)
        loaded = skops.load(path, trusted=trusted)
        np.testing.assert_array_equal(loaded.predict_proba(X_target), clf.predict_proba(X_target))
        if kind == "classifier":
            assert_same(clf, loaded, X_target)

    def test_skops_uses_no_pickle(self, clf, path, monkeypatch):
        skops = pytest.importorskip("skops.io")
        for module, name in ((pickle, "loads"), (pickle, "load"), (pickle, "Unpickler")):
            monkeypatch.setattr(module, name, lambda *_: pytest.fail("unpickled"))
        skops.dump(clf, path)
        skops.load(path, trusted=["skdann._classifier.DANNClassifier"])


class TestOtherWays:
    def test_a_pickle_from_a_missing_device(self, clf, domains):
        expected = clf.predict_proba(domains.X_target)
        clf.device = "cuda:7"
        content = pickle.dumps(clf)
        with pytest.warns(UserWarning, match="loaded on the CPU: .*'cuda:7'"):
            loaded = pickle.loads(content)
        assert loaded.device == "cuda:7"
        np.testing.assert_array_equal(loaded.predict_proba(domains.X_target), expected)

    def test_a_net_with_non_tensor_state_is_pickled_whole(self, domains):
        original = DANNClassifier(optimizer=CountingSGD, max_epochs=1).fit(*domains[:3])
        other = pickle.loads(pickle.dumps(original))
        state = next(iter(other.net_.optimizer_.state.values()))
        assert state["n_steps"] == 1
        assert_same(original, other, domains.X_target)

    @pytest.mark.parametrize(
        "copied",
        [
            lambda clf: pickle.loads(pickle.dumps(clf)),
            lambda clf: cloudpickle.loads(cloudpickle.dumps(clf)),
            copy.deepcopy,
        ],
        ids=["pickle", "cloudpickle", "deepcopy"],
    )
    def test_copies(self, copied, clf, domains, assert_same_fit):
        self.check(clf, copied(clf), domains, assert_same_fit)

    def test_joblib(self, clf, domains, path, assert_same_fit):
        joblib.dump(clf, path)
        self.check(clf, joblib.load(path), domains, assert_same_fit)

    def test_loaded_estimator_can_be_pickled_and_saved(self, clf, saved, domains, assert_same_fit):
        loaded = pickle.loads(pickle.dumps(DANNClassifier.load(saved)))
        content = saved.read_bytes()
        loaded.save(saved)
        assert saved.read_bytes() == content
        self.check(clf, loaded, domains, assert_same_fit)

    @staticmethod
    def check(original, other, domains, assert_same_fit):
        assert_same(original, other, domains.X_target)
        for clf in (original, other):
            clf.partial_fit(*domains[:3])
        assert_same_fit(original, other)
