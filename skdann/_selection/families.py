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


def find_families(families: Sequence[str] | None, *, has_scorer: bool) -> tuple[str, ...]:
    """Return the families of a search; None is all or, with a scorer, alignment alone."""
    if families is None:
        return FAMILIES[:1] if has_scorer else FAMILIES
    unknown = [name for name in families if name not in FAMILIES]
    if unknown:
        raise ValueError(
            f"families={families!r} has unknown names {unknown}; choose from {FAMILIES}."
        )
    if TREES in families and has_scorer:
        raise ValueError(
            f"families={families!r} has 'trees', which hold out no rows for scoring; "
            "leave it out, or use scoring=None."
        )
    return tuple(dict.fromkeys(families))


def find_aggregate(aggregate: str | None, *, has_scorer: bool) -> str:
    """Return how candidates are combined: a scorer does not weight a mixture."""
    if aggregate is None:
        return "passing" if has_scorer else "mixture"
    if aggregate == "mixture" and has_scorer:
        raise ValueError(
            "aggregate='mixture' weights candidates by the default rule and needs "
            "scoring=None; with a scorer, choose 'passing' or 'best'."
        )
    return aggregate
