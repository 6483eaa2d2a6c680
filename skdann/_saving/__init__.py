"""Saving a fitted estimator in one file, and loading it without running anything the file says.

The file holds the state of every net as tensors, and as JSON parameters, classes, names, history.
What JSON cannot hold, such as modules of the user's own, is given again at load, never named by
the file. What is wrong with a file is a ``ValueError``, what is wrong with a path an ``OSError``.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sklearn.utils.validation import check_is_fitted

from skdann._input.parameters import check_device
from skdann._saving.estimator import ENTRIES, describe, fill, make, size_up, tensors_of
from skdann._saving.file import pack, reading, unpack
from skdann._saving.search import ENTRIES as SEARCH_ENTRIES
from skdann._saving.search import (
    PREFIX,
    describe_search,
    fill_members,
    fill_search,
    known_params,
    make_search,
    tensors_of_search,
)
from skdann._saving.state import foreign_state
from skdann.datasets._files import write_whole

__all__ = ["load", "pickled_state", "restore_net", "save"]

OTHER_PARAMS = "give load the parameters, modules and device that fit, or take another copy"
PARAMS, WHOLE = "its parameters are not those of a fit", "its description does not hold together"
NETWORKS = "its networks cannot be rebuilt"


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator to `path`."""
    check_is_fitted(estimator)
    if hasattr(estimator, "candidates_"):
        write_whole(path, pack(describe_search(estimator), tensors_of_search(estimator)))
    else:
        write_whole(path, pack(describe(estimator), tensors_of(estimator)))


def load(cls: Any, path: str | os.PathLike[str], device: str, params: Mapping[str, Any]) -> Any:
    """Read an estimator of class `cls`; `params` replace saved parameters."""
    member_cls = getattr(cls, "_member_class", None)
    if member_cls is None:
        return _load_classifier(cls, path, {**params, "device": device})
    return _load_search(cls, member_cls, path, {**params, PREFIX + "device": device})


def _load_classifier(cls: Any, path: Any, given: dict[str, Any]) -> Any:
    description, tensors = unpack(Path(path).read_bytes(), path, cls.__name__, ENTRIES)
    _check_given(cls, path, description, given, set(cls._get_param_names()))
    with reading(path, PARAMS, OTHER_PARAMS):
        estimator = make(cls, description["params"], given)
    with reading(path, WHOLE):
        fitted, shape = size_up(estimator, description, tensors)
    with reading(path, NETWORKS, OTHER_PARAMS):
        fill(estimator, fitted, shape, description, tensors)
    return estimator


def _load_search(cls: Any, member_cls: Any, path: Any, given: dict[str, Any]) -> Any:
    description, tensors = unpack(Path(path).read_bytes(), path, cls.__name__, SEARCH_ENTRIES)
    _check_given(cls, path, description, given, known_params(cls, member_cls))
    with reading(path, PARAMS, OTHER_PARAMS):
        search = make_search(cls, member_cls, description, given)
    with reading(path, WHOLE):
        fitted = fill_search(search, description, tensors)
    with reading(path, NETWORKS, OTHER_PARAMS):
        fill_members(fitted)
    return search


def pickled_state(estimator: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Put the content of a saved file for the net into what pickle and skops write.

    A net that keeps more than tensors stays as it is, for pickle to write if it can.
    """
    if "net_" not in state or foreign_state(estimator.net_):
        return state
    content = pack(describe(estimator), tensors_of(estimator))
    known = ("module_", "_label_shift", "_domain_statistics")
    return {name: value for name, value in state.items() if name not in known} | {"net_": content}


def restore_net(estimator: Any, content: bytes) -> None:
    """Rebuild the net of a `DANNClassifier` that has all else; on the CPU if its device is gone."""
    description, tensors = unpack(content, "The estimator", type(estimator).__name__, ENTRIES)
    fitted, shape = size_up(estimator, description, tensors)
    device = estimator.device
    try:
        check_device(device)
    except ValueError as error:
        warnings.warn(f"Taking the CPU instead: {error}", UserWarning, stacklevel=3)
        estimator.device = "cpu"
    try:
        fill(estimator, {**fitted, **vars(estimator)}, shape, description, tensors)
    finally:
        estimator.device = device


def _check_given(
    cls: Any, path: Any, description: dict[str, Any], given: dict[str, Any], known: set[str]
) -> None:
    """Check that the parameters no file can hold are given, and no unknown ones."""
    needed = description["given"]
    unknown = sorted(set(given) - known)
    if unknown:
        raise TypeError(
            f"{unknown} are not parameters of {cls.__name__}, so load takes none"
            + (f"; those of its estimator begin with {PREFIX}." if PREFIX + "lr" in known else ".")
        )
    missing = [name for name in needed if name not in given]
    if missing:
        saved = ", ".join(f"{name}=<{needed[name]}>" for name in missing)
        again = ", ".join(f"{name}=..." for name in missing)
        raise ValueError(
            f"{path} was saved with {saved}, which a file cannot hold; give it again: "
            f"{cls.__name__}.load(path, {again})."
        )
