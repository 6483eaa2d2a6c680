"""Scaling of the input columns by fixed statistics of the source, or of each domain."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils.sparsefuncs import mean_variance_axis
from torch import Tensor, nn

from skdann.nn._members import Rows

MIN_STD = float(np.finfo(np.float32).tiny)  # columns below this are treated as constant


class ColumnMoments:
    """Mean and standard deviation of each column over groups of rows, each computed once.

    Members with the same rows, and groups that are the same for several members, share them.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_rows, n_features)
        All rows.

    Examples
    --------
    >>> import numpy as np
    >>> from skdann.nn._standardizer import ColumnMoments
    >>> moments = ColumnMoments(np.array([[0.0], [2.0], [10.0]]))
    >>> mean, std = moments.over(np.array([0, 1]))
    >>> float(mean[0]), float(std[0])
    (1.0, 1.0)
    """

    def __init__(self, X: Any) -> None:
        self.X = X
        self._known: dict[bytes, Any] = {}

    def over(
        self, rows: np.ndarray, weight: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean and the standard deviation over these rows, computed in float64."""
        return self._once(lambda: _mean_and_std(self.X[rows], weight), "moments", rows, weight)

    def has_two_values(self, rows: np.ndarray) -> np.ndarray:
        """Return whether each column has two distinct values at most in these rows."""
        return self._once(lambda: _has_two_values(self.X[rows]), "values", rows)

    def _once(self, compute: Callable[[], Any], *arguments: Any) -> Any:
        """Compute the value of these arguments unless it is known."""
        digest = hashlib.blake2b()
        for argument in arguments:
            is_array = isinstance(argument, np.ndarray)
            digest.update(argument.tobytes() if is_array else str(argument).encode())
        key = digest.digest()
        if key not in self._known:
            self._known[key] = compute()
        return self._known[key]


class DomainStandardizer(nn.Module):
    """Scaling of the columns, equal for all rows or separate for each domain.

    With "source", the source rows get mean 0 and standard deviation 1, and all other rows are
    scaled in the same way. With "domain", the rows of each domain get mean 0 and standard deviation
    1, except in columns of two values, such as indicators of a category, which are scaled as with
    "source": the share of a category would change the meaning of its indicator. The statistics are
    not trained; :meth:`measure` computes them. Sparse rows are left as they are with "source",
    because scaling inflates rare words.

    Parameters
    ----------
    standardize : sequence of {None, "source", "domain"}
        Scaling of each member; None leaves the columns unchanged.
    n_features : int
        Number of columns.
    n_domains, n_targets : int
        Number of domains, and number of targets among them (the last ones). Rows of "any target"
        (index ``n_domains``, or no `rows` argument) use the statistics of all target rows.

    Notes
    -----
    Shape: input and output ``(n_members, n_rows, n_features)`` or ``(n_rows, n_features)``.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from skdann.nn._standardizer import DomainStandardizer
    >>> scaler = DomainStandardizer(["domain"], n_features=1, n_domains=2, n_targets=1)
    >>> X = np.array([[0.0], [2.0], [10.0], [14.0]], dtype=np.float32)
    >>> scaler.measure(0, X, np.array([0, 0, 1, 1]))
    >>> scaler(torch.from_numpy(X[2:])).flatten().tolist()
    [-1.0, 1.0]
    """

    needs_rows = True
    mean: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(
        self, standardize: Sequence[str | None], n_features: int, n_domains: int, n_targets: int
    ) -> None:
        super().__init__()
        self.standardize, self.n_domains, self.n_targets = list(standardize), n_domains, n_targets
        shape = (len(standardize), n_domains + 1, n_features)
        self.register_buffer("mean", torch.zeros(shape, dtype=torch.float32))
        self.register_buffer("scale", torch.ones(shape, dtype=torch.float32))
        self.register_buffer("shift", torch.zeros(shape, dtype=torch.float32))

    def measure(
        self,
        member: int,
        X: Any,
        domain: np.ndarray,
        weight: np.ndarray | None = None,
        draws: np.ndarray | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        """Compute the statistics of one member from its training rows.

        Parameters
        ----------
        member : int
            Index of the member.
        X : ndarray or CSR of shape (n_all, n_features), or ColumnMoments of it
            Rows, among them the training rows.
        domain : ndarray of shape (n_rows,)
            Domain indices of the rows.
        weight : ndarray of shape (n_rows,) or None, default=None
            Weights of the rows in the statistics, some positive in each domain; None weights all
            rows equally.
        draws : ndarray of shape (n_rows,) or None, default=None
            Weights by which rows are drawn. With "domain", each domain then gets the mean and the
            standard deviation of the source rows as drawn, and all are scaled by the source.
        rows : ndarray of int of shape (n_rows,) or None, default=None
            Indices of the training rows; None for all.
        """
        kind, n_sources = self.standardize[member], self.n_domains - self.n_targets
        moments = X if isinstance(X, ColumnMoments) else ColumnMoments(X)
        if kind is None or (kind == "source" and sp.issparse(moments.X)):
            return
        rows = np.arange(len(domain)) if rows is None else rows

        def moments_of(group: np.ndarray, weight: np.ndarray | None) -> Any:
            return moments.over(rows[group], None if weight is None else weight[group])

        is_target = domain >= n_sources
        mean, std = moments_of(~is_target, weight)
        by_source = 1.0 / np.where(std > MIN_STD, std, 1.0)
        self._set(member, slice(None), mean, by_source, 0.0)
        if kind == "source":
            return
        is_binary = moments.has_two_values(rows)
        groups = [domain == index for index in range(self.n_domains)]
        groups.append(is_target if self.n_targets else ~is_target)
        drawn = weight if draws is None else draws * (1.0 if weight is None else weight)
        drawn_mean, drawn_std = moments_of(~is_target, drawn)
        for index, group in enumerate(groups):
            # a domain whose rows are all held out is scaled like the source
            moments_there = moments_of(group, drawn) if group.any() else (drawn_mean, drawn_std)
            group_mean, group_std = moments_there
            is_varying = group_std > MIN_STD
            ratio = np.where(is_varying, drawn_std / np.where(is_varying, group_std, 1.0), 1.0)
            scale, shift = ratio * by_source, (drawn_mean - mean) * by_source
            statistics = np.where(
                is_binary, (mean, by_source, np.zeros_like(mean)), (group_mean, scale, shift)
            )
            self._set(member, index, *statistics)

    @property
    def is_identity(self) -> bool:
        """Whether all columns are left as they are, as with sparse rows and "source"."""
        is_shifted = bool(self.mean.any()) or bool(self.shift.any())
        return not is_shifted and bool((self.scale == 1).all())

    def _keep_member(self, index: int, drawn_from: Mapping[int, torch.Generator]) -> None:
        """Keep the scaling of one member."""
        self.standardize = self.standardize[index : index + 1]

    def _set(self, member: int, index: Any, mean: Any, scale: Any, shift: Any) -> None:
        for table, values in ((self.mean, mean), (self.scale, scale), (self.shift, shift)):
            table[member, index] = torch.as_tensor(values, dtype=table.dtype)

    def forward(self, x: Tensor, rows: Rows | None = None) -> Tensor:
        """Scale each row by the statistics of its domain."""
        tables = (self.mean, self.scale, self.shift)
        if rows is None or rows.domain is None:
            return _scale(x, *(table[:, -1:] for table in tables))
        if self._has_two_blocks and rows.n_source:
            return self._scale_blocks(x, rows.n_source, tables)
        if rows.domain.dim() == 1:
            if not self.training and bool((rows.domain == rows.domain[0]).all()):
                # one domain, as in most predictions: no copy of its statistics for each row
                first = int(rows.domain[0])
                return _scale(x, *(table[:, first : first + 1] for table in tables))
            return _scale(x, *(table[:, rows.domain] for table in tables))
        member = torch.arange(len(self.standardize), device=x.device).unsqueeze(1)
        return _scale(x, *(table[member, rows.domain] for table in tables))

    def scale_member(self, member: int, x: Tensor, rows: Rows, out: Tensor) -> None:
        """Scale rows (n_rows, n_features) as one member does, and write them to `out`."""
        tables = [table[member : member + 1] for table in (self.mean, self.scale, self.shift)]
        if self._has_two_blocks:
            self._scale_blocks(x.unsqueeze(0), rows.n_source, tables, out.unsqueeze(0))
        else:
            out.copy_(_scale(x, *(table[:, rows.domain] for table in tables)))

    @property
    def _has_two_blocks(self) -> bool:
        """Whether there is one source and one target: two blocks of rows, as in training."""
        return (self.n_domains, self.n_targets) == (2, 1)

    def _scale_blocks(
        self, x: Tensor, n_source: int, tables: Sequence[Tensor], out: Tensor | None = None
    ) -> Tensor:
        """Scale the source rows, which stand first, and the target rows."""
        source, target = ([table[:, i : i + 1] for table in tables] for i in (0, 1))
        blocks = (x[..., :n_source, :], source), (x[..., n_source:, :], target)
        if x.requires_grad:
            return torch.cat([_scale(block, *statistics) for block, statistics in blocks], -2)
        scaled = torch.empty_like(x) if out is None else out
        views = scaled[..., :n_source, :], scaled[..., n_source:, :]
        for view, (block, (mean, scale, shift)) in zip(views, blocks, strict=True):
            _scale(block, mean, scale, shift, view)
        return scaled

    def extra_repr(self) -> str:
        """Show the kind of scaling."""
        kinds = self.standardize
        return f"by={kinds[0]!r}" if len(kinds) == 1 else f"by={kinds}"


def _scale(
    x: Tensor, mean: Tensor, scale: Tensor, shift: Tensor, out: Tensor | None = None
) -> Tensor:
    """Shift and scale rows by statistics that broadcast against them."""
    if x.dim() == 2:
        mean, scale, shift = mean.squeeze(0), scale.squeeze(0), shift.squeeze(0)
    return torch.sub(x, mean, out=out).mul_(scale).add_(shift)


def is_constant(X: Any) -> np.ndarray:
    """Return whether each column has one value only; rounding gives its mean a tiny deviation."""
    low, high = X.min(axis=0), X.max(axis=0)
    if sp.issparse(X):
        low, high = low.toarray().ravel(), high.toarray().ravel()
    return np.asarray(low == high)


def _has_two_values(X: Any) -> np.ndarray:
    """Whether each column has two distinct values at most."""
    if not sp.issparse(X):
        low, high = X.min(0), X.max(0)
        return ((low == X) | (high == X)).all(0)
    low, high = (bound.toarray().ravel() for bound in (X.min(axis=0), X.max(axis=0)))
    X = sp.csr_array(X)
    is_other = (X.data != low[X.indices]) & (X.data != high[X.indices])
    n_others = np.bincount(X.indices[is_other], minlength=X.shape[1])
    has_zeros = np.bincount(X.indices, minlength=X.shape[1]) < X.shape[0]
    return (n_others == 0) & ~(has_zeros & (low < 0) & (high > 0))


def _mean_and_std(X: Any, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column, computed in float64."""
    if sp.issparse(X):
        rows = sp.csr_matrix(X, dtype=np.float64)
        mean, variance = mean_variance_axis(rows, axis=0, weights=weight)
    elif weight is None:
        mean, variance = X.mean(0, dtype=np.float64), X.var(0, dtype=np.float64)
    else:
        total, of_row = weight.sum(), weight[:, None]
        terms = np.multiply(X, of_row, dtype=np.float64)
        mean = terms.sum(0) / total
        np.square(np.subtract(X, mean, out=terms), out=terms)  # one array, which is large
        variance = np.multiply(terms, of_row, out=terms).sum(0) / total
    std = np.sqrt(np.maximum(variance, 0.0))  # rounding may leave it below 0
    counted = X if weight is None else X[weight > 0]
    return mean, np.where(is_constant(counted), 0.0, std)
