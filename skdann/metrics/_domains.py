"""Distances between two domains, measured by how well a classifier separates their rows."""

from __future__ import annotations

from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from skdann.metrics._pooling import linear_classifier, out_of_fold, pool_domains


def domain_auc(X_source, X_target, *, estimator=None, cv=5, random_state=None):
    """Measure how well a classifier separates the domains: 0.5 if alike, 1 if fully separate.

    Parameters
    ----------
    X_source : array-like, data frame or sparse matrix of shape (n_source, n_features)
        Rows of the source domain.
    X_target : array-like of shape (n_target, n_features), or tuple of these
        Rows of the target domain; several targets are pooled.
    estimator : classifier with ``predict_proba`` or None, default=None
        Classifier that separates the domains. None uses gradient-boosted trees, which need no
        scaling, accept NaN and detect shifts of any shape. They do not accept sparse input, for
        which a logistic regression on scaled columns is used.
    cv : int or splitter, default=5
        Cross-validation. An int is the number of shuffled folds, stratified by domain.
    random_state : int, RandomState instance or None, default=None
        Controls the folds and the default estimator. None uses fresh entropy.

    Returns
    -------
    float
        Area under the ROC curve of the out-of-fold probabilities.

    Raises
    ------
    ValueError
        If the domains differ in container or columns, or have fewer rows than there are folds.

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
    r"""Measure the distance between domains by a linear classifier's error, from 0 to 2.

    .. math:: \hat d_A = 2 (1 - 2 \epsilon)

    with :math:`\epsilon` the cross-validated error of the domain classifier, averaged over the two
    domains [1]_ [2]_. The distance is 0 for domains that are alike and 2 for domains that are fully
    separate. Values below 0 (worse than guessing) are set to 0.

    Parameters
    ----------
    X_source : array-like, data frame or sparse matrix of shape (n_source, n_features)
        Rows of the source domain.
    X_target : array-like of shape (n_target, n_features), or tuple of these
        Rows of the target domain; several targets are pooled.
    estimator : classifier or None, default=None
        Classifier that separates the domains. None uses a logistic regression on scaled columns.
        If the domains differ in size, pass a classifier that gives both the same weight, e.g. by
        ``class_weight="balanced"``.
    cv : int or splitter, default=5
        Cross-validation. An int is the number of shuffled folds, stratified by domain.
    random_state : int, RandomState instance or None, default=None
        Controls the folds. None uses fresh entropy.

    Returns
    -------
    float
        Distance in [0, 2].

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
    predicted = out_of_fold(X, is_target, estimator, cv, random_state, method="predict")
    return float(max(0.0, 2.0 * (2.0 * balanced_accuracy_score(is_target, predicted) - 1.0)))
