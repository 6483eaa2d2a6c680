"""Find the estimator to look at, and bring rows to where it takes them."""

from __future__ import annotations

from typing import Any, NamedTuple

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


class Fitted(NamedTuple):
    """The estimator that holds the networks, and what came before it.

    Attributes
    ----------
    last : estimator
        The last step of the pipeline, or of a search's best pipeline; or the estimator itself.
    head : Pipeline or None
        The steps before it.
    """

    last: Any
    head: Pipeline | None

    def transform(self, rows: Any) -> Any:
        """Send rows through the steps before; each of a tuple, and None stays None."""
        if isinstance(rows, tuple):
            return tuple(self.transform(part) for part in rows)
        return rows if self.head is None or rows is None else self.head.transform(rows)

    def column_names(self) -> Any:
        """Names of the columns that the last step took, or None where nobody knows."""
        names = getattr(self.last, "feature_names_in_", None)
        if names is not None or self.head is None:
            return names
        try:
            return self.head.get_feature_names_out()
        except (AttributeError, ValueError):  # a transformer that gives no names
            return None


def find_fitted(estimator: Any) -> Fitted:
    """Look through a search and a pipeline; raise unless what is found is fitted."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    head = None
    if isinstance(estimator, Pipeline):
        head = estimator[:-1] if len(estimator) > 1 else None
        estimator = estimator[-1]
    check_is_fitted(estimator)
    return Fitted(estimator, head)


def find_network(estimator: Any) -> Fitted:
    """Find the classifier with one set of networks: of several members, the one that weighs most.

    Raises
    ------
    TypeError
        If there is none.
    """
    fitted = find_fitted(estimator)
    if hasattr(fitted.last, "members_"):
        fitted = fitted._replace(last=fitted.last._diagnosed()[0])
    if not hasattr(fitted.last, "module_"):
        raise TypeError(
            f"{type(fitted.last).__name__} has no networks to look at; pass a fitted "
            "DANNClassifier or DANNClassifierCV, or a Pipeline that ends in one."
        )
    return fitted
