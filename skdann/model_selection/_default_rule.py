"""The default rule of `DANNClassifierCV`, as a scorer.

The score is the sum of three terms, all at most 1: the information of the predictions for the
target, and the balanced accuracy of reverse validation by two linear classifiers, on columns scaled
by the source and on columns scaled in each domain. Each term alone is misleading: the first for
candidates that are confident and wrong, the second for those that predict like the source-only
baseline, the third for those that align.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score

from skdann._input.drawing import draw_rows
from skdann._input.rows import read_rows
from skdann._input.seeding import draw_seed
from skdann.model_selection._base import (
    TargetScorer,
    as_numbers,
    class_probabilities,
    enter_last_step,
)
from skdann.model_selection._scores import label_index
from skdann.model_selection._target import information_maximization
from skdann.nn._standardizer import is_constant

_Array = NDArray[Any]

MOST_ROWS = 4000  # maximum number of rows per domain for reverse validation
MOST_DEVIATIONS = 20.0  # scaled values are clipped beyond
RIDGE = 1e-8  # added to the squared length of each row that is rotated, in units of their mean
LARGEST_SPARSE = 1e6  # values of sparse rows, which are not scaled, are clipped beyond


def information(proba: _Array) -> float:
    """Mutual information of rows and predicted classes, as a share of its maximum."""
    n_classes = proba.shape[1]
    return information_maximization(proba) / float(np.log(n_classes)) if n_classes > 1 else 0.0


def reverse_accuracy(X_source: Any, y: _Array, X_target: Any, label: _Array) -> float:
    """Balanced accuracy on the source of a linear classifier trained on labels of the target."""
    if len(np.unique(label)) < 2:
        return 1.0 / len(np.unique(y))
    # DEVIATION: Ganin et al. train the network in reverse. A linear classifier is much cheaper, and
    # scaling each domain separately replaces its adaptation.
    predicted = LogisticRegression(max_iter=1000).fit(X_target, label).predict(X_source)
    recall = recall_score(y, predicted, labels=np.unique(y), average="macro", zero_division=0)
    return float(recall)


def scale_each(X: Any) -> Any:
    """Bring dense columns to mean 0 and standard deviation 1; leave sparse rows as they are."""
    return scale_by(X, X)


def scale_by(X: Any, X_reference: Any) -> Any:
    """Scale dense columns by mean and standard deviation of reference rows, and clip them.

    Values of sparse rows are only clipped, where a linear classifier would not converge.
    """
    if sp.issparse(X):
        if X.nnz and max(-X.data.min(), X.data.max()) > LARGEST_SPARSE:
            X = X.copy()
            X.data = X.data.clip(-LARGEST_SPARSE, LARGEST_SPARSE)
        return X
    mean, std = X_reference.mean(0, dtype=np.float64), X_reference.std(0, dtype=np.float64)
    scaled = (X - mean) / np.where((std > 0) & ~is_constant(X_reference), std, 1.0)
    return scaled.clip(-MOST_DEVIATIONS, MOST_DEVIATIONS)


def reduce_columns(X_source: Any, X_target: Any) -> tuple[Any, Any]:
    """Rotate dense rows with more columns than rows into as many columns as there are rows.

    Inner products stay the same up to `RIDGE`, and with them every linear model with an L2 penalty.
    """
    n_source, n_rows = X_source.shape[0], X_source.shape[0] + X_target.shape[0]
    if sp.issparse(X_source) or X_source.shape[1] <= n_rows:
        return X_source, X_target
    rows = np.vstack([X_source, X_target])
    products = rows @ rows.T
    # centered rows depend on each other, and rounding could make the products indefinite
    products.flat[:: n_rows + 1] += RIDGE * (products.trace() / n_rows or 1.0)
    factor = np.linalg.cholesky(products)
    return factor[:n_source], factor[n_source:]


def _finite_numbers(estimator: Any, rows: Any, name: str) -> Any:
    """Return rows as the last step gets them, encoded if it encodes columns."""
    last, rows = enter_last_step(estimator, rows)
    return read_rows(as_numbers(last, rows, name), name).values


class RuleScore(NamedTuple):
    """Score of the default rule, and the three terms of the sum.

    Parameters
    ----------
    score : float
        The sum: the value that the scorer returns when called.
    information : float
        Information of the predictions for the target, as a share of its maximum, in [0, 1].
    reverse_source : float
        Balanced accuracy of reverse validation on columns scaled by the source, in [0, 1].
    reverse_domain : float
        The same on columns scaled separately in each domain.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.model_selection import DefaultRuleScorer
    >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
    >>> clf = LogisticRegression().fit(X_source, y_source)
    >>> result = DefaultRuleScorer(X_target).evaluate(clf, X_source, y_source)
    >>> result.score == result.information + result.reverse_source + result.reverse_domain
    True
    """

    score: float
    information: float
    reverse_source: float
    reverse_domain: float


class LinearWitness:
    """Scores predictions for the target rows, with the rows scaled once for all of them.

    Parameters
    ----------
    X_source : ndarray or CSR of shape (n_source, n_features)
        Rows of the source.
    y_index : ndarray of int of shape (n_source,)
        Class index of each.
    X_target : ndarray or CSR of shape (n_target, n_features)
        Rows of the target.
    seed : int
        Draws at most `MOST_ROWS` rows of each domain.
    """

    def __init__(self, X_source: Any, y_index: _Array, X_target: Any, seed: int) -> None:
        source = draw_rows(X_source.shape[0], MOST_ROWS, seed)
        self.target = draw_rows(X_target.shape[0], MOST_ROWS, seed)
        self.y = y_index[source]
        X_source, X_target = X_source[source], X_target[self.target]
        by_source, scaled = (
            scale_each(X_source),
            (scale_by(X_target, X_source), scale_each(X_target)),
        )
        self.rows = [reduce_columns(by_source, each) for each in scaled]
        if sp.issparse(X_source):
            self.rows = self.rows[:1]

    def score(self, proba: _Array) -> RuleScore:
        """Score class probabilities of the target rows."""
        share = information(proba)
        label = proba[self.target].argmax(axis=1)
        reverse = [reverse_accuracy(X, self.y, X_target, label) for X, X_target in self.rows]
        return RuleScore(share + reverse[0] + reverse[-1], share, reverse[0], reverse[-1])


class DefaultRuleScorer(TargetScorer):
    r"""Score by the default rule of :class:`skdann.DANNClassifierCV`.

    The score of a classifier :math:`\eta` with class probabilities :math:`p(x)` is

    .. math:: \frac{I}{\log K} + B_S + B_D,

    the sum of three terms in [0, 1]. The first is the information of the predictions for the target
    T [1]_, as a share of its maximum for K classes:

    .. math::
        I = H\Big(\frac{1}{n_T} \sum_{x \in T} p(x)\Big) - \frac{1}{n_T} \sum_{x \in T} H(p(x)),
        \qquad H(p) = -\sum_k p_k \log p_k.

    The others are the balanced accuracy of reverse validation [2]_ [3]_ over the :math:`K_S`
    classes of the source, with :math:`S_k` the source rows of class k:

    .. math::
        B = \frac{1}{K_S} \sum_k \frac{1}{|S_k|} \sum_{x \in S_k} [\eta_r(\tilde x) = k],
        \qquad \eta_r = \mathrm{fit}\big(\{(\tilde x, \eta(x)) : x \in T\}\big)

    with a logistic regression :math:`\eta_r`. Columns are scaled by a mean and a standard
    deviation, :math:`\tilde x = (x - \mu) / \sigma`, and clipped to [-20, 20]: those of the
    source for :math:`B_S`, those of each domain for :math:`B_D`. The first favours candidates that
    predict like the source-only baseline, the second those that align. Sparse rows are not scaled,
    and clipped to [-1e6, 1e6].

    Parameters
    ----------
    X_target : array-like, data frame, sparse matrix, tuple of these, or None, default=None
        Rows of the target. None uses those passed by metadata routing.
    random_state : int, RandomState instance or None, default=0
        Controls the draw of rows: reverse validation uses at most 4,000 rows per domain. Pass an
        int, so that all candidates are scored on the same rows.

    See Also
    --------
    InformationMaximizationScorer : The first term alone, in nats.
    ReverseValidationScorer : Trains a clone of the candidate in reverse.
    skdann.DANNClassifierCV : Trains candidates and selects among them by this rule.

    Notes
    -----
    Reverse validation uses the rows as the classifier, or the last step of a pipeline, receives
    them, encoded if it is a classifier of skdann. For others they must be finite numbers. If all
    target rows get one label, the other terms are chance,
    :math:`1 / K_S`.

    The score fails where the terms are misleading. A candidate that is confident of swapped
    classes has the maximum information, and if its errors cancel in reverse, a high reverse
    accuracy as well. Information assumes classes of similar size. Reverse validation is linear: it
    can reject a good candidate whose classes have curved boundaries, such as moons.

    Under label shift a high score does not show that adaptation helps. This scorer is one part of
    the rule of :class:`skdann.DANNClassifierCV`, which also requires a margin over the source-only
    baseline, and that the domains still differ once class shares are matched. In a search, compare
    with ``lambda_max=0`` yourself. Passed to that class as ``scoring``, the scorer is applied to
    each ensemble member and its held-out rows, with the same margin and without the check for
    label shift.

    References
    ----------
    .. [1] Musgrave, Belongie, Lim, "Three New Validators and a Large-Scale Benchmark Ranking for
       Unsupervised Domain Adaptation", arXiv:2208.07360, 2022.
    .. [2] Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17(59), 2016,
       section 5.1.2.
    .. [3] Zhong, Fan, Yang, Verscheure, Ren, "Cross Validation Framework to Choose Amongst Models
       and Datasets for Transfer Learning", ECML PKDD 2010.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.model_selection import DefaultRuleScorer
    >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
    >>> search = GridSearchCV(
    ...     LogisticRegression(), {"C": [0.001, 1.0]}, scoring=DefaultRuleScorer(X_target)
    ... )
    >>> search.fit(X_source, y_source).best_params_
    {'C': 1.0}
    """

    margin: ClassVar = 0.05  # required lead over the source-only baseline

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {"random_state": ["random_state"]}

    def __init__(self, X_target=None, *, random_state=0):
        super().__init__(X_target)
        self.random_state = random_state

    def evaluate(self, estimator, X, y, X_target=None):
        """Score a fitted classifier, and return the terms of the score.

        Parameters
        ----------
        estimator : fitted classifier with ``predict_proba``
            Classifier to score.
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Held-out rows of the source.
        y : array-like of shape (n_samples,)
            Labels of these rows. A label unknown to the estimator counts as wrong.
        X_target : array-like, data frame, sparse matrix, tuple of these, or None, default=None
            Rows of the target, used if the scorer was constructed without; several targets are
            pooled.

        Returns
        -------
        RuleScore
            The score and its terms.

        Raises
        ------
        ValueError, TypeError
            If a hyperparameter or an input is invalid, or there are no target rows.
        """
        return self._evaluate(estimator, X, y, self._prepare(X, X_target))

    def score_predictions(self, X_source, y_index, X_target, proba):
        """Score given predictions for the target, such as the mean over ensemble members.

        Parameters
        ----------
        X_source : ndarray or CSR of shape (n_source, n_features)
            Rows of the source, finite numbers.
        y_index : ndarray of int of shape (n_source,)
            Column of `proba` for the label of each source row; -1 for a label without one.
        X_target : ndarray or CSR of shape (n_target, n_features)
            Rows of the target, finite numbers.
        proba : ndarray of shape (n_target, n_classes)
            Class probabilities of the target rows.

        Returns
        -------
        RuleScore
            The score and its terms.
        """
        seed = draw_seed(self.random_state)
        return LinearWitness(X_source, y_index, X_target, seed).score(proba)

    def _score(self, estimator: Any, X: Any, y: Any, X_target: Any) -> float:
        return self._evaluate(estimator, X, y, X_target).score

    def _evaluate(self, estimator: Any, X: Any, y: Any, X_target: Any) -> RuleScore:
        index = label_index(y, X, estimator, type(self).__name__)
        proba = class_probabilities(estimator, X_target, type(self).__name__)
        return self.score_predictions(
            _finite_numbers(estimator, X, "X"),
            index,
            _finite_numbers(estimator, X_target, "X_target"),
            proba,
        )
