"""Normalization layers with ensemble members; see :mod:`skdann.nn._members`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skdann.nn._members import Part, Rows


def _unbatched(parameter: Tensor, x: Tensor) -> Tensor:
    """Remove the member dimension of a parameter for an input (n_rows, n_features)."""
    return parameter.squeeze(0) if x.dim() == 2 else parameter


def _scale(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Scale and shift; a fused operation would round depending on the row's position."""
    return x * _unbatched(weight, x) + _unbatched(bias, x)


class MemberLayerNorm(nn.Module):
    """Layer normalization with separate weights for each member.

    Parameters
    ----------
    n_features : int
        Number of features of each member.
    n_members : int, default=1
        Number of members.

    Notes
    -----
    Shape: input and output ``(n_members, n_rows, n_features)`` or ``(n_rows, n_features)``.

    Examples
    --------
    >>> import torch
    >>> from skdann.nn._norms import MemberLayerNorm
    >>> MemberLayerNorm(5, n_members=4)(torch.rand(4, 7, 5)).shape
    torch.Size([4, 7, 5])
    """

    def __init__(self, n_features: int, n_members: int = 1) -> None:
        super().__init__()
        self.n_features = n_features
        self.weight = nn.Parameter(torch.ones(n_members, 1, n_features, dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(n_members, 1, n_features, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize the features of each row."""
        normalized = F.layer_norm(x, (self.n_features,))
        return _scale(normalized, self.weight, self.bias)

    def _get_name(self) -> str:
        return "LayerNorm"

    def extra_repr(self) -> str:
        """Show the number of features."""
        return f"{self.n_features}"


class MemberBatchNorm(nn.Module):
    """Batch normalization for each member, over all rows or separately over each domain.

    Separate statistics with shared weights are AdaBN (Li et al., 2017).

    Parameters
    ----------
    n_features : int
        Number of features of each member.
    n_members : int, default=1
        Number of members.
    n_domains : int, default=1
        Number of domains with separate statistics; 1 normalizes all rows together.
    n_targets : int, default=0
        Number of target domains (the last ones). Rows of "any target" (index ``n_domains``, or no
        `rows` argument) are normalized by the pooled statistics of all targets.
    momentum : float, default=0.1
        Weight of the current batch in the running statistics.
    eps : float, default=1e-5
        Constant added to the variance.

    Notes
    -----
    Shape: input and output ``(n_members, n_rows, n_features)`` or ``(n_rows, n_features)``.

    References
    ----------
    Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", ICLR workshop 2017.

    Examples
    --------
    >>> import torch
    >>> from skdann.nn import Rows
    >>> from skdann.nn._norms import MemberBatchNorm
    >>> norm = MemberBatchNorm(2, n_domains=2, n_targets=1)
    >>> rows = torch.tensor([[0.0, 0.0], [2.0, 2.0], [10.0, 10.0], [12.0, 12.0]])
    >>> norm(rows, Rows(n_source=2, domain=torch.tensor([0, 0, 1, 1])))[:, 0].round().tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """

    needs_rows = True
    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        n_features: int,
        n_members: int = 1,
        *,
        n_domains: int = 1,
        n_targets: int = 0,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.n_features, self.n_domains, self.n_targets = n_features, n_domains, n_targets
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(n_members, 1, n_features, dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(n_members, 1, n_features, dtype=torch.float32))
        shape = (n_members, n_domains, n_features)
        self.register_buffer("running_mean", torch.zeros(shape, dtype=torch.float32))
        self.register_buffer("running_var", torch.ones(shape, dtype=torch.float32))

    def forward(self, x: Tensor, rows: Rows | None = None) -> Tensor:
        """Normalize by batch statistics in training, by running statistics in evaluation."""
        if self.training:
            part = None if rows is None else rows.part
            normalized = self._normalize_by_batch(x, self._assignment(x, rows), part)
        else:
            normalized = self._normalize_by_running(x, rows)
        return _scale(normalized, self.weight, self.bias)

    def _assignment(self, x: Tensor, rows: Rows | None) -> Tensor:
        """Return the one-hot matrix (..., n_rows, n_domains) of the rows' domains."""
        if self.n_domains == 1:
            return x.new_ones(*x.shape[:-1], 1)
        if rows is None or rows.domain is None:
            raise ValueError(
                "MemberBatchNorm needs the domain of each row for its statistics; call the "
                "module with rows=Rows(n_source, domain)."
            )
        # F.one_hot would read the values and synchronize with the device
        indices = torch.arange(self.n_domains, device=x.device)
        return (rows.domain.unsqueeze(-1) == indices).to(x.dtype)

    def _normalize_by_batch(self, x: Tensor, assignment: Tensor, part: Part | None) -> Tensor:
        count = assignment.sum(-2).unsqueeze(-1)
        count = count if part is None else part.add(count)
        share = assignment.mT / count.clamp(min=1.0)
        mean = share @ x
        mean = mean if part is None else part.add(mean)
        centered = x - assignment @ mean
        var = share @ centered.square()
        var = var if part is None else part.add(var)
        with torch.no_grad():
            step = self.momentum * (count > 1).to(x.dtype)
            unbiased = var * count / (count - 1.0).clamp(min=1.0)
            _unbatched(self.running_mean, x).lerp_(mean, step.expand_as(mean))
            _unbatched(self.running_var, x).lerp_(unbiased, step.expand_as(var))
        return centered * torch.rsqrt(assignment @ var + self.eps)

    def _normalize_by_running(self, x: Tensor, rows: Rows | None) -> Tensor:
        means, variances = (_unbatched(table, x) for table in self._tables())
        if rows is None or rows.domain is None or self.n_domains == 1:
            mean, var = means[..., -1:, :], variances[..., -1:, :]
        elif x.dim() == 2:
            mean, var = means[rows.domain], variances[rows.domain]
        else:
            domain = rows.domain.expand(x.shape[:-1]).unsqueeze(-1).expand(x.shape)
            mean, var = means.gather(-2, domain), variances.gather(-2, domain)
        return (x - mean) * torch.rsqrt(var + self.eps)

    def _tables(self) -> tuple[Tensor, Tensor]:
        """Return the running statistics, followed by those of all targets pooled."""
        means, variances = self.running_mean, self.running_var
        targets = slice(-self.n_targets, None) if self.n_targets else slice(None)
        spread, center = torch.var_mean(means[:, targets], dim=1, correction=0, keepdim=True)
        pooled = variances[:, targets].mean(1, keepdim=True) + spread
        return torch.cat([means, center], 1), torch.cat([variances, pooled], 1)

    def _get_name(self) -> str:
        return "BatchNorm" if self.n_domains == 1 else "DomainBatchNorm"

    def extra_repr(self) -> str:
        """Show the number of features, and of domains with separate statistics."""
        return f"{self.n_features}" + (f", n_domains={self.n_domains}" * (self.n_domains > 1))
