"""Saved classifiers: bit-identical results, and no code execution from a file."""

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch
from safetensors.torch import save
from sklearn.exceptions import NotFittedError

from skdann import DANNClassifier, DANNRegressor
from skdann._saving.file import FORMAT
from tests.saving.common import WEIGHT, assert_same, changed, param, read, tensor, write


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

    @pytest.mark.slow
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


def without(name):
    return lambda description, tensors: description.pop(name)


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
    "features": (changed(n_features_in=10**15, columns=None), "need .* weights"),
    "huge features": (changed(n_features_in=10**4000), "cannot be loaded"),
    "no features": (changed(n_features_in=0, columns=None), "0 features"),
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


class TestNumbers:
    """The scale of a regressor's labels, which a file may not forge."""

    @pytest.fixture
    def saved(self, domains, path):
        reg = DANNRegressor(feature_extractor=(8,), max_epochs=2, random_state=0)
        reg.fit(domains.X_source, domains.X_source[:, 0], domains.X_target).save(path)
        return path

    @pytest.mark.parametrize(
        "entry",
        [
            [[0.0], [-1.0], True],
            [[0.0], [1.0, 2.0], False],
            [[0.0, 0.0], [1.0, 1.0], True],
            [[], [], False],
            [[[0.0]], [[1.0]], False],
            [["a"], [1.0], True],
            [[0.0], [1.0]],
        ],
        ids=str,
    )
    def test_a_scale_that_is_none_raises(self, entry, saved):
        description, tensors = read(saved)
        write(saved, {**description, "label_scale": entry}, tensors)
        with pytest.raises(ValueError, match="its description is inconsistent"):
            DANNRegressor.load(saved)

    def test_classes_beside_a_scale_raise(self, saved):
        description, tensors = read(saved)
        write(saved, {**description, "classes": ["<i8", [0, 1]]}, tensors)
        with pytest.raises(ValueError, match="it has classes and a label_scale"):
            DANNRegressor.load(saved)

    def test_more_outputs_than_the_networks_have_raise(self, saved):
        description, tensors = read(saved)
        write(saved, {**description, "label_scale": [[0.0] * 3, [1.0] * 3, False]}, tensors)
        with pytest.raises(ValueError, match="cannot be loaded"):
            DANNRegressor.load(saved)

    def test_a_file_without_scale_raises(self, saved):
        description, tensors = read(saved)
        del description["label_scale"]
        write(saved, description, tensors)
        with pytest.raises(ValueError, match="label_scale is None, not a list"):
            DANNRegressor.load(saved)
