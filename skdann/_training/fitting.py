"""Training of an estimator: from its parameters to a net, and from the net to attributes.

:class:`skdann.DANNClassifier` trains one net; :func:`train_members` trains several estimators that
differ in lambda, scaling, seed and rows, as members of one net if their networks allow it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split
from torch import Tensor

from skdann._input.domains import DomainData
from skdann._input.labels import class_weights
from skdann._input.optimizers import optimizer_of
from skdann._training.divergence import DivergenceError, check_outcome
from skdann._training.early_stopping import AdaptedEarlyStopping
from skdann._training.label_shift import find_label_shift, with_label_shift
from skdann._training.net import DANNNet, FitData
from skdann._training.params import (
    NETWORKS,
    DataShape,
    network_params,
    read_param,
    training_params,
)
from skdann._training.progress import listening
from skdann._training.pseudo_labels import estimate_correction
from skdann._training.randomness import copy_generators, spawn_generators
from skdann.nn._members import extract_member
from skdann.nn._module import is_sizes
from skdann.nn._standardizer import ColumnMoments

# entries of the net's history that only skorch's callbacks use
NOT_IN_HISTORY = {"batches", "train_batch_count", "train_loss_best", "valid_loss_best"}


# -- before training ----------------------------------------------------------------------------


def new_net(
    estimator: Any,
    shape: DataShape,
    seeds: Sequence[int],
    *,
    stops_early: bool = False,
    lambdas: Sequence[float] | None = None,
    scalings: Sequence[str | None] | None = None,
    pseudo_labels: Sequence[str | None] | None = None,
    n_rows: int | None = None,
    start: Any = None,
) -> DANNNet:
    """Build the net of an estimator, or of members that differ in what is given per member.

    The number of epochs may depend on `n_rows`, the number of source rows to train on.
    """
    optimizer, options = optimizer_of(
        estimator.optimizer, estimator.lr, estimator.weight_decay, estimator.device
    )
    return DANNNet(
        network_params(estimator, scalings),
        training_params(estimator, lambdas, pseudo_labels, n_rows),
        shape,
        seeds=tuple(seeds),
        start=start,
        optimizer=optimizer,
        callbacks=net_callbacks(estimator, stops_early),
        verbose=int(estimator.verbose or 0),
        device=estimator.device,
        **{f"optimizer__{name}": value for name, value in options.items()},
    ).initialize()


def net_callbacks(estimator: Any, stops_early: bool) -> list[Any]:
    """Return the callbacks of the estimator, and early stopping if requested."""
    callbacks = list(estimator.callbacks or ())
    if stops_early:
        sink = print if (estimator.verbose or 0) > 1 else _discard
        stopping = AdaptedEarlyStopping(patience=estimator.patience, load_best=True, sink=sink)
        callbacks.append(("early_stopping", stopping))
    return callbacks


def prepare(estimator: Any, data: DomainData, split_seed: int | None = None) -> FitData:
    """Add class weights and, given `split_seed`, rows held out for early stopping."""
    train, valid = np.arange(data.n_source), np.arange(0)
    if split_seed is not None:
        train, valid = _hold_out(estimator.validation_fraction, data, split_seed)
    weights = class_weights(
        read_param(estimator, "class_weight"), data.y, data.classes, data.weight
    )
    return FitData(data, train, valid, weights, labelled=data.labelled)


def adjust_for_label_shift(estimator: Any, data: DomainData, seed: int) -> DomainData:
    """Estimate the label shift, and reweight the source rows, if the estimator requests it."""
    weights = class_weights(estimator.class_weight, data.y, data.classes, data.weight)
    shift = find_label_shift(estimator.label_shift, estimator.target_priors, data, weights, seed)
    return with_label_shift(data, shift)


def _hold_out(fraction: float, data: DomainData, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split the source rows, stratified by class if there are enough rows of every class."""
    n_valid = max(1, round(fraction * data.n_source))
    if n_valid >= data.n_source:
        raise ValueError(
            f"early_stopping holds out {n_valid} of {data.n_source} source rows, which "
            "leaves none to train on; lower validation_fraction or set early_stopping=False."
        )
    can_stratify = False
    if data.has_classes:
        can_stratify = np.bincount(data.y).min() > 1 and n_valid >= len(data.classes)
        can_stratify &= data.n_source - n_valid >= len(data.classes)
    train, valid = train_test_split(
        np.arange(data.n_source),
        test_size=n_valid,
        stratify=data.y if can_stratify else None,
        random_state=spawn_generators(seed)["validation"].initial_seed() % 2**32,
    )
    return np.sort(train), np.sort(valid)


# -- training -----------------------------------------------------------------------------------


def train(
    net: DANNNet,
    fit_data: FitData,
    n_epochs: int,
    listeners: Sequence[Any] = (),
    checkpoint: Any = None,
) -> None:
    """Train a net, with listeners attached only during training."""
    with listening(net, listeners):
        net.partial_fit(fit_data, None, epochs=n_epochs, checkpoint=checkpoint)


def set_fitted(estimator: Any, net: DANNNet, data: DomainData) -> Any:
    """Set the fitted attributes of an estimator; raise if training diverged."""
    net.module_.eval()
    check_outcome(net, data)
    is_balanced = net.training.pseudo_labels == ("balance",) and net.n_targets > 0
    if is_balanced and not net.waits_for_labels:
        data = with_label_shift(data, estimate_correction(net, data))
    for name in ("feature_names_in_", "target_priors_"):
        vars(estimator).pop(name, None)
    if data.has_classes:
        estimator.classes_, estimator._label_shift = data.classes, data.label_shift
    else:
        estimator._label_scale, estimator.n_outputs_ = data.label_scale, data.n_outputs
    if data.label_shift:
        estimator.target_priors_ = data.label_shift.priors
    if data.feature_names is not None:
        estimator.feature_names_in_ = data.feature_names
    estimator._other_names = data.other_names
    estimator._domain_statistics, estimator._is_pooled, estimator._placeholders = None, False, []
    estimator.n_features_in_, estimator._columns = data.n_raw, data.columns
    estimator.domains_ = data.domains
    estimator.history_ = [
        {name: value for name, value in row.items() if name not in NOT_IN_HISTORY}
        for row in net.history
    ]
    set_net(estimator, net)
    return estimator


def set_net(estimator: Any, net: DANNNet) -> None:
    """Set the net of an estimator whose other fitted attributes are already set."""
    estimator.net_, estimator.module_ = net, net.module_
    estimator.n_epochs_ = len(estimator.history_)
    estimator._n_features_out = net.module_.n_features_out


def measure_columns(net: DANNNet, fit_data: FitData) -> None:
    """Compute the statistics of `standardize` from the training rows of each member."""
    standardizer = getattr(net.module_, "standardizer", None)
    if standardizer is None:
        return
    data, n_source = fit_data.data, fit_data.data.n_source
    weight = None
    if data.weight is not None:
        weight = np.append(data.weight, np.ones(len(data.domain) - n_source))
    moments = ColumnMoments(data.X)
    for member, train_rows in enumerate(np.atleast_2d(fit_data.train)):
        rows = np.concatenate([train_rows, np.arange(n_source, len(data.domain))])
        of_rows = None if weight is None else weight[rows]
        standardizer.measure(member, moments, data.domain[rows], of_rows, rows=rows)


# -- members ------------------------------------------------------------------------------------


class Fold(NamedTuple):
    """Rows of a member.

    Attributes
    ----------
    train, valid : ndarray of int
        Indices of the source rows that it is trained on, and of those that it is evaluated on.
    labelled, labelled_valid : ndarray of int, or None
        Indices, among all rows, of such labelled target rows; None without these.
    """

    train: np.ndarray
    valid: np.ndarray
    labelled: np.ndarray | None = None
    labelled_valid: np.ndarray | None = None


def can_train_together(estimator: Any) -> bool:
    """Whether members train as one net: plain networks, no callbacks, no early stopping."""
    is_plain = all(is_sizes(getattr(estimator, name)) for name in NETWORKS)
    return is_plain and not (estimator.callbacks or estimator.early_stopping)


def train_members(
    members: Sequence[Any],
    data: DomainData,
    folds: Sequence[Fold],
    listeners: Sequence[Any],
    checkpoint: Any,
    teachers: Sequence[DANNNet] = (),
) -> list[DivergenceError | None]:
    """Train estimators that differ only in lambda, scaling, seed and fold; fit each in place.

    Parameters
    ----------
    members : sequence of DANNClassifier
        Estimators with an integer `random_state`; more than one requires
        :func:`can_train_together`.
    data : DomainData
        Checked rows, adjusted for label shift.
    folds : sequence of Fold
        Rows of each member.
    listeners : sequence of skorch callbacks
        Callbacks attached during training.
    checkpoint : Checkpoint or None
        Checkpoint file of the training.
    teachers : sequence of DANNNet, default=()
        Trained nets whose mean prediction gives the first pseudo-labels; without any, members
        with pseudo-labels compute them later, by themselves.

    Returns
    -------
    list of DivergenceError or None
        For each member, the error if it diverged.
    """
    first = members[0]
    is_alone = len(members) == 1
    valid = folds[0].valid if is_alone and first.early_stopping else folds[0].valid[:0]
    indices = folds[0].train if is_alone else np.stack([fold.train for fold in folds])
    labelled = None
    if data.labelled is not None:
        parts = [fold.labelled for fold in folds if fold.labelled is not None]
        labelled = parts[0] if is_alone else np.stack(parts)
    fit_data = prepare(first, data)._replace(
        train=indices, valid=valid, teachers=tuple(teachers), labelled=labelled
    )
    net = new_net(
        first,
        DataShape.of(data),
        [member.random_state for member in members],
        stops_early=first.early_stopping,
        lambdas=[float(member.lambda_max) for member in members],
        scalings=[member.standardize for member in members],
        pseudo_labels=[member.pseudo_labels for member in members],
        n_rows=indices.shape[-1],
    )
    measure_columns(net, fit_data)
    try:
        train(net, fit_data, net.max_epochs, listeners, checkpoint)
    except DivergenceError as error:
        return [error] * len(members)
    if net.is_interrupted_:
        raise KeyboardInterrupt  # a member with fewer epochs cannot be compared with the others
    nets = [net] if is_alone else _split(net, members)
    return list(map(_try_set_fitted, members, nets, [data] * len(members)))


def _try_set_fitted(member: Any, net: DANNNet, data: DomainData) -> DivergenceError | None:
    try:
        set_fitted(member, net, data)
    except DivergenceError as error:
        return error
    return None


def _split(ensemble: DANNNet, members: Sequence[Any]) -> Iterator[DANNNet]:
    """Yield a net for each member: its networks, optimizer, generators and history."""
    for index, member in enumerate(members):
        generators = copy_generators(ensemble.generators_[index])
        module = extract_member(ensemble.module_, index, ensemble.generators_, generators)
        seeds = ensemble.seeds[index : index + 1]
        net = new_net(member, ensemble.shape, seeds, start=(module, [generators]))
        _copy_optimizer(ensemble.optimizer_, index, net.optimizer_)
        net.n_epochs_done_ = ensemble.n_epochs_done_
        net.starts_labelled = ensemble.starts_labelled
        for row, figures in zip(ensemble.history, ensemble.member_history_, strict=True):
            net.history.append(
                {
                    "batches": [],
                    "epoch": row["epoch"],
                    **{name: float(value[index]) for name, value in figures.items()},
                    "dur": row["dur"] / ensemble.n_members,
                }
            )
        yield net


def _copy_optimizer(optimizer: Any, index: int, member_optimizer: Any) -> None:
    """Copy the state of one member from the optimizer of all members."""

    def part(value: Any) -> Any:
        is_stacked = isinstance(value, Tensor) and value.dim() > 0
        return value[index : index + 1].clone() if is_stacked else copy.copy(value)

    slots = {
        key: {name: part(value) for name, value in slot.items()}
        for key, slot in optimizer.state_dict()["state"].items()
    }
    groups = member_optimizer.state_dict()["param_groups"]
    member_optimizer.load_state_dict({"state": slots, "param_groups": groups})


def _discard(*args: Any, **kwargs: Any) -> None:
    """Print nothing."""
