"""Every adversary passes one table of tests; each loss equals its equation, worked out apart.

A new adversary enters the table by its line in `ADVERSARIES`.
"""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from skdann import DANNClassifier, DANNClassifierCV, SourceOnlyWarning
from skdann._input.domains import check_domains
from skdann._training.analytic import AnalyticGradients
from skdann._training.batches import Batch
from skdann._training.fitting import new_net, prepare
from skdann._training.losses import domain_loss
from skdann._training.objective import ADVERSARIES
from skdann._training.objective.alternating import Alternating
from skdann._training.objective.coral import DeepCoral, moments
from skdann._training.objective.non_saturating import NonSaturating, inverted_domain_loss
from skdann._training.objective.reversal import Reversal
from skdann._training.params import DataShape, training_params
from skdann._training.record import EpochSums
from skdann._training.step import Step
from skdann.nn import DANNModule, Rows
from skdann.nn._members import MemberLinear, RowsSequential

NAMES = sorted(ADVERSARIES)
CLOSED = [name for name in NAMES if ADVERSARIES[name].has_closed_form]
WITH_CLASSIFIER = [name for name in NAMES if ADVERSARIES[name].has_classifier]
WITHOUT_CLASSIFIER = [name for name in NAMES if not ADVERSARIES[name].has_classifier]

every_adversary = pytest.mark.parametrize("adversarial", NAMES)


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


@pytest.fixture
def make(make_clf):
    """Make a small classifier with strong adaptation from the first step on."""

    def make(adversarial, **params):
        strong = {"lambda_max": 2.0, "lambda_schedule": "constant", "lr": 0.01}
        return make_clf(adversarial=adversarial, **{**strong, **params})

    return make


@pytest.fixture
def several(domains):
    """Two sources and two targets, with sample weights."""
    rng = np.random.default_rng(5)
    targets = (domains.X_target, 2.0 * domains.X_target[:23] - 1.0)
    weight, domain = rng.uniform(0.2, 2.0, 40), np.arange(40) % 2
    args = (domains.X_source, domains.y_source, targets)
    return args, {"sample_weight": weight, "sample_domain": domain}


def weights_of(clf, *networks):
    """Copies of all weights and buffers, or of those of some networks."""
    state = clf.module_.state_dict()
    return {name: v.clone() for name, v in state.items() if name.startswith(networks or ("",))}


def assert_equal_weights(actual, other):
    assert actual.keys() == other.keys()
    for name, value in actual.items():
        assert torch.equal(value, other[name]), f"{name} differs"


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
    search = DANNClassifierCV(make(adversarial), lambdas=(0.5, 2.0), n_seeds=2, random_state=0)
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


@pytest.mark.parametrize("adversarial", WITH_CLASSIFIER)
@pytest.mark.parametrize(
    "changed",
    [{}, {"lambda_max": 0.0}, {"normalization": "domain_batch", "lambda_max": 0.0}],
    ids=str,
)
def test_a_domain_classifier_that_works_in_place(
    adversarial, changed, make, domains, assert_same_fit
):
    def classifier(inplace):
        def build(n_in, n_out):
            return nn.Sequential(nn.LeakyReLU(0.5, inplace=inplace), nn.Linear(n_in, n_out))

        return build

    fits = [
        make(adversarial, activation="tanh", domain_classifier=classifier(inplace), **changed).fit(
            *domains[:3]
        )
        for inplace in (True, False)
    ]
    assert_same_fit(*fits)


# -- closed form and record -----------------------------------------------------------------------

KINDS_OF_ROWS = ["one member", "three members", "several domains", "three members, several domains"]


@pytest.fixture
def make_net(make, domains, several):
    """Make a net in training mode, and the batches of an epoch."""

    def make_net(adversarial, kind="one member", *, lambdas=None, **params):
        rows, given = several if "several" in kind else (domains[:3], {})
        data = check_domains(*rows, **given)
        estimator = make(adversarial, activation="tanh", dropout=0.0, **params)
        n_members = 3 if "three" in kind else 1
        lambdas = lambdas or [0.7, 2.0, 0.1][:n_members]
        fit_data = prepare(estimator, data)
        if n_members > 1:  # members train on different rows
            train = [np.roll(np.arange(40), 9 * index)[:32] for index in range(n_members)]
            fit_data = fit_data._replace(train=np.stack(train))
        net = new_net(
            estimator,
            DataShape.of(data),
            range(n_members),
            lambdas=lambdas,
            scalings=[None] * n_members,
        )
        net.module_.train()
        return net, list(net._batches(fit_data).epoch())

    return make_net


def new_adversary(net):
    return ADVERSARIES[net.training.adversarial](net.module_, net.training)


def new_step(net, **changed):
    how = {"has_targets": True, "is_adversarial": True, "keeps_domains_apart": False, **changed}
    return Step(net.module_, net.optimizer_, new_adversary(net), **how)


def gradients_of(net):
    return {name: p.grad.clone() for name, p in net.module_.named_parameters()}


def assert_close_gradients(actual, expected):
    assert actual.keys() == expected.keys()
    for name, grad in actual.items():
        assert expected[name].abs().max() > 1e-5, name
        assert_allclose(grad, expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


WEIGHTS = [
    {},
    {"domain_loss_weight": 3.0, "label_smoothing": 0.1, "domain_label_smoothing": 0.2},
]


@pytest.mark.parametrize("adversarial", CLOSED)
@pytest.mark.parametrize("kind", KINDS_OF_ROWS)
@pytest.mark.parametrize("params", WEIGHTS, ids=str)
def test_the_closed_form_equals_autograd(adversarial, kind, params, make_net):
    """Every gradient of a step; lambda is a tensor if there are several members."""
    net, batches = make_net(adversarial, kind, **params)
    lambda_ = net.lambda_at(1.0)
    assert isinstance(lambda_, torch.Tensor) == ("three" in kind)
    step = new_step(net)
    assert step.analytic is not None
    for batch in batches:
        logits, kept = step.analytic.write(batch, lambda_)
        actual = gradients_of(net)
        _, outputs = step._differentiate(batch, lambda_)
        assert_close_gradients(actual, gradients_of(net))
        assert_allclose(logits.squeeze(0), outputs.logits.detach(), atol=1e-6)
        for tensor, other in zip(kept, outputs.domain, strict=True):
            assert_allclose(tensor.squeeze(0), other.squeeze(0), rtol=1e-5, atol=1e-6)


@every_adversary
@pytest.mark.parametrize("kind", KINDS_OF_ROWS)
@pytest.mark.parametrize("params", WEIGHTS, ids=str)
def test_the_closed_form_of_the_source_only_step_equals_autograd(
    adversarial, kind, params, make_net
):
    net, batches = make_net(adversarial, kind, **params)
    step = new_step(net, is_adversarial=False)
    for batch in batches:
        _, kept = step.analytic.write_source_only(batch, has_targets=True)
        actual = gradients_of(net)
        _, outputs = step._differentiate(batch, 0.0)
        assert_close_gradients(actual, gradients_of(net))
        for tensor, other in zip(kept, outputs.domain, strict=True):
            assert_allclose(tensor.squeeze(0), other.squeeze(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("adversarial", CLOSED)
def test_one_member_takes_lambda_as_a_tensor_too(adversarial, make_net):
    net, batches = make_net(adversarial)
    step, both = new_step(net), []
    for lambda_ in (0.7, torch.full((1, 1, 1), 0.7)):
        step.analytic.write(batches[0], lambda_)
        both.append(gradients_of(net))
    assert_equal_weights(*both)


@every_adversary
@pytest.mark.parametrize("kind", KINDS_OF_ROWS)
def test_autograd_takes_lambda_as_a_tensor_too(adversarial, kind, make_net):
    """Equal lambdas of all members, as a number and as a tensor, give equal gradients."""
    both = []
    for is_tensor in (False, True):
        net, batches = make_net(adversarial, kind, optimizer="sgd")
        lambda_ = torch.full((net.n_members, 1, 1), 0.7) if is_tensor else 0.7
        new_step(net)._differentiate(batches[0], lambda_)
        both.append({n: p.grad for n, p in net.module_.named_parameters() if p.grad is not None})
    assert both[0].keys() == both[1].keys()
    assert any("feature_extractor" in name for name in both[0])
    for name, grad in both[0].items():
        assert_allclose(both[1][name], grad, rtol=1e-5, atol=1e-7, err_msg=name)


@every_adversary
@pytest.mark.parametrize("kind", KINDS_OF_ROWS)
@pytest.mark.parametrize("is_adversarial", [True, False])
@pytest.mark.parametrize("uses_closed_form", [True, False])
def test_the_record_of_joined_steps_is_the_mean_over_the_steps(
    adversarial, kind, is_adversarial, uses_closed_form, make_net
):
    # 7 rows of 40 or 32: the steps of an epoch differ by a row
    net, batches = make_net(adversarial, kind, batch_size=7, domain_label_smoothing=0.1)
    assert len({batch.y.shape[-1] for batch in batches}) == 2
    step = new_step(net, is_adversarial=is_adversarial)
    if not uses_closed_form:
        step.analytic = None
    outputs = [step.take(batch, net.lambda_at(1.0)) for batch in batches]
    joined = EpochSums(new_adversary(net), 0.0, 1.0)
    for output in outputs:
        joined.add(output)
    alone, n_rows = [], [batch.domain_weight.shape[-1] for batch in batches]
    for output in outputs:
        sums = EpochSums(new_adversary(net), 0.0, 1.0)
        sums.add(output)
        alone.append(sums.means())
    assert joined.means().keys() == alone[0].keys() >= {"label_loss", "domain_loss"}
    for name, value in joined.means().items():
        share = n_rows if name == "domain_accuracy" else None
        expected = np.average([means[name] for means in alone], axis=0, weights=share)
        assert np.shape(value) == (() if net.n_members == 1 else (3,))
        assert_allclose(value, expected, rtol=1e-5, atol=1e-7, err_msg=name)


@every_adversary
@pytest.mark.parametrize("conditioning", [None, "cdan"])
def test_the_domain_loss_is_recorded_as_it_is_before_the_step(adversarial, conditioning, make_net):
    """Of what :meth:`DANNModule.condition` leaves of the features, and without lambda."""
    net, (batch, *_) = make_net(adversarial, conditioning=conditioning, optimizer="sgd")
    adversary, module = new_adversary(net), net.module_
    features = module.extract_features(batch.x, batch.rows)
    seen = module.condition(features, batch.rows)
    assert seen.shape[-1] == (16 if conditioning else 8)
    _, at_rest = adversary.loss_at_rest(seen.detach(), batch)
    adversary.begin(features, batch, net.optimizer_)
    _, kept = adversary.loss(features, batch, 0.7)
    actual, other = (adversary.totals(*tensors, n_steps=1) for tensors in (kept, at_rest))
    assert actual.keys() == other.keys()
    for name, (value, _) in actual.items():
        assert value.item() == pytest.approx(other[name][0].item(), rel=1e-5)
    assert actual["domain_loss"][0] > 1e-6


# -- gradient reversal ----------------------------------------------------------------------------


def plain_module(n_out, n_members=1, *, has_classifier=True):
    """G_f, G_y and G_d as single layers; G_f leaves 3 columns as 4 features."""
    torch.manual_seed(0)
    layers = [MemberLinear(3, 4, n_members), MemberLinear(4, 2, n_members)]
    layers += [MemberLinear(4, n_out, n_members)] if has_classifier else []
    networks = [RowsSequential(layer) for layer in layers] + [None] * (not has_classifier)
    return DANNModule(*networks).train()


def plain_batch(n_domains=2, n_members=1):
    """Five source and four target rows."""
    rng = np.random.default_rng(3)
    shape = () if n_members == 1 else (n_members,)
    x = torch.from_numpy(rng.normal(size=(*shape, 9, 3)).astype(np.float32))
    domain = torch.tensor([0, 0, 0, 0, 0, 1, 1, 1, 1])
    if n_domains > 2:
        domain = torch.tensor([0, 1, 0, 1, 0, 2, 2, 3, 3])[..., :9].clamp(max=n_domains - 1)
    weight = torch.from_numpy(rng.uniform(0.1, 0.3, size=(*shape, 9)).astype(np.float32))
    y = torch.zeros(*shape, 5, dtype=torch.int64)
    return Batch(x, y, weight[..., :5], Rows(5, domain), weight)


def params_of(adversarial, **changed):
    return training_params(DANNClassifier(adversarial=adversarial, **changed))


LAMBDAS = {1: 0.7, 3: torch.tensor([0.7, 2.0, 0.0]).view(3, 1, 1)}


def features_of(module, batch):
    return module.extract_features(batch.x, batch.rows).detach().requires_grad_()


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("n_domains", [2, 4])
@pytest.mark.parametrize("path", ["autograd", "closed form"])
def test_reversal_gives_the_features_minus_lambda_times_the_gradient(n_members, n_domains, path):
    module = plain_module(1 if n_domains == 2 else n_domains, n_members)
    batch = plain_batch(n_domains, n_members)
    adversary = Reversal(module, params_of("grl", domain_label_smoothing=0.1))
    features = features_of(module, batch)
    plain = domain_loss(
        module.classify_domains(features), batch.domain, batch.domain_weight, 0.1
    ).sum()
    (expected,) = torch.autograd.grad(plain, features)
    if path == "autograd":
        loss, _ = adversary.loss(features, batch, LAMBDAS[n_members])
        assert_allclose(loss.sum().item(), plain.item(), rtol=1e-6)
        (actual,) = torch.autograd.grad(loss.sum(), features)
    else:
        chain = AnalyticGradients.of(module, adversary).classifier
        rows = features.detach().view(n_members, 9, 4)
        with torch.no_grad():
            actual, _ = adversary.write_gradients(chain, rows, batch, LAMBDAS[n_members])
    assert expected.abs().max() > 1e-3
    assert_allclose(actual.view_as(expected), -LAMBDAS[n_members] * expected, rtol=1e-4, atol=1e-7)


# -- alternating steps and inverted domain labels --------------------------------------------------


def reference_inverted_loss(logits, domain, weight):
    """The sum of -log(1 - p) from the softmax or the sigmoid, in float64."""
    logits = np.asarray(logits, dtype=np.float64)
    if logits.shape[-1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], -1)
    proba = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    p = np.take_along_axis(proba, np.asarray(domain)[:, None], -1)[:, 0]
    return -(np.asarray(weight, dtype=np.float64) * np.log1p(-p)).sum()


@pytest.mark.parametrize("n_columns", [1, 2, 3, 5])
def test_inverted_loss_equals_its_equation(n_columns):
    rng = np.random.default_rng(n_columns)
    logits = torch.from_numpy(3.0 * rng.normal(size=(30, n_columns)).astype(np.float32))
    domain = torch.from_numpy(rng.integers(max(2, n_columns), size=30))
    weight = torch.from_numpy(rng.random(30).astype(np.float32))
    expected = reference_inverted_loss(logits, domain, weight)
    assert inverted_domain_loss(logits, domain, weight).item() == pytest.approx(expected, rel=1e-5)
    members = torch.stack([logits, -logits, 2.0 * logits])
    losses = inverted_domain_loss(members, domain, weight.expand(3, 30))
    for loss, member in zip(losses, members, strict=True):
        expected = reference_inverted_loss(member, domain, weight)
        assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("n_columns", [1, 2])
def test_inverted_loss_of_two_domains_exchanges_their_labels(n_columns):
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(20, n_columns)))
    domain, weight = torch.arange(20) % 2, torch.from_numpy(rng.random(20))
    actual = inverted_domain_loss(logits, domain, weight)
    assert_allclose(actual, domain_loss(logits, 1 - domain, weight, 0.0), rtol=1e-12)


def test_inverted_loss_of_three_domains_by_hand():
    logits = torch.tensor([[1.0, 2.0, 5.0]]).log()  # probabilities 1/8, 2/8, 5/8
    one = torch.ones(1)
    for domain, other in enumerate([7 / 8, 6 / 8, 3 / 8]):
        loss = inverted_domain_loss(logits, torch.tensor([domain]), one)
        assert loss.item() == pytest.approx(-math.log(other), rel=1e-6)


@pytest.mark.parametrize("n_columns", [1, 2, 3])
@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_inverted_loss_of_huge_logits_is_finite(n_columns, size):
    logits = torch.zeros(2, n_columns)
    logits[:, -1] = size
    logits.requires_grad_()
    domain = torch.tensor([max(1, n_columns - 1), 0])  # where the logit is right, and wrong
    losses = [
        inverted_domain_loss(logits[i : i + 1], domain[i : i + 1], torch.ones(1)) for i in (0, 1)
    ]
    rest = math.log(n_columns - 1) if n_columns > 1 else 0.0
    assert losses[0].item() == pytest.approx(size - rest)
    assert losses[1].item() == pytest.approx(0.0, abs=1e-6)
    (grad,) = torch.autograd.grad(sum(losses), logits)
    assert grad[0, -1].item() == pytest.approx(1.0)  # large where G_d is right with certainty
    assert grad[1].abs().max() < 1e-6


@pytest.mark.parametrize("shift", [0.0, 1000.0])
@pytest.mark.parametrize("logit", [0.5, -20.0])
def test_inverted_loss_keeps_its_precision(shift, logit):
    """Where all logits are large, and where p is small."""
    row = [[0.0, logit, 1.0]]
    loss = inverted_domain_loss(torch.tensor(row) + shift, torch.tensor([1]), torch.ones(1))
    assert loss.item() == pytest.approx(reference_inverted_loss(row, [1], [1.0]), rel=1e-5)


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("n_domains", [2, 4])
@pytest.mark.parametrize(
    ("cls", "sign", "loss_of"),
    [
        (Alternating, -1.0, lambda *given: domain_loss(*given, 0.0)),
        (NonSaturating, 1.0, inverted_domain_loss),
    ],
)
def test_gradient_of_the_features_against_the_updated_domain_classifier(
    cls, sign, loss_of, n_members, n_domains
):
    """Minus lambda times that of the domain loss, or lambda times that of the inverted loss."""
    module = plain_module(1 if n_domains == 2 else n_domains, n_members)
    batch = plain_batch(n_domains, n_members)
    adversary = cls(module, params_of("grl"))
    features, before = features_of(module, batch), module.domain_classifier[0].weight.clone()
    adversary.begin(features, batch, torch.optim.SGD(module.parameters(), lr=0.5))
    assert (module.domain_classifier[0].weight - before).abs().max() > 1e-3
    loss, _ = adversary.loss(features, batch, LAMBDAS[n_members])
    (actual,) = torch.autograd.grad(loss.sum(), features)
    logits = module.classify_domains(features)
    plain = loss_of(logits, batch.domain, batch.domain_weight).sum()
    (expected,) = torch.autograd.grad(plain, features)
    assert expected.abs().max() > 1e-3
    assert_allclose(actual, sign * LAMBDAS[n_members] * expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("domain_steps", [1, 3])
def test_non_saturating_trains_the_domain_classifier_as_alternating_does(
    domain_steps, make, domains
):
    """In one step, of which the features come from equal weights; G_f then moves elsewhere."""
    fits = [
        make(name, domain_steps=domain_steps, batch_size=40, max_epochs=1).fit(*domains[:3])
        for name in ("non_saturating", "alternating")
    ]
    weights, other = map(weights_of, fits)
    assert fits[0].history_[0]["domain_loss"] == fits[1].history_[0]["domain_loss"]
    for name, value in weights.items():
        is_alike = name.startswith(("domain_classifier", "label_predictor"))
        assert torch.equal(value, other[name]) == is_alike, name


def test_non_saturating_does_not_vanish_where_the_domain_classifier_is_certain():
    """The gradient of the reversed loss does."""
    module = plain_module(1)
    batch = plain_batch()
    features = torch.zeros(9, 4)
    features[:5, 0], features[5:, 0] = -100.0, 100.0
    with torch.no_grad():
        module.domain_classifier[0].weight.zero_()[0, 0, 0] = 1.0
    largest = {}
    for name, cls in (("grl", Reversal), ("non_saturating", NonSaturating)):
        adversary, inputs = cls(module, params_of(name)), features.clone().requires_grad_()
        adversary.begin(inputs, batch, torch.optim.SGD(module.parameters(), lr=0.0))
        loss, _ = adversary.loss(inputs, batch, 1.0)
        largest[name] = torch.autograd.grad(loss, inputs)[0].abs().max().item()
    assert largest["grl"] < 1e-6
    assert largest["non_saturating"] == pytest.approx(batch.domain_weight.max().item(), rel=1e-5)


# -- deep CORAL -----------------------------------------------------------------------------------


def coral_loss(features, batch, lambda_=1.0):
    module = plain_module(1, has_classifier=False)
    loss, _ = DeepCoral(module, params_of("coral")).loss(features, batch, lambda_)
    return loss


def equal_weights(batch):
    return batch._replace(domain_weight=torch.tensor([1 / 5] * 5 + [1 / 4] * 4))


def test_coral_equals_its_equation_for_equal_weights():
    batch = equal_weights(plain_batch())
    features = batch.x.double()
    difference = np.cov(features[:5].T) - np.cov(features[5:].T)
    expected = (difference**2).sum() / (4 * 3**2)
    assert coral_loss(features, batch).item() == pytest.approx(expected, rel=1e-6)
    assert coral_loss(features, batch, 0.7).item() == pytest.approx(0.7 * expected, rel=1e-6)


def test_coral_equals_its_equation_for_unequal_weights():
    batch = plain_batch()
    features, weight = batch.x.double(), batch.domain_weight.double().numpy()
    source = np.cov(features[:5].T, aweights=weight[:5])
    target = np.cov(features[5:].T, aweights=weight[5:])
    expected = ((source - target) ** 2).sum() / (4 * 3**2)
    assert coral_loss(features, batch).item() == pytest.approx(expected, rel=1e-5)


def test_weighted_moments_by_hand():
    # mean 0.5; (0.75 * 0.5^2 + 0.25 * 1.5^2) / (1 - 0.75^2 - 0.25^2) = 0.75 / 0.375
    result = moments(torch.tensor([[0.0], [2.0]]), torch.tensor([3.0, 1.0]))
    assert result.covariance.item() == pytest.approx(2.0)
    # equal weights, whatever their sum: the unbiased covariance
    rows = torch.tensor([[1.0, 0.0], [3.0, 1.0], [2.0, 5.0]])
    for weight in (torch.ones(3), torch.full((3,), 0.1)):
        assert_allclose(moments(rows, weight).covariance, np.cov(rows.T), rtol=1e-6)


def test_moments_of_a_single_row_and_of_no_weight_are_zero():
    row = torch.tensor([[3.0, -1e4]])
    assert torch.equal(moments(row, torch.ones(1)).covariance, torch.zeros(2, 2))
    # the same row drawn several times: up to rounding
    repeated = moments(row.expand(4, 2), torch.full((4,), 0.25)).covariance
    assert_allclose(repeated, np.zeros((2, 2)), atol=1e-2)
    assert torch.equal(moments(row.expand(4, 2), torch.zeros(4)).covariance, torch.zeros(2, 2))


def test_coral_passes_gradcheck():
    batch = plain_batch()
    batch = batch._replace(domain_weight=batch.domain_weight.double())
    for n_source in (5, 1, 8):  # also one source row, and one target row
        rows = batch._replace(rows=Rows(n_source, batch.domain))
        features = batch.x.double().requires_grad_()
        assert torch.autograd.gradcheck(lambda x, rows=rows: coral_loss(x, rows), features)


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("n_source", [5, 1, 8])
def test_the_closed_form_of_coral_equals_autograd(n_members, n_source):
    """In float64, also for one row of a domain."""
    module = plain_module(1, n_members, has_classifier=False)
    adversary = DeepCoral(module, params_of("coral", domain_loss_weight=0.5))
    batch = plain_batch(n_members=n_members)
    batch = batch._replace(
        domain_weight=batch.domain_weight.double(), rows=Rows(n_source, batch.domain)
    )
    shape = (n_members, 9, 3)
    features = batch.x.double().view(shape).clone().requires_grad_()
    loss, kept = adversary.loss(features, batch, LAMBDAS[n_members])
    (expected,) = torch.autograd.grad(0.5 * loss.sum(), features)
    with torch.no_grad():
        actual, other = adversary.write_gradients(None, features, batch, LAMBDAS[n_members])
    assert expected.abs().max() > 1e-4
    assert_allclose(actual, expected, rtol=1e-6, atol=1e-12)
    assert_allclose(kept[0].detach(), other[0], rtol=1e-12)


def test_coral_learns_nothing_from_single_rows(make, domains):
    """A batch with one row of each domain has no covariances: it is the source-only step."""
    params = {"dropout": 0.0, "batch_size": 1, "activation": "tanh", "optimizer": "sgd"}
    adapted, alone = (
        make("coral", lambda_max=value, **params).fit(*domains[:3]) for value in (2.0, 0.0)
    )
    for name, value in weights_of(adapted).items():
        assert_allclose(value, weights_of(alone)[name], rtol=1e-4, atol=1e-5, err_msg=name)
    assert adapted.history_[0]["domain_loss"] == 0.0


def test_coral_with_equal_target_rows(make, domains):
    clf = make("coral").fit(domains.X_source, domains.y_source, domains.X_target[[0, 0]])
    assert np.isfinite(clf.predict_proba(domains.X_target)).all()
    assert clf.history_[0]["domain_loss"] > 0.0


def test_coral_survives_weights_that_round_to_zero(make, domains):
    weight = np.where(np.arange(40) < 38, 1e-60, 1.0)  # some batches hold none of weight 1
    clf = make("coral", batch_size=4).fit(*domains[:3], sample_weight=weight)
    assert np.isfinite(clf.predict_proba(domains.X_target)).all()


def test_coral_builds_no_domain_classifier(make, domains):
    """Not even where one is given."""

    def refuse(*widths):
        pytest.fail("a domain classifier was built")

    clf = make("coral", domain_classifier=refuse).fit(*domains[:3])
    assert clf.module_.domain_classifier is None
