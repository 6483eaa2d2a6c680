"""Rows of the target whose labels would tell most.

Rows on which the families disagree tell which of them is right. But such rows resemble one another,
and labels tell more if they are spread: so the rows are clustered by their features, with the
disagreement as weights, and the row nearest to the centre of each cluster is chosen (Zhdanov,
"Diverse mini-batch Active Learning", arXiv:1901.05954, 2019, section 3).
"""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans

LEAST_WEIGHT = 0.1  # of a row on which all families agree; 1 if none agrees
MOST_ROWS = 4000  # rows that are clustered


def choose_rows(features: np.ndarray, agreement: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Choose rows to label.

    Parameters
    ----------
    features : ndarray of shape (n_samples, n_features)
        Features of the rows.
    agreement : ndarray of shape (n_samples,)
        Share of the families that predict the class that the mixture predicts.
    n : int
        Number of rows, at most n_samples.
    seed : int
        Seed of the clusters.

    Returns
    -------
    ndarray of int of shape (n,)
        Indices of the rows, in ascending order.
    """
    weight = 1.0 - agreement + LEAST_WEIGHT
    drawn = np.arange(len(weight))
    if len(drawn) > max(MOST_ROWS, n):
        drawn = np.random.default_rng(seed).permutation(drawn)[: max(MOST_ROWS, n)]
    n_clusters = min(n, len(np.unique(features[drawn], axis=0)))
    clusters = KMeans(n_clusters, n_init=3, random_state=seed)
    distance = clusters.fit_transform(features[drawn], sample_weight=weight[drawn])
    distance[clusters.labels_[:, None] != np.arange(n_clusters)] = np.inf  # of other clusters
    has_rows = np.isfinite(distance.min(axis=0))
    chosen = set(drawn[distance.argmin(axis=0)[has_rows]].tolist())
    rest = [row for row in np.argsort(-weight, kind="stable").tolist() if row not in chosen]
    return np.sort([*chosen, *rest[: n - len(chosen)]])
