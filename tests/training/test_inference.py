"""Blockwise inference: a prediction does not depend on the other rows."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skdann._training.inference import infer_blocks
from skdann.nn import DANNModule
from tests.training.common import SMALL, domains, fit


@pytest.mark.filterwarnings("ignore:X looks like rows of the source")  # as they are, on purpose
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"feature_extractor": (128, 64), "domain_classifier": (64,)},
        {"normalization": "batch", "label_predictor": (7,)},
        {"normalization": "domain_batch"},
        {"conditioning": "cdan"},
    ],
)
def test_a_prediction_does_not_depend_on_the_other_rows(changed):
    X, y, targets = domains(n_source=60, n_classes=3)
    clf = fit({**SMALL, "max_epochs": 1, **changed}, X, y, targets)
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(4200, 4)).astype(np.float32)  # more than one block
    order = rng.permutation(len(rows))
    # for odd widths, rounding depends on a row's position in its block: the last bits may differ
    has_odd_width = "label_predictor" in changed
    same = partial(assert_allclose, rtol=1e-5, atol=1e-7) if has_odd_width else assert_array_equal
    for name in ("predict_proba", "transform", "predict_domain_proba"):
        predict = getattr(clf, name)
        whole = predict(rows)
        same(predict(rows[order]), whole[order])
        for size in (1, 2, 63, 64, 65, 200, 1000):
            assert_array_equal(predict(rows[:size]), whole[:size])
        for i in (0, 70, 4150):
            same(predict(rows[i : i + 1])[0], whole[i])


def test_inference_uses_blocks_of_256_rows():
    X, y, targets = domains(n_source=600)
    net = fit(SMALL, X, y, targets).net_
    for what, width in (("features", 8), ("labels", 2), ("domains", 1)):
        blocks = list(net.infer_blocks(X, None, what))
        assert [block.shape for block in blocks] == [(256, width), (256, width), (88, width)]


@pytest.mark.parametrize(
    ("n_features", "n_rows"), [(4, 256), (1_000, 224), (2_000, 96), (7_000, 32), (50_000, 32)]
)
def test_blocks_of_several_members_are_limited_in_size(n_features, n_rows):
    module, members = DANNModule(torch.nn.Linear(n_features, 1), torch.nn.Identity(), None), 4
    X = np.ones((300, n_features), dtype=np.float32)
    blocks = list(infer_blocks(module, X, None, "labels", n_members=members))
    assert [block.shape[1] for block in blocks[:-1]] == [n_rows] * (len(blocks) - 1)
    alone = list(infer_blocks(module, X, None, "labels"))
    assert [len(block) for block in alone] == [256, 44]
    whole = np.concatenate(blocks, axis=1)
    assert whole.shape == (members, 300, 1)
    assert_allclose(whole[2], np.concatenate(alone), rtol=1e-5)


@pytest.mark.parametrize(("n_rows", "n_padded"), [(1, 32), (32, 32), (33, 64), (250, 256)])
def test_a_block_is_padded_to_a_multiple_of_32_rows(monkeypatch, n_rows, n_padded):
    X, y, targets = domains()
    clf, seen = fit(SMALL, X, y, targets), []
    extract = DANNModule.extract_features

    def look(module, x, rows=None):
        seen.append(x.shape[-2])
        return extract(module, x, rows)

    monkeypatch.setattr(DANNModule, "extract_features", look)
    assert clf.predict_proba(np.ones((n_rows, 4))).shape == (n_rows, 2)
    assert seen == [n_padded]


def test_predictions_equal_those_of_the_module():
    X, y, targets = domains(n_source=150, n_classes=3)
    clf = fit({**SMALL, "dropout": 0.4, "normalization": "batch"}, X, y, targets)
    module, x = clf.module_, torch.from_numpy(X)
    with torch.no_grad():
        features = module.extract_features(x)
        assert_allclose(clf.transform(X), features, atol=1e-6)
        assert_allclose(clf.predict_proba(X), module(x).softmax(1), atol=1e-6)
        is_target = module.classify_domains(features).squeeze(1).sigmoid()
        assert_allclose(clf.predict_domain_proba(X)[:, 1], is_target, atol=1e-6)
    assert_array_equal(clf.predict(X), clf.predict_proba(X).argmax(1))
