"""How far single predictions can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

MOST_DEVIATIONS = 5.0  # a column counts with no more
BLOCK_ROWS = 1000


class RowReliability(NamedTuple):
    """Figures of single rows, on which it depends how far their predictions can be trusted.

    :meth:`skdann.DANNClassifierCV.reliability` returns it.

    Parameters
    ----------
    agreement : ndarray of shape (n_samples,)
        Share of the families that predict the class that `predict` returns, from 0 to 1.
    distance : ndarray of shape (n_samples,)
        Root mean square distance from the mean of the source over the columns, in standard
        deviations of the source; no column counts with more than 5. It is near 1 for rows like
        those of the source.

    Examples
    --------
    >>> import numpy as np
    >>> from skdann.inspection import RowReliability
    >>> rows = RowReliability(agreement=np.array([1.0, 0.6]), distance=np.array([0.9, 3.1]))
    >>> (rows.agreement == 1).tolist()
    [True, False]
    """

    agreement: np.ndarray
    distance: np.ndarray


def row_agreement(predicted: np.ndarray, families: Sequence[np.ndarray]) -> np.ndarray:
    """Return, for each row, the share of families that predict the same class."""
    return np.mean([predicted == each for each in families], axis=0)


def row_distance(X: Any, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Return the distance of each row from a mean, in deviations, over all columns."""
    parts = [np.zeros(0)]
    for start in range(0, X.shape[0], BLOCK_ROWS):
        rows = X[start : start + BLOCK_ROWS]
        z = ((rows.toarray() if sp.issparse(rows) else np.asarray(rows)) - mean) / std
        parts.append(np.sqrt(np.minimum(z**2, MOST_DEVIATIONS**2).mean(axis=1)))
    return np.concatenate(parts)
