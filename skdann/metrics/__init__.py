r"""Distances between domains, importance weights, and class shares, without target labels.

The distances and the weights come from a classifier :math:`h` that tells target rows from source
rows: its AUC, its error, and the density ratio given by its probabilities,

.. math:: \frac{p_T(x)}{p_S(x)} = \frac{n_S}{n_T} \cdot \frac{h(x)}{1 - h(x)}.

All probabilities are out of fold: no row is predicted by a classifier that was trained on it.
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
