"""Class shares of the target under label shift, estimated from a classifier's predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from skdann._input.containers import unwrap
from skdann._input.messages import warn_user
from skdann._input.surroundings import neutral_surroundings
from skdann.metrics._pooling import linear_classifier

_Array = NDArray[Any]


@neutral_surroundings()
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

    Both methods assume that the domains differ in p(y) alone and share p(x | y). Other shifts bias
    them: on real tables the class shares of the source are often the better estimate.

    "em" [1]_ starts from :math:`w = 1` and iterates on the ratio :math:`w_k` of the target's share
    of class k to the source's share,

    .. math::
        w_k \leftarrow \frac{1}{q_k n_T} \sum_{i=1}^{n_T}
        \frac{w_k \, p(k | x_i)}{\sum_l w_l \, p(l | x_i)}

    with :math:`q_k` the mean of p(k | x) over the source rows. The method needs calibrated
    probabilities [2]_, for which :math:`q_k` is the source's share.

    "bbse" [3]_ needs no calibration. With the soft confusion matrix :math:`M_{kl}`, the mean of
    p(k | x) over source rows of class l, and :math:`\mu_k`, its mean over the target rows, it
    solves

    .. math::
        \arg\min_{\pi \ge 0} \lVert M \pi - \mu \rVert^2
        + \tfrac{1}{n} \lVert \pi - \pi_S \rVert^2, \quad n = \min(n_S, n_T),

    and scales the solution to sum to 1. The second term, of the size of the sampling noise, keeps
    the estimate near the source's shares :math:`\pi_S` where the classifier cannot separate classes
    and M is singular [4]_.

    Parameters
    ----------
    proba_source : array-like of shape (n_source, n_classes)
        Predicted class probabilities of source rows, preferably of rows that the classifier was
        not trained on, e.g. from ``cross_val_predict``.
    y_source : array-like of shape (n_source,)
        Labels of these rows.
    proba_target : array-like of shape (n_target, n_classes)
        Predicted class probabilities of target rows.
    method : {"em", "bbse"}, default="em"
        Estimator of the shares. "em" has the smaller variance if the probabilities are calibrated.
    classes : array-like of shape (n_classes,) or None, default=None
        Label of each column, as in ``clf.classes_``. None uses the sorted labels of `y_source`.
    max_iter : int, default=1000
        Maximum number of iterations of "em".
    tol : float, default=1e-6
        "em" stops when no share changes by more than `tol`.

    Returns
    -------
    ndarray of shape (n_classes,)
        Shares that sum to 1, in the order of `classes`. The share is 0 for a class without source
        rows, which cannot be estimated.

    Raises
    ------
    ValueError
        If shapes or labels do not match, or rows are not probabilities.

    Warns
    -----
    ConvergenceWarning
        If "em" did not converge in `max_iter` iterations.

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
        raise ValueError(f"method={method!r} is unknown; pass 'em' or 'bbse'.")
    y_source = column_or_1d(unwrap(y_source, "y_source"))
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
    has_rows = shares > 0
    priors = np.zeros(len(classes))
    if method == "em":
        ratio = em_ratio(proba_source[:, has_rows], proba_target[:, has_rows], max_iter, tol)
        priors[has_rows] = ratio * shares[has_rows]
    else:
        confusion = (proba_source.T @ is_class / is_class.sum(axis=0).clip(1))[:, has_rows]
        ridge = min(len(proba_source), len(proba_target)) ** -0.5
        priors[has_rows], _ = nnls(
            np.vstack([confusion, ridge * np.eye(has_rows.sum())]),
            np.concatenate([proba_target.mean(axis=0), ridge * shares[has_rows]]),
        )
    total = priors.sum()  # 0 if every target row is certain to be of a class without source rows
    return priors / total if total else shares


def em_ratio(proba_source: _Array, proba_target: _Array, max_iter: int, tol: float) -> _Array:
    """Ratio of each class's share in the target to its share in the source, by EM."""
    tiny = np.finfo(np.float64).tiny
    source_prior = np.maximum(proba_source.mean(axis=0), tiny)
    prior = source_prior
    for _ in range(max_iter):
        joint = proba_target * (prior / source_prior)
        previous, prior = prior, (joint / joint.sum(axis=1, keepdims=True).clip(tiny)).mean(axis=0)
        if np.abs(prior - previous).max() <= tol:
            break
    else:
        warn_user(
            f"EM did not converge in max_iter={max_iter} iterations; raise max_iter or tol, or "
            "pass method='bbse'.",
            ConvergenceWarning,
        )
    return prior / source_prior


def check_proba(proba: Any, classes: _Array, name: str) -> _Array:
    """Check that rows are probabilities, with one column per class."""
    proba = check_array(proba, dtype=np.float64, input_name=name)
    if proba.shape[1] != len(classes):
        raise ValueError(
            f"{name} has {proba.shape[1]} columns but there are {len(classes)} classes "
            f"{classes.tolist()}; pass classes=clf.classes_ of the classifier that predicted it."
        )
    if (proba < 0).any() or not np.allclose(proba.sum(axis=1), 1.0, atol=1e-3):
        raise ValueError(
            f"{name} must hold probabilities >= 0 that sum to 1 in each row; pass the output of "
            "predict_proba."
        )
    return proba


def estimate_shares(X: Any, y: np.ndarray, classes: np.ndarray, seed: int) -> np.ndarray:
    """Estimate the class shares of the target from rows, with a linear classifier out of fold.

    This is black-box shift estimation, as in :func:`estimate_target_priors`. An adversarially
    trained network would not do as the classifier: its predictions are biased towards the class
    shares of the source.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_source + n_target, n_features)
        Source rows, then target rows.
    y : ndarray of shape (n_source,)
        Labels of the source rows.
    classes : ndarray of shape (n_classes,)
        All class labels.
    seed : int
        Seed of the folds.

    Returns
    -------
    ndarray of shape (n_classes,)
        Shares that sum to 1; 0 for a class with fewer than two source rows. If this leaves fewer
        than two classes, the shares of the source.
    """
    return bootstrap_shares(X, y, classes, seed, n_resamples=0)[0]


def bootstrap_shares(
    X: Any, y: np.ndarray, classes: np.ndarray, seed: int, n_resamples: int = 200
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the class shares of the target as :func:`estimate_shares` does, with intervals.

    Parameters
    ----------
    X, y, classes, seed
        As in :func:`estimate_shares`.
    n_resamples : int, default=200
        Number of times that the predictions of both domains are drawn anew, with replacement.

    Returns
    -------
    shares : ndarray of shape (n_classes,)
        As :func:`estimate_shares` returns them.
    intervals : ndarray of shape (n_classes, 2)
        Quantiles .05 and .95 of each share over the draws.
    """
    counts = (y[:, None] == classes[None, :]).sum(axis=0)
    has_rows = counts > 1  # one to train on and one out of fold
    if has_rows.sum() < 2:
        shares = counts / counts.sum()
        return shares, np.stack([shares, shares], axis=1)
    kept = np.flatnonzero(np.isin(y, classes[has_rows]))
    rows, label = X[kept], y[kept]
    model = linear_classifier(X)
    folds = StratifiedKFold(min(5, counts[has_rows].min()), shuffle=True, random_state=seed)
    proba = cross_val_predict(model, rows, label, cv=folds, method="predict_proba")
    target_proba = model.fit(rows, label).predict_proba(X[len(y) :])

    def solve(source: Any, target: Any) -> np.ndarray:
        shares = np.zeros(len(classes))
        shares[has_rows] = estimate_target_priors(
            proba[source], label[source], target_proba[target], method="bbse", classes=known
        )
        return shares

    known = classes[has_rows]
    every = slice(None)
    rng = np.random.RandomState(seed)
    draws = [
        solve(
            rng.randint(len(label), size=len(label)),
            rng.randint(len(target_proba), size=len(target_proba)),
        )
        for _ in range(n_resamples)
    ]
    shares = solve(every, every)
    ends = np.quantile(draws, (0.05, 0.95), axis=0).T if draws else np.stack([shares, shares], 1)
    return shares, ends
