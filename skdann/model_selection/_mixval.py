"""MixVal: does a classifier predict between target rows what it predicts on them."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from skdann._compat import Interval, StrOptions
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

    Rows that have no such other are left out.
    """
    rng = make_generator(random_state)
    first, second = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.intp)]
    for label in np.unique(labels):
        own, others = np.flatnonzero(labels == label), np.flatnonzero(labels != label)
        if probe == "intra" and len(own) > 1:
            own = rng.permutation(own)
            first.append(own)
            second.append(np.roll(own, 1))
        elif probe == "inter" and len(others):
            first.append(own)
            second.append(rng.choice(others, size=len(own)))
    return np.concatenate(first), np.concatenate(second)


def mix_rows(rows: Any, first: _Array, second: _Array, share: float) -> Any:
    """Mix pairs of rows, dense or CSR."""
    return rows[first] * share + rows[second] * (1.0 - share)


def interpolation_consistency(labels: _Array, mixed_labels: _Array) -> float:
    """Share of mixed rows that keep the label of the row with the larger share; 0 if none are."""
    return float(np.mean(labels == mixed_labels)) if len(labels) else 0.0


class MixValScorer(TargetScorer):
    r"""Score whether mixtures of target rows are predicted as the row with the larger share.

    Target rows are mixed in pairs, and the mixture should keep the predicted label of the first,

    .. math::
        \frac{1}{n} \sum_i \big[\hat y(\lambda x_i + (1 - \lambda) x_{j(i)}) = \hat y(x_i)\big],
        \qquad \lambda > \tfrac{1}{2},

    once with a partner j(i) of the same predicted label, which probes the density of the
    classes, and once with a partner of another, which probes the boundary between them [1]_. The
    score is the mean of the two, in [0, 1].

    Parameters
    ----------
    X_target : array-like, data frame, sparse matrix, tuple of these, or None, default=None
        Rows of the target to judge on; None takes those that metadata routing brings. They are
        mixed as the classifier, or a pipeline's last step, gets them: as numbers.
    probe : {"both", "intra", "inter"}, default="both"
        Which partners.
    share : float, default=0.55
        :math:`\lambda`, in (0.5, 1).
    random_state : int, RandomState instance or None, default=0
        Seed of the pairs. Keep an integer, so that chance is the same for all candidates.

    See Also
    --------
    SoftNeighborhoodDensityScorer : Looks at the rows themselves alone.

    Notes
    -----
    A probe without pairs counts 0: a classifier that gives all target rows one label scores 0 for
    "inter" and at most 0.5 together.

    It fails where mixtures are not like rows: classes of bent shape, such as moons, columns of few
    values, encoded categories. It favours straight boundaries: of two classes a linear classifier
    has "intra" 1, however wrong. And swapped classes are as consistent as right ones.

    The authors' program computes the two probes apart; to combine ranks of candidates rather than
    values, use both probes as two metrics of a search. Their pairs lie within batches of sorted or
    shuffled rows, ours are drawn from all rows.

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
        numbers = as_numbers(rows, "X_target")
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
    """Return values in a data frame with the columns of rows, if these are one."""
    if not hasattr(rows, "columns"):
        return values
    is_polars = type(rows).__module__.startswith("polars")
    return type(rows)(values, **{"schema" if is_polars else "columns": list(rows.columns)})
