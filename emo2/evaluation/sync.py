"""How surely two sequences keep time: distances at every offset, and how much the best stands out.

SyncNet's reading (Chung & Zisserman 2016), of any two sequences of embeddings; and the same reading
of a mouth's opening against the speech's loudness, which needs no network and has its own name.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emo2.evaluation.video import SHIFTS, mouth_at

OFFSETS = 15
"""Frames to either side."""
TINY = 1e-6


@dataclass(frozen=True)
class Sync:
    """The best offset and what speaks for it."""

    confidence: float
    """Median over offsets minus the least distance (or best correlation minus median)."""
    distance: float
    """At the best offset."""
    offset: int
    """Frames; positive = the picture is late."""


NOTHING = Sync(np.nan, np.nan, 0)


def sync_of(mouths: np.ndarray, sounds: np.ndarray, most: int = OFFSETS) -> Sync:
    """Of embeddings (T, d) of picture and sound, frame by frame.

    Sync-C is `confidence`, Sync-D `distance`, as syncnet_python prints them: distances are averaged
    over frames first, and beyond the ends the sound's embedding is zero.
    """
    if not len(mouths):
        return NOTHING
    padded = np.pad(sounds.astype(np.float64), ((most, most), (0, 0)))
    steps = range(2 * most + 1)
    means = np.array(
        [_distance(mouths, padded[step : step + len(mouths)]).mean() for step in steps]
    )
    best = int(means.argmin())
    return Sync(float(np.median(means) - means[best]), float(means[best]), most - best)


def mouth_sync(gap: np.ndarray, envelope: np.ndarray, most: int = OFFSETS) -> Sync:
    """Of a mouth's opening (T,) and the speech's loudness (T,): 1 - r is the distance."""
    lags = range(-most, most + 1)
    r = np.array([mouth_at(gap, envelope, lag) for lag in lags])
    if not np.isfinite(r).any():
        return NOTHING
    best = int(np.nanargmax(r))
    return Sync(float(r[best] - np.nanmedian(r)), float(1 - r[best]), lags[best])


def wrong_audio(gap: np.ndarray, envelope: np.ndarray) -> float:
    """The floor: mean confidence with the speech shifted round by parts of the clip."""
    wrong = (np.roll(envelope, round(share * len(envelope))) for share in SHIFTS)
    return float(np.nanmean([mouth_sync(gap, other).confidence for other in wrong]))


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a - b + TINY, axis=-1)
