"""Checkpoints: a fit that was killed goes on where it was, and ends with the same bits.

Before each epoch the whole state of training is written to one file, in the format of
:mod:`skdann._saving`: the state of the net, the target rows that are still to come of a pass,
the history, and what callbacks with ``state_dict`` and ``load_state_dict`` keep. The file also says
of which fit it is: by the parameters, a digest of the rows, and one of the weights at the start.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from skdann._saving.file import digest, pack, reading, unpack
from skdann._saving.state import fill_state, foreign_state, net_state
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
BEGIN_ANEW = "remove the file to begin anew, or give checkpoint another path"
NOT_OF_THE_FIT = ("checkpoint", "verbose")


class Checkpoint:
    """One file, for one fit.

    Parameters
    ----------
    path : str or path-like
        Where to.
    params : dict
        Parameters by which the fit is known again.
    """

    def __init__(self, path: str | os.PathLike[str], params: Mapping[str, Any]) -> None:
        self.path = Path(path)
        plain, others = encode_values(
            {name: value for name, value in params.items() if name not in NOT_OF_THE_FIT}
        )
        self.fit: dict[str, Any] = {**plain, **{n: f"<{kind}>" for n, kind in others.items()}}
        self.is_written = False
        self.n_epochs = 0

    def resume(self, net: Any, fit_data: Any, batches: Any) -> int:
        """Bring the net to where the file left off; return how many epochs of the fit are done."""
        for name in foreign_state(net):
            raise ValueError(f"checkpoint cannot keep {name}, which is no tensor; leave it out.")
        self.fit |= {"rows": _digest_rows(fit_data), "start": digest({}, net_state(net))}
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return 0
        found, tensors = unpack(content, self.path, "checkpoint", ENTRIES, BEGIN_ANEW)
        self._check_fit(found)
        with reading(self.path, "it does not fit the networks", BEGIN_ANEW):
            self._take_up(net, batches, found, tensors)
        self.n_epochs = found["n_epochs"]
        return self.n_epochs

    def save(self, net: Any, batches: Any) -> None:
        """Write where the net is, before the next epoch.

        A disk that is full or gone stops a fit at its beginning, and only warns later on.
        """
        for name in foreign_state(net):
            raise ValueError(f"checkpoint cannot keep {name}, which is no tensor; leave it out.")
        try:
            write_whole(self.path, self._pack(net, batches))
        except OSError as error:
            if not self.is_written:
                raise
            text = f"The checkpoint {self.path} was not written ({error}); training goes on."
            warnings.warn(text, RuntimeWarning, stacklevel=2)
        self.is_written = True
        self.n_epochs += 1

    def remove(self) -> None:
        """Remove the file of a fit that has ended, and what kills have left of its writing."""
        for left in self.path.parent.glob(f".{self.path.name}.*.tmp"):
            left.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _pack(self, net: Any, batches: Any) -> bytes:
        callbacks, tensors = {}, _with(net_state(net), "batches", batches.state_dict())
        for name, callback in _callbacks(net):
            state = callback.state_dict()
            own = {key: value for key, value in state.items() if isinstance(value, Tensor)}
            tensors = _with(tensors, f"callback.{name}", own)
            callbacks[name] = {key: encode(state[key]) for key in state.keys() - own}
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
        return pack(description, _with(tensors, "torch", _global_generators(net)))

    def _check_fit(self, found: dict[str, Any]) -> None:
        """Raise unless the file is of this very fit."""
        own, other = self.fit, found["fit"]
        differing = sorted(name for name in own if own[name] != other.get(name))
        if differing:
            texts = {"rows": "the rows", "start": "the weights at the start (random_state)"}
            names = ", ".join(texts.get(name, name) for name in differing)
            raise ValueError(
                f"checkpoint={str(self.path)!r} is of another fit: {names} differ; {BEGIN_ANEW}."
            )

    def _take_up(
        self, net: Any, batches: Any, found: dict[str, Any], tensors: dict[str, Tensor]
    ) -> None:
        batches.load_state_dict(_take(tensors, "batches"))
        _set_global_generators(net, _take(tensors, "torch"))
        for name, callback in _callbacks(net):
            plain = decode_values(found["callbacks"][name])
            callback.load_state_dict({**plain, **_take(tensors, f"callback.{name}")})
        figures = {name: value.numpy() for name, value in _take(tensors, "history").items()}
        n_rows = len(next(iter(figures.values()), ()))
        net.member_history_ = [
            {name: values[row] for name, values in figures.items()} for row in range(n_rows)
        ]
        fill_state(net, tensors)
        for group, saved in zip(net.optimizer_.param_groups, found["groups"], strict=True):
            group.update({**decode_values(saved), "params": group["params"]})
        net.n_epochs_done_ = found["n_epochs_done"]
        del net.history[:]
        net.history.extend({**decode_values(row), "batches": []} for row in found["history"])


@contextlib.contextmanager
def numbered_checkpoints(
    path: str | os.PathLike[str] | None,
) -> Iterator[Callable[[Mapping[str, Any]], Checkpoint | None]]:
    """Give a maker of checkpoints, path.0, path.1, ...; all are kept until the block has ended."""
    made: list[Checkpoint] = []

    def make(params: Mapping[str, Any]) -> Checkpoint | None:
        if path is None:
            return None
        made.append(Checkpoint(f"{os.fspath(path)}.{len(made)}", params))
        return made[-1]

    yield make
    for checkpoint in made:
        checkpoint.remove()


def _callbacks(net: Any) -> Iterator[tuple[str, Any]]:
    """Callbacks that keep a state of their own and can be given it again."""
    for name, callback in net.callbacks_:
        if hasattr(callback, "state_dict") and hasattr(callback, "load_state_dict"):
            yield name, callback


def _with(tensors: dict[str, Tensor], prefix: str, more: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return tensors | {f"{prefix}.{name}": value for name, value in more.items()}


def _take(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    names = [name for name in tensors if name.startswith(f"{prefix}.")]
    return {name.removeprefix(f"{prefix}."): tensors.pop(name) for name in names}


def _global_generators(net: Any) -> dict[str, Tensor]:
    """States of torch's own generators, which modules of the user's may draw from."""
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


def _digest_rows(fit_data: Any) -> str:
    """SHA-256 of all that a fit trains on."""
    data, found = fit_data.data, hashlib.sha256()
    parts = [data.X.data, data.X.indices, data.X.indptr] if sp.issparse(data.X) else [data.X]
    parts += [data.y, data.domain, data.weight, fit_data.train, fit_data.valid]
    for part in [*parts, fit_data.class_weight]:
        values = np.ascontiguousarray(np.zeros(0) if part is None else part)
        found.update(f"{values.dtype.str}{values.shape}".encode())
        found.update(values.reshape(-1).view(np.uint8).data)
    return found.hexdigest()
