r"""Squared error, which is minimal at the mean: :math:`(\hat y - y)^2`."""

from __future__ import annotations

from torch import Tensor

from skdann._training.label_losses.base import NumberLoss


class SquaredError(NumberLoss):
    """``loss="squared_error"``."""

    def of_numbers(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the squared differences."""
        return (outputs - y) ** 2

    def slope(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return twice the differences."""
        return 2.0 * (outputs - y)
