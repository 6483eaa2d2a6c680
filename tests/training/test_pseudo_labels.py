"""Pseudo-labels: which rows they draw and label, when they are computed, and what they achieve."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from skorch.callbacks import Callback, EpochScoring

from skdann import DANNClassifier, DivergenceError
from skdann._input.domains import check_domains
from skdann._training import pseudo_labels as _pseudo_labels
from skdann._training.fitting import measure_columns, new_net, prepare
from skdann._training.params import DataShape
from skdann._training.pseudo_labels import (
    KINDS,
    PseudoLabels,
    balance_source,
    balance_target,
    label_surest,
)
from skdann.nn import Rows
from tests.saving.common import read, write
from tests.training.common import Interrupt, Stop, Weights, assert_same_net, assert_weights, domains

every_kind = pytest.mark.parametrize("kind", sorted(KINDS))


def one_hot(labels, n_classes):
    return np.eye(n_classes)[labels]


# -- label_surest ---------------------------------------------------------------------------------


def test_the_surest_half_of_each_predicted_class_is_labelled():
    proba = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.3, 0.7], [0.45, 0.55]])
    weight, label = label_surest(proba)
    assert_array_equal(label, [0, 0, 0, 1, 1])
    assert_array_equal(weight, [1, 0, 1, 1, 0])  # two of three, one of two


def test_equally_sure_rows_are_labelled_in_their_order():
    weight, label = label_surest(np.full((5, 3), 1 / 3))
    assert_array_equal(weight, [1, 1, 1, 0, 0])
    assert_array_equal(label, np.zeros(5))


@pytest.mark.parametrize("n_classes", [2, 5])
def test_one_target_row_is_labelled(n_classes):
    proba = np.full((1, n_classes), 0.5 / (n_classes - 1))
    proba[0, 1] = 0.5
    weight, label = label_surest(proba)
    assert (weight.tolist(), label.tolist()) == ([1.0], [0 if n_classes == 2 else 1])


# -- balance_target -------------------------------------------------------------------------------


def test_target_weights_by_hand():
    proba = np.array([[0.9, 0.1], [0.5, 0.5]])  # shares .7 and .3
    expected = [(0.9 / 0.7 + 0.1 / 0.3) / 2, (0.5 / 0.7 + 0.5 / 0.3) / 2]
    weight, label = balance_target(proba)
    assert_allclose(weight, expected)
    assert weight.mean() == pytest.approx(1.0)
    assert label is None


def test_predicted_classes_get_equal_shares():
    label = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    weight = balance_target(one_hot(label, 3)).weight
    assert_allclose(np.bincount(label, weights=weight) / weight.sum(), 1 / 3)


def test_a_weight_is_at_most_five():
    label = np.append(np.zeros(19, int), 1)  # 1 / .05 / 2 = 10 without the limit
    weight = balance_target(one_hot(label, 2)).weight
    assert_allclose(weight, [*[1 / 0.95 / 2] * 19, 5.0])


def test_a_share_is_at_least_a_fiftieth():
    label = np.append(np.zeros(99, int), 1)  # a share of .01
    weight = balance_target(one_hot(label, 20)).weight
    assert_allclose(weight, [*[1 / 0.99 / 20] * 99, 1 / 0.02 / 20])


@pytest.mark.parametrize(
    "proba",
    [one_hot(np.ones(4, int), 3), np.array([[0.2, 0.3, 0.5]]), one_hot(np.array([2, 0]), 5)],
    ids=["one class predicted", "one row", "fewer rows than classes"],
)
def test_classes_that_vanish_leave_weights_that_can_be_drawn(proba):
    weight = balance_target(proba).weight
    assert ((weight > 0) & (weight <= 5)).all()
    assert_allclose(weight, weight[0])


# -- balance_source -------------------------------------------------------------------------------


def test_source_weights_by_hand():
    y, domain = np.array([0, 0, 0, 1]), np.zeros(4, int)
    assert_allclose(balance_source(y, domain, np.ones(4)), [2 / 3, 2 / 3, 2 / 3, 2])
    # with these sample weights, the classes have equal shares already
    assert_allclose(balance_source(y, domain, np.array([1.0, 1.0, 2.0, 4.0])), 1.0)


def test_classes_of_each_source_get_equal_shares():
    y, domain = np.array([0, 0, 0, 1, 0, 1, 1]), np.array([0, 0, 0, 0, 1, 1, 1])
    weight = balance_source(y, domain, np.ones(7))
    for each in (0, 1):
        rows = domain == each
        assert weight[rows].sum() == pytest.approx(rows.sum())
        assert_allclose(np.bincount(y[rows], weights=weight[rows]), rows.sum() / 2)


def test_a_class_of_the_source_counts_as_a_fiftieth_at_least():
    weight = balance_source(np.append(np.zeros(99, int), 1), np.zeros(100, int), np.ones(100))
    assert weight[-1] / weight[0] == pytest.approx((1 / 0.02) / (1 / 0.99))


def test_a_single_class_is_not_weighted():
    assert_allclose(balance_source(np.full(3, 2), np.zeros(3, int), np.arange(1.0, 4.0)), 1.0)


# -- the update of a net --------------------------------------------------------------------------


class Teacher:
    """Trained net whose predictions are a function of the first column."""

    n_members = 1

    def __init__(self, factor=1.0):
        self.factor = factor

    def proba(self, X):
        X = X.toarray() if sp.issparse(X) else X
        score = self.factor * X[:, 0].astype(np.float64)
        return softmax(np.stack([np.zeros(len(score)), score], 1), 1)

    def infer_blocks(self, X, domain, what):
        assert what == "labels"
        for start in range(0, X.shape[0], 7):
            yield np.log(self.proba(X[start : start + 7]))


class Case:
    """Net, rows, batches and pseudo-labels before training."""

    def __init__(
        self,
        kinds,
        teachers=(),
        *,
        n_source=30,
        is_sparse=False,
        is_chunk=False,
        trains=None,
        standardize="domain",
    ):
        rng = np.random.default_rng(0)
        X = rng.normal(size=(n_source, 4)).astype(np.float32)
        y, domain = (np.arange(n_source) % 5 < 2).astype(int), np.arange(n_source) % 2
        targets = tuple(rng.normal(size=(n, 4)).astype(np.float32) + n / 10 for n in (14, 9))
        if is_sparse:
            X, targets = sp.csr_array(X), tuple(map(sp.csr_array, targets))
        self.data = check_domains(X, y, targets, sample_domain=domain, sample_weight=1.0 + y)
        self.train = np.arange(n_source - 1) if trains is None else trains
        estimator = DANNClassifier(feature_extractor=(5,), max_epochs=6, random_state=0)
        scalings = [standardize] * len(kinds)
        self.fit_data = prepare(estimator, self.data)._replace(
            train=self.train, teachers=tuple(teachers)
        )
        self.net = new_net(
            estimator,
            DataShape.of(self.data),
            range(len(kinds)),
            lambdas=[0.3] * len(kinds),
            scalings=scalings,
            pseudo_labels=kinds,
        )
        measure_columns(self.net, self.fit_data)
        if standardize:
            self.before = self.net.module_.standardizer.mean.clone()
        self.batches = self.net._batches(self.fit_data)
        self.labels = PseudoLabels(self.net, self.fit_data, self.batches, is_chunk=is_chunk)

    def rows_of(self, domain):
        X = self.data.X[np.flatnonzero(self.data.domain == domain)]
        return X.toarray() if sp.issparse(X) else X

    def weights_of(self, member, target):
        weight = self.batches.targets[member][target].weight
        return weight if weight is None else weight.numpy()


def test_pseudo_labels_start_from_the_mean_of_the_teachers():
    teachers = Teacher(1.0), Teacher(-3.0)
    case = Case(["train", None, "balance"], teachers)
    case.labels.update_if_due(0, 6)
    for target in (0, 1):
        X = case.rows_of(2 + target)
        proba = (teachers[0].proba(X) + teachers[1].proba(X)) / 2
        weight, label = label_surest(proba)
        assert_array_equal(case.weights_of(0, target), weight)
        rows = case.data.domain == 2 + target
        assert_array_equal(case.batches.labels[0, rows], label)
        assert (case.batches.labels[1:, rows] == -1).all()
        assert case.weights_of(1, target) is None
        assert_allclose(case.weights_of(2, target), balance_target(proba).weight)


@pytest.mark.parametrize("is_sparse", [False, True])
def test_balanced_members_draw_and_scale_by_class(is_sparse):
    trains = np.stack([np.arange(24), np.arange(6, 30)])
    case = Case(["train", "balance"], [Teacher()], is_sparse=is_sparse, trains=trains)
    case.labels.update_if_due(0, 6)
    data, train = case.data, trains[1]
    expected = balance_source(data.y[train], data.domain[train], data.weight[train])
    assert_allclose(case.batches.source_weights[1], expected)
    assert case.batches.source_weights[0] is None
    scaler = case.net.module_.standardizer
    assert torch.equal(scaler.mean[0], case.before[0])
    mass = data.weight[train]
    all_source = data.X[train].toarray() if is_sparse else data.X[train]
    center, spread = moments(all_source, mass)
    drawn_center, drawn_spread = moments(all_source, mass * expected)
    for domain in range(4):
        X = case.rows_of(domain).astype(np.float64)
        if domain < 2:
            weight = (mass * expected)[data.domain[train] == domain]
            X = X[(train % 2 == domain)[: len(train)].nonzero()[0] // 2 + 3]
        else:
            weight = balance_target(Teacher().proba(X)).weight
        mean, std = moments(X, weight)
        assert_allclose(scaler.mean[1, domain], mean, atol=1e-5)
        assert_allclose(scaler.scale[1, domain], drawn_spread / std / spread, rtol=1e-4)
        assert_allclose(scaler.shift[1, domain], (drawn_center - center) / spread, atol=1e-5)


def moments(X, weight):
    """Weighted mean and standard deviation of each column."""
    mean = np.average(X, axis=0, weights=weight)
    return mean, np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weight))


def test_a_chunk_does_not_change_the_scaling():
    case = Case(["balance"], [Teacher()], is_chunk=True)
    case.labels.update_if_due(0, 6)
    assert case.batches.source_weights[0] is not None
    assert torch.equal(case.net.module_.standardizer.mean, case.before)


@pytest.mark.parametrize("standardize", [None, "domain"])
@pytest.mark.parametrize("is_sparse", [False, True])
def test_a_net_predicts_the_rows_of_each_target_as_such(standardize, is_sparse):
    """With domain-wise scaling, predictions of the net depend on the domain."""
    case = Case(["train", "train"], standardize=standardize, is_sparse=is_sparse)
    case.labels.update_if_due(2, 6)
    module = case.net.module_.eval()
    for target in (0, 1):
        X = torch.from_numpy(case.rows_of(2 + target)).expand(2, -1, -1)
        rows = Rows(0, torch.full((X.shape[1],), 2 + target))
        with torch.no_grad():
            logits = module.predict_labels(module.extract_features(X, rows), rows)
        for member in (0, 1):
            weight, label = label_surest(softmax(logits[member].double().numpy(), 1))
            assert_array_equal(case.weights_of(member, target), weight)
            rows_of_target = case.data.domain == 2 + target
            assert_array_equal(case.batches.labels[member, rows_of_target], label)


@every_kind
def test_of_many_target_rows_only_a_sample_is_drawn(kind, monkeypatch):
    monkeypatch.setattr(_pseudo_labels, "MOST_ROWS", 5)
    case = Case([kind], [Teacher()], n_source=5)
    case.labels.update_if_due(0, 6)
    weight = case.weights_of(0, 0)
    assert len(weight) == 14
    rows = _pseudo_labels.draw_rows(14, 5, 0)
    draws = KINDS[kind](Teacher().proba(case.rows_of(2)[rows]))
    assert_allclose(weight[rows], draws.weight)
    assert (np.delete(weight, rows) == 0).all()


# -- when they are computed -----------------------------------------------------------------------


@pytest.fixture
def updates(monkeypatch):
    """Record the number of complete epochs before each update."""
    seen, update = [], PseudoLabels._update

    def record(self, predictions):
        seen.append(self.net.n_epochs_done_)
        update(self, predictions)

    monkeypatch.setattr(PseudoLabels, "_update", record)
    return seen


@every_kind
@pytest.mark.parametrize(
    ("max_epochs", "expected"), [(1, []), (2, [1]), (3, [1, 2]), (6, [2, 4]), (10, [4, 7])]
)
def test_they_are_computed_at_each_third(kind, max_epochs, expected, make_clf, updates):
    X, y, targets = domains()
    make_clf(pseudo_labels=kind, max_epochs=max_epochs).fit(X, y, tuple(targets))
    assert [n for n in updates if n < max_epochs] == expected


@every_kind
def test_each_chunk_after_the_first_third_is_labelled(kind, make_clf, updates):
    X, y, targets = domains()
    clf = make_clf(pseudo_labels=kind, max_epochs=5, standardize="domain")
    tables = []
    for first in range(0, 35, 5):
        rows = slice(first, first + 5)
        clf.partial_fit(X[rows], y[rows], targets[0][rows], classes=[0, 1])
        tables.append(clf.module_.standardizer.mean.clone())
    assert updates == [2, 3, 4, 5, 6]
    assert all(torch.equal(table, tables[0]) for table in tables)
    assert np.isfinite(clf.predict_proba(targets[0])).all()


def test_the_scaling_of_the_first_chunk_stays_with_one_epoch(make_clf):
    X, y, targets = domains()
    clf = make_clf(pseudo_labels="balance", max_epochs=1, standardize="domain")
    clf.partial_fit(X, y, targets[0], classes=[0, 1])
    before = clf.module_.standardizer.mean.clone()
    clf.partial_fit(X[:20], y[:20], targets[0][:20])
    assert torch.equal(clf.module_.standardizer.mean, before)
    assert clf.history_[-1]["lambda"] == pytest.approx(0.3, rel=1e-3)


@pytest.mark.parametrize("max_epochs", [1, 2, 10])
def test_lambda_waits_for_the_first_balanced_epoch(max_epochs, make_clf):
    X, y, targets = domains()
    clf = make_clf(
        pseudo_labels="balance", max_epochs=max_epochs, lambda_schedule="linear", lambda_max=0.8
    ).fit(X, y, tuple(targets))
    first = -(-max_epochs // 3)
    lambdas = np.array([row["lambda"] for row in clf.history_])
    last_step = (np.arange(max_epochs) + 2 / 3) / max_epochs  # of three steps
    start = first / max_epochs
    assert (lambdas[:first] == 0).all()
    if first < max_epochs:
        assert_allclose(lambdas[first:], 0.8 * (last_step[first:] - start) / (1 - start), rtol=1e-6)


def test_lambda_does_not_wait_otherwise(make_clf):
    X, y, targets = domains()
    params = {"max_epochs": 6, "lambda_schedule": "linear"}
    plain, other = (
        make_clf(pseudo_labels=kind, **params).fit(X, y, tuple(targets)) for kind in (None, "train")
    )
    expected = [row["lambda"] for row in plain.history_]
    assert expected[0] > 0
    assert [row["lambda"] for row in other.history_] == expected
    net = Case(["balance", "train"]).net
    net.starts_labelled = False
    waiting = net.lambda_at(0.1)
    assert waiting[0] == 0
    net.starts_labelled = True
    assert net.lambda_at(0.1)[0] == waiting[1] > 0


@pytest.mark.filterwarnings("ignore:The label loss")
@every_kind
def test_early_stopping_compares_epochs_with_pseudo_labels_only(kind, make_clf):
    X, _, targets = domains(n_source=80)
    y = np.random.default_rng(0).integers(2, size=80)  # nothing to learn
    spy = Weights()
    clf = make_clf(
        pseudo_labels=kind,
        lambda_max=0.0,
        lr=2.0,
        lr_schedule=lambda progress: 1.0 if progress >= 1 / 3 else 1e-6,  # then the loss rises
        max_epochs=12,
        early_stopping=True,
        patience=2,
        callbacks=[spy],
    ).fit(X, y, tuple(targets))
    losses = np.array([row["valid_loss"] for row in clf.history_])
    best = 4 + int(losses[4:].argmin())
    assert losses.argmin() < 4 <= best
    assert_weights(clf.module_, spy.epochs_[best], atol=0)


# -- the correction of balanced classes -----------------------------------------------------------


def test_balanced_predictions_are_corrected_to_the_predicted_shares(make_clf):
    X, y, targets = domains(n_targets=(50, 30))
    clf = make_clf(pseudo_labels="balance", max_epochs=6).fit(X, y, tuple(targets))
    rows = np.concatenate(targets)
    domain = np.repeat([1, 2], [50, 30])
    proba = softmax(clf.net_.infer_rows(rows, domain, "labels").astype(float), 1)
    share = (proba.sum(0) + 1) / (80 + 2)
    assert_allclose(clf.target_priors_, share)
    expected = share * proba / (share * proba).sum(1, keepdims=True)
    assert_allclose(clf.predict_proba(rows[:50], sample_domain=-1), expected[:50], rtol=1e-5)
    plain = softmax(clf.net_.infer_rows(X, np.zeros(40, int), "labels").astype(float), 1)
    assert_allclose(clf.predict_proba(X, sample_domain=0), plain, rtol=1e-5)


def test_nothing_is_corrected_before_classes_are_balanced(make_clf):
    X, y, targets = domains()
    clf = make_clf(pseudo_labels="balance", max_epochs=1).fit(X, y, tuple(targets))
    assert not hasattr(clf, "target_priors_")
    clf = make_clf(pseudo_labels="balance", max_epochs=3)
    has_priors = []
    for _ in range(3):
        clf.partial_fit(X, y, tuple(targets), classes=[0, 1])
        has_priors.append(hasattr(clf, "target_priors_"))
    assert has_priors == [False, True, True]


def test_self_training_corrects_nothing(make_clf):
    X, y, targets = domains()
    clf = make_clf(pseudo_labels="train", max_epochs=3).fit(X, y, tuple(targets))
    assert not hasattr(clf, "target_priors_")


# -- fits -----------------------------------------------------------------------------------------


@every_kind
def test_equal_seeds_give_equal_bits_and_labels_change_them(kind, make_clf):
    X, y, targets = domains()
    params = {"max_epochs": 6, "standardize": "domain"}
    clfs = [make_clf(pseudo_labels=kind, **params).fit(X, y, tuple(targets)) for _ in range(2)]
    assert_same_net(*clfs)
    plain = make_clf(**params).fit(X, y, tuple(targets))
    features = clfs[0].transform(targets[0])
    assert np.abs(features - plain.transform(targets[0])).max() > 1e-4


@every_kind
@pytest.mark.filterwarnings("ignore::skdann.SourceOnlyWarning")  # the point of the test
def test_without_target_rows_they_change_nothing(kind, make_clf, assert_same_fit):
    X, y, _ = domains()
    clf = make_clf(pseudo_labels=kind, max_epochs=6, standardize="domain").fit(X, y)
    assert_same_fit(clf, make_clf(max_epochs=6, standardize="domain").fit(X, y))
    assert not hasattr(clf, "target_priors_")


@every_kind
@pytest.mark.parametrize("lambda_max", [0.0, 0.5])
@pytest.mark.parametrize("standardize", [None, "domain"])
def test_sparse_rows_equal_dense_rows(kind, lambda_max, standardize, make_clf):
    X, y, targets = domains()
    X, target = (np.where(np.abs(rows) > 1, rows, 0).astype(np.float32) for rows in (X, targets[0]))
    params = {"pseudo_labels": kind, "lambda_max": lambda_max, "standardize": standardize}
    dense = make_clf(max_epochs=6, **params).fit(X, y, target)
    sparse = make_clf(max_epochs=6, **params).fit(sp.csr_array(X), y, sp.csr_array(target))
    assert_allclose(sparse.predict_proba(target), dense.predict_proba(target), atol=1e-4)


@every_kind
@pytest.mark.parametrize("normalization", ["batch", "layer", "domain_batch"])
@pytest.mark.parametrize("lambda_max", [0.0, 0.5])
def test_normalized_networks(kind, normalization, lambda_max, make_clf):
    X, y, targets = domains(n_targets=(40, 20))
    clf = make_clf(
        pseudo_labels=kind,
        normalization=normalization,
        lambda_max=lambda_max,
        max_epochs=6,
    ).fit(X, y, tuple(targets), sample_domain=np.arange(40) % 2)
    assert np.isfinite(clf.predict_proba(targets[0])).all()
    assert clf.history_[-1]["label_loss"] < clf.history_[0]["label_loss"]


@every_kind
def test_classes_that_are_never_predicted(kind, make_clf):
    """Six classes in the source, a target of two rows: most classes vanish."""
    X, y, targets = domains(n_classes=6, n_targets=(2,))
    clf = make_clf(pseudo_labels=kind, max_epochs=6, standardize="domain").fit(X, y, targets[0])
    assert np.isfinite(clf.predict_proba(targets[0])).all()
    chunk = clf.partial_fit(X[:9], y[:9], targets[0][:1])
    assert np.isfinite(chunk.predict_proba(targets[0])).all()


@every_kind
def test_divergence_is_reported(kind, make_clf):
    X, y, targets = domains()
    clf = make_clf(pseudo_labels=kind, max_epochs=6, optimizer="sgd", lr=1e30)
    with pytest.raises(DivergenceError):
        clf.fit(X, y, tuple(targets))
    assert not hasattr(clf, "net_")


def test_labels_count_half_and_sample_weights_count_among_the_source(make_clf):
    """By hand: the loss of an epoch of one step is half the source's, half the target's."""
    X, y, targets = domains()
    weight = np.random.default_rng(0).uniform(0.5, 2.0, 40)
    spy = Weights()
    clf = make_clf(
        pseudo_labels="train",
        batch_size=40,
        max_epochs=2,
        dropout=0.0,
        lambda_max=0.0,
        callbacks=[spy],
    ).fit(X, y, targets[0], sample_weight=weight)
    module = clf.module_
    module.load_state_dict(spy.epochs_[0])
    source, target = (module(torch.from_numpy(rows)).detach().double() for rows in (X, targets[0]))
    draws = label_surest(target.softmax(1).numpy())
    loss = torch.nn.functional.cross_entropy
    on_source = loss(source, torch.from_numpy(y), reduction="none").numpy()
    on_target = loss(target, torch.from_numpy(draws.label), reduction="none").numpy()
    expected = np.average(on_source, weights=weight) / 2
    # 40 draws from the surest rows in proportion to their weights, rounded up or down
    n_sure, drawn = draws.weight > 0, clf.history_[1]["label_loss"] - expected
    assert drawn == pytest.approx(on_target[n_sure].mean() / 2, abs=0.02)


@every_kind
@pytest.mark.parametrize("epoch", [2, 3, 4])
def test_an_interrupt_keeps_the_last_complete_epoch(kind, epoch, make_clf):
    """The third epoch of six begins with pseudo-labels, and a new scaling."""
    X, y, targets = domains()
    spy = Weights()
    clf = make_clf(
        pseudo_labels=kind,
        standardize="domain",
        max_epochs=6,
        callbacks=[spy, Interrupt(epoch)],
    )
    with pytest.warns(UserWarning, match=f"{epoch - 1} of 6"):
        clf.fit(X, y, tuple(targets))
    assert_weights(clf.module_, spy.epochs_[epoch - 2], atol=0)
    assert hasattr(clf, "target_priors_") == (kind == "balance" and epoch == 4)


@every_kind
@pytest.mark.parametrize("epoch", [1, 2, 3, 4, 5, 6])
def test_a_killed_fit_resumes_bit_identically(kind, epoch, make_clf, tmp_path):
    """At epochs 3 and 5 pseudo-labels are computed again; at 4 and 6 they come from the file."""
    X, y, targets = domains(n_targets=(40, 9))
    params = {"pseudo_labels": kind, "max_epochs": 6, "standardize": "domain"}
    whole = make_clf(**params).fit(X, y, tuple(targets))
    clf = make_clf(**params, checkpoint=tmp_path / "fit", callbacks=[Stop(epoch, MemoryError())])
    with pytest.raises(MemoryError):
        clf.fit(X, y, tuple(targets))
    clf.callbacks[0].epoch = -1
    clf.fit(X, y, tuple(targets))
    assert_same_net(whole, clf)
    assert_array_equal(whole.predict_proba(targets[0]), clf.predict_proba(targets[0]))


@every_kind
def test_warm_start_obeys_a_changed_kind(kind, make_clf, updates):
    X, y, targets = domains()
    clf = make_clf(warm_start=True, max_epochs=3).fit(X, y, tuple(targets))
    assert updates == []
    clf.set_params(pseudo_labels=kind).fit(X, y, tuple(targets))
    assert updates == [1, 2]
    assert hasattr(clf, "target_priors_") == (kind == "balance")
    clf.set_params(pseudo_labels=None).fit(X, y, tuple(targets))
    assert updates == [1, 2]
    assert not hasattr(clf, "target_priors_")


@every_kind
def test_partial_fit_refuses_a_changed_kind(kind, make_clf):
    X, y, targets = domains()
    clf = make_clf().fit(X, y, tuple(targets))
    with pytest.raises(ValueError, match=rf"pseudo_labels='{kind}' \(was None\) changed"):
        clf.set_params(pseudo_labels=kind).partial_fit(X, y, tuple(targets))


class Batches(Callback):
    """Keep the labels and predictions of each batch."""

    def __init__(self):
        self.begin, self.end, self.gradients = [], [], []

    def on_batch_begin(self, net, batch, **kwargs):
        self.begin.append(batch)

    def on_batch_end(self, net, batch, y_pred, **kwargs):
        self.end.append((*batch, y_pred))

    def on_grad_computed(self, net, named_parameters, batch, **kwargs):
        self.gradients.append(batch)


@every_kind
def test_callbacks_get_labels_of_source_rows_only(kind, make_clf, assert_same_fit):
    X, y, targets = domains()
    spy = Batches()
    scoring = EpochScoring("accuracy", lower_is_better=False, on_train=True, name="score")
    params = {"pseudo_labels": kind, "max_epochs": 3, "batch_size": 40, "dropout": 0.0}
    params["lr"] = 1e-9  # the weights hardly move
    clf = make_clf(**params, callbacks=[spy, scoring]).fit(X, y, tuple(targets))
    assert len(spy.begin) == len(spy.end) == len(spy.gradients) == 3
    for x, labels, y_pred in spy.end:
        assert (x.shape, labels.shape, y_pred.shape) == ((80, 4), (40,), (40, 2))
    for x, labels in spy.begin + spy.gradients:
        assert (x.shape, labels.shape) == ((80, 4), (40,))
    if kind == "train":  # each source row once
        assert np.bincount(spy.end[-1][1]).tolist() == np.bincount(y).tolist()
        accuracy = (clf.predict(X, sample_domain=0) == y).mean()
        assert clf.history_[-1]["score"] == pytest.approx(accuracy)
    assert_same_fit(clf, make_clf(**params).fit(X, y, tuple(targets)))


@every_kind
def test_a_saved_fit_predicts_and_continues_alike(kind, make_clf, tmp_path):
    X, y, targets = domains()
    clf = make_clf(pseudo_labels=kind, max_epochs=3).fit(X, y, tuple(targets))
    clf.save(tmp_path / "clf")
    for copied in (DANNClassifier.load(tmp_path / "clf"), pickle.loads(pickle.dumps(clf))):
        assert copied.pseudo_labels == kind
        assert_array_equal(copied.predict_proba(targets[0]), clf.predict_proba(targets[0]))
        if kind == "balance":
            assert_array_equal(copied.target_priors_, clf.target_priors_)
        again = pickle.loads(pickle.dumps(clf)).partial_fit(X, y, tuple(targets))
        assert_same_net(copied.partial_fit(X, y, tuple(targets)), again)


def test_files_from_before_pseudo_labels_load(make_clf, tmp_path):
    X, y, targets = domains()
    clf = make_clf().fit(X, y, tuple(targets))
    clf.save(tmp_path / "clf")
    description, tensors = read(tmp_path / "clf")
    del description["params"]["pseudo_labels"]
    write(tmp_path / "clf", description, tensors)
    loaded = DANNClassifier.load(tmp_path / "clf")
    assert loaded.pseudo_labels is None
    assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))


# -- what they are for ----------------------------------------------------------------------------


def balanced_accuracy(seed, clf, *, source_share, target_share, shift, gap):
    """Fit on two Gaussian classes, and score a target whose classes are moved alike."""
    rng = np.random.default_rng(seed)
    parts = []
    for share, offset in ((source_share, 0.0), (target_share, shift)):
        y = (rng.random(300) < share).astype(int)
        X = rng.normal(size=(300, 5))
        X[:, :2] += gap * (y[:, None] - 0.5)
        X[:, :3] += offset * np.array([1.0, 1.0, 0.5])
        parts.append((X, y))
    (X, y), (X_target, y_target) = parts
    clf.set_params(random_state=seed).fit(X, y, X_target)
    hits = clf.predict(X_target) == y_target
    return np.mean([hits[y_target == k].mean() for k in (0, 1)])


FAST = {
    "feature_extractor": (16,),
    "domain_classifier": (8,),
    "dropout": 0.0,
    "lr": 0.01,
    "max_epochs": 20,
}


def test_balanced_alignment_matches_classes_where_their_shares_differ():
    """Class 1 has 70 percent of the source and 10 percent of the target."""
    table = {"source_share": 0.7, "target_share": 0.1, "shift": 1.5, "gap": 3.0}
    scores = {
        kind: np.mean(
            [
                balanced_accuracy(
                    seed,
                    DANNClassifier(standardize="domain", pseudo_labels=kind, **FAST),
                    **table,
                )
                for seed in range(3)
            ]
        )
        for kind in (None, "balance")
    }
    assert scores["balance"] > scores[None] + 0.1


def test_self_training_moves_the_boundary_into_the_gap():
    table = {"source_share": 0.5, "target_share": 0.5, "shift": 2.5, "gap": 5.0}
    scores = {
        kind: np.mean(
            [
                balanced_accuracy(
                    seed, DANNClassifier(lambda_max=0.0, pseudo_labels=kind, **FAST), **table
                )
                for seed in range(3)
            ]
        )
        for kind in (None, "train")
    }
    assert scores["train"] > scores[None] + 0.07
