"""Targets that are far larger than training can use, replaced by a random sample of their rows.

A fit draws as many target rows as source rows in each epoch, so that with few source rows it never
sees most of a large target. The rows left out are neither read nor copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from skdann._compat import safe_indexing
from skdann._input.blocks import Blocks, find_blocks
from skdann._input.containers import load
from skdann._input.drawing import sample_rows
from skdann._input.matching import name_targets
from skdann._input.messages import warn_user
from skdann._input.seeding import draw_seed
from skdann._input.target_labels import find_labels

LEAST_SAMPLE = 100_000  # more than any statistic of the target needs
FAR_LARGER = 4  # rows per row of the sample, up to which a target is used as it is


class _LargeTarget(NamedTuple):
    """A target to sample.

    Attributes
    ----------
    blocks : Blocks
        The rows.
    labelled : ndarray of int
        Indices of the labelled rows, all of which are kept.
    n_sample : int
        Number of rows to sample.
    """

    blocks: Blocks
    labelled: np.ndarray
    n_sample: int


def sample_targets(
    X_source: Any,
    X_target: Any,
    y_target: Any,
    count_draws: Callable[[int], int],
    random_state: Any,
) -> tuple[Any, Any]:
    """Replace every target that is far larger than training can use by a sample, and warn once.

    The sample has as many rows as training can draw, and at least `LEAST_SAMPLE`, beside all
    labelled rows. A target of up to `FAR_LARGER` times as many rows is left unchanged. The same
    rows are sampled from every container.

    Parameters
    ----------
    X_source : array-like of shape (n_source, n_features)
        Source rows, which are only counted.
    X_target : array-like of shape (n_target, n_features), tuple of these, or None
        Rows of each target.
    y_target : array-like of shape (n_target,), tuple of these, or None
        Labels of some of them.
    count_draws : callable
        Returns the maximum number of target rows that training draws, given the number of source
        rows.
    random_state : int, RandomState instance or None
        Seed of the samples; not used if there are none.

    Returns
    -------
    X_target, y_target
        Unchanged, or tuples with one entry for each target.

    Warns
    -----
    UserWarning
        If a target was sampled.
    """
    rows = list(X_target) if isinstance(X_target, tuple) else [X_target]
    names = list(name_targets(X_target)) if rows else []
    labels = list(y_target) if isinstance(y_target, tuple) else [y_target]
    if y_target is None:
        labels *= len(rows)
    large = _find_large(X_source, rows, labels, names, count_draws)
    if not large:
        return X_target, y_target
    generator = np.random.default_rng(draw_seed(random_state))
    for index, target in large.items():
        sample = sample_rows(target.blocks.n_rows, target.n_sample, generator)
        kept = np.union1d(target.labelled, sample)
        rows[index] = target.blocks.take(kept)
        if labels[index] is not None:
            labels[index] = safe_indexing(load(labels[index]), kept)
    _warn_of_samples({names[index]: target for index, target in large.items()})
    return tuple(rows), None if y_target is None else tuple(labels)


def _find_large(
    X_source: Any,
    rows: list[Any],
    labels: list[Any],
    names: list[str],
    count_draws: Callable[[int], int],
) -> dict[int, _LargeTarget]:
    """Return the targets to sample; none if labels do not match rows, which is an error later."""
    large: dict[int, _LargeTarget] = {}
    if len(labels) != len(rows):
        return large
    for index, (X, y) in enumerate(zip(rows, labels, strict=True)):
        blocks = find_blocks(X)
        if blocks is None or blocks.n_rows <= FAR_LARGER * LEAST_SAMPLE:
            continue
        source = find_blocks(X_source)
        is_labelled = np.zeros(blocks.n_rows, dtype=bool)
        if y is not None:
            is_labelled = find_labels(y, names[index].replace("X_target", "y_target"))
        # labelled rows are a small part of the sample, which must resemble the target
        labelled = np.flatnonzero(is_labelled)
        n_draws = 0 if source is None else count_draws(source.n_rows)
        n_sample = max(LEAST_SAMPLE, n_draws, FAR_LARGER * len(labelled))
        if len(is_labelled) == blocks.n_rows > FAR_LARGER * n_sample:
            large[index] = _LargeTarget(blocks, labelled, n_sample)
    return large


def _warn_of_samples(large: dict[str, _LargeTarget]) -> None:
    sizes = " and ".join(f"{name} has {each.blocks.n_rows:,}" for name, each in large.items())
    n_sample = max(each.n_sample for each in large.values())
    warn_user(
        f"{sizes} rows, far more than this fit can train on: it uses a random sample of "
        f"{n_sample:,} rows, drawn by random_state. To choose the rows, pass at most "
        f"{FAR_LARGER * n_sample:,}, which are used as they are; to train on more, raise "
        "max_epochs."
    )
