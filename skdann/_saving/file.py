"""File format: a JSON description and tensors, verified before use.

It is a safetensors file whose header holds one JSON text, "skdann": format, versions, the
description, and a SHA-256 of these and of the tensors.
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
SAVE_AGAIN = "use another copy of the file, or save the fitted estimator again"


def pack(description: dict[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """Return the content of a file with a description and tensors."""
    import skdann

    modules = (skdann, torch, sklearn, np)
    versions = {m.__name__: str(m.__version__) for m in modules}
    versions["python"] = platform.python_version()
    description = {"format": FORMAT, "versions": versions, **description}
    stored = {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }
    description["sha256"] = digest(description, stored)
    return save(stored, {"skdann": json.dumps(description, allow_nan=False)})


def unpack(
    content: bytes, path: Any, kind: str, entries: Mapping[str, type], remedy: str = SAVE_AGAIN
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the description and the tensors of a file, after verifying it.

    Parameters
    ----------
    content : bytes
        Content of the file.
    path : path-like
        Path of the file, for error messages.
    kind : str
        Expected "class" of the file.
    entries : dict of str to type
        Required entries of the description and their types.
    remedy : str
        Advice in error messages.

    Raises
    ------
    ValueError
        If the file is damaged, or of another format or class.
    """
    with wrap_errors(path, "it is not a complete safetensors file", remedy):
        tensors = load(content)
    with wrap_errors(path, "it was not written by skdann, or its header is damaged", remedy):
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
            f"{path} cannot be loaded: it has format {description['format']!r}, but this version "
            f"of skdann reads format {FORMAT}; use the version that wrote it: {versions}."
        )
    if description["class"] != kind:
        raise ValueError(
            f"{path} cannot be loaded as {kind}: it holds a {description['class']!r}; call the "
            "load method of that class, or pass another path."
        )
    return description, tensors


def check_entries(description: dict[str, Any], entries: Mapping[str, type]) -> None:
    """Raise ValueError unless the description has these entries with these types."""
    for name, kind in entries.items():
        if type(description.get(name)) is not kind:
            raise ValueError(f"{name} is {description.get(name)!r}, not a {kind.__name__}")


@contextlib.contextmanager
def wrap_errors(path: Any, what: str, remedy: str = SAVE_AGAIN) -> Iterator[None]:
    """Raise any error in the block as a ValueError with the problem and a remedy."""
    try:
        yield
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"[:2000]
        raise ValueError(f"{path} cannot be loaded: {what} ({cause}); {remedy}.") from error


def digest(description: dict[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of the description and of the names and bytes of the tensors."""
    sha256 = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
    for name in sorted(tensors):
        sha256.update(name.encode())
        sha256.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return sha256.hexdigest()
