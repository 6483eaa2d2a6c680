r"""How far two domains lie apart, and how their class shares differ, without target labels.

A classifier :math:`h` that tells source rows from target rows measures the first: its AUC, its
error, and the density ratio that its probabilities carry,

.. math:: \frac{p_T(x)}{p_S(x)} = \frac{n_S}{n_T} \cdot \frac{h(x)}{1 - h(x)}.

All of it is out of fold: no row is judged by a classifier that saw it.
"""

from skdann.metrics._domains import domain_auc, proxy_a_distance
from skdann.metrics._priors import estimate_target_priors
from skdann.metrics._weights import effective_sample_size, importance_weights

__all__ = [
    "domain_auc",
    "effective_sample_size",
    "estimate_target_priors",
    "importance_weights",
    "proxy_a_distance",
]
