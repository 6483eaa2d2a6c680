"""Find the fitted estimator inside a pipeline or search, and transform rows for it."""

from __future__ import annotations

from typing import Any, NamedTuple

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


class Fitted(NamedTuple):
    """The last step of a pipeline, and the steps before it.

    Attributes
    ----------
    last : estimator
        Last step of the pipeline, or of the best pipeline of a search; or the estimator itself.
    head : Pipeline or None
        Steps before the last one.
    """

    last: Any
    head: Pipeline | None

    def transform(self, rows: Any) -> Any:
        """Apply the steps before the last one, to each item of a tuple; None stays None."""
        if isinstance(rows, tuple):
            return tuple(self.transform(part) for part in rows)
        return rows if self.head is None or rows is None else self.head.transform(rows)

    def column_names(self) -> Any:
        """Names of the columns that the last step was fitted on, or None if they are unknown."""
        names = getattr(self.last, "feature_names_in_", None)
        if names is not None or self.head is None:
            return names
        try:
            return self.head.get_feature_names_out()
        except (AttributeError, ValueError):  # a transformer without names
            return None


def find_fitted(estimator: Any) -> Fitted:
    """Look inside a search and a pipeline; raise if the last step is not fitted."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    head = None
    if isinstance(estimator, Pipeline):
        head = estimator[:-1] if len(estimator) > 1 else None
        estimator = estimator[-1]
    check_is_fitted(estimator)
    return Fitted(estimator, head)


def find_network(estimator: Any) -> Fitted:
    """Find the classifier that has networks; for a search, a member of the best candidate.

    Raises
    ------
    TypeError
        If the last step has no networks.
    """
    fitted = find_fitted(estimator)
    if hasattr(fitted.last, "members_"):
        fitted = fitted._replace(last=fitted.last._diagnosed()[0])
    if not hasattr(fitted.last, "module_"):
        raise TypeError(
            f"{type(fitted.last).__name__} has no networks; pass a fitted "
            "DANNClassifier, DANNRegressor or DANNClassifierCV, or a Pipeline that ends in one."
        )
    return fitted
