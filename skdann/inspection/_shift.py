"""The columns that differ most between the domains."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from skdann.inspection._diagnosis import least_shift, rank_columns
from skdann.inspection._drawing import COLOURS, GREY, axes_for, require_matplotlib
from skdann.inspection._fitted import find_fitted
from skdann.metrics._pooling import pool_domains

MOST_LETTERS = 30  # maximum length of a column name in the plot


class DomainShiftDisplay:
    r"""The columns that differ most between the domains, by name.

    Each bar is the Kolmogorov-Smirnov statistic of a column,

    .. math:: D = \sup_x |F_S(x) - F_T(x)|,

    which is 0 for equal distributions and 1 for distributions that do not overlap [1]_. The text
    beside it is the shift of the mean from source to target, in standard deviations. Columns are
    compared one by one, so shifts of their joint distribution are not visible.

    Parameters
    ----------
    names : ndarray of str of shape (n_columns,)
        Names of the columns, in decreasing order of shift.
    ks : ndarray of shape (n_columns,)
        Kolmogorov-Smirnov statistic.
    mean_shift : ndarray of shape (n_columns,)
        Mean of the target minus mean of the source, in pooled standard deviations.
    by_chance : float
        Threshold that the largest statistic exceeds by chance with a probability of 5 %, over all
        columns.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the bars.
    figure_ : matplotlib Figure
        Figure of the axes.
    bars_ : matplotlib BarContainer
        The bars.

    See Also
    --------
    skdann.DANNClassifier.diagnose : The complete report.
    skdann.metrics.domain_auc : Shift of all columns jointly.

    References
    ----------
    .. [1] Massey, "The Kolmogorov-Smirnov Test for Goodness of Fit", Journal of the American
       Statistical Association 46, 1951.

    Examples
    --------
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.inspection import DomainShiftDisplay
    >>> X_source, _, X_target, _ = make_covariate_shift(random_state=0)
    >>> display = DomainShiftDisplay.from_domains(
    ...     X_source, X_target, feature_names=["age", "dose"]
    ... )
    >>> display.names.tolist()
    ['age', 'dose']
    """

    def __init__(self, *, names, ks, mean_shift, by_chance):
        self.names = names
        self.ks = ks
        self.mean_shift = mean_shift
        self.by_chance = by_chance

    @classmethod
    def from_estimator(cls, estimator, X_source, X_target, *, n_columns=10, ax=None):
        """Plot the shift of the columns as the last step of a fitted pipeline receives them.

        Parameters
        ----------
        estimator : fitted classifier, or Pipeline that ends in one
            The transformers of a pipeline are applied first, and name the columns if they can.
        X_source : array-like, data frame or sparse matrix of shape (n_source, n_features)
            Rows of the source domain.
        X_target : array-like of shape (n_target, n_features), or tuple of these
            Rows of the target domain; several targets are pooled.
        n_columns : int, default=10
            Maximum number of columns shown.
        ax : matplotlib Axes or None, default=None
            As in :meth:`plot`.

        Returns
        -------
        DomainShiftDisplay
            The plotted display.

        Raises
        ------
        ValueError
            If rows or columns do not match, or values are missing.
        NotFittedError
            If the estimator is not fitted.
        ImportError
            If matplotlib is missing.
        """
        require_matplotlib(cls.__name__)
        fitted = find_fitted(estimator)
        return cls.from_domains(
            fitted.transform(X_source),
            fitted.transform(X_target),
            feature_names=fitted.column_names(),
            n_columns=n_columns,
            ax=ax,
        )

    @classmethod
    def from_domains(cls, X_source, X_target, *, feature_names=None, n_columns=10, ax=None):
        """Plot the shift between two tables, without an estimator.

        Parameters
        ----------
        X_source : array-like, data frame or sparse matrix of shape (n_source, n_features)
            Rows of the source domain.
        X_target : array-like of shape (n_target, n_features), or tuple of these
            Rows of the target domain; several targets are pooled.
        feature_names : array-like of str of shape (n_features,) or None, default=None
            Names of the columns. None uses the names of a data frame, or x0, x1, ...
        n_columns : int, default=10
            Maximum number of columns shown.
        ax : matplotlib Axes or None, default=None
            As in :meth:`plot`.

        Returns
        -------
        DomainShiftDisplay
            The plotted display.

        Raises
        ------
        ValueError
            If rows, columns or names do not match, or values are missing.
        ImportError
            If matplotlib is missing.
        """
        require_matplotlib(cls.__name__)
        X, is_target, names = pool_domains(X_source, X_target)
        names = names if feature_names is None else list(feature_names)
        if names is not None and len(names) != X.shape[1]:
            raise ValueError(
                f"feature_names has {len(names)} names but X_source has {X.shape[1]} columns; pass "
                "one name per column."
            )
        if np.isnan((X.data if sp.issparse(X) else X).sum(dtype=np.float64)):
            raise ValueError(
                "The rows hold missing values; impute them, or pass the fitted pipeline that "
                f"imputes them to {cls.__name__}.from_estimator."
            )
        n_source = int((is_target == 0).sum())
        ranked = rank_columns(X, n_source, names, n_columns, 0.0)
        return cls(
            names=np.array([column.name for column in ranked], dtype=object),
            ks=np.array([column.ks for column in ranked]),
            mean_shift=np.array([column.mean_shift for column in ranked]),
            by_chance=least_shift(n_source, X.shape[0] - n_source, X.shape[1]),
        ).plot(ax)

    def plot(self, ax=None, *, bar_kwargs=None):
        """Plot one bar per column, with the largest shift on top.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            None creates a figure.
        bar_kwargs : dict or None, default=None
            Passed to ``Axes.barh``.

        Returns
        -------
        DomainShiftDisplay
            The display itself.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        height = 1.4 + 0.3 * max(len(self.names), 1)
        (self.ax_,), self.figure_ = axes_for(ax, 1, type(self).__name__, figsize=(6.4, height))
        at = np.arange(len(self.names))
        style = {"color": COLOURS[0], "height": 0.7, **(bar_kwargs or {})}
        self.bars_ = self.ax_.barh(at, self.ks, **style)
        self.ax_.axvline(self.by_chance, color=GREY, ls="--", lw=1)
        self.ax_.set_yticks(at, [_shorten(str(name)) for name in self.names])
        self.ax_.set_ylim(len(at) - 0.4, -0.6)
        right = max(float(np.max(self.ks, initial=0.0)), self.by_chance)
        self.ax_.set(xlabel="Kolmogorov-Smirnov statistic", xlim=(0, 1.05 * right))
        self._annotate(at)
        return self

    def _annotate(self, at):
        """Label the line of chance, and write the shifts of the means on the right."""
        self.ax_.annotate(
            "chance level",
            (self.by_chance, 1.01),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            color=GREY,
            fontsize="small",
        )
        right = {"transform": self.ax_.get_yaxis_transform(), "ha": "right"}
        for y, shift in zip(at, self.mean_shift, strict=True):
            self.ax_.text(1.16, y, f"{shift:+.1f} SD", va="center", **right)
        self.ax_.text(1.16, -0.7, "shift of mean", va="bottom", fontsize="small", **right)


def _shorten(name: str) -> str:
    """Cut the middle out of a long name."""
    half = MOST_LETTERS // 2
    return name if len(name) <= MOST_LETTERS else f"{name[: half - 1]}…{name[-half:]}"
