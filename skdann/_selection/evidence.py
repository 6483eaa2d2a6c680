"""Evidence for a selection rule: the rows, and the predictions of each candidate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from skdann._input.domains import DomainData
from skdann._input.drawing import draw_rows
from skdann._selection.candidates import Candidate
from skdann._selection.families import TREES
from skdann._selection.source_model import aligned_proba
from skdann._training.fitting import Fold
from skdann.inspection._accuracy import score_source
from skdann.metrics import estimate_target_priors

MOST_ROWS = 4000  # maximum number of target rows that candidates predict


class Evidence(NamedTuple):
    """Rows, and predictions of the candidates, the source-only baseline first.

    Attributes
    ----------
    X_source, X_target : ndarray or CSR of shape (n_source, n_features), (n_target, n_features)
        Rows of both domains; some of the target's if it has many.
    y : ndarray of shape (n_source,)
        Class indices of the source rows.
    proba_target : list of ndarray of shape (n_target, n_classes), or None
        Predictions of each candidate; None for one that failed.
    rows_held_out : ndarray of int
        Indices of the held-out source rows of all members.
    proba_held_out : ndarray of shape (n_held_out, n_classes)
        Predictions of the baseline for these, by the member that held them out.
    predicted_target : sequence of ndarray of shape (n_target, n_classes), or None
        The predictions for the target rows as `predict_proba` returns them, corrected for label
        shift; empty if they are those of `proba_target`.
    """

    X_source: Any
    X_target: Any
    y: np.ndarray
    proba_target: list[np.ndarray | None]
    rows_held_out: np.ndarray
    proba_held_out: np.ndarray
    predicted_target: Sequence[np.ndarray | None] = ()


def collect_evidence(
    candidates: Sequence[Candidate], folds: Sequence[Fold], data: DomainData, seed: int
) -> Evidence:
    """Predict the target rows with every candidate, and held-out source rows with the baseline.

    At most `MOST_ROWS` target rows are drawn. The evidence is not corrected for label shift, which
    would equalize the class shares of all candidates.
    """
    X_source, X_target = data.X[: data.n_source], data.X[data.n_source :]
    target = data.domain[data.n_source :]
    drawn = draw_rows(X_target.shape[0], MOST_ROWS, seed)
    X_target, target = X_target[drawn], target[drawn]
    proba = [
        None if candidate.error else _member_proba(candidate, X_target, target, drawn, data.classes)
        for candidate in candidates
    ]
    proba_target = [None if each is None else np.mean(each, axis=0) for each in proba]
    predicted = [
        None if each is None else np.mean(list(map(_corrected, candidate.members, each)), axis=0)
        for candidate, each in zip(candidates, proba, strict=True)
    ]
    held_out = predict_held_out(candidates[0].members, folds, data)
    return Evidence(X_source, X_target, data.y, proba_target, *held_out, predicted)


def predict_held_out(
    members: Sequence[Any], folds: Sequence[Fold], data: DomainData
) -> tuple[np.ndarray, np.ndarray]:
    """Return the source rows that each member held out, and its class probabilities for them."""
    proba = [
        _proba(member, data.X[fold.valid], data.domain[fold.valid])
        for member, fold in zip(members, folds, strict=True)
    ]
    return np.concatenate([fold.valid for fold in folds]), np.concatenate(proba)


def score_held_out(
    members: Sequence[Any], folds: Sequence[Fold], data: DomainData
) -> dict[str, float]:
    """Return accuracy and balanced accuracy on the source rows that the members held out."""
    rows, proba = predict_held_out(members, folds, data)
    weight = None if data.weight is None else data.weight[rows]
    return score_source(data.y[rows], proba.argmax(axis=1), weight)


def _member_proba(
    candidate: Candidate, X: Any, domain: np.ndarray, drawn: Any, classes: np.ndarray
) -> list[np.ndarray]:
    """Return the class probabilities of target rows by each member, without correction."""
    if candidate.proba_target is not None:
        return [candidate.proba_target[drawn]]
    if candidate.family == TREES:
        return [aligned_proba(member, X, classes) for member in candidate.members]
    return [_proba(member, X, domain) for member in candidate.members]


def _corrected(member: Any, proba: np.ndarray) -> np.ndarray:
    """Correct the class probabilities of target rows for label shift, as the member does."""
    shift = getattr(member, "_label_shift", None)
    if shift is None:
        return proba
    proba = proba * np.exp(shift.offset)
    return proba / proba.sum(axis=1, keepdims=True)


def _proba(member: Any, X: Any, domain: np.ndarray) -> np.ndarray:
    """Return the class probabilities of the network, without correction."""
    return softmax(member.net_.infer_rows(X, domain, "labels").astype(np.float64), axis=1)


def class_ratio(evidence: Evidence) -> np.ndarray:
    """Return the ratio of each class's share in the target to its share in the source.

    The shares in the target are estimated by black-box shift estimation.
    """
    n_classes = evidence.proba_held_out.shape[1]
    shares = np.bincount(evidence.y, minlength=n_classes) / len(evidence.y)
    label = evidence.y[evidence.rows_held_out]
    estimated = shares.copy()
    if len(np.unique(label)) == n_classes and evidence.proba_target[0] is not None:
        estimated = estimate_target_priors(
            evidence.proba_held_out,
            label,
            evidence.proba_target[0],
            method="bbse",
            classes=np.arange(n_classes),
        )
    return np.divide(estimated, shares, out=np.zeros(n_classes), where=shares > 0)


def matched_auc(
    X_source: Any,
    y: np.ndarray,
    X_target: Any,
    class_weight: np.ndarray,
    seed: int,
    *,
    is_linear: bool = True,
) -> float:
    """Return the domain AUC of rows that were not trained on, with the source classes weighted.

    A linear classifier finds most shifts; others, such as a rotation, only trees find.
    """
    is_sparse = sp.issparse(X_source)
    X = sp.vstack([X_source, X_target], "csr") if is_sparse else np.vstack([X_source, X_target])
    is_target = np.repeat([0, 1], [X_source.shape[0], X_target.shape[0]])
    weight = np.ones(len(is_target))
    weight[is_target == 0] = class_weight[y]
    mass = weight[is_target == 0].sum()
    if not mass > 0:
        return 1.0
    weight[is_target == 0] *= (is_target == 1).sum() / mass
    if min(np.bincount(is_target)) < 2:
        return 1.0
    score = (_linear_scores if is_linear else _forest_scores)(X, is_target, weight, seed)
    return float(roc_auc_score(is_target, score, sample_weight=weight))


def _linear_scores(X: Any, is_target: np.ndarray, weight: np.ndarray, seed: int) -> np.ndarray:
    """Return scores of the target domain by a linear classifier, out of fold."""
    score = np.empty(len(is_target))
    n_folds = min(5, *np.bincount(is_target))
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    for train, test in folds.split(X, is_target):
        model = LogisticRegression(max_iter=1000)
        model.fit(X[train], is_target[train], sample_weight=weight[train])
        score[test] = model.decision_function(X[test])
    return score


def _forest_scores(X: Any, is_target: np.ndarray, weight: np.ndarray, seed: int) -> np.ndarray:
    """Return scores of the target domain by a random forest, out of bag.

    A row with nearly all the weight may be in all bags; its score is 0.5.
    """
    from sklearn.ensemble import RandomForestClassifier  # slow to import

    X = X.astype(np.float32)  # which the trees read
    forest = RandomForestClassifier(min_samples_leaf=5, random_state=seed, n_jobs=1)
    forest.fit(X, is_target, sample_weight=weight)
    total, n_trees = np.zeros(len(weight)), np.zeros(len(weight))
    for tree, in_bag in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        is_out = np.ones(len(weight), dtype=bool)
        is_out[in_bag] = False
        if is_out.any():
            total[is_out] += tree.predict_proba(X[is_out])[:, 1]
            n_trees += is_out
    return np.divide(total, n_trees, out=np.full(len(weight), 0.5), where=n_trees > 0)


def predict_labelled(
    candidates: Sequence[Candidate], folds: Sequence[Fold], data: DomainData
) -> tuple[list[np.ndarray | None], np.ndarray]:
    """Predict the labelled target rows by the members that were not trained on them.

    Returns
    -------
    proba : list of ndarray of shape (n_labelled, n_classes), or None
        For each candidate, its probabilities for the labelled rows that some member held out; None
        for a candidate that failed.
    y : ndarray of int of shape (n_labelled,)
        Class indices of these rows.
    """
    parts = [fold.labelled_valid for fold in folds if fold.labelled_valid is not None]
    held_out = np.concatenate(parts) if parts else np.arange(0)
    proba = [
        None if candidate.error else _predict_labelled(candidate, folds, held_out, data)
        for candidate in candidates
    ]
    return proba, data.y_known[held_out]


def _predict_labelled(
    candidate: Candidate, folds: Sequence[Fold], held_out: np.ndarray, data: DomainData
) -> np.ndarray:
    """Return the mean probabilities of held-out target rows by the members that held them out."""
    total, n_members = np.zeros((len(held_out), len(data.classes))), np.zeros((len(held_out), 1))
    if candidate.proba_target is not None:
        return candidate.proba_target[held_out - data.n_source]
    for member, fold in zip(candidate.members, candidate.folds, strict=True):
        own = folds[fold].labelled_valid
        places = np.flatnonzero(np.isin(held_out, np.arange(0) if own is None else own))
        rows = held_out[places]
        if not len(rows):
            continue
        if candidate.family == TREES:
            proba = aligned_proba(member, data.X[rows], data.classes)
        else:
            proba = _corrected(member, _proba(member, data.X[rows], data.domain[rows]))
        total[places] += proba
        n_members[places] += 1
    return total / n_members
