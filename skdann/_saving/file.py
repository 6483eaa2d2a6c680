"""One file of JSON and tensors, checked before it is believed.

It is a safetensors file whose header holds one JSON text, "skdann": format, versions, and what the
writer has to say, with a SHA-256 of all that and the tensors.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import sklearn
import torch
from safetensors.torch import load, save
from torch import Tensor

FORMAT = 1
SAVE_ANEW = "take another copy of the file, or save the fitted estimator anew"


def pack(description: dict[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """Return the content of a file."""
    import skdann

    modules = (skdann, torch, sklearn, np)
    versions = {m.__name__: str(m.__version__) for m in modules}
    versions["python"] = platform.python_version()
    description = {"format": FORMAT, "versions": versions, **description}
    whole = {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }
    description["sha256"] = digest(description, whole)
    return save(whole, {"skdann": json.dumps(description, allow_nan=False)})


def unpack(
    content: bytes, path: Any, kind: str, entries: Mapping[str, type], remedy: str = SAVE_ANEW
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return description and tensors of a file that is whole and of a known format.

    Parameters
    ----------
    content : bytes
        Of the file.
    path : path-like
        Where it came from; the errors name it.
    kind : str
        What the file must hold, its "class".
    entries : dict of str to type
        What the description must hold.
    remedy : str
        What the errors advise.

    Raises
    ------
    ValueError
        If anything is wrong with the file.
    """
    with reading(path, "it is no whole safetensors file", remedy):
        tensors = load(content)
    with reading(path, "skdann did not write it, or its header is damaged", remedy):
        n_header = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + n_header])
        description = json.loads(header["__metadata__"]["skdann"])
        is_known = description["format"] == FORMAT
        if is_known and description.pop("sha256", None) != digest(description, tensors):
            raise ValueError("the content does not match its SHA-256")
        if is_known:
            check_entries(description, {"class": str})
            check_entries(description, entries if description["class"] == kind else {})
    if not is_known:
        versions = description.get("versions")
        raise ValueError(
            f"{path} cannot be loaded: it has format {description['format']!r}, but this skdann "
            f"reads {FORMAT}; use the version that wrote it: {versions}."
        )
    if description["class"] != kind:
        raise ValueError(
            f"{path} cannot be loaded as {kind}: it holds a {description['class']!r}; call the "
            "load method of that class, or give another path."
        )
    return description, tensors


def check_entries(description: dict[str, Any], entries: Mapping[str, type]) -> None:
    """Raise ValueError unless the description holds these entries, each of its type."""
    for name, kind in entries.items():
        if type(description.get(name)) is not kind:
            raise ValueError(f"{name} is {description.get(name)!r}, not a {kind.__name__}")


@contextlib.contextmanager
def reading(path: Any, what: str, remedy: str = SAVE_ANEW) -> Iterator[None]:
    """Turn whatever fails on a part of the file into a ValueError with finding and remedy."""
    try:
        yield
    except Exception as error:
        found = f"{type(error).__name__}: {error}"[:2000]
        raise ValueError(f"{path} cannot be loaded: {what} ({found}); {remedy}.") from error


def digest(description: dict[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the description and of every tensor's name and bytes."""
    found = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
