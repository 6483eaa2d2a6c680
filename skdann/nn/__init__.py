r"""Networks of domain-adversarial training: gradient reversal and layers that hold members.

Placed between the feature extractor :math:`G_f` and the domain classifier :math:`G_d`, the gradient
reversal layer lets one ordinary backward pass train :math:`G_d` to tell the domains apart and
:math:`G_f` to make them alike (Ganin et al., JMLR 2016). :func:`gradient_reversal` and
:class:`GradientReversal` are usable alone, in networks of your own.

Layers that :class:`skdann.DANNClassifier` builds hold several independent copies of themselves, the
ensemble members, with weights of shape ``(n_members, ...)``; they are private.
"""

from skdann.nn._members import Rows
from skdann.nn._module import DANNModule
from skdann.nn._reversal import GradientReversal, gradient_reversal

__all__ = ["DANNModule", "GradientReversal", "Rows", "gradient_reversal"]
