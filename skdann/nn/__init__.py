r"""Networks of domain-adversarial training: gradient reversal and layers that hold members.

Placed between the feature extractor :math:`G_f` and the domain classifier :math:`G_d`, the gradient
reversal layer lets one ordinary backward pass train :math:`G_d` to tell the domains apart and
:math:`G_f` to make them alike (Ganin et al., JMLR 2016). :func:`gradient_reversal` and
:class:`GradientReversal` are usable alone, in networks of your own.

Every other layer here holds ``n_members`` independent copies of itself, with weights of shape
``(n_members, ...)``; :class:`skdann.DANNClassifier` is the case of one member.
"""

from skdann.nn._members import (
    MemberBatchNorm,
    MemberDropout,
    MemberLayerNorm,
    MemberLinear,
    Rows,
    RowsSequential,
)
from skdann.nn._module import DANNModule
from skdann.nn._reversal import GradientReversal, gradient_reversal
from skdann.nn._standardizer import DomainStandardizer

__all__ = [
    "DANNModule",
    "DomainStandardizer",
    "GradientReversal",
    "MemberBatchNorm",
    "MemberDropout",
    "MemberLayerNorm",
    "MemberLinear",
    "Rows",
    "RowsSequential",
    "gradient_reversal",
]
