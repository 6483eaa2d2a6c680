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
        Sample weights; rows of weight 0 have been left out.
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
    names = column_names(X_source)
    source = check_matrix(X_source, "X_source", estimator)
    targets = _check_targets(X_target, X_source, source, names, estimator)
    row_domain = _check_sample_domain(sample_domain, source.shape[0])
    is_source = row_domain >= 0
    label, classes = _check_labels(y_source, is_source, classes, estimator)
    weight = _check_weight(sample_weight, source, is_source)
    if weight is not None and (weight == 0).any():
        label, weight = label[weight > 0], weight[weight > 0]
        kept = np.flatnonzero(is_source)[_positive(sample_weight, is_source)]
    else:
        kept = np.flatnonzero(is_source)
    _check_class_count(label, classes)

    pooled = [(-1 - j, rows) for j, rows in enumerate(targets)]
    pooled += [
        (int(name), source[row_domain == name]) for name in np.unique(row_domain[~is_source])
    ]
    target_names = sorted({name for name, _ in pooled}, reverse=True)
    for name in target_names:
        _check_target_size(sum(rows.shape[0] for own, rows in pooled if own == name), name)
    source_domain = row_domain[kept]
    domains = np.array([*np.unique(source_domain), *target_names], dtype=np.int64)
    position = {name: index for index, name in enumerate(domains)}
    domain = np.concatenate(
        [np.array([position[name] for name in source_domain], dtype=np.int64)]
        + [np.full(rows.shape[0], position[name], dtype=np.int64) for name, rows in pooled]
    )
    head = source if len(kept) == source.shape[0] else source[kept]
    if not pooled:
        warnings.warn(
            f"{estimator} got no target rows and trains on the source alone, without adaptation; "
            "pass the unlabelled rows as X_target (a tuple (X_target,) in cross-validation).",
            SourceOnlyWarning,
            stacklevel=3,
        )
    else:
        _warn_if_unscaled(head, [rows for _, rows in pooled])
    return DomainData(
        X=_stack_float32([head, *(rows for _, rows in pooled)]),
        y=label,
        domain=domain,
        weight=weight,
        classes=classes,
        domains=domains,
        n_targets=len(target_names),
        feature_names=names,
    )


def column_names(X: Any) -> np.ndarray | None:
    """Column names as scikit-learn would record them; None for arrays."""
    probe = BaseEstimator()
    validate_data(probe, X, skip_check_array=True)
    return getattr(probe, "feature_names_in_", None)


def check_matrix(X: Any, name: str, estimator: str, ensure_min_samples: int = 1) -> Any:
    """Check one domain's rows: real finite numbers, dense or CSR, dtype kept."""
    return check_array(
        X,
        accept_sparse="csr",
        dtype="numeric",
        input_name=name,
        estimator=estimator,
        ensure_min_samples=ensure_min_samples,
    )


def _shape(X: Any) -> tuple[int, ...]:
    """Shape of an array, frame, sparse matrix or nested list."""
    return tuple(X.shape if hasattr(X, "shape") else np.asarray(X).shape)


def _container(X: Any) -> str:
    if sp.issparse(X):
        return "a sparse matrix"
    return "a data frame" if hasattr(X, "columns") else "an array"


def _check_targets(
    X_target: Any, X_source: Any, source: Any, names: np.ndarray | None, estimator: str
) -> list[Any]:
    """Check each target against the source: container, columns, width, values."""
    if X_target is None:
        return []
    arrays = X_target if isinstance(X_target, tuple) else (X_target,)
    if not arrays:
        raise ValueError(
            "X_target is an empty tuple; pass one array a target domain, or None to train on the "
            "source alone."
        )
    checked = []
    for index, rows in enumerate(arrays):
        name = "X_target" if len(arrays) == 1 else f"X_target[{index}]"
        if _container(rows) != _container(X_source):
            raise ValueError(
                f"{name} is {_container(rows)} but X_source is {_container(X_source)}; both must "
                f"be of one kind: {PIPELINE_REMEDY}."
            )
        shape = _shape(rows)
        if len(shape) != 2:
            raise ValueError(
                f"{name} must be 2-D with shape (n_target, n_features) but has shape "
                f"{shape}; it holds the unlabelled rows, so pass features, not labels "
                "(the order is fit(X_source, y_source, X_target))."
            )
        if names is not None:
            rows = _match_columns(rows, names, name)
        if shape[1] != source.shape[1]:
            raise ValueError(
                f"{name} has {shape[1]} features but X_source has {source.shape[1]}; "
                f"{PIPELINE_REMEDY}."
            )
        if shape[0] == 0:
            _check_target_size(0, -1 - index)
        checked.append(check_matrix(rows, name, estimator))
    return checked


def _match_columns(rows: Any, names: np.ndarray, name: str) -> Any:
    """Bring a target frame's columns into the source's order, by name."""
    own = [str(column) for column in rows.columns]
    if set(own) != set(names):
        missing, extra = sorted(set(names) - set(own)), sorted(set(own) - set(names))
        raise ValueError(
            f"The columns of {name} differ from those of X_source: missing {missing}, not in the "
            f"source {extra}; give both domains the same columns, or {PIPELINE_REMEDY}."
        )
    return rows if own == list(names) else rows[list(names)]


def _check_target_size(n_rows: int, name: int) -> None:
    if n_rows < 2:
        raise ValueError(
            f"Target domain {name} has {n_rows} row{'s' * (n_rows != 1)}; at least 2 are needed to "
            "adapt to it. Leave it out to train without it."
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
    domain = column_or_1d(sample_domain)
    if domain.dtype.kind not in "iu" and not (
        domain.dtype.kind == "f" and np.isfinite(domain).all() and (domain == domain.round()).all()
    ):
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
    y_source: Any, is_source: np.ndarray, classes: Any, estimator: str
) -> tuple[np.ndarray, np.ndarray]:
    """Class index of each source row, and the classes."""
    shape = _shape(y_source)
    if len(shape) > 1 and shape[1] != 1:
        raise ValueError(
            f"y_source must be 1-D, one label a row of X_source, but has shape {shape}; "
            "the order of arguments is fit(X_source, y_source, X_target)."
        )
    label = column_or_1d(y_source, warn=True)
    if len(label) != len(is_source):
        raise ValueError(
            f"y_source has {len(label)} labels but X_source has {len(is_source)} rows; label the "
            "source rows only, target rows need none."
        )
    label = check_array(
        label[is_source], ensure_2d=False, dtype=None, input_name="y_source", estimator=estimator
    )
    if label.dtype.kind == "O" and any(value is None or value != value for value in label):
        raise ValueError(
            "Input y_source contains NaN or None; drop the unlabelled rows from the source, or "
            "mark them as target rows with a negative sample_domain."
        )
    check_classification_targets(label)
    try:
        found, index = np.unique(label, return_inverse=True)
    except TypeError as error:
        raise TypeError(
            "y_source mixes labels that cannot be sorted, such as strings and numbers; make them "
            "all of one type."
        ) from error
    if classes is None:
        return index.astype(np.int64), found
    known = np.unique(column_or_1d(classes))
    unknown = np.setdiff1d(found, known)
    if len(unknown):
        raise ValueError(
            f"y_source holds labels {unknown.tolist()} that are not among the classes "
            f"{known.tolist()}; name all classes at the first call, or fit anew."
        )
    return np.searchsorted(known, label).astype(np.int64), known


def _check_class_count(label: np.ndarray, classes: np.ndarray) -> None:
    n_present = len(np.unique(label)) if len(label) else 0
    if len(classes) < 2 or n_present == 0:
        shown = classes[:1].tolist()
        raise ValueError(
            f"y_source holds {len(classes)} class ({shown}) among rows of positive weight; a "
            "classifier needs at least 2 classes."
        )


def _positive(sample_weight: Any, is_source: np.ndarray) -> np.ndarray:
    return np.asarray(sample_weight, dtype=np.float64)[is_source] > 0


def _check_weight(sample_weight: Any, source: Any, is_source: np.ndarray) -> np.ndarray | None:
    """Sample weights of the source rows."""
    if sample_weight is None:
        return None
    weight = check_sample_weight(sample_weight, source, dtype=np.float64)
    if (weight < 0).any():
        raise ValueError(
            f"sample_weight holds negative values (least: {weight.min():g}); weights must be >= 0, "
            "0 leaves a row out."
        )
    weight = weight[is_source]
    if not weight.any():
        raise ValueError(
            "sample_weight is zero for every source row, which leaves nothing to train on; give "
            "some rows a positive weight."
        )
    return weight


def class_weights(class_weight: Any, data: DomainData) -> np.ndarray | None:
    """Weight of each class in the label loss."""
    if class_weight is None:
        return None
    present, index = np.unique(data.y, return_inverse=True)
    if isinstance(class_weight, str):
        # n / (n_classes * n_c), with weighted counts
        mass = np.bincount(index, weights=data.weight)
        found = mass.sum() / (len(present) * mass)
    else:
        unknown = [label for label in class_weight if label not in data.classes]
        if unknown:
            raise ValueError(
                f"class_weight names {unknown}, which are not among the classes "
                f"{data.classes.tolist()}; use the labels of y_source as keys."
            )
        if any(not value >= 0 for value in class_weight.values()):
            raise ValueError(f"class_weight must be >= 0 everywhere but is {class_weight}.")
        found = compute_class_weight(
            {**dict.fromkeys(data.classes[present].tolist(), 1.0), **class_weight},
            classes=data.classes[present],
            y=data.classes[data.y],
        )
    weight = np.ones(len(data.classes))
    weight[present] = found
    return weight


def _stack_float32(parts: Sequence[Any]) -> Any:
    """Copy the rows of all domains below one another as float32, with no copy in between."""
    if sp.issparse(parts[0]):
        stacked = sp.vstack([sp.csr_array(part, dtype=np.float32) for part in parts], format="csr")
        values = stacked.data
    else:
        n_rows = sum(part.shape[0] for part in parts)
        stacked = values = np.empty((n_rows, parts[0].shape[1]), dtype=np.float32)
        start = 0
        with np.errstate(over="ignore"):
            for part in parts:
                stacked[start : start + len(part)] = part
                start += len(part)
    if values.size and not (np.isfinite(values.max()) and np.isfinite(values.min())):
        raise ValueError(
            "X_source or X_target holds values too large for float32, in which the networks "
            f"compute (largest finite: {np.finfo(np.float32).max:.3g}); scale the columns, e.g. "
            "with skdann.make_pipeline(StandardScaler(), DANNClassifier())."
        )
    return stacked


def _warn_if_unscaled(source: Any, targets: Sequence[Any]) -> None:
    """Warn where the source looks standardised and a target evidently is not."""
    if sp.issparse(source) or source.shape[0] < 2:
        return
    mean, std = source.mean(0, dtype=np.float64), source.std(0, dtype=np.float64)
    varies = std > 0
    is_standard = (np.abs(mean) < 0.1) & (np.abs(std - 1.0) < 0.1)
    if not varies.any() or is_standard[varies].mean() < 0.9:
        return
    for rows in targets:
        offset = np.abs(rows.mean(0, dtype=np.float64))[varies]
        spread = rows.std(0, dtype=np.float64)[varies]
        if np.median(np.maximum(offset, spread)) > 10.0:
            warnings.warn(
                "X_source looks standardised but X_target is not: half of its columns lie more "
                f"than 10 source standard deviations away; {PIPELINE_REMEDY}.",
                UserWarning,
                stacklevel=4,
            )
