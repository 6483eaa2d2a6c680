"""Class shares of the target under label shift, estimated from the predictions of a classifier."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from skdann.metrics._pooling import linear_classifier

_Array = NDArray[Any]


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
    proba_source = check_proba(proba_source, classes, "proba_source")
    proba_target = check_proba(proba_target, classes, "proba_target")
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
        ratio = em_ratio(proba_source[:, known], proba_target[:, known], max_iter, tol)
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


def em_ratio(proba_source: _Array, proba_target: _Array, max_iter: int, tol: float) -> _Array:
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


def check_proba(proba: Any, classes: _Array, name: str) -> _Array:
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


def estimate_shares(X: Any, y: np.ndarray, classes: np.ndarray, seed: int) -> np.ndarray:
    """Class shares of the target rows, which follow the source rows in X, under label shift.

    By black-box shift estimation with a linear classifier out of fold: a network trained
    adversarially bends its predictions towards the source's shares.
    """
    counts = (y[:, None] == classes[None, :]).sum(axis=0)
    has_rows = counts > 1  # one in training and one out of fold
    if has_rows.sum() < 2:
        return counts / counts.sum()
    kept = np.flatnonzero(np.isin(y, classes[has_rows]))
    rows, label = X[kept], y[kept]
    model = linear_classifier(X)
    folds = StratifiedKFold(min(5, counts[has_rows].min()), shuffle=True, random_state=seed)
    proba = cross_val_predict(model, rows, label, cv=folds, method="predict_proba")
    target_proba = model.fit(rows, label).predict_proba(X[len(y) :])
    shares = np.zeros(len(classes))
    shares[has_rows] = estimate_target_priors(proba, label, target_proba, method="bbse")
    return shares
