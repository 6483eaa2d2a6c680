"""Distance of two domains: how well a classifier tells their rows apart."""

from __future__ import annotations

from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from skdann.metrics._pooling import linear_classifier, out_of_fold, pool_domains


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
    X, is_target, _ = pool_domains(X_source, X_target)
    return float(roc_auc_score(is_target, out_of_fold(X, is_target, estimator, cv, random_state)))


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
    X, is_target, _ = pool_domains(X_source, X_target)
    estimator = linear_classifier(X, "balanced") if estimator is None else estimator
    guess = out_of_fold(X, is_target, estimator, cv, random_state, method="predict")
    return float(max(0.0, 2.0 * (2.0 * balanced_accuracy_score(is_target, guess) - 1.0)))
