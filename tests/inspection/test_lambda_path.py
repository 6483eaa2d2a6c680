"""Path of lambdas: stored scores and drawn marks."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.preprocessing import StandardScaler

from skdann import DANNClassifierCV, make_pipeline
from skdann.inspection import LambdaPathDisplay


class TestLambdaPathDisplay:
    def test_stores_and_plots_the_scores(self, cv):
        display = LambdaPathDisplay.from_estimator(cv)
        table = pd.DataFrame(cv.scores_)
        for name in ("lambda_max", "score", "weight"):
            assert_array_equal(getattr(display, name), table[name])
        assert [line.get_label() for line in display.lines_] == [
            "standardize='source'",
            "standardize='domain'",
        ]
        for line, scaling in zip(display.lines_, ("source", "domain"), strict=True):
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
        last = DANNClassifierCV(
            make_clf(), lambdas=(0.5,), aggregate="passing", n_seeds=1, random_state=0
        )
        pipe = make_pipeline(StandardScaler(), last).fit(X_source, y_source, X_target=X_target)
        _, ax = plt.subplots()
        display = LambdaPathDisplay.from_estimator(pipe, ax=ax)
        assert display.ax_ is ax
        families = [row["family"] for row in pipe[-1].scores_]
        assert families == ["baseline", *["alignment"] * 3, "self_training", "balanced", "trees"]
        path = pipe[-1].scores_[:4]  # the other families have no path of lambdas
        assert_array_equal(display.score, [row["score"] for row in path])

    def test_a_mixture_of_settings_has_no_path(self, frames, make_clf):
        cv = DANNClassifierCV(make_clf(), n_seeds=1, random_state=0).fit(*frames)
        with pytest.raises(ValueError, match=r"mixes several settings.*aggregate='passing'"):
            LambdaPathDisplay.from_estimator(cv)

    def test_a_classifier_has_no_candidates(self, clf):
        with pytest.raises(TypeError, match="DANNClassifier has no candidates"):
            LambdaPathDisplay.from_estimator(clf)
