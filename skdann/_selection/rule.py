"""Rules that score candidates without target labels.

:class:`DefaultRule` adds up to a score

- information maximization: how certain the predictions for the target are, and how evenly they use
  the classes, divided by the logarithm of the number of classes;
- reverse validation, twice: a logistic regression learns the predictions for the target rows and is
  scored by balanced accuracy on the source rows, on columns scaled by the source and on columns
  scaled in each domain;
- minus `CHANGE_PENALTY` times the share of target rows that are predicted otherwise than by the
  source-only baseline;
- plus `LABEL_VALUE` for each labelled target row that is predicted right by the members that held
  it out, if there are any.

Each figure alone can be misled: the first by predictions that are confident but wrong, reverse
validation by predictions that equal the baseline's, or by any alignment. The rule also objects to
any adaptation if the domains hardly differ (domain AUC below `MIN_AUC`).

:class:`ScorerRule` averages the scores of a scorer on the held-out source rows of the members.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, NamedTuple, Protocol

import numpy as np

from skdann._input.domains import DomainData
from skdann._selection.candidates import Candidate
from skdann._selection.evidence import (
    Evidence,
    class_ratio,
    collect_evidence,
    matched_auc,
    predict_labelled,
)
from skdann._training.fitting import Fold
from skdann.model_selection._default_rule import DefaultRuleScorer, LinearWitness

MARGIN = DefaultRuleScorer.margin
MIN_AUC = 0.6
CHANGE_PENALTY = 0.5
LABEL_VALUE = 0.1
FIGURES = ("score", "information", "reverse_source", "reverse_domain")
FAILED = {**dict.fromkeys(FIGURES, -np.inf), "changed": np.nan}


class Ranking(NamedTuple):
    """Scores of the candidates.

    Attributes
    ----------
    scores : list of dict
        For each candidate, "score" (-inf if it failed) and the figures that it consists of.
    objection : str
        Reason to select no candidate whatever its score; empty without one.
    shift : {"none", "label", "other", ""}
        How the domains differ; empty if the rule does not say.
    proba_target : sequence of ndarray of shape (n_target, n_classes) or None
        Predictions of each candidate for target rows, as `predict_proba` returns them, if the rule
        looked at them.
    n_labels : int
        Number of labelled target rows that count in the scores.
    """

    scores: list[dict[str, float]]
    objection: str = ""
    shift: str = ""
    proba_target: Sequence[np.ndarray | None] = ()
    n_labels: int = 0

    def with_labels(self, proba: Sequence[np.ndarray | None], y: np.ndarray) -> Ranking:
        """Return the ranking in which held-out labels of the target count.

        They tell more than any objection: the baseline is weighed like the other candidates.

        Parameters
        ----------
        proba : sequence of ndarray of shape (n_labels, n_classes), or None
            Predictions of each candidate for these rows.
        y : ndarray of int of shape (n_labels,)
            Class indices.
        """
        if not len(y):
            return self
        right = [0 if p is None else int((p.argmax(1) == y).sum()) for p in proba]
        scores = [
            {**row, "score": row["score"] + LABEL_VALUE * n, "labels_right": n}
            for row, n in zip(self.scores, right, strict=True)
        ]
        return self._replace(scores=scores, n_labels=len(y), objection="")


class Rule(Protocol):
    """Protocol of a rule that scores candidates; `margin` is the default required lead."""

    margin: float

    def rank(
        self, candidates: Sequence[Candidate], folds: Sequence[Fold], data: DomainData
    ) -> Ranking:
        """Score the candidates, the source-only baseline first."""


class DefaultRule:
    """Information maximization plus reverse validation, minus the share of changed predictions.

    Parameters
    ----------
    seed : int
        Seed of the subsample of rows, and of the folds of the domain AUC.
    """

    margin = MARGIN

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def rank(
        self, candidates: Sequence[Candidate], folds: Sequence[Fold], data: DomainData
    ) -> Ranking:
        """Score the predictions of the candidates for the target rows."""
        ranking = self.rank_evidence(collect_evidence(candidates, folds, data, self.seed))
        if data.labelled is None:
            return ranking
        return ranking.with_labels(*predict_labelled(candidates, folds, data))

    def rank_evidence(self, evidence: Evidence) -> Ranking:
        """Score the predictions in the evidence."""
        witness = LinearWitness(evidence.X_source, evidence.y, evidence.X_target, self.seed)
        baseline = evidence.proba_target[0]
        scores = []
        for proba in evidence.proba_target:
            if proba is None or baseline is None:
                scores.append(dict(FAILED))
                continue
            row = witness.score(proba)._asdict()
            row["changed"] = share_changed(proba, baseline)
            row["score"] -= CHANGE_PENALTY * row["changed"]
            scores.append(row)
        predicted = evidence.predicted_target or evidence.proba_target
        return Ranking(scores, *self._judge_shift(evidence, witness), predicted)

    def _judge_shift(self, evidence: Evidence, witness: LinearWitness) -> tuple[str, str]:
        """Return the objection to adaptation, if any, and how the domains differ."""
        X_source, X_target = witness.rows[0]  # scaled by the source
        rows = X_source, witness.y, X_target
        ratio = class_ratio(evidence)
        for is_linear in (True, False):
            auc = matched_auc(*rows, np.ones_like(ratio), self.seed, is_linear=is_linear)
            if auc >= MIN_AUC:
                break
        else:
            return f"the domains hardly differ (domain AUC {auc:.2f})", "none"
        matched = matched_auc(*rows, ratio, self.seed, is_linear=is_linear)
        if matched >= MIN_AUC:
            return "", "other"
        return (
            f"the domains differ in their class shares and hardly otherwise (domain AUC {auc:.2f}, "
            f"and {matched:.2f} once the shares are matched)"
        ), "label"


def share_changed(proba: np.ndarray, baseline: np.ndarray) -> float:
    """Return the share of rows whose predicted class differs."""
    return float((proba.argmax(1) != baseline.argmax(1)).mean())


class ScorerRule:
    """Mean score on held-out source rows.

    Parameters
    ----------
    scoring : callable
        ``scorer(estimator, X, y)``. The target rows are passed if it has a parameter `X_target`,
        unless it was built with target rows. An attribute `margin` is the default margin.
    """

    margin = 0.0

    def __init__(self, scoring: Callable[..., Any]) -> None:
        self.scoring = scoring
        self.margin = float(getattr(scoring, "margin", self.margin))

    def rank(
        self, candidates: Sequence[Candidate], folds: Sequence[Fold], data: DomainData
    ) -> Ranking:
        """Average the scores over the members of each candidate."""
        takes_target = "X_target" in inspect.signature(self.scoring).parameters
        takes_target &= getattr(self.scoring, "X_target", 0) is None
        params = {"X_target": (data.X[data.n_source :],)} if takes_target else {}
        scores = []
        for candidate in candidates:
            score = -np.inf
            if not candidate.error:
                member_scores = [
                    self._score(
                        member, data.X[fold.valid], data.classes[data.y[fold.valid]], params
                    )
                    for member, fold in zip(candidate.members, folds, strict=True)
                ]
                score = float(np.mean(member_scores))
            scores.append({"score": -np.inf if np.isnan(score) else score})
        return Ranking(scores)

    def _score(self, member: Any, X: Any, y: np.ndarray, params: dict[str, Any]) -> float:
        score = self.scoring(member, X, y, **params)
        if not isinstance(score, Real):
            raise TypeError(
                f"scoring returned {score!r}; it must return a number, higher if better."
            )
        return float(score)


def make_rule(scoring: Callable[..., Any] | None, seed: int = 0) -> Rule:
    """Return the rule of a search: the default one, or that of a scorer."""
    return DefaultRule(seed) if scoring is None else ScorerRule(scoring)
