"""The rules that score candidates without a target label.

:class:`DefaultRule` adds two figures, both at most 1:

- information maximization: how certain the predictions for the target are, and how evenly they use
  the classes, as a share of the logarithm of the number of classes;
- reverse validation: a logistic regression learns the predictions for the target rows, both domains
  being scaled to mean 0 and deviation 1, and is scored by balanced accuracy on the source rows.

Each is misled alone, by candidates that are certain of everything or that predict nothing new. The
rule also objects to any adaptation if the domains no longer differ, by `LEAST_AUC`, once the
classes of the source are weighted to the shares they have in the target: if label shift is all
there is, alignment does harm. Rule and constants were found on simulated shifts and on those
tables of `benchmarks/tables.py` that are kept for choosing.

:class:`ScorerRule` takes the mean score of a scorer on the held-out source rows of each member.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score
from sklearn.utils import resample

from skdann._input.domains import DomainData
from skdann._selection.candidates import Candidate
from skdann._selection.evidence import Evidence, class_ratio, collect_evidence, matched_auc
from skdann._training.fitting import Fold
from skdann.model_selection._target import information_maximization

MARGIN = 0.05
LEAST_AUC = 0.6
MOST_ROWS = 4000
MOST_DEVIATIONS = 20.0


class Ranking(NamedTuple):
    """Scores of the candidates.

    Attributes
    ----------
    scores : list of dict
        For each candidate "score" (-inf if it failed) and the figures it is made of.
    objection : str
        Why no candidate may be selected, whatever its score; empty if one may.
    shift : {"none", "label", "other", ""}
        How the domains differ; empty if the rule does not judge it.
    """

    scores: list[dict[str, float]]
    objection: str = ""
    shift: str = ""


class Rule(Protocol):
    """Scores candidates; `margin` is its default lead over the baseline."""

    margin: float

    def rank(
        self, candidates: Sequence[Candidate], folds: Sequence[Fold], data: DomainData
    ) -> Ranking:
        """Score the candidates, the source-only baseline first."""


class DefaultRule:
    """Information maximization plus reverse validation.

    Parameters
    ----------
    seed : int
        Draws the rows that are used if there are many.
    """

    margin = MARGIN

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def rank(
        self, candidates: Sequence[Candidate], folds: Sequence[Fold], data: DomainData
    ) -> Ranking:
        """Score the predictions of the candidates for the target rows."""
        return self.rank_evidence(collect_evidence(candidates, folds, data))

    def rank_evidence(self, evidence: Evidence) -> Ranking:
        """Score predictions."""
        source = _draw(len(evidence.y), self.seed)
        target = _draw(evidence.X_target.shape[0], self.seed)
        X_source, X_target = evidence.X_source[source], evidence.X_target[target]
        y = evidence.y[source]
        scaled_source, scaled_target = _scale_each(X_source), _scale_each(X_target)
        scores = []
        for proba in evidence.proba_target:
            certain = reverse = -np.inf
            if proba is not None:
                certain = information(proba)
                label = proba[target].argmax(axis=1)
                reverse = reverse_accuracy(scaled_source, y, scaled_target, label)
            scores.append({"score": certain + reverse, "information": certain, "reverse": reverse})
        by_source = _scale_by(X_source, X_source), y, _scale_by(X_target, X_source)
        return Ranking(scores, *self._judge_shift(*by_source, class_ratio(evidence)))

    def _judge_shift(
        self, X_source: Any, y: np.ndarray, X_target: Any, ratio: np.ndarray
    ) -> tuple[str, str]:
        """Return the objection to adaptation, if any, and how the domains differ."""
        matched = matched_auc(X_source, y, X_target, ratio, self.seed)
        if matched >= LEAST_AUC:
            return "", "other"
        auc = matched_auc(X_source, y, X_target, np.ones_like(ratio), self.seed)
        if auc < LEAST_AUC:
            return f"the domains hardly differ (domain AUC {auc:.2f})", "none"
        return (
            f"the domains differ in their class shares and hardly otherwise (domain AUC {auc:.2f}, "
            f"and {matched:.2f} once the shares are matched)"
        ), "label"


class ScorerRule:
    """Mean score on held-out source rows.

    Parameters
    ----------
    scoring : callable
        ``scorer(estimator, X, y)``; if it has a parameter `X_target` and was built without target
        rows, it gets them.
    """

    margin = 0.0

    def __init__(self, scoring: Callable[..., Any]) -> None:
        self.scoring = scoring

    def rank(
        self, candidates: Sequence[Candidate], folds: Sequence[Fold], data: DomainData
    ) -> Ranking:
        """Average the scores of the members of each candidate."""
        takes_target = "X_target" in inspect.signature(self.scoring).parameters
        takes_target &= getattr(self.scoring, "X_target", 0) is None
        more = {"X_target": (data.X[data.n_source :],)} if takes_target else {}
        scores = []
        for candidate in candidates:
            score = -np.inf
            if not candidate.error:
                of_members = [
                    self._score(member, data.X[fold.valid], data.classes[data.y[fold.valid]], more)
                    for member, fold in zip(candidate.members, folds, strict=True)
                ]
                score = float(np.mean(of_members))
            scores.append({"score": -np.inf if np.isnan(score) else score})
        return Ranking(scores)

    def _score(self, member: Any, X: Any, y: np.ndarray, more: dict[str, Any]) -> float:
        score = self.scoring(member, X, y, **more)
        if not isinstance(score, Real):
            raise TypeError(f"scoring gave {score!r}; it must give a number, high where good.")
        return float(score)


def information(proba: np.ndarray) -> float:
    """Mutual information of rows and predicted classes, as a share of its largest value."""
    return information_maximization(proba) / float(np.log(proba.shape[1]))


def reverse_accuracy(X_source: Any, y: np.ndarray, X_target: Any, label: np.ndarray) -> float:
    """Balanced accuracy on the source of a linear classifier that learnt labels of the target."""
    if len(np.unique(label)) < 2:
        return 1.0 / len(np.unique(y))
    predicted = LogisticRegression(max_iter=1000).fit(X_target, label).predict(X_source)
    recall = recall_score(y, predicted, labels=np.unique(y), average="macro", zero_division=0)
    return float(recall)


def _draw(n_rows: int, seed: int) -> Any:
    """Numbers of at most `MOST_ROWS` rows."""
    if n_rows <= MOST_ROWS:
        return slice(None)
    return np.sort(
        resample(np.arange(n_rows), replace=False, n_samples=MOST_ROWS, random_state=seed)
    )


def _scale_each(X: Any) -> Any:
    """Bring dense rows to mean 0 and deviation 1 by themselves; sparse rows stay as they are."""
    return _scale_by(X, X)


def _scale_by(X: Any, X_reference: Any) -> Any:
    if sp.issparse(X):
        return X
    mean, std = X_reference.mean(0, dtype=np.float64), X_reference.std(0, dtype=np.float64)
    scaled = (X - mean) / np.where(std > 0, std, 1.0)
    return scaled.clip(-MOST_DEVIATIONS, MOST_DEVIATIONS)
