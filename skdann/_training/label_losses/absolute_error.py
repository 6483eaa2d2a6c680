r"""Absolute error, which is minimal at the median: :math:`|\hat y - y|`."""

from __future__ import annotations

from torch import Tensor

from skdann._training.label_losses.base import NumberLoss


class AbsoluteError(NumberLoss):
    """``loss="absolute_error"``."""

    def of_numbers(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the absolute differences."""
        return (outputs - y).abs()

    def slope(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the signs of the differences; 0 at 0, as autograd does."""
        return (outputs - y).sign()
