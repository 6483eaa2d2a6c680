"""Checks of labels, sample weights, domains of rows, and class weights."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn import config_context
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from skdann._compat import check_sample_weight
from skdann._input.containers import load, plain_objects, shape_of, unwrap
from skdann._input.messages import naming

MISSING = ("NAType", "NoneType", "NaTType")
ENCODED_LABELS = (
    "A meta-estimator such as VotingClassifier may encode them as 0, 1, ... before it fits: then "
    "use these numbers."
)


def plain_labels(
    y: Any, name: str = "y", *, is_kept: np.ndarray | None = None, takes_objects: bool = False
) -> np.ndarray:
    """Return labels as an array of a plain dtype that scikit-learn's metrics take.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels in any container.
    name : str, default="y"
        Name of the argument in error messages.
    is_kept : ndarray of bool of shape (n_samples,) or None, default=None
        Rows whose labels count; the others may hold anything, also nothing.
    takes_objects : bool, default=False
        Whether numbers and booleans may be in an array of objects, as if some were missing.

    Returns
    -------
    ndarray of shape (n_kept,)
        Strings, integers, floats with whole values, or booleans.

    Raises
    ------
    ValueError, TypeError
        If `y` is not 1-D, or holds missing values, or anything but class labels.
    """
    vector = _label_vector(y, name)
    if is_kept is not None and len(vector) != len(is_kept):
        raise ValueError(
            f"{name} has {len(vector)} labels but X_source has {len(is_kept)} rows; label the "
            "source rows only, target rows need none."
        )
    are_all_kept = is_kept is None or bool(is_kept.all())
    label = vector if are_all_kept else vector[is_kept]
    if label.dtype.kind == "O":
        _check_objects(label, name)
        # a column of objects holds numbers where values are missing, here in rows left out
        is_forced = takes_objects or not are_all_kept or not _is_object(y)
        label = _as_plain(label, name, is_forced=is_forced)
    with naming(name, "must hold class labels: strings, whole numbers or booleans"):
        if label.dtype.kind not in "biufOU":
            raise TypeError(f"labels of dtype {label.dtype} are none of these")
        if label.dtype.kind == "f" and np.isnan(label).any():
            raise ValueError(f"Input {name} contains NaN.")
        if label.dtype.kind == "f" and (label != np.round(label)).any():
            number = label[label != np.round(label)][0]
            raise ValueError(
                f"Unknown label type: continuous, such as {number:g}; use DANNRegressor to predict "
                "numbers"
            )
        if len(label):
            check_classification_targets(label)
    return label


def check_labels(y_source: Any, is_kept: np.ndarray, classes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Check labels against the rows and the known classes.

    Parameters
    ----------
    y_source : array-like of shape (n_samples,)
        Labels as the user passed them.
    is_kept : ndarray of bool of shape (n_samples,)
        Rows to train on as source rows.
    classes : array-like or None
        All classes there will be; None takes those of `y_source`.

    Returns
    -------
    index : ndarray of shape (n_kept,), int64
        Class index of each row kept.
    classes : ndarray of shape (n_classes,)
        Sorted labels.

    Raises
    ------
    ValueError, TypeError
        If a label is not a class label or is unknown, or if there is one class only.
    """
    label = plain_labels(y_source, "y_source", is_kept=is_kept)
    known, index = np.unique(label, return_inverse=True)
    if classes is not None:
        known = check_classes(classes)
        unknown = np.setdiff1d(label, known)
        if len(unknown):
            raise ValueError(
                f"y_source holds labels {unknown.tolist()} that are not among the classes "
                f"{known.tolist()}; name all classes at the first call, or fit again."
            )
        index = np.searchsorted(known, label)
    if len(known) < 2:
        raise ValueError(
            f"y_source holds 1 class only ({known.tolist()[0]!r}) among the rows of positive "
            "weight; a classifier needs at least 2 classes. In a cross-validation, stratify or "
            "shuffle the folds, e.g. cv=StratifiedKFold()."
        )
    return index.astype(np.int64), known


def check_classes(classes: Any) -> np.ndarray:
    """Return all classes of a stream, sorted and distinct; raise unless they are labels."""
    listed = sorted(classes) if isinstance(classes, set | frozenset) else classes
    plain = np.asarray(unwrap(listed, "classes"))
    if not plain.ndim:
        raise ValueError(
            f"classes={classes!r} must list the labels of all classes, e.g. "
            "classes=np.unique(all_labels)."
        )
    return np.unique(plain_labels(plain_objects(plain), "classes"))  # no metric sees their dtype


def is_missing(label: Any) -> bool:
    """Whether a label is None, NaN, or a missing value of pandas."""
    return type(label).__name__ in MISSING or bool(label != label)


def check_weight(sample_weight: Any, source: Any, row_domain: np.ndarray) -> np.ndarray | None:
    """Check sample weights, one per row of X_source, and scale them to a maximum of 1."""
    if sample_weight is None:
        return None
    weight = np.zeros(source.shape[0])
    plain = unwrap(sample_weight, "sample_weight")
    with naming("sample_weight", "must hold one finite number >= 0 per row of X_source"):
        given = np.asarray(plain)
        if given.dtype.kind not in "biufO":
            raise TypeError(f"it has dtype {given.dtype}")
        given = given.astype(np.float64)
        if (given != 0).any():  # weights that are all 0 raise another error below
            with config_context(assume_finite=False, array_api_dispatch=False):
                weights = given if given.ndim else float(given)
                weight = check_sample_weight(weights, source, dtype=np.float64)
    if (weight < 0).any():
        raise ValueError(
            f"sample_weight holds negative values (least: {weight.min():g}); weights must be >= 0, "
            "0 excludes a row."
        )
    if not weight[row_domain >= 0].any():
        raise ValueError(
            "sample_weight is zero for every source row, which leaves nothing to train on; give "
            "some rows a positive weight."
        )
    return weight / weight.max()


def class_weights(
    class_weight: Any, y: np.ndarray, classes: np.ndarray, weight: np.ndarray | None
) -> np.ndarray | None:
    """Compute the weight of each class in the label loss.

    Parameters
    ----------
    class_weight : None, "balanced" or dict
        Parameter of the estimator.
    y : ndarray of shape (n_source,)
        Class indices.
    classes : ndarray of shape (n_classes,)
        Class labels.
    weight : ndarray of shape (n_source,) or None
        Sample weights.

    Returns
    -------
    ndarray of shape (n_classes,) or None

    Raises
    ------
    ValueError
        If `class_weight` names an unknown class and lacks a known one, or a weight is negative,
        infinite, or 0 for all.
    """
    if class_weight is None:
        return None
    weights = np.ones(len(classes))
    present, index = np.unique(y, return_inverse=True)
    if isinstance(class_weight, str):
        # n / (n_classes * n_c) with weighted counts
        mass = np.bincount(index, weights=weight)
        weights[present] = mass.sum() / (len(present) * mass)
        return weights
    _check_class_weight(class_weight, classes)
    weights[present] = [class_weight.get(label, 1.0) for label in classes[present].tolist()]
    if not weights[present].any():
        raise ValueError(
            f"class_weight is 0 for every class of y_source ({class_weight}), which leaves "
            "nothing to train on; give some class a positive weight."
        )
    return weights


def _check_class_weight(class_weight: dict[Any, Any], classes: np.ndarray) -> None:
    """Raise unless the weights are numbers >= 0, and their keys classes.

    As in scikit-learn, other keys are allowed if each class has a weight: a fold may lack a class.
    """
    labels = classes.tolist()
    unknown = [label for label in class_weight if label not in labels]
    if unknown and not set(labels) <= set(class_weight):
        raise ValueError(
            f"class_weight names {unknown}, which are not among the classes {labels}; use the "
            f"labels of y_source as keys. {ENCODED_LABELS}"
        )
    values = class_weight.values()
    if not all(isinstance(value, Real) and 0 <= float(value) <= 1e30 for value in values):
        raise ValueError(
            f"class_weight must be finite, >= 0 and <= 1e30 everywhere but is {class_weight}."
        )


def _label_vector(y: Any, name: str) -> np.ndarray:
    """Labels as a 1-D array; a single column is taken with scikit-learn's warning."""
    plain = unwrap(y, name)
    shape = shape_of(plain)
    if len(shape) not in (1, 2) or shape[1:] not in ((), (1,)) or sp.issparse(plain):
        remedy = "pass one column, for one-hot labels their argmax(axis=1)"
        if name == "y_source":
            remedy += "; the order of arguments is fit(X_source, y_source, X_target)"
        raise ValueError(f"{name} must be 1-D, one label per row, but has shape {shape}; {remedy}.")
    with naming(name, "must be 1-D, one label per row of X_source"):
        array = plain if isinstance(plain, np.ndarray) else np.asarray(plain)
        return np.asarray(column_or_1d(array, warn=True))


def _is_object(y: Any) -> bool:
    """Whether the user's container itself holds objects, not a dtype that numpy lacks."""
    y = load(y)
    dtype = getattr(y, "dtype", None)
    if dtype is None and hasattr(y, "dtypes"):  # a frame of one column
        dtype = next(iter(y.dtypes))
    return dtype is None or str(dtype).lower() == "object"


def _check_objects(label: np.ndarray, name: str) -> None:
    """Raise if a label is missing, or if strings are mixed with others."""
    if any(map(is_missing, label)):
        raise ValueError(
            f"Input {name} contains NaN or None; drop the unlabelled rows from the source, or "
            "mark them as target rows with a negative sample_domain."
        )
    if len({isinstance(value, str) for value in label}) > 1:
        raise TypeError(
            f"{name} mixes strings with labels of another type, which cannot be sorted; make "
            "them all of one type."
        )


def _as_plain(label: np.ndarray, name: str, *, is_forced: bool) -> np.ndarray:
    """Labels of an array of objects: strings as they are, numbers in a dtype of numbers."""
    plain = plain_objects(label)
    if plain.dtype.kind not in "biuf":
        return label
    if not is_forced:
        kind = {"b": "bool", "f": "float"}.get(plain.dtype.kind, "int")
        raise TypeError(
            f"Unknown label type: {name} holds numbers or booleans in an array of dtype object, "
            "which scikit-learn's metrics refuse; convert the labels, e.g. with "
            f"{name}.astype({kind})."
        )
    return plain
