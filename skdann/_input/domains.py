"""Checks of two-domain input, and the errors and warnings they raise.

All of a fit's input passes through :func:`check_domains` before anything is trained. It leaves one
:class:`DomainData`: the rows of every domain stacked as float32 (sparse input stays CSR), source
rows first, in the user's order.

Domains are named by integers: source domains 0, 1, ... and targets -1, -2, ... unless
`sample_domain` names them otherwise.

Warnings: ``UserWarning`` <- ``SourceOnlyWarning``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skdann._input.labels import check_labels, check_weight
from skdann._input.rows import (
    check_matrix,
    check_target_size,
    check_targets,
    column_names,
    naming,
    shape_of,
    stack_float32,
    warn_if_unscaled,
)


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
        Source rows first, then the rows of each target.
    y : ndarray of shape (n_source,), int64
        Index of each source row's class.
    domain : ndarray of shape (n_rows,), int64
        Index of each row's domain.
    weight : ndarray of shape (n_source,), float64, or None
        Sample weights, all positive: rows of weight 0 have been left out.
    classes, domains : ndarray
        Labels of the classes; names of the domains, sources first.
    n_targets : int
        How many of the domains are targets: the last ones.
    feature_names : ndarray of str or None
        Column names, where the input had any.
    label_shift : LabelShift or None
        What is done about label shift, once that is found.
    """

    X: Any
    y: np.ndarray
    domain: np.ndarray
    weight: np.ndarray | None
    classes: np.ndarray
    domains: np.ndarray
    n_targets: int
    feature_names: np.ndarray | None
    label_shift: Any = None

    @property
    def n_source(self) -> int:
        """Number of source rows."""
        return len(self.y)

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return int(self.X.shape[1])

    def without_names(self) -> DomainData:
        """Return the same rows without column names."""
        return replace(self, feature_names=None)


def check_domains(
    X_source: Any,
    y_source: Any,
    X_target: Any = None,
    *,
    sample_weight: Any = None,
    sample_domain: Any = None,
    classes: Any = None,
    estimator: str = "DANNClassifier",
) -> DomainData:
    """Check the input of a fit.

    Parameters
    ----------
    X_source : array-like, frame or sparse matrix of shape (n_samples, n_features)
        Labelled rows; target rows too where `sample_domain` is negative.
    y_source : array-like of shape (n_samples,)
        Labels; ignored where `sample_domain` is negative.
    X_target : array-like of shape (n_target, n_features), tuple of these, or None
        Unlabelled rows, one array a target domain.
    sample_weight, sample_domain : array-like of shape (n_samples,) or None
        Weights of the rows of `X_source`; their domains.
    classes : array-like or None
        All classes there will be; None takes those of `y_source`.
    estimator : str
        Name for the errors.

    Returns
    -------
    DomainData
        The checked rows.

    Raises
    ------
    ValueError, TypeError
        If anything is off; the text names value, expectation and remedy.
    """
    if y_source is None:
        raise ValueError(
            f"{estimator} requires y to be passed, but the target y is None; pass the labels of "
            "the source rows as y_source."
        )
    source = check_matrix(X_source, "X_source", estimator)
    with naming("X_source", "must have column names of one type"):
        names = column_names(X_source)
    targets = check_targets(X_target, X_source, source, estimator)
    row_domain = _check_sample_domain(sample_domain, source.shape[0])
    weight = check_weight(sample_weight, source, row_domain)
    is_kept = row_domain >= 0 if weight is None else (row_domain >= 0) & (weight > 0)
    label, classes = check_labels(y_source, is_kept, classes, estimator)
    for name in np.unique(row_domain[row_domain < 0]).tolist():
        targets.setdefault(name, []).append(source[row_domain == name])
    for name, parts in targets.items():
        check_target_size(sum(part.shape[0] for part in parts), name)
    if not targets:
        warnings.warn(
            f"{estimator} got no target rows and trains on the source alone, without adaptation; "
            "pass the unlabelled rows as X_target (a tuple (X_target,) in cross-validation).",
            SourceOnlyWarning,
            stacklevel=3,
        )
    kept = source if is_kept.all() else source[is_kept]
    if targets:
        warn_if_unscaled(kept, [part for parts in targets.values() for part in parts])
    target_names = sorted(targets, reverse=True)
    source_names, source_index = np.unique(row_domain[is_kept], return_inverse=True)
    target_sizes = [sum(part.shape[0] for part in targets[name]) for name in target_names]
    target_index = np.repeat(np.arange(len(target_names)), target_sizes) + len(source_names)
    return DomainData(
        X=stack_float32([kept, *(part for name in target_names for part in targets[name])]),
        y=label,
        domain=np.concatenate([source_index, target_index]).astype(np.int64),
        weight=None if weight is None else weight[is_kept],
        classes=classes,
        domains=np.concatenate([source_names, np.array(target_names, dtype=np.int64)]),
        n_targets=len(target_names),
        feature_names=names,
    )


def _check_sample_domain(sample_domain: Any, n_rows: int) -> np.ndarray:
    """One integer a row of X_source: >= 0 a source domain, < 0 a target."""
    if sample_domain is None:
        return np.zeros(n_rows, dtype=np.int64)
    domain = check_domain_vector(sample_domain, n_rows, "X_source")
    if (domain < 0).all():
        raise ValueError(
            "sample_domain is negative in every row, which leaves no labelled source row; give "
            "source rows a domain >= 0."
        )
    return domain


def check_domain_vector(sample_domain: Any, n_rows: int, rows_of: str) -> np.ndarray:
    """Check that there is one integer a row."""
    shape = shape_of(sample_domain)
    if len(shape) != 1:
        raise ValueError(
            f"sample_domain must be 1-D, one integer a row of {rows_of}, but has shape {shape}."
        )
    domain = np.asarray(sample_domain)
    kind = domain.dtype.kind
    is_whole = (
        kind == "i"
        or (kind == "u" and (domain <= np.iinfo(np.int64).max).all())
        or (kind == "f" and (np.abs(domain) < 2.0**53).all() and (domain == domain.round()).all())
    )
    if not is_whole:
        raise ValueError(
            f"sample_domain must hold integers of ordinary size but has dtype {domain.dtype} and "
            f"values such as {domain[:3].tolist()}; number the source domains 0, 1, ... and mark "
            "target rows with a negative number."
        )
    if len(domain) != n_rows:
        raise ValueError(
            f"sample_domain has {len(domain)} entries but {rows_of} has {n_rows} rows; it needs "
            "one a row."
        )
    return domain.astype(np.int64)
