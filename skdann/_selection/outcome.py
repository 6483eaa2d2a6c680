"""Outcome of the selection: which candidates are selected, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from skdann._selection.candidates import Candidate
from skdann._selection.rule import Ranking


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Scores and weights of all candidates, the source-only baseline first.

    Attributes
    ----------
    scores : list of dict
        One entry per candidate: "lambda_max", "standardize", "score", the evidence, "weight", and
        "error" if it failed.
    reason : str
        Reason for the selection, in one line.
    shift : str
        How the domains differ: "none", "label" or "other"; empty if the rule does not say.
    """

    scores: list[dict[str, Any]]
    reason: str
    shift: str = ""

    @property
    def weights(self) -> np.ndarray:
        """Share of each candidate in the predictions."""
        return np.array([row["weight"] for row in self.scores])

    @property
    def best(self) -> int:
        """Index of the candidate with the greatest weight and, among equals, the highest score."""
        return max(
            range(len(self.scores)),
            key=lambda index: (self.scores[index]["weight"], self.scores[index]["score"]),
        )

    @property
    def is_adapted(self) -> bool:
        """Whether a candidate other than the baseline is selected."""
        return bool(self.weights[0] < 1.0)


def select(
    candidates: Sequence[Candidate], ranking: Ranking, margin: float, aggregate: str
) -> Outcome:
    """Select the candidates whose score exceeds the baseline's by more than the margin.

    Parameters
    ----------
    candidates : sequence of Candidate
        The source-only baseline first.
    ranking : Ranking
        Scores of the candidates.
    margin : float
        Required lead over the baseline.
    aggregate : {"passing", "best"}
        Whether all these candidates are selected, or only the best.

    Returns
    -------
    Outcome
    """
    score = np.array([row["score"] for row in ranking.scores])
    best = int(score.argmax())
    with np.errstate(invalid="ignore"):  # no candidate has a score
        gain = score[best] - score[0]
    if not ranking.objection and gain > margin and np.isfinite(score[0]):
        is_selected = np.arange(len(score)) == best
        if aggregate == "passing":
            is_selected |= score > score[0] + margin
    else:
        is_selected = np.arange(len(score)) == 0
    weights = is_selected / is_selected.sum()
    rows = [
        {
            "lambda_max": candidate.lambda_max,
            "standardize": candidate.standardize,
            **row,
            "weight": float(weight),
            **({"error": candidate.error} if candidate.error else {}),
        }
        for candidate, row, weight in zip(candidates, ranking.scores, weights, strict=True)
    ]
    return Outcome(rows, _reason(rows, best, ranking.objection, gain, margin), ranking.shift)


def _reason(
    rows: Sequence[dict[str, Any]], best: int, objection: str, gain: float, margin: float
) -> str:
    """Return the reason for the selection, in one line."""
    if rows[0]["weight"] == 1.0:
        if not objection and np.isfinite(rows[0]["score"]):
            objection = (
                f"the best score exceeds the baseline's by {gain:.3g}, not more than {margin:g}"
            )
        return (
            f"not adapted: {objection or 'the source-only baseline has no score to compare with'}"
        )
    n_selected = sum(row["weight"] > 0 for row in rows)
    scaling = f", standardize={rows[best]['standardize']!r}" if rows[best]["standardize"] else ""
    return (
        f"adapted by {n_selected} of {len(rows)} candidates, best with lambda "
        f"{rows[best]['lambda_max']:g}{scaling}: its score {rows[best]['score']:.3g} exceeds the "
        f"baseline's by {gain:.3g}, more than {margin:g}"
    )


def set_selected(search: Any, candidates: list[list[Any]], outcome: Outcome) -> Any:
    """Set the fitted attributes of a search that describe the selection."""
    weights, best = outcome.weights, outcome.best
    selected, n_seeds = np.flatnonzero(weights > 0), len(candidates[0])
    search.candidates_, search.scores_ = candidates, outcome.scores
    search.members_ = [member for index in selected for member in candidates[index]]
    search.weights_ = np.repeat(weights[selected] / n_seeds, n_seeds)
    search.adapted_, search.best_index_ = outcome.is_adapted, best
    search.lambda_ = outcome.scores[best]["lambda_max"]
    search.standardize_ = outcome.scores[best]["standardize"]
    search.reason_, search.shift_ = outcome.reason, outcome.shift
    return search
