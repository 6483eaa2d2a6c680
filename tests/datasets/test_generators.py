"""Generators: their parameters, and the distributions that they promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import orthogonal_procrustes
from sklearn.datasets import make_moons

from skdann import datasets
from skdann.datasets import (
    make_covariate_shift,
    make_inter_twinning_moons,
    make_label_shift,
    make_sensor_drift,
)

GENERATORS = [make_covariate_shift, make_inter_twinning_moons, make_label_shift]


every_generator = pytest.mark.parametrize("make", GENERATORS, ids=lambda make: make.__name__)
seeds = st.integers(0, 2**32 - 1)


# All generators


@every_generator
@given(n_samples=st.integers(2, 60), n_target=st.none() | st.integers(2, 60), seed=seeds)
@settings(max_examples=25, deadline=None)
def test_shapes_and_types(make: Any, n_samples: int, n_target: int | None, seed: int) -> None:
    data = make(n_samples, n_target=n_target, random_state=seed)
    n_target = n_samples if n_target is None else n_target
    assert isinstance(data, tuple)
    shapes = [part.shape for part in data]
    assert shapes == [(n_samples, 2), (n_samples,), (n_target, 2), (n_target,)]
    for X, y in (data[:2], data[2:]):
        assert X.dtype == np.float64
        assert np.isfinite(X).all()
        assert y.dtype.kind == "i"
        assert set(y) <= {0, 1}


@every_generator
@given(seed=seeds)
@settings(max_examples=10, deadline=None)
def test_equal_seeds_give_equal_bits_and_other_seeds_do_not(make: Any, seed: int) -> None:
    first = make(20, random_state=seed)
    for again in (
        make(20, random_state=seed),
        make(20, random_state=np.random.RandomState(seed)),
    ):
        for one, other in zip(first, again, strict=True):
            assert one.tobytes() == other.tobytes()
    other_seed = make(20, random_state=(seed + 1) % 2**32)
    assert not np.array_equal(first[0], other_seed[0])


@every_generator
@pytest.mark.parametrize("random_state", [None, 3])
def test_global_random_state_is_neither_read_nor_changed(make: Any, random_state: Any) -> None:
    np.random.seed(0)
    before = np.random.get_state()
    first = make(20, random_state=random_state)
    for one, other in zip(before, np.random.get_state(), strict=True):
        assert_array_equal(one, other)
    again = make(20, random_state=random_state)  # from the same global state
    assert np.array_equal(first[0], again[0]) == (random_state is not None)


@every_generator
def test_a_random_state_instance_is_drawn_from(make: Any) -> None:
    rng = np.random.RandomState(0)
    assert not np.array_equal(make(20, random_state=rng)[0], make(20, random_state=rng)[0])


@every_generator
def test_source_and_target_are_different_draws(make: Any) -> None:
    X_source, y_source, X_target, y_target = make(200, random_state=0)
    assert not np.array_equal(y_source, y_target)
    assert not set(X_source.ravel()) & set(X_target.ravel())


@every_generator
def test_source_does_not_depend_on_the_target(make: Any) -> None:
    X_few, y_few, *_ = make(30, n_target=5, random_state=0)
    X_many, y_many, *_ = make(30, n_target=50, random_state=0)
    assert_array_equal(X_few, X_many)
    assert_array_equal(y_few, y_many)


@every_generator
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_samples", 1),
        ("n_samples", 10.0),
        ("n_samples", True),
        ("n_samples", "10"),
        ("n_samples", None),
        ("n_target", 0),
        ("n_target", -5),
        ("n_target", 2.5),
    ],
)
def test_bad_sizes_are_named(make: Any, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name}=.*is not an integer >= 2; pass e.g. {name}="):
        make(**{name: value})


@pytest.mark.parametrize(
    ("make", "name", "value", "expectation"),
    [
        (make_inter_twinning_moons, "rotation", np.nan, "a finite number; pass"),
        (make_inter_twinning_moons, "rotation", np.inf, "a finite number; pass"),
        (make_inter_twinning_moons, "rotation", "35", "a finite number; pass"),
        (make_inter_twinning_moons, "noise", -0.1, "a finite number >= 0; pass"),
        (make_inter_twinning_moons, "noise", None, "a finite number >= 0; pass"),
        (make_covariate_shift, "n_features", 1, "an integer >= 2; pass"),
        (make_covariate_shift, "shift", None, "a finite number; pass"),
        (make_covariate_shift, "flip_y", 1.5, "a finite number >= 0 and <= 1; pass"),
        (make_label_shift, "n_features", 1, "an integer >= 2; pass"),
        (make_label_shift, "class_sep", -1, "a finite number >= 0; pass"),
        (make_label_shift, "source_priors", (0.5, 0.4), "that sum to 1; pass"),
        (make_label_shift, "target_priors", (1.5, -0.5), "numbers >= 0"),
        (make_label_shift, "target_priors", (np.nan, 1.0), "numbers >= 0"),
        (make_label_shift, "target_priors", (1.0,), "two or more"),
        (make_label_shift, "target_priors", 0.5, "a sequence"),
        (make_label_shift, "target_priors", ("a", "b"), "a sequence"),
        (make_label_shift, "target_priors", [[0.5, 0.5]], "a sequence"),
        (make_sensor_drift, "n_samples", 1, "an integer >= 2; pass"),
        (make_sensor_drift, "n_stable", 0, "an integer >= 1; pass"),
        (make_sensor_drift, "n_drifting", 1.5, "an integer >= 1; pass"),
        (make_sensor_drift, "drift", np.nan, "a finite number; pass"),
        (make_sensor_drift, "noise", -1, "a finite number >= 0; pass"),
    ],
)
def test_bad_parameters_are_named(make: Any, name: str, value: Any, expectation: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=.* is not .*{expectation}"):
        make(**{name: value})


def test_a_bad_random_state_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot be used to seed"):
        make_label_shift(random_state="seed")


# Inter-twinning moons


@given(rotation=st.floats(-360, 360), seed=seeds)
@settings(max_examples=25, deadline=None)
def test_rotation_is_counter_clockwise_by_the_given_angle(rotation: float, seed: int) -> None:
    upright = make_inter_twinning_moons(40, rotation=0, random_state=seed)
    turned = make_inter_twinning_moons(40, rotation=rotation, random_state=seed)
    assert_array_equal(turned[0], upright[0])  # the source is not rotated
    assert_array_equal(turned[3], upright[3])
    as_complex = [X @ np.array([1, 1j]) for X in (upright[2], turned[2])]
    assert_allclose(as_complex[1], as_complex[0] * np.exp(1j * np.deg2rad(rotation)), atol=1e-12)


def test_default_rotation_maps_source_onto_target() -> None:
    # Without noise both domains hold the same points of the two arcs, but in another order.
    X_source, y_source, X_target, y_target = make_inter_twinning_moons(noise=0, random_state=0)
    ordered = []
    for X, y, degrees in ((X_source, y_source, 0.0), (X_target, y_target, -35.0)):
        back = X @ np.array([1, 1j]) * np.exp(1j * np.deg2rad(degrees))
        ordered.append(X[np.lexsort((back.real.round(6), y))])
    turn, _ = orthogonal_procrustes(*ordered)
    assert_allclose(ordered[0] @ turn, ordered[1], atol=1e-9)
    assert_allclose(np.rad2deg(np.arctan2(turn[0, 1], turn[0, 0])), 35.0)
    assert_allclose(np.linalg.det(turn), 1.0)


def test_source_is_the_two_moons_centred_and_scaled() -> None:
    X_source, y_source, *_ = make_inter_twinning_moons(100, noise=0, random_state=0)
    assert_allclose(X_source.mean(axis=0), 0, atol=1e-12)
    assert_array_equal(np.bincount(y_source), [50, 50])
    X_moons, y_moons = make_moons(100, noise=0)
    expected = 2 * (X_moons - X_moons.mean(axis=0))
    for label in (0, 1):
        moon, arc = X_source[y_source == label], expected[y_moons == label]
        assert_allclose(moon[moon[:, 0].argsort()], arc[arc[:, 0].argsort()], atol=1e-12)


def test_target_is_centred_by_the_mean_of_the_source() -> None:
    # The 5 rows are among the 102, at the ends and middle of the arcs, but have another mean.
    data = make_inter_twinning_moons(102, n_target=5, rotation=0, noise=0, random_state=0)
    X_source, X_target = data[0], data[2]
    nearest = np.linalg.norm(X_target[:, None] - X_source, axis=2).min(axis=1)
    assert_allclose(nearest, 0, atol=1e-12)


def test_noise_is_the_standard_deviation_before_scaling() -> None:
    smooth = make_inter_twinning_moons(4000, noise=0, random_state=0)[0]
    noisy = make_inter_twinning_moons(4000, noise=0.3, random_state=0)[0]
    assert_allclose((noisy - smooth).std(), 2 * 0.3, rtol=0.05)


# Covariate shift


def test_both_domains_follow_the_same_labelling_rule() -> None:
    X_source, y_source, X_target, y_target = make_covariate_shift(400, shift=3, random_state=0)
    for X, y in ((X_source, y_source), (X_target, y_target)):
        assert_array_equal(y, X[:, 1] > np.sin(X[:, 0]))
        assert set(y) == {0, 1}


def test_flip_y_flips_that_share_of_labels_in_both_domains() -> None:
    X_source, y_source, X_target, y_target = make_covariate_shift(8000, flip_y=0.2, random_state=0)
    for X, y in ((X_source, y_source), (X_target, y_target)):
        is_flipped = y != (X[:, 1] > np.sin(X[:, 0]))
        assert_allclose(is_flipped.mean(), 0.2, atol=0.02)
        assert_allclose(is_flipped[X[:, 0] > 1].mean(), 0.2, atol=0.04)  # whatever x is


@pytest.mark.parametrize("flip_y", [0, 1])
def test_flip_y_bounds_are_exact(flip_y: int) -> None:
    X, y, *_ = make_covariate_shift(300, flip_y=flip_y, random_state=0)
    assert_array_equal(y, (X[:, 1] > np.sin(X[:, 0])) ^ bool(flip_y))


def test_only_the_first_feature_is_shifted() -> None:
    X_source, _, X_target, _ = make_covariate_shift(8000, n_features=4, shift=-1.5, random_state=0)
    assert_allclose(X_source.mean(axis=0), 0, atol=0.05)
    assert_allclose(X_target.mean(axis=0), [-1.5, 0, 0, 0], atol=0.05)
    for X in (X_source, X_target):
        assert_allclose(np.cov(X.T), np.eye(4), atol=0.06)


def test_stated_density_ratio_turns_source_into_target() -> None:
    shift = 1.0
    X_source, y_source, X_target, y_target = make_covariate_shift(
        50_000, shift=shift, random_state=0
    )
    weight = np.exp(shift * X_source[:, 0] - shift**2 / 2)
    assert_allclose(weight.mean(), 1, atol=0.03)
    assert_allclose(np.average(y_source, weights=weight), y_target.mean(), atol=0.02)
    assert abs(y_source.mean() - y_target.mean()) > 0.1  # so that the line above can fail
    assert_allclose(np.average(X_source[:, 0], weights=weight), X_target[:, 0].mean(), atol=0.05)


# Label shift


@st.composite
def two_priors(draw: Any) -> tuple[list[float], list[float]]:
    n_classes = draw(st.integers(2, 6))
    shares = st.lists(st.integers(0, 9), min_size=n_classes, max_size=n_classes).filter(any)
    source, target = (np.array(draw(shares), dtype=float) for _ in range(2))
    return list(source / source.sum()), list(target / target.sum())


@given(priors=two_priors(), n_samples=st.integers(2, 97), n_target=st.integers(2, 97))
@settings(max_examples=60, deadline=None)
def test_counts_are_the_priors_to_within_one_row(
    priors: tuple[list[float], list[float]], n_samples: int, n_target: int
) -> None:
    p_source, p_target = priors
    _, y_source, _, y_target = make_label_shift(
        n_samples, n_target=n_target, source_priors=p_source, target_priors=p_target, random_state=0
    )
    for y, prior, n_rows in ((y_source, p_source, n_samples), (y_target, p_target, n_target)):
        counts = np.bincount(y, minlength=len(prior))
        assert len(y) == n_rows
        assert (np.abs(counts - n_rows * np.array(prior)) < 1).all()
        assert not counts[np.array(prior) == 0].any()


def test_default_priors() -> None:
    _, y_source, _, y_target = make_label_shift(random_state=0)
    assert_array_equal(np.bincount(y_source), [250, 250])
    assert_array_equal(np.bincount(y_target), [100, 400])


def test_rows_are_shuffled() -> None:
    _, y_source, *_ = make_label_shift(random_state=0)
    assert (np.diff(y_source) != 0).sum() > 100


def test_classes_have_the_same_distribution_in_both_domains() -> None:
    priors = {"source_priors": (0.6, 0.2, 0.2), "target_priors": (0.2, 0.2, 0.6)}
    X_source, y_source, X_target, y_target = make_label_shift(
        30_000, n_features=3, class_sep=2.5, random_state=0, **priors
    )
    means = []
    for X, y in ((X_source, y_source), (X_target, y_target)):
        means.append(np.array([X[y == label].mean(axis=0) for label in range(3)]))
        for label in range(3):
            assert_allclose(np.cov(X[y == label].T), np.eye(3), atol=0.07)
    assert_allclose(means[0], means[1], atol=0.06)
    gaps = np.linalg.norm(means[0] - np.roll(means[0], 1, axis=0), axis=1)
    assert_allclose(gaps, 2.5, atol=0.06)
    assert_allclose(means[0][:, 2], 0, atol=0.06)


def test_class_sep_is_kept_for_two_classes() -> None:
    X, y, *_ = make_label_shift(20_000, class_sep=3, random_state=0)
    gap = np.linalg.norm(X[y == 0].mean(axis=0) - X[y == 1].mean(axis=0))
    assert_allclose(gap, 3, atol=0.06)


def test_priors_of_different_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match="source_priors has 2 classes but target_priors has 3;"):
        make_label_shift(target_priors=(0.2, 0.3, 0.5))


# Sensors that drift


@given(n_stable=st.integers(1, 4), n_drifting=st.integers(1, 4), seed=seeds)
@settings(max_examples=10, deadline=None)
def test_drifting_sensors_have_the_offset_and_half_the_noise(
    n_stable: int, n_drifting: int, seed: int
) -> None:
    X_source, y_source, X_target, y_target = make_sensor_drift(
        20_000, n_stable=n_stable, n_drifting=n_drifting, drift=3.0, noise=0.4, random_state=seed
    )
    assert X_source.shape == X_target.shape == (20_000, n_stable + n_drifting)
    is_drifting = np.arange(n_stable + n_drifting) >= n_stable
    for X, y, offset in ((X_source, y_source, 0.0), (X_target, y_target, 3.0)):
        assert_allclose([y.mean(), y.std()], [0, 1], atol=0.03)
        gain, intercept = np.polyfit(y, X, 1)
        assert ((gain > 0.45) & (gain < 1.55)).all()
        assert_allclose(intercept, offset * is_drifting, atol=0.02)
        noise = (X - np.outer(y, gain) - intercept).std(0)
        assert_allclose(noise, np.where(is_drifting, 0.2, 0.4), atol=0.02)


def test_drifting_source_does_not_depend_on_the_target() -> None:
    few, many = (make_sensor_drift(50, n_target=n, random_state=3)[:2] for n in (2, 90))
    assert_array_equal(few[0], many[0])
    assert_array_equal(few[1], many[1])
    again = make_sensor_drift(50, n_target=2, random_state=3)
    assert_array_equal(again[0], few[0])


def test_all_is_sorted_and_complete() -> None:
    public = [
        name
        for name, value in vars(datasets).items()
        if getattr(value, "__module__", "").startswith(datasets.__name__)
        and not name.startswith("_")
    ]
    assert datasets.__all__ == sorted(public)
