"""Mean and spread of a corpus's channels, in whichever representation a network learns it."""

from __future__ import annotations

import numpy as np

from emo2.stage1.representation import HANDS, Representation
from emo2.types import NUM_HANDS

SAMPLE_CLIPS = 200
MIN_CHANNEL_STD = 0.04
"""What hardly moves is not blown up to unit variance."""


def channel_moments(channels: np.ndarray, written: Representation) -> dict[str, list[float]]:
    """`mean` and `std` (C,) of motions that are stored as hands (N, K, T, 198), measured on clips
    spread over the corpus. Hands are mirror images of each other: both have one statistic."""
    picked = np.unique(np.linspace(0, len(channels) - 1, SAMPLE_CLIPS).astype(int))
    sample = written.rewrite(channels[picked].astype(np.float32), HANDS)
    sample = sample.reshape(-1, written.channels_per_hand)
    std = np.maximum(sample.std(axis=0), MIN_CHANNEL_STD)
    return {
        "mean": np.tile(sample.mean(axis=0), NUM_HANDS).tolist(),
        "std": np.tile(std, NUM_HANDS).tolist(),
    }
