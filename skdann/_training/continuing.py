"""Checks before an earlier fit is continued by warm start or `partial_fit`."""

from __future__ import annotations

from typing import Any

from skdann._training.objective import ADVERSARIES
from skdann._training.params import network_params, training_params

BUILT = ("optimizer", "weight_decay", "device")  # training parameters of the optimizer


def check_continued(estimator: Any, net: Any, what: str) -> None:
    """Raise if parameters of the networks or of the optimizer changed since the fit.

    Such changes could not take effect. Schedules, losses, batches and the learning rate may change.

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
    before["standardize"], now["standardize"] = net.networks.standardize[0], estimator.standardize
    names = [*vars(net.networks), *BUILT]
    if _has_classifier(before) != _has_classifier(now):
        names.append("adversarial")
    if what == "partial_fit":
        shift = estimator._label_shift
        before["label_shift"] = None if shift is None else shift.kind
        now["label_shift"] = estimator.label_shift
        names.append("label_shift")
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
    if callable(before) or callable(now):
        return before is now
    return bool(before == now)
