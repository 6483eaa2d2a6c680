"""Scores of the predictions for target rows, without source rows."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from skdann._compat import Interval
from skdann._input.seeding import make_generator
from skdann.model_selection._base import TargetScorer, class_probabilities

_Array = NDArray[Any]

_BLOCK_ENTRIES = 2**22  # entries of the similarity matrix in memory, 32 MiB


def information_maximization(proba: _Array) -> float:
    """Entropy of the mean prediction minus mean entropy of the predictions, in nats."""
    return float(entr(proba.mean(axis=0)).sum() - entr(proba).sum(axis=1).mean())


def soft_neighborhood_density(
    vectors: _Array, temperature: float = 0.05, block_entries: int = _BLOCK_ENTRIES
) -> float:
    """Mean entropy of the similarities of each row to all others, computed in blocks of rows."""
    n_rows = len(vectors)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors / np.maximum(length, np.finfo(np.float64).tiny)
    step = max(1, block_entries // n_rows)
    total = 0.0
    for start in range(0, n_rows, step):
        logits = vectors[start : start + step] @ vectors.T / temperature
        index = np.arange(len(logits))
        logits[index, start + index] = -np.inf  # no similarity of a row to itself
        similarity = np.exp(logits - logits.max(axis=1, keepdims=True))
        similarity /= similarity.sum(axis=1, keepdims=True)
        total += entr(similarity).sum()
    return float(total / n_rows)


def batch_nuclear_norm(proba: _Array) -> float:
    """Sum of the singular values, as a share of its maximum."""
    n_rows, n_classes = proba.shape
    norm = np.linalg.svd(proba, compute_uv=False).sum()
    return float(norm / np.sqrt(n_rows * min(n_rows, n_classes)))


class InformationMaximizationScorer(TargetScorer):
    r"""Score how confident and diverse the predictions for the target are.

    .. math::
        H\Big(\frac{1}{n} \sum_i p_i\Big) - \frac{1}{n} \sum_i H(p_i), \qquad
        H(p) = -\sum_k p_k \log p_k

    with :math:`p_i` the class probabilities of target row i. It estimates the mutual information of
    rows and predicted classes [1]_, and is compared with other scores in [2]_. It lies between 0,
    for identical predictions, and the logarithm of the number of classes.

    Parameters
    ----------
    X_target : array-like, data frame, sparse matrix, tuple of these, or None, default=None
        Rows of the target. None uses those passed by metadata routing.

    See Also
    --------
    BatchNuclearNormScorer : Another measure of confidence and diversity.

    Notes
    -----
    The score rewards confidence, right or wrong: a classifier that is certain of swapped classes
    has the best score, and longer training raises it. It assumes classes of similar size: if they
    differ in size, it prefers a classifier that spreads the target evenly over them.

    References
    ----------
    .. [1] Shi, Sha, "Information-Theoretical Learning of Discriminative Clusters for Unsupervised
       Domain Adaptation", ICML 2012.
    .. [2] Musgrave, Belongie, Lim, "Three New Validators and a Large-Scale Benchmark Ranking for
       Unsupervised Domain Adaptation", arXiv:2208.07360, 2022.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.model_selection import InformationMaximizationScorer
    >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
    >>> clf = LogisticRegression().fit(X_source, y_source)
    >>> 0.0 < InformationMaximizationScorer(X_target)(clf, X_source) < 0.6931
    True
    """

    def _score(self, estimator: Any, X: Any, y: Any, X_target: Any) -> float:
        return information_maximization(
            class_probabilities(estimator, X_target, type(self).__name__)
        )


class SoftNeighborhoodDensityScorer(TargetScorer):
    r"""Score how densely similar predictions for the target are clustered.

    .. math::
        \frac{1}{n} \sum_i H(P_i), \qquad
        P_{ij} = \frac{\exp(f_i^\top f_j / \tau)}{\sum_{j' \ne i} \exp(f_i^\top f_{j'} / \tau)}
        \quad (j \ne i)

    with :math:`f_i` the class probabilities of target row i, scaled to length 1, and :math:`H` the
    entropy [1]_. The score is high if each row has many others with similar predictions. It is at
    most the logarithm of n - 1.

    Parameters
    ----------
    X_target : array-like, data frame, sparse matrix, tuple of these, or None, default=None
        Rows of the target, at least two. None uses those passed by metadata routing.
    temperature : float, default=0.05
        Temperature :math:`\tau`. A smaller value makes fewer rows neighbours.
    max_rows : int or None, default=10000
        Maximum number of target rows used, because time grows with its square. A sample is drawn
        from larger targets; None uses all rows. Memory is bounded in both cases.
    random_state : int, RandomState instance or None, default=0
        Controls that sample. Pass an int, so that all candidates are scored on the same rows.

    See Also
    --------
    MixValScorer : Also uses predictions between the rows.

    Notes
    -----
    A classifier that predicts the same for all rows has the highest score. The score thus cannot
    detect collapse, and is safe only among candidates that still separate the classes. A classifier
    that is certain of every prediction also scores high.

    References
    ----------
    .. [1] Saito, Kim, Teterwak, Sclaroff, Darrell, Saenko, "Tune it the Right Way: Unsupervised
       Validation of Domain Adaptation via Soft Neighborhood Density", ICCV 2021, section 3.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.model_selection import SoftNeighborhoodDensityScorer
    >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
    >>> clf = LogisticRegression().fit(X_source, y_source)
    >>> SoftNeighborhoodDensityScorer(X_target)(clf, X_source) > 1.0
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "temperature": [Interval(Real, 0, None, closed="neither")],
        "max_rows": [None, Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(self, X_target=None, *, temperature=0.05, max_rows=10_000, random_state=0):
        super().__init__(X_target)
        self.temperature = temperature
        self.max_rows = max_rows
        self.random_state = random_state

    def _score(self, estimator: Any, X: Any, y: Any, X_target: Any) -> float:
        proba = class_probabilities(estimator, X_target, type(self).__name__)
        if len(proba) < 2:
            raise ValueError(
                "X_target has 1 row, which has no neighbours; SoftNeighborhoodDensityScorer needs "
                "at least 2 rows."
            )
        if self.max_rows is not None and len(proba) > self.max_rows:
            rng = make_generator(self.random_state)
            proba = proba[rng.choice(len(proba), self.max_rows, replace=False)]
        return soft_neighborhood_density(proba, self.temperature)


class BatchNuclearNormScorer(TargetScorer):
    r"""Score the nuclear norm of the predictions for the target.

    .. math:: \frac{\lVert P \rVert_*}{\sqrt{n \min(n, K)}}

    with :math:`P` the n x K matrix of class probabilities and :math:`\lVert P \rVert_*` the sum of
    its singular values, which grows with both confidence and diversity [1]_. The score is 1 if all
    predictions are certain and all classes are of equal size, and does not depend on n. On given
    target rows it ranks candidates like the norm divided by n, which [1]_ and [2]_ use.

    Parameters
    ----------
    X_target : array-like, data frame, sparse matrix, tuple of these, or None, default=None
        Rows of the target. None uses those passed by metadata routing.

    See Also
    --------
    InformationMaximizationScorer : Another measure of confidence and diversity.

    Notes
    -----
    The score fails like :class:`InformationMaximizationScorer`: if a classifier is confident of the
    wrong classes, and if the classes of the target differ in size.

    References
    ----------
    .. [1] Cui, Wang, Zhuo, Li, Huang, Tian, "Towards Discriminability and Diversity: Batch
       Nuclear-norm Maximization under Label Insufficient Situations", CVPR 2020.
    .. [2] Musgrave, Belongie, Lim, "Three New Validators and a Large-Scale Benchmark Ranking for
       Unsupervised Domain Adaptation", arXiv:2208.07360, 2022.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.model_selection import BatchNuclearNormScorer
    >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
    >>> clf = LogisticRegression().fit(X_source, y_source)
    >>> 0.7 < BatchNuclearNormScorer(X_target)(clf, X_source) < 1.0
    True
    """

    def _score(self, estimator: Any, X: Any, y: Any, X_target: Any) -> float:
        return batch_nuclear_norm(class_probabilities(estimator, X_target, type(self).__name__))
