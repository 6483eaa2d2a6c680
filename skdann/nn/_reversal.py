r"""The gradient reversal layer.

:math:`R_\lambda` is the identity in the forward pass, and multiplies the gradient by
:math:`-\lambda` in the backward pass (Ganin et al., JMLR 2016, equations 14-15):

.. math:: R_\lambda(x) = x, \qquad \frac{dR_\lambda}{dx} = -\lambda I .
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class _GradientReversal(torch.autograd.Function):
    """Autograd function of the reversal; lambda gets no gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, lambda_: float | Tensor) -> Tensor:
        return x.clone()  # a view would break in-place layers after it

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float | Tensor], output: Tensor) -> None:
        lambda_ = inputs[1]
        ctx.lambda_ = None if isinstance(lambda_, Tensor) else lambda_
        if isinstance(lambda_, Tensor):
            ctx.save_for_backward(lambda_)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        lambda_ = ctx.saved_tensors[0] if ctx.lambda_ is None else ctx.lambda_
        return -lambda_ * grad, None


def gradient_reversal(x: Tensor, lambda_: float | Tensor = 1.0) -> Tensor:
    r"""Return `x` unchanged and multiply its gradient by :math:`-\lambda`.

    Parameters
    ----------
    x : Tensor of any shape
        Input, for example the features of a batch.
    lambda_ : float or Tensor, default=1.0
        The coefficient :math:`\lambda`, not negative. A tensor must broadcast against `x`, for
        example ``(n_members, 1, 1)``; it gets no gradient.

    Returns
    -------
    Tensor
        Same shape and values as `x`.

    Raises
    ------
    ValueError
        If `lambda_` is negative or NaN. The function changes the sign by itself.
    TypeError
        If `lambda_` is not a number or a tensor, or `x` is not a tensor.

    References
    ----------
    Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17(59), 2016, eq. 14-15.

    Examples
    --------
    >>> import torch
    >>> from skdann.nn import gradient_reversal
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> gradient_reversal(x, 0.5).sum().backward()
    >>> x.grad
    tensor([-0.5000, -0.5000])
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a tensor but is a {type(x).__name__}; use torch.as_tensor(x).")
    _check_sign(lambda_)
    return reverse(x, lambda_)


def reverse(x: Tensor, lambda_: float | Tensor) -> Tensor:
    """Reverse the gradient by a coefficient that is known to be >= 0."""
    if isinstance(lambda_, Tensor):
        lambda_ = lambda_.to(x)
    return _GradientReversal.apply(x, lambda_)


def _check_sign(lambda_: Any) -> None:
    """Raise unless the coefficient is a number >= 0, as far as that is known without waiting."""
    if isinstance(lambda_, Tensor):
        if lambda_.device.type != "cpu" or torch.compiler.is_compiling():
            return
        try:
            is_valid = bool((lambda_.detach() >= 0).all())
        except RuntimeError:  # within vmap, where no value is known
            return
    elif isinstance(lambda_, Real | np.number):
        is_valid = float(lambda_) >= 0
    else:
        raise TypeError(f"lambda_={lambda_!r} must be a number >= 0 or a tensor of such numbers.")
    if not is_valid:
        raise ValueError(
            f"lambda_={lambda_!r} must be >= 0: the layer changes the sign of the gradient by "
            "itself, and a negative value would train the networks to agree. Pass the positive "
            "value, also if another package, such as a Keras layer, takes a negative one."
        )


class GradientReversal(nn.Module):
    r"""Gradient reversal as a layer for any torch network.

    Parameters
    ----------
    lambda_ : float or Tensor, default=1.0
        The coefficient :math:`\lambda`, not negative; set the attribute to change it during
        training.

    Notes
    -----
    Shape: input and output have the same shape, which is arbitrary.

    References
    ----------
    Ganin et al., "Domain-Adversarial Training of Neural Networks", JMLR 17(59), 2016, eq. 14-15.

    Examples
    --------
    >>> import torch
    >>> from skdann.nn import GradientReversal
    >>> domain_classifier = torch.nn.Sequential(GradientReversal(0.3), torch.nn.Linear(64, 1))
    >>> domain_classifier(torch.zeros(5, 64)).shape
    torch.Size([5, 1])
    """

    def __init__(self, lambda_: float | Tensor = 1.0) -> None:
        super().__init__()
        _check_sign(lambda_)
        self.lambda_ = lambda_

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` unchanged."""
        return gradient_reversal(x, self.lambda_)

    def extra_repr(self) -> str:
        """Show lambda."""
        return f"lambda_={self.lambda_}"
