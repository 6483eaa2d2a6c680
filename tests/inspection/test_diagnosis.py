"""Diagnosis: each figure against a computation by hand."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from skdann import DANNClassifier
from skdann.datasets import make_covariate_shift, make_label_shift
from skdann.inspection import _diagnosis as module
from skdann.inspection._diagnosis import diagnose


class Net:
    """A fitted estimator whose features and predictions are given functions of the rows."""

    def __init__(self, transform=None, predict=None, domains=(0, -1), **attributes):
        self.classes_, self.domains_ = np.array([0, 1]), np.array(domains)
        self.history_ = [
            {"lambda": 0.0, "label_loss": 0.7},
            {"lambda": 0.8, "label_loss": 0.3, "domain_loss": 0.5, "domain_accuracy": 0.6},
        ]
        self.seen = []
        self._transform = transform or (lambda X: X)
        self._predict = predict or (lambda X: (X[:, 0] > 0).astype(int))
        vars(self).update(attributes)

    def _rows(self, X, sample_domain):
        self.seen.append((X.shape[0], sample_domain))
        return X.toarray() if sp.issparse(X) else np.asarray(X)

    def transform(self, X, *, sample_domain=None):
        return self._transform(self._rows(X, sample_domain))

    def predict(self, X, *, sample_domain=None):
        return self._predict(self._rows(X, sample_domain))


def first_two(X):
    return X[:, :2]


def rows(n=400, n_columns=4, seed=0, **shift):
    """Standard normal rows; `xj=d` shifts column j by d."""
    X = np.random.RandomState(seed).standard_normal((n, n_columns))
    for name, by in shift.items():
        X[:, int(name[1:])] += by
    return X


class TestFigures:
    def test_auc_of_columns_and_features(self):
        net = Net(transform=first_two)
        d = diagnose(net, rows(), rows(seed=1, x3=4.0), random_state=0)
        assert d.input_auc > 0.98
        assert d.feature_auc == pytest.approx(0.5, abs=0.1)
        assert next(iter(d.findings)) == "adapted"
        assert (d.lambda_, d.domain_accuracy) == (0.8, 0.6)
        assert (d.first_label_loss, d.label_loss) == (0.7, 0.3)

    def test_columns_that_shift_most_are_ranked_with_their_shifts(self):
        X, X_target = rows(1500), rows(1500, seed=1, x1=-0.5, x2=2.0)
        d = diagnose(Net(), X, X_target, random_state=0)
        assert [c.name for c in d.columns] == ["x2", "x1"]
        assert_allclose([c.mean_shift for c in d.columns], [2.0, -0.5], atol=0.1)
        assert d.columns[0].ks == pytest.approx(0.683, abs=0.04)  # 2 Phi(1) - 1

    def test_columns_are_named_by_the_estimator_or_the_frame(self):
        X, X_target = rows(), rows(seed=1, x2=3.0)
        frames = [pd.DataFrame(part, columns=list("abcd")) for part in (X, X_target)]
        assert diagnose(Net(), *frames).columns[0].name == "c"
        named = Net(feature_names_in_=np.array(list("pqrs")))
        assert diagnose(named, X, X_target).columns[0].name == "r"

    def test_shift_of_variance_and_of_constants(self):
        X, X_target = rows(1000), rows(1000, seed=1)
        X_target[:, 3] *= 3
        X[:, 0], X_target[:, 0] = 1.0, 2.0
        X[:, 1] = X_target[:, 1] = 5.0
        d = diagnose(Net(), X, X_target, random_state=0)
        assert [c.name for c in d.columns] == ["x0", "x3"]
        assert d.columns[0] == ("x0", 1.0, np.inf)

    def test_no_column_shifts_beyond_chance(self):
        assert diagnose(Net(), rows(), rows(seed=1), random_state=0).columns == ()

    @pytest.mark.parametrize("kind", [sp.csr_matrix, sp.csr_array, sp.csc_matrix])
    def test_sparse_columns_as_dense_ones(self, kind):
        X, X_target = rows(), rows(seed=1, x2=2.0)
        X[X < 0] = X_target[X_target < 0] = 0.0
        dense = diagnose(Net(), X, X_target, random_state=0)
        sparse = diagnose(Net(), kind(X), kind(X_target), random_state=0)
        assert [c.name for c in sparse.columns] == [c.name for c in dense.columns]
        assert_allclose([c[1:] for c in sparse.columns], [c[1:] for c in dense.columns])
        assert sparse.input_auc == pytest.approx(dense.input_auc, abs=0.1)

    def test_wide_input_is_reduced_to_the_columns_whose_means_differ_most(self, monkeypatch):
        monkeypatch.setattr(module, "MAX_COLUMNS", 2)
        d = diagnose(Net(), rows(), rows(seed=1, x1=1.0, x3=2.0), random_state=0)
        assert [c.name for c in d.columns] == ["x3", "x1"]

    def test_features_that_are_constant(self):
        net = Net(transform=lambda X: np.full((len(X), 2), 3.0) + 1e-3 * X[:, :2])
        d = diagnose(net, rows(), rows(seed=1, x2=2.0), random_state=0)
        assert d.feature_spread == pytest.approx(1e-3 / 3, rel=0.1)
        assert "flat_features" in d.findings
        zero = diagnose(Net(transform=lambda X: 0 * X), rows(), rows(seed=1), random_state=0)
        assert zero.feature_spread == 0.0

    def test_effective_sample_size(self):
        # of weights exp(x - 1/2), normal x: n / e
        d = diagnose(Net(), rows(2000), rows(2000, seed=1, x0=1.0), random_state=0)
        assert d.effective_sample_size == pytest.approx(2000 / np.e, rel=0.35)

    def test_predicted_shares_and_collapse(self):
        net = Net(predict=lambda X: ((X[:, 0] > 0) | (X[:, 3] > 3)).astype(int))
        d = diagnose(net, rows(), rows(seed=1, x3=8.0), random_state=0)
        assert d.predicted_shares == {0: 0.0, 1: 1.0}
        assert d.source_shares[1] == pytest.approx(0.5, abs=0.1)
        assert next(iter(d.findings)) == "collapse"

    def test_history_is_optional(self):
        net = Net()
        del net.history_
        assert np.isnan(diagnose(net, rows(), rows(seed=1)).lambda_)

    def test_an_adversary_without_a_domain_classifier_adapts_too(self):
        net = Net(transform=first_two)
        del net.history_[-1]["domain_accuracy"]
        report = diagnose(net, rows(), rows(seed=1, x3=4.0), random_state=0)
        assert report.lambda_ == 0.8
        assert np.isnan(report.domain_accuracy)
        assert next(iter(report.findings)) == "adapted"
        assert "domain accuracy" not in str(report)
        assert "lambda" in str(report)
        del net.history_[-1]["domain_loss"]
        assert diagnose(net, rows(), rows(seed=1), random_state=0).lambda_ == 0.0


class TestLabelShift:
    @pytest.mark.parametrize("has_labels", [True, False])
    def test_label_shift_is_detected_although_the_network_is_blind_to_it(self, has_labels):
        X, y, X_target, _ = make_label_shift(
            2000, source_priors=(0.5, 0.5), target_priors=(0.15, 0.85), random_state=0
        )
        # predictions for the target have the shares of the source, as alignment makes them
        net = Net(predict=lambda X: (X[:, 0] < np.median(X[:, 0])).astype(int))
        d = diagnose(net, X, X_target, y_source=y if has_labels else None, random_state=0)
        assert d.predicted_shares[1] == pytest.approx(0.5, abs=0.01)
        assert d.target_shares[1] == pytest.approx(0.85, abs=0.05 if has_labels else 0.1)
        assert d.input_auc > 0.6
        assert d.reweighted_auc == pytest.approx(0.5, abs=0.05)
        assert list(d.findings) == ["label_shift"]

    def test_three_classes_one_nearly_empty(self):
        X, y, X_target, _ = make_label_shift(
            1000, source_priors=(0.3, 0.3, 0.4), target_priors=(0.7, 0.2, 0.1), random_state=0
        )
        y[y == 2] = np.where(np.arange((y == 2).sum()) == 0, 2, 1)  # class 2 keeps one row
        net = Net(classes_=np.array([0, 1, 2]), predict=lambda X: np.zeros(len(X), int))
        d = diagnose(net, X, X_target, y_source=y, random_state=0)
        assert d.source_shares[2] == 0.001
        assert d.target_shares[2] == 0.0
        assert d.target_shares[0] == pytest.approx(0.7, abs=0.1)

    def test_covariate_shift_is_not_mistaken_for_label_shift(self):
        X, y, X_target, _ = make_covariate_shift(1500, shift=2.0, random_state=0)
        net = Net(predict=lambda X: (X[:, 1] > 0).astype(int))
        d = diagnose(net, X, X_target, y_source=y, random_state=0)
        assert d.reweighted_auc > 0.8
        assert list(d.findings) == ["features_apart"]

    def test_intervals_hold_the_shares(self):
        X, y, X_target, y_target = make_label_shift(800, target_priors=(0.3, 0.7), random_state=3)
        d = diagnose(Net(), X, X_target, y_source=y, random_state=0)
        for label, share in zip([0, 1], np.bincount(y_target) / len(y_target), strict=True):
            low, high = d.share_intervals[label]
            assert low < share < high
            assert low < d.target_shares[label] < high
            assert 0.01 < high - low < 0.2

    def test_there_are_no_shares_where_the_domains_differ_otherwise(self):
        X, y, X_target, _ = make_covariate_shift(400, random_state=0)
        d = diagnose(Net(), X, X_target, y_source=y, random_state=0)
        assert (d.target_shares, d.share_intervals) == ({}, {})
        assert not d.is_label_shift

    def test_one_class_only(self):
        net = Net(predict=lambda X: np.ones(len(X), int))
        d = diagnose(net, rows(), rows(seed=1), random_state=0)
        assert d.source_shares == d.target_shares == {0: 0.0, 1: 1.0}


class TestInput:
    def test_rows_are_drawn_by_the_seed(self, monkeypatch):
        monkeypatch.setattr(module, "MAX_ROWS", 200)
        X, X_target, y = rows(500), rows(300, seed=1, x1=0.5), np.arange(500) % 2
        net = Net()
        first, again, other = (
            diagnose(net, X, X_target, y_source=y, random_state=seed) for seed in (1, 1, 2)
        )
        assert (first.n_source, first.n_target) == (200, 200)
        assert {n for n, _ in net.seen} == {200}
        assert first == again
        assert first != other

    def test_labels_are_drawn_with_their_rows(self, monkeypatch):
        monkeypatch.setattr(module, "MAX_ROWS", 300)
        X, y, X_target, _ = make_label_shift(2000, target_priors=(0.1, 0.9), random_state=0)
        d = diagnose(Net(), X, X_target, y_source=y, random_state=0)
        assert d.target_shares[1] == pytest.approx(
            0.9, abs=0.12
        )  # 0.5 if they were drawn separately

    def test_the_global_random_state_is_untouched(self):
        np.random.seed(3)
        before = np.random.get_state()[1].copy()
        diagnose(Net(), rows(), rows(seed=1))
        assert np.array_equal(np.random.get_state()[1], before)

    def test_each_target_is_passed_as_a_separate_domain(self):
        net = Net(domains=(3, -1, -2))
        d = diagnose(net, rows(50), (rows(30, seed=1), rows(40, seed=2)), random_state=0)
        assert set(net.seen) == {(50, 3), (30, -1), (40, -2)}
        assert d.n_target == 70

    def test_a_target_named_by_sample_domain(self):
        net = Net(domains=(0, -5))  # the domain of the target has another name
        diagnose(net, rows(50), rows(30), random_state=0)
        assert set(net.seen) == {(50, 0), (30, None)}

    @pytest.mark.parametrize(
        ("X_target", "y", "message"),
        [
            (rows(n_columns=3), None, "X_target has 3 features but X_source has 4"),
            (rows(), np.zeros(7), "inconsistent numbers of samples"),
            (rows(), np.repeat([0, 5], 200), r"labels \[5\] that are not among the classes"),
            ((), None, "empty tuple"),
            (rows(1), None, "one has 1"),
        ],
    )
    def test_errors(self, X_target, y, message):
        with pytest.raises(ValueError, match=message):
            diagnose(Net(), rows(), X_target, y_source=y, random_state=0)


class TestOnDANNClassifier:
    @pytest.mark.parametrize("normalization", [None, "domain_batch"])
    def test_frames_strings_and_two_targets(self, normalization):
        X, y, X_target, _ = make_covariate_shift(150, n_features=3, shift=3.0, random_state=0)
        source, one, two = (
            pd.DataFrame(part, columns=["age", "pay", "city"])
            for part in (X, X_target[:70], X_target[70:])
        )
        clf = DANNClassifier(max_epochs=3, normalization=normalization, random_state=0)
        clf.fit(source, np.array(["no", "yes"])[y], (one, two))
        d = diagnose(clf, source, (one[["city", "age", "pay"]], two), random_state=0)
        assert d.columns[0].name == "age"
        assert set(d.source_shares) == {"no", "yes"}
        assert d.lambda_ == pytest.approx(clf.history_[-1]["lambda"])
        assert d.label_loss == clf.history_[-1]["label_loss"]
        predicted = np.concatenate(
            [clf.predict(one, sample_domain=-1), clf.predict(two, sample_domain=-2)]
        )
        assert d.predicted_shares["yes"] == (predicted == "yes").mean()

    @pytest.mark.filterwarnings(
        "ignore::skdann.SourceOnlyWarning"
    )  # one of the two fits has no target
    @pytest.mark.parametrize(("lambda_max", "has_target"), [(0, True), (1, False)])
    def test_a_source_only_fit_is_reported_as_not_adapted(self, lambda_max, has_target):
        X, y, X_target, _ = make_covariate_shift(150, shift=3.0, random_state=0)
        clf = DANNClassifier(max_epochs=3, lambda_max=lambda_max, random_state=0)
        clf.fit(X, y, X_target if has_target else None)
        assert next(iter(diagnose(clf, X, X_target, random_state=0).findings)) == "not_adapted"

    def test_sparse(self):
        X, y, X_target, _ = make_covariate_shift(150, shift=3.0, random_state=0)
        X, X_target = sp.csr_array(X), sp.csr_array(X_target)
        clf = DANNClassifier(max_epochs=3, random_state=0).fit(X, y, X_target)
        assert diagnose(clf, X, X_target, y_source=y, random_state=0).columns[0].name == "x0"


def test_moments_of_sparse_and_dense_agree():
    X = rows(50)
    for moment, expected in zip(
        module._moments(sp.csr_matrix(X)), (X.mean(0), X.var(0)), strict=True
    ):
        assert_allclose(moment, expected)
