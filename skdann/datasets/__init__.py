"""Data of two domains: generators of toy problems, and a fetcher of real data.

Unsupervised domain adaptation learns from labelled rows of a source density p_S(x, y) and
unlabelled rows of a target density p_T(x, y). Each generator makes one kind of shift:

- :func:`make_covariate_shift`: p_S(x) != p_T(x), with the same p(y | x);
- :func:`make_label_shift`: p_S(y) != p_T(y), with the same p(x | y);
- :func:`make_inter_twinning_moons`: the target is the source density, rotated;
- :func:`make_sensor_drift`: a number is predicted from sensors of which some have an offset in the
  target.

All return ``(X_source, y_source, X_target, y_target)``. ``y_target`` is for the final score only,
never for fitting or selecting a model. ``random_state`` is an int for identical data in every call,
a RandomState to draw from, or None for fresh entropy. numpy's global random state is neither read
nor changed.
"""

from skdann.datasets._amazon import fetch_amazon_reviews
from skdann.datasets._generators import (
    make_covariate_shift,
    make_inter_twinning_moons,
    make_label_shift,
    make_sensor_drift,
)

__all__ = [
    "fetch_amazon_reviews",
    "make_covariate_shift",
    "make_inter_twinning_moons",
    "make_label_shift",
    "make_sensor_drift",
]
