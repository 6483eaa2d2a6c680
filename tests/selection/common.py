"""Evidence of two classes that column 0 separates."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from skdann._selection.candidates import Candidate
from skdann._selection.evidence import Evidence
from skdann._selection.outcome import select
from skdann._selection.rule import MARGIN, DefaultRule


def make_candidate(lambda_max=0.0, standardize=None, error="", family="alignment"):
    """Return a candidate with a member that has nothing but its setting."""
    member = SimpleNamespace(lambda_max=lambda_max, standardize=standardize)
    return Candidate(family, [member], [0], error)


def apply_rule(evidence, seed, aggregate="passing", margin=MARGIN):
    """Rank the candidates by the default rule, and select."""
    candidates = [make_candidate(float(i)) for i in range(len(evidence.proba_target))]
    return select(candidates, DefaultRule(seed).rank_evidence(evidence), margin, aggregate)


def onehot(label, sure=0.9):
    return np.where(np.arange(2) == np.asarray(label)[:, None], sure, 1.0 - sure)


def make_evidence(shift=3.0, target_share=0.5, n=400, seed=0, factor=1.0):
    """Return two classes separated in column 0; `shift` moves the other columns of the target."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    y_target = (np.arange(n) < target_share * n).astype(int)
    X, X_target = rng.normal(size=(n, 4)), rng.normal(size=(n, 4))
    X[:, 0] += 3.0 * y
    X_target[:, 0] += 3.0 * y_target
    X_target[:, 1:] += shift
    baseline = onehot(y_target)
    held_out = np.arange(n // 2)
    return Evidence(X, X_target, y, [baseline], held_out, onehot(y[held_out])), y_target
