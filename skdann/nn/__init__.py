r"""Gradient reversal and the networks of domain-adversarial training.

Placed between the feature extractor :math:`G_f` and the domain classifier :math:`G_d`, the gradient
reversal layer trains both in one ordinary backward pass: :math:`G_d` learns to distinguish the
domains, and :math:`G_f` to make them indistinguishable (Ganin et al., JMLR 2016).
:func:`gradient_reversal` and :class:`GradientReversal` can be used in any torch network.

The layers that :class:`skdann.DANNClassifier` builds hold several ensemble members each, with
weights of shape ``(n_members, ...)``; they are private.
"""

from skdann.nn._members import Rows
from skdann.nn._module import DANNModule
from skdann.nn._reversal import GradientReversal, gradient_reversal

__all__ = ["DANNModule", "GradientReversal", "Rows", "gradient_reversal"]
