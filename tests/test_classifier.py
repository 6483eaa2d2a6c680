"""Public interface of DANNClassifier: every constructor option, container and method."""

import inspect
import pickle
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import sklearn
import torch
from sklearn.base import clone
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

from skdann import DANNClassifier, SourceOnlyWarning
from skdann.datasets import make_inter_twinning_moons

# The two failures that the contract allows, with reasons. One check exists in two forms.
EXPECTED_FAILURES = {
    "check_fit_score_takes_y": "the labels are named y_source: they belong to one domain",
    "check_sample_weight_equivalence_on_dense_data": "mini-batches; holds with full batches",
    "check_sample_weight_equivalence_on_sparse_data": "mini-batches; holds with full batches",
}


def shifted(n=120, n_target=90, n_classes=2, shift=1.0, seed=0):
    """Return Gaussian classes along the first column, with a target shifted in the second."""
    rng = np.random.RandomState(seed)
    y = rng.randint(n_classes, size=n)
    y_target = rng.randint(n_classes, size=n_target)
    X, X_target = rng.standard_normal((n, 4)), rng.standard_normal((n_target, 4))
    X[:, 0] += 3.0 * y
    X_target[:, 0] += 3.0 * y_target
    X_target[:, 1] += shift
    return X, y, X_target, y_target


def quick(**params):
    fixed = {"max_epochs": 4, "dropout": 0.0, "lambda_max": 1.0, "random_state": 0}
    return DANNClassifier(**{**fixed, **params})


class TestEstimatorChecks:
    @pytest.mark.filterwarnings("ignore::skdann.SourceOnlyWarning")  # the checks pass no target
    # scikit-learn skips its array-API checks with a warning unless SCIPY_ARRAY_API is set
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
    @pytest.mark.slow
    def test_checks_pass_except_declared_failures(self):
        results = check_estimator(
            DANNClassifier(max_epochs=30), expected_failed_checks=EXPECTED_FAILURES, on_fail=None
        )
        by_status = {}
        for result in results:
            by_status.setdefault(result["status"], set()).add(result["check_name"])
        assert by_status.get("failed", set()) == set()
        expected = set(EXPECTED_FAILURES)
        if sklearn.__version__.startswith("1.6."):  # it ignores the failure of the sparse form
            expected.remove("check_sample_weight_equivalence_on_sparse_data")
        assert by_status["xfail"] == expected
        assert len(by_status["passed"]) > 50

    def test_expected_failures_are_checks_that_scikit_learn_runs(self):
        names = {
            getattr(check, "func", check).__name__
            for _, check in estimator_checks_generator(DANNClassifier())
        }
        assert set(EXPECTED_FAILURES) <= names

    def test_sample_weights_equal_repeated_rows_with_full_batches(self):
        X, y, X_target, _ = shifted(n=30, n_target=30)
        X_target = X_target[:1].repeat(30, 0)  # so that any subsample has the same mean
        weight = np.random.RandomState(1).permutation(np.repeat([0, 1, 2, 5], [6, 8, 11, 5]))
        repeats = np.repeat(np.arange(30), weight)
        params = {"batch_size": 1000, "max_epochs": 5, "lr": 0.05, "class_weight": "balanced"}
        weighted = quick(**params).fit(X, y, X_target, sample_weight=weight)
        repeated = quick(**params).fit(X[repeats], y[repeats], X_target)
        np.testing.assert_allclose(
            weighted.predict_proba(X), repeated.predict_proba(X), rtol=2e-4, atol=1e-5
        )
        unweighted = quick(**params).fit(X, y, X_target)
        assert np.abs(unweighted.predict_proba(X) - weighted.predict_proba(X)).max() > 1e-2


class TestConstructor:
    def test_parameters_are_keyword_only_and_plain(self):
        parameters = list(inspect.signature(DANNClassifier.__init__).parameters.values())[1:]
        assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters)
        assert not any(parameter.name.endswith("_") for parameter in parameters)
        assert set(DANNClassifier._parameter_constraints) == {p.name for p in parameters}

    def test_docstring_names_every_parameter_with_its_default(self):
        doc = inspect.getdoc(DANNClassifier)
        for parameter in inspect.signature(DANNClassifier).parameters.values():
            line = re.search(rf"^(\w+, )*{parameter.name}(, \w+)* : .*$", doc, re.MULTILINE)
            assert line, parameter.name
            shown = repr(parameter.default).replace("'", '"').replace("0.001", "1e-3")
            assert line.group().endswith(f"default={shown}")

    @pytest.mark.parametrize(
        "params",
        [
            {"feature_extractor": (16,)},
            {"feature_extractor": ()},
            {"feature_extractor": [8, 8]},
            {"label_predictor": (8,)},
            {"domain_classifier": ()},
            {"domain_classifier": (8, 8)},
            {"activation": "tanh"},
            {"dropout": 0.3},
            {"normalization": "batch"},
            {"normalization": "layer"},
            {"normalization": "domain_batch"},
            {"lambda_max": 0.0},
            {"lambda_max": 3.0},
            {"lambda_schedule": "linear"},
            {"lambda_schedule": "constant"},
            {"lambda_schedule": lambda progress: progress**2},
            {"domain_loss_weight": 0.1},
            {"label_smoothing": 0.2},
            {"domain_label_smoothing": 0.2},
            {"conditioning": "cdan"},
            {"adversarial": "alternating"},
            {"adversarial": "alternating", "domain_steps": 3},
            {"class_weight": "balanced"},
            {"class_weight": {0: 5.0}},
            {"optimizer": "adamw", "weight_decay": 0.5},
            {"optimizer": "sgd"},
            {"optimizer": "rmsprop"},
            {"optimizer": torch.optim.NAdam},
            {"lr": 1e-2},
            {"lr_schedule": "dann"},
            {"lr_schedule": "cosine"},
            {"lr_schedule": lambda progress: 1.0 - progress / 2},
            {"weight_decay": 0.1},
            {"batch_size": 17},
            {"max_epochs": 7},
            {"early_stopping": True, "lambda_schedule": "constant"},
            {"random_state": 1},
        ],
        ids=lambda params: "-".join(params),
    )
    def test_every_option_trains_and_changes_the_result(self, params):
        X, y, X_target, _ = shifted(n=130)
        y = np.where(np.arange(130) < 20, 1 - y, y)  # noisy labels keep losses away from 0
        plain = quick().fit(X, y, X_target).predict_proba(X_target)
        clf = quick(**params).fit(X, y, X_target)
        proba = clf.predict_proba(X_target)
        np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-12)
        assert np.abs(proba - plain).max() > 1e-6

    def test_equal_parameters_give_equal_results(self):
        X, y, X_target, _ = shifted()
        first, second = (quick(dropout=0.2).fit(X, y, X_target) for _ in range(2))
        np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))

    def test_random_state_instance_is_advanced(self):
        X, y, X_target, _ = shifted()
        rng = np.random.RandomState(0)
        clf = quick(random_state=rng)
        first = clf.fit(X, y, X_target).predict_proba(X)
        second = clf.fit(X, y, X_target).predict_proba(X)
        assert np.abs(first - second).max() > 0
        again = quick(random_state=np.random.RandomState(0)).fit(X, y, X_target)
        np.testing.assert_array_equal(again.predict_proba(X), first)

    def test_early_stopping_stops_and_records(self):
        X, y, X_target, _ = shifted(n=200)
        clf = quick(
            early_stopping=True, patience=2, max_epochs=500, lr=0.05, validation_fraction=0.25
        ).fit(X, y, X_target)
        assert clf.n_epochs_ < 500
        assert {"valid_loss", "valid_accuracy"} <= set(clf.history_[0])
        assert clf.net_.history[0]["train_batch_count"] == -(-150 // 64)

    def test_early_stopping_needs_rows_to_train_on(self):
        X, y, X_target, _ = shifted(n=4)
        y[:2] = [0, 1]
        with pytest.raises(ValueError, match=r"holds out 4 of 4 source rows.*validation_fraction"):
            quick(early_stopping=True, validation_fraction=0.95).fit(X, y, X_target)

    def test_verbose_shows_a_bar_or_lines(self, capsys):
        X, y, X_target, _ = shifted()
        quick().fit(X, y, X_target)
        silent = capsys.readouterr()
        assert silent.out == silent.err == ""
        quick(verbose=1).fit(X, y, X_target)
        bar = capsys.readouterr()
        assert "4/4" in bar.err
        assert "lambda" in bar.err
        assert bar.out == ""
        quick(verbose=2).fit(X, y, X_target)
        assert "domain_accuracy" in capsys.readouterr().out

    def test_module_prints_three_networks(self):
        X, y, X_target, _ = shifted()
        shown = repr(quick(feature_extractor=(8,)).fit(X, y, X_target).module_)
        assert "Linear(in_features=4, out_features=8)" in shown
        assert shown.index("feature_extractor") < shown.index("label_predictor")
        assert shown.index("label_predictor") < shown.index("domain_classifier")


class Body(torch.nn.Module):
    """Custom feature extractor, called with the number of columns."""

    def __init__(self, n_in):
        super().__init__()
        self.layer = torch.nn.Linear(n_in, 6)
        self.drop = torch.nn.Dropout(0.2)

    def forward(self, x):
        return self.drop(torch.tanh(self.layer(x)))


def seeded(make, seed=0):
    """Create a module whose weights do not depend on the tests collected before."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


class TestCustomModules:
    @pytest.mark.parametrize(
        ("networks", "width"),
        [
            ({"feature_extractor": Body}, 6),
            ({"feature_extractor": seeded(lambda: Body(4))}, 6),
            ({"feature_extractor": lambda: torch.nn.Linear(4, 3)}, 3),
            ({"label_predictor": torch.nn.Linear}, 64),
            ({"domain_classifier": torch.nn.Linear}, 64),
            ({"domain_classifier": seeded(lambda: torch.nn.Linear(64, 2))}, 64),
            (
                {
                    "feature_extractor": Body,
                    "label_predictor": seeded(lambda: torch.nn.Linear(6, 2)),
                    "domain_classifier": lambda n_in, n_out: torch.nn.Linear(n_in, n_out),
                },
                6,
            ),
        ],
    )
    def test_modules_train_and_learn(self, networks, width):
        X, y, X_target, y_target = shifted()
        clf = quick(max_epochs=60, lr=0.01, **networks).fit(X, y, X_target)
        assert clf.transform(X).shape == (120, width)
        assert accuracy_score(y_target, clf.predict(X_target)) > 0.8
        again = quick(max_epochs=60, lr=0.01, **networks).fit(X, y, X_target)
        np.testing.assert_array_equal(clf.predict_proba(X), again.predict_proba(X))

    def test_passed_instance_is_unchanged(self):
        X, y, X_target, _ = shifted()
        body = Body(4)
        before = {name: value.clone() for name, value in body.state_dict().items()}
        clf = quick(feature_extractor=body).fit(X, y, X_target)
        for name, value in body.state_dict().items():
            assert torch.equal(value, before[name])
        assert not torch.equal(clf.module_.feature_extractor.layer.weight, body.layer.weight)
        assert clone(clf).feature_extractor is not body

    def test_wide_convolution_over_columns(self):
        X, y, X_target, y_target = shifted()
        network = torch.nn.Sequential(
            torch.nn.Unflatten(1, (1, 4)),
            torch.nn.Conv1d(1, 8, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
        )
        clf = quick(feature_extractor=network, max_epochs=60, lr=0.01).fit(X, y, X_target)
        assert clf.transform(X).shape == (120, 32)
        assert accuracy_score(y_target, clf.predict(X_target)) > 0.85


class TestContainers:
    def test_dtypes_agree(self):
        X, y, X_target, _ = shifted()
        X, X_target = np.round(X * 8), np.round(X_target * 8)
        expected = quick().fit(X, y, X_target).predict_proba(X_target)
        for dtype in (np.float32, np.float16, np.int64, np.int8, object):
            clf = quick().fit(X.astype(dtype), y, X_target.astype(dtype))
            np.testing.assert_array_equal(clf.predict_proba(X_target.astype(dtype)), expected)
        clf = quick().fit(X.tolist(), y.tolist(), X_target.tolist())
        np.testing.assert_array_equal(clf.predict_proba(X_target.tolist()), expected)

    @pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
    def test_frames_are_matched_by_name(self, frame):
        X, y, X_target, _ = shifted()
        names = ["age", "dose", "mass", "size"]
        expected = quick().fit(X, y, X_target).predict_proba(X_target)
        source = frame(dict(zip(names, X.T, strict=True)))
        target = frame(dict(zip(names[::-1], X_target.T[::-1], strict=True)))
        clf = quick().fit(source, y, target)
        assert clf.feature_names_in_.tolist() == names
        np.testing.assert_array_equal(clf.predict_proba(target[names]), expected)
        with pytest.raises(ValueError, match="feature names should match"):
            clf.predict(target)

    @pytest.mark.parametrize(
        "sparse", [sp.csr_matrix, sp.csr_array, sp.csc_array, sp.coo_array, sp.lil_matrix]
    )
    def test_sparse_equals_dense(self, sparse):
        X, y, X_target, _ = shifted()
        X[X < 0.5] = 0
        X_target[X_target < 0.5] = 0
        expected = quick(standardize=None).fit(X, y, X_target).predict_proba(X_target)
        clf = quick().fit(sparse(X), y, sparse(X_target))  # "source" leaves sparse rows unscaled
        np.testing.assert_array_equal(clf.predict_proba(sparse(X_target)), expected)

    def test_sparse_rows_become_dense_only_batch_by_batch(self, monkeypatch):
        most = []
        original = sp.csr_array.toarray

        def spy(self, *args, **kwargs):
            most.append(self.shape[0])
            return original(self, *args, **kwargs)

        X, y, X_target, _ = shifted(n=500, n_target=400)
        clf = quick(batch_size=32)
        monkeypatch.setattr(sp.csr_array, "toarray", spy)
        clf.fit(sp.csr_array(X), y, sp.csr_array(X_target))
        assert max(most) == 64

    @pytest.mark.parametrize(
        "labels",
        [["b", "a", "c"], [7, -3, 100], [0.0, 1.0, 2.0], np.array(["x", "y", "z"], object)],
    )
    def test_labels_of_any_kind(self, labels):
        X, y, X_target, y_target = shifted(n=240, n_classes=3)
        named = np.asarray(labels)[y]
        clf = quick(max_epochs=30).fit(X, named, X_target)
        np.testing.assert_array_equal(clf.classes_, np.unique(named))
        assert clf.predict(X_target).dtype == clf.classes_.dtype
        assert accuracy_score(np.asarray(labels)[y_target], clf.predict(X_target)) > 0.8
        assert clf.predict_proba(X_target).shape == (90, 3)

    def test_boolean_labels(self):
        X, y, X_target, _ = shifted()
        clf = quick().fit(X, y.astype(bool), X_target)
        assert clf.predict(X_target).dtype == bool


class TestDomains:
    def test_several_targets(self):
        X, y, X_target, y_target = shifted(n_target=120)
        clf = quick(max_epochs=30).fit(X, y, (X_target[:50], X_target[50:]))
        assert clf.domains_.tolist() == [0, -1, -2]
        proba = clf.predict_domain_proba(X)
        assert proba.shape == (120, 3)
        np.testing.assert_allclose(proba.sum(axis=1), 1.0)
        assert accuracy_score(y_target, clf.predict(X_target)) > 0.85

    def test_several_sources_by_sample_domain(self):
        X, y, X_target, y_target = shifted(n=240)
        sample_domain = np.repeat([3, 5], 120)
        X[sample_domain == 5, 2] += 4
        clf = quick(max_epochs=60, lambda_max=0.0).fit(X, y, X_target, sample_domain=sample_domain)
        assert clf.domains_.tolist() == [3, 5, -1]
        named = clf.domains_[clf.predict_domain_proba(X).argmax(axis=1)]
        assert (named == sample_domain)[sample_domain == 5].mean() > 0.8
        assert accuracy_score(y_target, clf.predict(X_target)) > 0.85

    def test_pooled_rows_equal_a_separate_target(self):
        X, y, X_target, _ = shifted()
        pooled = np.vstack([X, X_target])
        labels = np.concatenate([y, np.full(len(X_target), 99)])
        sample_domain = np.repeat([0, -1], [len(X), len(X_target)])
        # mix the domains, keeping the order of rows within each
        is_target = np.random.RandomState(0).permutation(sample_domain < 0)
        rows = np.empty(len(pooled), dtype=int)
        rows[~is_target] = np.arange(len(X))
        rows[is_target] = np.arange(len(X), len(pooled))
        together = quick().fit(pooled[rows], labels[rows], sample_domain=sample_domain[rows])
        separate = quick().fit(X, y, X_target)
        np.testing.assert_array_equal(together.predict_proba(X), separate.predict_proba(X))
        assert together.classes_.tolist() == [0, 1]

    def test_source_only_warns_once(self):
        X, y, X_target, _ = shifted()
        with pytest.warns(SourceOnlyWarning, match="X_target") as record:
            clf = quick().fit(X, y)
        assert len(record) == 1
        assert record[0].filename == __file__
        assert clf.domains_.tolist() == [0]
        assert "domain_loss" not in clf.history_[-1]
        with pytest.raises(ValueError, match=r"no domain classifier.*X_target"):
            clf.predict_domain_proba(X_target)

    def test_domain_batch_uses_the_statistics_of_sample_domain(self):
        X, y, X_target, y_target = shifted(n=400, n_target=400)
        X_target = X_target * 3 + 10  # undone by separate statistics of each domain
        clf = quick(normalization="domain_batch", max_epochs=30).fit(X, y, X_target)
        assert balanced_accuracy_score(y_target, clf.predict(X_target)) > 0.85
        assert balanced_accuracy_score(y, clf.predict(X, sample_domain=0)) > 0.85
        by_row = clf.predict_proba(X_target, sample_domain=np.full(400, -1))
        np.testing.assert_allclose(by_row, clf.predict_proba(X_target), atol=1e-6)
        with pytest.warns(UserWarning, match="looks like rows of the source"):
            as_target = clf.predict_proba(X)
        assert np.abs(as_target - clf.predict_proba(X, sample_domain=0)).max() > 0.1
        with pytest.raises(ValueError, match=r"sample_domain contains \[-7\].*\[0, -1\]"):
            clf.predict(X, sample_domain=-7)


class TestContinuing:
    def test_warm_start_continues(self):
        X, y, X_target, _ = shifted()
        clf = quick(warm_start=True).fit(X, y, X_target)
        first = clf.predict_proba(X)
        clf.fit(X, y, X_target)
        assert clf.n_epochs_ == 8
        assert clf.history_[4]["label_loss"] < clf.history_[0]["label_loss"]
        cold = quick().fit(X, y, X_target)
        np.testing.assert_array_equal(cold.predict_proba(X), first)
        with pytest.raises(ValueError, match=r"warm_start=True.*fit a new estimator"):
            clf.fit(X[:, :3], y, X_target[:, :3])

    def test_partial_fit_over_chunks_equals_fit_with_one_chunk(self):
        X, y, X_target, _ = shifted(n_target=120)  # an epoch is one pass over the target
        whole = quick(max_epochs=3).fit(X, y, X_target)
        parts = quick(max_epochs=3)
        for _ in range(3):
            parts.partial_fit(X, y, X_target, classes=[0, 1])
        np.testing.assert_array_equal(whole.predict_proba(X), parts.predict_proba(X))

    @pytest.mark.slow
    def test_partial_fit_learns_from_chunks_without_every_class(self):
        X, y, X_target, y_target = shifted(n=400)
        order = np.argsort(y, kind="stable")
        clf = quick(max_epochs=20)
        for _ in range(20):
            for chunk in np.array_split(order, 4):
                clf.partial_fit(X[chunk], y[chunk], X_target, classes=[0, 1])
        assert clf.n_epochs_ == 80
        assert clf.history_[-1]["lambda"] == clf.lambda_max * (2 / (1 + np.exp(-10.0)) - 1)
        assert accuracy_score(y_target, clf.predict(X_target)) > 0.8

    def test_partial_fit_after_fit(self):
        X, y, X_target, _ = shifted()
        clf = quick().fit(X, y, X_target)
        clf.partial_fit(X, y, X_target)
        assert clf.n_epochs_ == 5

    def test_pickled_estimator_continues_bit_identically(self):
        X, y, X_target, _ = shifted()
        clf = quick(dropout=0.1, warm_start=True).fit(X, y, X_target)
        other = pickle.loads(pickle.dumps(clf))
        np.testing.assert_array_equal(clf.predict_proba(X), other.predict_proba(X))
        clf.fit(X, y, X_target)
        other.fit(X, y, X_target)
        np.testing.assert_array_equal(clf.predict_proba(X), other.predict_proba(X))


class TestOutputs:
    def test_methods_agree(self):
        X, y, X_target, _ = shifted()
        clf = quick().fit(X, y, X_target)
        proba = clf.predict_proba(X_target)
        np.testing.assert_allclose(np.log(proba), clf.predict_log_proba(X_target))
        np.testing.assert_array_equal(clf.predict(X_target), clf.classes_[proba.argmax(axis=1)])
        features = clf.transform(X_target)
        weight = clf.module_.label_predictor[0].weight[0].detach().numpy()
        bias = clf.module_.label_predictor[0].bias[0].detach().numpy()
        logits = features @ weight + bias
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(proba, expected, rtol=1e-4, atol=1e-6)

    def test_feature_names_out_and_set_output(self):
        X, y, X_target, _ = shifted()
        clf = quick(feature_extractor=(5,)).set_output(transform="pandas").fit(X, y, X_target)
        out = clf.transform(X_target)
        assert out.columns.tolist() == [f"dannclassifier{i}" for i in range(5)]
        assert clf.get_feature_names_out().tolist() == out.columns.tolist()

    def test_history_is_a_table(self):
        X, y, X_target, _ = shifted()
        clf = quick().fit(X, y, X_target)
        table = pd.DataFrame(clf.history_)
        assert len(table) == clf.n_epochs_ == 4
        assert {"epoch", "label_loss", "domain_loss", "domain_accuracy", "lambda", "dur"} <= set(
            table.columns
        )
        assert table["domain_accuracy"].between(0, 1).all()

    def test_adaptation_hides_the_domain(self):
        X, y, X_target, _ = shifted(n=300, n_target=300, shift=3.0)
        fresh = np.vstack([shifted(seed=5)[0], shifted(seed=5, shift=3.0)[2]])
        is_target = np.repeat([0, 1], [120, 90])

        def domain_accuracy(lambda_max):
            clf = quick(lambda_max=lambda_max, max_epochs=60).fit(X, y, X_target)
            return balanced_accuracy_score(
                is_target, clf.predict_domain_proba(fresh).argmax(axis=1)
            )

        assert domain_accuracy(0.0) > 0.85
        assert domain_accuracy(1.0) < 0.75

    @pytest.mark.slow
    def test_inter_twinning_moons_of_the_paper(self):
        """n = 300 and 35 degrees, as in the authors' code; see also benchmarks/moons.py."""
        setting = {
            "feature_extractor": (64, 64),
            "activation": "tanh",
            "dropout": 0.0,
            "lambda_max": 1.0,
            "weight_decay": 1e-3,
            "standardize": None,
            "max_epochs": 100,
        }
        scores = []
        for seed in range(10):
            X, y, X_target, y_target = make_inter_twinning_moons(300, random_state=seed)
            clf = DANNClassifier(**setting, random_state=seed).fit(X, y, X_target)
            scores.append(accuracy_score(y_target, clf.predict(X_target)))
        assert np.mean(scores) >= 0.95
        assert min(scores) >= 0.85
