"""Conversion of a fitted estimator with networks to a description and tensors, and back.

Loading rebuilds the networks from the parameters, and raises unless the tensors have the expected
names, shapes and dtypes.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from torch import Tensor

from skdann._input.columns import read_description
from skdann._input.numeric_labels import LabelScale
from skdann._saving.state import load_net_state, net_state, non_tensor_state
from skdann._saving.values import decode, decode_values, encode, encode_values
from skdann._training.fitting import new_net, set_net
from skdann._training.label_shift import KINDS, LabelShift
from skdann._training.objective import ADVERSARIES
from skdann._training.params import DataShape, check_params, read_param
from skdann.nn._module import is_sizes

ENTRIES: dict[str, type] = {
    "params": dict,
    "given": dict,
    "domains": list,
    "n_targets": int,
    "n_features_in": int,
    "history": list,
    "n_epochs_done": int,
    "seed": int,
}
OF_CLASSES: dict[str, type] = {"classes": list}
OF_NUMBERS: dict[str, type] = {"label_scale": list}
MAX_LABEL_BYTES = 2**30
# a file must not choose a path to write to, and a loaded estimator is in no group of processes
NOT_SAVED = {"checkpoint": None, "distributed": False}


def entries_of(cls: Any) -> dict[str, type]:
    """Return the entries that the description of an estimator of this class needs."""
    return ENTRIES | (OF_NUMBERS if is_regressor_class(cls) else OF_CLASSES)


def is_regressor_class(cls: Any) -> bool:
    """Whether the labels of an estimator of this class are numbers."""
    return issubclass(cls, RegressorMixin)


def describe_network(estimator: Any) -> dict[str, Any]:
    """Return everything in a fitted estimator except its tensors, as JSON."""
    net = estimator.net_
    return {
        **describe_params(estimator),
        **describe_columns(estimator),
        "n_targets": net.n_targets,
        "label_shift": _describe_label_shift(getattr(estimator, "_label_shift", None)),
        "history": [encode_values(row)[0] for row in estimator.history_],
        "n_epochs_done": net.n_epochs_done_,
        "seed": net.seeds[0],
    }


def describe_params(estimator: Any) -> dict[str, Any]:
    """Return class and parameters, and the types of those that must be passed to `load`."""
    params, given = encode_values(
        {k: v for k, v in estimator.get_params(deep=False).items() if k not in NOT_SAVED}
    )
    return {"class": type(estimator).__name__, "params": params, "given": given}


def describe_columns(estimator: Any) -> dict[str, Any]:
    """Return the labels, the domains, and the number and names of the columns."""
    names = getattr(estimator, "feature_names_in_", None)
    statistics = estimator._domain_statistics
    return {
        **_describe_labels(estimator),
        "domains": estimator.domains_.tolist(),
        "n_features_in": estimator.n_features_in_,
        "feature_names_in": None if names is None else encode(names.tolist()),
        # dates, say, are left out: JSON has none
        **encode_values({"other_names": getattr(estimator, "_other_names", None)})[0],
        "columns": None if estimator._columns is None else encode(estimator._columns.describe()),
        "is_pooled": estimator._is_pooled,
        "placeholders": encode(list(estimator._placeholders)),
        "domain_statistics": None if statistics is None else [s.tolist() for s in statistics],
    }


def _describe_labels(estimator: Any) -> dict[str, Any]:
    """Return the classes, or the scale of the numbers."""
    if not is_regressor_class(type(estimator)):
        classes = estimator.classes_
        return {"classes": [classes.dtype.str, encode(classes.tolist())]}
    scale = estimator._label_scale
    return {"label_scale": [scale.location.tolist(), scale.scale.tolist(), scale.is_vector]}


def collect_tensors(estimator: Any) -> dict[str, Tensor]:
    """Return all tensors of a fitted estimator; raise if a module has other state."""
    for name in non_tensor_state(estimator.net_):
        if name.startswith("module."):
            raise ValueError(
                f"{name} is not a tensor, and only tensors can be saved; use pickle, or remove it "
                "from the module's state_dict."
            )
    return net_state(estimator.net_)


def build_estimator(cls: Any, params: Mapping[str, Any], overrides: Mapping[str, Any]) -> Any:
    """Create an estimator from saved parameters, some of them overridden."""
    estimator = cls(**{**decode_values(params), **NOT_SAVED, **overrides})
    check_params(estimator)
    return estimator


def read_fitted(estimator: Any, description: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    """Return the fitted attributes except the net, and the shape of its data, after checks."""
    fitted = {**read_columns(description), **_read_history(description)}
    if "classes_" in fitted:
        n_outputs = len(fitted["classes_"])
        fitted |= _read_label_shift(description, n_outputs)
    else:
        n_outputs = fitted["n_outputs_"]
    shape = DataShape(
        n_encoded(fitted),
        n_outputs,
        fitted["domains_"],
        description["n_targets"],
    )
    _check_size(estimator, shape, tensors)
    check_statistics(fitted)
    return fitted, shape


def restore_network(
    estimator: Any,
    fitted: dict[str, Any],
    shape: Any,
    description: dict[str, Any],
    tensors: dict[str, Tensor],
) -> None:
    """Rebuild the net and set all fitted attributes."""
    stops_early = estimator.early_stopping
    net = new_net(estimator, shape, (description["seed"],), stops_early=stops_early)
    load_net_state(net, tensors)
    net.n_epochs_done_ = description["n_epochs_done"]
    net.history.extend({**row, "batches": []} for row in fitted["history_"])
    net.module_.eval()
    vars(estimator).update(fitted)
    set_net(estimator, net)


def read_columns(description: dict[str, Any]) -> dict[str, Any]:
    """Return the fitted attributes for labels, domains and columns, after checks."""
    n_features, names = description["n_features_in"], description["feature_names_in"]
    fitted = {
        **_read_labels(description),
        "domains_": np.array(description["domains"], dtype=np.int64),
        "n_features_in_": n_features,
    }
    for name, n_min in (("classes_", 2), ("domains_", 1)):
        values = fitted.get(name)
        if values is None:
            continue
        if values.ndim != 1 or len(values) < n_min or not _are_distinct(values):
            raise ValueError(f"{name} must be {n_min} or more distinct values, not {values}")
    if names is not None:
        if len(names) != n_features or not all(isinstance(name, str) for name in names):
            raise ValueError(f"feature_names_in_ must be {n_features} strings, not {names}")
        fitted["feature_names_in_"] = np.array(names, dtype=object)
    fitted["_other_names"] = others = decode(description.get("other_names"))
    if others is not None and (not isinstance(others, list) or len(others) != n_features):
        raise ValueError(f"other_names must be {n_features} names, not {others}")
    entry = decode(description.get("columns"))
    raw = others if names is None else names
    fitted["_columns"] = None if entry is None else read_description(entry, n_features, raw)
    fitted["_is_pooled"] = bool(description.get("is_pooled", False))
    fitted["_placeholders"] = decode(description.get("placeholders", []))
    moments = description.get("domain_statistics")
    fitted["_domain_statistics"] = moments and tuple(np.array(m, dtype=float) for m in moments)
    return fitted


def _read_labels(description: dict[str, Any]) -> dict[str, Any]:
    """Return the fitted attributes for classes, or for numbers."""
    if "label_scale" in description:
        if "classes" in description:
            raise ValueError("it has classes and a label_scale")
        location, scale, is_vector = description["label_scale"]
        read = LabelScale(np.array(location, float), np.array(scale, float), bool(is_vector))
        is_vectors = read.location.ndim == 1 and read.location.shape == read.scale.shape
        if not is_vectors or not np.isfinite([read.location, read.scale]).all():
            raise ValueError(f"label_scale is {description['label_scale']}, not two vectors")
        if not len(read.location) or (read.scale < 0).any() or (is_vector and len(location) > 1):
            raise ValueError(f"label_scale is {description['label_scale']}, not of any labels")
        return {"_label_scale": read, "n_outputs_": len(read.location)}
    dtype, labels = np.dtype(description["classes"][0]), decode(description["classes"][1])
    if dtype.kind not in "biufUO" or dtype.itemsize * len(labels) > MAX_LABEL_BYTES:
        raise ValueError(f"{len(labels)} classes of dtype {dtype}")
    return {"classes_": np.array(labels, dtype=dtype)}


def n_encoded(fitted: dict[str, Any]) -> int:
    """Return the number of columns that the networks get."""
    columns = fitted["_columns"]
    return int(fitted["n_features_in_"] if columns is None else columns.n_encoded)


def check_statistics(fitted: dict[str, Any]) -> None:
    """Raise unless the statistics that distinguish the domains fit the columns."""
    if fitted["_domain_statistics"] is None:
        return
    shape = (2, n_encoded(fitted))
    mean, std = fitted["_domain_statistics"]
    if mean.shape != shape or std.shape != shape or not (std > 0).all():
        raise ValueError(f"domain_statistics must be two moments of {shape[1]} columns")


def _read_history(description: dict[str, Any]) -> dict[str, Any]:
    if description["n_epochs_done"] < 0:
        raise ValueError(f"n_epochs_done is {description['n_epochs_done']}, which is negative")
    rows = [decode_values(row) for row in description["history"]]
    return {"history_": rows, "n_epochs_": len(rows)}


def _describe_label_shift(shift: LabelShift | None) -> list[Any] | None:
    return None if shift is None else [shift.kind, shift.priors.tolist(), shift.ratio.tolist()]


def _read_label_shift(description: dict[str, Any], n_classes: int) -> dict[str, Any]:
    """Return the fitted attributes for label shift, after checks."""
    entry = description.get("label_shift")
    if entry is None:
        return {"_label_shift": None}
    kind, *numbers = entry
    priors, ratio = np.array(numbers, dtype=np.float64)
    is_ratio = 0 < ratio.min() <= ratio.max() < np.inf
    if kind not in KINDS or len(priors) != n_classes or not is_ratio:
        raise ValueError(
            f"label_shift is {entry}, not a kind, and shares and ratios of all classes"
        )
    return {"_label_shift": LabelShift(kind, priors, ratio), "target_priors_": priors}


def _are_distinct(values: np.ndarray) -> bool:
    return np.array_equal(np.sort(values), np.unique(values))  # NaN is not equal to itself


def _check_size(estimator: Any, shape: DataShape, tensors: dict[str, Tensor]) -> None:
    """Raise if the file holds fewer values than its networks need, before they are built."""
    n_features, n_targets = shape.n_features, shape.n_targets
    n_outputs, n_domains = shape.n_outputs, len(shape.domains)
    if not (n_features > 0 and 0 <= n_targets < n_domains):
        raise ValueError(
            f"it has {n_features} features, and {n_targets} of {n_domains} domains are targets"
        )
    n_statistics = 2 * n_domains if estimator.normalization == "domain_batch" else 0

    def count_weights(spec: Any, n_in: int, n_out: int) -> int:
        if not is_sizes(spec):
            return 0  # custom modules are not built from the file
        if len(spec) > len(tensors):
            raise ValueError(f"{len(spec)} layers need more than {len(tensors)} tensors")
        weights = sum(left * right for left, right in pairwise([n_in, *spec, n_out]))
        return int(weights + n_statistics * sum(spec))

    extractor, classifier = estimator.feature_extractor, estimator.domain_classifier
    width = [n_features, *extractor][-1] if is_sizes(extractor) else 1
    needed = count_weights(extractor, n_features, 0)
    needed += count_weights(estimator.label_predictor, width, n_outputs)
    if n_targets and ADVERSARIES[estimator.adversarial].has_classifier:
        n_statistics = 0
        is_conditioned = read_param(estimator, "conditioning") == "cdan"
        n_conditioned = width * n_outputs if is_conditioned else width
        needed += count_weights(classifier, n_conditioned, n_domains - 1)
    if estimator.standardize is not None:
        needed += 3 * (n_domains + 1) * n_features
    n_values = sum(tensor.numel() for tensor in tensors.values())
    if needed > n_values:
        raise ValueError(f"its networks need {needed} weights, but it holds {n_values} values")
