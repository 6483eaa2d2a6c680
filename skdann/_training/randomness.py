"""Random generators: all randomness of a fit comes from one seed, by a stream for each use."""

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
    """One independent generator for each use of randomness, all from one seed."""
    seeds = np.random.SeedSequence(seed).generate_state(len(STREAMS), np.uint64) >> 1
    return {
        name: torch.Generator().manual_seed(int(own))
        for name, own in zip(STREAMS, seeds, strict=True)
    }
