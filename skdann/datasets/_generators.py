"""Generators of toy problems with two domains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skdann._input.seeding import make_generator
from skdann.datasets._checks import check_number

_Array = NDArray[Any]
_Seed = int | np.random.RandomState | None


def make_inter_twinning_moons(
    n_samples: int = 300,
    *,
    n_target: int | None = None,
    rotation: float = 35.0,
    noise: float = 0.05,
    random_state: _Seed = None,
) -> tuple[_Array, _Array, _Array, _Array]:
    """Make the inter-twinning moons of the DANN paper, with a rotated copy as the target.

    The source consists of two interleaving half circles, translated so that the mean of its rows is
    the origin, and scaled by 2. The target is a second draw, translated and scaled by the same
    amounts, then rotated about the origin.

    Parameters
    ----------
    n_samples : int, default=300
        Number of source rows, half in each moon.
    n_target : int or None, default=None
        Number of target rows, half in each moon; None means `n_samples`.
    rotation : float, default=35.0
        Angle from source to target, counter-clockwise, in degrees.
    noise : float, default=0.05
        Standard deviation of the Gaussian noise, before scaling.
    random_state : int, RandomState instance or None, default=None
        Controls all random draws. Pass an int for identical data in every call.

    Returns
    -------
    X_source, y_source : ndarray of shape (n_samples, 2), ndarray of shape (n_samples,)
        Source rows and their labels: 0 for the upper moon, 1 for the lower.
    X_target, y_target : ndarray of shape (n_target, 2), ndarray of shape (n_target,)
        Target rows, and their labels, which are for the final score only.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    Y. Ganin et al. (2016). "Domain-Adversarial Training of Neural Networks." JMLR 17(59), sec. 5.1.

    Examples
    --------
    >>> from skdann.datasets import make_inter_twinning_moons
    >>> X_source, y_source, X_target, y_target = make_inter_twinning_moons(random_state=0)
    >>> X_source.shape, X_target.shape
    ((300, 2), (300, 2))
    """
    n_target = _check_sizes(n_samples, n_target)
    check_number("rotation", rotation, example=35.0)
    check_number("noise", noise, minimum=0, example=0.05)
    rng = make_generator(random_state)
    from sklearn.datasets import make_moons  # slow to import

    X_source, y_source = make_moons(n_samples, noise=noise, random_state=rng)
    X_target, y_target = make_moons(n_target, noise=noise, random_state=rng)
    center = X_source.mean(axis=0)
    cos, sin = np.cos(np.deg2rad(rotation)), np.sin(np.deg2rad(rotation))
    rotate = np.array([[cos, sin], [-sin, cos]])  # multiplies rows from the right
    return 2 * (X_source - center), y_source, 2 * (X_target - center) @ rotate, y_target


def make_covariate_shift(
    n_samples: int = 500,
    *,
    n_target: int | None = None,
    n_features: int = 2,
    shift: float = 2.0,
    flip_y: float = 0.0,
    random_state: _Seed = None,
) -> tuple[_Array, _Array, _Array, _Array]:
    """Make two domains with the same p(y | x) and different p(x).

    Features are independent and normal with mean 0 and variance 1, except that the first has mean
    `shift` in the target. In both domains the label is 1 where ``x[1] > sin(x[0])`` and 0
    elsewhere. The density ratio p_T(x) / p_S(x) is ``exp(shift * x[0] - shift**2 / 2)``.

    Parameters
    ----------
    n_samples : int, default=500
        Number of source rows.
    n_target : int or None, default=None
        Number of target rows; None means `n_samples`.
    n_features : int, default=2
        Number of columns, at least 2. Columns after the second carry no information about the
        label.
    shift : float, default=2.0
        Distance between the domains, in standard deviations.
    flip_y : float, default=0.0
        Probability that a label is replaced by the other one, in both domains.
    random_state : int, RandomState instance or None, default=None
        Controls all random draws. Pass an int for identical data in every call.

    Returns
    -------
    X_source, y_source : ndarray of shape (n_samples, n_features), ndarray of shape (n_samples,)
        Source rows and their labels, 0 or 1.
    X_target, y_target : ndarray of shape (n_target, n_features), ndarray of shape (n_target,)
        Target rows, and their labels, which are for the final score only.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> from skdann.datasets import make_covariate_shift
    >>> X_source, y_source, X_target, y_target = make_covariate_shift(random_state=0)
    >>> bool(X_target[:, 0].mean() > X_source[:, 0].mean() + 1.5)
    True
    """
    n_target = _check_sizes(n_samples, n_target, n_features)
    check_number("shift", shift, example=2.0)
    check_number("flip_y", flip_y, minimum=0, maximum=1, example=0.1)
    rng = make_generator(random_state)

    def draw(n_rows: int, mean: float) -> tuple[_Array, _Array]:
        X = rng.standard_normal((n_rows, n_features))
        X[:, 0] += mean
        is_flipped = rng.uniform(size=n_rows) < flip_y
        return X, ((X[:, 1] > np.sin(X[:, 0])) ^ is_flipped).astype(np.int64)

    return *draw(n_samples, 0.0), *draw(n_target, shift)


def make_label_shift(
    n_samples: int = 500,
    *,
    n_target: int | None = None,
    n_features: int = 2,
    source_priors: Sequence[float] = (0.5, 0.5),
    target_priors: Sequence[float] = (0.2, 0.8),
    class_sep: float = 2.0,
    random_state: _Seed = None,
) -> tuple[_Array, _Array, _Array, _Array]:
    """Make two domains with the same p(x | y) and different p(y).

    Each class is normal with variance 1. The class means lie on a circle in the first two features,
    at a distance of `class_sep` between neighbours.

    Parameters
    ----------
    n_samples : int, default=500
        Number of source rows.
    n_target : int or None, default=None
        Number of target rows; None means `n_samples`.
    n_features : int, default=2
        Number of columns, at least 2. Columns after the second carry no information about the
        label.
    source_priors, target_priors : sequence of n_classes floats, default=(0.5, 0.5), (0.2, 0.8)
        Share of each class in each domain; two or more shares that sum to 1. The data have exactly
        these shares, up to rounding to whole rows.
    class_sep : float, default=2.0
        Distance between the means of neighbouring classes, in standard deviations.
    random_state : int, RandomState instance or None, default=None
        Controls all random draws. Pass an int for identical data in every call.

    Returns
    -------
    X_source, y_source : ndarray of shape (n_samples, n_features), ndarray of shape (n_samples,)
        Source rows and their labels, 0 to n_classes - 1.
    X_target, y_target : ndarray of shape (n_target, n_features), ndarray of shape (n_target,)
        Target rows, and their labels, which are for the final score only.

    Raises
    ------
    ValueError
        If a parameter is out of range, or the priors have different lengths.

    Examples
    --------
    >>> import numpy as np
    >>> from skdann.datasets import make_label_shift
    >>> _, y_source, _, y_target = make_label_shift(
    ...     100, source_priors=(0.2, 0.3, 0.5), target_priors=(0.6, 0.3, 0.1), random_state=0
    ... )
    >>> np.bincount(y_source), np.bincount(y_target)
    (array([20, 30, 50]), array([60, 30, 10]))
    """
    n_target = _check_sizes(n_samples, n_target, n_features)
    check_number("class_sep", class_sep, minimum=0, example=2.0)
    p_source = _check_priors("source_priors", source_priors)
    p_target = _check_priors("target_priors", target_priors)
    n_classes = len(p_source)
    if len(p_target) != n_classes:
        raise ValueError(
            f"source_priors has {n_classes} classes but target_priors has {len(p_target)};"
            " pass one prior per class to both, with 0 for a class that a domain does not have."
        )
    rng = make_generator(random_state)
    angles = 2 * np.pi * np.arange(n_classes) / n_classes
    means = np.zeros((n_classes, n_features))
    means[:, :2] = np.column_stack([np.cos(angles), np.sin(angles)])
    means *= class_sep / (2 * np.sin(np.pi / n_classes))

    def draw(n_rows: int, priors: _Array) -> tuple[_Array, _Array]:
        y = rng.permutation(np.repeat(np.arange(n_classes), _round_shares(n_rows, priors)))
        return means[y] + rng.standard_normal((n_rows, n_features)), y

    return *draw(n_samples, p_source), *draw(n_target, p_target)


def make_sensor_drift(
    n_samples: int = 500,
    *,
    n_target: int | None = None,
    n_stable: int = 3,
    n_drifting: int = 3,
    drift: float = 1.0,
    noise: float = 0.5,
    random_state: _Seed = None,
) -> tuple[_Array, _Array, _Array, _Array]:
    r"""Make readings of sensors for a quantity to predict, some of which drift in the target.

    The quantity y is standard normal in both domains. Sensor j reads

    .. math:: x_j = g_j y + d_j + \sigma_j e_j

    with a gain :math:`g_j` drawn from [0.5, 1.5] and standard normal noise :math:`e_j`. The noise
    :math:`\sigma_j` of a stable sensor is `noise`. That of a drifting sensor is half of it, so a
    model of the source trusts these most, and in the target they have the offset
    :math:`d_j` = `drift`; all other offsets are 0.

    Parameters
    ----------
    n_samples : int, default=500
        Number of source rows.
    n_target : int or None, default=None
        Number of target rows; None means `n_samples`.
    n_stable, n_drifting : int, default=3
        Numbers of sensors, each at least 1; the stable ones are the first columns.
    drift : float, default=1.0
        Offset of the drifting sensors in the target.
    noise : float, default=0.5
        Standard deviation of the noise of a stable sensor.
    random_state : int, RandomState instance or None, default=None
        Controls all random draws. Pass an int for identical data in every call.

    Returns
    -------
    X_source, y_source : ndarray of shape (n_samples, n_stable + n_drifting), and (n_samples,)
        Source rows and their numbers.
    X_target, y_target : ndarray of shape (n_target, n_stable + n_drifting), and (n_target,)
        Target rows, and their numbers, which are for the final score only.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> from skdann.datasets import make_sensor_drift
    >>> X_source, y_source, X_target, y_target = make_sensor_drift(random_state=0)
    >>> (X_target.mean(axis=0) - X_source.mean(axis=0)).round()
    array([0., 0., 0., 1., 1., 1.])
    """
    n_target = _check_sizes(n_samples, n_target)
    for name, value in (("n_stable", n_stable), ("n_drifting", n_drifting)):
        check_number(name, value, minimum=1, is_integer=True, example=3)
    check_number("drift", drift, example=1.0)
    check_number("noise", noise, minimum=0, example=0.5)
    rng = make_generator(random_state)
    gain = rng.uniform(0.5, 1.5, size=n_stable + n_drifting)
    is_drifting = np.arange(len(gain)) >= n_stable
    spread = np.where(is_drifting, noise / 2, noise)

    def draw(n_rows: int, offset: float) -> tuple[_Array, _Array]:
        y = rng.standard_normal(n_rows)
        noises = spread * rng.standard_normal((n_rows, len(gain)))
        return y[:, None] * gain + offset * is_drifting + noises, y

    return *draw(n_samples, 0.0), *draw(n_target, drift)


def _check_sizes(n_samples: int, n_target: int | None, n_features: int = 2) -> int:
    """Check the numbers of rows and columns, and return the number of target rows."""
    n_target = n_samples if n_target is None else n_target
    check_number("n_samples", n_samples, minimum=2, is_integer=True, example=300)
    check_number("n_target", n_target, minimum=2, is_integer=True, example=300)
    check_number("n_features", n_features, minimum=2, is_integer=True, example=2)
    return n_target


def _check_priors(name: str, priors: Sequence[float]) -> _Array:
    """Return class priors as an array of floats, or raise."""
    try:
        array = np.asarray(priors, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 1 or len(array) < 2 or not (array >= 0).all() or abs(array.sum() - 1) > 1e-6:
        raise ValueError(
            f"{name}={priors!r} is not a sequence of two or more numbers >= 0 that sum to 1;"
            f" pass the share of each class, e.g. {name}=(0.3, 0.7)."
        )
    return array


def _round_shares(n_rows: int, shares: _Array) -> _Array:
    """Split n_rows into whole numbers by shares; the largest remainders are rounded up."""
    exact = n_rows * shares / shares.sum()
    counts: _Array = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: n_rows - counts.sum()]] += 1
    return counts
