r"""Pinball loss, which is minimal at a quantile.

With :math:`e = y - \hat y` and the quantile :math:`\tau`, it is
:math:`\max(\tau e, (\tau - 1) e)` (Koenker, Bassett, Econometrica 46(1), 1978).
"""

from __future__ import annotations

from torch import Tensor

from skdann._training.label_losses.base import NumberLoss


class Quantile(NumberLoss):
    """``loss="quantile"``, for the parameter `quantile`."""

    def of_numbers(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the pinball losses."""
        error = y - outputs
        return self.params.quantile * error.relu() + (1.0 - self.params.quantile) * (-error).relu()

    def slope(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return -quantile below the label and 1 - quantile above; 0 at it, as autograd does."""
        above, below = (outputs > y).to(outputs.dtype), (outputs < y).to(outputs.dtype)
        return (1.0 - self.params.quantile) * above - self.params.quantile * below
