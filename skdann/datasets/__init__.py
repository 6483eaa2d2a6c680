"""Two-domain data: generators of toy problems, and fetchers of real ones.

Unsupervised domain adaptation learns from labelled rows of a source density p_S(x, y) and
unlabelled rows of a target density p_T(x, y). Each generator makes one kind of difference:

- :func:`make_covariate_shift`: p_S(x) != p_T(x), with p(y | x) in common;
- :func:`make_label_shift`: p_S(y) != p_T(y), with p(x | y) in common;
- :func:`make_inter_twinning_moons`: the target is the source density, rotated.

All return ``(X_source, y_source, X_target, y_target)``. ``y_target`` is for the final score only,
never for fitting or for choosing a model. Their ``random_state`` is an int for equal data in every
call, a RandomState to draw on, or None for fresh entropy; numpy's global state is left alone.
"""

from skdann.datasets._amazon import fetch_amazon_reviews
from skdann.datasets._generators import (
    make_covariate_shift,
    make_inter_twinning_moons,
    make_label_shift,
)

__all__ = [
    "fetch_amazon_reviews",
    "make_covariate_shift",
    "make_inter_twinning_moons",
    "make_label_shift",
]
