"""Measure whether adaptation is likely to help, without target labels.

:func:`diagnose` computes the figures; :class:`skdann.inspection.Diagnosis` holds and prints them.

The class shares of the target are estimated with a separate linear classifier, out of fold, because
the predictions of an adversarially trained network are biased towards the shares of the source. The
shares explain the shift if the domains are alike once source rows are weighted to these shares.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score
from sklearn.utils import column_or_1d
from sklearn.utils.sparsefuncs import mean_variance_axis

from skdann._input.columns import MixedColumns
from skdann._input.containers import column_names, load, unwrap
from skdann._input.domain_columns import find_domain_columns
from skdann._input.drawing import draw_labelled
from skdann._input.matching import match_target, name_targets
from skdann._input.rows import check_rows_to_predict
from skdann._input.seeding import derive_seed
from skdann.inspection._report import ColumnShift, Diagnosis
from skdann.metrics._pooling import out_of_fold, pool_domains
from skdann.metrics._priors import bootstrap_shares
from skdann.metrics._weights import density_ratio, effective_sample_size

MAX_ROWS = 2000  # maximum number of rows examined per domain
MAX_COLUMNS = 1000  # columns whose distributions are compared, by largest difference of means
N_SHOWN = 5  # maximum number of columns listed

_Array = NDArray[Any]


def diagnose(
    estimator,
    X_source,
    X_target,
    *,
    y_source=None,
    random_state=None,
    predictor=None,
    names=None,
    reason="",
    shift="",
    changed=np.nan,
):
    """Diagnose a fitted domain-adaptive estimator.

    Parameters
    ----------
    estimator : fitted classifier or regressor
        Estimator with ``domains_``, ``predict`` and ``transform`` like those of DANNClassifier, and
        optionally ``history_``, to report on training, and ``_columns``, by which rows are encoded.
        Without ``classes_``, the report has no class shares.
    X_source : array-like, data frame or sparse matrix of shape (n_source, n_features)
        Rows of the source, as the estimator receives them.
    X_target : array-like of shape (n_target, n_features), or tuple of these
        Unlabelled rows of the target; several targets are pooled.
    y_source : array-like of shape (n_source,) or None, default=None
        Labels of the source rows. None uses the predictions of the estimator instead.
    random_state : int, RandomState instance or None, default=None
        Controls the sample of rows (at most 2,000 per domain) and the folds.
    predictor : fitted classifier or None, default=None
        Classifier whose predictions are reported: the search that the estimator is a member of.
        None uses the estimator.
    names : sequence of str or None, default=None
        Name of the raw column that each column comes from, if the rows are transformed ones. None
        uses the names of the columns.
    reason, shift, changed : str, str, float
        Outcome of that search.

    Returns
    -------
    Diagnosis
        Report with the figures.
    """
    seed = derive_seed(random_state)
    X_source = load(X_source)
    matched = [match_target(name, rows, X_source) for name, rows in name_targets(X_target).items()]
    n_most = MAX_ROWS // len(matched)
    targets = tuple(draw_labelled(rows, None, n_most, seed)[0] for rows in matched)
    X_source, y = draw_labelled(X_source, y_source, MAX_ROWS, seed)
    columns = getattr(estimator, "_columns", None)
    names_given = names is not None
    names = names if names_given else _column_names(estimator, X_source)
    groups = None if columns is None else [index for index, _ in columns.names(None)]
    if names_given:
        firsts = [list(names).index(name) for name in names]
        groups = firsts if groups is None else [firsts[index] for index in groups]
    predicted = predict(estimator if predictor is None else predictor, X_source, targets)
    if isinstance(columns, MixedColumns):
        X_source = check_rows_to_predict(estimator, X_source)
        targets = tuple(check_rows_to_predict(estimator, rows) for rows in targets)
    X, is_target, _ = pool_domains(X_source, targets)
    if columns is not None and columns.fill is not None and not sp.issparse(X):
        X = np.where(np.isnan(X), columns.fill, X)
    n_source = int((is_target == 0).sum())

    features = transform(estimator, X_source, targets)
    shares = _Shares({}, {}, {}, {}, None)
    if hasattr(estimator, "classes_"):
        y = predicted[:n_source] if y is None else column_or_1d(unwrap(y, "y_source"))
        shares = _compare_shares(estimator.classes_, X, y, predicted[n_source:], seed)

    cv = min(5, max(2, min(n_source, len(is_target) - n_source)))
    proba = out_of_fold(X, is_target, None, cv, seed)
    feature_proba = out_of_fold(features, is_target, None, cv, seed)
    report = Diagnosis(
        n_source=n_source,
        n_target=len(is_target) - n_source,
        n_features=X.shape[1] if columns is None else columns.n_raw,
        input_auc=float(roc_auc_score(is_target, proba)),
        feature_auc=float(roc_auc_score(is_target, feature_proba)),
        reweighted_auc=(
            np.nan
            if shares.weight is None
            else float(roc_auc_score(is_target, proba, sample_weight=shares.weight))
        ),
        columns=rank_columns(
            X,
            n_source,
            names,
            N_SHOWN,
            least_shift(n_source, len(is_target) - n_source, X.shape[1]),
            groups,
        ),
        source_shares=shares.source,
        target_shares=shares.target,
        predicted_shares=shares.predicted,
        effective_sample_size=effective_sample_size(density_ratio(proba, is_target)),
        feature_spread=_spread(features[n_source:]),
        **_last_epoch(getattr(estimator, "history_", None)),
        reason=reason,
        shift=shift,
        changed=changed,
        domain_columns=_name_domain_columns(columns, names, X, n_source),
        share_intervals=shares.intervals,
    )
    if report.is_label_shift or report.is_alike:
        return report
    return dataclasses.replace(report, target_shares={}, share_intervals={})


def _column_names(estimator: Any, X: Any) -> Any:
    """Return the names of the columns in the fit, or else in the rows; None without names."""
    for known in ("feature_names_in_", "_other_names"):
        if getattr(estimator, known, None) is not None:
            return getattr(estimator, known)
    return column_names(X)


class _Shares(NamedTuple):
    """Share of each class, by label, and weights of all rows that match the source to the target.

    `intervals` are those of the shares in the target.

    Labels that are numbers have no shares, and no weights.
    """

    source: dict[Any, float]
    target: dict[Any, float]
    predicted: dict[Any, float]
    intervals: dict[Any, Any]
    weight: _Array | None


def _compare_shares(classes: _Array, X: Any, y: _Array, predicted: _Array, seed: int) -> _Shares:
    """Compare the class shares; the rows of `X` after those of `y` are target rows."""
    is_class = _is_class(y, classes)
    source = is_class.mean(axis=0)
    target, intervals = bootstrap_shares(X, y, classes, seed)
    weight = np.ones(X.shape[0])
    weight[: len(y)] = is_class @ (target / np.where(source > 0, source, 1.0))
    labels, of_predicted = classes.tolist(), _is_class(predicted, classes).mean(axis=0)
    return _Shares(
        _by_label(labels, source),
        _by_label(labels, target),
        _by_label(labels, of_predicted),
        _by_label(labels, intervals),
        weight,
    )


def _name_domain_columns(columns: Any, names: Any, X: Any, n_source: int) -> tuple[str, ...]:
    """Names of the columns that tell the domains apart by themselves."""
    if columns is None:
        return ()
    found = find_domain_columns(columns, X[:n_source], X[n_source:])
    return tuple(_name(names, index) for index in found)


def _name(names: Any, index: int) -> str:
    return f"x{index}" if names is None else str(names[index])


def _parts(estimator: Any, X_source: Any, targets: tuple[Any, ...]) -> list[tuple[Any, int | None]]:
    """Return the rows of the source and of each target, with their domain in the fit."""
    domains = set(np.asarray(estimator.domains_).tolist())
    parts: list[tuple[Any, int | None]] = [(X_source, int(estimator.domains_[0]))]
    return parts + [(rows, -1 - j if -1 - j in domains else None) for j, rows in enumerate(targets)]


def transform(estimator: Any, X_source: Any, targets: tuple[Any, ...]) -> _Array:
    """Return the features of the rows of the source and all targets."""
    parts = _parts(estimator, X_source, targets)
    return np.concatenate([estimator.transform(rows, sample_domain=name) for rows, name in parts])


def predict(estimator: Any, X_source: Any, targets: tuple[Any, ...]) -> _Array:
    """Return the predicted labels of the rows of the source and all targets."""
    parts = _parts(estimator, X_source, targets)
    return np.concatenate([estimator.predict(rows, sample_domain=name) for rows, name in parts])


def _last_epoch(history: Any) -> dict[str, Any]:
    """Figures of the last epoch, if recorded; without a domain loss there was no adaptation."""
    if not history:
        return {}
    first, last = history[0], history[-1]
    return {
        "lambda_": last.get("lambda", np.nan) if "domain_loss" in last else 0.0,
        "domain_accuracy": last.get("domain_accuracy", np.nan),
        "label_loss": last.get("label_loss", np.nan),
        "first_label_loss": first.get("label_loss", np.nan),
    }


def _spread(features: _Array) -> float:
    """Root mean variance over root mean square; 0 for constant features."""
    features = features.astype(np.float64)
    mean_square = (features**2).mean()
    return float((features.var(axis=0).mean() / (mean_square or 1.0)) ** 0.5)


def _is_class(y: _Array, classes: _Array) -> _Array:
    """Indicator matrix of rows and classes."""
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(
            f"y_source holds labels {unknown.tolist()} that are not among the classes of the fit, "
            f"{classes.tolist()}; leave those rows out."
        )
    return np.asarray(y[:, None] == classes[None, :])


def _by_label(labels: list[Any], shares: Any) -> dict[Any, Any]:
    """Shares or intervals as a dict, by class label."""
    return dict(zip(labels, map(_plain, shares), strict=True))


def _plain(value: Any) -> Any:
    """A number, or a pair of numbers, of Python."""
    return tuple(value.tolist()) if np.ndim(value) else float(value)


def least_shift(n_source: int, n_target: int, n_columns: int) -> float:
    """Return the critical value of the KS statistic (5 %, Bonferroni-corrected over columns)."""
    return float((-np.log(0.025 / n_columns) / 2 * (1 / n_source + 1 / n_target)) ** 0.5)


def rank_columns(
    X: Any, n_source: int, names: Any, n_shown: int, least: float, groups: Any = None
) -> tuple[ColumnShift, ...]:
    """Columns with the largest KS statistic, among those of at least `least`.

    Of the columns of one group, such as the indicators of a category, only the first counts.
    """
    (mean_s, var_s), (mean_t, var_t) = _moments(X[:n_source]), _moments(X[n_source:])
    scale = ((var_s + var_t) / 2) ** 0.5
    change = mean_t - mean_s
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.where(change == 0, 0.0, change / scale)
    examined = np.argsort(-np.abs(change), kind="stable")[:MAX_COLUMNS]
    block = X[:, examined]
    block = block.toarray() if sp.issparse(block) else block
    ks = ks_2samp(block[:n_source], block[n_source:], method="asymp").statistic
    firsts: dict[int, int] = {}
    for i in np.argsort(-ks, kind="stable").tolist():
        firsts.setdefault(int(examined[i]) if groups is None else groups[examined[i]], i)
    best = [i for i in [*firsts.values()][:n_shown] if ks[i] >= least]
    return tuple(
        ColumnShift(
            _name(names, int(examined[i]) if groups is None else groups[examined[i]]),
            float(ks[i]),
            float(change[examined[i]]),
        )
        for i in best
    )


def _moments(X: Any) -> tuple[_Array, _Array]:
    """Mean and variance of each column."""
    if sp.issparse(X):
        mean, var = mean_variance_axis(X.astype(np.float64), axis=0)
        return mean, var
    return X.mean(axis=0, dtype=np.float64), X.var(axis=0, dtype=np.float64)
