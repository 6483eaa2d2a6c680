"""MixVal: whether a classifier predicts the same between target rows as on them."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from skdann._compat import Interval, StrOptions
from skdann._input.encoded import is_encoded
from skdann._input.seeding import make_generator
from skdann.model_selection._base import (
    TargetScorer,
    as_numbers,
    class_probabilities,
    enter_last_step,
)

_Array = NDArray[Any]

PROBES = ("intra", "inter")


def pair_rows(labels: _Array, probe: str, random_state: Any) -> tuple[_Array, _Array]:
    """Pair each row with another of the same label ("intra"), or of another label ("inter").

    Rows without such a partner are left out.
    """
    rng = make_generator(random_state)
    first, second = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.intp)]
    for label in np.unique(labels):
        alike, others = np.flatnonzero(labels == label), np.flatnonzero(labels != label)
        if probe == "intra" and len(alike) > 1:
            alike = rng.permutation(alike)
            first.append(alike)
            second.append(np.roll(alike, 1))
        elif probe == "inter" and len(others):
            first.append(alike)
            second.append(rng.choice(others, size=len(alike)))
    return np.concatenate(first), np.concatenate(second)


def mix_rows(rows: Any, first: _Array, second: _Array, share: float) -> Any:
    """Mix pairs of rows, dense or CSR."""
    return rows[first] * share + rows[second] * (1.0 - share)


def interpolation_consistency(labels: _Array, mixed_labels: _Array) -> float:
    """Share of mixed rows that keep the label of the dominant row; 0 if there are no rows."""
    return float(np.mean(labels == mixed_labels)) if len(labels) else 0.0


class MixValScorer(TargetScorer):
    r"""Score how often mixtures of target rows are predicted like the dominant row.

    Target rows are mixed in pairs. The mixture should keep the predicted label of the first row,

    .. math::
        \frac{1}{n} \sum_i \big[\hat y(\lambda x_i + (1 - \lambda) x_{j(i)}) = \hat y(x_i)\big],
        \qquad \lambda > \tfrac{1}{2},

    once with a partner j(i) of the same predicted label, which probes the density of the classes,
    and once with a partner of another label, which probes the boundary between them [1]_. The score
    is the mean of the two, in [0, 1].

    Parameters
    ----------
    X_target : array-like, data frame, sparse matrix, tuple of these, or None, default=None
        Rows of the target. None uses those passed by metadata routing. They are mixed as the
        classifier, or the last step of a pipeline, receives them, and must be numbers there.
    probe : {"both", "intra", "inter"}, default="both"
        Which partners to use.
    share : float, default=0.55
        Share of the dominant row in a mixture, :math:`\lambda`, in (0.5, 1).
    random_state : int, RandomState instance or None, default=0
        Controls the pairs. Pass an int, so that the draw is the same for all candidates.

    See Also
    --------
    SoftNeighborhoodDensityScorer : Uses the predictions for the rows themselves.

    Notes
    -----
    A probe without pairs scores 0: a classifier that predicts one label for all target rows scores
    0 for "inter" and at most 0.5 for "both".

    The score fails where mixtures do not resemble rows: classes of curved shape, such as moons,
    columns with few values, encoded categories. It favours linear boundaries: with two classes a
    linear classifier scores 1 for "intra", however wrong it is. Swapped classes are as consistent
    as correct ones.

    The authors' code computes the two probes separately. To combine ranks of candidates instead of
    values, use the two probes as two metrics of a search. Their pairs are drawn within batches of
    sorted or shuffled rows; here they are drawn from all rows.

    References
    ----------
    .. [1] Hu, Liang, Liew, Xue, Bai, Wang, "Mixed Samples as Probes for Unsupervised Model
       Selection in Domain Adaptation", NeurIPS 2023.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skdann.datasets import make_covariate_shift
    >>> from skdann.model_selection import MixValScorer
    >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
    >>> clf = LogisticRegression().fit(X_source, y_source)
    >>> 0.5 < MixValScorer(X_target)(clf, X_source) < 1.0
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "probe": [StrOptions({"both", *PROBES})],
        "share": [Interval(Real, 0.5, 1, closed="neither")],
        "random_state": ["random_state"],
    }

    def __init__(self, X_target=None, *, probe="both", share=0.55, random_state=0):
        super().__init__(X_target)
        self.probe = probe
        self.share = share
        self.random_state = random_state

    def _score(self, estimator: Any, X: Any, y: Any, X_target: Any) -> float:
        labels = class_probabilities(estimator, X_target, type(self).__name__).argmax(axis=1)
        last, rows = enter_last_step(estimator, X_target)
        numbers = as_numbers(last, rows, "X_target")
        rng = make_generator(self.random_state)
        scores = []
        for probe in PROBES if self.probe == "both" else (self.probe,):
            first, second = pair_rows(labels, probe, rng)
            guess = labels[:0]
            if len(first):
                mixed = _as_frame(mix_rows(numbers, first, second, self.share), rows)
                guess = class_probabilities(last, mixed, type(self).__name__).argmax(axis=1)
            scores.append(interpolation_consistency(labels[first], guess))
        return float(np.mean(scores))


def _as_frame(values: Any, rows: Any) -> Any:
    """Return values in a data frame with the columns of rows, if rows are a data frame."""
    if not hasattr(rows, "columns") or is_encoded(values):
        return values
    is_polars = type(rows).__module__.startswith("polars")
    return type(rows)(values, **{"schema" if is_polars else "columns": list(rows.columns)})
