"""Checkpoints: a killed fit resumes at its last epoch, with bit-identical results.

Before each epoch, the state of training is written to one file, in the format of
:mod:`skdann._saving`: the state of the net, the remaining target rows of each pass, the history,
and the state of callbacks with ``state_dict`` and ``load_state_dict``. The file also identifies its
fit: by the parameters, a hash of the rows, and a hash of the initial weights.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from skdann._saving.file import digest, pack, unpack, wrap_errors
from skdann._saving.state import load_net_state, net_state, non_tensor_state
from skdann._saving.values import decode_values, encode, encode_values
from skdann.datasets._files import write_whole

ENTRIES: dict[str, type] = {
    "fit": dict,
    "n_epochs": int,
    "n_epochs_done": int,
    "history": list,
    "groups": list,
    "callbacks": dict,
}
START_OVER = "delete the file to start over, or set checkpoint to another path"
NOT_COMPARED = ("checkpoint", "verbose")


class Checkpoint:
    """Checkpoint file of one fit.

    Parameters
    ----------
    path : str or path-like
        Where to write.
    params : dict
        Parameters that identify the fit.
    """

    def __init__(self, path: str | os.PathLike[str], params: Mapping[str, Any]) -> None:
        self.path = Path(path)
        plain, others = encode_values(
            {name: value for name, value in params.items() if name not in NOT_COMPARED}
        )
        self.fit: dict[str, Any] = {**plain, **{n: f"<{kind}>" for n, kind in others.items()}}
        self.is_written = False
        self.n_epochs = 0

    def resume(self, net: Any, fit_data: Any, batches: Any) -> int:
        """Restore the net from the file, if it exists; return the number of completed epochs."""
        _check_is_storable(net)
        self.fit |= {"rows": _hash_rows(fit_data), "start": digest({}, net_state(net))}
        content = self._read() if batches.ranks is None else batches.ranks.of_first(self._read)
        if content is None:
            return 0
        description, tensors = unpack(content, self.path, "checkpoint", ENTRIES, START_OVER)
        if batches.ranks is None or batches.ranks.is_first:  # others may have other callbacks
            self._check_fit(description)
        with wrap_errors(self.path, "it does not match the networks", START_OVER):
            self._restore(net, batches, description, tensors)
        self.n_epochs = description["n_epochs"]
        return self.n_epochs

    def _read(self) -> bytes | None:
        with contextlib.suppress(FileNotFoundError):
            return self.path.read_bytes()
        return None

    def save(self, net: Any, batches: Any) -> None:
        """Write the state of training, before the next epoch.

        If writing fails, the first call raises and later calls only warn. Of several processes the
        first one writes.
        """
        _check_is_storable(net)
        try:
            if batches.ranks is None or batches.ranks.is_first:
                write_whole(self.path, self._pack(net, batches))
        except OSError as error:
            if not self.is_written:
                raise
            text = f"The checkpoint {self.path} could not be written ({error}); training continues."
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        self.is_written = True
        self.n_epochs += 1

    def remove(self) -> None:
        """Remove the file, and temporary files that killed processes have left."""
        for temporary in self.path.parent.glob(f".{self.path.name}.*.tmp"):
            temporary.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _pack(self, net: Any, batches: Any) -> bytes:
        callbacks, tensors = {}, net_state(net) | _add_prefix("batches", batches.state_dict())
        for name, callback in _callbacks(net):
            state = callback.state_dict()
            parts = {key: value for key, value in state.items() if isinstance(value, Tensor)}
            tensors |= _add_prefix(f"callback.{name}", parts)
            callbacks[name] = {key: encode(state[key]) for key in state.keys() - parts}
        figures = net.member_history_
        for name in figures[0] if figures else ():
            values = np.stack([row[name] for row in figures])
            tensors[f"history.{name}"] = torch.from_numpy(values)
        groups = net.optimizer_.state_dict()["param_groups"]
        description = {
            "class": "checkpoint",
            "fit": self.fit,
            "n_epochs": self.n_epochs,
            "n_epochs_done": net.n_epochs_done_,
            "history": [
                encode_values({key: row[key] for key in row.keys() - {"batches"}})[0]
                for row in net.history
            ],
            "groups": [encode_values({**group, "params": None})[0] for group in groups],
            "callbacks": callbacks,
        }
        return pack(description, tensors | _add_prefix("torch", _global_generators(net)))

    def _check_fit(self, description: dict[str, Any]) -> None:
        """Raise unless the file belongs to this fit."""
        saved = description["fit"]
        differing = sorted(name for name in self.fit if self.fit[name] != saved.get(name))
        if differing:
            texts = {"rows": "the rows", "start": "the initial weights (random_state)"}
            names = ", ".join(texts.get(name, name) for name in differing)
            raise ValueError(
                f"checkpoint={str(self.path)!r} belongs to another fit: {names} differ; "
                f"{START_OVER}."
            )

    def _restore(
        self, net: Any, batches: Any, description: dict[str, Any], tensors: dict[str, Tensor]
    ) -> None:
        batches.load_state_dict(_pop_prefix("batches", tensors))
        _set_global_generators(net, _pop_prefix("torch", tensors))
        for name, callback in _callbacks(net):
            if name not in description["callbacks"]:  # a progress bar that was not shown before
                continue
            plain = decode_values(description["callbacks"][name])
            callback.load_state_dict({**plain, **_pop_prefix(f"callback.{name}", tensors)})
        history = _pop_prefix("history", tensors)
        figures = {name: value.numpy() for name, value in history.items()}
        n_rows = len(next(iter(figures.values()), ()))
        net.member_history_ = [
            {name: values[row] for name, values in figures.items()} for row in range(n_rows)
        ]
        load_net_state(net, tensors)
        for group, saved in zip(net.optimizer_.param_groups, description["groups"], strict=True):
            group.update({**decode_values(saved), "params": group["params"]})
        net.n_epochs_done_ = description["n_epochs_done"]
        del net.history[:]
        net.history.extend({**decode_values(row), "batches": []} for row in description["history"])


@contextlib.contextmanager
def numbered_checkpoints(
    path: str | os.PathLike[str] | None,
) -> Iterator[Callable[[Sequence[Any]], Checkpoint | None]]:
    """Yield a function that creates checkpoints path.0, path.1, ...; remove their files at the end.

    If the block fails, the files are kept.
    """
    checkpoints: list[Checkpoint] = []

    def next_checkpoint(members: Sequence[Any]) -> Checkpoint | None:
        if path is None:
            return None
        params = {"members": [repr(member.get_params()) for member in members]}
        checkpoints.append(Checkpoint(f"{os.fspath(path)}.{len(checkpoints)}", params))
        return checkpoints[-1]

    yield next_checkpoint
    for checkpoint in checkpoints:
        checkpoint.remove()


def _check_is_storable(net: Any) -> None:
    """Raise if part of the state of a net is not a tensor."""
    for name in non_tensor_state(net):
        raise ValueError(
            f"checkpoint cannot store {name}, which is not a tensor; remove it from the state of "
            "the module or optimizer, or set checkpoint=None."
        )


def _callbacks(net: Any) -> Iterator[tuple[str, Any]]:
    """Yield the callbacks whose state can be saved and restored."""
    for name, callback in net.callbacks_:
        if hasattr(callback, "state_dict") and hasattr(callback, "load_state_dict"):
            yield name, callback


def _add_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def _pop_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove the tensors whose names have a prefix, and return them without it."""
    names = [name for name in tensors if name.startswith(f"{prefix}.")]
    return {name.removeprefix(f"{prefix}."): tensors.pop(name) for name in names}


def _global_generators(net: Any) -> dict[str, Tensor]:
    """Return the states of torch's global generators, which custom modules may use."""
    if not net.has_user_modules:
        return {}
    states = {"cpu": torch.get_rng_state()}
    if torch.device(net.device).type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(net.device)
    return states


def _set_global_generators(net: Any, states: Mapping[str, Tensor]) -> None:
    if net.has_user_modules:
        torch.set_rng_state(states["cpu"].clone())
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"].clone(), net.device)


def _hash_rows(fit_data: Any) -> str:
    """Return the SHA-256 of the training data."""
    data, sha256 = fit_data.data, hashlib.sha256()
    parts = [data.X.data, data.X.indices, data.X.indptr] if sp.issparse(data.X) else [data.X]
    parts += [data.y, data.domain, data.weight, fit_data.train, fit_data.valid]
    if fit_data.labelled is not None:
        parts += [data.y_known, fit_data.labelled]
    for part in [*parts, fit_data.class_weight]:
        values = np.ascontiguousarray(np.zeros(0) if part is None else part)
        sha256.update(f"{values.dtype.str}{values.shape}".encode())
        sha256.update(values.reshape(-1).view(np.uint8).data)
    return sha256.hexdigest()
