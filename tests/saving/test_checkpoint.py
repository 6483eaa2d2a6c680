"""Checkpoints: a killed or failed fit ends bit-identical to an uninterrupted one."""

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from safetensors.torch import load, save
from skorch.callbacks import Callback
from torch import nn

from skdann import DANNClassifier, DANNClassifierCV
from skdann._saving.file import digest
from skdann._training.objective import ADVERSARIES
from tests.training.common import Stop, assert_same_net


class CustomExtractor(nn.Module):
    """Custom network whose dropout uses torch's global generator."""

    def __init__(self, n_in):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_in, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3)
        )

    def forward(self, x):
        return self.layers(x)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.checkpoint"


CASES = {
    "default": {},
    "sgd": {"optimizer": "sgd", "lr_schedule": "cosine", "lambda_schedule": "linear"},
    "rmsprop": {"optimizer": "rmsprop", "weight_decay": 0.01, "class_weight": "balanced"},
    "alternating": {"adversarial": "alternating", "domain_steps": 2, "conditioning": "cdan"},
    **{f"{name} alone": {"adversarial": name} for name in sorted(ADVERSARIES) if name != "grl"},
    "domain_batch": {"normalization": "domain_batch", "standardize": "domain"},
    "custom module": {"feature_extractor": CustomExtractor},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.3, "max_epochs": 9},
    "stops early": {
        "early_stopping": True, "validation_fraction": 0.3, "max_epochs": 40, "patience": 1,
        "lambda_schedule": "constant", "lr": 0.1,
    },
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("epoch", [1, 2, 5])
def test_a_failed_fit_resumes_bit_identically(case, epoch, make_clf, domains, path):
    X, y, X_target, _ = domains
    params = {"max_epochs": 6, "checkpoint": path, **CASES[case]}
    targets = (X_target, X_target[:7] + 1.0)  # passes over the targets end within epochs
    whole = make_clf(**{**params, "checkpoint": None}).fit(X, y, targets)
    broken = make_clf(**params, callbacks=[Stop(epoch, RuntimeError("out of luck"))])
    if epoch <= whole.n_epochs_:
        with pytest.raises((RuntimeError, ValueError), match="out of luck"):
            broken.fit(X, y, targets)
        assert path.exists()
    resumed = make_clf(**params, callbacks=[]).set_params(callbacks=broken.callbacks)
    resumed.callbacks[0].epoch = -1
    resumed.fit(X, y, targets)
    assert_same_net(whole, resumed)
    np.testing.assert_array_equal(whole.predict_proba(X), resumed.predict_proba(X))
    assert os.listdir(path.parent) == []


def test_completed_epochs_are_not_repeated(make_clf, domains, path):
    seen = []

    class Count(Callback):
        def on_epoch_begin(self, net, **kwargs):
            seen.append(len(net.history))

    clf = make_clf(max_epochs=6, checkpoint=path, callbacks=[Count(), Stop(4, MemoryError())])
    with pytest.raises(MemoryError):
        clf.fit(*domains[:3])
    clf.callbacks[1].epoch = -1
    clf.fit(*domains[:3])
    assert seen == [1, 2, 3, 4, 4, 5, 6]


def test_sparse_rows(make_clf, domains, path):
    X, X_target = map(sp.csr_array, domains[:3:2])
    whole = make_clf(max_epochs=4).fit(X, domains.y_source, X_target)
    clf = make_clf(max_epochs=4, checkpoint=path, callbacks=[Stop(3, MemoryError())])
    with pytest.raises(MemoryError):
        clf.fit(X, domains.y_source, X_target)
    clf.callbacks[0].epoch = -1
    assert_same_net(whole, clf.fit(X, domains.y_source, X_target))


def test_warm_start(make_clf, domains, path):
    clfs = [make_clf(max_epochs=4, warm_start=True).fit(*domains[:3]) for _ in range(2)]
    whole = clfs[0].fit(*domains[:3])
    clf = clfs[1].set_params(checkpoint=path, callbacks=[Stop(7, MemoryError())])
    with pytest.raises(MemoryError):
        clf.fit(*domains[:3])
    clf.callbacks[0].epoch = -1
    assert_same_net(whole, clf.fit(*domains[:3]))


def test_an_interrupted_fit_resumes(make_clf, domains, path):
    whole = make_clf(max_epochs=6).fit(*domains[:3])
    clf = make_clf(max_epochs=6, checkpoint=path, callbacks=[Stop(4, KeyboardInterrupt())])
    with pytest.warns(UserWarning, match="keeps its last complete epoch, 3 of 6"):
        clf.fit(*domains[:3])
    assert clf.n_epochs_ == 3
    assert path.exists()
    clf.callbacks[0].epoch = -1
    assert_same_net(whole, clf.fit(*domains[:3]))
    assert not path.exists()


class TestAnotherFit:
    @pytest.fixture
    def broken(self, make_clf, domains, path):
        clf = make_clf(max_epochs=4, checkpoint=str(path), callbacks=[Stop(3, MemoryError())])
        with pytest.raises(MemoryError):
            clf.fit(*domains[:3])
        return clf

    @pytest.mark.parametrize(
        ("changed", "named"),
        [
            ({"lr": 0.01}, "lr differ"),
            ({"max_epochs": 9}, "max_epochs differ"),
            ({"random_state": 1}, "the initial weights"),
        ],
    )
    def test_other_parameters_are_named(self, changed, named, broken, domains, path):
        before = path.read_bytes()
        broken.set_params(**changed)
        with pytest.raises(ValueError, match=rf"checkpoint=.* another fit: .*{named}.* start over"):
            broken.fit(*domains[:3])
        assert path.read_bytes() == before

    def test_other_rows(self, broken, domains):
        X, y, X_target, _ = domains
        X_target = X_target.copy()
        X_target[-1, -1] += 1.0
        with pytest.raises(ValueError, match="the rows differ"):
            broken.fit(X, y, X_target)

    def test_a_model_is_not_overwritten(self, make_clf, domains, path):
        clf = make_clf(checkpoint=path).fit(*domains[:3])
        clf.save(path)
        before = path.read_bytes()
        with pytest.raises(ValueError, match="holds a 'DANNClassifier'"):
            clf.fit(*domains[:3])
        assert path.read_bytes() == before

    def test_a_damaged_file_is_named(self, broken, domains, path):
        content = bytearray(path.read_bytes())
        content[-3] ^= 1
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"SHA-256.*delete the file to start over"):
            broken.fit(*domains[:3])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda d, t: t.pop("batches.0.0.generator"), "KeyError: '0.0.generator'"),
            (lambda d, t: t.pop("generator.0.source_order"), "missing tensors"),
            (lambda d, t: t.update(evil=torch.zeros(1)), "unknown tensors: evil"),
            (lambda d, t: d.update(n_epochs="all"), "n_epochs is 'all', not a int"),
            (lambda d, t: d.update(groups=[]), "it does not match the networks"),
            (lambda d, t: d.update(history=[1]), "it does not match the networks"),
        ],
    )
    def test_a_forged_file(self, change, message, broken, domains, path):
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        description, tensors = json.loads(header["__metadata__"]["skdann"]), load(content)
        del description["sha256"]
        change(description, tensors)
        description["sha256"] = digest(description, tensors)
        path.write_bytes(save(tensors, {"skdann": json.dumps(description)}))
        with pytest.raises(ValueError, match=message):
            broken.fit(*domains[:3])
        assert not hasattr(broken, "net_")

    def test_without_a_seed(self, make_clf, domains, path, no_training):
        with pytest.raises(ValueError, match="needs a random_state"):
            make_clf(checkpoint=path, random_state=None).fit(*domains[:3])
        search = DANNClassifierCV(make_clf(checkpoint=path))
        with pytest.raises(ValueError, match="needs a random_state"):
            search.fit(*domains[:3])

    def test_a_saved_model_does_not_contain_the_path(self, make_clf, domains, path, tmp_path):
        clf = make_clf(checkpoint=path).fit(*domains[:3])
        clf.save(tmp_path / "model")
        assert b"fit.checkpoint" not in (tmp_path / "model").read_bytes()
        assert DANNClassifier.load(tmp_path / "model").checkpoint is None


KILLS = """
import os, random, signal, sys, time
import numpy as np
import torch
from skdann import DANNClassifier, DANNClassifierCV

n_kills = int(sys.argv[1])
rng = np.random.RandomState(0)
X, y = rng.standard_normal((200, 5)), np.arange(200) % 3
X_target = rng.standard_normal((33, 5)) + 0.5

def fit(folder, kind, name, checkpoint):
    clf = DANNClassifier(
        feature_extractor=(16, 8), max_epochs=25, batch_size=16, random_state=0,
        checkpoint=checkpoint,
    )
    if kind == "search":
        clf.set_params(max_epochs=8)
        clf = DANNClassifierCV(clf, lambdas=(0.3,), n_seeds=2, random_state=0)
    clf.fit(X, y, X_target).save(os.path.join(folder, name))

def kill_until_done(folder, kind):
    fit(folder, kind, "whole", None)
    begun = time.monotonic()
    fit(folder, kind, "whole", None)
    seconds = time.monotonic() - begun
    random.seed(0)
    killed = 0
    while not os.path.exists(os.path.join(folder, "model")):
        child = os.fork()
        if not child:
            try:
                fit(folder, kind, "model", os.path.join(folder, "checkpoint"))
            finally:
                os._exit(0)
        if killed < n_kills:
            time.sleep(random.uniform(0.05, 0.6) * seconds)
            os.kill(child, signal.SIGKILL)
        killed += os.waitpid(child, 0)[1] == signal.SIGKILL
    print(kind, killed)

for folder in sys.argv[2:]:
    kill_until_done(folder, os.path.basename(folder))
"""
KINDS = {"classifier": DANNClassifier, "search": DANNClassifierCV}


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Fit in a process that is killed again and again; return the folder and kills of each kind."""
    folder = tmp_path_factory.mktemp("killed")
    folders = {kind: folder / kind for kind in KINDS}
    for each in folders.values():
        each.mkdir()
    run = subprocess.run(
        [sys.executable, "-c", KILLS, "6", *map(str, folders.values())],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    counts = dict(line.split() for line in run.stdout.splitlines())
    return {kind: (folders[kind], int(counts[kind])) for kind in KINDS}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random_moments(kind, killed):
    folder, n_kills = killed[kind]
    assert n_kills > 0, "no kill fell into a fit, so this showed nothing"
    whole, resumed = (KINDS[kind].load(folder / name) for name in ("whole", "model"))
    if kind == "search":
        assert whole.reason_ == resumed.reason_
        members = (itertools.chain(*clf.candidates_) for clf in (whole, resumed))
        whole, resumed = ([m for m in each if hasattr(m, "net_")] for each in members)
        assert {member.pseudo_labels for member in whole} == {None, "train", "balance"}
    else:
        whole, resumed = [whole], [resumed]
    for first, second in zip(whole, resumed, strict=True):
        assert_same_net(first, second)
    remaining = [name for name in os.listdir(folder) if not name.startswith(".model")]
    assert sorted(remaining) == ["model", "whole"]
