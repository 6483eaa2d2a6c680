"""Families of candidates: ways to adapt that fail on different tasks.

A family is a function from the path of lambdas and scalings to the settings of its members, and a
line in :data:`NETWORK_FAMILIES`. :data:`BASELINE`, the source-only network, is always trained.
:data:`TREES` has no networks: it is a scikit-learn classifier, see
:mod:`skdann._selection.source_model`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

BASELINE, TREES = "baseline", "trees"


class Setting(NamedTuple):
    """Parameters in which the members of a search differ, apart from their seeds."""

    lambda_max: float
    standardize: str | None
    pseudo_labels: str | None = None


Path = tuple[Sequence[float], Sequence[str | None]]  # lambdas with 0 first; scalings


def baseline(lambdas: Sequence[float], scalings: Sequence[str | None]) -> list[Setting]:
    """Source only, with the first scaling."""
    return [Setting(0.0, scalings[0])]


def alignment(lambdas: Sequence[float], scalings: Sequence[str | None]) -> list[Setting]:
    """Features that match as a whole: every lambda and scaling but the baseline's."""
    path = [Setting(value, scaling) for scaling in scalings for value in lambdas]
    return path[1:]


def self_training(lambdas: Sequence[float], scalings: Sequence[str | None]) -> list[Setting]:
    """The source's decision where it is surest: pseudo-labels, and nothing aligned."""
    return [Setting(0.0, scalings[0], "train")]


def balanced(lambdas: Sequence[float], scalings: Sequence[str | None]) -> list[Setting]:
    """Features that match class by class: classes balanced by pseudo-labels, the last scaling."""
    return [Setting(value, scalings[-1], "balance") for value in lambdas[1:] or lambdas]


NETWORK_FAMILIES: dict[str, Callable[[Sequence[float], Sequence[str | None]], list[Setting]]] = {
    "alignment": alignment,
    "self_training": self_training,
    "balanced": balanced,
}
FAMILIES = (*NETWORK_FAMILIES, TREES)
