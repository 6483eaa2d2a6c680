"""Embedding of the domains: stored points and drawn artists."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from matplotlib.colors import to_rgba
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from skdann import make_pipeline
from skdann._input.seeding import derive_seed
from skdann.inspection import DomainEmbeddingDisplay
from skdann.inspection._drawing import COLOURS, GREY
from skdann.metrics import domain_auc
from tests.inspection.common import embed, labels_of


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
