"""Random generators: one seed per member, one stream per purpose."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

STREAMS = (
    "feature_extractor",
    "label_predictor",
    "domain_classifier",
    "source_dropout",
    "target_dropout",
    "domain_dropout",
    "source_order",
    "target_order",
    "validation",
    "user_modules",
)


class Stream(torch.Generator):
    """Generator that can be copied and pickled any number of times.

    Each copy of torch's own (2.13 and before) takes a reference to None that it does not own, and
    Python 3.11 ends after some thousand copies: https://github.com/pytorch/pytorch/issues/188032.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_stream, (self.get_state(),)


def _restore_stream(state: torch.Tensor) -> Stream:
    stream = Stream()
    stream.set_state(state)
    return stream


def spawn_generators(seed: int) -> dict[str, torch.Generator]:
    """Return an independent generator for each purpose, all derived from one seed."""
    seeds = np.random.SeedSequence(seed).generate_state(len(STREAMS), np.uint64) >> 1
    return {
        name: Stream().manual_seed(int(stream_seed))
        for name, stream_seed in zip(STREAMS, seeds, strict=True)
    }


def copy_generators(streams: dict[str, torch.Generator]) -> dict[str, torch.Generator]:
    """Return independent generators in the same states."""
    copies: dict[str, torch.Generator] = {}
    for name, stream in streams.items():
        copies[name] = Stream()
        copies[name].set_state(stream.get_state())
    return copies


@contextlib.contextmanager
def seeded_globally(generator: torch.Generator, device: str) -> Iterator[None]:
    """Seed torch's global generators from `generator`, and restore their states afterwards."""
    cuda = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        seed = int(torch.randint(2**62, (), generator=generator))
        torch.default_generator.manual_seed(seed)
        for card in cuda:
            with torch.cuda.device(card):
                torch.cuda.manual_seed(seed)
        yield
