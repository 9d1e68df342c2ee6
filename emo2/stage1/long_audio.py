"""Windows over speech of any length, and the joins between them.

A window makes N new frames after K context frames, the last of the window before (paper, section
3.1). The network also returns the context as it sees it; fading from the old frames to those over
the context leaves no seam. Afterwards one filter over the whole track takes out what a small
network adds: a tremble of millimetres that real hands at rest do not have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

LIGHT_SMOOTHING_S = 0.035
STRONG_SMOOTHING_S = 0.30
REST_SPEED_M_S, MOVING_SPEED_M_S = 0.025, 0.10
REST_S = 0.5


@dataclass(frozen=True)
class Window:
    """One window: new frames [start, stop) of the clip, and the frames of audio it hears."""

    start: int
    stop: int
    audio: np.ndarray
    """(K + N + L,) frame numbers, clipped to the clip."""
    audio_mask: np.ndarray
    """(K + N + L,) bool: False before the clip's start and after its end."""


def windows(
    num_frames: int, window_frames: int, context_frames: int, lookahead_frames: int
) -> Iterator[Window]:
    """Windows that cover `num_frames` frames; the last one may reach beyond the end."""
    for start in range(0, num_frames, window_frames):
        places = np.arange(start - context_frames, start + window_frames + lookahead_frames)
        inside = (places >= 0) & (places < num_frames)
        stop = min(start + window_frames, num_frames)
        yield Window(start, stop, places.clip(0, num_frames - 1), inside)


def cross_fade(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """From `old` to `new`, both (K, C): a smooth weight that leaves the first frame old and makes
    the last one new."""
    place = np.arange(1, len(old) + 1) / (len(old) + 1)
    weight = (place**2 * (3 - 2 * place))[:, None].astype(old.dtype)
    return old * (1 - weight) + new * weight


def calm(track: np.ndarray, place_m: np.ndarray, fps: float) -> np.ndarray:
    """Smooth a hand (T, C): lightly while its place (T, 3) moves, strongly while it rests."""
    if len(track) < 3:
        return track
    light = gaussian_filter1d(track, LIGHT_SMOOTHING_S * fps, axis=0, mode="nearest")
    strong = gaussian_filter1d(track, STRONG_SMOOTHING_S * fps, axis=0, mode="nearest")
    steady = gaussian_filter1d(place_m, 0.08 * fps, axis=0, mode="nearest")
    speed = np.linalg.norm(np.gradient(steady, axis=0), axis=-1) * fps
    # A hand that turns is slow for a moment, too: only what lasts is a rest.
    speed = maximum_filter1d(speed, round(REST_S * fps), mode="nearest")
    moving = np.clip((speed - REST_SPEED_M_S) / (MOVING_SPEED_M_S - REST_SPEED_M_S), 0, 1)
    moving = gaussian_filter1d(moving**2 * (3 - 2 * moving), 0.06 * fps, mode="nearest")[:, None]
    return light * moving + strong * (1 - moving)
