"""Random generators: one seed per member, one stream per purpose."""

from __future__ import annotations

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


def spawn_generators(seed: int) -> dict[str, torch.Generator]:
    """Return an independent generator for each purpose, all derived from one seed."""
    seeds = np.random.SeedSequence(seed).generate_state(len(STREAMS), np.uint64) >> 1
    return {
        name: torch.Generator().manual_seed(int(stream_seed))
        for name, stream_seed in zip(STREAMS, seeds, strict=True)
    }


def copy_generators(streams: dict[str, torch.Generator]) -> dict[str, torch.Generator]:
    """Return independent generators in the same states."""
    copies = {}
    for name, stream in streams.items():
        copies[name] = torch.Generator()
        copies[name].set_state(stream.get_state())
    return copies
