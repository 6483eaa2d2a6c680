"""Saving a fitted estimator in one file, and loading it without executing code from the file.

The file holds the state of every net as tensors, and parameters, classes, names and history as
JSON. Values that JSON cannot represent, such as custom modules, are passed again to `load`. An
invalid file raises ``ValueError``, an invalid path ``OSError``.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sklearn.utils.validation import check_is_fitted

from skdann._input.parameters import check_device
from skdann._saving.estimator import (
    build_estimator,
    collect_tensors,
    describe_network,
    entries_of,
    read_fitted,
    restore_network,
)
from skdann._saving.file import pack, unpack, wrap_errors
from skdann._saving.search import ENTRIES as SEARCH_ENTRIES
from skdann._saving.search import (
    PREFIX,
    build_search,
    collect_search_tensors,
    describe_search,
    known_params,
    restore_members,
    restore_search,
)
from skdann._saving.state import non_tensor_state
from skdann.datasets._files import write_whole

__all__ = ["load", "pickled_state", "restore_net", "save"]

PASS_PARAMS = "pass the matching parameters, modules and device to load, or use another copy"
PARAMS = "its parameters are invalid"
DESCRIPTION = "its description is inconsistent"
NETWORKS = "its networks cannot be rebuilt"


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to `path`."""
    check_is_fitted(estimator)
    if hasattr(estimator, "candidates_"):
        write_whole(path, pack(describe_search(estimator), collect_search_tensors(estimator)))
    else:
        write_whole(path, pack(describe_network(estimator), collect_tensors(estimator)))


def load(cls: Any, path: str | os.PathLike[str], device: str, params: Mapping[str, Any]) -> Any:
    """Load an estimator of class `cls`; `params` override saved parameters."""
    member_cls = getattr(cls, "_member_class", None)
    if member_cls is None:
        return _load_network(cls, path, {**params, "device": device})
    return _load_search(cls, member_cls, path, {**params, PREFIX + "device": device})


def _load_network(cls: Any, path: Any, overrides: dict[str, Any]) -> Any:
    description, tensors = unpack(Path(path).read_bytes(), path, cls.__name__, entries_of(cls))
    _check_overrides(cls, path, description, overrides, set(cls._get_param_names()))
    with wrap_errors(path, PARAMS, PASS_PARAMS):
        estimator = build_estimator(cls, description["params"], overrides)
    with wrap_errors(path, DESCRIPTION):
        fitted, shape = read_fitted(estimator, description, tensors)
    with wrap_errors(path, NETWORKS, PASS_PARAMS):
        restore_network(estimator, fitted, shape, description, tensors)
    return estimator


def _load_search(cls: Any, member_cls: Any, path: Any, overrides: dict[str, Any]) -> Any:
    description, tensors = unpack(Path(path).read_bytes(), path, cls.__name__, SEARCH_ENTRIES)
    _check_overrides(cls, path, description, overrides, known_params(cls, member_cls))
    with wrap_errors(path, PARAMS, PASS_PARAMS):
        search = build_search(cls, member_cls, description, overrides)
    with wrap_errors(path, DESCRIPTION):
        fitted = restore_search(search, description, tensors)
    with wrap_errors(path, NETWORKS, PASS_PARAMS):
        restore_members(fitted)
    return search


def pickled_state(estimator: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Replace the net in the state for pickle and skops by the content of a saved file.

    A net whose state is not all tensors is left to pickle.
    """
    if "net_" not in state or non_tensor_state(estimator.net_):
        return state
    content = pack(describe_network(estimator), collect_tensors(estimator))
    known = ("module_", "_label_shift", "_label_scale", "_domain_statistics", "_columns")
    return {name: value for name, value in state.items() if name not in known} | {"net_": content}


def restore_net(estimator: Any, content: bytes) -> None:
    """Rebuild the net of an unpickled estimator, on the CPU if its device is missing."""
    cls = type(estimator)
    description, tensors = unpack(content, "The estimator", cls.__name__, entries_of(cls))
    fitted, shape = read_fitted(estimator, description, tensors)
    device = estimator.device
    try:
        check_device(device)
    except ValueError as error:
        warnings.warn(f"The estimator is loaded on the CPU: {error}", UserWarning, stacklevel=3)
        estimator.device = "cpu"
    try:
        restore_network(estimator, {**fitted, **vars(estimator)}, shape, description, tensors)
    finally:
        estimator.device = device


def _check_overrides(
    cls: Any, path: Any, description: dict[str, Any], overrides: dict[str, Any], known: set[str]
) -> None:
    """Raise if parameters that a file cannot store are missing, or if any is unknown."""
    needed = description["given"]
    unknown = sorted(set(overrides) - known)
    if unknown:
        is_search = PREFIX + "lr" in known
        prefix = f", or of its estimator with the prefix {PREFIX!r}" if is_search else ""
        raise TypeError(
            f"load got unexpected parameters {unknown}; pass parameters of {cls.__name__}{prefix}."
        )
    missing = [name for name in needed if name not in overrides]
    if missing:
        saved = ", ".join(f"{name}=<{needed[name]}>" for name in missing)
        again = ", ".join(f"{name}=..." for name in missing)
        raise ValueError(
            f"{path} was saved with {saved}, which a file cannot store; pass it again: "
            f"{cls.__name__}.load(path, {again})."
        )
