"""The course of training: losses, domain accuracy and lambda over the epochs."""

from __future__ import annotations

import numpy as np

from skdann.inspection._drawing import COLOURS, GREY, axes_for, require_matplotlib
from skdann.inspection._fitted import find_network

LOSSES = {
    "label_loss": "label loss (source)",
    "valid_loss": "label loss, held out",
    "domain_loss": "domain loss",
}


class TrainingCurveDisplay:
    r"""Losses, domain accuracy and lambda over the epochs.

    Adaptation works if the domain accuracy falls to chance while the label loss falls too [1]_. If
    the domain accuracy stays high, the features still separate the domains. If the label loss
    rises, lambda is too large.

    Parameters
    ----------
    epochs : ndarray of int of shape (n_epochs,)
        Numbers of the epochs.
    curves : dict of ndarray of shape (n_epochs,)
        Curves by name: "label_loss", and if they were recorded "valid_loss", "domain_loss",
        "domain_accuracy" and "lambda".
    chance : float or None, default=None
        Domain accuracy of guessing, plotted as a line.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        One panel for the losses and, after training with adaptation, one for lambda, and one for
        the domain accuracy if the adversary has a domain classifier.
    figure_ : matplotlib Figure
        Figure of the axes.
    lines_ : dict of matplotlib Line2D
        Lines of the curves, by name.

    See Also
    --------
    skdann.DANNClassifier.diagnose : Whether adaptation is likely to help.

    References
    ----------
    .. [1] Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17(59), 2016.

    Examples
    --------
    >>> from skdann import DANNClassifier
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.inspection import TrainingCurveDisplay
    >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
    >>> clf = DANNClassifier(max_epochs=5, random_state=0).fit(X_source, y_source, X_target)
    >>> display = TrainingCurveDisplay.from_estimator(clf)
    >>> list(display.curves)
    ['label_loss', 'domain_loss', 'domain_accuracy', 'lambda']
    >>> len(display.axes_)
    3
    """

    def __init__(self, *, epochs, curves, chance=None):
        self.epochs = epochs
        self.curves = curves
        self.chance = chance

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Plot the training of a fitted estimator.

        Parameters
        ----------
        estimator : DANNClassifier, DANNRegressor, DANNClassifierCV, or Pipeline that ends in one
            Fitted. For a DANNClassifierCV, a member of the best selected candidate is used.
        ax : array-like of matplotlib Axes or None, default=None
            As in :meth:`plot`.

        Returns
        -------
        TrainingCurveDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If the estimator has no networks.
        ValueError
            If it was not trained for any epoch.
        NotFittedError
            If it is not fitted.
        ImportError
            If matplotlib is missing.
        """
        require_matplotlib(cls.__name__)
        clf = find_network(estimator).last
        chance = 0.5 if len(clf.domains_) == 2 else None
        return cls.from_history(clf.history_, chance=chance, ax=ax)

    @classmethod
    def from_history(cls, history, *, chance=None, ax=None):
        """Plot a history, such as ``clf.history_`` of a saved or partly trained estimator.

        Parameters
        ----------
        history : list of dict
            One entry per epoch.
        chance : float or None, default=None
            Domain accuracy of guessing, plotted as a line.
        ax : array-like of matplotlib Axes or None, default=None
            As in :meth:`plot`.

        Returns
        -------
        TrainingCurveDisplay
            The plotted display.

        Raises
        ------
        ValueError
            If the history is empty.
        ImportError
            If matplotlib is missing.
        """
        if not history:
            raise ValueError(
                "The history is empty; train for at least one epoch before plotting it."
            )
        names = [*LOSSES, "domain_accuracy", "lambda"]
        if not any("domain_loss" in row for row in history):  # trained without adaptation
            names.remove("lambda")
        curves = {
            name: np.array([row.get(name, np.nan) for row in history], dtype=float)
            for name in names
            if any(name in row for row in history)
        }
        epochs = np.array([row.get("epoch", i) for i, row in enumerate(history, 1)])
        return cls(epochs=epochs, curves=curves, chance=chance).plot(ax)

    def plot(self, ax=None, *, line_kwargs=None):
        """Plot the curves in panels below each other.

        Parameters
        ----------
        ax : array-like of matplotlib Axes or None, default=None
            One for each panel: three with a domain classifier, two without, one after training
            without adaptation. None creates a figure.
        line_kwargs : dict or None, default=None
            Passed to every ``Axes.plot``.

        Returns
        -------
        TrainingCurveDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the number of axes is wrong.
        ImportError
            If matplotlib is missing.
        """
        panels = [[name for name in LOSSES if name in self.curves]]
        panels += [[name] for name in ("domain_accuracy", "lambda") if name in self.curves]
        self.axes_, self.figure_ = axes_for(
            ax,
            len(panels),
            type(self).__name__,
            nrows=len(panels),
            sharex=True,
            figsize=(6.4, 2.6 + 1.4 * (len(panels) - 1)),
            height_ratios=[2.0, 1.0, 1.0][: len(panels)],
        )
        self.lines_ = {}
        for panel, names in zip(self.axes_, panels, strict=True):
            for name, colour in zip(names, COLOURS, strict=False):
                style = {"color": colour, "label": LOSSES.get(name), **(line_kwargs or {})}
                style = {**({"marker": "o"} if len(self.epochs) == 1 else {}), **style}
                (self.lines_[name],) = panel.plot(self.epochs, self.curves[name], **style)
            panel.set_ylabel("loss" if names[0] in LOSSES else names[0].replace("_", "\n"))
        self._dress(dict(zip([names[0] for names in panels], self.axes_, strict=True)))
        return self

    def _dress(self, axes):
        """Set limits and labels, and add the legend and the line of chance."""
        first = self.axes_[0]
        first.legend(frameon=False)
        if "domain_accuracy" in axes:
            axes["domain_accuracy"].set_ylim(0, 1.05)
            if self.chance is not None:
                axes["domain_accuracy"].axhline(self.chance, color=GREY, ls="--", lw=1)
                axes["domain_accuracy"].annotate(
                    "chance",
                    (0.995, self.chance),
                    xycoords=("axes fraction", "data"),
                    xytext=(0, -3),
                    textcoords="offset points",
                    ha="right",
                    va="top",
                    color=GREY,
                    fontsize="small",
                )
        if "lambda" in axes:
            top = float(np.nanmax(self.curves["lambda"]))
            axes["lambda"].set_ylim(0, 1.1 * top if top > 0 else 1.0)
        self.axes_[-1].set_xlabel("epoch")
        self.axes_[-1].xaxis.get_major_locator().set_params(integer=True)
