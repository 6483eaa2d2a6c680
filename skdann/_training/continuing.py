"""Checks before an earlier fit is continued by warm start or `partial_fit`."""

from __future__ import annotations

import functools
from numbers import Integral
from typing import Any

from skdann._input.seeding import draw_seed
from skdann._training.objective import ADVERSARIES
from skdann._training.params import network_params, training_params

BUILT = ("optimizer", "weight_decay", "device")  # training parameters of the optimizer
SHIFT = ("label_shift", "target_priors")  # known or estimated once for all chunks
PER_MEMBER = ("standardize", "pseudo_labels")


def check_continued(estimator: Any, net: Any, what: str) -> None:
    """Raise if parameters of the networks, the optimizer or the seed changed since the fit.

    Such changes could not take effect. Schedules, losses, batches and the learning rate may change.
    `partial_fit` also refuses another treatment of class shares and other pseudo-labels.

    Parameters
    ----------
    estimator : DANNClassifier
        Estimator with its current parameters.
    net : DANNNet
        Net of the last fit.
    what : str
        How the fit is continued, for the error.

    Raises
    ------
    ValueError
        If such a parameter changed.
    """
    before = {**vars(net.networks), **vars(net.training)}
    now = {**vars(network_params(estimator)), **vars(training_params(estimator))}
    for name in PER_MEMBER:
        before[name], now[name] = before[name][0], now[name][0]
    names = [*vars(net.networks), *BUILT]
    if _has_classifier(before) != _has_classifier(now):
        names.append("adversarial")
    if what == "partial_fit":
        names += ["pseudo_labels", *(SHIFT if now["label_shift"] else SHIFT[:1])]
    if isinstance(estimator.random_state, Integral):
        before["random_state"] = net.seeds[0]
        now["random_state"] = draw_seed(estimator.random_state)
        names.append("random_state")
    changed = [
        f"{name}={now[name]!r} (was {before[name]!r})"
        for name in names
        if not _is_same(before[name], now[name])
    ]
    if changed:
        raise ValueError(
            f"{', '.join(changed)} changed since the last fit, but {what} continues with its "
            "networks and optimizer; restore the parameters, or build new networks: fit with "
            "warm_start=False, or fit a new estimator."
        )


def _has_classifier(params: dict[str, Any]) -> bool:
    return ADVERSARIES[params["adversarial"]].has_classifier


def _is_same(before: Any, now: Any) -> bool:
    """Whether two values of a parameter are equal, or identical for modules and factories."""
    if isinstance(before, list | tuple) and isinstance(now, list | tuple):
        return list(before) == list(now)
    if isinstance(before, functools.partial) and isinstance(now, functools.partial):
        parts = [(each.func, each.args, each.keywords) for each in (before, now)]
        return parts[0] == parts[1]
    if callable(before) or callable(now):
        return before is now
    return bool(before == now)
