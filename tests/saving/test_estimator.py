"""Saving and loading: bit-identical results, atomic files, and no code execution from a file."""

import copy
import errno
import io
import itertools
import json
import math
import os
import pickle
import random
import subprocess
import sys
import warnings

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.preprocessing import StandardScaler
from torch import nn

from skdann import DANNClassifier, DANNClassifierCV, make_pipeline
from skdann._saving.file import FORMAT, digest
from skdann._saving.values import decode, encode


class CustomExtractor(nn.Module):
    """Custom network with a buffer and a frozen layer."""

    def __init__(self, n_features):
        super().__init__()
        self.norm = nn.BatchNorm1d(n_features)
        self.linear = nn.Linear(n_features, 6)
        self.frozen = nn.Linear(6, 6).requires_grad_(False)

    def forward(self, x):
        return self.frozen(torch.tanh(self.linear(self.norm(x))))


class CustomExtractorOfSeven(CustomExtractor):
    def __init__(self, n_features):
        super().__init__(n_features)
        self.linear = nn.Linear(n_features, 7)
        self.frozen = nn.Linear(7, 7).requires_grad_(False)


class CountingSGD(torch.optim.SGD):
    """Custom optimizer whose state has a number."""

    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            self.state[parameter]["n_steps"] = self.state[parameter].get("n_steps", 0) + 1
        return super().step(closure)


def custom_schedule(progress):
    return progress**2


def read(path):
    """Return the description and the tensors of a file."""
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return json.loads(header["__metadata__"]["skdann"]), load(content)


def write(path, description, tensors):
    """Write a file as an attacker could, with a matching SHA-256."""
    description = {name: value for name, value in description.items() if name != "sha256"}
    description["sha256"] = digest(description, tensors)
    path.write_bytes(save(tensors, {"skdann": json.dumps(description)}))


def assert_same(original, loaded, X):
    assert original.get_params() == loaded.get_params()
    assert vars(original).keys() == vars(loaded).keys()
    for name in ("classes_", "domains_", "feature_names_in_"):
        if hasattr(original, name):
            np.testing.assert_array_equal(
                getattr(original, name), getattr(loaded, name), strict=True
            )
    for name in ("n_features_in_", "history_", "n_epochs_", "_n_features_out"):
        assert getattr(original, name) == getattr(loaded, name)
    for method in ("predict", "predict_proba", "predict_log_proba", "transform"):
        np.testing.assert_array_equal(
            getattr(original, method)(X), getattr(loaded, method)(X), strict=True
        )
    if original.module_.domain_classifier is not None:
        np.testing.assert_array_equal(
            original.predict_domain_proba(X), loaded.predict_domain_proba(X)
        )
    assert not loaded.module_.training


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.skdann"


@pytest.fixture
def clf(make_clf, domains):
    return make_clf(normalization="domain_batch").fit(*domains[:3])


@pytest.fixture
def saved(clf, path):
    clf.save(path)
    return path


class TestRoundTrip:
    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"normalization": "domain_batch", "conditioning": "cdan", "optimizer": "sgd"},
            {
                "normalization": "batch",
                "lambda_max": 0,
                "lr_schedule": "dann",
                "optimizer": "adamw",
            },
            {"normalization": "layer", "adversarial": "alternating", "domain_steps": 2},
            {"feature_extractor": (), "label_predictor": [5, 3], "domain_classifier": ()},
            {"optimizer": "rmsprop", "weight_decay": np.float32(0.1), "dropout": 0.0},
            {"early_stopping": True, "validation_fraction": 0.3, "class_weight": "balanced"},
            {
                "class_weight": {0: 1, 1: np.float64(2.5)},
                "max_epochs": np.int64(2),
                "verbose": False,
            },
            {"feature_extractor": (np.int64(8), 4), "activation": "gelu", "random_state": None},
        ],
        ids=str,
    )
    def test_predictions_and_training_are_bit_identical(
        self, params, make_clf, domains, path, assert_same_fit
    ):
        original = make_clf(**params).fit(*domains[:3])
        original.save(path)
        loaded = DANNClassifier.load(path)
        assert_same(original, loaded, domains.X_target)
        if not original.early_stopping:
            for clf in (original, loaded):
                clf.partial_fit(*domains[:3])
            assert_same_fit(original, loaded)
        before = [value.clone() for value in original.module_.state_dict().values()]
        for clf in (original, loaded):
            clf.set_params(warm_start=True).fit(*domains[:3])
        assert_same_fit(original, loaded)
        assert not all(map(torch.equal, before, original.module_.state_dict().values()))

    def test_training_continues_after_partial_fit(self, make_clf, domains, path, assert_same_fit):
        original = make_clf(max_epochs=4, dropout=0.5)
        original.partial_fit(*domains[:3], classes=[0, 1]).partial_fit(*domains[:3])
        original.save(path)
        loaded = DANNClassifier.load(path).partial_fit(*domains[:3])
        assert loaded.history_[2]["lambda"] > loaded.history_[1]["lambda"]
        assert_same_fit(original.partial_fit(*domains[:3]), loaded)

    @pytest.mark.parametrize(
        "labels",
        [
            np.array(["no", "yes"]),
            np.array(["no", "yes"], dtype=object),
            np.array(["naïve", "雪"], dtype="<U9"),
            np.array([False, True]),
            np.array([-3, 2**40]),
            np.array([1, 2], dtype=np.uint8),
            np.array([1.0, 2.0], dtype=np.float32),
        ],
        ids=lambda labels: str(labels.dtype),
    )
    def test_labels_keep_values_and_dtype(self, labels, make_clf, domains, path):
        original = make_clf().fit(domains.X_source, labels[domains.y_source], domains.X_target)
        original.save(path)
        assert_same(original, DANNClassifier.load(path), domains.X_target)

    def test_several_sources_and_targets(self, make_clf, domains, path):
        X, y, X_target, _ = domains
        original = make_clf(normalization="domain_batch")
        original.fit(X, y, (X_target, X_target + 1.0), sample_domain=np.arange(40) % 2 * 7)
        original.save(path)
        loaded = DANNClassifier.load(path)
        assert loaded.domains_.tolist() == [0, 7, -1, -2]
        assert_same(original, loaded, X_target)
        for name in original.domains_:
            np.testing.assert_array_equal(
                original.predict_proba(X, sample_domain=name),
                loaded.predict_proba(X, sample_domain=name),
            )

    def test_source_only(self, make_clf, domains, path):
        with pytest.warns(UserWarning, match="no target"):
            original = make_clf().fit(domains.X_source, domains.y_source)
        original.save(path)
        assert_same(original, DANNClassifier.load(path), domains.X_target)

    @pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
    def test_column_names(self, frame, make_clf, domains, path):
        names = ["a", "b c", "ü", '"']
        X, X_target = (frame(dict(zip(names, part.T, strict=True))) for part in domains[:3:2])
        original = make_clf().fit(X, domains.y_source, X_target)
        original.save(path)
        loaded = DANNClassifier.load(path)
        assert_same(original, loaded, X_target)
        with pytest.raises(ValueError, match="feature names should match"):
            loaded.predict(X_target[names[::-1]])

    def test_sparse(self, make_clf, domains, path):
        X, X_target = map(sp.csr_array, domains[:3:2])
        original = make_clf().fit(X, domains.y_source, X_target)
        original.save(path)
        assert_same(original, DANNClassifier.load(path), X_target)

    def test_equal_estimators_give_equal_files(self, clf, path, tmp_path):
        clf.save(path)
        clf.save(tmp_path / "again")
        assert path.read_bytes() == (tmp_path / "again").read_bytes()

    def test_a_subclass_is_loaded_only_by_itself(self, domains, path):
        class Subclass(DANNClassifier):
            pass

        original = Subclass(max_epochs=1).fit(*domains[:3])
        original.save(str(path))
        assert type(Subclass.load(str(path))) is Subclass
        with pytest.raises(ValueError, match="holds a 'Subclass'"):
            DANNClassifier.load(path)

    def test_another_process_predicts_the_same(self, clf, saved, domains, tmp_path):
        np.save(tmp_path / "X.npy", domains.X_target)
        code = (
            "import sys, numpy as np; from skdann import DANNClassifier\n"
            "clf = DANNClassifier.load(sys.argv[1]); X = np.load(sys.argv[2])\n"
            "np.save(sys.argv[3], clf.predict_proba(X))"
        )
        files = [saved, tmp_path / "X.npy", tmp_path / "proba.npy"]
        subprocess.run([sys.executable, "-c", code, *map(str, files)], check=True)
        actual = np.load(files[2])
        np.testing.assert_array_equal(actual, clf.predict_proba(domains.X_target))

    def test_not_fitted(self, path):
        with pytest.raises(NotFittedError):
            DANNClassifier().save(path)
        assert not path.exists()

    def test_other_history_values_are_omitted_and_non_finite_ones_kept(self, clf, path):
        clf.history_[0].update(score=np.float32(0.5), bad=float("-inf"), tensor=torch.zeros(1))
        clf.save(path)
        row = DANNClassifier.load(path).history_[0]
        assert row["score"] == 0.5
        assert row["bad"] == -math.inf
        assert "tensor" not in row

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_from_gpu_to_cpu_and_back(self, make_clf, domains, path):
        original = make_clf(device="cuda").fit(*domains[:3])
        original.save(path)
        on_cpu = DANNClassifier.load(path)
        assert on_cpu.device == "cpu"
        expected = original.predict_proba(domains.X_target)
        np.testing.assert_allclose(on_cpu.predict_proba(domains.X_target), expected, atol=1e-5)
        on_cpu.partial_fit(*domains[:3])
        back = DANNClassifier.load(path, device="cuda")
        np.testing.assert_array_equal(back.predict_proba(domains.X_target), expected)
        back.partial_fit(*domains[:3])

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.lists(inner).map(tuple)
                | st.dictionaries(st.text() | st.integers() | st.booleans(), inner)
            ),
        )
    )
    def test_plain_values_survive_json(self, value):
        actual = decode(json.loads(json.dumps(encode(value), allow_nan=False)))
        assert repr(actual) == repr(value)


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


class TestNoPickle:
    def test_nothing_is_unpickled(self, saved, monkeypatch):
        def refuse(*args, **kwargs):
            pytest.fail("unpickled")  # not an Exception, so load does not convert it

        for module, name in ((pickle, "loads"), (pickle, "load"), (pickle, "Unpickler")):
            monkeypatch.setattr(module, name, refuse)
        monkeypatch.setattr(torch, "load", refuse)
        DANNClassifier.load(saved)

    def test_the_file_is_json_and_raw_tensors_to_the_last_byte(self, clf, saved):
        content = saved.read_bytes()
        n_header = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + n_header])
        assert header.pop("__metadata__").keys() == {"skdann"}
        spans = sorted(tensor["data_offsets"] for tensor in header.values())
        assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
        assert 8 + n_header + spans[-1][1] == len(content)
        weights = header["module.label_predictor.0.weight"]
        start, end = (8 + n_header + offset for offset in weights["data_offsets"])
        raw = np.frombuffer(content[start:end], "<f4").reshape(weights["shape"])
        np.testing.assert_array_equal(raw, clf.module_.label_predictor[0].weight.detach())

    def test_a_pickle_raises_without_being_read(self, clf, path):
        class Bomb:
            def __reduce__(self):
                return pytest.fail, ("unpickled",)

        path.write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(ValueError, match="not a complete safetensors file"):
            DANNClassifier.load(path)
        torch.save(clf.module_.state_dict(), path)
        with pytest.raises(ValueError, match="not a complete safetensors file"):
            DANNClassifier.load(path)


class TestAtomicity:
    @pytest.mark.parametrize("step", ["write", "fsync", "replace"])
    def test_failed_save_keeps_the_old_file_and_leaves_no_other(
        self, step, clf, saved, monkeypatch, tmp_path
    ):
        before = saved.read_bytes()
        full = OSError(errno.ENOSPC, "No space left on device")

        def fail(*args, **kwargs):
            raise full

        class FullDisk(io.FileIO):
            def write(self, content):
                super().write(content[:100])
                raise full

        if step == "write":
            monkeypatch.setattr("skdann.datasets._files.open", FullDisk, raising=False)
        else:
            monkeypatch.setattr(os, step, fail)
        with pytest.raises(OSError, match="No space left"):
            clf.save(saved)
        monkeypatch.undo()
        assert saved.read_bytes() == before
        assert os.listdir(tmp_path) == [saved.name]

    def test_a_full_disk(self, clf, saved, domains, tmp_path):
        before, model = saved.read_bytes(), tmp_path / "pickled"
        model.write_bytes(pickle.dumps(clf))
        code = (
            "import pickle, resource, signal, sys\n"
            "clf = pickle.load(open(sys.argv[1], 'rb'))\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
            "try:\n    clf.save(sys.argv[2])\n"
            "except OSError as error:\n    print(error.strerror)\n"
        )
        run = subprocess.run(
            [sys.executable, "-c", code, str(model), str(saved)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == os.strerror(errno.EFBIG)
        assert saved.read_bytes() == before
        assert sorted(os.listdir(tmp_path)) == sorted([saved.name, model.name])

    def test_interrupt_leaves_no_temporary_file(self, clf, path, monkeypatch, tmp_path):
        def interrupt(*args):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            clf.save(path)
        assert os.listdir(tmp_path) == []

    def test_os_errors_are_raised_unchanged(self, clf, tmp_path):
        with pytest.raises(FileNotFoundError):
            clf.save(tmp_path / "no folder" / "model")
        with pytest.raises(IsADirectoryError):
            clf.save(tmp_path)
        with pytest.raises(FileNotFoundError):
            DANNClassifier.load(tmp_path / "missing")
        with pytest.raises(IsADirectoryError):
            DANNClassifier.load(tmp_path)
        assert os.listdir(tmp_path) == []

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_read_only_folder(self, clf, tmp_path):
        tmp_path.chmod(0o500)
        with pytest.raises(PermissionError):
            clf.save(tmp_path / "model")

    def test_links_are_followed_and_the_umask_applies(self, clf, path, tmp_path):
        link = tmp_path / "link"
        link.symlink_to(path)
        old = os.umask(0o027)
        try:
            clf.save(link)
        finally:
            os.umask(old)
        assert link.is_symlink()
        assert path.stat().st_mode & 0o777 == 0o640

    def test_killed_at_random_moments(self, tmp_path):
        script = """if True:
            import glob, os, random, signal, sys, time
            import numpy as np
            from skdann import DANNClassifier, DANNClassifierCV, make_pipeline
            X, y = np.random.RandomState(0).randn(40, 4), np.arange(40) % 2
            both = [
                DANNClassifier(feature_extractor=(512, 512), max_epochs=1, random_state=seed)
                .fit(X, y, X) for seed in (0, 1)
            ]
            probas = [clf.predict_proba(X) for clf in both]
            path = os.path.join(sys.argv[1], "model")
            both[0].save(path)
            actual = []
            random.seed(0)
            cut = []
            while len(actual) < 15 or not cut and len(actual) < 200:  # until a write is interrupted
                child = os.fork()
                if not child:
                    while True:
                        for clf in both[::-1]:
                            clf.save(path)
                time.sleep(random.uniform(0.01, 0.2))
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                proba = DANNClassifier.load(path).predict_proba(X)
                actual.append([np.array_equal(proba, other) for other in probas].index(True))
                cut = glob.glob(sys.argv[1] + "/.model.*.tmp")
            print(len(cut))
            """
        run = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=False,
        )
        assert run.returncode == 0, run.stderr
        assert int(run.stdout) > 0, "no kill fell into a write, so this showed nothing"


def changed(**entries):
    return lambda description, tensors: description.update(entries)


def param(name, value):
    return lambda description, tensors: description["params"].update({name: value})


def without(name):
    return lambda description, tensors: description.pop(name)


def tensor(name, value):
    return lambda description, tensors: tensors.update({name: value})


WEIGHT = "module.feature_extractor.0.weight"  # (1, 4, 8)
HOSTILE = {
    "newer": (
        changed(format=FORMAT + 1),
        "format 2, but .* reads format 1; use the version",
    ),
    "older": (changed(format=0), "format 0, but this version of skdann reads format 1"),
    "nan format": (changed(format=math.nan), "format nan, but"),
    "no format": (without("format"), "KeyError: 'format'"),
    "class": (changed(**{"class": "os.system"}), "holds a 'os.system'"),
    "no class": (without("class"), "class is None, not a str"),
    "no history": (without("history"), "history is None, not a list"),
    "history": (changed(history=[1]), "AttributeError"),
    "params": (changed(params=["lr"]), "params is .*, not a dict"),
    "param": (param("lrr", 1), "unexpected keyword argument 'lrr'"),
    "param value": (param("lr", -1), "'lr' parameter"),
    "param kind": (param("lambda_schedule", {"call": "os.system"}), "KeyError: 'call'"),
    "nan": (param("lambda_max", {"float": "nan"}), "'lambda_max' parameter"),
    "callbacks": (param("callbacks", ["os.system"]), "its parameters are invalid"),
    "given": (changed(given=[]), "given is .*, not a dict"),
    "one class": (changed(classes=["<i8", [1]]), "classes_ must be 2 or more"),
    "equal classes": (changed(classes=["<i8", [1, 1]]), "classes_ must be 2 or more"),
    "three classes": (changed(classes=["<i8", [1, 2, 3]]), "label_predictor.0.weight"),
    "nan classes": (changed(classes=["<f8", [0.0, math.nan, math.nan]]), "classes_ must be"),
    "nested classes": (changed(classes=["<i8", [[1, 2], [3, 4]]]), "classes_ must be"),
    "class dtype": (changed(classes=["<M8[s]", [1, 2]]), "classes of dtype datetime64"),
    "wide classes": (changed(classes=["<U99999999", ["a", "b", "c"]]), "3 classes of dtype"),
    "mixed classes": (changed(classes=["|O", ["a", 1]]), "TypeError"),
    "domains": (changed(domains=[0, 0]), "domains_ must be"),
    "targets": (changed(n_targets=2), "2 of 2 domains are targets"),
    "features": (changed(n_features_in=10**15), "need .* weights"),
    "huge features": (changed(n_features_in=10**4000), "cannot be loaded"),
    "no features": (changed(n_features_in=0), "0 features"),
    "names": (changed(feature_names_in=["a"]), "must be 4 strings"),
    "huge layer": (param("feature_extractor", [10**7, 10**7]), "need .* weights"),
    "many layers": (param("domain_classifier", [1] * 10**5), "100000 layers need more than"),
    "many domains": (changed(domains=list(range(10**5)), n_targets=1), "need .* weights"),
    "layer": (param("feature_extractor", [9]), r"\(1, 4, 8\) in the file, .*\(1, 4, 9\)"),
    "seed": (changed(seed=-1), "cannot be rebuilt"),
    "epochs": (changed(n_epochs_done=-1), "n_epochs_done is -1"),
    "shift": (changed(label_shift=["correct", [0.5, 0.5], [1.0, 0.0]]), "label_shift is"),
    "infinite shift": (changed(label_shift=["correct", [1, 1], [1, math.inf]]), "label_shift is"),
    "shift kind": (
        changed(label_shift=["both", [0.5, 0.5], [1.0, 1.0]]),
        "label_shift is .*'both'",
    ),
    "shift size": (changed(label_shift=["correct", [1.0], [1.0]]), "label_shift is"),
    "shift lists": (
        changed(label_shift=["correct", [0.5, 0.5]]),
        "is inconsistent",
    ),
    "shape": (tensor(WEIGHT, torch.zeros(1, 8, 4)), r"\(1, 8, 4\) in the file"),
    "dtype": (tensor(WEIGHT, torch.zeros(1, 4, 8).double()), "float64"),
    "infinite": (tensor(WEIGHT, torch.full((1, 4, 8), torch.inf)), "weight are not finite"),
    "extra": (tensor("module.evil", torch.zeros(1)), "unknown tensors: module.evil"),
    "slot": (tensor("optimizer.0.evil", torch.zeros(1)), "unknown tensors: optimizer.0.evil"),
    "generator": (
        tensor("generator.0.source_order", torch.full((5056,), 255, dtype=torch.uint8)),
        "Invalid mt19937 state",
    ),
    "missing": (lambda _, tensors: tensors.pop(WEIGHT), f"missing tensors: {WEIGHT}"),
    "no slots": (lambda _, tensors: tensors.pop("optimizer.0.exp_avg"), "missing tensors: opt"),
}


class TestHostileFiles:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_changed_content(self, name, saved):
        change, message = HOSTILE[name]
        description, tensors = read(saved)
        change(description, tensors)
        write(saved, description, tensors)
        with pytest.raises(ValueError, match=message) as error:
            DANNClassifier.load(saved)
        assert str(saved) in str(error.value)
        assert str(error.value).endswith(".")

    def test_a_file_cannot_set_the_checkpoint_path(self, saved, tmp_path):
        description, tensors = read(saved)
        description["params"]["checkpoint"] = str(tmp_path / "overwritten")
        write(saved, description, tensors)
        assert DANNClassifier.load(saved).checkpoint is None

    def test_unchanged_content_is_loaded(self, clf, saved, domains):
        write(saved, *read(saved))
        assert_same(clf, DANNClassifier.load(saved), domains.X_target)

    @pytest.mark.parametrize("text", ["", "[", "null", "[" * 10**5, '"format"'])
    def test_header_text(self, text, path):
        path.write_bytes(save({"weight": torch.zeros(2)}, {"skdann": text}))
        with pytest.raises(ValueError, match="not written by skdann, or its header is damaged"):
            DANNClassifier.load(path)

    def test_safetensors_of_another_program(self, path):
        path.write_bytes(save({"weight": torch.zeros(2)}))
        with pytest.raises(ValueError, match="KeyError: '__metadata__'"):
            DANNClassifier.load(path)

    @pytest.mark.parametrize(
        "content",
        [b"", b"\0" * 8, b"\xff" * 100, (10**9).to_bytes(8, "little") + b"{}", b"a,b\n1,2\n" * 99],
        ids=["empty", "zeros", "ones", "huge header", "csv"],
    )
    def test_other_files(self, content, path):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a complete safetensors file"):
            DANNClassifier.load(path)

    def test_a_single_changed_bit_raises(self, saved):
        content = bytearray(saved.read_bytes())
        content[-3] ^= 1
        saved.write_bytes(content)
        with pytest.raises(ValueError, match="does not match its SHA-256"):
            DANNClassifier.load(saved)


class TestFuzz:
    @pytest.fixture(scope="class")
    @staticmethod
    def sound(tmp_path_factory):
        rng = np.random.RandomState(0)
        X, y = rng.standard_normal((20, 3)), np.arange(20) % 2
        clf = DANNClassifier(feature_extractor=(4,), domain_classifier=(), max_epochs=2)
        folder = tmp_path_factory.mktemp("fuzz")
        clf.fit(X, y, X).save(folder / "sound")
        return X, clf, folder / "sound", (folder / "sound").read_bytes()

    @staticmethod
    def load_or_refuse(sound, path):
        X, clf, *_ = sound
        try:
            with warnings.catch_warnings(action="error"):
                loaded = DANNClassifier.load(path)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
            return None
        original, other = clf.module_.state_dict(), loaded.module_.state_dict()
        assert {k: v.shape for k, v in original.items()} == {k: v.shape for k, v in other.items()}
        assert all(bool(value.isfinite().all()) for value in other.values())
        assert loaded.predict_proba(X).shape == (20, 2)
        return loaded

    @settings(max_examples=300)
    @given(data=st.data())
    def test_changed_bytes_and_truncated_files(self, sound, data):
        content = bytearray(sound[3])
        n_header = 8 + int.from_bytes(content[:8], "little")
        where = st.integers(0, 7) | st.integers(0, n_header) | st.integers(0, len(content) - 1)
        for position in data.draw(st.lists(where, max_size=4)):
            content[position] = data.draw(st.integers(0, 255))
        if data.draw(st.booleans()):
            content = content[: data.draw(where)]
        path = sound[2].with_name("damaged")
        path.write_bytes(content)
        loaded = self.load_or_refuse(sound, path)
        if loaded is not None:  # it passed the SHA-256, so only the layout can differ
            np.testing.assert_array_equal(
                loaded.predict_proba(sound[0]), sound[1].predict_proba(sound[0])
            )

    # a forged file may have column names
    @pytest.mark.filterwarnings("ignore:X does not have valid feature names")
    @pytest.mark.parametrize("start", range(0, 300, 100))
    def test_forged_descriptions(self, sound, start):
        values = [None, True, 0, -1, 3, 10**9, 1.5, -math.inf, "", "cpu", "<U9", [], [1, "a"], {}]
        values += [{"float": "nan"}, {"tuple": [3]}, {"dict": [["a", 1]]}, {"a": [None]}]
        for seed in range(start, start + 100):
            rng = random.Random(seed)
            description, tensors = read(sound[2])
            description["history"] = [{"epoch": 1}]
            for _ in range(rng.randint(1, 3)):
                place = description
                while place:
                    keys = list(place) if isinstance(place, dict) else range(len(place))
                    key = rng.choice(keys)
                    if not isinstance(place[key], dict | list) or rng.random() < 0.25:
                        place[key] = copy.deepcopy(rng.choice(values))
                        break
                    place = place[key]
            path = sound[2].with_name("forged")
            write(path, description, tensors)
            self.load_or_refuse(sound, path)


def scorer(estimator, X, y):
    return float((estimator.predict(X) == y).mean())


class TestSearch:
    @pytest.fixture
    def search(self, make_clf, domains):
        labels = np.array(["no", "yes"])[domains.y_source]
        search = DANNClassifierCV(make_clf(), lambdas=(0.3,), n_seeds=2, random_state=0)
        return search.fit(domains.X_source, labels, domains.X_target)

    @staticmethod
    def assert_same_search(original, loaded, X):
        names = ("classes_", "domains_", "n_features_in_", "adapted_", "lambda_", "standardize_")
        for name in (*names, "reason_", "scores_", "weights_"):
            np.testing.assert_array_equal(
                getattr(original, name), getattr(loaded, name), strict=True
            )
        assert vars(original).keys() == vars(loaded).keys()
        np.testing.assert_array_equal(
            original.predict_proba(X), loaded.predict_proba(X), strict=True
        )
        for members, others in zip(original.candidates_, loaded.candidates_, strict=True):
            for member, other in zip(members, others, strict=True):
                assert_same(member, other, X)
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
            make_clf(optimizer="sgd"), lambdas=(1e30,), standardize=(None,), n_seeds=1
        )
        with pytest.warns(FitFailedWarning, match="1 of 2 candidates failed"):
            search.fit(*domains[:3])
        assert "diverged" in search.scores_[1]["error"]
        search.save(path)
        loaded = DANNClassifierCV.load(path)
        assert loaded.scores_ == search.scores_
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
            (changed(n_features_in=3), "has other columns"),
            (changed(reason=None), "reason is None, not a str"),
            (changed(estimator=[1]), "its parameters are invalid"),
            (changed(estimator={"params": {"lr": -1}}), "'lr' parameter"),
            (param("lambdas", ["os.system"]), "must hold finite numbers"),
            (
                lambda d, t: d["candidates"][0][0].pop("seed"),
                "is selected, but a",
            ),
            (
                lambda d, t: d["candidates"][1][0].update(n_features_in=10**15),
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
            trusted.append("skdann._cv.DANNClassifierCV")
        clf.fit(X, y, X_target=X_target)
        skops.dump(clf, path)
        assert skops.get_untrusted_types(file=path) == trusted
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
