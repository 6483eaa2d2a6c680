"""Deep embedded validation: source risk weighted in feature space, with a control variate."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from skdann._compat import StrOptions
from skdann.model_selection._scores import is_correct, log_losses
from skdann.model_selection._weighted import WeightedScorer

_Array = NDArray[Any]


def deep_embedded_risk(losses: _Array, weights: _Array) -> float:
    """Importance-weighted mean loss, with a control variate that reduces its variance."""
    weighted = weights * losses
    variance = np.var(weights, ddof=1) if len(weights) > 1 else 0.0
    eta = -np.cov(weighted, weights)[0, 1] / variance if variance > 0 else 0.0
    return float(weighted.mean() + eta * (weights.mean() - 1.0))


class DeepEmbeddedValidationScorer(WeightedScorer):
    r"""Score by the importance-weighted source risk in feature space, with a control variate.

    The score is minus the risk

    .. math::
        R = \overline{w \ell} + \eta \, (\overline{w} - 1), \qquad
        \eta = -\frac{\mathrm{Cov}(w \ell, w)}{\mathrm{Var}(w)}

    over held-out rows of the source, with :math:`\ell` the loss and :math:`w` the density ratio of
    the domains in the features of the classifier [1]_. The expected weight is 1, so the second term
    changes the variance of the estimate but not its expectation.

    Parameters
    ----------
    X_target : array-like, data frame, sparse matrix, tuple of these, or None, default=None
        Rows of the target. None uses those passed by metadata routing.
    loss : {"log_loss", "zero_one"}, default="log_loss"
        Loss of each row.
    space : {"features", "inputs"}, default="features"
        Space in which the domains are compared: the features that the classifier, or the last step
        of a pipeline, extracts with ``transform`` (the inputs if it has none), or the rows as it
        receives them.
    weight_estimator, cv, max_weight, random_state : optional
        As in :class:`ImportanceWeightedScorer`.

    See Also
    --------
    ImportanceWeightedScorer : Compares the domains in the inputs.

    Notes
    -----
    The weights differ between candidates, so candidates are not scored on a common scale. A
    classifier that maps the domains onto each other with the classes swapped has weights near 1 and
    a small source loss, and therefore a good score. The control variate removes noise, not bias. It
    is large where a few weights are large, and the risk may then be negative.

    References
    ----------
    .. [1] You, Wang, Long, Jordan, "Towards Accurate Model Selection in Deep Unsupervised Domain
       Adaptation", ICML 2019, Algorithm 1.

    Examples
    --------
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.model_selection import DeepEmbeddedValidationScorer
    >>> X_source, y_source, X_target, _ = make_covariate_shift(shift=1.0, random_state=0)
    >>> clf = LinearDiscriminantAnalysis().fit(X_source[:250], y_source[:250])
    >>> scorer = DeepEmbeddedValidationScorer(X_target, loss="zero_one")
    >>> -0.5 < scorer(clf, X_source[250:], y_source[250:]) < 0.0
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **WeightedScorer._parameter_constraints,
        "loss": [StrOptions({"log_loss", "zero_one"})],
    }

    def __init__(
        self,
        X_target=None,
        *,
        loss="log_loss",
        space="features",
        weight_estimator=None,
        cv=5,
        max_weight=None,
        random_state=0,
    ):
        super().__init__(X_target)
        self.loss = loss
        self.space = space
        self.weight_estimator = weight_estimator
        self.cv = cv
        self.max_weight = max_weight
        self.random_state = random_state

    def _score_weighted(self, index: _Array, proba: _Array, weights: _Array) -> float:
        is_log = self.loss == "log_loss"
        losses = log_losses(index, proba) if is_log else 1.0 - is_correct(index, proba)
        return -deep_embedded_risk(losses, weights)
