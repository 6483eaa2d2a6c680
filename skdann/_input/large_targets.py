"""Targets that are far larger than training can use, replaced by a random sample of their rows.

A fit draws as many target rows as source rows in each epoch, so that with few source rows it never
sees most of a large target. The rows left out are neither checked nor copied.
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
from skdann._input.row_domains import check_sample_domain
from skdann._input.seeding import draw_seed
from skdann._input.target_labels import find_labels

LEAST_SAMPLE = 100_000  # enough for the statistics of a target, see benchmarks/scale.py
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
    sizes = {names[index]: target.blocks.n_rows for index, target in large.items()}
    _warn_of_samples(sizes, max(target.n_sample for target in large.values()))
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


def sample_pooled(
    X_source: Any,
    y_source: Any,
    sample_weight: Any,
    sample_domain: Any,
    count_draws: Callable[[int], int],
    random_state: Any,
) -> tuple[Any, ...]:
    """Replace targets among the rows of `X_source` as :func:`sample_targets` does others.

    Parameters
    ----------
    X_source, y_source, sample_weight, sample_domain : array-like of n_samples rows, or None
        As passed to `fit`.
    count_draws, random_state
        As in :func:`sample_targets`.

    Returns
    -------
    X_source, y_source, sample_weight, sample_domain
        Unchanged, or the rows of the source and of the samples, in their order.

    Warns
    -----
    UserWarning
        If a target was sampled.
    """
    given = (X_source, y_source, sample_weight, sample_domain)
    if y_source is None or sample_domain is None:
        return given
    blocks = {i: find_blocks(each) for i, each in enumerate(given) if each is not None}
    counts = {0 if each is None else each.n_rows for each in blocks.values()}
    n_rows = min(counts)
    if len(counts) > 1 or n_rows <= FAR_LARGER * LEAST_SAMPLE:
        return given
    domain = check_sample_domain(sample_domain, n_rows)
    n_sample = max(LEAST_SAMPLE, count_draws(int((domain >= 0).sum())))
    names, sizes = np.unique(domain[domain < 0], return_counts=True)
    is_large = sizes > FAR_LARGER * n_sample
    if not is_large.any():
        return given
    generator = np.random.default_rng(draw_seed(random_state))
    is_kept = ~np.isin(domain, names[is_large])
    for name, size in zip(names[is_large], sizes[is_large], strict=True):
        sample = sample_rows(size, n_sample, generator)
        is_kept[np.flatnonzero(domain == name)[sample]] = True
    large = zip(names[is_large].tolist(), sizes[is_large].tolist(), strict=True)
    _warn_of_samples({f"Target domain {name}": size for name, size in large}, n_sample)
    kept = np.flatnonzero(is_kept)
    return tuple(part.take(kept) if (part := blocks.get(i)) else None for i in range(len(given)))


def _warn_of_samples(sizes: dict[str, int], n_sample: int) -> None:
    has = " and ".join(f"{name} has {n_rows:,}" for name, n_rows in sizes.items())
    warn_user(
        f"{has} rows, far more than this fit can train on: it uses a random sample of "
        f"{n_sample:,} rows, drawn by random_state. To choose the rows, pass at most "
        f"{FAR_LARGER * n_sample:,}, which are used as they are; to train on more, raise "
        "max_epochs."
    )
