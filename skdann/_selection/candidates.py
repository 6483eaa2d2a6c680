"""A whole path of lambdas at once: training the members, and the candidates they make up."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.model_selection import KFold, StratifiedKFold

from skdann._classifier import NETWORKS, DANNClassifier
from skdann._input.domains import DomainData
from skdann._input.labels import class_weights
from skdann._training.net import DANNNet, FitData
from skdann._training.progress import listening
from skdann.nn._module import is_sizes


class Fold(NamedTuple):
    """Numbers of the source rows that a seed trains on, and of those it is judged on."""

    train: np.ndarray
    valid: np.ndarray


@dataclasses.dataclass
class Candidate:
    """One way of adapting: a lambda and a scaling, trained with every seed.

    Attributes
    ----------
    lambda_max : float
        The coefficient lambda ends at; 0 is the source-only twin.
    standardize : {None, "source", "domain"}
        Scaling of the columns.
    members : list of DANNClassifier
        One a seed, each fitted on its fold.
    error : str
        Why the candidate is out, such as a diverged member; empty if it is not.
    """

    lambda_max: float
    standardize: str | None
    members: list[DANNClassifier]
    error: str = ""


def make_folds(data: DomainData, n_seeds: int, n_folds: int, seed: int) -> list[Fold]:
    """Part the source rows in as many folds, by class where every class has enough rows.

    Every seed holds out a fold of its own, so that together the members have seen every row, and no
    row is judged by a member that has. All seeds train on equally many rows.
    """
    n_folds = min(n_folds, data.n_source)
    enough = np.bincount(data.y).min() >= n_folds
    splitter = (StratifiedKFold if enough else KFold)(n_folds, shuffle=True, random_state=seed)
    parts = list(splitter.split(np.zeros(data.n_source), data.y))
    n_train = min(len(train) for train, _ in parts)
    folds = []
    for index in range(n_seeds):
        train, valid = parts[index % n_folds]
        folds.append(Fold(train[:n_train], np.concatenate([valid, train[n_train:]])))
    return folds


def train_path(
    estimator: DANNClassifier,
    data: DomainData,
    folds: Sequence[Fold],
    settings: Sequence[tuple[float, str | None]],
    seeds: Sequence[int],
    listeners: Sequence[Any] = (),
    new_checkpoint: Callable[[Mapping[str, Any]], Any] = lambda params: None,
) -> list[Candidate]:
    """Train every setting with every seed.

    Parameters
    ----------
    estimator : DANNClassifier
        Everything but lambda, scaling and seed.
    data : DomainData
        Checked rows of both domains.
    folds : sequence of Fold
        One a seed.
    settings : sequence of (lambda_max, standardize)
        One a candidate.
    seeds : sequence of int
        Of the members of each candidate.
    listeners : sequence of skorch callbacks, default=()
        Listen to the training of each network.
    new_checkpoint : callable, default=lambda params: None
        Called once a network, with what it is known by.

    Returns
    -------
    list of Candidate

    Notes
    -----
    Members whose networks are given by sizes train at once, as members of one network: those with
    lambda 0, which see the source alone, and the others. Modules of the user's own, callbacks, and
    early stopping, which ends each member's training by itself, make them train one by one. Label
    shift is found once, from all source rows, for all members.
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
    data = estimator._with_label_shift(data, int(seeds[0]))
    weights = class_weights(estimator.class_weight, data.y, data.classes, data.weight)
    for group in _groups(candidates, estimator):
        members = [candidate.members[index] for candidate, index in group]
        own = [folds[index] for _, index in group]
        train = functools.partial(
            _train,
            n_epochs=estimator.max_epochs,
            listeners=listeners,
            checkpoint=new_checkpoint(
                {"members": [repr(member.get_params()) for member in members]}
            ),
        )
        if len(members) == 1:
            outcomes = [_train_alone(members[0], data, own[0], weights, train)]
        else:
            outcomes = list(_train_together(members, data, own, weights, train))
        for (candidate, _), error in zip(group, outcomes, strict=True):
            candidate.error = candidate.error or error
    return candidates


def _groups(
    candidates: Sequence[Candidate], estimator: DANNClassifier
) -> Iterator[list[tuple[Candidate, int]]]:
    """Yield the members that train as one network, as (candidate, number of the seed)."""
    every = [
        (candidate, index) for candidate in candidates for index in range(len(candidate.members))
    ]
    if not _trains_together(estimator):
        yield from ([member] for member in every)
        return
    for is_twin in (True, False):
        group = [member for member in every if (member[0].lambda_max == 0) == is_twin]
        if group:
            yield group


def _trains_together(estimator: DANNClassifier) -> bool:
    is_plain = all(is_sizes(getattr(estimator, name)) for name in NETWORKS)
    return is_plain and not (estimator.callbacks or estimator.early_stopping)


def count_networks(
    estimator: DANNClassifier, settings: Sequence[tuple[float, str | None]], n_seeds: int
) -> int:
    """Count the networks that :func:`train_path` trains."""
    if _trains_together(estimator):
        return len({lambda_max == 0 for lambda_max, _ in settings})
    return len(settings) * n_seeds


def _train(
    net: DANNNet, fit_data: FitData, *, n_epochs: int, listeners: Sequence[Any], checkpoint: Any
) -> None:
    """Train to the end: what an interrupt leaves is nothing to compare others with."""
    with listening(net, listeners):
        net.partial_fit(fit_data, None, epochs=n_epochs, checkpoint=checkpoint)
    if net.is_broken_off_:
        raise KeyboardInterrupt


def _train_alone(
    member: DANNClassifier,
    data: DomainData,
    fold: Fold,
    weights: np.ndarray | None,
    train: Callable[[DANNNet, FitData], None],
) -> str:
    valid = fold.valid if member.early_stopping else fold.valid[:0]
    fit_data = FitData(data, fold.train, valid, weights)
    try:
        net = member._new_net(data, (member.random_state,), member.early_stopping)
        net.measure_columns(fit_data)
        train(net, fit_data)
        member._take_over(net, data)
    except ValueError as error:
        return str(error)
    return ""


def _train_together(
    members: Sequence[DANNClassifier],
    data: DomainData,
    folds: Sequence[Fold],
    weights: np.ndarray | None,
    train: Callable[[DANNNet, FitData], None],
) -> Iterator[str]:
    """Train members as one network; yield for each what went wrong."""
    first, seeds = members[0], tuple(member.random_state for member in members)
    fit_data = FitData(data, np.stack([fold.train for fold in folds]), folds[0].valid[:0], weights)
    try:
        net = first._new_net(data, seeds, False, members)
        net.measure_columns(fit_data)
        train(net, fit_data)
    except ValueError as error:
        yield from [str(error)] * len(members)
        return
    for index, member in enumerate(members):
        try:
            own = member._new_net(data, (member.random_state,), False)
            member._take_over(net.give_member(index, own), data)
        except ValueError as error:
            yield str(error)
        else:
            yield ""
