"""Checks of two-domain input, and the errors and warnings they raise.

The input of a fit passes through :func:`check_domains` before training. The result is one
:class:`DomainData`: the rows of all domains stacked as float32 (sparse input stays CSR), source
rows first, in the user's order.

Domains are named by integers: source domains 0, 1, ... and targets -1, -2, ... unless
`sample_domain` names them otherwise.

Warnings: ``UserWarning`` <- ``SourceOnlyWarning``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from skdann._input.blocks import check_memory
from skdann._input.callers import is_cut
from skdann._input.columns import TableColumns
from skdann._input.containers import column_names, load, refuse_dataset, shape_of
from skdann._input.domain_columns import warn_of_domain_columns
from skdann._input.encoded import is_encoded, mark_encoded
from skdann._input.labels import check_labels, check_weight
from skdann._input.matching import match_target, name_targets
from skdann._input.messages import warn_user
from skdann._input.row_domains import check_known, check_sample_domain, index_in
from skdann._input.rows import check_names, check_table
from skdann._input.scales import stack_float32, warn_if_unscaled
from skdann._input.tables import read_tables
from skdann._input.target_labels import check_target_labels, stack_labels

# labels that usually mark unlabelled rows, also after a conversion to text
UNLABELLED = {-1, "-1", "", "?", "nan", "NaN", "None", "<NA>", "NaT", "unlabeled", "unlabelled"}
MARKED = (
    "Rows labelled {!r} are trained on as a class: if they are unlabelled, pass them as X_target, "
    "or mark them by a negative sample_domain."
)
NO_TARGETS = "pass one array per target domain, or None to train on the source alone"


class SourceOnlyWarning(UserWarning):
    """There are no target rows, so the network is trained on the source alone.

    Examples
    --------
    >>> import warnings
    >>> from skdann import DANNClassifier, SourceOnlyWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", SourceOnlyWarning)
    ...     clf = DANNClassifier(max_epochs=2, random_state=0).fit([[0.0], [1.0]], [0, 1])
    """


@dataclass(frozen=True)
class DomainData:
    """Checked rows of all domains.

    Attributes
    ----------
    X : ndarray or CSR of shape (n_rows, n_features), float32
        Source rows first, then the rows of each target, encoded.
    y : ndarray of shape (n_source,), int64, or of shape (n_source, n_outputs), float
        Class index of each source row, or its numbers.
    domain : ndarray of shape (n_rows,), int64
        Domain index of each row.
    weight : ndarray of shape (n_source,), float64, or None
        Sample weights, all positive: rows of weight 0 have been left out.
    classes : ndarray
        Labels of the classes; empty if the labels are numbers.
    domains : ndarray
        Names of the domains, sources first.
    n_targets : int
        Number of target domains, the last ones of `domains`.
    feature_names : ndarray of str or None
        Column names of the input, if they are strings.
    other_names : list or None
        Column names of the input, if they are not strings.
    labelled : ndarray of int of shape (n_labelled,), or None
        Indices of the target rows that have labels; None if there are none.
    y_labelled : ndarray of shape (n_labelled,) or (n_labelled, n_outputs), or None
        Class indices or numbers of these rows.
    label_shift : LabelShift or None
        Correction for label shift, once it has been estimated.
    label_scale : LabelScale or None
        Scale of the numbers in `y`, once they are scaled.
    is_unscaled : bool
        Whether a warning has said that columns are unscaled.
    columns : TableColumns or None
        Encoding of the raw columns; None if `X` holds no raw columns.
    """

    X: Any
    y: np.ndarray
    domain: np.ndarray
    weight: np.ndarray | None
    classes: np.ndarray
    domains: np.ndarray
    n_targets: int
    feature_names: np.ndarray | None
    other_names: list[Any] | None = None
    labelled: np.ndarray | None = None
    y_labelled: np.ndarray | None = None
    label_shift: Any = None
    label_scale: Any = None
    is_unscaled: bool = False
    columns: TableColumns | None = None

    @property
    def n_source(self) -> int:
        """Number of source rows."""
        return len(self.y)

    @property
    def y_known(self) -> np.ndarray:
        """Labels of the source rows or, if target rows are labelled, of all rows; else 0."""
        if self.labelled is None:
            return self.y
        labels = np.zeros((len(self.domain), *self.y.shape[1:]), dtype=self.y.dtype)
        labels[: self.n_source], labels[self.labelled] = self.y, self.y_labelled
        return labels

    @property
    def has_classes(self) -> bool:
        """Whether the labels are classes, not numbers."""
        return len(self.classes) > 0

    @property
    def n_outputs(self) -> int:
        """Number of outputs of G_y: one per class, or one per number to predict."""
        return len(self.classes) if self.has_classes else int(self.y.shape[1])

    @property
    def n_features(self) -> int:
        """Number of encoded columns."""
        return int(self.X.shape[1])

    @property
    def n_raw(self) -> int:
        """Number of columns of the table."""
        if self.columns is None or not is_encoded(self.X):
            return self.n_features
        return self.columns.n_raw

    def without_names(self) -> DomainData:
        """Return the same rows without column names, as if they had been passed encoded."""
        columns = None if is_encoded(self.X) else self.columns
        return replace(self, feature_names=None, other_names=None, columns=columns)


def check_domains(
    X_source: Any,
    y_source: Any,
    X_target: Any = None,
    *,
    y_target: Any = None,
    sample_weight: Any = None,
    sample_domain: Any = None,
    classes: Any = None,
    domains: Any = None,
    least_target: int = 2,
    scales_columns: bool = True,
    columns: TableColumns | None = None,
    read_labels: Callable[..., tuple[np.ndarray, np.ndarray]] = check_labels,
    is_chunk: bool = False,
    estimator: str = "DANNClassifier",
) -> DomainData:
    """Check the input of a fit, or a chunk of `partial_fit`.

    Parameters
    ----------
    X_source : array-like, data frame, tensor or sparse matrix of shape (n_samples, n_features)
        Labelled rows; target rows too where `sample_domain` is negative.
    y_source : array-like of shape (n_samples,)
        Labels; ignored where `sample_domain` is negative.
    X_target : array-like of shape (n_target, n_features), tuple of these, or None
        Unlabelled rows, one array per target domain.
    y_target : array-like of shape (n_target,), tuple of these, or None
        Labels of some rows of `X_target`.
    sample_weight, sample_domain : array-like of shape (n_samples,) or None
        Weights of the rows of `X_source`; their domains.
    classes : array-like or None
        All classes there will be; None takes those of `y_source`.
    domains : ndarray of int or None
        Names of all domains of the first chunk, sources first. A later chunk may lack source
        domains but no target. None takes the domains of this input.
    least_target : int, default=2
        Least number of rows of each target.
    scales_columns : bool, default=True
        Whether the estimator scales the columns itself; if not, columns on very different scales
        raise a warning.
    columns : TableColumns or None, default=None
        Encoding of an earlier fit that this one continues; None fits one.
    read_labels : callable, default=check_labels
        Checks the labels: of classes, or :func:`skdann._input.numeric_labels.check_numbers`.
    is_chunk : bool, default=False
        Whether the rows are a chunk of `partial_fit`; `classes` tells this too.
    estimator : str
        Name of the estimator in error messages.

    Returns
    -------
    DomainData
        The checked rows.

    Raises
    ------
    ValueError, TypeError
        If the input is invalid; the text gives value, expectation and remedy.

    Warns
    -----
    SourceOnlyWarning
        If there are no target rows.
    DomainColumnWarning
        If a column tells the domains apart by itself.
    UserWarning
        If rows of the target may be lost, or columns are unscaled.
    """
    if y_source is None:
        refuse_dataset(X_source, "X_source")  # which holds the labels too
        raise ValueError(
            f"{estimator} requires y to be passed, but the target y is None; pass the labels of "
            "the source rows as y_source."
        )
    check_memory(X_source, "X_source")
    X_source = load(X_source)
    is_first = columns is None
    n_rows = check_table(X_source, "X_source", estimator)[0]
    names = column_names(X_source)
    feature_names, other_names = check_names(names, "X_source")
    is_chunk = is_chunk or classes is not None
    size = _LeastSize(least_target, is_chunk=is_chunk, is_first=domains is None)
    tables = _match_targets(X_target, X_source, size)
    columns, (source, *parts) = read_tables({"X_source": X_source, **tables}, columns, estimator)
    row_domain = check_sample_domain(sample_domain, n_rows)
    targets = _group_targets(source, parts)
    for name in np.unique(row_domain[row_domain < 0]).tolist():
        targets.setdefault(name, []).append(source[row_domain == name])
        size.check(targets[name], name)
    weight = check_weight(sample_weight, source, row_domain)
    is_kept = row_domain >= 0 if weight is None else (row_domain >= 0) & (weight > 0)
    label, known_classes = read_labels(y_source, is_kept, classes)
    n_outputs = label.shape[1] if label.ndim == 2 else 1
    labels = check_target_labels(y_target, tables, known_classes, n_outputs)
    kept = source if is_kept.all() else source[is_kept]
    X, row_domain = _stack(kept, row_domain[is_kept], targets)
    known = check_known(row_domain, domains, estimator)
    if X_target is not None and not isinstance(X_target, tuple):
        _warn_if_cut(targets[-1][0].shape[0], n_rows)
    is_unscaled = False
    if targets:
        _warn_of_repeated_rows(X, label, known_classes)
        parts = [part for parts in targets.values() for part in parts]
        is_unscaled = warn_if_unscaled(kept, parts, scales_columns=scales_columns)
        if is_first and (names is not None or is_encoded(source)):
            warn_of_domain_columns(columns, names, X[: len(label)], X[len(label) :])
    else:
        _warn_source_only(known_classes, known, estimator)
    domain = index_in(known, row_domain)
    n_targets = int((known < 0).sum())
    labelled, y_labelled = stack_labels(labels, domain, n_targets) or (None, None)
    return DomainData(
        X=X,
        y=label,
        domain=domain,
        weight=None if weight is None else weight[is_kept],
        classes=known_classes,
        domains=known,
        n_targets=n_targets,
        feature_names=feature_names,
        other_names=other_names,
        labelled=labelled,
        y_labelled=y_labelled,
        is_unscaled=is_unscaled,
        columns=columns,
    )


@dataclass
class _LeastSize:
    """Least number of rows of a target, which may be the first or a later chunk of a longer one."""

    n_rows: int
    is_chunk: bool
    is_first: bool

    def check(self, parts: Sequence[Any], domain: int) -> None:
        """Raise if a target, of X_target or of sample_domain, has too few rows to learn from."""
        n_rows = sum(shape_of(part)[0] for part in parts)
        if n_rows >= self.n_rows:
            return
        remedy = "Leave it out to train without it"
        if self.is_chunk and self.is_first:
            remedy = "Pass more target rows in the first chunk"
        elif self.is_chunk:
            remedy = "Skip this chunk, or pass earlier target rows with it again"
        raise ValueError(
            f"X_target or sample_domain: target domain {domain} has {n_rows} "
            f"row{'s' * (n_rows != 1)}; at least {self.n_rows} needed to adapt to it. {remedy}."
        )


def _match_targets(X_target: Any, X_source: Any, size: _LeastSize) -> dict[str, Any]:
    """Return the rows of each target by the name of the argument, with the source's columns."""
    matched: dict[str, Any] = {}
    if X_target is None:
        return matched
    for index, (name, rows) in enumerate(name_targets(X_target, NO_TARGETS).items()):
        check_memory(rows, name)
        matched[name] = match_target(name, rows, X_source)
        size.check([matched[name]], -1 - index)
    return matched


def _group_targets(source: Any, parts: Sequence[Any]) -> dict[int, list[Any]]:
    """Return the rows of each target by the name of its domain, sparse if the source is."""
    targets: dict[int, list[Any]] = {}
    for index, values in enumerate(parts):
        if sp.issparse(source) and not sp.issparse(values):
            values = sp.csr_array(values)  # a frame may have sparse columns in one domain only
        elif sp.issparse(values) and not sp.issparse(source):
            values = values.toarray()
        targets[-1 - index] = [values]
    return targets


def _stack(
    kept: Any, source_domain: np.ndarray, targets: dict[int, list[Any]]
) -> tuple[Any, np.ndarray]:
    """Stack source rows and the rows of each target; return the domain of each row with them."""
    names = sorted(targets, reverse=True)
    sizes = [sum(part.shape[0] for part in targets[name]) for name in names]
    target_domain = np.repeat(np.array(names, dtype=np.int64), sizes)
    X = stack_float32([kept, *(part for name in names for part in targets[name])])
    if is_encoded(kept):
        X = mark_encoded(X, kept.encoding)
    return X, np.concatenate([source_domain, target_domain])


def _warn_source_only(classes: np.ndarray, domains: np.ndarray, estimator: str) -> None:
    """Warn that nothing is adapted to, and of rows that may be meant as a target."""
    text = (
        f"{estimator} got no target rows and trains on the source alone, without adaptation; pass "
        "the unlabelled rows as X_target (a tuple (X_target,) in cross-validation)."
    )
    marks = _find_marks(classes)
    if marks:
        text += f" {MARKED.format(marks[0])}"
    if len(domains) > 1:
        text += f" The domains {domains.tolist()} are sources; targets have negative numbers."
    warn_user(text, SourceOnlyWarning)


def _warn_of_repeated_rows(X: Any, label: np.ndarray, classes: np.ndarray) -> None:
    """Warn if the rows of a class that may mark unlabelled rows are the rows of the target.

    Otherwise such labels, like -1, are classes like others.
    """
    for mark in _find_marks(classes):
        marked = np.flatnonzero(label == classes.tolist().index(mark))
        target = X[len(label) :]
        if len(marked) == target.shape[0] and _are_equal(X[marked], target):
            warn_user(f"X_source contains the rows of X_target. {MARKED.format(mark)}")


def _find_marks(classes: np.ndarray) -> list[Any]:
    """Return the classes that may mark unlabelled rows, if there are two others."""
    return [each for each in classes.tolist() if each in UNLABELLED] if len(classes) > 2 else []


def _are_equal(first: Any, second: Any) -> bool:
    return (first != second).nnz == 0 if sp.issparse(first) else np.array_equal(first, second)


def _warn_if_cut(n_target: int, n_source: int) -> None:
    """Warn that a cross-validation has cut a bare X_target along with X_source.

    scikit-learn cuts every array-like fit parameter that has as many rows as X. What arrives has as
    many rows as the fold.
    """
    if n_target == n_source and is_cut("X_target", n_source):
        warn_user(
            "X_target had as many rows as X_source, and cross-validation, calibration and bagging "
            f"cut such arrays along with X_source: only {n_source} rows arrived. Pass a tuple, "
            "X_target=(X_target,), which is never cut."
        )
