"""ONNX graphs give the predictions of the estimator, for any number of rows."""

import json
import logging
import os
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from torch import nn

from skdann import DANNClassifier, DANNClassifierCV, make_pipeline
from skdann._selection import rule

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


CONVOLUTIONS = nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 2, 2), nn.Flatten())


def run(path, X):
    """Predict with onnxruntime."""
    session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    (proba,) = session.run(["probabilities"], {"X": np.asarray(X, dtype=np.float32)})
    return classes, proba


def assert_same_predictions(clf, path, X):
    for n_rows in (1, 2, 3, len(X)):
        classes, proba = run(path, X[:n_rows])
        assert classes == clf.classes_.tolist()
        np.testing.assert_allclose(proba, clf.predict_proba(X[:n_rows]), atol=1e-5, rtol=0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"normalization": "domain_batch", "standardize": "domain", "activation": "gelu"},
        {"normalization": "batch", "standardize": "source", "activation": "elu"},
        {"normalization": "layer", "activation": "silu", "label_predictor": (5,)},
        {"feature_extractor": (), "conditioning": "cdan"},
        {"feature_extractor": CONVOLUTIONS},
    ],
    ids=str,
)
def test_classifier(params, make_clf, domains, path):
    labels = np.array(["healthy", "ill"])[domains.y_source]
    clf = make_clf(**params).fit(domains.X_source, labels, domains.X_target)
    before = clf.predict_proba(domains.X_target)
    clf.to_onnx(path)
    assert_same_predictions(clf, path, domains.X_target)
    np.testing.assert_array_equal(clf.predict_proba(domains.X_target), before)


@pytest.mark.parametrize("params", [{}, {"label_shift": "correct"}], ids=str)
def test_search(params, make_clf, domains, path):
    path_of_lambdas = {"families": ("alignment",), "aggregate": "best", "margin": 0.0}
    clf = DANNClassifierCV(make_clf(**params), **path_of_lambdas, n_seeds=2, random_state=0)
    clf.fit(*domains[:3])
    assert len(clf.members_) == 2
    clf.to_onnx(path)
    assert_same_predictions(clf, path, domains.X_target)


@pytest.mark.slow
def test_a_mixture_of_networks(make_clf, domains, path, monkeypatch):
    networks = {"families": ("alignment", "self_training", "balanced"), "n_seeds": 1}
    monkeypatch.setattr(rule, "MIN_AUC", 0.0)  # the domains of this small table hardly differ
    clf = DANNClassifierCV(make_clf(), **networks, random_state=0).fit(*domains[:3])
    assert len(clf.members_) == 3 + 1 + 1
    assert len(set(clf.weights_)) > 1
    clf.to_onnx(path)
    assert_same_predictions(clf, path, domains.X_target)


def test_a_mixture_with_trees_cannot_be_exported(make_clf, domains, path, monkeypatch):
    monkeypatch.setattr(rule, "MIN_AUC", 0.0)
    clf = DANNClassifierCV(make_clf(), families=("trees",), n_seeds=1).fit(*domains[:3])
    with pytest.raises(ValueError, match=r"HistGradientBoostingClassifier is part of .* families="):
        clf.to_onnx(path)
    assert not path.exists()


@pytest.mark.parametrize(
    "steps",
    [
        [StandardScaler()],
        [SimpleImputer(), StandardScaler(), PCA(3)],
        [make_column_transformer((StandardScaler(), [0, 2]), (MinMaxScaler(), [1, 3]))],
        ["passthrough"],
    ],
    ids=["scaler", "three", "columns", "nothing"],
)
def test_pipeline(steps, make_clf, domains, path):
    X, y, X_target, _ = domains
    pipe = make_pipeline(*steps, make_clf())
    pipe.fit(3.0 * X + 5.0, y, X_target=3.0 * X_target + 5.0)
    pipe.to_onnx(path)
    assert_same_predictions(pipe, path, 3.0 * X_target + 5.0)


@pytest.mark.slow
def test_steps_that_cannot_be_exported_are_named(make_clf, domains, path):
    pipe = make_pipeline(FunctionTransformer(np.cbrt), make_clf())
    pipe.fit(domains.X_source, domains.y_source, X_target=domains.X_target)
    with pytest.raises(ValueError, match=r"\['functiontransformer'\] cannot be exported to ONNX"):
        pipe.to_onnx(path)
    columns = make_column_transformer((StandardScaler(), ["a", "b"]))
    frames = [pd.DataFrame(rows, columns=list("abcd")) for rows in domains[:3:2]]
    pipe = make_pipeline(columns, make_clf()).fit(frames[0], domains.y_source, X_target=frames[1])
    with pytest.raises(ValueError, match=r"\['columntransformer'\] cannot be exported to ONNX"):
        pipe.to_onnx(path)
    assert not path.exists()


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return self.linear(x) if x.sum() > 0 else x


def test_modules_that_cannot_be_exported(domains, path):
    clf = DANNClassifier(feature_extractor=Branching, max_epochs=1).fit(*domains[:3])
    with pytest.raises(ValueError, match="networks cannot be exported to ONNX"):
        clf.to_onnx(path)


def test_not_fitted(path):
    with pytest.raises(NotFittedError):
        DANNClassifier().to_onnx(path)


def test_without_the_extra(make_clf, domains, path, monkeypatch):
    clf = make_clf().fit(*domains[:3])
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'skdann\[onnx\]'"):
        clf.to_onnx(path)


def test_export_changes_no_state_and_prints_nothing(make_clf, domains, path, caplog, capfd):
    clf = make_clf().fit(*domains[:3])
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), torch.is_grad_enabled()
    clf.to_onnx(path)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    assert torch.is_grad_enabled() == before[2]
    assert not clf.module_.training
    assert capfd.readouterr().err == ""
    assert logging.getLogger("torch.onnx._internal.exporter._registration").filters == []
