r"""How far two domains lie apart, and how their class shares differ, without target labels.

A classifier :math:`h` that tells source rows from target rows measures the first: its AUC, its
error, and the density ratio that its probabilities carry,

.. math:: \frac{p_T(x)}{p_S(x)} = \frac{n_S}{n_T} \cdot \frac{h(x)}{1 - h(x)}.

All of it is out of fold: no row is judged by a classifier that saw it.
"""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d

from skdann._input.rows import PIPELINE_REMEDY, column_names, match_columns

__all__ = [
    "domain_auc",
    "effective_sample_size",
    "estimate_target_priors",
    "importance_weights",
    "proxy_a_distance",
]

_Array = NDArray[Any]


def domain_auc(X_source, X_target, *, estimator=None, cv=5, random_state=None):
    """Measure how well a classifier tells the domains apart: 0.5 alike, 1 apart.

    Parameters
    ----------
    X_source : array-like, data frame or sparse matrix of shape (n_source, n_features)
        Rows of the source.
    X_target : array-like of shape (n_target, n_features), or tuple of these
        Rows of the target; several targets are pooled.
    estimator : classifier with ``predict_proba`` or None, default=None
        None takes gradient-boosted trees, which ask for no scaling, take NaN and see shifts of
        any shape; for sparse input, which they do not take, a logistic regression.
    cv : int or splitter, default=5
        Folds, stratified by domain and shuffled where an integer.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds and of the default estimator; None takes fresh entropy.

    Returns
    -------
    float
        Area under the ROC curve of the out-of-fold probabilities.

    Raises
    ------
    ValueError
        If the domains differ in width or columns, or have fewer rows than there are folds.

    Examples
    --------
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.metrics import domain_auc
    >>> X_source, _, X_target, _ = make_covariate_shift(shift=3.0, random_state=0)
    >>> domain_auc(X_source, X_target, random_state=0) > 0.9
    True
    """
    X, is_target, _ = _pool_domains(X_source, X_target)
    return float(roc_auc_score(is_target, _out_of_fold(X, is_target, estimator, cv, random_state)))


def proxy_a_distance(X_source, X_target, *, estimator=None, cv=5, random_state=None):
    r"""Measure the distance of the domains by a linear classifier's error: 0 alike, 2 apart.

    .. math:: \hat d_A = 2 (1 - 2 \epsilon)

    with :math:`\epsilon` the cross-validated error of telling the domains apart, the mean of both
    domains' errors, and values below 0 (worse than guessing) set to 0 [1]_ [2]_.

    Parameters
    ----------
    X_source : array-like, data frame or sparse matrix of shape (n_source, n_features)
        Rows of the source.
    X_target : array-like of shape (n_target, n_features), or tuple of these
        Rows of the target; several targets are pooled.
    estimator : classifier or None, default=None
        None takes a logistic regression on scaled columns. Choose one that weights both
        domains alike (``class_weight="balanced"``) where they differ in size.
    cv : int or splitter, default=5
        Folds, stratified by domain and shuffled where an integer.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds; None takes fresh entropy.

    Returns
    -------
    float
        The distance, in [0, 2].

    Raises
    ------
    ValueError
        As in :func:`domain_auc`.

    References
    ----------
    .. [1] Ben-David, Blitzer, Crammer, Pereira, "Analysis of Representations for Domain
       Adaptation", NeurIPS 2006.
    .. [2] Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17(59), 2016,
       section 5.1.5.

    Examples
    --------
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.metrics import proxy_a_distance
    >>> X_source, _, X_target, _ = make_covariate_shift(shift=10.0, random_state=0)
    >>> proxy_a_distance(X_source, X_target, random_state=0)
    2.0
    """
    X, is_target, _ = _pool_domains(X_source, X_target)
    estimator = _linear_classifier(X, "balanced") if estimator is None else estimator
    guess = _out_of_fold(X, is_target, estimator, cv, random_state, method="predict")
    return float(max(0.0, 2.0 * (2.0 * balanced_accuracy_score(is_target, guess) - 1.0)))


def importance_weights(
    X_source, X_target, *, estimator=None, cv=5, max_weight=None, random_state=None
):
    r"""Weight the source rows so that they stand for the target.

    .. math:: w(x) = \min\left(\frac{n_S}{n_T} \cdot \frac{h(x)}{1 - h(x)},\; w_{\max}\right)

    with :math:`h` the out-of-fold probability that a row is a target row [1]_.

    Parameters
    ----------
    X_source : array-like, data frame or sparse matrix of shape (n_source, n_features)
        Rows of the source.
    X_target : array-like of shape (n_target, n_features), or tuple of these
        Rows of the target; several targets are pooled.
    estimator : classifier with ``predict_proba`` or None, default=None
        As in :func:`domain_auc`. It must not weight the classes, as the formula corrects for size.
    cv : int or splitter, default=5
        Folds, stratified by domain and shuffled where an integer.
    max_weight : float or None, default=None
        Largest weight; None takes the square root of n_source [2]_.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds and of the default estimator; None takes fresh entropy.

    Returns
    -------
    ndarray of shape (n_source,)
        Weights >= 0, of mean about 1 where the domains overlap.

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
            f"max_weight={max_weight!r} must be positive; pass None for the root of n_source."
        )
    X, is_target, _ = _pool_domains(X_source, X_target)
    proba = _out_of_fold(X, is_target, estimator, cv, random_state)
    return _density_ratio(proba, is_target, max_weight)


def effective_sample_size(weights):
    r"""Count the equally weighted rows that weighted rows are worth [1]_.

    .. math:: n_{\mathrm{eff}} = \frac{(\sum_i w_i)^2}{\sum_i w_i^2}

    Parameters
    ----------
    weights : array-like of shape (n_samples,)
        Weights >= 0, of any scale.

    Returns
    -------
    float
        Between 1 and n_samples; 0 where all weights are 0.

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
    weights = check_array(weights, ensure_2d=False, dtype=np.float64, input_name="weights")
    if (weights < 0).any():
        raise ValueError(
            f"weights holds negative values (least: {weights.min():g}); weights must be >= 0."
        )
    largest = weights.max()
    if largest == 0:
        return 0.0
    weights = weights / largest  # no overflow, and no underflow, in the squares
    return float(weights.sum() ** 2 / (weights**2).sum())


def estimate_target_priors(
    proba_source,
    y_source,
    proba_target,
    *,
    method="em",
    classes=None,
    max_iter=1000,
    tol=1e-6,
):
    r"""Estimate the share of each class in the target under label shift.

    Both methods assume that the domains differ in p(y) alone, and that p(x | y) is the same: other
    shifts mislead them, on real tables so far that the source's shares are often the better guess.

    "em" [1]_ repeats, for the ratio :math:`w_k` of the target's share of class k to the source's,
    from :math:`w = 1` on,

    .. math::
        w_k \leftarrow \frac{1}{q_k n_T} \sum_{i=1}^{n_T}
        \frac{w_k \, p(k | x_i)}{\sum_l w_l \, p(l | x_i)}

    with :math:`q_k` the mean of p(k | x) over the source rows, which is the source's share where
    the probabilities are calibrated, as the method needs them [2]_.

    "bbse" [3]_ needs no calibration. With the soft confusion matrix :math:`M_{kl}`, the mean of
    p(k | x) over source rows of class l, and :math:`\mu_k`, its mean over the target rows, it finds
    the shares

    .. math::
        \arg\min_{\pi \ge 0} \lVert M \pi - \mu \rVert^2
        + \tfrac{1}{n} \lVert \pi - \pi_S \rVert^2, \quad n = \min(n_S, n_T),

    and scales them to sum 1. The second term, of the size of the sampling noise, keeps to the
    source's shares where the classifier cannot tell classes apart and M is singular [4]_.

    Parameters
    ----------
    proba_source : array-like of shape (n_source, n_classes)
        Predicted class probabilities of source rows, best of rows that the classifier was not
        trained on (e.g. of ``cross_val_predict``).
    y_source : array-like of shape (n_source,)
        Their labels.
    proba_target : array-like of shape (n_target, n_classes)
        Predicted class probabilities of target rows.
    method : {"em", "bbse"}, default="em"
        EM has the smaller variance if the probabilities are calibrated.
    classes : array-like of shape (n_classes,) or None, default=None
        Label of each column, as in ``clf.classes_``; None takes the sorted labels of `y_source`.
    max_iter, tol : int, float, default=1000, 1e-6
        EM stops after `max_iter` rounds, or when no share changes by more than `tol`.

    Returns
    -------
    ndarray of shape (n_classes,)
        Shares with sum 1, in the order of `classes`; 0 for a class that the source lacks, of which
        nothing can be known.

    Raises
    ------
    ValueError
        If shapes or labels do not fit, or rows are no probabilities.

    Warns
    -----
    ConvergenceWarning
        If EM did not converge in `max_iter` rounds.

    References
    ----------
    .. [1] Saerens, Latinne, Decaestecker, "Adjusting the Outputs of a Classifier to New a Priori
       Probabilities", Neural Computation 14(1), 2002.
    .. [2] Alexandari, Kundaje, Shrikumar, "Maximum Likelihood with Bias-Corrected Calibration is
       Hard-To-Beat at Label Shift Adaptation", ICML 2020.
    .. [3] Lipton, Wang, Smola, "Detecting and Correcting for Label Shift with Black Box
       Predictors", ICML 2018.
    .. [4] Azizzadenesheli, Liu, Yang, Anandkumar, "Regularized Learning for Domain Adaptation under
       Label Shifts", ICLR 2019.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdann.datasets import make_label_shift
    >>> from skdann.metrics import estimate_target_priors
    >>> X_source, y_source, X_target, _ = make_label_shift(
    ...     2000, target_priors=(0.2, 0.8), random_state=0
    ... )
    >>> clf = LogisticRegression().fit(X_source, y_source)
    >>> estimate_target_priors(
    ...     clf.predict_proba(X_source), y_source, clf.predict_proba(X_target)
    ... ).round(1)
    array([0.2, 0.8])
    """
    if method not in ("em", "bbse"):
        raise ValueError(f"method={method!r} is not known; pass 'em' or 'bbse'.")
    y_source = column_or_1d(y_source)
    classes = np.unique(y_source) if classes is None else column_or_1d(classes)
    proba_source = _check_proba(proba_source, classes, "proba_source")
    proba_target = _check_proba(proba_target, classes, "proba_target")
    check_consistent_length(proba_source, y_source)
    is_class = y_source[:, None] == classes[None, :]
    if not is_class.any(axis=1).all():
        raise ValueError(
            f"y_source holds labels {np.setdiff1d(y_source, classes).tolist()} that are not among "
            f"the classes {classes.tolist()}; pass the label of each column of proba_source."
        )
    shares = is_class.mean(axis=0)
    known = shares > 0
    priors = np.zeros(len(classes))
    if method == "em":
        ratio = _em_ratio(proba_source[:, known], proba_target[:, known], max_iter, tol)
        priors[known] = ratio * shares[known]
    else:
        confusion = (proba_source.T @ is_class / is_class.sum(axis=0).clip(1))[:, known]
        ridge = min(len(proba_source), len(proba_target)) ** -0.5
        priors[known], _ = nnls(
            np.vstack([confusion, ridge * np.eye(known.sum())]),
            np.concatenate([proba_target.mean(axis=0), ridge * shares[known]]),
        )
    total = priors.sum()  # 0 where all target rows are surely of classes that the source lacks
    return priors / total if total else shares


def _em_ratio(proba_source: _Array, proba_target: _Array, max_iter: int, tol: float) -> _Array:
    """Ratio of each class's share in the target to that in the source, by EM."""
    tiny = np.finfo(np.float64).tiny
    source_prior = np.maximum(proba_source.mean(axis=0), tiny)
    prior = source_prior
    for _ in range(max_iter):
        joint = proba_target * (prior / source_prior)
        earlier, prior = prior, (joint / joint.sum(axis=1, keepdims=True).clip(tiny)).mean(axis=0)
        if np.abs(prior - earlier).max() <= tol:
            break
    else:
        warnings.warn(
            f"EM did not converge in max_iter={max_iter} rounds; raise max_iter or tol, or pass "
            "method='bbse'.",
            ConvergenceWarning,
            stacklevel=3,
        )
    return prior / source_prior


def _check_proba(proba: Any, classes: _Array, name: str) -> _Array:
    """Check that rows are probabilities, one column a class."""
    proba = check_array(proba, dtype=np.float64, input_name=name)
    if proba.shape[1] != len(classes):
        raise ValueError(
            f"{name} has {proba.shape[1]} columns but there are {len(classes)} classes "
            f"{classes.tolist()}; pass classes=clf.classes_ of the classifier that predicted it."
        )
    if (proba < 0).any() or not np.allclose(proba.sum(axis=1), 1.0, atol=1e-3):
        raise ValueError(
            f"{name} must hold probabilities, >= 0 with rows of sum 1; pass the output of "
            "predict_proba."
        )
    return proba


def _pool_domains(X_source: Any, X_target: Any) -> tuple[Any, _Array, _Array | None]:
    """Stack checked rows of both domains: rows, whether of the target, column names or None."""
    names = column_names(X_source)
    rows = [_check_rows(X_source, "X_source")]
    for target in X_target if isinstance(X_target, tuple) else (X_target,):
        rows.append(_check_rows(_match_target(X_source, target), "X_target"))
        if rows[-1].shape[1] != rows[0].shape[1]:
            raise ValueError(
                f"X_target has {rows[-1].shape[1]} features but X_source has {rows[0].shape[1]}; "
                f"{PIPELINE_REMEDY}."
            )
    n_source, n_target = rows[0].shape[0], sum(part.shape[0] for part in rows[1:])
    if not n_target:
        raise ValueError("X_target is an empty tuple; pass one array a target domain.")
    is_sparse = any(sp.issparse(part) for part in rows)
    X = sp.vstack(rows, format="csr") if is_sparse else np.vstack(rows)
    return X, np.repeat([0, 1], [n_source, n_target]), names


def _match_target(X_source: Any, target: Any) -> Any:
    """Bring a target frame's columns into the order of a source frame's."""
    if hasattr(X_source, "columns") and hasattr(target, "columns"):
        return match_columns(target, list(X_source.columns), "X_target")
    return target


def _check_rows(X: Any, name: str) -> Any:
    """Check one domain's rows: real numbers or NaN, dense or CSR."""
    return check_array(
        X, accept_sparse="csr", dtype="numeric", ensure_all_finite="allow-nan", input_name=name
    )


def _draw_seed(random_state: Any) -> int:
    """Draw one seed from random_state; None takes fresh entropy, never numpy's global state."""
    fresh = np.random.RandomState(np.random.SeedSequence().generate_state(1))
    return int(check_random_state(fresh if random_state is None else random_state).randint(2**31))


def _linear_classifier(X: Any, class_weight: str | None = None) -> Any:
    """Make a logistic regression on scaled columns, dense or sparse."""
    from sklearn.impute import SimpleImputer  # slow to import

    return make_pipeline(
        MaxAbsScaler() if sp.issparse(X) else StandardScaler(),  # rare words blow up in the latter
        SimpleImputer(keep_empty_features=True),
        LogisticRegression(C=0.1, class_weight=class_weight, max_iter=1000),
    )


def _out_of_fold(
    X: Any,
    is_target: _Array,
    estimator: Any,
    cv: Any,
    random_state: Any,
    method: str = "predict_proba",
) -> _Array:
    """Out-of-fold guesses, or probabilities, that rows are target rows."""
    seed = _draw_seed(random_state)
    if isinstance(cv, Integral):
        n_fewest = np.bincount(is_target).min()
        if n_fewest < cv:
            raise ValueError(
                f"cv={cv} folds need as many rows of each domain, but one has {n_fewest}; lower cv "
                "or pass more rows."
            )
        cv = StratifiedKFold(int(cv), shuffle=True, random_state=seed)
    if estimator is None:
        estimator = _linear_classifier(X) if sp.issparse(X) else _boosted_trees(seed)
    found = cross_val_predict(estimator, X, is_target, cv=cv, method=method)
    return found[:, 1] if method == "predict_proba" else found


def _boosted_trees(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier  # slow to import

    return HistGradientBoostingClassifier(
        max_iter=30, max_leaf_nodes=8, early_stopping=False, random_state=seed
    )


def _density_ratio(proba: _Array, is_target: _Array, max_weight: float | None = None) -> _Array:
    """Clipped p_T / p_S of the source rows, from probabilities of being a target row."""
    n_target = int(is_target.sum())
    n_source = len(is_target) - n_target
    source = proba[is_target == 0]
    odds = source / np.maximum(1.0 - source, np.finfo(np.float64).tiny)
    limit = n_source**0.5 if max_weight is None else max_weight
    return np.minimum(odds * (n_source / n_target), limit)
