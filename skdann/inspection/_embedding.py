"""Both domains in two dimensions, before and after the feature extractor."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import column_or_1d

from skdann._input.containers import unwrap
from skdann._input.drawing import draw_labelled
from skdann._input.matching import match_target, name_targets
from skdann._input.seeding import derive_seed
from skdann.inspection._diagnosis import predict, transform
from skdann.inspection._drawing import GREY, axes_for, colours_of, require_matplotlib
from skdann.inspection._fitted import find_network
from skdann.metrics import domain_auc
from skdann.metrics._pooling import pool_domains

MARKERS = "o^sDvP"  # the source, then the targets
TSNE_COLUMNS = 50  # principal components passed to t-SNE, as is usual


# in the place of classes where labels are numbers; sorted
QUARTERS = np.array(["1st quarter (lowest)", "2nd quarter", "3rd quarter", "4th quarter"])


class DomainEmbeddingDisplay:
    """Rows of both domains in two dimensions: columns before, and features after the extractor.

    Adaptation worked if the domains are separate before and overlap after, and if each class
    overlaps the same class of the other domain. Overlap alone does not show that classes match.

    Parameters
    ----------
    before, after : ndarray of shape (n_rows, 2)
        Coordinates computed from the columns, and from the features.
    domain : ndarray of int of shape (n_rows,)
        0 for the source; -1, -2, ... for the targets.
    label : ndarray of int of shape (n_rows,)
        Index in `classes`; -1 for rows plotted in grey.
    classes : ndarray of shape (n_classes,)
        Class labels.
    axis_names : tuple of two tuples of two str
        Names of the coordinates, before and after.
    auc : tuple of two float, or None, default=None
        Domain AUC of all columns and of all features, used in the titles: 0.5 if the domains are
        alike, 1 if they are fully separate.
    target_name : str, default="target"
        Name of target rows in the legend.

    Attributes
    ----------
    axes_ : ndarray of two matplotlib Axes
        Panels before and after the feature extractor.
    figure_ : matplotlib Figure
        Figure of the axes.
    scatters_ : list of matplotlib PathCollection
        One collection for each panel, domain and class that has rows.

    See Also
    --------
    DomainShiftDisplay : The columns that differ most.
    skdann.metrics.domain_auc : Measures the separation in all dimensions.

    References
    ----------
    Figure 3 of Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17(59), 2016;
    colours: Okabe and Ito, "Color Universal Design", 2008.

    Examples
    --------
    >>> from skdann import DANNClassifier
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.inspection import DomainEmbeddingDisplay
    >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
    >>> clf = DANNClassifier(max_epochs=5, random_state=0).fit(X_source, y_source, X_target)
    >>> display = DomainEmbeddingDisplay.from_estimator(
    ...     clf, X_source, y_source, X_target, max_rows=100, random_state=0
    ... )
    >>> display.after.shape
    (200, 2)
    """

    def __init__(
        self, *, before, after, domain, label, classes, axis_names, auc=None, target_name="target"
    ):
        self.before, self.after = before, after
        self.domain, self.label, self.classes = domain, label, classes
        self.axis_names = axis_names
        self.auc = auc
        self.target_name = target_name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X_source,
        y_source,
        X_target,
        *,
        y_target="predicted",
        method="pca",
        max_rows=500,
        random_state=None,
        ax=None,
    ):
        """Plot rows as a fitted estimator receives them, and as its feature extractor maps them.

        Parameters
        ----------
        estimator : DANNClassifier, DANNRegressor, DANNClassifierCV, or Pipeline that ends in one
            Fitted. The transformers of a pipeline are applied first: "before" are the rows that the
            last step receives. For a DANNClassifierCV, a member of the best selected candidate is
            used. The colours of a DANNRegressor with one output are the quarters of the numbers.
        X_source : array-like, data frame or sparse matrix of shape (n_source, n_features)
            Rows of the source; they are treated as rows of the first source domain.
        y_source : array-like of shape (n_source,) or None
            Labels of these rows. None plots them in grey.
        X_target : array-like of shape (n_target, n_features), or tuple of these
            Rows of the target domain, or of several, in the order of the fit.
        y_target : "predicted", array-like of shape (n_target,), tuple of these, or None, \
default="predicted"
            Colour of the target rows: by predicted class, by given labels, or grey for None.
        method : {"pca", "tsne"}, default="pca"
            Principal components, computed separately before and after; or t-SNE, which keeps
            neighbours together, but whose distances and sizes have no meaning. Columns and features
            are not scaled first.
        max_rows : int, default=500
            Maximum number of rows sampled per domain.
        random_state : int, RandomState instance or None, default=None
            Controls the sample of rows, the folds of the domain AUC, and t-SNE.
        ax : array-like of two matplotlib Axes or None, default=None
            As in :meth:`plot`.

        Returns
        -------
        DomainEmbeddingDisplay
            The plotted display.

        Raises
        ------
        TypeError
            If the estimator has no networks.
        ValueError
            If `method` is unknown, or rows, columns or labels do not match.
        NotFittedError
            If the estimator is not fitted.
        ImportError
            If matplotlib is missing.
        """
        require_matplotlib(cls.__name__)
        if method not in ("pca", "tsne"):
            raise ValueError(f"method={method!r} must be 'pca' or 'tsne'.")
        fitted, seed = find_network(estimator), derive_seed(random_state)
        X_source, targets = fitted.transform(X_source), fitted.transform(_as_tuple(X_target))
        is_predicted = isinstance(y_target, str) and y_target == "predicted"
        given: Any = (
            [None] * len(targets) if is_predicted or y_target is None else _as_tuple(y_target)
        )
        if len(given) != len(targets):
            raise ValueError(
                f"y_target has labels of {len(given)} targets but X_target has {len(targets)}; "
                f"pass a tuple of {len(targets)} arrays."
            )
        X_source, y = draw_labelled(X_source, y_source, max_rows, seed)
        drawn = [
            draw_labelled(match_target(name, rows, X_source), labels, max_rows, seed)
            for (name, rows), labels in zip(name_targets(targets).items(), given, strict=True)
        ]
        targets, given = tuple(rows for rows, _ in drawn), [labels for _, labels in drawn]
        X, is_target, _ = pool_domains(X_source, targets)
        features = transform(fitted.last, X_source, targets)
        predicted = predict(fitted.last, X_source, targets)
        features = np.asarray(features)
        n_source, classes = int((is_target == 0).sum()), getattr(fitted.last, "classes_", QUARTERS)
        if is_predicted:
            given = [predicted[n_source:]]
        if classes is QUARTERS:
            y, *given = _in_quarters([y, *given])
        n_rows = [n_source, *(rows.shape[0] for rows in targets)]
        before, names_before = _embed(X, method, seed, "columns")
        after, names_after = _embed(features, method, seed, "features")
        return cls(
            before=before,
            after=after,
            domain=np.repeat(-np.arange(len(n_rows)), n_rows),
            label=_label_index([y, *given], classes, n_rows, is_predicted),
            classes=classes,
            axis_names=(names_before, names_after),
            auc=_aucs(X, features, n_source, seed),
            target_name=_target_name(is_predicted, y_target),
        ).plot(ax)

    def plot(self, ax=None, *, scatter_kwargs=None):
        """Plot both panels side by side, with a marker per domain and a colour per class.

        Parameters
        ----------
        ax : array-like of two matplotlib Axes or None, default=None
            None creates a figure.
        scatter_kwargs : dict or None, default=None
            Passed to every ``Axes.scatter``.

        Returns
        -------
        DomainEmbeddingDisplay
            The display itself.

        Raises
        ------
        ValueError
            If the number of axes is wrong.
        ImportError
            If matplotlib is missing.
        """
        self.axes_, self.figure_ = axes_for(
            ax, 2, type(self).__name__, ncols=2, figsize=(10.0, 4.4)
        )
        self.scatters_ = []
        both: Any = zip(
            self.axes_,
            (self.before, self.after),
            ("before", "after"),
            self.axis_names,
            self.auc or (None, None),
            strict=True,
        )
        for panel, points, title, names, auc in both:
            self._scatter(panel, points, scatter_kwargs or {})
            title = title if auc is None else f"{title} (domain AUC {auc:.2f})"
            panel.set_title(title, fontsize="medium")
            panel.set(xlabel=names[0], ylabel=names[1], xticks=[], yticks=[])
        place: dict[str, Any] = {"loc": "best", "framealpha": 0.8, "fontsize": "small"}
        if ax is None:
            place = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5), "frameon": False}
        self.axes_[-1].legend(handles=self._legend(), **place)
        return self

    def _scatter(self, panel: Any, points: np.ndarray, options: dict[str, Any]) -> None:
        """Plot each domain and class, with hollow markers for the source."""
        colours = [*colours_of(len(self.classes)), GREY]  # index -1 is grey
        for domain in np.unique(self.domain)[::-1]:
            for label in np.unique(self.label):
                rows = (self.domain == domain) & (self.label == label)
                if rows.any():
                    style = {
                        "s": 22,
                        "linewidths": 0.8,
                        "alpha": 0.75,
                        "marker": _marker(domain),
                        "edgecolors": colours[label],
                        "facecolors": "none" if domain == 0 else colours[label],
                    }
                    self.scatters_.append(panel.scatter(*points[rows].T, **{**style, **options}))

    def _legend(self) -> list[Any]:
        """Legend entries: colours of classes, then markers of domains."""
        from matplotlib.lines import Line2D

        colours = colours_of(len(self.classes))
        entries = [
            Line2D([], [], ls="", marker="s", color=colours[label], label=str(self.classes[label]))
            for label in np.unique(self.label[self.label >= 0])
        ]
        domains = np.unique(self.domain)[::-1]
        for domain in domains:
            number = f" {-domain}" if len(domains) > 2 else ""
            name = self.target_name.replace("target", "target" + number) if domain else "source"
            style: dict[str, Any] = {"color": GREY, "markerfacecolor": GREY if domain else "none"}
            entries.append(Line2D([], [], ls="", marker=_marker(domain), label=name, **style))
        return entries


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _marker(domain: int) -> str:
    return MARKERS[-domain] if -domain < len(MARKERS) else MARKERS[-1]


def _target_name(is_predicted: bool, y_target: Any) -> str:
    if y_target is None:
        return "target"
    return "target, by predicted class" if is_predicted else "target, by given class"


def _in_quarters(labels: list[Any]) -> list[Any]:
    """Return the quarter of each number, by the first numbers that are given; None stays None."""
    known = [None if each is None else column_or_1d(unwrap(each, "y")) for each in labels]
    first = next((each for each in known if each is not None), np.zeros(1))
    edges = np.quantile(first.astype(np.float64), [0.25, 0.5, 0.75])
    return [None if each is None else QUARTERS[np.searchsorted(edges, each)] for each in known]


def _label_index(
    labels: list[Any], classes: np.ndarray, n_rows: list[int], is_predicted: bool
) -> np.ndarray:
    """Index of each label in the classes; -1 for rows without labels."""
    if is_predicted:  # one array for all targets
        n_rows = [n_rows[0], sum(n_rows[1:])]
    parts = []
    for label, size in zip(labels, n_rows, strict=True):
        if label is None:
            parts.append(np.full(size, -1))
            continue
        label = column_or_1d(unwrap(label, "y"))
        unknown = np.setdiff1d(label, classes)
        if len(unknown):
            raise ValueError(
                f"The labels {unknown.tolist()} are not among the classes of the fit, "
                f"{classes.tolist()}; leave those rows out, or pass None to plot them in grey."
            )
        parts.append(np.searchsorted(classes, label))
    return np.concatenate(parts)


def _embed(X: Any, method: str, seed: int, what: str) -> tuple[np.ndarray, tuple[str, str]]:
    """Two coordinates of each row, and names of the axes."""
    n_components = 2 if method == "pca" else TSNE_COLUMNS
    if method == "pca" or X.shape[1] > n_components or sp.issparse(X):
        X, shares = _principal_components(X, n_components, seed)
    if method == "tsne":
        from sklearn.manifold import TSNE  # slow to import

        perplexity = min(30.0, (X.shape[0] - 1) / 3)
        tsne = TSNE(perplexity=perplexity, init="random", random_state=seed)
        return tsne.fit_transform(X).astype(np.float64), (f"t-SNE 1 of the {what}", "t-SNE 2")
    if X.shape[1] == 1:
        X, shares = np.hstack([X, np.zeros_like(X)]), np.append(shares, 0.0)
    return X, (f"PC 1 of the {what} ({shares[0]:.0%})", f"PC 2 ({shares[1]:.0%})")


def _principal_components(X: Any, n_components: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates on the first principal components, and shares of the variance."""
    from sklearn.decomposition import PCA  # slow to import

    n_components = min(n_components, *X.shape)
    if sp.issparse(X):
        n_components = min(n_components, min(X.shape) - 1)
        solver = "arpack"
    else:
        solver = "full"
    X = X.astype(np.float64)
    pca = PCA(n_components, svd_solver=solver, random_state=seed)
    pca.set_output(transform="default")
    with np.errstate(invalid="ignore"):  # constant rows have no variance to share
        points = pca.fit_transform(X)
    return points, np.nan_to_num(pca.explained_variance_ratio_)


def _aucs(X: Any, features: np.ndarray, n_source: int, seed: int) -> tuple[float, float] | None:
    """Domain AUC of columns and features, or None if there are too few rows for folds."""
    cv = min(5, n_source, X.shape[0] - n_source)
    if cv < 2:
        return None
    both = (
        domain_auc(rows[:n_source], rows[n_source:], cv=cv, random_state=seed)
        for rows in (X, features)
    )
    return (next(both), next(both))
