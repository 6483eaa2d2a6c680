"""Candidates: a path of lambdas and scalings, each trained with several seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import KFold, StratifiedKFold

from skdann._input.domains import DomainData
from skdann._input.messages import warn_user
from skdann._training.divergence import DivergenceError
from skdann._training.fitting import (
    Fold,
    adjust_for_label_shift,
    can_train_together,
    train_members,
)

Setting = tuple[float, str | None]  # lambda_max and standardize


@dataclasses.dataclass
class Candidate:
    """A lambda and a scaling, trained with every seed.

    Attributes
    ----------
    lambda_max : float
        Final value of the coefficient lambda; 0 is the source-only baseline.
    standardize : {None, "source", "domain"}
        Scaling of the columns.
    members : list of DANNClassifier
        One member per seed, each fitted on its fold.
    error : str
        Error of a member that diverged, which excludes the candidate; empty without error.
    """

    lambda_max: float
    standardize: str | None
    members: list[Any]
    error: str = ""


def check_path(lambdas: Any, standardize: Any) -> tuple[list[str | None], list[float]]:
    """Return the scalings, and the lambdas with 0 first; raise if either is malformed."""
    try:
        values = [float(value) for value in lambdas]
    except (TypeError, ValueError):
        values = [np.nan]
    if not all(np.isfinite(value) and value >= 0 for value in values):
        raise ValueError(
            f"lambdas={lambdas!r} must hold finite numbers >= 0; pass candidates for lambda_max, "
            "e.g. (0.1, 0.3, 1.0)."
        )
    names = [name for name in standardize if name is not None]
    is_known = all(isinstance(name, str) and name in ("source", "domain") for name in names)
    if not len(standardize) or not is_known:
        raise ValueError(
            f"standardize={standardize!r} must hold one or more of None, 'source' and 'domain'; "
            "pass e.g. ('source', 'domain')."
        )
    return list(dict.fromkeys(standardize)), sorted({0.0, *values})


def make_settings(lambdas: Any, standardize: Any, data: DomainData) -> list[Setting]:
    """Return the settings of all candidates, the source-only baseline first.

    Sparse rows use the first scaling only; without target rows, the baseline is the only setting.
    """
    scalings, values = check_path(lambdas, standardize)
    is_sparse = not isinstance(data.X, np.ndarray)
    settings = [
        (value, scaling)
        for scaling in (scalings[:1] if is_sparse else scalings)
        for value in values
    ]
    return settings if data.n_targets else settings[:1]


def make_folds(data: DomainData, n_seeds: int, n_folds: int, seed: int) -> list[Fold]:
    """Split the source rows into folds, stratified if every class has enough rows.

    Each seed holds out a different fold, and no member is evaluated on a row it was trained on. All
    seeds train on equally many rows.
    """
    n_folds = min(n_folds, data.n_source)
    has_enough = np.bincount(data.y).min() >= n_folds
    splitter = (StratifiedKFold if has_enough else KFold)(n_folds, shuffle=True, random_state=seed)
    parts = list(splitter.split(np.zeros(data.n_source), data.y))
    n_train = min(len(train) for train, _ in parts)
    folds = []
    for index in range(n_seeds):
        train, valid = parts[index % n_folds]
        folds.append(Fold(train[:n_train], np.concatenate([valid, train[n_train:]])))
    return folds


def train_candidates(
    estimator: Any,
    data: DomainData,
    folds: Sequence[Fold],
    settings: Sequence[Setting],
    seeds: Sequence[int],
    listeners: Sequence[Any] = (),
    next_checkpoint: Callable[[Sequence[Any]], Any] = lambda members: None,
) -> list[Candidate]:
    """Train every setting with every seed.

    Parameters
    ----------
    estimator : DANNClassifier
        Classifier with all parameters except lambda, scaling and seed.
    data : DomainData
        Checked rows of both domains.
    folds : sequence of Fold
        One fold per seed.
    settings : sequence of (lambda_max, standardize)
        One setting per candidate, the source-only baseline first.
    seeds : sequence of int
        Seeds of the members of each candidate.
    listeners : sequence of skorch callbacks, default=()
        Callbacks attached while each network trains.
    next_checkpoint : callable, default=lambda members: None
        Called once per network, with its members; returns its checkpoint.

    Returns
    -------
    list of Candidate

    Raises
    ------
    DivergenceError
        If the source-only baseline diverges.

    Warns
    -----
    FitFailedWarning
        If another candidate diverges.

    Notes
    -----
    If the networks are given by sizes, members train together as two networks: one for lambda 0,
    which uses source rows only, and one for the others. With custom modules, callbacks or early
    stopping, members train one at a time. Label shift is estimated once, from all source rows.
    """
    candidates = [
        Candidate(
            lambda_max,
            standardize,
            [
                clone(estimator).set_params(
                    lambda_max=lambda_max, standardize=standardize, random_state=int(seed)
                )
                for seed in seeds
            ],
        )
        for lambda_max, standardize in settings
    ]
    data = adjust_for_label_shift(estimator, data, int(seeds[0]))
    for group in _groups(candidates, estimator):
        members = [candidate.members[index] for candidate, index in group]
        errors = train_members(
            members,
            data,
            [folds[index] for _, index in group],
            listeners,
            next_checkpoint(members),
        )
        for (candidate, _), error in zip(group, errors, strict=True):
            candidate.error = candidate.error or ("" if error is None else str(error))
    _report_failures(candidates)
    return candidates


def _report_failures(candidates: Sequence[Candidate]) -> None:
    """Raise if the baseline failed; warn once if others did."""
    if candidates[0].error:
        raise DivergenceError(f"The source-only baseline failed: {candidates[0].error}")
    errors = [candidate.error for candidate in candidates if candidate.error]
    if errors:
        warn_user(
            f"{len(errors)} of {len(candidates)} candidates failed and cannot be selected; the "
            f"first error was: {errors[0]}",
            FitFailedWarning,
        )


def _groups(
    candidates: Sequence[Candidate], estimator: Any
) -> Iterator[list[tuple[Candidate, int]]]:
    """Yield groups of members that train as one network, as (candidate, seed index)."""
    members = [
        (candidate, index) for candidate in candidates for index in range(len(candidate.members))
    ]
    if not can_train_together(estimator):
        yield from ([member] for member in members)
        return
    for is_baseline in (True, False):
        group = [member for member in members if (member[0].lambda_max == 0) == is_baseline]
        if group:
            yield group


def count_networks(estimator: Any, settings: Sequence[Setting], n_seeds: int) -> int:
    """Count the networks that :func:`train_candidates` trains."""
    if can_train_together(estimator):
        return len({lambda_max == 0 for lambda_max, _ in settings})
    return len(settings) * n_seeds
