"""Divergence: how a fit that went wrong is recognized and reported.

Errors: ``ValueError`` <- ``DivergenceError``. A fit that has not learned the labels only warns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.stats import entropy
from torch import Tensor

from skdann._input.messages import warn_user
from skdann._input.scales import find_tiny

# ratio of the last label loss to that of guessing, above which a fit warns, by number of epochs
UNLEARNED = {3: 2.0, 10: 1.5}
LARGEST_WEIGHT = 1e12  # of a network that has learned something
UNSEEN = 0.95  # the same ratio where all values are tiny, which a network hardly sees
REMEDY = (
    "training diverged. Scale the columns (skdann.make_pipeline(StandardScaler(), ...)), or lower "
    "lr, lambda_max, domain_loss_weight or weight_decay, and check feature_extractor, "
    "label_predictor and domain_classifier if you pass modules."
)


class DivergenceError(ValueError):
    """Training diverged: losses, weights or outputs are not finite, or weights exceed 1e12.

    Examples
    --------
    >>> from skdann import DANNClassifier, DivergenceError
    >>> from skdann.datasets import make_covariate_shift
    >>> X_source, y_source, X_target, _ = make_covariate_shift(random_state=0)
    >>> clf = DANNClassifier(optimizer="sgd", lr=1e30, max_epochs=2, random_state=0)
    >>> try:
    ...     clf.fit(X_source, y_source, X_target)
    ... except DivergenceError:
    ...     print("lower lr")
    lower lr
    """


def check_loss(loss: Any, epoch: int) -> None:
    """Raise unless the loss of some member is finite."""
    if not np.isfinite(loss).any():
        raise DivergenceError(f"The loss became {np.mean(loss)} in epoch {epoch}: {REMEDY}")


def check_outcome(net: Any, data: Any) -> None:
    """Raise unless weights, running statistics, and outputs for some rows are finite.

    Weights must not be so large, either, that outputs for other rows may be infinite.
    """
    n_epochs = len(net.history)
    parameters = dict(net.module_.named_parameters())
    largest = {
        name: _largest(value) for name, value in [*parameters.items(), *net.module_.named_buffers()]
    }
    for name, value in largest.items():
        if not np.isfinite(value):
            raise DivergenceError(
                f"The weights {name} are not finite after epoch {n_epochs}: {REMEDY}"
            )
    for name, weights in parameters.items():
        if weights.requires_grad and largest[name] > LARGEST_WEIGHT:  # a frozen one may be a mask
            raise DivergenceError(
                f"The weights {name} are as large as {largest[name]:.1g} after epoch {n_epochs}: "
                f"{REMEDY}"
            )
    n_rows = len(data.domain)
    rows = np.r_[: min(32, n_rows), max(0, n_rows - 32) : n_rows]  # of the source and the target
    (logits,) = net.infer_blocks(data.X[rows], data.domain[rows], "labels")
    if not np.isfinite(logits).all():
        raise DivergenceError(f"The outputs are not finite after epoch {n_epochs}: {REMEDY}")


def _largest(values: Tensor) -> float:
    """Return the largest absolute value; 0 without values, NaN if one is NaN."""
    if not values.numel():
        return 0.0
    values = values.detach()
    low, high = torch.aminmax(values.abs() if values.is_complex() else values)
    return max(abs(float(low)), abs(float(high)))


def warn_if_unlearned(
    history: Sequence[dict[str, Any]],
    data: Any,
    class_weight: np.ndarray | None,
    *,
    scales_columns: bool = False,
    label_loss: Any = None,
) -> None:
    """Warn if the last label loss is clearly above that of guessing.

    Guessing means each class equally often, or the mean of numbers.

    If all values are tiny, a network can learn the class shares but nothing else. Then it also
    warns if the loss is not clearly below that of guessing by these shares.

    Parameters
    ----------
    history : sequence of dict
        Figures of each epoch.
    data : DomainData
        Checked rows. There is no warning if one of their scales has been given.
    class_weight : ndarray of shape (n_classes,) or None
        Weights of the classes in the label loss.
    scales_columns : bool, default=False
        Whether the estimator scales the columns, so that tiny values do not matter.
    label_loss : NumberLoss or None, default=None
        Label loss of numbers; None for classes.
    """
    ratios = [ratio for n_epochs, ratio in UNLEARNED.items() if n_epochs <= len(history)]
    if not ratios or data.is_unscaled:
        return
    last = history[-1]["label_loss"]
    if label_loss is None:
        chance, by_shares = _losses_of_guessing(data, class_weight)
    else:
        chance = by_shares = _loss_of_mean(data, label_loss)
        if not chance:  # constant labels, which need no learning
            return
    largest = 0.0 if scales_columns else find_tiny(data.X)
    if last > ratios[-1] * chance or (largest and last > UNSEEN * by_shares):
        is_tiny = f" No value is larger than {largest:.2g}, too small to learn from."
        warn_user(
            f"The label loss is {last:.3g} in the last epoch, and {chance:.3g} by guessing: "
            f"the labels were not learned.{is_tiny * (largest > 0)} Scale the columns "
            "(standardize='source', or skdann.make_pipeline(StandardScaler(), ...)), or lower lr "
            "or lambda_max."
        )


def _loss_of_mean(data: Any, label_loss: Any) -> float:
    """Return the label loss of predicting the mean, which is 0 on the scale of the network."""
    y = torch.from_numpy(data.y)
    weight = np.ones(data.n_source) if data.weight is None else data.weight
    share = torch.from_numpy((weight / weight.sum()).astype(np.float32))
    return float(label_loss.total(torch.zeros_like(y), y, share))


def _losses_of_guessing(data: Any, class_weight: np.ndarray | None) -> tuple[float, float]:
    """Return the label losses of predicting equal shares of the classes, and their true shares."""
    mass = np.bincount(data.y, weights=data.weight, minlength=len(data.classes))
    mean_weight = 1.0
    if class_weight is not None:  # these scale the loss, sample weights do not
        mean_weight = float(np.average(class_weight[data.y], weights=data.weight))
        mass = mass * class_weight
    return mean_weight * float(np.log(len(data.classes))), mean_weight * float(entropy(mass))
