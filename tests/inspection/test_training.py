"""Training curves: stored history and drawn lines."""

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_rgba
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV

from skdann.inspection import (
    TrainingCurveDisplay,
    summarize_networks,
)
from tests.inspection.common import labels_of


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
