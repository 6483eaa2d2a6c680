"""Samples of rows, for figures that do not need all rows of a large table."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_consistent_length, resample

from skdann._compat import safe_indexing
from skdann._input.containers import shape_of


def draw_rows(n_rows: int, most: int, seed: Any) -> Any:
    """Draw the indices of at most `most` rows, without replacement.

    Parameters
    ----------
    n_rows : int
        Number of rows to draw from.
    most : int
        Maximum number of rows drawn.
    seed : int or RandomState
        Seed of the draw.

    Returns
    -------
    slice or ndarray of int of shape (most,)
        A slice of all rows if there are no more than `most`; else sorted indices.
    """
    if n_rows <= most:
        return slice(None)
    return np.sort(resample(np.arange(n_rows), replace=False, n_samples=most, random_state=seed))


def sample_rows(n_rows: int, n_sample: int, generator: np.random.Generator) -> np.ndarray:
    """Draw the sorted indices of a sample without replacement, in memory for the sample alone.

    Indices are drawn until there are enough different ones, so that every set of this size is
    equally likely.
    """
    rows = np.empty(0, dtype=np.int64)
    while len(rows) < n_sample:
        rows = np.union1d(rows, generator.integers(n_rows, size=n_sample - len(rows)))
    return rows


def draw_labelled(X: Any, y: Any, most: int, seed: Any) -> tuple[Any, Any]:
    """Draw at most `most` rows of any container, with their labels.

    Parameters
    ----------
    X : array-like, data frame or sparse matrix of shape (n_rows, n_features)
        Rows to draw from.
    y : array-like of shape (n_rows,) or None
        Labels of the rows.
    most : int
        Maximum number of rows drawn.
    seed : int or RandomState
        Seed of the draw.

    Returns
    -------
    X, y : same types as `X` and `y`
        The rows drawn, in their original order, and their labels or None. `X` and `y` are returned
        unchanged if there are no more than `most` rows.

    Raises
    ------
    ValueError
        If `y` does not have as many entries as `X` has rows.
    """
    check_consistent_length(X, y)
    rows = draw_rows(shape_of(X)[0], most, seed)
    if isinstance(rows, slice):
        return X, y
    X = X.tocsr() if sp.issparse(X) else X
    return safe_indexing(X, rows), None if y is None else safe_indexing(y, rows)
