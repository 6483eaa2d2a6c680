"""Saving a fitted estimator in one file, and loading it without running anything the file says.

The file is a safetensors file. Its tensors are the weights and buffers ("module."), the state of
the optimiser ("optimizer.") and of the random generators ("generator."); its header holds one JSON
text, "skdann": format, versions, parameters, classes, names, history, and a SHA-256 of all that and
the tensors. Loading builds the networks anew from the parameters, and takes the tensors only if
every name, shape and dtype is the expected one.

What is wrong with a file is a ``ValueError``, what is wrong with a path an ``OSError``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import platform
import uuid
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import sklearn
import torch
from safetensors.torch import load, save
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skdann.nn._module import is_sizes

FORMAT = 1
ENTRIES: dict[str, type] = {
    "class": str,
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
SAVE_ANEW = "take another copy of the file, or save the fitted estimator anew"
OTHER_PARAMS = "give load the parameters, modules and device that fit, or take another copy"


def save_estimator(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to `path`."""
    check_is_fitted(estimator)
    _write_whole(path, pack_estimator(estimator))


def load_estimator(cls: Any, path: str | os.PathLike[str], given: dict[str, Any]) -> Any:
    """Read an estimator of class `cls` from `path`; `given` parameters go before saved ones."""
    with open(path, "rb") as file:
        content = file.read()
    return unpack_estimator(cls, content, given, path)


def pack_estimator(estimator: Any) -> bytes:
    """Return the content of the file of a fitted estimator."""
    tensors = {
        name: tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in _state(estimator.net_).items()
    }
    description = _describe(estimator)
    description["sha256"] = _digest(description, tensors)
    return save(tensors, {"skdann": json.dumps(description, allow_nan=False)})


def unpack_estimator(cls: Any, content: bytes, given: dict[str, Any], path: Any) -> Any:
    """Make an estimator from the content of a file; the errors name `path`."""
    description, tensors = _read(content, path)
    _check_origin(cls, path, description, given)
    with _reading(path, "its parameters are not those of a fit", OTHER_PARAMS):
        estimator = cls(**{**_decode_values(description["params"]), **given})
        estimator._check_params()
    with _reading(path, "its description does not hold together"):
        fitted = _fitted_attributes(description)
        shape = SimpleNamespace(
            n_features=fitted["n_features_in_"],
            classes=fitted["classes_"],
            domains=fitted["domains_"],
            n_targets=description["n_targets"],
        )
        _check_size(estimator, shape, tensors)
    with _reading(path, "its networks cannot be rebuilt", OTHER_PARAMS):
        net = estimator._new_net(shape, (description["seed"],), estimator.early_stopping)
        _fill(net, tensors)
        net.n_epochs_done_ = description["n_epochs_done"]
        net.history.extend({**row, "batches": []} for row in fitted["history_"])
        net.module_.eval()
        vars(estimator).update(fitted, net_=net, module_=net.module_)
        estimator._n_features_out = estimator._count_features_out()
    return estimator


# -- the file -----------------------------------------------------------------------------------


def _write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that `path` holds the old content or the new, whatever happens."""
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name[:200]}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _read(content: bytes, path: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return description and tensors of a file that is whole and of a known format."""
    with _reading(path, "it is no whole safetensors file"):
        tensors = load(content)
    with _reading(path, "skdann did not write it, or its header is damaged"):
        n_header = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + n_header])
        description = json.loads(header["__metadata__"]["skdann"])
        is_known = description["format"] == FORMAT
        if is_known and description.pop("sha256", None) != _digest(description, tensors):
            raise ValueError("the content does not match its SHA-256")
        for name, kind in ENTRIES.items() if is_known else ():
            if type(description.get(name)) is not kind:
                raise ValueError(f"{name} is {description.get(name)!r}, not a {kind.__name__}")
    if not is_known:
        versions = description.get("versions")
        raise ValueError(
            f"{path} cannot be loaded: it has format {description['format']!r}, but this skdann "
            f"reads {FORMAT}; use the version that wrote it: {versions}."
        )
    return description, tensors


@contextlib.contextmanager
def _reading(path: Any, what: str, remedy: str = SAVE_ANEW) -> Iterator[None]:
    """Turn whatever fails on a part of the file into a ValueError with finding and remedy."""
    try:
        yield
    except Exception as error:
        found = f"{type(error).__name__}: {error}"[:2000]
        raise ValueError(f"{path} cannot be loaded: {what} ({found}); {remedy}.") from error


def _digest(description: dict[str, Any], tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the description and of every tensor's name and bytes."""
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


# -- the description ----------------------------------------------------------------------------


def _describe(estimator: Any) -> dict[str, Any]:
    """Everything but the tensors, as JSON can hold it."""
    import skdann

    modules = (skdann, torch, sklearn, np)
    params, given = _encode_values(estimator.get_params(deep=False))
    classes, names = estimator.classes_, getattr(estimator, "feature_names_in_", None)
    return {
        "format": FORMAT,
        "class": type(estimator).__name__,
        "versions": {m.__name__: str(m.__version__) for m in modules}
        | {"python": platform.python_version()},
        "params": params,
        "given": {k: getattr(v, "__qualname__", type(v).__qualname__) for k, v in given.items()},
        "classes": [classes.dtype.str, _encode(classes.tolist())],
        "domains": estimator.domains_.tolist(),
        "n_targets": estimator.net_.n_targets,
        "n_features_in": estimator.n_features_in_,
        "feature_names_in": None if names is None else _encode(names.tolist()),
        "history": [_encode_values(row)[0] for row in estimator.history_],
        "n_epochs_done": estimator.net_.n_epochs_done_,
        "seed": estimator.net_.seeds[0],
    }


def _encode(value: Any) -> Any:
    """Write a plain value as JSON that `_decode` gives back; TypeError for any other."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, list):
        return [_encode(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": _encode(list(value))}
    if isinstance(value, dict):
        return {"dict": _encode([list(item) for item in value.items()])}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} is not a plain value.")


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if isinstance(value, dict):
        ((kind, content),) = value.items()
        return {"tuple": tuple, "dict": dict, "float": float}[kind](_decode(content))
    return value


def _encode_values(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Encode the plain ones of named values; return the others as they are."""
    plain, others = {}, {}
    for name, value in values.items():
        try:
            plain[name] = _encode(value)
        except TypeError:
            others[name] = value
    return plain, others


def _decode_values(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _decode(value) for name, value in values.items()}


def _fitted_attributes(description: dict[str, Any]) -> dict[str, Any]:
    """Fitted attributes but the networks, checked by themselves."""
    dtype, labels = np.dtype(description["classes"][0]), _decode(description["classes"][1])
    n_features, names = description["n_features_in"], description["feature_names_in"]
    if dtype.kind not in "biufUO" or dtype.itemsize * len(labels) > MOST_LABEL_BYTES:
        raise ValueError(f"{len(labels)} classes of dtype {dtype}")
    fitted = {
        "classes_": np.array(labels, dtype=dtype),
        "domains_": np.array(description["domains"], dtype=np.int64),
        "n_features_in_": n_features,
        "history_": [_decode_values(row) for row in description["history"]],
        "n_epochs_": len(description["history"]),
    }
    if description["n_epochs_done"] < 0:
        raise ValueError(f"{description['n_epochs_done']} epochs done")
    for name, least in (("classes_", 2), ("domains_", 1)):
        values = fitted[name]
        if values.ndim != 1 or len(values) < least or not _are_different(values):
            raise ValueError(f"{name} must be {least} or more different values, not {values}")
    if names is not None:
        if len(names) != n_features or not all(isinstance(name, str) for name in names):
            raise ValueError(f"feature_names_in_ must be {n_features} strings, not {names}")
        fitted["feature_names_in_"] = np.array(names, dtype=object)
    return fitted


def _are_different(values: np.ndarray) -> bool:
    return np.array_equal(np.sort(values), np.unique(values))  # nan equals nothing


def _check_origin(cls: Any, path: Any, description: dict[str, Any], given: dict[str, Any]) -> None:
    """Check the class, and that the parameters no file can hold are given, and no unknown ones."""
    found, needed = description["class"], description["given"]
    if found != cls.__name__:
        raise ValueError(
            f"{path} cannot be loaded as {cls.__name__}: it holds a {found!r}; call the load "
            "method of that class."
        )
    unknown = sorted(set(given) - set(cls._get_param_names()))
    if unknown:
        raise TypeError(f"{unknown} are not parameters of {cls.__name__}, so load takes none.")
    missing = [name for name in needed if name not in given]
    if missing:
        saved = ", ".join(f"{name}=<{needed[name]}>" for name in missing)
        again = ", ".join(f"{name}=..." for name in missing)
        raise ValueError(
            f"{path} was saved with {saved}, which a file cannot hold; give it again: "
            f"{cls.__name__}.load(path, {again})."
        )


def _check_size(estimator: Any, shape: SimpleNamespace, tensors: dict[str, Tensor]) -> None:
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
    if n_targets:
        n_statistics = 0
        seen = width * n_classes if estimator.conditioning == "cdan" else width
        needed += least_weights(classifier, seen, n_domains - 1)
    if estimator.standardize is not None:
        needed += 3 * (n_domains + 1) * n_features
    held = sum(tensor.numel() for tensor in tensors.values())
    if needed > held:
        raise ValueError(f"{needed} weights are asked for, {held} numbers are held")


# -- the tensors --------------------------------------------------------------------------------


def _state(net: Any) -> dict[str, Tensor]:
    """Every tensor of a net, by name; they are the net's own, but for the generators."""
    state = {f"module.{name}": value for name, value in net.module_.state_dict().items()}
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{name} is a {type(value).__name__}; only tensors can be saved.")
    slots = {
        f"optimizer.{index}.{key}": value
        for index, slot in net.optimizer_.state_dict()["state"].items()
        for key, value in slot.items()
        if value is not None
    }
    if all(isinstance(value, Tensor) for value in slots.values()):
        state.update(slots)  # an optimiser of the user's that keeps anything else starts anew
    streams = net.generators_[0].items()
    return state | {f"generator.{name}": stream.get_state() for name, stream in streams}


def _fill(net: Any, tensors: dict[str, Tensor]) -> None:
    """Copy the tensors into a new net, if they are exactly those it has."""
    _step_by_nothing(net, {name.split(".")[1] for name in tensors if name.startswith("optimizer.")})
    state = _state(net)
    for what, names in (("missing", state.keys() - tensors), ("unknown", tensors.keys() - state)):
        if names:
            raise ValueError(f"{what} tensors: {', '.join(sorted(names)[:9])}")
    for name, own in state.items():
        found = tensors[name]
        if (found.shape, found.dtype) != (own.shape, own.dtype):
            raise ValueError(
                f"{name} is {found.dtype} of shape {tuple(found.shape)} in the file, and "
                f"{own.dtype} of shape {tuple(own.shape)} in the network"
            )
        with torch.no_grad():
            own.copy_(found)
    for name, stream in net.generators_[0].items():
        stream.set_state(tensors[f"generator.{name}"].clone())
    for name, parameter in net.module_.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise ValueError(f"the weights {name} are not finite")


def _step_by_nothing(net: Any, indices: set[str]) -> None:
    """Step by zero gradients, so that the optimiser has a state of these parameters to fill."""
    parameters = [p for group in net.optimizer_.param_groups for p in group["params"]]
    for index, parameter in enumerate(parameters):
        parameter.grad = torch.zeros_like(parameter) if str(index) in indices else None
    if indices:
        net.optimizer_.step()
        net.optimizer_.zero_grad(set_to_none=True)
