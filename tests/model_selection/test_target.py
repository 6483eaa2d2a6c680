"""Scores of target predictions, against their definitions worked out apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from skdann.model_selection import (
    InformationMaximizationScorer,
    SoftNeighborhoodDensityScorer,
)
from skdann.model_selection._target import (
    batch_nuclear_norm,
    information_maximization,
    soft_neighborhood_density,
)
from tests.model_selection.common import Fixed, lines, random_proba

PROBA = st.tuples(
    st.integers(2, 30), st.integers(2, 5), st.integers(0, 2**31), st.sampled_from([0.01, 1.0, 50.0])
).map(lambda t: np.random.default_rng(t[2]).dirichlet(np.full(t[1], t[3]), size=t[0]))


# Information maximization


@pytest.mark.parametrize(
    ("proba", "expected"),
    [
        ([[1.0, 0.0], [0.0, 1.0]], np.log(2)),  # certain and diverse: the maximum
        ([[0.5, 0.5], [0.5, 0.5]], 0.0),
        ([[1.0, 0.0], [1.0, 0.0]], 0.0),  # certain, but all of one class
        (
            [[0.8, 0.2], [0.4, 0.6]],
            -0.6 * np.log(0.6)
            - 0.4 * np.log(0.4)
            + 0.5 * (0.8 * np.log(0.8) + 0.2 * np.log(0.2) + 0.4 * np.log(0.4) + 0.6 * np.log(0.6)),
        ),
    ],
)
def test_information_maximization_by_hand(proba: Any, expected: float) -> None:
    X_target = lines(2)
    score = InformationMaximizationScorer(X_target)(Fixed(proba), X_target)
    assert_allclose(score, expected, atol=1e-15)


@given(PROBA)
def test_information_is_that_of_the_joint_distribution(proba: np.ndarray) -> None:
    joint = proba / len(proba)  # draw a row uniformly, then a class
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    positive = joint > 0
    expected = (joint[positive] * np.log(joint[positive] / independent[positive])).sum()
    score = information_maximization(proba)
    assert_allclose(score, expected, atol=1e-12)
    assert -1e-12 <= score <= np.log(proba.shape[1]) + 1e-12


# Soft neighbourhood density


def density_by_loops(vectors: np.ndarray, temperature: float) -> float:
    unit = [row / np.sqrt((row**2).sum()) for row in vectors]
    entropies = []
    for i, row in enumerate(unit):
        closeness = [np.exp(row @ unit[j] / temperature) for j in range(len(unit)) if j != i]
        shares = np.array(closeness) / sum(closeness)
        entropies.append(-sum(shares * np.log(shares)))
    return float(np.mean(entropies))


@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_soft_neighborhood_density_by_loops(temperature: float) -> None:
    proba = random_proba(9, 3)
    scorer = SoftNeighborhoodDensityScorer(lines(9), temperature=temperature)
    expected = density_by_loops(proba, temperature)
    assert_allclose(scorer(Fixed(proba, (0, 1, 2)), lines(9)), expected, rtol=1e-12)


def test_density_by_hand() -> None:
    # two distant pairs: each row has one neighbour, and two others with similarity e^-20
    proba = np.eye(2)[[0, 0, 1, 1]]
    tiny = np.exp(-20.0)
    shares = np.array([1.0, tiny, tiny]) / (1.0 + 2.0 * tiny)
    assert_allclose(soft_neighborhood_density(proba), -(shares * np.log(shares)).sum(), atol=1e-14)
    # collapse has the highest score, as the docs warn
    assert_allclose(soft_neighborhood_density(proba[[0] * 7]), np.log(6), rtol=1e-12)


@pytest.mark.parametrize("block_entries", [1, 23, 60, 10**6])
def test_density_in_blocks(block_entries: int) -> None:
    proba = random_proba(23, 4)
    whole = density_by_loops(proba, 0.05)
    assert_allclose(
        soft_neighborhood_density(proba, block_entries=block_entries), whole, rtol=1e-12
    )


def test_density_of_a_sample() -> None:
    proba = random_proba(50, 3)
    clf = Fixed(proba, (0, 1, 2))
    scores = [
        SoftNeighborhoodDensityScorer(lines(50), max_rows=20, random_state=seed)(clf, lines(50))
        for seed in (0, 0, 1)
    ]
    assert scores[0] == scores[1] != scores[2]
    assert scores[0] <= np.log(19)  # the bound with 20 rows
    all_but_one = SoftNeighborhoodDensityScorer(lines(50), max_rows=49)(clf, lines(50))
    others = [soft_neighborhood_density(np.delete(proba, i, axis=0)) for i in range(50)]
    assert np.isclose(others, all_but_one, rtol=1e-12).sum() == 1
    whole = SoftNeighborhoodDensityScorer(lines(50), max_rows=50)(clf, lines(50))
    assert whole == soft_neighborhood_density(proba)


# Batch nuclear norm


def test_batch_nuclear_norm_by_hand() -> None:
    sure = np.eye(3)[[0, 1, 2, 0, 1, 2]]
    assert_allclose(batch_nuclear_norm(sure), 1.0)
    # one singular value, the Frobenius norm sqrt(n / k), of at most sqrt(n * k)
    assert_allclose(batch_nuclear_norm(np.full((6, 3), 1 / 3)), 1 / 3)
    assert_allclose(batch_nuclear_norm(sure[[0] * 5]), 1 / np.sqrt(3))


@given(PROBA)
def test_nuclear_norm_is_the_trace_of_the_root(proba: np.ndarray) -> None:
    roots = np.sqrt(np.linalg.eigvalsh(proba.T @ proba).clip(0))
    n, k = proba.shape
    score = batch_nuclear_norm(proba)
    assert_allclose(score, roots.sum() / np.sqrt(n * min(n, k)), atol=1e-6)
    assert 0 < score <= 1 + 1e-12


def test_nuclear_norm_ranks_as_the_norm_over_n() -> None:
    probas = [random_proba(40, 3, seed) ** p for seed, p in enumerate((1, 2, 3, 4, 5, 6))]
    probas = [proba / proba.sum(axis=1, keepdims=True) for proba in probas]
    musgrave = [np.linalg.norm(proba, "nuc") / 40 for proba in probas]
    ours = [batch_nuclear_norm(proba) for proba in probas]
    assert_array_equal(np.argsort(ours), np.argsort(musgrave))
    assert_allclose(ours[0], batch_nuclear_norm(np.vstack([probas[0]] * 3)))  # whatever n
