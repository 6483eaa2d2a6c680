"""Every adversary passes one table of tests; each loss equals its equation, worked out apart.

A new adversary enters the table by its line in `ADVERSARIES`.
"""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from skdann import DANNClassifier, DANNClassifierCV, SourceOnlyWarning
from skdann._training.objective import ADVERSARIES
from skdann._training.params import NETWORKS
from tests.training.objective.common import NAMES, assert_equal_weights, every_adversary, weights_of

WITH_CLASSIFIER = [name for name in NAMES if ADVERSARIES[name].has_classifier]
WITHOUT_CLASSIFIER = [name for name in NAMES if not ADVERSARIES[name].has_classifier]


class CustomExtractor(nn.Module):
    """A network of the user with batch statistics, and dropout from torch's generator."""

    def __init__(self, n_in):
        super().__init__()
        layers = nn.Linear(n_in, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.3)
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


def custom_classifier(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 5), nn.Tanh(), nn.Linear(5, n_out))


# settings that reach the features in different ways
SETTINGS = {
    "plain": {},
    "batch": {"normalization": "batch"},
    "layer": {"normalization": "layer"},
    "domain_batch": {"normalization": "domain_batch"},
    "cdan": {"conditioning": "cdan", "label_predictor": (5,)},
    "standardize": {"standardize": "domain"},
    "two steps of G_d": {"domain_steps": 2, "domain_loss_weight": 0.5},
    "custom G_f": {"feature_extractor": CustomExtractor},
    "custom G_f and G_d": {
        "feature_extractor": CustomExtractor,
        "domain_classifier": custom_classifier,
    },
}
every_setting = pytest.mark.parametrize("setting", SETTINGS)


# -- lambda ---------------------------------------------------------------------------------------


@every_adversary
@every_setting
def test_lambda_zero_is_the_source_only_fit_bit_for_bit(adversarial, setting, make, domains):
    """And so the fit with any other adversary, as that equals it too."""
    clf = make(adversarial, lambda_max=0.0, **SETTINGS[setting]).fit(*domains[:3])
    if setting == "domain_batch":  # whose statistics of the target rows the source alone lacks
        alone = make("grl", lambda_max=0.0, **SETTINGS[setting]).fit(*domains[:3])
    else:
        with pytest.warns(SourceOnlyWarning):
            alone = make("grl", **SETTINGS[setting]).fit(*domains[:2])
    networks = "feature_extractor", "label_predictor"
    assert_equal_weights(weights_of(clf, *networks), weights_of(alone, *networks))
    losses = [[row["label_loss"] for row in one.history_] for one in (clf, alone)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("adversarial", WITH_CLASSIFIER)
@every_setting
def test_lambda_zero_trains_the_same_domain_classifier(adversarial, setting, make, domains):
    fits = [
        make(name, lambda_max=0.0, **SETTINGS[setting]).fit(*domains[:3])
        for name in (adversarial, "grl")
    ]
    assert_equal_weights(*map(weights_of, fits))


@every_adversary
@every_setting
def test_a_positive_lambda_moves_the_feature_extractor(adversarial, setting, make, domains):
    features = [
        make(adversarial, lambda_max=value, **SETTINGS[setting])
        .fit(*domains[:3])
        .transform(domains.X_target)
        for value in (0.0, 2.0, 4.0)
    ]
    assert np.abs(features[1] - features[0]).max() > 1e-3
    assert np.abs(features[2] - features[1]).max() > 1e-3


@every_adversary
def test_adaptation_brings_the_domains_together(adversarial, make):
    """Means or covariances of the features, whichever the adversary looks at; not the labels."""
    rng = np.random.default_rng(0)
    X, X_target = rng.normal(size=(200, 4)), 1.0 + rng.normal(size=(200, 4)) * [1, 2, 1, 1]
    y = (X[:, 0] > 0).astype(int)
    distances = []
    for value in (0.0, 1.0):
        clf = make(adversarial, lambda_max=value, domain_classifier=(16,), max_epochs=40)
        source, target = map(clf.fit(X, y, X_target).transform, (X, X_target))
        moved = source.mean(0) - target.mean(0), np.cov(source.T) - np.cov(target.T)
        distances.append([np.linalg.norm(values) for values in moved])
        assert clf.score(X, y) > 0.9
    assert min(distances[1][0] / distances[0][0], distances[1][1] / distances[0][1]) < 0.6


# -- the same bits, and the same results ----------------------------------------------------------


@every_adversary
@every_setting
def test_equal_seeds_give_equal_bits(adversarial, setting, make, domains, assert_same_fit):
    fits = [make(adversarial, **SETTINGS[setting]).fit(*domains[:3]) for _ in range(2)]
    assert_same_fit(*fits)
    other = make(adversarial, random_state=1, **SETTINGS[setting]).fit(*domains[:3])
    assert np.abs(other.transform(domains[0]) - fits[0].transform(domains[0])).max() > 1e-3


@pytest.mark.filterwarnings("ignore:X looks like rows of the source")  # as they are, on purpose
@every_adversary
@every_setting
def test_several_domains_and_weights(adversarial, setting, make, several, assert_same_fit):
    rows, given = several
    fits = [
        make(adversarial, **SETTINGS[setting]).fit(
            *rows, sample_weight=factor * given["sample_weight"], sample_domain=domain
        )
        for factor, domain in (
            (1.0, given["sample_domain"]),
            (4.0, given["sample_domain"]),  # a power of two, so that nothing rounds
            (1.0, 1 - given["sample_domain"]),
        )
    ]
    assert_same_fit(*fits[:2])
    assert all(np.isfinite(list(row.values())).all() for row in fits[0].history_)
    if setting != "domain_batch":  # whose predictions depend on the domain
        assert_allclose(*(clf.predict_proba(rows[0]) for clf in fits[::2]), atol=0.2)
    unweighted = make(adversarial, **SETTINGS[setting]).fit(
        *rows, sample_domain=given["sample_domain"]
    )
    assert np.abs(unweighted.transform(rows[0]) - fits[0].transform(rows[0])).max() > 1e-3


@every_adversary
def test_rows_of_weight_zero_are_left_out(adversarial, make, several, assert_same_fit):
    (X, y, targets), given = several
    kept = np.arange(40) % 5 > 0
    fits = [
        make(adversarial).fit(X, y, targets, **{**given, "sample_weight": kept.astype(float)}),
        make(adversarial).fit(
            X[kept],
            y[kept],
            targets,
            sample_weight=np.ones(kept.sum()),
            sample_domain=given["sample_domain"][kept],
        ),
    ]
    assert_same_fit(*fits)


@every_adversary
def test_sparse_rows_equal_dense_ones(adversarial, make):
    rng = np.random.default_rng(0)
    X, X_target = (
        np.where(rng.random((60, 40)) < 0.04, rng.normal(size=(60, 40)), 0.0) for _ in range(2)
    )
    y = np.arange(60) % 2
    clf = make(adversarial, activation="tanh", optimizer="sgd", lr=0.1)
    dense = clone(clf).fit(X, y, X_target)
    sparse = clf.fit(sp.csr_array(X), y, sp.csr_array(X_target))
    assert_allclose(sparse.transform(X_target), dense.transform(X_target), atol=1e-5)
    for row, expected in zip(sparse.history_, dense.history_, strict=True):
        assert row["domain_loss"] == pytest.approx(expected["domain_loss"], rel=1e-4)


# -- continuing -----------------------------------------------------------------------------------


@every_adversary
def test_one_epoch_is_the_first_call_of_partial_fit(adversarial, make, several, assert_same_fit):
    rows, given = several
    whole = make(adversarial, max_epochs=1).fit(*rows, **given)
    part = make(adversarial, max_epochs=1).partial_fit(*rows, classes=[0, 1], **given)
    assert_same_fit(part, whole)
    before = part.transform(rows[0])
    part.partial_fit(*rows, **given)
    assert np.abs(part.transform(rows[0]) - before).max() > 1e-3
    assert len(part.history_) == 2


@every_adversary
def test_copies_predict_and_continue_alike(adversarial, make, domains, tmp_path, assert_same_fit):
    clf = make(adversarial, warm_start=True).fit(*domains[:3])
    clf.save(tmp_path / "clf")
    copies = [clf, pickle.loads(pickle.dumps(clf)), DANNClassifier.load(tmp_path / "clf")]
    for copied in copies[1:]:
        assert_array_equal(copied.predict_proba(domains[2]), clf.predict_proba(domains[2]))
        assert copied.history_ == clf.history_
    for copied in copies:
        copied.partial_fit(*domains[:3]).fit(*domains[:3])
        assert len(copied.history_) == 5
    assert_same_fit(clf, copies[1])
    assert_same_fit(clf, copies[2])


@every_adversary
@pytest.mark.parametrize("lambda_max", [0.0, 2.0])
def test_continuing_with_another_adversary(adversarial, lambda_max, make, domains):
    """The networks of the fit stay; an adversary that needs others is refused."""
    for name in NAMES:
        clf = make(name, warm_start=True).fit(*domains[:3])
        before, n_epochs = weights_of(clf), clf.n_epochs_
        clf.set_params(adversarial=adversarial, lambda_max=lambda_max)
        if ADVERSARIES[name].has_classifier == ADVERSARIES[adversarial].has_classifier:
            clf.fit(*domains[:3])
            assert_array_equal(
                pickle.loads(pickle.dumps(clf)).predict_proba(domains[2]),
                clf.predict_proba(domains[2]),
            )
            continue
        expected = rf"adversarial='{adversarial}' \(was '{name}'\) changed.*new estimator"
        for method in (clf.fit, clf.partial_fit):
            with pytest.raises(ValueError, match=expected):
                method(*domains[:3])
        assert_equal_weights(weights_of(clf), before)
        assert clf.n_epochs_ == n_epochs


# -- all around training --------------------------------------------------------------------------


@every_adversary
def test_the_search(adversarial, make, domains, tmp_path):
    search = DANNClassifierCV(
        make(adversarial),
        lambdas=(0.5, 2.0),
        families=("alignment",),
        aggregate="passing",
        n_seeds=2,
        random_state=0,
    )
    search.fit(*domains[:3])
    assert [row["lambda_max"] for row in search.scores_] == [0.0, 0.5, 2.0] * 2
    assert all(np.isfinite(row["score"]) for row in search.scores_)
    features = [members[0].transform(domains[2]) for members in search.candidates_]
    assert np.abs(features[0] - features[1]).max() > 1e-3
    assert np.abs(features[1] - features[2]).max() > 1e-3
    search.save(tmp_path / "search")
    loaded = DANNClassifierCV.load(tmp_path / "search")
    assert_array_equal(loaded.predict_proba(domains[2]), search.predict_proba(domains[2]))


@every_adversary
def test_early_stopping(adversarial, make, domains):
    params = {"early_stopping": True, "validation_fraction": 0.3, "patience": 1, "lr": 0.1}
    clf = make(adversarial, max_epochs=40, **params).fit(*domains[:3])
    assert clf.n_epochs_ < 40
    assert {"valid_loss", "valid_accuracy", "domain_loss"} <= clf.history_[-1].keys()


class Listener(Callback):
    """Keep the losses of the batches, and whether each network got gradients."""

    def __init__(self):
        self.losses, self.gradients = [], []

    def on_batch_end(self, net, batch, training, loss, y_pred, **kwargs):
        assert y_pred.shape == (len(batch[1]), 2)
        self.losses.append(float(loss))

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.gradients.append({name: p.grad for name, p in named_parameters})


@every_adversary
@pytest.mark.parametrize("lambda_max", [0.0, 2.0])
def test_callbacks_hear_every_step_and_change_no_bit(
    adversarial, lambda_max, make, domains, assert_same_fit
):
    listener = Listener()
    silent = make(adversarial, lambda_max=lambda_max).fit(*domains[:3])
    heard = make(adversarial, lambda_max=lambda_max, callbacks=[listener]).fit(*domains[:3])
    assert_same_fit(silent, heard)
    assert len(listener.losses) == len(listener.gradients) == 2 * 3
    for epoch, row in enumerate(heard.history_):
        steps = listener.losses[3 * epoch : 3 * epoch + 3]
        assert np.mean(steps) == pytest.approx(row["train_loss"], rel=1e-5)
    for gradients in listener.gradients:
        reached = {name: grad for name, grad in gradients.items() if "domain" not in name}
        assert all(grad is not None and grad.abs().max() > 0 for grad in reached.values())


class HostReads(TorchDispatchMode):
    """Count the values that the host reads from tensors: each waits for the device."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += "_local_scalar_dense" in str(function)
        return function(*args, **(kwargs or {}))


@every_adversary
@pytest.mark.parametrize("lambda_max", [0.0, 2.0])
def test_steps_do_not_wait_for_the_device(adversarial, lambda_max, make, several):
    rows, given = several
    counts = []
    for batch_size in (40, 4):
        with HostReads() as reads:
            clf = make(adversarial, lambda_max=lambda_max, batch_size=batch_size, max_epochs=1)
            clf.fit(*rows, **given)
        counts.append(reads.count)
    assert counts[0] == counts[1] > 0


@every_adversary
def test_the_report(adversarial, make, domains):
    clf = make(adversarial, max_epochs=4).fit(*domains[:3])
    report = clf.diagnose(domains.X_source, domains.X_target, y_source=domains.y_source)
    assert report.lambda_ == 2.0
    assert report.label_loss == pytest.approx(clf.history_[-1]["label_loss"])
    assert np.isnan(report.domain_accuracy) == ("domain_accuracy" not in clf.history_[-1])
    assert "lambda" in str(report)


@every_adversary
def test_the_training_curves(adversarial, make, domains):
    pytest.importorskip("matplotlib").use("agg")
    from matplotlib import pyplot

    from skdann.inspection import TrainingCurveDisplay

    clf = make(adversarial).fit(*domains[:3])
    display = TrainingCurveDisplay.from_estimator(clf)
    recorded = {"label_loss", "domain_loss", "domain_accuracy", "lambda"} & clf.history_[0].keys()
    assert display.lines_.keys() == recorded
    for name, line in display.lines_.items():
        assert_array_equal(line.get_ydata(), [row[name] for row in clf.history_])
    pyplot.close(display.figure_)


@pytest.mark.parametrize("adversarial", WITHOUT_CLASSIFIER)
def test_onnx(adversarial, make, domains, tmp_path):
    """As if there were target rows, and no domain classifier."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    clf = make(adversarial).fit(*domains[:3])
    clf.to_onnx(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (proba,) = session.run(["probabilities"], {"X": domains.X_target.astype(np.float32)})
    assert_allclose(proba, clf.predict_proba(domains.X_target), atol=1e-5)


@every_adversary
def test_the_domain_classifier(adversarial, make, domains):
    """Whether there is one, whether it predicts, and whether its accuracy is recorded, agree."""
    clf = make(adversarial).fit(*domains[:3])
    has_classifier = ADVERSARIES[adversarial].has_classifier
    assert (clf.module_.domain_classifier is not None) == has_classifier
    if has_classifier:
        proba = clf.predict_domain_proba(domains.X_target)
        assert_allclose(proba.sum(1), 1.0)
        return
    assert "domain_accuracy" not in clf.history_[0]
    assert not any("domain_classifier" in name for name in clf.module_.state_dict())
    with pytest.raises(ValueError, match=rf"no domain classifier.*adversarial='{adversarial}'"):
        clf.predict_domain_proba(domains.X_target)


def first_activation(inplace):
    """Make the factory of a network that begins with an activation."""

    def build(n_in, n_out=6):
        return nn.Sequential(nn.LeakyReLU(0.5, inplace=inplace), nn.Linear(n_in, n_out))

    return build


@every_adversary
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"lambda_max": 0.0},
        {"conditioning": "cdan"},
        {"conditioning": "cdan", "lambda_max": 0.0},
        {"normalization": "domain_batch", "feature_extractor": (8, 8)},
        {"normalization": "domain_batch", "feature_extractor": (8, 8), "lambda_max": 0.0},
    ],
    ids=str,
)
def test_a_network_that_works_in_place(
    adversarial, network, changed, make, domains, assert_same_fit
):
    fits = [
        make(adversarial, activation="tanh", **{**changed, network: first_activation(inplace)}).fit(
            *domains[:3]
        )
        for inplace in (True, False)
    ]
    assert_same_fit(*fits)
    if fits[0].module_.domain_classifier is not None:
        proba = [clf.predict_domain_proba(domains.X_target) for clf in fits]
        assert_array_equal(*proba)
