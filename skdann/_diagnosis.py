"""Does adaptation help here? A report on a fitted estimator, without target labels.

:func:`diagnose` measures, :class:`Diagnosis` holds the figures and prints them, and `RULES` turns
them into sentences: a table of name, condition and sentence.

The target's class shares are estimated with a classifier of its own, linear and out of fold, not
with the fitted network, whose predictions adversarial training bends towards the source's shares.
They explain the shift where the domains look alike once source rows are weighted to these shares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.utils import check_consistent_length, column_or_1d, resample
from sklearn.utils.sparsefuncs import mean_variance_axis

from skdann.metrics import (
    _density_ratio,
    _draw_seed,
    _linear_classifier,
    _match_target,
    _out_of_fold,
    _pool_domains,
    effective_sample_size,
    estimate_target_priors,
)

MAX_ROWS = 2000  # looked at, of each domain
MAX_COLUMNS = 1000  # whose distributions are compared: those whose means differ most
N_SHOWN = 5  # columns listed

_Array = NDArray[Any]


class ColumnShift(NamedTuple):
    """How far a column moves: Kolmogorov-Smirnov statistic, and mean in standard deviations."""

    name: str
    ks: float
    mean_shift: float


class _Move(NamedTuple):
    """A class and its share before and after."""

    label: Any
    before: float
    after: float


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What :func:`diagnose` found; it prints as a report.

    Attributes
    ----------
    n_source, n_target, n_features : int
        Rows looked at, and columns.
    input_auc, feature_auc : float
        Domain AUC of the columns, and of the features: 0.5 alike, 1 apart.
    reweighted_auc : float
        That of the columns with source rows weighted to the target's estimated class shares: near
        0.5 where label shift is all there is.
    columns : tuple of ColumnShift
        The columns that shift most, none if no shift is beyond chance.
    source_shares, target_shares, predicted_shares : dict
        Share of each class in the source, estimated in the target, and predicted in the target.
    effective_sample_size : float
        Of the importance weights of the source rows looked at.
    feature_spread : float
        Root mean variance of the target's features over their root mean square.
    lambda_, domain_accuracy, label_loss, first_label_loss : float
        Of the last epoch and the first; nan where not recorded.
    """

    n_source: int
    n_target: int
    n_features: int
    input_auc: float
    feature_auc: float
    reweighted_auc: float
    columns: tuple[ColumnShift, ...]
    source_shares: dict[Any, float]
    target_shares: dict[Any, float]
    predicted_shares: dict[Any, float]
    effective_sample_size: float
    feature_spread: float
    lambda_: float = np.nan
    domain_accuracy: float = np.nan
    label_loss: float = np.nan
    first_label_loss: float = np.nan

    @property
    def findings(self) -> dict[str, str]:
        """Sentences of the rules that hold, by the rules' names; the first is the verdict."""
        return {name: text.format(d=self) for name, holds, text in RULES if holds(self)}

    @property
    def is_alike(self) -> bool:
        """Whether the columns hardly tell the domains apart, chance allowed for."""
        # three deviations of the AUC of a fixed score; one out of fold varies nearly twice as much
        n, m = self.n_source, self.n_target
        return self.input_auc < 0.5 + max(0.05, 3 * ((n + m + 1) / (12 * n * m)) ** 0.5)

    @property
    def is_label_shift(self) -> bool:
        """Whether class shares differ and explain most of what tells the domains apart."""
        moved = sum(abs(self.target_shares[k] - self.source_shares[k]) for k in self.source_shares)
        is_explained = self.reweighted_auc - 0.5 < 0.4 * (self.input_auc - 0.5)
        return moved / 2 > 0.1 and is_explained and not self.is_alike

    @property
    def is_shifted(self) -> bool:
        """Whether the domains differ otherwise, as adaptation supposes."""
        return not (self.is_alike or self.is_label_shift or self.is_collapsed)

    @property
    def is_apart(self) -> bool:
        """Whether the features keep more than half of what told the columns' domains apart."""
        return self.feature_auc - 0.5 > max(0.1, 0.5 * (self.input_auc - 0.5))

    @property
    def is_collapsed(self) -> bool:
        """Whether nearly all target rows get one class, far more than in the source."""
        return self.major.after > 0.95 and self.major.before < 0.8

    @property
    def major(self) -> _Move:
        """Class predicted most in the target: its share in the source and as predicted."""
        label = max(self.predicted_shares, key=self.predicted_shares.__getitem__)
        return _Move(label, self.source_shares[label], self.predicted_shares[label])

    @property
    def grown(self) -> _Move:
        """Class that gains most in the target: its share in the source and as estimated."""
        label = max(self.source_shares, key=lambda k: self.target_shares[k] - self.source_shares[k])
        return _Move(label, self.source_shares[label], self.target_shares[label])

    def _tables(self) -> list[list[tuple[str, ...]]]:
        """Rows of each part of the report, the header first."""
        shares = self.source_shares, self.target_shares, self.predicted_shares
        losses = f"{self.first_label_loss:.2f} to {self.label_loss:.2f}"
        training = [
            ("lambda, at the end", f"{self.lambda_:.2g}"),
            ("label loss, first to last", losses),
            ("domain accuracy", f"{self.domain_accuracy:.2f}"),
        ]
        return [
            [
                ("Telling the domains apart", "AUC"),
                ("columns", f"{self.input_auc:.2f}"),
                ("columns, class shares matched", f"{self.reweighted_auc:.2f}"),
                ("features", f"{self.feature_auc:.2f}"),
            ],
            [
                ("Columns that shift most", "KS", "mean"),
                *((c.name, f"{c.ks:.2f}", f"{c.mean_shift:+.2f} SD") for c in self.columns),
                *([] if self.columns else [("none beyond chance",)]),
            ],
            [
                ("Class shares", "source", "target, estimated", "target, predicted"),
                *(
                    (str(label), *(f"{of[label]:.0%}" for of in shares))
                    for label in self.source_shares
                ),
            ],
            [
                ("Weighted to the target", "rows"),
                ("source rows", f"{self.n_source:,}"),
                ("worth, effectively", f"{self.effective_sample_size:,.0f}"),
            ],
            [("Training", "value"), *(row for row in training if "nan" not in row[1])],
        ]

    def _title(self) -> str:
        return (
            f"Diagnosis of {self.n_source:,} source rows and {self.n_target:,} target rows, "
            f"{self.n_features:,} columns"
        )

    def __repr__(self) -> str:
        tables = self._tables()
        first = 4 + max(len(row[0]) for table in tables for row in table)
        lines = [self._title(), ""]
        lines += [fill(f"* {text}", 79, subsequent_indent="  ") for text in self.findings.values()]
        for head, *rows in tables:
            widths = [max(len(name), 12) + 2 for name in head[1:]]
            lines.append("")
            for name, *cells in (head, *(("  " + row[0], *row[1:]) for row in rows)):
                aligned = (f"{c:>{w}}" for c, w in zip(cells, widths, strict=False))
                lines.append(f"{name:{first}}{''.join(aligned)}".rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        items = (f"<li>{escape(text)}</li>" for text in self.findings.values())
        parts = [f"<p><strong>{escape(self._title())}</strong></p>", "<ul>", *items, "</ul>"]
        for head, *rows in self._tables():
            parts += ["<table>", f"<thead>{_html_row(head, 'th')}</thead>", "<tbody>"]
            parts += [*(_html_row(row, "td") for row in rows), "</tbody>", "</table>"]
        return "\n".join(["<div>", *parts, "</div>"])


# Exactly one of the rules down to "adapted" holds: the verdict. The others are warnings beside it.
RULES: tuple[tuple[str, Callable[[Diagnosis], bool], str], ...] = (
    (
        "collapse",
        lambda d: d.is_collapsed,
        "The predictions may have collapsed: {d.major.after:.0%} of the target rows get class "
        "{d.major.label}, which has {d.major.before:.0%} of the source. Next: check that the "
        "target is scaled like the source, lower lambda_max, and compare with lambda_max=0.",
    ),
    (
        "alike",
        lambda d: d.is_alike and not d.is_collapsed,
        "Adaptation has little to gain: the domains are nearly alike (AUC {d.input_auc:.2f}). "
        "Next: keep lambda_max=0.",
    ),
    (
        "label_shift",
        lambda d: d.is_label_shift and not d.is_collapsed,
        "Adaptation can harm: label shift is likely. The share of class {d.grown.label} is "
        "estimated as {d.grown.after:.0%} in the target against {d.grown.before:.0%} in the "
        "source, and with the class shares matched the AUC falls from {d.input_auc:.2f} to "
        "{d.reweighted_auc:.2f}. Next: compare with lambda_max=0, and avoid domain_batch.",
    ),
    (
        "not_adapted",
        lambda d: d.is_shifted and not d.lambda_ > 0,
        "Adaptation may help: the domains differ (AUC {d.input_auc:.2f}), not by class shares "
        "alone, and this network was trained without it. Next: try lambda_max > 0.",
    ),
    (
        "features_apart",
        lambda d: d.is_shifted and d.lambda_ > 0 and d.is_apart,
        "Adaptation may help, but has done little yet: the features still tell the domains apart "
        "(AUC {d.feature_auc:.2f}, the columns {d.input_auc:.2f}). Next: raise lambda_max or "
        "max_epochs, and compare with lambda_max=0.",
    ),
    (
        "adapted",
        lambda d: d.is_shifted and d.lambda_ > 0 and not d.is_apart,
        "Adaptation may help, and took effect: the features tell the domains apart less than the "
        "columns (AUC {d.feature_auc:.2f} against {d.input_auc:.2f}). That does not show that the "
        "classes match. Next: compare with lambda_max=0.",
    ),
    (
        "flat_features",
        lambda d: d.feature_spread < 0.05,
        "The features hardly differ from one target row to the next: they have collapsed. Next: "
        "lower lambda_max or lr.",
    ),
    (
        "label_loss_rose",
        lambda d: d.label_loss > d.first_label_loss,
        "The loss on the source labels rose in training ({d.first_label_loss:.2f} to "
        "{d.label_loss:.2f}). Next: lower lambda_max or lr.",
    ),
    (
        "no_overlap",
        lambda d: d.effective_sample_size < max(0.02 * d.n_source, 10),
        "The domains hardly overlap: weighted to the target, the source is worth "
        "{d.effective_sample_size:.0f} rows. Next: do not choose by importance-weighted scores.",
    ),
    (
        "few_rows",
        lambda d: min(d.n_source, d.n_target) < 100,
        "One domain has fewer than 100 rows: read all figures with care.",
    ),
)


def _html_row(cells: tuple[str, ...], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def diagnose(estimator, X_source, X_target, *, y_source=None, random_state=None):
    """Diagnose a fitted domain-adaptive classifier.

    Parameters
    ----------
    estimator : fitted classifier
        With ``classes_``, ``domains_``, ``predict`` and ``transform`` as DANNClassifier has them,
        and ``history_`` where training is to be reported.
    X_source : array-like, data frame or sparse matrix of shape (n_source, n_features)
        Rows of the source, as the estimator takes them.
    X_target : array-like of shape (n_target, n_features), or tuple of these
        Unlabelled rows of the target; several targets are judged as one.
    y_source : array-like of shape (n_source,) or None, default=None
        Labels of the source rows; None takes the estimator's predictions for them.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw of rows (at most 2,000 a domain) and of the folds.

    Returns
    -------
    Diagnosis
        The report.
    """
    seed = _draw_seed(random_state)
    targets = X_target if isinstance(X_target, tuple) else (X_target,)
    X_source, y = _draw(X_source, y_source, MAX_ROWS, seed)
    targets = tuple(
        _draw(_match_target(X_source, rows), None, MAX_ROWS // len(targets), seed)[0]
        for rows in targets
    )
    X, is_target, names = _pool_domains(X_source, targets)
    n_source = int((is_target == 0).sum())

    features, predicted = _infer(estimator, X_source, targets)
    y = predicted[:n_source] if y is None else column_or_1d(y)
    is_class = _is_class(y, estimator.classes_)
    source_shares = is_class.mean(axis=0)
    target_shares = _estimate_shares(X, y, estimator.classes_, seed)
    predicted_shares = _is_class(predicted[n_source:], estimator.classes_).mean(axis=0)
    weight = np.ones(len(is_target))
    weight[:n_source] = is_class @ (target_shares / np.where(source_shares > 0, source_shares, 1.0))

    cv = min(5, max(2, min(n_source, len(is_target) - n_source)))
    proba = _out_of_fold(X, is_target, None, cv, seed)
    feature_proba = _out_of_fold(features, is_target, None, cv, seed)
    labels = estimator.classes_.tolist()
    return Diagnosis(
        n_source=n_source,
        n_target=len(is_target) - n_source,
        n_features=X.shape[1],
        input_auc=float(roc_auc_score(is_target, proba)),
        feature_auc=float(roc_auc_score(is_target, feature_proba)),
        reweighted_auc=float(roc_auc_score(is_target, proba, sample_weight=weight)),
        columns=_rank_columns(X, n_source, getattr(estimator, "feature_names_in_", names)),
        source_shares=_by_label(labels, source_shares),
        target_shares=_by_label(labels, target_shares),
        predicted_shares=_by_label(labels, predicted_shares),
        effective_sample_size=effective_sample_size(_density_ratio(proba, is_target)),
        feature_spread=_spread(features[n_source:]),
        **_last_epoch(getattr(estimator, "history_", None)),
    )


def _infer(estimator: Any, X_source: Any, targets: tuple[Any, ...]) -> tuple[_Array, _Array]:
    """Features and predicted labels of the rows of the source and of all targets."""
    known = set(np.asarray(estimator.domains_).tolist())
    parts: list[tuple[Any, int | None]] = [(X_source, int(estimator.domains_[0]))]
    parts += [(rows, -1 - j if -1 - j in known else None) for j, rows in enumerate(targets)]
    features = [estimator.transform(rows, sample_domain=name) for rows, name in parts]
    predicted = [estimator.predict(rows, sample_domain=name) for rows, name in parts]
    return np.concatenate(features), np.concatenate(predicted)


def _last_epoch(history: Any) -> dict[str, float]:
    """Figures of the last epoch, where recorded; without a domain loss there was no adaptation."""
    if not history:
        return {}
    first, last = history[0], history[-1]
    return {
        "lambda_": last.get("lambda", np.nan) if "domain_accuracy" in last else 0.0,
        "domain_accuracy": last.get("domain_accuracy", np.nan),
        "label_loss": last.get("label_loss", np.nan),
        "first_label_loss": first.get("label_loss", np.nan),
    }


def _spread(features: _Array) -> float:
    """Root mean variance over root mean square; 0 for features that are constant."""
    features = features.astype(np.float64)
    mean_square = (features**2).mean()
    return float((features.var(axis=0).mean() / (mean_square or 1.0)) ** 0.5)


def _draw(X: Any, y: Any, n_most: int, seed: int) -> tuple[Any, Any]:
    """Draw at most so many rows, with their labels."""
    arrays = (X,) if y is None else (X, y)
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    if n_rows > n_most:
        drawn = resample(*arrays, replace=False, n_samples=n_most, random_state=seed)
        return (drawn, None) if y is None else tuple(drawn)
    check_consistent_length(*arrays)
    return X, y


def _is_class(y: _Array, classes: _Array) -> _Array:
    """Whether each row is of each class."""
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(
            f"y_source holds labels {unknown.tolist()} that are not among the classes of the fit, "
            f"{classes.tolist()}; leave those rows out."
        )
    return np.asarray(y[:, None] == classes[None, :])


def _by_label(labels: list[Any], shares: _Array) -> dict[Any, float]:
    return dict(zip(labels, shares.tolist(), strict=True))


def _estimate_shares(X: Any, y: _Array, classes: _Array, seed: int) -> _Array:
    """Class shares of the target rows, which follow the source rows in X, under label shift."""
    counts = _is_class(y, classes).sum(axis=0)
    has_rows = counts > 1  # one in training and one out of fold
    if has_rows.sum() < 2:
        return counts / counts.sum()
    kept = np.flatnonzero(np.isin(y, classes[has_rows]))
    rows, label = X[kept], y[kept]
    model = _linear_classifier(X)
    folds = StratifiedKFold(min(5, counts[has_rows].min()), shuffle=True, random_state=seed)
    proba = cross_val_predict(model, rows, label, cv=folds, method="predict_proba")
    target_proba = model.fit(rows, label).predict_proba(X[len(y) :])
    shares = np.zeros(len(classes))
    shares[has_rows] = estimate_target_priors(proba, label, target_proba, method="bbse")
    return shares


def _rank_columns(X: Any, n_source: int, names: Any) -> tuple[ColumnShift, ...]:
    """Columns that shift most by the KS statistic, of those beyond chance (5 %, Bonferroni)."""
    n_target, n_columns = X.shape[0] - n_source, X.shape[1]
    (mean_s, var_s), (mean_t, var_t) = _moments(X[:n_source]), _moments(X[n_source:])
    scale = ((var_s + var_t) / 2) ** 0.5
    moved = mean_t - mean_s
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = np.where(moved == 0, 0.0, moved / scale)
    looked_at = np.argsort(-np.abs(moved), kind="stable")[:MAX_COLUMNS]
    block = X[:, looked_at]
    block = block.toarray() if sp.issparse(block) else block
    ks = ks_2samp(block[:n_source], block[n_source:], method="asymp").statistic
    by_chance = (-np.log(0.025 / n_columns) / 2 * (1 / n_source + 1 / n_target)) ** 0.5
    best = [i for i in np.argsort(-ks, kind="stable")[:N_SHOWN] if ks[i] > by_chance]
    return tuple(
        ColumnShift(
            f"x{looked_at[i]}" if names is None else str(names[looked_at[i]]),
            float(ks[i]),
            float(moved[looked_at[i]]),
        )
        for i in best
    )


def _moments(X: Any) -> tuple[_Array, _Array]:
    """Mean and variance of each column."""
    if sp.issparse(X):
        mean, var = mean_variance_axis(X.astype(np.float64), axis=0)
        return mean, var
    return X.mean(axis=0, dtype=np.float64), X.var(axis=0, dtype=np.float64)
