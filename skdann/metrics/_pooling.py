"""Pooled rows of two domains, and out-of-fold predictions of the domain."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler

from skdann._input.matching import match_target, name_targets
from skdann._input.rows import read_rows
from skdann._input.seeding import derive_seed
from skdann._input.surroundings import default_numpy_errors

_Array = NDArray[Any]


def pool_domains(X_source: Any, X_target: Any) -> tuple[Any, _Array, list[Any] | None]:
    """Stack checked rows of both domains.

    Parameters
    ----------
    X_source : array-like, data frame or sparse matrix of shape (n_source, n_features)
        Rows of the source.
    X_target : array-like of shape (n_target, n_features), or tuple of these
        Rows of the target, or of several.

    Returns
    -------
    X : ndarray or CSR of shape (n_source + n_target, n_features)
        Source rows, then target rows.
    is_target : ndarray of int of shape (n_source + n_target,)
        1 for target rows.
    names : list or None
        Column names of a data frame.
    """
    values, names = read_rows(X_source, "X_source", allow_missing=True)
    rows = [values]
    for name, target in name_targets(X_target).items():
        matched = match_target(name, target, X_source)
        rows.append(read_rows(matched, name, allow_missing=True).values)
    n_source, n_target = rows[0].shape[0], sum(part.shape[0] for part in rows[1:])
    is_sparse = any(sp.issparse(part) for part in rows)  # a frame's sparse columns give CSR too
    X = sp.vstack(rows, format="csr") if is_sparse else np.vstack(rows)
    return X, np.repeat([0, 1], [n_source, n_target]), names


def linear_classifier(X: Any, class_weight: str | None = None) -> Any:
    """Make a logistic regression on scaled columns, for dense or sparse rows."""
    from sklearn.impute import SimpleImputer  # slow to import

    # StandardScaler would inflate columns of rare words
    model = make_pipeline(
        MaxAbsScaler() if sp.issparse(X) else StandardScaler(),
        SimpleImputer(keep_empty_features=True),
        LogisticRegression(C=0.1, class_weight=class_weight, max_iter=1000),
    )
    return model.set_output(transform="default")


def out_of_fold(
    X: Any,
    is_target: _Array,
    estimator: Any,
    cv: Any,
    random_state: Any,
    method: str = "predict_proba",
) -> _Array:
    """Predict out of fold which rows are target rows, or the probability that they are."""
    seed = derive_seed(random_state)
    if isinstance(cv, Integral):
        n_fewest = np.bincount(is_target).min()
        if n_fewest < cv:
            raise ValueError(
                f"cv={cv} folds need at least {cv} rows of each domain, but one has {n_fewest}; "
                "lower cv or pass more rows."
            )
        cv = StratifiedKFold(int(cv), shuffle=True, random_state=seed)
    if estimator is None:
        estimator = linear_classifier(X) if sp.issparse(X) else boosted_trees(seed)
    with default_numpy_errors():
        predicted = cross_val_predict(estimator, X, is_target, cv=cv, method=method)
    return predicted[:, 1] if method == "predict_proba" else predicted


def boosted_trees(seed: int) -> Any:
    """Make small gradient-boosted trees, which detect shifts of any shape."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import

    return HistGradientBoostingClassifier(
        max_iter=30, max_leaf_nodes=8, early_stopping=False, random_state=seed
    )
