r"""Scores on source labels that represent the target by importance weighting.

With the density ratio :math:`w(x) = p_T(x) / p_S(x)`, a weighted mean over source rows estimates a
mean over the target,

.. math:: E_{x \sim T}[\ell(x)] = E_{x \sim S}[w(x) \, \ell(x)],

provided both domains share p(y | x).
"""

from __future__ import annotations

from abc import abstractmethod
from numbers import Real
from typing import Any, ClassVar, NamedTuple

from numpy.typing import NDArray

from skdann._compat import Interval, StrOptions
from skdann._input.messages import warn_user
from skdann.metrics import effective_sample_size
from skdann.model_selection._base import (
    TargetScorer,
    as_numbers,
    class_probabilities,
    enter_last_step,
    name_domain,
)
from skdann.model_selection._density import source_weights
from skdann.model_selection._scores import METRICS, label_index, weighted_score

_Array = NDArray[Any]

MIN_EFFECTIVE_ROWS = 30  # below it, weighted scores are noise


class WeightedScore(NamedTuple):
    """Score of weighted source rows, and the effective number of rows behind it.

    Parameters
    ----------
    score : float
        Value that the scorer returns when called.
    effective_sample_size : float
        Number of equally weighted rows that carry as much information as the weighted ones. A
        small number means a noisy score.
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
    """Base class of the scorers that weight source rows."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "space": [StrOptions({"features", "inputs"})],
        "max_weight": [None, Interval(Real, 0, None, closed="neither")],
        "random_state": ["random_state"],
    }

    def evaluate(self, estimator, X, y, X_target=None):
        """Score a fitted classifier, and return the weights behind the score.

        Parameters
        ----------
        estimator : classifier
            Fitted classifier, or pipeline with one as last step.
        X : array-like of shape (n_samples, n_features)
            Labelled source rows.
        y : array-like of shape (n_samples,)
            Their labels.
        X_target : array-like of shape (n_target, n_features), tuple of these, or None, default=None
            Rows of the target; None uses those given to the scorer.

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
        has_features = self.space == "features" and hasattr(last, "transform")
        methods = ("predict_proba", "transform") if has_features else ("predict_proba",)
        more = name_domain(last, has_features, methods)
        proba = class_probabilities(last, X, type(self).__name__, **more)
        X_target = enter_last_step(estimator, X_target)[1]
        weights = source_weights(
            *(
                (last.transform(X, **more), last.transform(X_target))
                if has_features
                else (as_numbers(last, X, "X"), as_numbers(last, X_target, "X_target"))
            ),
            estimator=self.weight_estimator,
            cv=self.cv,
            max_weight=self.max_weight,
            random_state=self.random_state,
        )
        size = effective_sample_size(weights)
        if size < min(MIN_EFFECTIVE_ROWS, len(weights) / 4):
            warn_user(
                f"{type(self).__name__} rests on an effective sample of {size:.0f} of "
                f"{len(weights)} source rows, because the domains hardly overlap: its score is "
                "noise. Choose by DefaultRuleScorer, or by DANNClassifierCV, which need no overlap."
            )
        return WeightedScore(self._score_weighted(index, proba, weights), size, weights)

    @abstractmethod
    def _score_weighted(self, index: _Array, proba: _Array, weights: _Array) -> float:
        """Return the score, given the column of each label in the probabilities."""


class ImportanceWeightedScorer(WeightedScorer):
    r"""Score on source labels, with each row weighted by its similarity to the target.

    The accuracy, with clipped weights :math:`w` of :func:`skdann.metrics.importance_weights`, is

    .. math:: \frac{\sum_i w(x_i) \, [\hat y(x_i) = y_i]}{\sum_i w(x_i)}

    over held-out rows of the source [1]_. Dividing by the sum of the weights, instead of the number
    of rows as in [1]_, keeps the score within [0, 1] and its variance small.

    Parameters
    ----------
    X_target : array-like, data frame, sparse matrix, tuple of these, or None, default=None
        Rows of the target. None uses those passed by metadata routing.
    metric : {"accuracy", "balanced_accuracy", "log_loss"}, default="accuracy"
        Metric that is weighted; "log_loss" is negated, so that higher is better.
    space : {"inputs", "features"}, default="inputs"
        Space in which the domains are compared. "inputs" are the rows as the classifier, or the
        last step of a pipeline, receives them. "features" are the output of its ``transform``, or
        the inputs if it has none. With "features", a classifier of skdann scales source rows by the
        statistics of the source (``standardize="domain"``, ``normalization="domain_batch"``); with
        "inputs" it predicts source rows as it predicts the target.
    weight_estimator : classifier with ``predict_proba`` or None, default=None
        Classifier that separates the domains, by default as in
        :func:`skdann.metrics.importance_weights`.
    cv : int or splitter, default=5
        Cross-validation of `weight_estimator`.
    max_weight : float or None, default=None
        Maximum weight. None uses the square root of the number of source rows.
    random_state : int, RandomState instance or None, default=0
        Controls the folds and the default estimator. Pass an int, so that all candidates are scored
        with the same weights, which are then computed once per fold.

    See Also
    --------
    DeepEmbeddedValidationScorer : Uses weights in feature space, and reduces the variance.

    Notes
    -----
    The score fails where the domains hardly overlap, because a few source rows then carry all the
    weight. With an effective sample of fewer than 30 rows, which `evaluate` returns, the score is
    noise, and there is a warning. It is also biased where p(y | x) differs between the domains.

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
