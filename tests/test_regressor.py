"""Public interface of DANNRegressor: losses, labels, estimators of scikit-learn, and saving."""

import inspect
import pickle
import re

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.base import clone, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from skorch.callbacks import Callback, EpochScoring

from skdann import (
    DANNClassifier,
    DANNRegressor,
    DivergenceError,
    SourceOnlyWarning,
    make_pipeline,
    model_selection,
)
from skdann.datasets import make_sensor_drift
from skdann.inspection import DomainEmbeddingDisplay, TrainingCurveDisplay, summarize_networks

# as for the classifier
EXPECTED_FAILURES = {
    "check_fit_score_takes_y": "the labels are named y_source: they belong to one domain",
    "check_sample_weight_equivalence_on_dense_data": "mini-batches; holds with full batches",
    "check_sample_weight_equivalence_on_sparse_data": "mini-batches; holds with full batches",
}
LOSSES = ["squared_error", "absolute_error", "quantile"]


@pytest.fixture(scope="module")
def drift():
    return make_sensor_drift(200, n_target=150, random_state=0)


def quick(**params):
    small = {"feature_extractor": (16,), "domain_classifier": (8,), "max_epochs": 3}
    return DANNRegressor(**{**small, "random_state": 0, **params})


class Fail(Callback):
    """Callback that fails in the fourth epoch."""

    is_armed = True

    def on_epoch_begin(self, net, **kwargs):
        if self.is_armed and len(net.history) == 4:
            raise RuntimeError


class TestEstimatorChecks:
    @pytest.mark.filterwarnings("ignore::skdann.SourceOnlyWarning")  # the checks pass no target
    # scikit-learn skips its array-API checks with a warning unless SCIPY_ARRAY_API is set
    @pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
    @pytest.mark.slow
    def test_checks_pass_except_declared_failures(self):
        results = check_estimator(
            DANNRegressor(max_epochs=30), expected_failed_checks=EXPECTED_FAILURES, on_fail=None
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

    @pytest.mark.parametrize("loss", LOSSES)
    def test_sample_weights_equal_repeated_rows_with_full_batches(self, loss):
        rng = np.random.RandomState(1)
        X, y = rng.standard_normal((30, 3)), rng.standard_normal(30)
        X_target = np.zeros((30, 3))  # so that any subsample has the same mean
        weight = rng.permutation(np.repeat([0, 1, 2, 5], [6, 8, 11, 5]))
        repeats = np.repeat(np.arange(30), weight)
        params = {"batch_size": 1000, "max_epochs": 5, "lr": 0.05, "loss": loss, "dropout": 0.0}
        weighted = quick(**params).fit(X, y, X_target, sample_weight=weight)
        repeated = quick(**params).fit(X[repeats], y[repeats], X_target)
        assert_allclose(weighted.predict(X), repeated.predict(X), rtol=2e-4, atol=2e-5)
        unweighted = quick(**params).fit(X, y, X_target)
        assert np.abs(unweighted.predict(X) - weighted.predict(X)).max() > 1e-2


class TestConstructor:
    def test_parameters_are_those_of_the_classifier_that_have_a_meaning(self):
        ours, theirs = (
            set(inspect.signature(each).parameters) for each in (DANNRegressor, DANNClassifier)
        )
        assert ours - theirs == {"loss", "quantile"}
        of_classes = {"class_weight", "conditioning", "label_shift", "label_smoothing"}
        assert theirs - ours == of_classes | {"pseudo_labels", "target_priors"}
        assert set(DANNRegressor._parameter_constraints) == ours

    def test_defaults_are_those_of_the_classifier_but_for_lambda(self):
        ours, theirs = DANNRegressor().get_params(), DANNClassifier().get_params()
        differing = {name for name in ours.keys() & theirs if ours[name] != theirs[name]}
        assert differing == {"lambda_max"}

    def test_docstring_names_every_parameter_with_its_default(self):
        doc = inspect.getdoc(DANNRegressor)
        for parameter in inspect.signature(DANNRegressor).parameters.values():
            line = re.search(rf"^(\w+, )*{parameter.name}(, \w+)* : .*$", doc, re.MULTILINE)
            assert line, parameter.name
            shown = repr(parameter.default).replace("'", '"').replace("0.001", "1e-3")
            assert line.group().endswith(f"default={shown}")

    @pytest.mark.usefixtures("no_training")
    @pytest.mark.parametrize(
        "params",
        [
            {"loss": "cross_entropy"},
            {"loss": None},
            {"quantile": 0.0},
            {"quantile": 1.0},
            {"lambda_max": -1.0},
            {"standardize": "target"},
        ],
    )
    def test_invalid_values_raise_before_training(self, params, drift):
        with pytest.raises(ValueError, match=f"'{next(iter(params))}' parameter of DANNRegressor"):
            quick(**params).fit(*drift[:3])

    def test_tags(self):
        tags = DANNRegressor().__sklearn_tags__()
        assert is_regressor(DANNRegressor())
        assert tags.target_tags.multi_output
        assert tags.target_tags.required
        assert tags.input_tags.sparse
        assert tags.classifier_tags is None


class TestLosses:
    @pytest.mark.slow
    def test_quantiles_cover_their_share_of_the_rows(self):
        rng = np.random.default_rng(0)
        X = rng.uniform(-1, 1, size=(1500, 1))
        y = X[:, 0] + rng.exponential(size=1500)
        for quantile in (0.1, 0.5, 0.9):
            reg = DANNRegressor(
                loss="quantile", quantile=quantile, dropout=0.0, lambda_max=0, random_state=0
            )
            below = (y <= reg.fit(X, y, X).predict(X)).mean()
            assert below == pytest.approx(quantile, abs=0.04)

    def test_mean_and_median_differ_for_skewed_labels(self):
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(400, 2)), rng.exponential(size=400) ** 2
        settings = {"max_epochs": 60, "lr": 0.01, "dropout": 0.0, "feature_extractor": ()}
        mean, median = (
            quick(loss=loss, **settings).fit(X, y, X).predict(X).mean() for loss in LOSSES[:2]
        )
        assert mean == pytest.approx(y.mean(), rel=0.1)
        assert median == pytest.approx(np.median(y), rel=0.2)

    @pytest.mark.parametrize("loss", LOSSES)
    def test_the_scale_of_the_labels_does_not_matter(self, loss, drift):
        X, y, X_target, _ = drift
        plain = quick(loss=loss).fit(X, y, X_target)
        moved = quick(loss=loss).fit(X, 1e6 + 1e-3 * y, X_target)
        assert_allclose((moved.predict(X_target) - 1e6) / 1e-3, plain.predict(X_target), atol=1e-3)

    def test_lambda_zero_is_the_source_only_network_bit_for_bit(self, drift, assert_same_fit):
        X, y, X_target, _ = drift
        adapted = quick(lambda_max=0).fit(X, y, X_target)
        with pytest.warns(SourceOnlyWarning):
            alone = quick().fit(X, y)
        assert_array_equal(adapted.predict(X), alone.predict(X))
        other = quick(lambda_max=1).fit(X, y, X_target)
        assert np.abs(other.predict(X) - alone.predict(X)).max() > 1e-3

    @pytest.mark.slow
    def test_adaptation_ignores_sensors_that_drift(self):
        X, y, X_target, y_target = make_sensor_drift(random_state=0)
        source_only = DANNRegressor(lambda_max=0, random_state=0).fit(X, y, X_target)
        adapted = DANNRegressor(lambda_max=1, random_state=0).fit(X, y, X_target)
        gain = adapted.score(X_target, y_target) - source_only.score(X_target, y_target)
        assert gain > 0.2

    @pytest.mark.parametrize("adversarial", ["alternating", "coral", "grl", "non_saturating"])
    def test_every_adversary_trains(self, adversarial, drift):
        reg = quick(adversarial=adversarial, lambda_max=1.0).fit(*drift[:3])
        assert reg.history_[-1]["label_loss"] < reg.history_[0]["label_loss"]

    def test_the_loss_of_held_out_rows_stops_training(self, drift):
        reg = quick(early_stopping=True, patience=1, max_epochs=60, lr=0.05).fit(*drift[:3])
        assert reg.n_epochs_ < 60
        assert "valid_loss" in reg.history_[0]
        assert "valid_accuracy" not in reg.history_[0]

    def test_divergence_is_an_error(self, drift):
        with pytest.raises(DivergenceError):
            quick(optimizer="sgd", lr=1e30).fit(*drift[:3])


class TestLabels:
    @pytest.mark.parametrize("y_type", [np.float32, np.int64, "list", "series", "Float64", "frame"])
    def test_containers_agree(self, y_type, drift):
        X, y, X_target, _ = drift
        y = (10 * y).round()
        expected = quick().fit(X, y, X_target).predict(X_target)
        given = {
            "list": y.tolist(),
            "series": pd.Series(y),
            "Float64": pd.Series(y, dtype="Float64"),
            "frame": pd.DataFrame({"y": y}),
        }.get(y_type)
        given = y.astype(y_type) if given is None else given
        predicted = quick().fit(X, given, X_target).predict(X_target)
        assert_array_equal(predicted.ravel(), expected)
        assert predicted.ndim == (2 if y_type == "frame" else 1)

    @pytest.mark.usefixtures("no_training")
    @pytest.mark.parametrize("bad", [np.nan, np.inf, None, "2"])
    def test_what_is_not_a_number_raises(self, bad, drift):
        X, y, X_target, _ = drift
        y = y.astype(object)
        y[3] = bad
        with pytest.raises(ValueError, match="y_source"):
            quick().fit(X, y, X_target)

    def test_a_constant_is_predicted_as_it_is(self, drift):
        X, _, X_target, _ = drift
        predicted = quick().fit(X, np.full(len(X), 0.1), X_target).predict(X_target)
        assert_array_equal(predicted, 0.1)

    def test_several_outputs(self, drift):
        X, y, X_target, y_target = drift
        Y, Y_target = (np.stack([v, -3 * v, np.full(len(v), 7.0)], axis=1) for v in (y, y_target))
        reg = quick(max_epochs=30).fit(X, Y, X_target)
        predicted = reg.predict(X_target)
        assert predicted.shape == (150, 3)
        assert reg.n_outputs_ == 3
        assert_array_equal(predicted[:, 2], 7.0)
        assert np.corrcoef(predicted[:, 0], predicted[:, 1])[0, 1] < -0.9
        assert reg.score(X_target, Y_target) == pytest.approx(r2_score(Y_target, predicted))

    def test_an_output_is_learned_as_if_alone_but_for_shared_features(self, drift):
        X, y, X_target, y_target = drift
        reg = quick(max_epochs=60).fit(X, np.stack([y, 5 * y + 2], axis=1), X_target)
        scores = r2_score(y_target, reg.predict(X_target)[:, 0])
        alone = quick(max_epochs=60).fit(X, y, X_target).score(X_target, y_target)
        assert scores == pytest.approx(alone, abs=0.15)

    def test_score_is_r2_with_weights(self, drift):
        X, y, X_target, y_target = drift
        reg = quick().fit(X, y, X_target)
        weight = np.random.default_rng(0).uniform(size=150)
        expected = r2_score(y_target, reg.predict(X_target), sample_weight=weight)
        assert reg.score(X_target, y_target, sample_weight=weight) == pytest.approx(expected)
        assert reg.score(X_target, y_target) != pytest.approx(expected)


class TestTables:
    def test_frames_with_categories_dates_and_missing_values(self):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame(
            {
                "city": rng.choice(["a", "b", "c"], size=120),
                "day": pd.Timestamp("2024-01-01")
                + pd.to_timedelta(rng.integers(99, size=120), "D"),
                "size": np.where(rng.uniform(size=120) < 0.1, np.nan, rng.normal(size=120)),
            }
        )
        y = frame["city"].map({"a": 0.0, "b": 5.0, "c": 10.0}) + rng.normal(size=120)
        source, target = frame[:70], frame[70:]
        reg = quick(max_epochs=60, lr=0.01).fit(source, y[:70], target)
        assert reg.score(target, y[70:]) > 0.7
        assert [each.kind for each in reg.columns_] != ["number"] * 3

    def test_several_domains(self, drift):
        X, y, X_target, _ = drift
        domain = np.repeat([0, 1], 100)
        reg = quick().fit(X, y, (X_target[:70], X_target[70:]), sample_domain=domain)
        assert_array_equal(reg.domains_, [0, 1, -1, -2])
        assert reg.predict_domain_proba(X_target).shape == (150, 4)
        assert reg.transform(X_target).shape == (150, 16)
        assert list(reg.get_feature_names_out()[:2]) == ["dannregressor0", "dannregressor1"]

    def test_rows_of_each_domain_are_scaled_apart(self, drift):
        X, y, X_target, _ = drift
        moved = X_target + 100.0
        reg = quick(standardize="domain").fit(X, y, X_target)
        other = quick(standardize="domain").fit(X, y, moved)
        assert_allclose(other.predict(moved), reg.predict(X_target), atol=1e-3)

    def test_sparse_rows_give_the_fit_of_dense_rows(self, drift):
        X, y, X_target, _ = drift
        dense, sparse = (
            quick(standardize=None).fit(form(X), y, form(X_target)).predict(form(X_target))
            for form in (np.asarray, csr_array)
        )
        assert_allclose(sparse, dense, atol=1e-6)

    def test_fit_transform_is_transform_of_source_rows(self, drift):
        X, y, X_target, _ = drift
        features = quick(standardize="domain").fit_transform(X, y, X_target)
        reg = quick(standardize="domain").fit(X, y, X_target)
        assert_array_equal(features, reg.transform(X, sample_domain=0))


class TestPooledRows:
    """Rows of the source and the target in one table, as a cross-validation needs them."""

    @pytest.fixture
    def pooled(self, drift):
        X, y, X_target, _ = drift
        return np.r_[X, X_target], y, np.repeat([0, -1], [200, 150])

    @pytest.mark.parametrize("mark", [np.nan, -1e9])
    def test_labels_of_target_rows_do_not_matter(self, mark, pooled, drift):
        rows, y, domain = pooled
        reg = quick().fit(rows, np.r_[y, np.full(150, mark)], sample_domain=domain)
        expected = quick().fit(*drift[:3])
        assert_array_equal(reg.predict(drift[2]), expected.predict(drift[2]))

    @pytest.mark.parametrize("mark", [np.nan, -1e9])
    def test_score_ignores_rows_without_label(self, mark, pooled):
        rows, y, domain = pooled
        marked = np.r_[y, np.full(150, mark)]
        reg = quick().fit(rows, marked, sample_domain=domain)
        assert reg.score(rows, marked) == reg.score(rows[:200], y, sample_domain=0)
        with pytest.raises(ValueError, match="only labels that mark unlabelled rows"):
            reg.score(rows[200:], marked[200:])

    def test_a_number_that_source_rows_have_counts(self, pooled):
        rows, y, domain = pooled
        y = y.copy()
        y[0] = 0.0
        marked = np.r_[y, np.zeros(150)]
        reg = quick().fit(rows, marked, sample_domain=domain)
        expected = r2_score(marked, reg.predict(rows))
        assert reg.score(rows, marked) == pytest.approx(expected)

    def test_missing_labels_raise_without_pooled_rows(self, drift):
        X, y, X_target, _ = drift
        reg = quick().fit(X, y, X_target)
        with pytest.raises(ValueError, match="Input y contains NaN"):
            reg.score(X, np.where(np.arange(200) < 9, np.nan, y))

    def test_several_outputs(self, pooled):
        rows, y, domain = pooled
        Y = np.r_[np.stack([y, y], axis=1), np.full((150, 2), np.nan)]
        reg = quick().fit(rows, Y, sample_domain=domain)
        assert reg.score(rows, Y) == reg.score(rows[:200], Y[:200])

    def test_cross_validation(self, pooled):
        rows, y, domain = pooled
        marked = np.r_[y, np.full(150, np.nan)]
        with sklearn.config_context(enable_metadata_routing=True):
            reg = quick().set_fit_request(sample_domain=True)
            scores = cross_val_score(
                reg,
                rows,
                marked,
                cv=KFold(3, shuffle=True, random_state=0),
                params={"sample_domain": domain},
            )
        assert np.isfinite(scores).all()

    def test_a_scorer_of_scikit_learn_refuses_marked_rows(self, pooled):
        rows, y, domain = pooled
        marked = np.r_[y, np.full(150, -1e9)]
        reg = quick().fit(rows, marked, sample_domain=domain)
        with pytest.raises(ValueError, match="labels that mark unlabelled rows"):
            sklearn.metrics.get_scorer("r2")(reg, rows, marked)


class TestMetaEstimators:
    def test_a_search_with_the_target_in_a_tuple(self, drift):
        X, y, X_target, y_target = drift
        search = GridSearchCV(quick(), {"lambda_max": [0.0, 0.3]}, cv=2)
        search.fit(X, y, X_target=(X_target,))
        assert search.best_estimator_.domains_.tolist() == [0, -1]
        assert np.isfinite(search.score(X_target, y_target))

    def test_a_search_over_a_pipeline_sends_the_target_through_it(self, drift):
        X, y, X_target, _ = drift
        pipe = make_pipeline(StandardScaler(), quick(standardize=None))
        search = GridSearchCV(pipe, {"dannregressor__loss": LOSSES[:2]}, cv=2)
        search.fit(X, y, X_target=(X_target,))
        by_hand = StandardScaler().fit(X)
        best = quick(standardize=None, loss=search.best_params_["dannregressor__loss"])
        best.fit(by_hand.transform(X), y, by_hand.transform(X_target))
        assert_allclose(
            search.predict(X_target), best.predict(by_hand.transform(X_target)), rtol=1e-6
        )

    def test_cross_validation_scores_and_predicts_held_out_source_rows(self, drift):
        X, y, X_target, _ = drift
        params = {"X_target": (X_target,)}
        scores = cross_val_score(quick(max_epochs=20), X, y, cv=3, params=params)
        predicted = cross_val_predict(quick(max_epochs=20), X, y, cv=3, params=params)
        assert scores.min() > 0.3
        assert r2_score(y, predicted) == pytest.approx(scores.mean(), abs=0.1)

    def test_transformed_target(self, drift):
        X, y, X_target, _ = drift
        reg = TransformedTargetRegressor(
            quick(), func=np.exp, inverse_func=np.log, check_inverse=False
        )
        # it passes further parameters of fit on
        predicted = reg.fit(X, y, X_target=(X_target,)).predict(X_target)
        inner = reg.regressor_
        assert inner.domains_.tolist() == [0, -1]
        assert_allclose(predicted, np.log(inner.predict(X_target)), rtol=1e-6)

    def test_transformed_target_of_several_outputs(self, drift):
        X, y, X_target, _ = drift
        reg = TransformedTargetRegressor(quick(), transformer=StandardScaler())
        reg.fit(X, np.stack([y, 2 * y], axis=1), X_target=(X_target,))
        assert reg.predict(X_target).shape == (150, 2)

    def test_bagging_averages_networks(self, drift):
        X, y, X_target, _ = drift
        bag = BaggingRegressor(quick(), n_estimators=2, random_state=0)
        with sklearn.config_context(enable_metadata_routing=True):
            bag.fit(X, y, X_target=(X_target,))
        mean = np.mean([each.predict(X_target) for each in bag.estimators_], axis=0)
        assert_allclose(bag.predict(X_target), mean)

    def test_one_network_per_output(self, drift):
        X, y, X_target, _ = drift
        reg = MultiOutputRegressor(quick()).fit(X, np.stack([y, -y], axis=1), X_target=(X_target,))
        assert reg.predict(X_target).shape == (150, 2)

    def test_features_feed_another_model(self, drift):
        X, y, X_target, y_target = drift
        pipe = make_pipeline(FunctionTransformer(), quick(max_epochs=30), Ridge())
        pipe.fit(X, y, X_target=X_target)
        assert pipe.score(X_target, y_target) > 0.0

    def test_clone_has_equal_parameters(self):
        reg = quick(loss="quantile", quantile=0.2)
        assert clone(reg).get_params() == reg.get_params()

    @pytest.mark.parametrize("name", [n for n in model_selection.__all__ if n.endswith("Scorer")])
    def test_scorers_of_classifiers_refuse_it(self, name, drift):
        X, y, X_target, _ = drift
        scorer = getattr(model_selection, name)(X_target)
        with pytest.raises(TypeError, match=f"{name} .* DANNRegressor is a regressor; .*labelled"):
            scorer(quick().fit(X, y, X_target), X, y)

    def test_a_classifier_names_it_for_numbers(self, drift):
        with pytest.raises(ValueError, match=r"continuous, such as 0\.\d+; use DANNRegressor"):
            DANNClassifier().fit(np.abs(drift[0]), np.abs(drift[1]) / 10, drift[2])

    def test_a_pipeline_is_written_as_one_graph(self, drift, tmp_path):
        pytest.importorskip("onnxscript")
        pytest.importorskip("skl2onnx")
        runtime = pytest.importorskip("onnxruntime")
        X, y, X_target, _ = drift
        pipe = make_pipeline(StandardScaler(), quick()).fit(X, y, X_target=X_target)
        pipe.to_onnx(tmp_path / "pipe.onnx")
        session = runtime.InferenceSession(tmp_path / "pipe.onnx")
        (output,) = session.run(["predictions"], {"X": X_target.astype(np.float32)})
        assert_allclose(output, pipe.predict(X_target), atol=1e-5)


class TestContinuing:
    def test_chunks_keep_the_scale_of_the_first(self, drift):
        X, y, X_target, _ = drift
        reg = quick(max_epochs=4).partial_fit(X[:100], y[:100], X_target)
        scale = reg._label_scale
        reg.partial_fit(X[100:], 50 + 7 * y[100:], X_target)
        assert reg._label_scale is not scale
        assert_array_equal(reg._label_scale.location, scale.location)
        assert_array_equal(reg._label_scale.scale, scale.scale)
        assert reg.n_epochs_ == 2

    def test_other_outputs_raise(self, drift):
        X, y, X_target, _ = drift
        reg = quick().partial_fit(X, y, X_target)
        with pytest.raises(ValueError, match="2 outputs in y, but DANNRegressor is expecting 1"):
            reg.partial_fit(X, np.stack([y, y], axis=1), X_target)

    def test_a_chunk_needs_the_target_of_the_first(self, drift):
        X, y, X_target, _ = drift
        reg = quick().partial_fit(X, y, X_target)
        with pytest.raises(ValueError, match="needs rows of every target"):
            reg.partial_fit(X, y)

    def test_warm_start_continues_from_the_weights(self, drift):
        X, y, X_target, _ = drift
        reg = quick(warm_start=True).fit(X, y, X_target)
        first = reg.predict(X_target)
        reg.fit(X, y, X_target)
        cold = quick(max_epochs=6).fit(X, y, X_target)
        assert reg.n_epochs_ == 6
        assert np.abs(reg.predict(X_target) - first).max() > 1e-3
        assert cold.history_[0]["label_loss"] > reg.history_[3]["label_loss"]

    def test_the_loss_may_change_between_two_fits(self, drift):
        X, y, X_target, _ = drift
        reg = quick(warm_start=True).fit(X, y, X_target)
        reg.set_params(loss="quantile", quantile=0.9).fit(X, y, X_target)
        assert reg.n_epochs_ == 6

    def test_a_failed_fit_resumes_bit_for_bit(self, drift, tmp_path):
        X, y, X_target, _ = drift
        path, fail = tmp_path / "fit", Fail()
        reg = quick(max_epochs=6, checkpoint=path, callbacks=[fail])
        with pytest.raises(RuntimeError):
            reg.fit(X, y, X_target)
        assert path.exists()
        fail.is_armed = False
        resumed = reg.fit(X, y, X_target)
        assert not path.exists()
        whole = quick(max_epochs=6).fit(X, y, X_target)
        assert_array_equal(resumed.predict(X_target), whole.predict(X_target))


class TestNetworks:
    def test_custom_modules(self, drift):
        X, y, X_target, _ = drift
        torch.manual_seed(0)  # of the modules, which are built here
        reg = quick(
            feature_extractor=torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh()),
            label_predictor=torch.nn.Linear,
            domain_classifier=torch.nn.Linear(5, 1),
        ).fit(X, np.stack([y, y], axis=1), X_target)
        assert reg.module_.label_predictor.out_features == 2
        assert reg.predict(X_target).shape == (150, 2)

    def test_a_module_of_wrong_width_raises(self, drift):
        with pytest.raises(ValueError, match=r"label_predictor returned .* it must be \(2, 1\)"):
            quick(label_predictor=torch.nn.Linear(16, 2)).fit(*drift[:3])

    def test_callbacks_score_the_net_as_a_regressor(self, drift):
        scoring = EpochScoring(
            "r2", on_train=True, lower_is_better=False, name="train_r2", use_caching=False
        )
        reg = quick(callbacks=[scoring], max_epochs=20).fit(*drift[:3])
        assert is_regressor(reg.net_)
        assert reg.history_[-1]["train_r2"] > reg.history_[0]["train_r2"]
        X, y = drift[:2]
        expected = r2_score(y, reg.predict(X, sample_domain=0))
        assert reg.history_[-1]["train_r2"] == pytest.approx(expected, abs=1e-4)

    def test_displays(self, drift):
        pytest.importorskip("matplotlib").use("Agg")
        X, y, X_target, _ = drift
        reg = quick().fit(X, y, X_target)
        assert "label_loss" in TrainingCurveDisplay.from_estimator(reg).curves
        assert "out_features=1" in str(summarize_networks(reg))
        display = DomainEmbeddingDisplay.from_estimator(reg, X, y, X_target)
        shares = np.bincount(display.label[display.domain == 0]) / 200
        assert_allclose(shares, 0.25, atol=0.01)

    def test_progress_bar(self, drift, capsys):
        quick(verbose=1).fit(*drift[:3])
        assert "label" in capsys.readouterr().err


class TestSaving:
    @pytest.mark.parametrize("n_outputs", [0, 1, 2])
    def test_a_loaded_file_predicts_the_same(self, n_outputs, drift, tmp_path):
        X, y, X_target, _ = drift
        y = np.stack([y, 3 * y][:n_outputs], axis=1) if n_outputs else y
        reg = quick(loss="quantile", quantile=0.3, standardize="domain").fit(X, y, X_target)
        reg.save(tmp_path / "reg")
        loaded = DANNRegressor.load(tmp_path / "reg")
        assert_array_equal(loaded.predict(X_target), reg.predict(X_target))
        assert loaded.predict(X_target).shape == reg.predict(X_target).shape
        assert (loaded.loss, loaded.quantile, loaded.n_outputs_) == (
            "quantile",
            0.3,
            reg.n_outputs_,
        )
        again = [each.partial_fit(X, y, X_target).predict(X_target) for each in (reg, loaded)]
        assert_array_equal(*again)

    def test_classes_do_not_load_one_another(self, drift, tmp_path):
        X, y, X_target, _ = drift
        quick().fit(X, y, X_target).save(tmp_path / "reg")
        with pytest.raises(ValueError, match="it holds a 'DANNRegressor'"):
            DANNClassifier.load(tmp_path / "reg")

    def test_pickle_and_skops(self, drift):
        skops_io = pytest.importorskip("skops.io")
        X, y, X_target, _ = drift
        reg = quick().fit(X, y, X_target)
        content = skops_io.dumps(reg)
        trusted = ["skdann._regressor.DANNRegressor"]
        for loaded in (
            pickle.loads(pickle.dumps(reg)),
            skops_io.loads(content, trusted=trusted),
        ):
            assert_array_equal(loaded.predict(X_target), reg.predict(X_target))

    @pytest.mark.slow
    @pytest.mark.parametrize("n_outputs", [0, 2])
    def test_onnx_predicts_the_same(self, n_outputs, drift, tmp_path):
        pytest.importorskip("onnxscript")
        runtime = pytest.importorskip("onnxruntime")
        X, y, X_target, _ = drift
        y = np.stack([y, 3 * y + 1], axis=1) if n_outputs else y
        path = tmp_path / "reg.onnx"
        reg = quick().fit(X, y, X_target)
        reg.to_onnx(path)
        (output,) = runtime.InferenceSession(path).run(
            ["predictions"], {"X": X_target.astype(np.float32)}
        )
        assert output.shape == reg.predict(X_target).shape
        assert_allclose(output, reg.predict(X_target), atol=1e-5)


class TestDiagnosis:
    def test_the_report_has_no_classes(self, drift):
        X, y, X_target, _ = drift
        report = quick(lambda_max=1.0).fit(X, y, X_target).diagnose(X, X_target, y_source=y)
        assert report.input_auc > 0.8
        assert report.source_shares == {}
        assert np.isnan(report.reweighted_auc)
        assert not report.is_label_shift
        assert not report.is_collapsed
        text = f"{report}{report._repr_html_()}"
        for word in ("class", "Class", "nan", "DANNClassifierCV"):
            assert word not in text
        assert "labelled target rows" in text
        assert {each.name for each in report.columns} <= {"x3", "x4", "x5"}

    def test_a_pipeline_reports_in_the_names_of_its_table(self, drift):
        names = [f"sensor {i}" for i in range(6)]
        X, X_target = (pd.DataFrame(rows, columns=names) for rows in (drift[0], drift[2]))
        scaler = StandardScaler().set_output(transform="pandas")
        pipe = make_pipeline(scaler, quick()).fit(X, drift[1], X_target=X_target)
        report = pipe.diagnose(X, X_target)
        assert {each.name for each in report.columns} <= set(names[3:])
        assert report.source_shares == {}


def test_an_unfitted_regressor_says_so(drift):
    for call in (quick().predict, quick().transform, quick().save):
        with pytest.raises(NotFittedError):
            call(drift[0])
