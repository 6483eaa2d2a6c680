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
from skdann._input.matching import match_target, name_targets
from skdann._input.messages import warn_user
from skdann._input.pooling import is_pooled, keep_source_rows
from skdann._selection.candidates import Candidate
from skdann._selection.families import TREES
from skdann._training.fitting import Fold
from skdann._training.threads import limit_threads

MOST_COLUMNS = 1000  # of trees: on more they take longer than all networks


def check_baseline(model: Any, families: Sequence[str]) -> None:
    """Raise unless a model is a classifier with probabilities, and is used."""
    if model is None:
        return
    if TREES not in families:
        raise ValueError(
            f"baseline={model!r} is the model of the family 'trees', which is not trained here; "
            "add 'trees' to families (and use scoring=None), or leave out baseline."
        )
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


def fit_trees(
    data: DomainData, class_weight: Any, seed: int, folds: Sequence[Fold] = ()
) -> Candidate | None:
    """Fit gradient-boosted trees on the source rows and the labelled target rows.

    With labelled target rows there is a model for each fold, else one. Returns None for one class,
    sparse rows, and more than `MOST_COLUMNS` columns.
    """
    if sp.issparse(data.X) or len(data.classes) < 2 or data.X.shape[1] > MOST_COLUMNS:
        return None
    if data.labelled is None:
        return Candidate(TREES, [_fit_trees(data, class_weight, seed, None)], [])
    members = [_fit_trees(data, class_weight, seed, fold.labelled) for fold in folds]
    return Candidate(TREES, members, list(range(len(folds))))


def _fit_trees(data: DomainData, class_weight: Any, seed: int, labelled: np.ndarray | None) -> Any:
    """Fit trees on the source rows and some of the labelled target rows, in equal parts."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import

    X, y = data.X[: data.n_source], data.y
    weight, per_class = data.weight, class_weights(class_weight, data.y, data.classes, data.weight)
    if labelled is not None:  # repeated, as weights make the trees several times slower
        rows = np.repeat(labelled, max(1, round(data.n_source / len(labelled))))
        X, y = np.concatenate([X, data.X[rows]]), np.concatenate([y, data.y_known[rows]])
        if weight is not None:
            weight = np.append(weight, np.full(len(rows), weight.mean()))
    if per_class is not None:  # HistGradientBoosting does not find string labels in a dict
        weight = per_class[y] * (1.0 if weight is None else weight)
    y = data.classes[y]
    with limit_threads(1):  # small tables are fastest on one thread
        # early stopping holds out rows of each class
        stops_early = "auto" if np.bincount(data.y).min() > 1 else False
        model = HistGradientBoostingClassifier(early_stopping=stops_early, random_state=seed)
        return model.fit(X, y, sample_weight=weight)


def fit_given(
    model: Any, data: DomainData, X: Any, y: Any, X_target: Any, **weights: Any
) -> Candidate | None:
    """Return the candidate of a model of the user, on the rows as the user passes them.

    Parameters
    ----------
    model : classifier
        Used as it is if it is fitted; otherwise a clone is fitted on the source rows.
    data : DomainData
        The checked rows.
    X, y, X_target : as passed to `fit`
    **weights
        "sample_weight" and "sample_domain", as passed to `fit`.

    Returns
    -------
    Candidate or None
        With its predictions for the target rows; None without target rows.
    """
    targets = raw_targets(X, X_target, weights["sample_domain"])
    given = {name: value for name, value in weights.items() if value is not None}
    X, y, given = keep_source_rows(X, y, given)
    model = fit_model(model, X, y, given.get("sample_weight"))
    check_classes(model, data.classes)
    if not targets:
        return None
    proba = np.concatenate([aligned_proba(model, rows, data.classes) for rows in targets])
    return Candidate(TREES, [model], [], proba_target=proba)


def fit_model(model: Any, X: Any, y: Any, sample_weight: Any) -> Any:
    """Return a fitted model as it is, or fit a clone on the source rows as the user passes them."""
    if is_fitted(model):
        return model
    model = clone(model)
    if sample_weight is None:
        return model.fit(X, y)
    if has_fit_parameter(model, "sample_weight"):
        return model.fit(X, y, sample_weight=sample_weight)
    warn_user(
        f"sample_weight is not used in the fit of baseline={type(model).__name__}, which does not "
        "take it; pass a fitted model to weight its rows."
    )
    return model.fit(X, y)


def raw_targets(X_source: Any, X_target: Any, sample_domain: Any) -> list[Any]:
    """Return the target rows as the user passes them, domain by domain from -1 on.

    Columns of frames are in the order of the source's.
    """
    parts: dict[int, list[Any]] = {}
    if X_target is not None:
        for index, (name, rows) in enumerate(name_targets(X_target).items()):
            parts.setdefault(-1 - index, []).append(match_target(name, rows, X_source))
    if is_pooled(sample_domain):
        domain = np.asarray(unwrap(sample_domain, "sample_domain"))
        for each in np.unique(domain[domain < 0]).tolist():
            rows = safe_indexing(X_source, np.flatnonzero(domain == each))
            parts.setdefault(each, []).append(rows)
    return [rows for each in sorted(parts, reverse=True) for rows in parts[each]]


def aligned_proba(model: Any, X: Any, classes: np.ndarray) -> np.ndarray:
    """Predict class probabilities, with a column for each class."""
    proba = np.asarray(model.predict_proba(X), dtype=np.float64)
    order: Sequence[int] = [classes.tolist().index(label) for label in model.classes_.tolist()]
    full = np.zeros((proba.shape[0], len(classes)))
    full[:, order] = proba
    return full
