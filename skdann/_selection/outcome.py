"""Outcome of the selection: which candidates are selected, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from skdann._selection.candidates import Candidate
from skdann._selection.rule import Ranking, share_changed

TEMPERATURE = 0.3  # of the weights of a mixture
MIN_SHOWN = 0.005  # smallest weight that is told in the reason


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Scores and weights of all candidates, the source-only baseline first.

    Attributes
    ----------
    scores : list of dict
        One entry per candidate: "family", "lambda_max", "standardize", "score", the evidence,
        "weight", and "error" if it failed.
    reason : str
        Reason for the selection, in one line.
    shift : str
        How the domains differ: "none", "label" or "other"; empty if the rule does not say.
    changed : float or None
        Share of the target rows predicted otherwise than by the baseline; None if unknown.
    """

    scores: list[dict[str, Any]]
    reason: str
    shift: str = ""
    changed: float | None = None

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
    """Weight the candidates by their scores.

    Parameters
    ----------
    candidates : sequence of Candidate
        The source-only baseline first.
    ranking : Ranking
        Scores of the candidates.
    margin : float
        Required lead over the baseline; a mixture has none.
    aggregate : {"mixture", "passing", "best"}
        "mixture" weights all candidates but the baseline by the exponential of their scores, and
        the baseline too if target labels count in them;
        "passing" selects those whose score exceeds the baseline's by more than the margin, and
        "best" the best of these.

    Returns
    -------
    Outcome
    """
    score = np.array([row["score"] for row in ranking.scores])
    best = int(score.argmax())
    with np.errstate(invalid="ignore"):  # no candidate has a score
        gain = score[best] - score[0]
    if ranking.objection or not np.isfinite(score[0]):
        weights = (np.arange(len(score)) == 0).astype(float)
    elif aggregate == "mixture":
        weights = mixture_weights(score, has_baseline=ranking.n_labels > 0)
    else:
        weights = _selected(score, margin, is_best_only=aggregate == "best")
    rows = [
        {
            "family": candidate.family,
            "lambda_max": candidate.lambda_max,
            "standardize": candidate.standardize,
            **row,
            "weight": float(weight),
            **({"error": candidate.error} if candidate.error else {}),
        }
        for candidate, row, weight in zip(candidates, ranking.scores, weights, strict=True)
    ]
    if aggregate == "mixture" and weights[0] < 1.0:
        reason = _mixture_reason([candidate.name for candidate in candidates], weights)
        if ranking.n_labels:
            reason += f", weighted by {ranking.n_labels} held-out labels of the target"
    else:
        reason = _reason(rows, best, ranking.objection, gain, margin)
    changed = _share_changed(weights, ranking.proba_target)
    if changed is not None and weights[0] < 1.0:
        reason += f"; {changed:.0%} of the target rows are predicted otherwise than by the baseline"
    return Outcome(rows, reason, ranking.shift, changed)


def mixture_weights(score: np.ndarray, *, has_baseline: bool = False) -> np.ndarray:
    """Return weights proportional to exp(score / `TEMPERATURE`), by default 0 for the baseline."""
    others = np.where(np.arange(len(score)) > 0, score, score[0] if has_baseline else -np.inf)
    if not np.isfinite(others.max()):
        return (np.arange(len(score)) == 0).astype(float)
    weights = np.exp((others - others.max()) / TEMPERATURE)
    return weights / weights.sum()


def _selected(score: np.ndarray, margin: float, *, is_best_only: bool) -> np.ndarray:
    """Return equal weights of the best candidate, or all, that exceed the baseline by a margin."""
    is_selected = score - score[0] > margin
    if is_best_only and is_selected.any():
        is_selected = np.arange(len(score)) == score.argmax()
    is_selected[0] |= not is_selected.any()
    return is_selected / is_selected.sum()


def _share_changed(weights: np.ndarray, proba: Sequence[np.ndarray | None]) -> float | None:
    """Return the share of target rows predicted otherwise than by the baseline, if known."""
    if weights[0] == 1.0:
        return 0.0
    if not len(proba) or proba[0] is None:
        return None
    parts = [w * p for w, p in zip(weights, proba, strict=True) if w > 0 and p is not None]
    return share_changed(np.sum(parts, axis=0), proba[0])


def _mixture_reason(names: Sequence[str], weights: np.ndarray) -> str:
    """Return what is mixed, in one line, the greatest share first."""
    pairs = sorted(zip(-weights, names, strict=True), key=lambda pair: pair[0])
    parts = ", ".join(f"{-weight:.0%} {name}" for weight, name in pairs if weight < -MIN_SHOWN)
    return f"adapted by a mixture of {parts}"


def _reason(
    rows: Sequence[dict[str, Any]], best: int, objection: str, gain: float, margin: float
) -> str:
    """Return the reason for the selection, in one line."""
    if rows[0]["weight"] == 1.0:
        if not objection and len(rows) > 1 and all("error" in row for row in rows[1:]):
            objection = "the training of all other candidates failed"
        elif not objection and np.isfinite(rows[0]["score"]):
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
    selected = np.flatnonzero(weights > 0)
    search.candidates_, search.scores_ = candidates, outcome.scores
    search.members_ = [member for index in selected for member in candidates[index]]
    counts = [len(candidates[index]) for index in selected]
    search.weights_ = np.repeat(weights[selected] / counts, counts)
    search.adapted_, search.best_index_ = outcome.is_adapted, best
    search.lambda_ = outcome.scores[best]["lambda_max"]
    search.standardize_ = outcome.scores[best]["standardize"]
    search.reason_, search.shift_ = outcome.reason, outcome.shift
    search.changed_share_ = outcome.changed
    return search
