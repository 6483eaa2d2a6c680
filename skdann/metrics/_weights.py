"""Importance weights, with which source rows represent the target."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array

from skdann._input.containers import unwrap
from skdann._input.surroundings import neutral_surroundings
from skdann.metrics._pooling import out_of_fold, pool_domains

_Array = NDArray[Any]


def importance_weights(
    X_source, X_target, *, estimator=None, cv=5, max_weight=None, random_state=None
):
    r"""Weight source rows so that they represent the target.

    .. math:: w(x) = \min\left(\frac{n_S}{n_T} \cdot \frac{h(x)}{1 - h(x)},\; w_{\max}\right)

    with :math:`h` the out-of-fold probability that a row is a target row [1]_.

    Parameters
    ----------
    X_source : array-like, data frame or sparse matrix of shape (n_source, n_features)
        Rows of the source domain.
    X_target : array-like of shape (n_target, n_features), or tuple of these
        Rows of the target domain; several targets are pooled.
    estimator : classifier with ``predict_proba`` or None, default=None
        Classifier that separates the domains, by default as in :func:`domain_auc`. It must not
        weight the classes, because the formula already corrects for the size of the domains.
    cv : int or splitter, default=5
        Cross-validation. An int is the number of shuffled folds, stratified by domain.
    max_weight : float or None, default=None
        Maximum weight. None uses the square root of n_source [2]_.
    random_state : int, RandomState instance or None, default=None
        Controls the folds and the default estimator. None uses fresh entropy.

    Returns
    -------
    ndarray of shape (n_source,)
        Weights >= 0. Their mean is about 1 if the domains overlap.

    Raises
    ------
    ValueError
        As in :func:`domain_auc`, or if `max_weight` is not positive.

    References
    ----------
    .. [1] Bickel, Brückner, Scheffer, "Discriminative Learning Under Covariate Shift", JMLR 10,
       2009.
    .. [2] Ionides, "Truncated Importance Sampling", J. Comput. Graph. Stat. 17(2), 2008.

    Examples
    --------
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.metrics import effective_sample_size, importance_weights
    >>> X_source, _, X_target, _ = make_covariate_shift(shift=1.0, random_state=0)
    >>> weights = importance_weights(X_source, X_target, random_state=0)
    >>> 50 < effective_sample_size(weights) < 450
    True
    """
    if max_weight is not None and not max_weight > 0:
        raise ValueError(
            f"max_weight={max_weight!r} must be positive; pass None to use the square root of the "
            "number of source rows."
        )
    X, is_target, _ = pool_domains(X_source, X_target)
    proba = out_of_fold(X, is_target, estimator, cv, random_state)
    return density_ratio(proba, is_target, max_weight)


@neutral_surroundings()
def effective_sample_size(weights):
    r"""Compute how many equally weighted rows carry as much information as weighted rows [1]_.

    .. math:: n_{\mathrm{eff}} = \frac{(\sum_i w_i)^2}{\sum_i w_i^2}

    Parameters
    ----------
    weights : array-like of shape (n_samples,)
        Weights >= 0, of any scale.

    Returns
    -------
    float
        Between 1 and n_samples, or 0 if all weights are 0.

    Raises
    ------
    ValueError
        If a weight is negative or not finite.

    References
    ----------
    .. [1] Kish, "Survey Sampling", Wiley, 1965.

    Examples
    --------
    >>> from skdann.metrics import effective_sample_size
    >>> effective_sample_size([1.0, 1.0, 2.0, 0.0])
    2.666...
    """
    weights = unwrap(weights, "weights")
    weights = check_array(weights, ensure_2d=False, dtype=np.float64, input_name="weights")
    if (weights < 0).any():
        raise ValueError(
            f"weights holds negative values (minimum: {weights.min():g}); weights must be >= 0."
        )
    largest = weights.max()
    if largest == 0:
        return 0.0
    weights = weights / largest  # avoids overflow and underflow of the squares
    return float(weights.sum() ** 2 / (weights**2).sum())


def density_ratio(proba: _Array, is_target: _Array, max_weight: float | None = None) -> _Array:
    """Clipped density ratio p_T / p_S of source rows, from probabilities of the target domain."""
    n_target = int(is_target.sum())
    n_source = len(is_target) - n_target
    source = proba[is_target == 0]
    odds = source / np.maximum(1.0 - source, np.finfo(np.float64).tiny)
    limit = n_source**0.5 if max_weight is None else max_weight
    return np.minimum(odds * (n_source / n_target), limit)
