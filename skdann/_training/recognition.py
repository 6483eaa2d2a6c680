r"""Recognition of rows of the source domain that are passed without a domain.

Estimators that scale, normalize or correct the rows of each domain separately treat rows without a
domain as target rows, which is wrong for source rows. The rows are compared with normal
distributions that have the mean :math:`\mu` and the standard deviation :math:`\sigma` of each
column in each domain,

.. math:: \ell_D(x) = -\sum_j \Big(\log \sigma_{Dj}
    + \frac{\min(z_{Dj}^2, 25)}{2}\Big), \qquad z_{Dj} = \frac{x_j - \mu_{Dj}}{\sigma_{Dj}}.

Columns that a normal distribution misrepresents do not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from skdann._input.domains import DomainData
from skdann._input.messages import warn_user
from skdann._training.params import read_param

MIN_ROWS = 5  # minimum number of rows for a warning
MAX_ROWS = 500
MAX_SPARSE_ROWS = 100
MAX_SQUARE = 25.0
MIN_DEVIATIONS = 5.0  # minimum standard errors of the mean log-ratio above 0, for a warning
CERTAIN = 5.0  # log-ratio of a row whose domain is certain
MIN_SHARE = 0.05  # minimum share of the rows of either domain in a mixture
MIN_STD = 1e-8  # below it a column is constant
MIN_STD_SHARE = 1e-3  # lower limit of a standard deviation, as a share of the pooled one


class DomainStatistics(NamedTuple):
    """Mean and standard deviation of each column, in the source (row 0) and the target (row 1).

    Attributes
    ----------
    mean, std : ndarray of shape (2, n_features)
    """

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def measure(cls, data: DomainData) -> DomainStatistics:
        """Compute the statistics of the rows of a fit."""
        parts = [_moments(data.X[: data.n_source]), _moments(data.X[data.n_source :])]
        mean, std = (np.stack(moments) for moments in zip(*parts, strict=True))
        pooled = np.sqrt((std**2).mean(0) + mean.var(0))
        std = np.maximum(std, np.where(pooled > 0, MIN_STD_SHARE * pooled, 1.0))
        return cls(mean, std)._ignore_misleading(data.X[: data.n_source], data.X[data.n_source :])

    def _ignore_misleading(self, X_source: Any, X_target: Any) -> DomainStatistics:
        """Make columns neutral by which the rows of a domain resemble the other one.

        A rare indicator that the other domain lacks does so, because squares are limited.
        """
        source, target = (self._column_ratios(_sample(X)).mean(0) for X in (X_source, X_target))
        ignored = (source < 0) | (target > 0)
        std = np.where(ignored, 1.0, self.std)
        return DomainStatistics(np.where(ignored, self.mean.mean(0), self.mean), std)

    def log_ratio(self, X: Any) -> np.ndarray:
        """Return log-likelihoods under the source minus the target, for a subsample of rows."""
        return self._log_ratio(_sample(X))

    def _log_ratio(self, rows: Any) -> np.ndarray:
        return self._column_ratios(rows).sum(1)

    def _column_ratios(self, rows: Any) -> np.ndarray:
        rows = rows.toarray() if sp.issparse(rows) else np.asarray(rows)
        source, target = (
            -np.log(std) - np.minimum(((rows - mean) / std) ** 2, MAX_SQUARE) / 2
            for mean, std in zip(self.mean, self.std, strict=True)
        )
        return source - target

    def is_source(self, X: Any) -> bool:
        """Whether rows resemble the source more than the target."""
        return bool(self.log_ratio(X).mean() > 0)

    def find_source(self, X: Any) -> np.ndarray | bool:
        """Return which rows are source rows; a bool if all rows seem to be of one domain.

        Raises
        ------
        ValueError
            If there are rows of both domains, and some that may be of either.
        """
        starts = range(0, X.shape[0], MAX_SPARSE_ROWS)
        ratio = np.concatenate([self._log_ratio(X[i : i + MAX_SPARSE_ROWS]) for i in starts])
        certain = ratio[np.abs(ratio) > CERTAIN]
        share = (certain > 0).mean() if len(certain) else 0.0
        if not MIN_SHARE < share < 1.0 - MIN_SHARE:
            return bool(ratio.mean() > 0)
        if len(certain) < 0.95 * len(ratio):
            n_unclear = len(ratio) - len(certain)
            raise ValueError(
                f"X holds rows of both domains, and {n_unclear} of {len(ratio)} may be of either; "
                "pass their sample_domain, or do not pool the rows: pass the target "
                "as X_target=(X_target,)."
            )
        return ratio > 0

    def warn_if_source(self, X: Any) -> None:
        """Warn if rows that will be treated as target rows clearly look like source rows."""
        if X.shape[0] < MIN_ROWS:
            return
        ratio = self.log_ratio(X)
        if ratio.mean() > MIN_DEVIATIONS * ratio.std() / len(ratio) ** 0.5:
            warn_user(
                "X looks like rows of the source domain, but is treated by the statistics of the "
                "target; pass sample_domain=0 for source rows, or sample_domain=-1 for target rows."
            )


def measure_source(data: DomainData) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column in the source; 1 for constant columns."""
    mean, std = map(np.asarray, _moments(data.X[: data.n_source]))  # of encoded rows a subclass
    return mean, np.where(std > MIN_STD, std, 1.0)


def measure_domains(
    data: DomainData, estimators: Iterable[Any]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the statistics, if some estimator treats the rows of each domain differently."""
    matters = any(
        estimator.standardize == "domain"
        or estimator.normalization == "domain_batch"
        or read_param(estimator, "label_shift") == "correct"
        for estimator in estimators
    )
    if not data.n_targets or not matters:
        return None
    mean, std = DomainStatistics.measure(data)
    return mean, std


def _sample(X: Any) -> Any:
    """Return evenly spaced rows, at most `MAX_ROWS`."""
    n_max = MAX_SPARSE_ROWS if sp.issparse(X) else MAX_ROWS
    return X[:: -(-X.shape[0] // n_max)]


def _moments(X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column."""
    if sp.issparse(X):
        X = X.astype(np.float64)  # squares of float32 may overflow
        mean = np.asarray(X.mean(0)).ravel()
        square = np.asarray(X.multiply(X).mean(0)).ravel()
        return mean, np.sqrt(np.maximum(square - mean**2, 0.0))
    return X.mean(0, dtype=np.float64), X.std(0, dtype=np.float64)
