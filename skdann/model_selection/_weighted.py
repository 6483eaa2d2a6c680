r"""Source labels that stand for the target, by importance weighting.

With the density ratio :math:`w(x) = p_T(x) / p_S(x)` a mean over source rows becomes one over the
target,

.. math:: E_{x \sim T}[\ell(x)] = E_{x \sim S}[w(x) \, \ell(x)],

if both domains share p(y | x).
"""

from __future__ import annotations

from abc import abstractmethod
from numbers import Real
from typing import Any, ClassVar, NamedTuple

from numpy.typing import NDArray

from skdann._compat import Interval, StrOptions
from skdann.metrics import effective_sample_size
from skdann.model_selection._base import (
    TargetScorer,
    as_numbers,
    class_probabilities,
    enter_last_step,
    name_source,
    represent,
)
from skdann.model_selection._density import source_weights
from skdann.model_selection._scores import METRICS, label_index, weighted_score

_Array = NDArray[Any]


class WeightedScore(NamedTuple):
    """A score of weighted source rows, and how many rows it rests on.

    Parameters
    ----------
    score : float
        What the scorer returns when called.
    effective_sample_size : float
        How many equally weighted rows the weighted ones are worth: the fewer, the less the score
        can be trusted.
    weights : ndarray of shape (n_samples,)
        Weight of each source row.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.model_selection import ImportanceWeightedScorer
    >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
    >>> clf = LogisticRegression().fit(X_source, y_source)
    >>> scorer = ImportanceWeightedScorer(random_state=0)
    >>> result = scorer.evaluate(clf, X_source, y_source, X_target)
    >>> result.effective_sample_size < len(X_source)
    True
    """

    score: float
    effective_sample_size: float
    weights: _Array


class WeightedScorer(TargetScorer):
    """Base of the scorers that weight source rows."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "space": [StrOptions({"features", "inputs"})],
        "max_weight": [None, Interval(Real, 0, None, closed="neither")],
        "random_state": ["random_state"],
    }

    def evaluate(self, estimator, X, y, X_target=None):
        """Score a fitted classifier, and tell how many rows the score rests on.

        Parameters
        ----------
        estimator, X, y, X_target
            As when the scorer is called.

        Returns
        -------
        WeightedScore
            The score, the effective sample size and the weights.
        """
        return self._evaluate(estimator, X, y, self._prepare(X, X_target))

    def _score(self, estimator: Any, X: Any, y: Any, X_target: Any) -> float:
        return self._evaluate(estimator, X, y, X_target).score

    def _evaluate(self, estimator: Any, X: Any, y: Any, X_target: Any) -> WeightedScore:
        index = label_index(y, X, estimator, type(self).__name__)
        last, X = enter_last_step(estimator, X)
        more = name_source(last) if self.space == "features" else {}
        proba = class_probabilities(last, X, type(self).__name__, **more)
        X_target = enter_last_step(estimator, X_target)[1]
        weights = source_weights(
            as_numbers(represent(last, X, self.space, **more), "X"),
            as_numbers(represent(last, X_target, self.space), "X_target"),
            estimator=self.weight_estimator,
            cv=self.cv,
            max_weight=self.max_weight,
            random_state=self.random_state,
        )
        score = self._score_weighted(index, proba, weights)
        return WeightedScore(score, effective_sample_size(weights), weights)

    @abstractmethod
    def _score_weighted(self, index: _Array, proba: _Array, weights: _Array) -> float:
        """Score probabilities of the labels' columns."""


class ImportanceWeightedScorer(WeightedScorer):
    r"""Score on source labels, each row weighted by how much it looks like the target.

    For the accuracy, with clipped weights :math:`w` of :func:`skdann.metrics.importance_weights`,

    .. math:: \frac{\sum_i w(x_i) \, [\hat y(x_i) = y_i]}{\sum_i w(x_i)}

    over held-out rows of the source [1]_. Division by the weights' sum, not by their number as in
    [1]_, keeps the score within [0, 1] and its variance small.

    Parameters
    ----------
    X_target : array-like, data frame, sparse matrix, tuple of these, or None, default=None
        Rows of the target to judge on; None takes those that metadata routing brings.
    metric : {"accuracy", "balanced_accuracy", "log_loss"}, default="accuracy"
        Of each row; "log_loss" is taken with minus, as higher is better.
    space : {"inputs", "features"}, default="inputs"
        Where the domains are compared: in the rows as the classifier, or a pipeline's last step,
        gets them; or in the features that it makes of them with ``transform`` (in the inputs if it
        has none). In the features, what a classifier of skdann keeps of each domain
        (``standardize="domain"``, ``normalization="domain_batch"``) is the source's for source
        rows; in the inputs the classifier is judged as it serves the target.
    weight_estimator : classifier with ``predict_proba`` or None, default=None
        What tells the domains apart; None as in :func:`skdann.metrics.importance_weights`.
    cv : int or splitter, default=5
        Folds of `weight_estimator`.
    max_weight : float or None, default=None
        Largest weight; None takes the square root of the number of source rows.
    random_state : int, RandomState instance or None, default=0
        Seed of the folds and of the default estimator. Keep an integer, so that all candidates are
        judged by the same weights, which are then computed once a fold.

    See Also
    --------
    DeepEmbeddedValidationScorer : Weights in feature space, and less variance.

    Notes
    -----
    It fails where the domains hardly overlap: few source rows then bear all the weight. The
    effective sample size that `evaluate` reports tells; with less than some dozens the score is
    noise. It is also misled where p(y | x) differs between the domains.

    References
    ----------
    .. [1] Sugiyama, Krauledat, Müller, "Covariate Shift Adaptation by Importance Weighted Cross
       Validation", JMLR 8, 2007.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.model_selection import ImportanceWeightedScorer
    >>> X_source, y_source, X_target, _ = make_covariate_shift(shift=1.0, random_state=0)
    >>> clf = LogisticRegression().fit(X_source[:250], y_source[:250])
    >>> scorer = ImportanceWeightedScorer(X_target)
    >>> 0.5 < scorer(clf, X_source[250:], y_source[250:]) < 1.0
    True
    >>> 20 < scorer.evaluate(clf, X_source[250:], y_source[250:]).effective_sample_size < 250
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **WeightedScorer._parameter_constraints,
        "metric": [StrOptions(set(METRICS))],
    }

    def __init__(
        self,
        X_target=None,
        *,
        metric="accuracy",
        space="inputs",
        weight_estimator=None,
        cv=5,
        max_weight=None,
        random_state=0,
    ):
        super().__init__(X_target)
        self.metric = metric
        self.space = space
        self.weight_estimator = weight_estimator
        self.cv = cv
        self.max_weight = max_weight
        self.random_state = random_state

    def _score_weighted(self, index: _Array, proba: _Array, weights: _Array) -> float:
        return weighted_score(index, proba, weights, self.metric)
