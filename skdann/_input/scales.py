"""Scales of the columns: float32 rows of all domains, and warnings where columns are unscaled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from skdann._input.matching import PIPELINE_REMEDY
from skdann._input.messages import warn_user
from skdann._input.rows import check_float32

ROWS_LOOKED_AT = 10_000
FAR = 10.0  # source standard deviations, beyond which a target is not scaled like the source
WIDE = 1000.0  # ratio of the largest to the smallest column
TINY = 1e-3  # largest value, below which a network sees next to nothing


def stack_float32(parts: Sequence[Any]) -> Any:
    """Copy the rows of all domains below one another as float32, with no copy in between."""
    with np.errstate(all="ignore"):
        if sp.issparse(parts[0]):
            stacked = sp.vstack([sp.csr_array(part, dtype=np.float32) for part in parts], "csr")
            values = stacked.data
        else:
            n_rows = sum(part.shape[0] for part in parts)
            stacked = values = np.empty((n_rows, parts[0].shape[1]), dtype=np.float32)
            start = 0
            for part in parts:
                stacked[start : start + len(part)] = part
                start += len(part)
    check_float32(values, "X_source or X_target")
    return stacked


def warn_if_unscaled(source: Any, targets: Sequence[Any], *, scales_columns: bool = True) -> bool:
    """Warn once if the target is scaled unlike the source, or the columns unlike each other.

    Parameters
    ----------
    source : ndarray or CSR of shape (n_source, n_features)
        Source rows. Sparse rows are not checked.
    targets : sequence of ndarray or CSR of shape (n_target, n_features)
        Rows of the targets.
    scales_columns : bool, default=True
        Whether the estimator scales the columns by itself, so that their scales do not matter.

    Returns
    -------
    bool
        Whether there was a warning.
    """
    if sp.issparse(source) or source.shape[0] < 2:
        return False
    source, *targets = (_thin(rows) for rows in (source, *targets))
    with np.errstate(all="ignore"):
        if _is_target_far(source, targets):
            warn_user(
                "X_source looks standardized but X_target is not: half of its columns lie, or "
                f"spread, more than {FAR:g} source standard deviations; {PIPELINE_REMEDY}."
            )
            return True
        if not scales_columns and all(map(_are_scales_wide, (source, *targets))):
            warn_user(
                "The columns of X_source and X_target are on very different scales: the largest "
                f"is more than {WIDE:g} times the smallest, which then hardly counts. Set "
                "standardize='source', or use "
                "skdann.make_pipeline(StandardScaler(), DANNClassifier())."
            )
            return True
    return False


def find_tiny(X: Any) -> float:
    """Return the largest absolute value if all are tiny but not zero, else 0."""
    values = X.data if sp.issparse(X) else X
    largest = max(float(values.max()), -float(values.min())) if values.size else 0.0
    return largest if largest < TINY else 0.0


def _thin(rows: np.ndarray) -> np.ndarray:
    """Return evenly spaced rows, at most `ROWS_LOOKED_AT` or twice as many."""
    return rows[:: max(1, len(rows) // ROWS_LOOKED_AT)]


def _is_target_far(source: np.ndarray, targets: Sequence[np.ndarray]) -> bool:
    """Whether the source is standardized and half of the columns of some target are far from it."""
    mean, std = source.mean(0, dtype=np.float64), source.std(0, dtype=np.float64)
    varies = std > 0
    is_standard = (np.abs(mean) < 0.1) & (np.abs(std - 1.0) < 0.1)
    if not varies.any() or is_standard[varies].mean() < 0.9:
        return False
    offset = max(np.median(np.abs(rows.mean(0, dtype=np.float64))[varies]) for rows in targets)
    spread = max(np.median(rows.std(0, dtype=np.float64)[varies]) for rows in targets)
    return bool(max(offset, spread) > FAR)


def _are_scales_wide(rows: np.ndarray) -> bool:
    """Whether the root mean squares of the columns differ by more than `WIDE`.

    Columns of one or two values, such as indicators, do not count.
    """
    low, high = rows.min(axis=0), rows.max(axis=0)
    is_binary = ((rows == low) | (rows == high)).all(axis=0)
    size = np.sqrt(np.square(rows, dtype=np.float64).mean(axis=0))[~is_binary]
    size = size[(size > 0) & np.isfinite(size)]
    return bool(len(size) > 1 and size.max() > WIDE * size.min())
