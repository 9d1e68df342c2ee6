"""Zero-phase low-pass filters over time: a Gaussian kernel delays nothing and never rings."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

TRUNCATE = 4.0
"""Standard deviations after which the kernel ends."""
SIGMA_OF_PERIOD = np.sqrt(2 * np.log(2)) / (2 * np.pi)
"""The standard deviation of the kernel that halves a swing of period 1."""


def low_pass(track: np.ndarray, period_frames: float, *, pinned: bool = False) -> np.ndarray:
    """`track` (T, ...) without what is quicker than about `period_frames`: a swing of that period
    keeps half its size.

    The track goes on mirrored beyond its ends; `pinned`, turned about them, which leaves the first
    and the last value where they are.
    """
    sigma = SIGMA_OF_PERIOD * period_frames
    if not pinned:
        return gaussian_filter1d(track, sigma, axis=0, mode="reflect", truncate=TRUNCATE)
    around = reach(period_frames)
    width = ((around, around), *[(0, 0)] * (track.ndim - 1))
    longer = np.pad(track, width, mode="reflect", reflect_type="odd")
    return gaussian_filter1d(longer, sigma, axis=0, truncate=TRUNCATE)[around : -around or None]


def reach(period_frames: float) -> int:
    """How many frames to either side `low_pass` looks."""
    return int(TRUNCATE * SIGMA_OF_PERIOD * period_frames + 0.5)


def surroundings(start: int, stop: int, frames: int, around: int) -> tuple[slice, slice]:
    """The span with `around` frames more on both sides as far as there are, and where the span lies
    in it."""
    first, last = max(0, start - around), min(frames, stop + around)
    return slice(first, last), slice(start - first, stop - first)
