"""Columns that tell the domains apart by themselves, such as a site, a date or an identifier.

The distance of two distributions P and Q of a column is the total variation for categories, and for
numbers the Kolmogorov-Smirnov statistic; both are 1 if one look at the column gives the domain
away. Plain numbers often shift by more than their spread, e.g. by another unit, which scaling
corrects. They count only if they are constant in one domain, or whole numbers whose ranges do not
overlap.

Warnings: ``UserWarning`` <- ``DomainColumnWarning``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from skdann._input.columns import MixedColumns, TableColumns
from skdann._input.messages import warn_user

MOST_ROWS = 2000  # of each domain
LEAST_ROWS = 20  # of each domain, below which chance may separate them
LEAST_DISTANCE = 0.95
N_SHOWN = 10


class DomainColumnWarning(UserWarning):
    """A column tells the domains apart by itself, as a site, a date or an identifier does.

    Examples
    --------
    >>> import warnings
    >>> from skdann import DomainColumnWarning
    >>> warnings.simplefilter("ignore", DomainColumnWarning)
    """


def warn_of_domain_columns(
    columns: TableColumns, names: Sequence[Any] | None, source: Any, target: Any
) -> None:
    """Warn once of all columns that tell the domains apart by themselves."""
    found = find_domain_columns(columns, source, target)
    if not found:
        return
    shown = ", ".join(repr(f"x{i}" if names is None else names[i]) for i in found[:N_SHOWN])
    more = f" and {len(found) - N_SHOWN} more" if len(found) > N_SHOWN else ""
    one = len(found) == 1
    warn_user(
        f"{'Column' if one else 'Columns'} {shown}{more} {'tells' if one else 'tell'} the domains "
        "apart nearly without error, as a site, a date, an identifier or a column that one domain "
        "lacks does. Adaptation then works against the column, and predictions for the target "
        "extrapolate along it; leave it out unless the label depends on it.",
        DomainColumnWarning,
    )


def find_domain_columns(columns: TableColumns, source: Any, target: Any) -> list[int]:
    """Find the columns that tell the domains apart by themselves.

    Parameters
    ----------
    columns : TableColumns
        Encoding of the columns.
    source, target : ndarray or CSR of shape (n_rows, n_encoded)
        Encoded rows of the domains.

    Returns
    -------
    list of int
        Indices of raw columns; none for sparse rows, or if a domain has fewer than 20 rows.
    """
    if sp.issparse(source) or min(len(source), len(target)) < LEAST_ROWS:
        return []
    source, target = (np.asarray(X[:: -(-len(X) // MOST_ROWS)]) for X in (source, target))
    if not isinstance(columns, MixedColumns):
        return [i for i in range(columns.n_raw) if _is_apart(source[:, i], target[:, i])]
    found, start = [], 0
    for index, encoder in enumerate(columns.encoders):
        block = slice(start, start + encoder.n_encoded)
        start = block.stop
        if _tells_apart(encoder.kind, source[:, block], target[:, block]):
            found.append(index)
    return found


def _tells_apart(kind: str, source: np.ndarray, target: np.ndarray) -> bool:
    if kind == "category":
        return _total_variation(source.mean(0), target.mean(0)) >= LEAST_DISTANCE
    if kind in ("date", "text"):
        pairs = zip(source.T, target.T, strict=True)
        if any(_ks_statistic(*pair) >= LEAST_DISTANCE for pair in pairs):
            return True
        return kind == "date" and _is_apart(source[:, 0], target[:, 0])
    return bool(source.shape[1]) and _is_apart(source[:, 0], target[:, 0])


def _total_variation(source: np.ndarray, target: np.ndarray) -> float:
    """Total variation distance of shares of categories; what remains is missing."""
    change = np.append(source - target, target.sum() - source.sum())
    return float(np.abs(change).sum() / 2)


def _is_apart(source: np.ndarray, target: np.ndarray) -> bool:
    """Whether numbers are constant in one domain and hardly that in the other, or do not overlap.

    Only whole numbers count for the latter.
    """
    for constant, other in ((source, target), (target, source)):
        if constant.min() == constant.max():
            return bool((other == constant[0]).mean() <= 1.0 - LEAST_DISTANCE)
    if source.max() >= target.min() and target.max() >= source.min():
        return False
    return all((rows == np.round(rows)).all() for rows in (source, target))


def _ks_statistic(source: np.ndarray, target: np.ndarray) -> float:
    """Largest difference of the distribution functions."""
    values = np.concatenate([source, target])
    ranks = [np.searchsorted(np.sort(x), values, "right") / len(x) for x in (source, target)]
    return float(np.abs(ranks[0] - ranks[1]).max())
