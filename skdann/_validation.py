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
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from skdann._compat import check_sample_weight

PIPELINE_REMEDY = (
    "pass the target through the same transformers as the source, e.g. with skdann.make_pipeline"
)


class SourceOnlyWarning(UserWarning):
    """There are no target rows, so the network is trained on the source alone."""


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
    """

    X: Any
    y: np.ndarray
    domain: np.ndarray
    weight: np.ndarray | None
    classes: np.ndarray
    domains: np.ndarray
    n_targets: int
    feature_names: np.ndarray | None

    @property
    def n_source(self) -> int:
        """Number of source rows."""
        return len(self.y)

    @property
    def n_features(self) -> int:
        """Number of columns."""
        return int(self.X.shape[1])


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
    names = column_names(X_source)
    targets = _check_targets(X_target, X_source, source, estimator)
    row_domain = _check_sample_domain(sample_domain, source.shape[0])
    weight = _check_weight(sample_weight, source, row_domain)
    is_kept = row_domain >= 0 if weight is None else (row_domain >= 0) & (weight > 0)
    label, classes = _check_labels(y_source, is_kept, classes, estimator)
    for name in np.unique(row_domain[row_domain < 0]).tolist():
        targets.setdefault(name, []).append(source[row_domain == name])
    for name, parts in targets.items():
        _check_target_size(sum(part.shape[0] for part in parts), name)
    if not targets:
        warnings.warn(
            f"{estimator} got no target rows and trains on the source alone, without adaptation; "
            "pass the unlabelled rows as X_target (a tuple (X_target,) in cross-validation).",
            SourceOnlyWarning,
            stacklevel=3,
        )
    kept = source if is_kept.all() else source[is_kept]
    for parts in targets.values():
        _warn_if_unscaled(kept, parts)
    target_names = sorted(targets, reverse=True)
    source_names, source_index = np.unique(row_domain[is_kept], return_inverse=True)
    target_sizes = [sum(part.shape[0] for part in targets[name]) for name in target_names]
    target_index = np.repeat(np.arange(len(target_names)), target_sizes) + len(source_names)
    return DomainData(
        X=_stack_float32([kept, *(part for name in target_names for part in targets[name])]),
        y=label,
        domain=np.concatenate([source_index, target_index]).astype(np.int64),
        weight=None if weight is None else weight[is_kept],
        classes=classes,
        domains=np.concatenate([source_names, np.array(target_names, dtype=np.int64)]),
        n_targets=len(target_names),
        feature_names=names,
    )


def column_names(X: Any) -> np.ndarray | None:
    """Column names as scikit-learn would record them; None for arrays."""
    probe = BaseEstimator()
    validate_data(probe, X, skip_check_array=True)
    return getattr(probe, "feature_names_in_", None)


# -- rows -----------------------------------------------------------------------------------------


def check_matrix(X: Any, name: str, estimator: str) -> Any:
    """Check one domain's rows: real finite numbers, dense or CSR, dtype kept."""
    try:
        return check_array(
            X, accept_sparse="csr", dtype="numeric", input_name=name, estimator=estimator
        )
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        reason = str(error).splitlines()[0][:300]
        raise kind(
            f"{reason} ({name} must hold finite real numbers, one row a sample; impute missing "
            "values and encode text and dates, e.g. in skdann.make_pipeline. Reshape your data "
            "with .reshape(1, -1) if it is a single sample.)"
        ) from error


def _shape(X: Any) -> tuple[int, ...]:
    """Shape of an array, frame, sparse matrix or nested list; (n,) where lists are ragged."""
    if hasattr(X, "shape"):
        return tuple(X.shape)
    try:
        return np.asarray(X).shape
    except ValueError:
        return (len(X),)


def _container(X: Any) -> str:
    if sp.issparse(X):
        return "a sparse matrix"
    return "a data frame" if hasattr(X, "columns") else "an array"


def _check_targets(X_target: Any, X_source: Any, source: Any, estimator: str) -> dict[int, Any]:
    """Check each target against the source; return lists of row blocks by domain name."""
    if X_target is None:
        return {}
    arrays = X_target if isinstance(X_target, tuple) else (X_target,)
    if not arrays:
        raise ValueError(
            "X_target is an empty tuple; pass one array a target domain, or None to train on the "
            "source alone."
        )
    checked = {}
    for index, rows in enumerate(arrays):
        name = "X_target" if len(arrays) == 1 else f"X_target[{index}]"
        shape = _shape(rows)
        if len(shape) != 2:
            raise ValueError(
                f"{name} must be 2-D with shape (n_target, n_features) but has shape {shape}; it "
                "holds the unlabelled rows, so pass features, not labels (the order is "
                "fit(X_source, y_source, X_target)), and several targets as a tuple of arrays."
            )
        if _container(rows) != _container(X_source):
            raise ValueError(
                f"{name} is {_container(rows)} but X_source is {_container(X_source)}; both must "
                f"be of one kind: {PIPELINE_REMEDY}."
            )
        if hasattr(X_source, "columns"):
            rows = _match_columns(rows, list(X_source.columns), name)
        if shape[1] != source.shape[1]:
            raise ValueError(
                f"{name} has {shape[1]} features but X_source has {source.shape[1]}; "
                f"{PIPELINE_REMEDY}."
            )
        _check_target_size(shape[0], -1 - index)
        checked[-1 - index] = [check_matrix(rows, name, estimator)]
    return checked


def _match_columns(rows: Any, names: list[Any], name: str) -> Any:
    """Bring a target frame's columns into the source's order, by name."""
    own = list(rows.columns)
    if set(own) != set(names) or len(own) != len(names):
        missing = sorted(set(names) - set(own), key=str)
        extra = sorted(set(own) - set(names), key=str)
        raise ValueError(
            f"The columns of {name} differ from those of X_source: missing {missing}, not in the "
            f"source {extra}; give both domains the same columns, or {PIPELINE_REMEDY}."
        )
    return rows if own == names else rows[names]


def _check_target_size(n_rows: int, name: int) -> None:
    if n_rows < 2:
        raise ValueError(
            f"Target domain {name} has {n_rows} row{'s' * (n_rows != 1)}; at least 2 are needed to "
            "adapt to it. Leave it out to train without it."
        )


def _stack_float32(parts: Sequence[Any]) -> Any:
    """Copy the rows of all domains below one another as float32, with no copy in between."""
    with np.errstate(over="ignore"):
        if sp.issparse(parts[0]):
            stacked = sp.vstack([sp.csr_array(part, dtype=np.float32) for part in parts], "csr")
            values = stacked.data
        else:
            n_rows = sum(part.shape[0] for part in parts)
            stacked = values = np.empty((n_rows, parts[0].shape[1]), dtype=np.float32)
            start = 0
            for part in parts:
                stacked[start : start + len(part)] = part
                start += len(part)
    check_float32(values, "X_source or X_target")
    return stacked


def check_float32(values: np.ndarray, name: str) -> None:
    """Raise if numbers that were finite have become infinite as float32."""
    if values.size and not (np.isfinite(values.max()) and np.isfinite(values.min())):
        raise ValueError(
            f"{name} holds values too large for float32, in which the networks compute (largest "
            f"finite: {np.finfo(np.float32).max:.3g}); scale the columns, e.g. with "
            "skdann.make_pipeline(StandardScaler(), DANNClassifier())."
        )


def _warn_if_unscaled(source: Any, target: Sequence[Any]) -> None:
    """Warn where the source looks standardised and a target evidently is not."""
    if sp.issparse(source) or source.shape[0] < 2:
        return
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = source.mean(0, dtype=np.float64), source.std(0, dtype=np.float64)
        varies = std > 0
        is_standard = (np.abs(mean) < 0.1) & (np.abs(std - 1.0) < 0.1)
        if not varies.any() or is_standard[varies].mean() < 0.9:
            return
        offset = max(np.median(np.abs(rows.mean(0, dtype=np.float64))[varies]) for rows in target)
        spread = max(np.median(rows.std(0, dtype=np.float64)[varies]) for rows in target)
    if max(offset, spread) > 10.0:
        warnings.warn(
            "X_source looks standardised but X_target is not: half of its columns lie, or spread, "
            f"more than 10 source standard deviations; {PIPELINE_REMEDY}.",
            UserWarning,
            stacklevel=4,
        )


# -- domains, labels, weights ---------------------------------------------------------------------


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
    shape = _shape(sample_domain)
    if len(shape) != 1:
        raise ValueError(
            f"sample_domain must be 1-D, one integer a row of {rows_of}, but has shape {shape}."
        )
    domain = np.asarray(sample_domain)
    is_whole = domain.dtype.kind in "iu" or (
        domain.dtype.kind == "f" and np.isfinite(domain).all() and (domain == domain.round()).all()
    )
    if not is_whole:
        raise ValueError(
            f"sample_domain must hold integers but has dtype {domain.dtype}; number the source "
            "domains 0, 1, ... and mark target rows with a negative number."
        )
    if len(domain) != n_rows:
        raise ValueError(
            f"sample_domain has {len(domain)} entries but {rows_of} has {n_rows} rows; it needs "
            "one a row."
        )
    return domain.astype(np.int64)


def _check_labels(
    y_source: Any, is_kept: np.ndarray, classes: Any, estimator: str
) -> tuple[np.ndarray, np.ndarray]:
    """Class index of each source row kept, and the classes."""
    shape = _shape(y_source)
    if len(shape) > 1 and shape[1] != 1:
        raise ValueError(
            f"y_source must be 1-D, one label a row of X_source, but has shape {shape}; the order "
            "of arguments is fit(X_source, y_source, X_target)."
        )
    label = column_or_1d(y_source, warn=True)
    if len(label) != len(is_kept):
        raise ValueError(
            f"y_source has {len(label)} labels but X_source has {len(is_kept)} rows; label the "
            "source rows only, target rows need none."
        )
    label = check_array(
        _plain_labels(label[is_kept]),
        ensure_2d=False,
        dtype=None,
        input_name="y_source",
        estimator=estimator,
    )
    check_classification_targets(label)
    found, index = np.unique(label, return_inverse=True)
    if classes is not None:
        found = np.unique(column_or_1d(classes))
        unknown = np.setdiff1d(label, found)
        if len(unknown):
            raise ValueError(
                f"y_source holds labels {unknown.tolist()} that are not among the classes "
                f"{found.tolist()}; name all classes at the first call, or fit anew."
            )
        index = np.searchsorted(found, label)
    if len(found) < 2:
        raise ValueError(
            f"y_source holds 1 class only ({found.tolist()[0]!r}) among the rows of positive "
            "weight; a classifier needs at least 2 classes."
        )
    return index.astype(np.int64), found


def _plain_labels(label: np.ndarray) -> np.ndarray:
    """Labels of an object array, such as a list with missing entries leaves, as plain ones."""
    if label.dtype.kind != "O":
        return label
    if any(value is None or type(value).__name__ == "NAType" or value != value for value in label):
        raise ValueError(
            "Input y_source contains NaN or None; drop the unlabelled rows from the source, or "
            "mark them as target rows with a negative sample_domain."
        )
    if len({isinstance(value, str) for value in label}) > 1:
        raise TypeError(
            "y_source mixes strings with labels of another type, which cannot be sorted; make "
            "them all of one type."
        )
    plain = np.array(label.tolist())
    return label if plain.dtype.kind == "U" or plain.ndim != 1 else plain


def _check_weight(sample_weight: Any, source: Any, row_domain: np.ndarray) -> np.ndarray | None:
    """Sample weights, one a row of X_source."""
    if sample_weight is None:
        return None
    weight = np.zeros(source.shape[0])
    if (np.asarray(sample_weight) != 0).any():  # all zeros have an error of their own below
        weight = check_sample_weight(sample_weight, source, dtype=np.float64)
    if (weight < 0).any():
        raise ValueError(
            f"sample_weight holds negative values (least: {weight.min():g}); weights must be >= 0, "
            "0 leaves a row out."
        )
    if not weight[row_domain >= 0].any():
        raise ValueError(
            "sample_weight is zero for every source row, which leaves nothing to train on; give "
            "some rows a positive weight."
        )
    return weight


def class_weights(class_weight: Any, data: DomainData) -> np.ndarray | None:
    """Weight of each class in the label loss."""
    if class_weight is None:
        return None
    weight = np.ones(len(data.classes))
    present, index = np.unique(data.y, return_inverse=True)
    if isinstance(class_weight, str):
        # n / (n_classes * n_c) with weighted counts
        mass = np.bincount(index, weights=data.weight)
        weight[present] = mass.sum() / (len(present) * mass)
        return weight
    unknown = [label for label in class_weight if label not in data.classes]
    if unknown:
        raise ValueError(
            f"class_weight names {unknown}, which are not among the classes "
            f"{data.classes.tolist()}; use the labels of y_source as keys."
        )
    values = class_weight.values()
    if not all(isinstance(value, Real) and 0 <= float(value) < np.inf for value in values):
        raise ValueError(f"class_weight must be finite and >= 0 everywhere but is {class_weight}.")
    labels = data.classes[present]
    given = {**dict.fromkeys(labels.tolist(), 1.0), **class_weight}
    weight[present] = compute_class_weight(given, classes=labels, y=data.classes[data.y])
    if not weight[present].any():
        raise ValueError(
            f"class_weight is 0 for every class of y_source ({class_weight}), which leaves "
            "nothing to train on; give some class a positive weight."
        )
    return weight
