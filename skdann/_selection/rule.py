"""The default rule by which `DANNClassifierCV` chooses, from predictions and rows alone.

The score of a candidate is the sum of two figures, both at most 1, on which no target label has a
say:

- information maximisation: how sure the predictions for the target are, and how evenly they use the
  classes, as a share of the logarithm of the number of classes;
- reverse validation: a logistic regression learns the predictions for the target rows, brought to
  the source's mean and deviation, and is scored by balanced accuracy on the labelled source rows.

Each is fooled alone, by candidates that are sure of themselves and by such as predict nothing new.
Adapting must exceed the source-only twin by a margin, and the domains must still differ, by
`LEAST_AUC`, once the classes of the source are weighted to the shares they have in the target:
where label shift is all there is, alignment does harm. Rule and constants were found on simulated
shifts and on those tables of `benchmarks/tables.py` that are kept for choosing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from skdann._input.drawing import draw_rows
from skdann.metrics import estimate_target_priors
from skdann.model_selection._default_rule import (
    MOST_ROWS,
    information,
    reverse_accuracy,
    scale_by,
    scale_each,
)

MARGIN = 0.05
LEAST_AUC = 0.6


class Evidence(NamedTuple):
    """What is known of the candidates; the first is the source-only twin.

    Attributes
    ----------
    X_source, X_target : ndarray or CSR of shape (n_source, n_features), (n_target, n_features)
        Rows.
    y : ndarray of shape (n_source,)
        Class indices.
    proba_target : list of ndarray of shape (n_target, n_classes), or None
        Each candidate's predictions; None for one that failed.
    rows_held_out : ndarray of int
        Numbers of source rows.
    proba_held_out : ndarray of shape (n_held_out, n_classes)
        The twin's predictions for them, by members that have not seen them.
    """

    X_source: Any
    X_target: Any
    y: np.ndarray
    proba_target: list[np.ndarray | None]
    rows_held_out: np.ndarray
    proba_held_out: np.ndarray


class Choice(NamedTuple):
    """What serves.

    Attributes
    ----------
    weights : ndarray of shape (n_candidates,)
        Part of each candidate in the predictions.
    evidence : list of dict
        Figures of each candidate.
    found : str
        Why.
    """

    weights: np.ndarray
    evidence: list[dict[str, float]]
    found: str


def serving_weights(scores: np.ndarray, best: int, margin: float, aggregate: str) -> np.ndarray:
    """Part of each candidate in the predictions.

    Parameters
    ----------
    scores : ndarray of shape (n_candidates,)
        The twin's first.
    best : int
        The candidate chosen, 0 if the twin serves.
    margin : float
        By how much others exceed the twin to serve too.
    aggregate : {"passing", "best"}
        Whether all do that exceed the twin, or the best alone.

    Returns
    -------
    ndarray of shape (n_candidates,)
        They sum to one.
    """
    serves = np.arange(len(scores)) == best
    if aggregate == "passing" and best:
        serves |= scores > scores[0] + margin
    return serves / serves.sum()


def choose(
    evidence: Evidence, seed: int, aggregate: str = "passing", margin: float = MARGIN
) -> Choice:
    """Choose who serves; `seed` draws the rows that are looked at where there are many."""
    source = draw_rows(len(evidence.y), MOST_ROWS, seed)
    target = draw_rows(evidence.X_target.shape[0], MOST_ROWS, seed)
    X_source, X_target, y = evidence.X_source[source], evidence.X_target[target], evidence.y[source]
    own_source, own_target = scale_each(X_source), scale_each(X_target)
    rows = []
    for proba in evidence.proba_target:
        certain = reverse = -np.inf
        if proba is not None:
            certain = information(proba)
            reverse = reverse_accuracy(own_source, y, own_target, proba[target].argmax(axis=1))
        rows.append({"score": certain + reverse, "information": certain, "reverse": reverse})
    scores = np.array([row["score"] for row in rows])
    best = int(scores.argmax())
    gain = scores[best] - scores[0]
    auc = matched_auc(
        scale_by(X_source, X_source),
        y,
        scale_by(X_target, X_source),
        _class_weights(evidence),
        seed,
    )
    if auc < LEAST_AUC:
        best = 0
        found = (
            f"the domains differ in their class shares, and hardly else (domain AUC {auc:.2f} once "
            "these are matched)"
        )
    elif gain <= margin:
        best = 0
        found = f"the best score exceeds the twin's by {gain:.3f}, no more than {margin:g}"
    else:
        found = (
            f"its score {scores[best]:.3f} exceeds the twin's by {gain:.3f}, more than {margin:g}"
        )
    return Choice(serving_weights(scores, best, margin, aggregate), rows, found)


def matched_auc(
    X_source: Any, y: np.ndarray, X_target: Any, class_weight: np.ndarray, seed: int
) -> float:
    """Linear domain AUC, out of fold, with the classes of the source weighted."""
    is_sparse = sp.issparse(X_source)
    X = sp.vstack([X_source, X_target], "csr") if is_sparse else np.vstack([X_source, X_target])
    is_target = np.repeat([0, 1], [X_source.shape[0], X_target.shape[0]])
    weight = np.ones(len(is_target))
    weight[is_target == 0] = class_weight[y]
    mass = weight[is_target == 0].sum()
    if not mass > 0:
        return 1.0
    weight[is_target == 0] *= (is_target == 1).sum() / mass
    n_folds = min(5, *np.bincount(is_target))
    if n_folds < 2:
        return 1.0
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    score = np.empty(len(is_target))
    for train, test in folds.split(X, is_target):
        model = LogisticRegression(max_iter=1000)
        model.fit(X[train], is_target[train], sample_weight=weight[train])
        score[test] = model.decision_function(X[test])
    return float(roc_auc_score(is_target, score, sample_weight=weight))


def _class_weights(evidence: Evidence) -> np.ndarray:
    """Ratio of each class's share in the target, by black-box shift estimation, to the source's."""
    n_classes = evidence.proba_held_out.shape[1]
    shares = np.bincount(evidence.y, minlength=n_classes) / len(evidence.y)
    label = evidence.y[evidence.rows_held_out]
    known = np.unique(label)
    found = shares.copy()
    if len(known) == n_classes and evidence.proba_target[0] is not None:
        found = estimate_target_priors(
            evidence.proba_held_out,
            label,
            evidence.proba_target[0],
            method="bbse",
            classes=np.arange(n_classes),
        )
    return np.divide(found, shares, out=np.zeros(n_classes), where=shares > 0)
