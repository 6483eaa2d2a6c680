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
from skdann._selection.candidates import Candidate
from skdann._training.fitting import Fold
from skdann.metrics import estimate_target_priors


class Evidence(NamedTuple):
    """Rows, and predictions of the candidates, the source-only baseline first.

    Attributes
    ----------
    X_source, X_target : ndarray or CSR of shape (n_source, n_features), (n_target, n_features)
        Rows of both domains.
    y : ndarray of shape (n_source,)
        Class indices of the source rows.
    proba_target : list of ndarray of shape (n_target, n_classes), or None
        Predictions of each candidate; None for one that failed.
    rows_held_out : ndarray of int
        Indices of the held-out source rows of all members.
    proba_held_out : ndarray of shape (n_held_out, n_classes)
        Predictions of the baseline for these, by the member that held them out.
    """

    X_source: Any
    X_target: Any
    y: np.ndarray
    proba_target: list[np.ndarray | None]
    rows_held_out: np.ndarray
    proba_held_out: np.ndarray


def collect_evidence(
    candidates: Sequence[Candidate], folds: Sequence[Fold], data: DomainData
) -> Evidence:
    """Predict the target rows with every candidate, and held-out source rows with the baseline.

    Predictions are not corrected for label shift, which would equalize the class shares of all
    candidates.
    """
    X_source, X_target = data.X[: data.n_source], data.X[data.n_source :]
    source, target = data.domain[: data.n_source], data.domain[data.n_source :]
    proba_target = [
        None
        if candidate.error
        else np.mean([_proba(member, X_target, target) for member in candidate.members], axis=0)
        for candidate in candidates
    ]
    held_out = [
        _proba(member, X_source[fold.valid], source[fold.valid])
        for member, fold in zip(candidates[0].members, folds, strict=True)
    ]
    rows_held_out = np.concatenate([fold.valid for fold in folds])
    return Evidence(
        X_source, X_target, data.y, proba_target, rows_held_out, np.concatenate(held_out)
    )


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
    X_source: Any, y: np.ndarray, X_target: Any, class_weight: np.ndarray, seed: int
) -> float:
    """Return the out-of-fold linear domain AUC with the source classes weighted."""
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
