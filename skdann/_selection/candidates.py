"""Candidates: ensembles of members, one for each setting or one for each family."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline

from skdann._input.domains import DomainData
from skdann._input.messages import warn_user
from skdann._selection.families import BASELINE, NETWORK_FAMILIES, TREES, Setting, baseline
from skdann._selection.jobs import call_each, count_processes
from skdann._training.divergence import DivergenceError
from skdann._training.fitting import (
    Fold,
    adjust_for_label_shift,
    can_train_together,
    train_members,
)
from skdann._training.progress import report_training

Plan = list[tuple[str, list[tuple[Setting, int]]]]  # (family, [(setting, seed index), ...]), ...


@dataclasses.dataclass
class Candidate:
    """Members that are averaged.

    Attributes
    ----------
    family : str
        Family of the candidate; the first candidate is the source-only baseline.
    members : list of DANNClassifier, or of scikit-learn classifiers
        Members, each fitted on its fold; those of the family "trees" on all source rows.
    folds : list of int
        Index of the fold of each member; empty if no row is held out.
    error : str
        Error of a member that diverged, which excludes the candidate; empty without error.
    proba_target : ndarray of shape (n_target, n_classes) or None
        Predictions of a model of the user, which gets the rows as the user passes them.
    """

    family: str
    members: list[Any]
    folds: list[int]
    error: str = ""
    proba_target: np.ndarray | None = None

    @property
    def name(self) -> str:
        """Name for messages: the family, or the class of a model of the user."""
        if self.proba_target is None:
            return self.family.replace("_", "-")
        model = self.members[0]
        return type(model[-1] if isinstance(model, Pipeline) else model).__name__

    @property
    def lambda_max(self) -> Any:
        """Final value of the coefficient lambda; a tuple if it differs between the members."""
        return self._common("lambda_max", 0.0)

    @property
    def standardize(self) -> Any:
        """Scaling of the columns; a tuple if it differs between the members."""
        return self._common("standardize", None)

    def _common(self, name: str, default: Any) -> Any:
        values = tuple(getattr(member, name, default) for member in self.members)
        return values[0] if len(set(values)) == 1 else values


Group = list[tuple[Candidate, int]]  # members that train as one network: (candidate, index), ...
Trained = list[tuple[Any, DivergenceError | None]]  # the same members, each with its error


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


def make_plan(
    lambdas: Any,
    standardize: Any,
    families: Sequence[str],
    n_seeds: int,
    data: DomainData,
    *,
    is_pooled: bool,
) -> Plan:
    """List the members of all candidates that are networks, the source-only baseline first.

    With `is_pooled` each family is one candidate: its `n_seeds` members, or more if it has more
    settings, have its settings in turn. Otherwise each setting is a candidate with `n_seeds`
    members. Sparse rows use the first scaling only; without target rows, the baseline is the only
    candidate.
    """
    scalings, values = check_path(lambdas, standardize)
    scalings = scalings if isinstance(data.X, np.ndarray) else scalings[:1]
    plan: Plan = []
    seeds = range(n_seeds)
    plan.append((BASELINE, [(baseline(values, scalings)[0], seed) for seed in seeds]))
    for family in families if data.n_targets else ():
        settings = NETWORK_FAMILIES[family](values, scalings) if family != TREES else []
        if is_pooled and settings:
            n_members = max(n_seeds, len(settings))
            turns = [(settings[i % len(settings)], i % n_seeds) for i in range(n_members)]
            plan.append((family, turns))
        elif not is_pooled:
            plan += [(family, [(setting, seed) for seed in seeds]) for setting in settings]
    return plan


def make_folds(data: DomainData, n_seeds: int, n_folds: int, seed: int) -> list[Fold]:
    """Split the source rows into folds, stratified if every class has enough rows.

    Each seed holds out a different fold, and no member is evaluated on a row it was trained on. All
    seeds train on equally many rows. The labelled target rows are divided into three parts, or one
    for each seed if there are more, and each seed holds out a different part. If there are fewer
    labelled rows than parts, none is held out.
    """
    n_folds = min(n_folds, data.n_source)
    has_enough = np.bincount(data.y).min() >= n_folds
    splitter = (StratifiedKFold if has_enough else KFold)(n_folds, shuffle=True, random_state=seed)
    parts = list(splitter.split(np.zeros(data.n_source), data.y))
    n_train = min(len(train) for train, _ in parts)
    folds = []
    for index in range(n_seeds):
        train, valid = parts[index % n_folds]
        train, valid = train[:n_train], np.concatenate([valid, train[n_train:]])
        folds.append(Fold(train, valid, *_hold_out_labels(data, index, n_seeds, seed)))
    return folds


def _hold_out_labels(
    data: DomainData, index: int, n_seeds: int, seed: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the labelled target rows that the member with this index is trained and evaluated on.

    Members are trained on equally many; one row may occur twice.
    """
    if data.labelled is None:
        return None, None
    rows = np.random.default_rng(seed).permutation(data.labelled)
    n_parts = max(3, n_seeds)
    is_held_out = np.arange(len(rows)) % n_parts == index
    if len(rows) < n_parts:
        is_held_out[:] = False
    train = rows[~is_held_out]
    n_train = len(rows) - len(rows) // n_parts
    return np.resize(train, n_train), rows[is_held_out]


def train_candidates(
    estimator: Any,
    data: DomainData,
    folds: Sequence[Fold],
    plan: Plan,
    seeds: Sequence[int],
    listeners: Sequence[Any] = (),
    next_checkpoint: Callable[[Sequence[Any]], Any] = lambda members: None,
    n_jobs: int | None = None,
) -> list[Candidate]:
    """Train all networks of a plan.

    Parameters
    ----------
    estimator : DANNClassifier
        Classifier with all parameters except those of a setting and the seed.
    data : DomainData
        Checked rows of both domains.
    folds : sequence of Fold
        One fold per seed.
    plan : list
        Members of all candidates, the source-only baseline first; see :func:`make_plan`.
    seeds : sequence of int
        Seeds of the members.
    listeners : sequence of skorch callbacks, default=()
        Callbacks attached while each network trains.
    next_checkpoint : callable, default=lambda members: None
        Called once per network, with its members; returns its checkpoint.
    n_jobs : int or None, default=None
        Maximum number of networks that train at once, in processes of joblib. Which members train
        as one network does not depend on it, so results are bit-identical.

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
    If the networks are given by sizes, members train together as two networks: one for those that
    use source rows only, and one for the others, whose first pseudo-labels are the baseline's. With
    custom modules, callbacks or early stopping, each member is a network. Networks with
    pseudo-labels are trained after the others. Label shift is estimated once, from all source rows.

    Listeners hear of a network that trains in another process when all networks of the stage have
    ended.
    """
    candidates = [
        Candidate(
            family,
            [_new_member(estimator, setting, int(seeds[seed])) for setting, seed in members],
            [seed for _, seed in members],
        )
        for family, members in plan
    ]
    adjusted = adjust_for_label_shift(estimator, data, int(seeds[0]))
    stages = _stages(candidates, estimator)
    n_processes = count_processes(n_jobs, max(map(len, stages)))
    teachers: list[Any] = []
    for stage in stages:
        n_at_once = n_processes if len(stage) > 1 else 1
        heard_by = listeners if n_at_once == 1 else ()
        tasks = []
        for group in stage:
            members = [candidate.members[index] for candidate, index in group]
            is_balanced = members[0].pseudo_labels == "balance"
            rows = data if is_balanced and adjusted.label_shift else adjusted
            own_folds = [folds[candidate.folds[index]] for candidate, index in group]
            tasks.append((members, rows, own_folds, heard_by, next_checkpoint(members), teachers))
        for group, trained in zip(stage, call_each(_train, tasks, n_at_once), strict=True):
            _store(group, trained)
            if candidates[0].error:
                raise DivergenceError(f"The source-only baseline failed: {candidates[0].error}")
            if n_at_once > 1:
                report_training([member for member, _ in trained], listeners)
        teachers = [member.net_ for member in candidates[0].members]
    _report_failures(candidates)
    return candidates


def _train(members: list[Any], *args: Any) -> Trained:
    """Train members in this process or another; return each with its error."""
    errors = train_members(members, *args)
    return list(zip(members, errors, strict=True))


def _store(group: Group, trained: Trained) -> None:
    """Replace the members of a group by the trained ones, copies if another process trained."""
    for (candidate, index), (member, error) in zip(group, trained, strict=True):
        candidate.members[index] = member
        candidate.error = candidate.error or ("" if error is None else str(error))


def _new_member(estimator: Any, setting: Setting, seed: int) -> Any:
    """Clone the classifier with a setting; classes balanced by draws need no other weights."""
    member = clone(estimator).set_params(**setting._asdict(), random_state=seed)
    if setting.pseudo_labels == "balance":
        member.set_params(class_weight=None, label_shift=None, target_priors=None)
    return member


def _report_failures(candidates: Sequence[Candidate]) -> None:
    """Warn once if candidates failed."""
    errors = [candidate.error for candidate in candidates if candidate.error]
    if errors:
        warn_user(
            f"{len(errors)} of {len(candidates)} candidates failed and cannot be selected; the "
            f"first error was: {errors[0]}",
            FitFailedWarning,
        )


def _groups(candidates: Sequence[Candidate], estimator: Any) -> Iterator[Group]:
    """Yield groups of members that train as one network.

    Those of the baseline are in the first group, or the first groups.
    """
    members = [
        (candidate, index) for candidate in candidates for index in range(len(candidate.members))
    ]
    if not can_train_together(estimator):
        yield from ([member] for member in members)
        return
    groups: dict[Any, Group] = {}
    for candidate, index in members:
        key = _group_of(candidate.members[index], estimator)
        groups.setdefault(key, []).append((candidate, index))
    yield from groups.values()


def _stages(candidates: Sequence[Candidate], estimator: Any) -> tuple[list[Group], list[Group]]:
    """Return the groups without pseudo-labels, and those whose teacher is the baseline."""
    stages: tuple[list[Group], list[Group]] = ([], [])
    for group in _groups(candidates, estimator):
        has_teacher = any(each.members[index].pseudo_labels for each, index in group)
        stages[has_teacher].append(group)
    return stages


def _group_of(setting: Any, estimator: Any) -> tuple[bool, bool]:
    """Return what members of one network have in common, given a setting or a member.

    That is whether they use source rows only, and whether they are weighted unlike the others.
    """
    is_source_only = setting.lambda_max == 0 and setting.pseudo_labels is None
    is_weighted = estimator.class_weight is not None or estimator.label_shift is not None
    return is_source_only, is_weighted and setting.pseudo_labels == "balance"


def count_networks(estimator: Any, plan: Plan) -> int:
    """Count the networks that :func:`train_candidates` trains."""
    settings = [setting for _, members in plan for setting, _ in members]
    if not can_train_together(estimator):
        return len(settings)
    return len({_group_of(setting, estimator) for setting in settings})
