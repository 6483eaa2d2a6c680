"""Hyperparameters as typed objects, from the estimator's constructor to the gradient.

:func:`network_params` and :func:`training_params` read them from an estimator;
:class:`NetworkParams` decides what is built, :class:`TrainingParams` how it is trained. With
several ensemble members, `lambda_max`, `pseudo_labels` and `standardize` hold one value each.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from skdann._compat import validate_parameter_constraints
from skdann._input.parameters import check_can_resume, check_device, check_network
from skdann._training.distributed import agreed, check_distributed
from skdann._training.progress import check_callbacks
from skdann._training.schedules import LAMBDA_SCHEDULES, LR_SCHEDULES, check_schedule

MIN_EPOCHS, MIN_STEPS = 30, 400  # with max_epochs="auto"
# parameters that only a classifier or only a regressor has, and what the other trains with
ABSENT: dict[str, Any] = {
    "class_weight": None,
    "conditioning": None,
    "label_shift": None,
    "label_smoothing": 0.0,
    "loss": "cross_entropy",
    "pseudo_labels": None,
    "quantile": 0.5,
    "target_priors": None,
}
NETWORKS = ("feature_extractor", "label_predictor", "domain_classifier")


class DataShape(NamedTuple):
    """Everything about the rows that decides the shape of the networks.

    Attributes
    ----------
    n_features, n_outputs : int
        Number of columns, and of outputs of G_y: one per class, or one per number to predict.
    domains : ndarray
        Names of the domains, source domains first.
    n_targets : int
        Number of target domains: the last ones in `domains`.
    """

    n_features: int
    n_outputs: int
    domains: np.ndarray
    n_targets: int

    @classmethod
    def of(cls, data: Any) -> DataShape:
        """Return the shape of checked data."""
        return cls(data.n_features, data.n_outputs, data.domains, data.n_targets)


@dataclasses.dataclass(frozen=True)
class NetworkParams:
    """The three networks, as the parameters of :class:`skdann.DANNClassifier` describe them."""

    feature_extractor: Any
    label_predictor: Any
    domain_classifier: Any
    activation: str
    dropout: float
    normalization: str | None
    conditioning: str | None
    standardize: tuple[str | None, ...]


@dataclasses.dataclass(frozen=True)
class TrainingParams:
    """Training hyperparameters, as in :class:`skdann.DANNClassifier` and `DANNRegressor`.

    `lambda_max` and `pseudo_labels` hold one value per member.
    """

    lambda_max: tuple[float, ...]
    pseudo_labels: tuple[str | None, ...]
    lambda_schedule: Any
    domain_loss_weight: float
    label_smoothing: float
    domain_label_smoothing: float
    adversarial: str
    domain_steps: int
    lr: float
    lr_schedule: Any
    batch_size: int
    max_epochs: int
    optimizer: Any
    weight_decay: float
    device: str
    label_shift: str | None
    target_priors: dict[Any, float] | None
    loss: str
    quantile: float
    distributed: bool


def count_epochs(estimator: Any, n_rows: int | None) -> int:
    """Return the number of epochs: with "auto" at least 30, and at least 400 steps.

    Parameters
    ----------
    estimator : DANNClassifier
        Classifier with `max_epochs` and `batch_size`.
    n_rows : int or None
        Number of source rows to train on; None where they come in chunks.
    """
    if estimator.max_epochs != "auto":
        return int(estimator.max_epochs)
    if n_rows is None:
        return MIN_EPOCHS
    n_steps = -(-n_rows // estimator.batch_size)
    return max(MIN_EPOCHS, -(-MIN_STEPS // n_steps))


def count_draws(estimator: Any, n_rows: int) -> int:
    """Return the maximum number of target rows that a fit draws from a target, with repeats.

    Parameters
    ----------
    estimator : DANNClassifier or DANNRegressor
        Estimator with `max_epochs` and `batch_size`.
    n_rows : int
        Number of source rows, of which some may be held out.
    """
    check_constraints(estimator)
    n_steps = -(-n_rows // estimator.batch_size)
    return count_epochs(estimator, n_rows) * n_steps * min(n_rows, int(estimator.batch_size))


def read_param(estimator: Any, name: str) -> Any:
    """Return a parameter that not every estimator has."""
    return getattr(estimator, name, ABSENT[name])


def network_params(estimator: Any, scalings: Sequence[str | None] | None = None) -> NetworkParams:
    """Read the networks from an estimator; `scalings` replaces its `standardize`, per member."""
    return NetworkParams(
        **{name: _as_tuple(getattr(estimator, name)) for name in NETWORKS},
        activation=estimator.activation,
        dropout=estimator.dropout,
        normalization=estimator.normalization,
        conditioning=read_param(estimator, "conditioning"),
        standardize=(estimator.standardize,) if scalings is None else tuple(scalings),
    )


def _as_tuple(spec: Any) -> Any:
    """Return sizes as a tuple, which does not change if the user changes the list."""
    return tuple(spec) if isinstance(spec, list) else spec


def training_params(
    estimator: Any,
    lambdas: Sequence[float] | None = None,
    pseudo_labels: Sequence[str | None] | None = None,
    n_rows: int | None = None,
) -> TrainingParams:
    """Read the training from an estimator; what is given replaces its parameters, per member."""
    return TrainingParams(
        lambda_max=(estimator.lambda_max,) if lambdas is None else tuple(lambdas),
        pseudo_labels=(
            (read_param(estimator, "pseudo_labels"),)
            if pseudo_labels is None
            else tuple(pseudo_labels)
        ),
        lambda_schedule=estimator.lambda_schedule,
        domain_loss_weight=estimator.domain_loss_weight,
        label_smoothing=read_param(estimator, "label_smoothing"),
        domain_label_smoothing=estimator.domain_label_smoothing,
        adversarial=estimator.adversarial,
        domain_steps=estimator.domain_steps,
        lr=estimator.lr,
        lr_schedule=estimator.lr_schedule,
        batch_size=estimator.batch_size,
        max_epochs=count_epochs(estimator, n_rows),
        optimizer=estimator.optimizer,
        weight_decay=estimator.weight_decay,
        device=estimator.device,
        label_shift=read_param(estimator, "label_shift"),
        target_priors=copy.copy(read_param(estimator, "target_priors")),
        loss=read_param(estimator, "loss"),
        quantile=read_param(estimator, "quantile"),
        distributed=estimator.distributed,
    )


def check_constraints(estimator: Any) -> None:
    """Check each parameter against the constraints table of the estimator."""
    validate_parameter_constraints(
        estimator._parameter_constraints,
        estimator.get_params(deep=False),
        caller_name=type(estimator).__name__,
    )


def check_params(estimator: Any, *, holds_out: bool | None = None) -> None:
    """Check all hyperparameters of an estimator, before any data is looked at.

    By default, rows are held out with early stopping. If the estimator is trained over processes,
    an error in one of them is raised in all.
    """
    with agreed(estimator.distributed):
        check_own_params(estimator, holds_out=holds_out)


def check_own_params(estimator: Any, *, holds_out: bool | None = None) -> None:
    """Check all hyperparameters in this process."""
    check_constraints(estimator)
    for name in NETWORKS:
        check_network(name, getattr(estimator, name))
    check_device(estimator.device)
    check_can_resume(estimator.checkpoint, estimator.random_state)
    if estimator.distributed:
        check_distributed(estimator, NETWORKS, estimator.random_state)
    check_callbacks(
        estimator.callbacks,
        holds_out=estimator.early_stopping if holds_out is None else holds_out,
        lr_schedule=estimator.lr_schedule,
        has_parts=estimator.distributed,
    )
    _check_balance(estimator)
    check_schedule("lambda_schedule", estimator.lambda_schedule, LAMBDA_SCHEDULES)
    check_schedule("lr_schedule", estimator.lr_schedule, LR_SCHEDULES)


def _check_balance(estimator: Any) -> None:
    """Raise if classes that are drawn in equal shares would be weighted too."""
    if read_param(estimator, "pseudo_labels") != "balance":
        return
    for name in ("class_weight", "label_shift"):
        value = getattr(estimator, name)
        if value is not None:
            raise ValueError(
                f"{name}={value!r} cannot be combined with pseudo_labels='balance', which already "
                f"draws all classes in equal shares; set {name}=None."
            )
