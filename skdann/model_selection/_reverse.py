"""Reverse validation: train on the predicted labels of the target, score on the source."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import numpy as np
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object

from skdann._compat import StrOptions
from skdann.model_selection._base import TargetScorer, class_probabilities
from skdann.model_selection._scores import METRICS, label_index, weighted_score

SHIFT = ("label_shift", "target_priors")


def fit_reverse(estimator: Any, X: Any, X_target: Any, labels: Any) -> Any:
    """Fit a clone on labelled target rows, with X as its unlabelled target if it takes one.

    A DANNClassifier is cloned without `label_shift` and `target_priors`, because the class shares
    of its target do not apply in reverse.
    """
    reverse = clone(estimator)
    shifts = [name for name in reverse.get_params() if name.split("__")[-1] in SHIFT]
    reverse.set_params(**dict.fromkeys(shifts))
    with config_context(enable_metadata_routing=True):
        if not _takes_target(reverse):
            return reverse.fit(X_target, labels)
        step = reverse
        while isinstance(step, Pipeline):  # transformers see the target too
            step.transform_input = list(dict.fromkeys([*(step.transform_input or ()), "X_target"]))
            step = step[-1]
        return reverse.fit(X_target, labels, X_target=(X,))


def _takes_target(estimator: Any) -> bool:
    """Whether `fit` takes X_target, or passes it on."""
    return "X_target" in inspect.signature(estimator.fit).parameters or bool(
        get_routing_for_object(estimator).consumes("fit", ["X_target"])
    )


class ReverseValidationScorer(TargetScorer):
    r"""Score a classifier that is trained in reverse, from the target to the source.

    The candidate :math:`\eta` labels the target rows. A clone :math:`\eta_r` is trained on these
    rows as its source, with the source rows as its unlabelled target. Its predictions are compared
    with the source labels [1]_ [2]_:

    .. math::
        \frac{1}{n} \sum_{(x, y) \in S} [\eta_r(x) = y], \qquad
        \eta_r = \mathrm{fit}\big(\{(x, \eta(x)) : x \in T\}, \{x : x \in S\}\big)

    Parameters
    ----------
    X_target : array-like, data frame, sparse matrix, tuple of these, or None, default=None
        Rows of the target. None uses those passed by metadata routing.
    metric : {"accuracy", "balanced_accuracy", "log_loss"}, default="accuracy"
        Metric of the reverse classifier on the source; "log_loss" is negated, so that higher is
        better.

    Notes
    -----
    Every score needs a fit, so a search takes about twice as long. Estimators whose `fit` takes
    ``X_target``, and pipelines that end in one, get the source rows as their target. Others are
    trained on the labelled target alone. Set a ``random_state`` in the estimator, otherwise the
    score is random too.

    If all target rows get one label, there is nothing to train on. The score is then the score of
    predicting this label for every source row, which is chance for "balanced_accuracy".

    The score fails where errors cancel: a candidate that swaps two classes in the target trains the
    reverse classifier to swap them back. It also favours settings that work in both directions.

    There are two departures from [1]_. A scorer sees held-out source rows only, so these rows are
    used both as unlabelled target and for the score, where [1]_ adapts to the training rows. The
    reverse classifier is initialized randomly, not with the weights of the candidate.

    References
    ----------
    .. [1] Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17(59), 2016,
       section 5.1.2.
    .. [2] Zhong, Fan, Yang, Verscheure, Ren, "Cross Validation Framework to Choose Amongst Models
       and Datasets for Transfer Learning", ECML PKDD 2010.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.model_selection import ReverseValidationScorer
    >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
    >>> clf = LogisticRegression().fit(X_source[::2], y_source[::2])
    >>> ReverseValidationScorer(X_target)(clf, X_source[1::2], y_source[1::2]) > 0.7
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {"metric": [StrOptions(set(METRICS))]}

    def __init__(self, X_target=None, *, metric="accuracy"):
        super().__init__(X_target)
        self.metric = metric

    def _score(self, estimator: Any, X: Any, y: Any, X_target: Any) -> float:
        name = type(self).__name__
        index = label_index(y, X, estimator, name)
        column = class_probabilities(estimator, X_target, name).argmax(axis=1)
        if (column == column[0]).all():
            proba = np.zeros((len(index), len(estimator.classes_)))
            proba[:, column[0]] = 1.0
            return weighted_score(index, proba, metric=self.metric)
        # DEVIATION: adapts to the held-out rows, with new initial weights; see the Notes
        reverse = fit_reverse(estimator, X, X_target, np.asarray(estimator.classes_)[column])
        index = label_index(y, X, reverse, name)
        return weighted_score(index, class_probabilities(reverse, X, name), metric=self.metric)
