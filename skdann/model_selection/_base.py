"""Base class of the scorers, and helpers to call an estimator on rows of both domains."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_regressor
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array
from sklearn.utils.metadata_routing import UNUSED

from skdann._input.containers import load, shape_of, stack_rows
from skdann._input.matching import match_target, name_targets
from skdann._input.rows import check_rows_to_predict, read_rows

_Array = NDArray[Any]


class TargetScorer(BaseEstimator):
    """Base class of the scorers: hyperparameters, metadata request, and the target rows.

    Parameters
    ----------
    X_target : array-like, data frame, sparse matrix, tuple of these, or None, default=None
        Rows of the target.
    """

    # requested by default, as in DANNClassifier.fit
    __metadata_request__score: ClassVar = {"estimator": UNUSED, "X_target": True}

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}

    def __init__(self, X_target=None):
        self.X_target = X_target

    def __call__(self, estimator, X, y=None, X_target=None):
        """Score a fitted classifier; higher is better.

        Parameters
        ----------
        estimator : fitted classifier with ``predict_proba``
            Classifier to score.
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Held-out rows of the source.
        y : array-like of shape (n_samples,) or None, default=None
            Labels of these rows. A label unknown to the estimator counts as probability 0. Scorers
            that use the target alone ignore `y`.
        X_target : array-like, data frame, sparse matrix, tuple of these, or None, default=None
            Rows of the target, used if the scorer was constructed without; several targets are
            pooled.

        Returns
        -------
        float
            The score.

        Raises
        ------
        ValueError, TypeError
            If a hyperparameter or an input is invalid, or there are no target rows.
        """
        X = load(X)
        return float(self._score(estimator, X, y, self._prepare(X, X_target)))

    score = __call__  # scikit-learn looks up metadata requests by the names of methods

    def __repr__(self, N_CHAR_MAX=700):
        """Show parameters that differ from their defaults, and the target by its shape."""
        default = inspect.signature(type(self).__init__).parameters
        shown = {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name != "X_target" and repr(value) != repr(default[name].default)
        }
        texts = [f"{name}={value!r}" for name, value in shown.items()]
        if self.X_target is not None:
            texts.insert(0, f"X_target={_describe(self.X_target)}")
        return f"{type(self).__name__}({', '.join(texts)})"

    def _prepare(self, X: Any, X_target: Any) -> Any:
        """Check the hyperparameters, and return the target rows in their original container."""
        self._validate_params()
        rows = X_target if self.X_target is None else self.X_target
        return pool_targets(rows, X, type(self).__name__)

    @abstractmethod
    def _score(self, estimator: Any, X: Any, y: Any, X_target: Any) -> float:
        """Return the score on checked target rows."""


def _describe(X_target: Any) -> str:
    """Shapes of the target rows, as text."""
    parts = X_target if isinstance(X_target, tuple) else (X_target,)
    shapes = [" x ".join(str(size) for size in shape_of(rows)) for rows in parts]
    return f"<{', '.join(shapes)}>"


def pool_targets(X_target: Any, X: Any, scorer: str) -> Any:
    """Check target rows against source rows, and stack several targets."""
    if X_target is None:
        raise ValueError(
            f"{scorer} has no target rows; construct it with them, {scorer}(X_target), or enable "
            "metadata routing and pass X_target=(X_target,) to the search's fit."
        )
    targets = name_targets(X_target)
    for name, rows in targets.items():
        targets[name] = match_target(name, rows, X, source_name="X")
        if shape_of(targets[name])[0] == 0:
            raise ValueError(f"{name} has no rows; pass at least one row of the target.")
    return stack_rows(list(targets.values()))


def refuse_regressor(estimator: Any, scorer: str) -> None:
    """Raise if an estimator predicts numbers."""
    if is_regressor(estimator):
        raise TypeError(
            f"{scorer} compares class probabilities but {type(estimator).__name__} is a regressor; "
            "no score without target labels is offered for numbers, so compare candidates on some "
            "labelled target rows."
        )


def class_probabilities(estimator: Any, rows: Any, scorer: str, **more: Any) -> _Array:
    """Predict finite probabilities, with one column per class.

    Further keyword arguments are passed to ``predict_proba``.
    """
    refuse_regressor(estimator, scorer)
    if not hasattr(estimator, "predict_proba"):
        raise TypeError(
            f"{scorer} needs class probabilities but {type(estimator).__name__} has no "
            "predict_proba; wrap it, e.g. in sklearn.calibration.CalibratedClassifierCV."
        )
    proba = estimator.predict_proba(rows, **more)
    return check_array(proba, dtype=np.float64, input_name="output of predict_proba")


def enter_last_step(estimator: Any, rows: Any) -> tuple[Any, Any]:
    """Return the last step of a pipeline, and the rows as that step receives them."""
    if not isinstance(estimator, Pipeline):
        return estimator, rows
    if len(estimator) > 1:
        rows = estimator[:-1].transform(rows)
    return enter_last_step(estimator[-1], rows)


def name_domain(classifier: Any, is_source: bool, methods: Sequence[str]) -> dict[str, Any]:
    """Return the keyword by which a classifier of skdann treats rows as source or target rows.

    Parameters
    ----------
    classifier : fitted classifier
        Last step of a pipeline.
    is_source : bool
        Whether to name the source or the target.
    methods : sequence of str
        Methods that get the keyword.

    Returns
    -------
    dict
        ``{"sample_domain": domain}``, or nothing for other classifiers, and if the fit had several
        such domains, none of which can be preferred.
    """
    domains = [each for each in getattr(classifier, "domains_", ()) if (each >= 0) == is_source]
    is_accepted = all(
        "sample_domain" in inspect.signature(getattr(classifier, name)).parameters
        for name in methods
        if hasattr(classifier, name)
    )
    return {"sample_domain": domains[0]} if len(domains) == 1 and is_accepted else {}


def as_numbers(classifier: Any, rows: Any, name: str) -> Any:
    """Return rows as an array or CSR of numbers, as a classifier of skdann encodes them.

    For other classifiers, which may impute rows themselves, numbers may be NaN.
    """
    if getattr(classifier, "_columns", None) is not None:
        return check_rows_to_predict(classifier, rows)
    return read_rows(rows, name, allow_missing=True).values
