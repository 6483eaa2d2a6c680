"""The candidates of a fitted `DANNClassifierCV`, and which of them are selected."""

from __future__ import annotations

from textwrap import fill

import numpy as np

from skdann.inspection._drawing import COLOURS, GREY, axes_for, require_matplotlib
from skdann.inspection._fitted import find_fitted

PATH_FAMILIES = ("baseline", "alignment")  # the others have no path of lambdas


class LambdaPathDisplay:
    """Score of each candidate of a fitted DANNClassifierCV, with the selected ones marked.

    A hollow square marks the source-only baseline, rings mark the selected candidates. Scores above
    the grey band exceed the score of the baseline by more than the margin.

    Parameters
    ----------
    lambda_max : ndarray of shape (n_candidates,)
        Final value of lambda for each candidate. The first candidate is the source-only baseline.
    standardize : ndarray of object of shape (n_candidates,)
        Scaling of the columns.
    score : ndarray of shape (n_candidates,)
        Score; higher is better. It is not finite for a failed candidate, which is not plotted.
    weight : ndarray of shape (n_candidates,)
        Weight in the predictions; positive for the selected candidates.
    margin : float
        Margin by which a score must exceed the score of the baseline.
    reason : str, default=""
        Reason for the selection, used as the title.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the scores.
    figure_ : matplotlib Figure
        Figure of the axes.
    lines_ : list of matplotlib Line2D
        One line per scaling.
    baseline_, selected_ : matplotlib PathCollection
        Marks of the source-only baseline and of the selected candidates.

    See Also
    --------
    skdann.DANNClassifierCV : Explains the scores; its `scores_` holds more figures.

    Examples
    --------
    >>> from skdann import DANNClassifier, DANNClassifierCV
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.inspection import LambdaPathDisplay
    >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
    >>> clf = DANNClassifierCV(
    ...     DANNClassifier(max_epochs=5),
    ...     lambdas=(0.1, 0.3, 1.0),
    ...     families=("alignment",),
    ...     aggregate="passing",
    ...     n_seeds=2,
    ...     random_state=0,
    ... )
    >>> display = LambdaPathDisplay.from_estimator(clf.fit(X_source, y_source, X_target))
    >>> display.lambda_max
    array([0. , 0.1, 0.3, 1. , 0. , 0.1, 0.3, 1. ])
    """

    def __init__(self, *, lambda_max, standardize, score, weight, margin, reason=""):
        self.lambda_max = lambda_max
        self.standardize = standardize
        self.score = score
        self.weight = weight
        self.margin = margin
        self.reason = reason

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Plot the candidates of a fitted DANNClassifierCV.

        Parameters
        ----------
        estimator : DANNClassifierCV, or Pipeline that ends in one
            Fitted.
        ax : matplotlib Axes or None, default=None
            As in :meth:`plot`.

        Returns
        -------
        LambdaPathDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If the estimator has no candidates.
        ValueError
            If its candidates mix several settings.
        NotFittedError
            If it is not fitted.
        ImportError
            If matplotlib is missing.
        """
        require_matplotlib(cls.__name__)
        clf = find_fitted(estimator).last
        if not hasattr(clf, "scores_"):
            raise TypeError(
                f"{type(clf).__name__} has no candidates; pass a fitted DANNClassifierCV, or a "
                "Pipeline that ends in one."
            )
        path = [row for row in clf.scores_ if row.get("family") in PATH_FAMILIES]
        settings = [row[name] for row in path for name in ("lambda_max", "standardize")]
        if any(isinstance(value, tuple) for value in settings):
            raise ValueError(
                "The candidates have no lambda, because each mixes several settings; fit with "
                "aggregate='passing' to plot a path."
            )
        columns = {
            name: np.array([row[name] for row in path], dtype=kind)
            for name, kind in (
                ("lambda_max", float),
                ("standardize", object),
                ("score", float),
                ("weight", float),
            )
        }
        return cls(**columns, margin=clf.margin_, reason=clf.reason_).plot(ax)

    def plot(self, ax=None, *, line_kwargs=None):
        """Plot the scores over lambda, with one line per scaling.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            None creates a figure.
        line_kwargs : dict or None, default=None
            Passed to every ``Axes.plot``.

        Returns
        -------
        LambdaPathDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        (self.ax_,), self.figure_ = axes_for(ax, 1, type(self).__name__, figsize=(6.4, 4.2))
        lambdas, at = np.unique(
            self.lambda_max, return_inverse=True
        )  # evenly spaced, because 0 has no logarithm
        score = np.where(np.isfinite(self.score), self.score, np.nan)
        self.lines_ = []
        scalings = list(dict.fromkeys(self.standardize))
        for scaling, colour, marker in zip(scalings, COLOURS, "os^", strict=False):
            rows = np.flatnonzero(np.array([each == scaling for each in self.standardize]))
            style = {"color": colour, "marker": marker, "label": f"standardize={scaling!r}"}
            self.lines_ += self.ax_.plot(at[rows], score[rows], **{**style, **(line_kwargs or {})})
        self._mark(at, score)
        self.ax_.set_xticks(np.arange(len(lambdas)), [f"{value:g}" for value in lambdas])
        self.ax_.set(xlabel="lambda_max", ylabel="score (higher is better)")
        self.ax_.set_xlim(-0.4, len(lambdas) - 0.6)
        self.ax_.set_title(fill(self.reason, 74), fontsize="small", loc="left")
        self.ax_.legend(fontsize="small", framealpha=0.8, markerscale=0.7, labelspacing=0.7)
        return self

    def _mark(self, at, score):
        """Mark the baseline, the margin above it, and the selected candidates."""
        if self.margin > 0:
            self.ax_.axhspan(
                score[0], score[0] + self.margin, color=GREY, alpha=0.2, lw=0, label="margin"
            )
        self.baseline_, self.selected_ = (
            self.ax_.scatter(at[rows], score[rows], facecolors="none", zorder=3, **style)
            for rows, style in (
                (
                    [0],
                    {"s": 130, "marker": "s", "edgecolors": GREY, "label": "source-only baseline"},
                ),
                (
                    self.weight > 0,
                    {"s": 260, "lw": 2, "edgecolors": COLOURS[2], "label": "selected"},
                ),
            )
        )
