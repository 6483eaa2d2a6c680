"""Reverse validation: train back from the target's predicted labels to the source."""

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


def fit_reverse(estimator: Any, X: Any, X_target: Any, labels: Any) -> Any:
    """Fit a clone on labelled target rows, with X as its unlabelled target if it takes one.

    What a DANNClassifier knows of the target's class shares does not hold on the way back.
    """
    reverse = clone(estimator)
    shifts = [name for name in reverse.get_params() if name.split("__")[-1] == "label_shift"]
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
    return "X_target" in inspect.signature(estimator.fit).parameters or bool(
        get_routing_for_object(estimator).consumes("fit", ["X_target"])
    )


class ReverseValidationScorer(TargetScorer):
    r"""Score a classifier that is trained back from the target to the source.

    The candidate :math:`\eta` labels the target rows. A clone of it, :math:`\eta_r`, is trained on
    these as its source, with the source rows as its unlabelled target, and its predictions are
    compared with the source labels [1]_ [2]_:

    .. math::
        \frac{1}{n} \sum_{(x, y) \in S} [\eta_r(x) = y], \qquad
        \eta_r = \mathrm{fit}\big(\{(x, \eta(x)) : x \in T\}, \{x : x \in S\}\big)

    Parameters
    ----------
    X_target : array-like, data frame, sparse matrix, tuple of these, or None, default=None
        Rows of the target to judge on; None takes those that metadata routing brings.
    metric : {"accuracy", "balanced_accuracy", "log_loss"}, default="accuracy"
        Of the reverse classifier on the source; "log_loss" is taken with minus, as higher is
        better.

    Notes
    -----
    A fit for each score: a search takes about twice the time. Estimators whose `fit` takes
    ``X_target``, and pipelines that end in one, get the source rows as their target; others are
    trained on the labelled target alone. Give the estimator a ``random_state``, or the score is
    random too.

    If all target rows get one label there is nothing to train on: the score is that of predicting
    this label for every source row, which is chance for "balanced_accuracy".

    It fails where errors cancel: a candidate that swaps two classes in the target teaches the
    reverse classifier to swap them back. It also favours settings that are good in both directions.

    Two departures from [1]_. A scorer sees held-out source rows only, so these serve both as
    unlabelled target and for the score, where [1]_ adapts to the training rows. And the reverse
    classifier starts afresh, not from the weights of the candidate.

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
        # DEVIATION: adapts to the held-out rows and starts afresh; see the Notes
        reverse = fit_reverse(estimator, X, X_target, np.asarray(estimator.classes_)[column])
        index = label_index(y, X, reverse, name)
        return weighted_score(index, class_probabilities(reverse, X, name), metric=self.metric)
