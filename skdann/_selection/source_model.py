"""A scikit-learn classifier trained on the source: another kind of learner beside the networks.

By default it is histogram gradient boosting, on the rows as the networks get them; or it is the
model that the user has, on the rows as the user passes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from skdann._compat import safe_indexing
from skdann._input.containers import unwrap
from skdann._input.domains import DomainData
from skdann._input.labels import class_weights
from skdann._input.matching import name_targets
from skdann._input.pooling import is_pooled
from skdann._training.threads import suited_threads


def check_baseline(model: Any) -> None:
    """Raise unless a model is a classifier with probabilities."""
    if model is None:
        return
    if isinstance(model, type) or not hasattr(model, "fit") or not is_classifier(model):
        raise TypeError(
            f"baseline={model!r} must be a scikit-learn classifier, fitted or not, or None for "
            "gradient-boosted trees."
        )
    if not hasattr(model, "predict_proba"):
        raise TypeError(
            f"baseline={model!r} has no predict_proba, which a mixture needs; wrap it, e.g. in "
            "sklearn.calibration.CalibratedClassifierCV."
        )


def is_fitted(model: Any) -> bool:
    """Whether a model is fitted already."""
    try:
        check_is_fitted(model)
    except NotFittedError:
        return False
    return True


def check_classes(model: Any, classes: np.ndarray) -> None:
    """Raise if a fitted model predicts classes that the source lacks."""
    unknown = [label for label in np.asarray(model.classes_).tolist() if label not in classes]
    if unknown:
        raise ValueError(
            f"baseline predicts the classes {unknown}, which y_source lacks; it has "
            f"{classes.tolist()}. Pass a model that was fitted on these labels."
        )


def fit_trees(data: DomainData, class_weight: Any, seed: int) -> Any | None:
    """Fit gradient-boosted trees on the source rows; None if they cannot be fitted on them."""
    if sp.issparse(data.X) or len(data.classes) < 2:
        return None
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import

    X, y = data.X[: data.n_source], data.classes[data.y]
    weight, per_class = data.weight, class_weights(class_weight, data.y, data.classes, data.weight)
    if per_class is not None:  # HistGradientBoosting does not find string labels in a dict
        weight = per_class[data.y] * (1.0 if weight is None else weight)
    with suited_threads(0):  # small tables are fastest on one thread
        # early stopping holds out rows of each class
        stops_early = "auto" if np.bincount(data.y).min() > 1 else False
        model = HistGradientBoostingClassifier(early_stopping=stops_early, random_state=seed)
        return model.fit(X, y, sample_weight=weight)


def fit_model(model: Any, X: Any, y: Any, sample_weight: Any) -> Any:
    """Return a fitted model as it is, or fit a clone on the source rows as the user passes them."""
    if is_fitted(model):
        return model
    model = clone(model)
    if sample_weight is not None and has_fit_parameter(model, "sample_weight"):
        return model.fit(X, y, sample_weight=sample_weight)
    return model.fit(X, y)


def raw_targets(X_source: Any, X_target: Any, sample_domain: Any) -> list[Any]:
    """Return the target rows as the user passes them, domain by domain from -1 on."""
    parts: dict[int, list[Any]] = {}
    if X_target is not None:
        for index, rows in enumerate(name_targets(X_target).values()):
            if hasattr(rows, "columns") and list(rows.columns) != list(X_source.columns):
                rows = rows[list(X_source.columns)]  # as the networks get them
            parts.setdefault(-1 - index, []).append(rows)
    if is_pooled(sample_domain):
        domain = np.asarray(unwrap(sample_domain, "sample_domain"))
        for name in np.unique(domain[domain < 0]).tolist():
            rows = safe_indexing(X_source, np.flatnonzero(domain == name))
            parts.setdefault(name, []).append(rows)
    return [rows for name in sorted(parts, reverse=True) for rows in parts[name]]


def aligned_proba(model: Any, X: Any, classes: np.ndarray) -> np.ndarray:
    """Predict class probabilities, with a column for each class."""
    proba = np.asarray(model.predict_proba(X), dtype=np.float64)
    order: Sequence[int] = [classes.tolist().index(label) for label in model.classes_.tolist()]
    full = np.zeros((proba.shape[0], len(classes)))
    full[:, order] = proba
    return full
