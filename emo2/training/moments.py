"""Mean and spread of a corpus's channels, in whichever representation a network learns it."""

from __future__ import annotations

import numpy as np

from emo2.stage1.representation import HANDS, Representation
from emo2.types import NUM_HANDS

SAMPLE_CLIPS = 200
MIN_CHANNEL_STD = 0.04
"""What hardly moves is not blown up to unit variance."""


def channel_moments(
    channels: np.ndarray, written: Representation, visible: np.ndarray | None = None
) -> dict[str, list[float]]:
    """`mean` and `std` (C,) of motions that are stored as hands (N, K, T, 198), measured on clips
    spread over the corpus where hands are `visible` (N, K, T, 2); None = everywhere. Hands are
    mirror images of each other: both have one statistic."""
    picked = np.unique(np.linspace(0, len(channels) - 1, SAMPLE_CLIPS).astype(int))
    sample = channels[picked].astype(np.float32)
    seen = np.ones((*sample.shape[:3], NUM_HANDS), bool) if visible is None else visible[picked]
    sample = sample.reshape(*seen.shape, -1)
    # A hand out of sight may hold anything, even zeros, which are no rotations.
    pairs = sample[seen.any(axis=-1)].reshape(-1, HANDS.num_channels)
    sample = written.rewrite(pairs, HANDS).reshape(-1, NUM_HANDS, written.channels_per_hand)
    sample = sample[seen[seen.any(axis=-1)]]
    std = np.maximum(sample.std(axis=0), MIN_CHANNEL_STD)
    return {
        "mean": np.tile(sample.mean(axis=0), NUM_HANDS).tolist(),
        "std": np.tile(std, NUM_HANDS).tolist(),
    }
