"""A fitted `DANNClassifier` as a description and tensors, and back.

Loading builds the networks anew from the parameters, and takes the tensors only if every name,
shape and dtype is the expected one.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from torch import Tensor

from skdann._saving.state import fill_state, foreign_state, net_state
from skdann._saving.values import decode, decode_values, encode, encode_values
from skdann._training.fitting import new_net, set_net
from skdann._training.label_shift import KINDS, LabelShift
from skdann._training.objective import ADVERSARIES
from skdann._training.params import DataShape, check_params
from skdann.nn._module import is_sizes

ENTRIES: dict[str, type] = {
    "params": dict,
    "given": dict,
    "classes": list,
    "domains": list,
    "n_targets": int,
    "n_features_in": int,
    "history": list,
    "n_epochs_done": int,
    "seed": int,
}
MOST_LABEL_BYTES = 2**30
NEVER_KEPT = {"checkpoint": None}  # where to write is not for a file to say


def describe(estimator: Any) -> dict[str, Any]:
    """Everything of a fitted classifier but its tensors, as JSON can hold it."""
    net = estimator.net_
    return {
        **describe_params(estimator),
        **describe_columns(estimator),
        "n_targets": net.n_targets,
        "label_shift": _describe_shift(estimator._label_shift),
        "history": [encode_values(row)[0] for row in estimator.history_],
        "n_epochs_done": net.n_epochs_done_,
        "seed": net.seeds[0],
    }


def describe_params(estimator: Any) -> dict[str, Any]:
    """Class and parameters, and what kind those are that must be given again."""
    params, given = encode_values(
        {k: v for k, v in estimator.get_params(deep=False).items() if k not in NEVER_KEPT}
    )
    return {"class": type(estimator).__name__, "params": params, "given": given}


def describe_columns(estimator: Any) -> dict[str, Any]:
    """Names and numbers of classes, domains and columns."""
    classes, names = estimator.classes_, getattr(estimator, "feature_names_in_", None)
    return {
        "classes": [classes.dtype.str, encode(classes.tolist())],
        "domains": estimator.domains_.tolist(),
        "n_features_in": estimator.n_features_in_,
        "feature_names_in": None if names is None else encode(names.tolist()),
        # dates, say, are left out: JSON has none
        **encode_values({"other_names": getattr(estimator, "_other_names", None)})[0],
    }


def tensors_of(estimator: Any) -> dict[str, Tensor]:
    """Every tensor of a fitted classifier; ValueError if its modules keep anything else."""
    for name in foreign_state(estimator.net_):
        if name.startswith("module."):
            raise ValueError(
                f"{name} is no tensor, and only tensors can be saved; use pickle, or keep it out "
                "of the module's state_dict."
            )
    return net_state(estimator.net_)


def make(cls: Any, params: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
    """Make an estimator of the parameters of a file; `given` ones go before them."""
    estimator = cls(**{**decode_values(params), **NEVER_KEPT, **given})
    check_params(estimator)
    return estimator


def size_up(estimator: Any, description: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    """Fitted attributes but the networks, and the shape of the latter, checked by themselves."""
    fitted = {**columns_of(description), **_history_of(description)}
    fitted |= _shift_of(description, len(fitted["classes_"]))
    shape = DataShape(
        fitted["n_features_in_"],
        fitted["classes_"],
        fitted["domains_"],
        description["n_targets"],
    )
    _check_size(estimator, shape, tensors)
    return fitted, shape


def fill(
    estimator: Any,
    fitted: dict[str, Any],
    shape: Any,
    description: dict[str, Any],
    tensors: dict[str, Tensor],
) -> None:
    """Rebuild the networks and become fitted."""
    stops_early = estimator.early_stopping
    net = new_net(estimator, shape, (description["seed"],), stops_early=stops_early)
    fill_state(net, tensors)
    net.n_epochs_done_ = description["n_epochs_done"]
    net.history.extend({**row, "batches": []} for row in fitted["history_"])
    net.module_.eval()
    vars(estimator).update(fitted)
    set_net(estimator, net)


def columns_of(description: dict[str, Any]) -> dict[str, Any]:
    """Fitted attributes that name classes, domains and columns, checked by themselves."""
    dtype, labels = np.dtype(description["classes"][0]), decode(description["classes"][1])
    n_features, names = description["n_features_in"], description["feature_names_in"]
    if dtype.kind not in "biufUO" or dtype.itemsize * len(labels) > MOST_LABEL_BYTES:
        raise ValueError(f"{len(labels)} classes of dtype {dtype}")
    fitted = {
        "classes_": np.array(labels, dtype=dtype),
        "domains_": np.array(description["domains"], dtype=np.int64),
        "n_features_in_": n_features,
    }
    for name, least in (("classes_", 2), ("domains_", 1)):
        values = fitted[name]
        if values.ndim != 1 or len(values) < least or not _are_different(values):
            raise ValueError(f"{name} must be {least} or more different values, not {values}")
    if names is not None:
        if len(names) != n_features or not all(isinstance(name, str) for name in names):
            raise ValueError(f"feature_names_in_ must be {n_features} strings, not {names}")
        fitted["feature_names_in_"] = np.array(names, dtype=object)
    fitted["_other_names"] = others = decode(description.get("other_names"))
    if others is not None and (not isinstance(others, list) or len(others) != n_features):
        raise ValueError(f"other_names must be {n_features} names, not {others}")
    return fitted


def _history_of(description: dict[str, Any]) -> dict[str, Any]:
    if description["n_epochs_done"] < 0:
        raise ValueError(f"{description['n_epochs_done']} epochs done")
    rows = [decode_values(row) for row in description["history"]]
    return {"history_": rows, "n_epochs_": len(rows)}


def _describe_shift(shift: LabelShift | None) -> list[Any] | None:
    return None if shift is None else [shift.kind, shift.priors.tolist(), shift.ratio.tolist()]


def _shift_of(description: dict[str, Any], n_classes: int) -> dict[str, Any]:
    """Fitted attributes of label shift, checked by themselves."""
    entry = description.get("label_shift")
    if entry is None:
        return {"_label_shift": None}
    kind, *numbers = entry
    priors, ratio = np.array(numbers, dtype=np.float64)
    is_ratio = 0 < ratio.min() <= ratio.max() < np.inf
    if kind not in KINDS or len(priors) != n_classes or not is_ratio:
        raise ValueError(f"label_shift is {entry}, not a kind, shares and ratios of all classes")
    return {"_label_shift": LabelShift(kind, priors, ratio), "target_priors_": priors}


def _are_different(values: np.ndarray) -> bool:
    return np.array_equal(np.sort(values), np.unique(values))  # nan equals nothing


def _check_size(estimator: Any, shape: DataShape, tensors: dict[str, Tensor]) -> None:
    """Check that the file holds the weights it asks for, before memory is taken for them."""
    n_features, n_targets = shape.n_features, shape.n_targets
    n_classes, n_domains = len(shape.classes), len(shape.domains)
    if not (n_features > 0 and 0 <= n_targets < n_domains):
        raise ValueError(f"{n_features} features, {n_targets} of {n_domains} domains are targets")
    n_statistics = 2 * n_domains if estimator.normalization == "domain_batch" else 0

    def least_weights(spec: Any, n_in: int, n_out: int) -> int:
        if not is_sizes(spec):
            return 0  # what the user's own modules take is not the file's doing
        if len(spec) > len(tensors):
            raise ValueError(f"{len(spec)} layers are asked for, in {len(tensors)} tensors")
        weights = sum(left * right for left, right in pairwise([n_in, *spec, n_out]))
        return int(weights + n_statistics * sum(spec))

    extractor, classifier = estimator.feature_extractor, estimator.domain_classifier
    width = [n_features, *extractor][-1] if is_sizes(extractor) else 1
    needed = least_weights(extractor, n_features, 0)
    needed += least_weights(estimator.label_predictor, width, n_classes)
    if n_targets and ADVERSARIES[estimator.adversarial].has_classifier:
        n_statistics = 0
        seen = width * n_classes if estimator.conditioning == "cdan" else width
        needed += least_weights(classifier, seen, n_domains - 1)
    if estimator.standardize is not None:
        needed += 3 * (n_domains + 1) * n_features
    held = sum(tensor.numel() for tensor in tensors.values())
    if needed > held:
        raise ValueError(f"{needed} weights are asked for, {held} numbers are held")
