"""Displays: stored data and drawn artists; the summary of the networks: its figures."""

import re
import sys

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from matplotlib.colors import to_rgba
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import ks_2samp
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skdann import DANNClassifier, DANNClassifierCV, make_pipeline
from skdann._input.seeding import derive_seed
from skdann.inspection import (
    DomainEmbeddingDisplay,
    DomainShiftDisplay,
    LambdaPathDisplay,
    TrainingCurveDisplay,
    summarize_networks,
)
from skdann.inspection._drawing import COLOURS, GREY
from skdann.metrics import domain_auc

NAMES = ["age", "dose", "weight", "height"]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def clf(domains, make_clf):
    return make_clf(max_epochs=3).fit(domains.X_source, domains.y_source, domains.X_target)


@pytest.fixture
def frames(domains):
    X_source, X_target = (pd.DataFrame(X, columns=NAMES) for X in (domains[0], domains[2]))
    return X_source, domains.y_source, X_target


@pytest.fixture
def pipe(frames, make_clf):
    X_source, y_source, X_target = frames
    return make_pipeline(StandardScaler(), make_clf()).fit(X_source, y_source, X_target=X_target)


@pytest.fixture
def cv(frames, make_clf):
    return DANNClassifierCV(make_clf(), lambdas=(0.5,), n_seeds=2, random_state=0).fit(*frames)


def embed(estimator, domains, **params):
    X_source, y_source, X_target, _ = domains
    params = {"random_state": 0, **params}
    return DomainEmbeddingDisplay.from_estimator(estimator, X_source, y_source, X_target, **params)


def labels_of(legend):
    return [text.get_text() for text in legend.get_texts()]


class TestTrainingCurveDisplay:
    def test_plots_the_history(self, clf):
        display = TrainingCurveDisplay.from_estimator(clf)
        assert display.epochs.tolist() == [1, 2, 3]
        names = ["label_loss", "domain_loss", "domain_accuracy", "lambda"]
        assert list(display.curves) == list(display.lines_) == names
        for name, line in display.lines_.items():
            expected = [row[name] for row in clf.history_]
            assert_array_equal(display.curves[name], expected)
            assert_array_equal(line.get_ydata(), expected)
            assert_array_equal(line.get_xdata(), [1, 2, 3])
        losses, accuracy, lambda_ = display.axes_
        assert {line.axes for line in display.lines_.values()} == {losses, accuracy, lambda_}
        assert display.lines_["label_loss"].axes is display.lines_["domain_loss"].axes
        assert display.figure_ is losses.figure
        assert [line.get_ydata()[0] for line in accuracy.lines][1:] == [display.chance] == [0.5]

    def test_training_on_the_source_alone_has_one_panel(self, domains, make_clf):
        with pytest.warns(match="target"):
            clf = make_clf().fit(domains.X_source, domains.y_source)
        display = TrainingCurveDisplay.from_estimator(clf)
        assert list(display.lines_) == ["label_loss"]
        assert len(display.axes_) == 1

    def test_early_stopping_adds_the_held_out_loss(self, domains, make_clf):
        X, y, X_target, _ = domains
        clf = make_clf(early_stopping=True).fit(X, y, X_target)
        display = TrainingCurveDisplay.from_estimator(clf)
        assert_array_equal(display.curves["valid_loss"], [r["valid_loss"] for r in clf.history_])
        assert "label loss, held out" in labels_of(display.axes_[0].get_legend())

    def test_chance_is_unknown_for_more_than_two_domains(self, domains, make_clf):
        X, y, X_target, _ = domains
        clf = make_clf().fit(X, y, (X_target[:20], X_target[20:]))
        display = TrainingCurveDisplay.from_estimator(clf)
        assert display.chance is None
        assert len(display.axes_[1].lines) == 1

    def test_a_single_epoch_is_visible(self, domains, make_clf):
        X, y, X_target, _ = domains
        display = TrainingCurveDisplay.from_estimator(make_clf(max_epochs=1).fit(X, y, X_target))
        assert all(line.get_marker() == "o" for line in display.lines_.values())

    def test_an_empty_history_is_an_error(self):
        with pytest.raises(ValueError, match="history is empty"):
            TrainingCurveDisplay.from_history([])

    def test_from_history_accepts_rows_with_different_entries(self):
        history = [{"epoch": 4, "label_loss": 1.0}, {"epoch": 5, "label_loss": 0.5, "lambda": 0.1}]
        display = TrainingCurveDisplay.from_history(history)
        assert display.epochs.tolist() == [4, 5]
        assert list(display.curves) == ["label_loss"]

    def test_domain_accuracy_has_a_panel_only_where_it_was_recorded(self):
        row = {"label_loss": 1.0, "domain_loss": 0.3, "lambda": 0.1}
        display = TrainingCurveDisplay.from_history([row, row], chance=0.5)
        assert list(display.curves) == ["label_loss", "domain_loss", "lambda"]
        assert [panel.get_ylabel() for panel in display.axes_] == ["loss", "lambda"]
        assert not [line for line in display.axes_[1].lines if line.get_ydata()[0] == 0.5]

    def test_an_adversary_without_a_domain_classifier_has_two_panels(self, domains, make_clf):
        X, y, X_target, _ = domains
        clf = make_clf(adversarial="coral").fit(X, y, X_target)
        display = TrainingCurveDisplay.from_estimator(clf)
        assert list(display.lines_) == ["label_loss", "domain_loss", "lambda"]
        assert len(display.axes_) == 2
        assert clf.diagnose(X, X_target).lambda_ == clf.history_[-1]["lambda"] > 0
        networks = {layer.network for layer in summarize_networks(clf).layers}
        assert networks == {"feature_extractor", "label_predictor"}

    def test_pipeline_search_and_path(self, frames, pipe, cv):
        expected = [row["label_loss"] for row in pipe[-1].history_]
        assert_array_equal(TrainingCurveDisplay.from_estimator(pipe).curves["label_loss"], expected)
        X_source, y_source, X_target = frames
        search = GridSearchCV(pipe, {"dannclassifier__dropout": [0.1]}, cv=2)
        search.fit(X_source, y_source, X_target=(X_target,))
        assert_array_equal(
            TrainingCurveDisplay.from_estimator(search).curves["label_loss"],
            [row["label_loss"] for row in search.best_estimator_[-1].history_],
        )
        assert_array_equal(
            TrainingCurveDisplay.from_estimator(cv).curves["label_loss"],
            [row["label_loss"] for row in cv.members_[0].history_],
        )

    def test_plots_on_given_axes(self, clf):
        figure, axes = plt.subplots(3)
        display = TrainingCurveDisplay.from_estimator(clf, ax=axes)
        assert display.figure_ is figure
        assert_array_equal(display.axes_, axes)
        display.plot(line_kwargs={"color": "k"})
        assert display.figure_ is not figure
        assert all(to_rgba(line.get_color()) == to_rgba("k") for line in display.lines_.values())


class TestDomainEmbeddingDisplay:
    def test_before_are_the_columns_and_after_the_features(self, domains, clf):
        display = embed(clf, domains)
        rows = np.vstack([domains.X_source, domains.X_target])
        for points, X in ((display.before, rows), (display.after, clf.transform(rows))):
            expected = PCA(2).fit_transform(X.astype(float))
            assert_allclose(np.abs(points), np.abs(expected), atol=1e-5)
        assert display.domain.tolist() == [0] * 40 + [-1] * 40
        predicted = np.searchsorted(clf.classes_, clf.predict(domains.X_target))
        assert_array_equal(display.label, np.concatenate([domains.y_source, predicted]))
        aucs = [
            domain_auc(X[:40], X[40:], random_state=display_seed())
            for X in (rows, clf.transform(rows))
        ]
        assert display.auc == pytest.approx(aucs)
        assert f"{display.auc[0]:.2f}" in display.axes_[0].get_title()

    def test_domain_sets_the_marker_and_class_the_colour(self, domains, clf):
        display = embed(clf, domains, y_target=domains.y_target)
        for panel, points in zip(display.axes_, (display.before, display.after), strict=True):
            drawn = [scatter for scatter in display.scatters_ if scatter.axes is panel]
            assert len(drawn) == 4
            groups = [(domain, label) for domain in (0, -1) for label in (0, 1)]
            for scatter, (domain, label) in zip(drawn, groups, strict=True):
                rows = (display.domain == domain) & (display.label == label)
                assert_array_equal(scatter.get_offsets(), points[rows])
                assert_allclose(scatter.get_edgecolor()[0][:3], to_rgba(COLOURS[label])[:3])
                assert len(scatter.get_facecolor()) == (0 if domain == 0 else 1)
            source, target = (scatter.get_paths()[0].vertices for scatter in (drawn[0], drawn[2]))
            assert source.shape != target.shape
        assert labels_of(display.axes_[1].get_legend()) == [
            "0",
            "1",
            "source",
            "target, by given class",
        ]

    def test_without_labels_rows_are_grey(self, domains, clf):
        X_source, _, X_target, _ = domains
        display = DomainEmbeddingDisplay.from_estimator(
            clf, X_source, None, X_target, y_target=None, random_state=0
        )
        assert set(display.label) == {-1}
        for scatter in display.scatters_:
            assert_allclose(scatter.get_edgecolor()[0][:3], to_rgba(GREY)[:3])
        assert labels_of(display.axes_[1].get_legend()) == ["source", "target"]

    def test_string_labels_in_a_pipeline_of_frames(self, frames, make_clf):
        X_source, y_source, X_target = frames
        y_source = np.array(["ill", "well"])[y_source]
        pipe = make_pipeline(StandardScaler(), make_clf())
        pipe.fit(X_source, y_source, X_target=X_target)
        display = DomainEmbeddingDisplay.from_estimator(
            pipe, X_source, y_source, X_target, random_state=0
        )
        assert_array_equal(display.classes[display.label[:40]], y_source)
        assert_array_equal(display.classes[display.label[40:]], pipe.predict(X_target))
        scaled = pipe[0].transform(pd.concat([X_source, X_target]))
        expected = PCA(2).fit_transform(scaled)
        assert_allclose(np.abs(display.before), np.abs(expected), atol=1e-6)

    def test_a_path_on_frames_gives_no_warning(self, frames, cv):
        display = DomainEmbeddingDisplay.from_estimator(cv, *frames, random_state=0)
        features = cv.members_[0].transform(frames[2].to_numpy())
        assert display.after.shape == (80, 2)
        rows = np.vstack(
            [cv.members_[0].transform(frames[0].to_numpy(), sample_domain=0), features]
        )
        assert_allclose(np.abs(display.after), np.abs(PCA(2).fit_transform(rows)), atol=1e-4)

    def test_large_tables_are_sampled(self, domains, clf):
        display, again = (embed(clf, domains, max_rows=15) for _ in range(2))
        assert np.bincount(-display.domain).tolist() == [15, 15]
        assert_array_equal(display.before, again.before)
        other = embed(clf, domains, max_rows=15, random_state=1)
        assert not np.allclose(np.abs(display.before), np.abs(other.before))

    def test_several_targets(self, domains, make_clf):
        X, y, X_target, y_target = domains
        parts, labels = (X_target[:10], X_target[10:]), (y_target[:10], y_target[10:])
        clf = make_clf(normalization="domain_batch").fit(X, y, parts)
        display = embed(clf, (X, y, parts, None), y_target=labels)
        assert np.bincount(-display.domain).tolist() == [40, 10, 30]
        assert_array_equal(display.label[40:], y_target)
        assert labels_of(display.axes_[1].get_legend())[-2:] == [
            "target 1, by given class",
            "target 2, by given class",
        ]
        predicted = embed(clf, (X, y, parts, None)).label[40:]
        expected = [clf.predict(rows, sample_domain=-1 - i) for i, rows in enumerate(parts)]
        assert_array_equal(predicted, np.concatenate(expected))
        with pytest.raises(ValueError, match="labels of 1 targets but X_target has 2"):
            embed(clf, (X, y, parts, None), y_target=y_target)

    @pytest.mark.parametrize("method", ["pca", "tsne"])
    def test_sparse_rows(self, domains, make_clf, method):
        X, y, X_target, _ = domains
        wide = [sp.csr_matrix(np.hstack([rows.clip(0)] * 15)) for rows in (X, X_target)]
        clf = make_clf().fit(wide[0], y, wide[1])
        display = embed(clf, (wide[0], y, wide[1], None), method=method)
        assert display.before.shape == (80, 2)
        if method == "pca":
            expected = PCA(2).fit_transform(np.vstack([rows.toarray() for rows in wide]))
            assert_allclose(np.abs(display.before), np.abs(expected), atol=1e-5)

    def test_tsne_keeps_neighbours(self, domains, clf):
        display = embed(clf, domains, method="tsne")
        rows = np.vstack([domains.X_source, domains.X_target])
        assert display.axis_names[0] == ("t-SNE 1 of the columns", "t-SNE 2")
        assert nearest(display.before, rows) > 0.4
        rng = np.random.RandomState(0)
        assert nearest(rng.normal(size=(80, 2)), rows) < 0.3

    @pytest.mark.parametrize("method", ["pca", "tsne"])
    def test_one_column_and_one_feature(self, domains, make_clf, method):
        X, y, X_target, _ = domains
        clf = make_clf(feature_extractor=(1,), activation="tanh")
        clf.fit(X[:, :1], y, X_target[:, :1])
        display = embed(clf, (X[:, :1], y, X_target[:, :1], None), method=method)
        assert display.before.shape == display.after.shape == (80, 2)
        assert np.isfinite(display.after).all()

    def test_each_of_many_classes_has_a_colour(self, make_clf):
        rng = np.random.RandomState(0)
        X, X_target, y = rng.normal(size=(60, 3)), rng.normal(size=(30, 3)), np.arange(60) % 9
        display = embed(make_clf().fit(X, y, X_target), (X, y, X_target, None))
        first = [scatter for scatter in display.scatters_ if scatter.axes is display.axes_[0]][:9]
        assert len({tuple(scatter.get_edgecolor()[0]) for scatter in first}) == 9

    def test_the_colour_blind_can_distinguish_the_palette(self):
        # Vienot, Brettel, Mollon 1999: linear RGB as seen by protanopes and deuteranopes
        linear = np.array([to_rgba(colour)[:3] for colour in COLOURS]) ** 2.2
        for confused in (
            [[0.1124, 0.8876, 0.0], [0.1124, 0.8876, 0.0], [0.004, -0.004, 1.0]],
            [[0.2928, 0.7072, 0.0], [0.2928, 0.7072, 0.0], [-0.0223, 0.0223, 1.0]],
        ):
            seen = (linear @ np.transpose(confused)).clip(0, 1) ** (1 / 2.2)
            apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
            assert apart[~np.eye(len(COLOURS), dtype=bool)].min() > 0.1

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"method": "umap"}, "method='umap' must be 'pca' or 'tsne'"),
            ({"y_target": np.full(40, 7)}, r"labels \[7\] are not among the classes"),
        ],
    )
    def test_errors(self, domains, clf, params, message):
        with pytest.raises(ValueError, match=message):
            embed(clf, domains, **params)


def display_seed():
    return derive_seed(0)


def nearest(points, rows):
    """Share of rows whose nearest row is among the five nearest points."""
    apart, near = (np.linalg.norm(X[:, None] - X[None], axis=-1) for X in (rows, points))
    for distances in (apart, near):
        np.fill_diagonal(distances, np.inf)
    best = np.argsort(near, axis=1)[:, :5]
    return np.mean([apart[i].argmin() in best[i] for i in range(len(rows))])


class TestLambdaPathDisplay:
    def test_stores_and_plots_the_scores(self, cv):
        display = LambdaPathDisplay.from_estimator(cv)
        table = pd.DataFrame(cv.scores_)
        for name in ("lambda_max", "score", "weight"):
            assert_array_equal(getattr(display, name), table[name])
        assert [line.get_label() for line in display.lines_] == [
            "standardize=None",
            "standardize='domain'",
        ]
        for line, scaling in zip(display.lines_, (None, "domain"), strict=True):
            scores = [row["score"] for row in cv.scores_ if row["standardize"] == scaling]
            assert_array_equal(line.get_ydata(), scores)
            assert_array_equal(line.get_xdata(), [0, 1])
        ticks = [text.get_text() for text in display.ax_.get_xticklabels()]
        assert ticks == ["0", "0.5"]
        assert display.ax_.get_title(loc="left").replace("\n", " ") == cv.reason_

    def test_marks_baseline_selected_and_margin(self, cv):
        display = LambdaPathDisplay.from_estimator(cv)
        scores = display.score
        assert_array_equal(display.baseline_.get_offsets(), [[0, scores[0]]])
        (selected,) = np.flatnonzero(display.weight)
        x = [0.0, 0.5].index(display.lambda_max[selected])
        assert_array_equal(display.selected_.get_offsets(), [[x, scores[selected]]])
        (band,) = display.ax_.patches
        extent = band.get_extents().transformed(display.ax_.transData.inverted())
        low, high = extent.y0, extent.y1
        assert (low, high - low) == pytest.approx((scores[0], 0.05))
        assert display.margin == 0.05

    def test_margin_of_a_scorer_is_that_of_the_estimator(self, frames, make_clf):
        def score(estimator, X, y):
            return estimator.lambda_max

        cv = DANNClassifierCV(
            make_clf(), lambdas=(0.5, 1.0), n_seeds=1, scoring=score, margin=0.7, random_state=0
        ).fit(*frames)
        display = LambdaPathDisplay.from_estimator(cv)
        assert display.margin == 0.7
        assert_array_equal(display.selected_.get_offsets(), [[2, 1.0]] * 2)  # with either scaling
        cv.set_params(margin=0.0).fit(*frames)
        assert not LambdaPathDisplay.from_estimator(cv).ax_.patches

    def test_a_failed_candidate_is_not_plotted(self):
        display = LambdaPathDisplay(
            lambda_max=np.array([0.0, 1.0]),
            standardize=np.array([None, None]),
            score=np.array([1.0, -np.inf]),
            weight=np.array([1.0, 0.0]),
            margin=0.05,
        ).plot()
        assert np.isnan(display.lines_[0].get_ydata()[1])
        assert np.isfinite(display.ax_.get_ylim()).all()

    def test_the_baseline_alone(self, domains, make_clf):
        with pytest.warns(match="target"):
            cv = DANNClassifierCV(make_clf(), n_seeds=1).fit(domains.X_source, domains.y_source)
        assert LambdaPathDisplay.from_estimator(cv).score.tolist() == [0.0]

    def test_in_a_pipeline(self, frames, make_clf):
        X_source, y_source, X_target = frames
        last = DANNClassifierCV(make_clf(), lambdas=(0.5,), n_seeds=1, random_state=0)
        pipe = make_pipeline(StandardScaler(), last).fit(X_source, y_source, X_target=X_target)
        _, ax = plt.subplots()
        display = LambdaPathDisplay.from_estimator(pipe, ax=ax)
        assert display.ax_ is ax
        assert_array_equal(display.score, [row["score"] for row in pipe[-1].scores_])

    def test_a_classifier_has_no_candidates(self, clf):
        with pytest.raises(TypeError, match="DANNClassifier has no candidates"):
            LambdaPathDisplay.from_estimator(clf)


class TestDomainShiftDisplay:
    def test_ranks_columns_by_name(self, frames):
        X_source, _, X_target = frames
        display = DomainShiftDisplay.from_domains(X_source, X_target)
        ks = {name: ks_2samp(X_source[name], X_target[name]).statistic for name in NAMES}
        expected = sorted(ks, key=ks.get, reverse=True)
        assert display.names.tolist() == expected
        assert_allclose(display.ks, [ks[name] for name in expected])
        moved = (X_target.mean() - X_source.mean()) / np.sqrt(
            (X_source.var(ddof=0) + X_target.var(ddof=0)) / 2
        )
        assert_allclose(display.mean_shift, moved[expected])
        assert_allclose([bar.get_width() for bar in display.bars_], display.ks)
        assert [t.get_text() for t in display.ax_.get_yticklabels()] == expected
        texts = [text.get_text() for text in display.ax_.texts]
        assert f"{moved[expected[0]]:+.1f} SD" in texts
        bottom, top = display.ax_.get_ylim()
        assert top < 0 < 3 < bottom  # the first is on top

    def test_few_columns_exceed_the_line_of_chance(self):
        rng = np.random.default_rng(0)
        _, ax = plt.subplots()
        displays = (
            DomainShiftDisplay.from_domains(*rng.normal(size=(2, 50, 8)), n_columns=1, ax=ax)
            for _ in range(40)
        )
        assert sum(display.ks[0] > display.by_chance for display in displays) <= 5

    def test_names_and_rows_go_through_the_pipeline(self, frames, pipe):
        X_source, _, X_target = frames
        display = DomainShiftDisplay.from_estimator(pipe, X_source, X_target, n_columns=2)
        direct = DomainShiftDisplay.from_domains(X_source, X_target, n_columns=2)
        assert display.names.tolist() == direct.names.tolist()
        assert_allclose(display.ks, direct.ks)  # scaling does not change ranks

    def test_a_transformer_without_names(self, frames, make_clf):
        X_source, y_source, X_target = frames
        pipe = make_pipeline(FunctionTransformer(np.asarray), make_clf())
        pipe.fit(X_source, y_source, X_target=X_target)
        display = DomainShiftDisplay.from_estimator(pipe, X_source, X_target)
        assert set(display.names) == {"x0", "x1", "x2", "x3"}

    def test_arrays_sparse_rows_and_other_classifiers(self, domains):
        X, y, X_target, _ = domains
        dense = DomainShiftDisplay.from_domains(X, X_target, feature_names=NAMES)
        sparse = DomainShiftDisplay.from_domains(
            sp.csr_matrix(X), (sp.csr_matrix(X_target[:9]), sp.csr_matrix(X_target[9:]))
        )
        assert_allclose(dense.ks, sparse.ks)
        assert sparse.names.tolist() == [f"x{NAMES.index(name)}" for name in dense.names]
        other = DomainShiftDisplay.from_estimator(LogisticRegression().fit(X, y), X, X_target)
        assert_allclose(other.ks, dense.ks)

    def test_long_names_are_shortened(self, domains):
        X, _, X_target, _ = domains
        names = [f"a very long name of a column of a table, number {i}" for i in range(4)]
        display = DomainShiftDisplay.from_domains(X, X_target, feature_names=names)
        shown = [text.get_text() for text in display.ax_.get_yticklabels()]
        assert len(set(shown)) == 4
        assert max(map(len, shown)) <= 30

    def test_errors(self, domains):
        X, _, X_target, _ = domains
        with pytest.raises(ValueError, match="feature_names has 1 names but X_source has 4"):
            DomainShiftDisplay.from_domains(X, X_target, feature_names=["age"])
        with pytest.raises(ValueError, match=r"missing values; impute.*from_estimator"):
            DomainShiftDisplay.from_domains(np.where(X > 1, np.nan, X), X_target)
        with pytest.raises(ValueError, match="3 features but X_source has 4"):
            DomainShiftDisplay.from_domains(X, X_target[:, :3])


class TestSummary:
    def test_counts_what_torch_counts(self, clf):
        summary = summarize_networks(clf)
        trained = sum(p.numel() for p in clf.module_.parameters())
        assert summary.n_parameters == trained
        table = pd.DataFrame(summary.layers)
        assert list(table.columns) == ["network", "layer", "output", "n_parameters"]
        by_network = table.groupby("network")["n_parameters"].sum()
        assert by_network["feature_extractor"] == 4 * 8 + 8
        assert by_network["label_predictor"] == 8 * 2 + 2
        assert by_network["domain_classifier"] == (8 * 4 + 4) + (4 * 1 + 1)
        first = summary.layers[0]
        assert first.layer == "Linear(in_features=4, out_features=8)"
        assert first.output == (8,)

    def test_prints_every_layer_and_total(self, pipe):
        summary = summarize_networks(pipe)
        shown, html = repr(summary), summary._repr_html_()
        for text in ("Feature extractor", "Label predictor", "Domain classifier"):
            assert text in shown
            assert text in html
        for layer in summary.layers:
            assert layer.layer in shown
            assert layer.layer in html
        assert f"4 columns, {summary.n_parameters:,} parameters" in shown
        assert html.count("<table>") == html.count("</table>") == 3
        assert max(map(len, shown.splitlines())) < 80

    def test_custom_networks(self, domains, make_clf):
        class Body(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = torch.nn.Parameter(torch.ones(4))
                self.layers = torch.nn.Sequential(
                    torch.nn.Unflatten(1, (1, 4)), torch.nn.Conv1d(1, 2, 3), torch.nn.Flatten()
                )
                self.frozen = torch.nn.Linear(1, 1).requires_grad_(False)

            def forward(self, x):
                return self.layers(x * self.scale)

        X, y, X_target, _ = domains
        clf = make_clf(feature_extractor=Body(), conditioning="cdan").fit(X, y, X_target)
        layers = {
            layer.layer.partition("(")[0]: layer
            for layer in summarize_networks(clf).layers
            if layer.network == "feature_extractor"
        }
        assert layers["Body"].n_parameters == 4
        assert layers["Conv1d"].n_parameters == 8
        assert layers["Conv1d"].output == (2, 2)
        assert layers["Flatten"].output == (4,)
        assert layers["Linear"].n_parameters == 0  # frozen
        assert layers["Linear"].output == ()  # never called
        assert "2 × 2" in repr(summarize_networks(clf))
        assert "in_features=8" in repr(summarize_networks(clf))  # G_d sees 4 features x 2 classes

    def test_leaves_no_hooks(self, clf):
        summarize_networks(clf)
        assert not any(layer._forward_hooks for layer in clf.module_.modules())

    def test_training_on_the_source_alone_has_two_networks(self, domains, make_clf):
        with pytest.warns(match="target"):
            clf = make_clf().fit(domains.X_source, domains.y_source)
        assert {layer.network for layer in summarize_networks(clf).layers} == {
            "feature_extractor",
            "label_predictor",
        }

    def test_a_path_and_batch_statistics(self, cv, domains, make_clf):
        assert summarize_networks(cv).n_features_in == 4
        X, y, X_target, _ = domains
        clf = make_clf(normalization="domain_batch").fit(X, y, X_target)
        summary = summarize_networks(clf)
        assert summary.n_parameters == sum(p.numel() for p in clf.module_.parameters())
        assert all(layer.output for layer in summary.layers)


DRAWERS = {
    "training": lambda model, domains: TrainingCurveDisplay.from_estimator(model),
    "embedding": embed,
    "path": lambda model, domains: LambdaPathDisplay.from_estimator(model),
    "shift": lambda model, domains: DomainShiftDisplay.from_estimator(
        model, domains[0], domains[2]
    ),
}


@pytest.mark.parametrize("name", DRAWERS)
def test_without_matplotlib_the_error_names_the_extra(name, domains, clf, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"Display needs matplotlib; .*skdann\[plots\]"):
        DRAWERS[name](clf, domains)


@pytest.mark.parametrize("name", DRAWERS)
def test_unfitted_estimators_are_refused(name, domains):
    with pytest.raises(NotFittedError):
        DRAWERS[name](DANNClassifier(), domains)


@pytest.mark.parametrize("name", ["training", "embedding", "path"])
def test_other_estimators_are_refused(name, domains):
    other = LogisticRegression().fit(domains.X_source, domains.y_source)
    with pytest.raises(TypeError, match="LogisticRegression has no"):
        DRAWERS[name](other, domains)


def test_a_wrong_number_of_axes_is_refused(domains, clf):
    _, axes = plt.subplots(2)
    with pytest.raises(ValueError, match=r"ax holds 2 axes, but TrainingCurveDisplay plots on 3"):
        TrainingCurveDisplay.from_estimator(clf, ax=axes)
    with pytest.raises(ValueError, match=r"ax holds 1 axes, but DomainEmbeddingDisplay plots on 2"):
        embed(clf, domains, ax=axes[0])


@pytest.mark.parametrize("name", ["training", "embedding", "shift"])
def test_nothing_is_cut_off(name, domains, clf):
    figure = DRAWERS[name](clf, domains).figure_
    figure.draw_without_rendering()
    needed = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert needed.x0 >= -0.01
    assert needed.y0 >= -0.01
    assert needed.x1 <= width + 0.01
    assert needed.y1 <= height + 0.01


class TestNotebooks:
    def test_estimators_show_their_parameters_and_no_broken_link(self, clf, pipe, cv):
        for estimator in (clf, pipe, cv):
            html = estimator._repr_html_()
            assert type(estimator).__name__ in html
            assert "random_state" in html
            links = re.findall('href="([^"#]+)', html)
            assert not [link for link in links if "DANN" in link or "DomainPipeline" in link]

    def test_history_is_a_table_of_the_entries_that_the_docstring_names(self, domains, make_clf):
        X, y, X_target, _ = domains
        clf = make_clf(early_stopping=True).fit(X, y, X_target)
        table = pd.DataFrame(clf.history_)
        for name in table.columns:
            assert f'"{name}"' in DANNClassifier.__doc__
        assert table.notna().all().all()
        assert table["epoch"].tolist() == [1, 2]
        assert {"valid_loss", "valid_accuracy", "domain_accuracy", "lambda"} <= set(table)

    def test_the_report_of_a_path_on_frames_names_the_columns(self, frames, cv):
        X_source, y_source, X_target = frames
        X_target = X_target.assign(dose=X_target["dose"] + 5)
        report = cv.diagnose(X_source, X_target, y_source=y_source)
        assert report.columns[0].name == "dose"
        assert '<td style="text-align: left">dose</td>' in report._repr_html_()
