"""Checks of labels, sample weights and class weights."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from skdann._compat import check_sample_weight
from skdann._input.rows import naming, shape_of


def check_labels(
    y_source: Any, is_kept: np.ndarray, classes: Any, estimator: str
) -> tuple[np.ndarray, np.ndarray]:
    """Class index of each source row kept, and the classes."""
    shape = shape_of(y_source)
    if len(shape) not in (1, 2) or shape[1:] not in ((), (1,)) or sp.issparse(y_source):
        raise ValueError(
            f"y_source must be 1-D, one label a row of X_source, but has shape {shape}; the order "
            "of arguments is fit(X_source, y_source, X_target)."
        )
    with naming("y_source", "must be 1-D, one label a row of X_source"):
        label = column_or_1d(y_source, warn=True)
    if len(label) != len(is_kept):
        raise ValueError(
            f"y_source has {len(label)} labels but X_source has {len(is_kept)} rows; label the "
            "source rows only, target rows need none."
        )
    label = _plain_labels(label[is_kept])
    with naming("y_source", "must hold class labels: strings, whole numbers or booleans"):
        label = check_array(label, ensure_2d=False, dtype=None, estimator=estimator)
        check_classification_targets(label)
        if label.dtype.kind in "mMS":
            raise TypeError(f"labels of dtype {label.dtype} are none of these")
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


def check_weight(sample_weight: Any, source: Any, row_domain: np.ndarray) -> np.ndarray | None:
    """Sample weights, one a row of X_source."""
    if sample_weight is None:
        return None
    weight = np.zeros(source.shape[0])
    with naming("sample_weight", "must hold one finite number >= 0 a row of X_source"):
        given = np.asarray(sample_weight)
        if given.dtype.kind not in "biufO":
            raise TypeError(f"it has dtype {given.dtype}")
        if (given != 0).any():  # all zeros have an error of their own below
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
    return weight / weight.max()


def class_weights(
    class_weight: Any, y: np.ndarray, classes: np.ndarray, weight: np.ndarray | None
) -> np.ndarray | None:
    """Weight of each class in the label loss.

    Parameters
    ----------
    class_weight : None, "balanced" or dict
        As the user gave it.
    y : ndarray of shape (n_source,)
        Class indices.
    classes : ndarray of shape (n_classes,)
        Class labels.
    weight : ndarray of shape (n_source,) or None
        Sample weights.

    Returns
    -------
    ndarray of shape (n_classes,) or None
    """
    if class_weight is None:
        return None
    found = np.ones(len(classes))
    present, index = np.unique(y, return_inverse=True)
    if isinstance(class_weight, str):
        # n / (n_classes * n_c) with weighted counts
        mass = np.bincount(index, weights=weight)
        found[present] = mass.sum() / (len(present) * mass)
        return found
    unknown = [label for label in class_weight if label not in classes]
    if unknown:
        raise ValueError(
            f"class_weight names {unknown}, which are not among the classes "
            f"{classes.tolist()}; use the labels of y_source as keys."
        )
    values = class_weight.values()
    if not all(isinstance(value, Real) and 0 <= float(value) <= 1e30 for value in values):
        raise ValueError(
            f"class_weight must be finite, >= 0 and <= 1e30 everywhere but is {class_weight}."
        )
    found[present] = [class_weight.get(label, 1.0) for label in classes[present].tolist()]
    if not found[present].any():
        raise ValueError(
            f"class_weight is 0 for every class of y_source ({class_weight}), which leaves "
            "nothing to train on; give some class a positive weight."
        )
    return found
