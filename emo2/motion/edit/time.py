"""The motion between its frames, and at another frame rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emo2.errors import InputError
from emo2.motion.edit.span import chunks
from emo2.motion.rotations import continuous, normalise
from emo2.types import HandMotion


def resample(motion: HandMotion, fps: float) -> HandMotion:
    """The same movement at `fps` frames per second, visibility from the nearer frame. The first
    frame stays, the duration to within half a frame."""
    if not (np.isfinite(fps) and fps > 0):
        raise InputError("fps", "must be positive", fps, "24 is the film's rate.")
    if fps == motion.fps:
        return motion
    count = max(1, round(motion.num_frames * fps / motion.fps))
    return replace(at_times(motion, np.arange(count) * motion.fps / fps), fps=float(fps))


def at_times(motion: HandMotion, frames: np.ndarray) -> HandMotion:
    """The motion as seen at fractional frame numbers (N,), held at both ends.

    Between frames runs a cubic through the four nearest (Catmull & Rom 1974), so that speed does
    not jump where a movement is slowed down; of rotations, through sign-continuous quaternions made
    unit again. At a whole frame number stands that frame, to the bit.
    """
    frames = np.clip(np.asarray(frames, dtype=np.float64), 0, motion.num_frames - 1)
    turns = continuous(motion.quaternions)
    quaternions = np.empty((len(frames), *turns.shape[1:]), np.float32)
    places = np.empty((len(frames), *motion.translation_m.shape[1:]), np.float32)
    for part in chunks(0, len(frames)):
        quaternions[part] = normalise(_cubic(turns, frames[part]))
        places[part] = _cubic(motion.translation_m, frames[part])
    nearest = np.floor(frames + 0.5).astype(int)
    whole = frames == nearest
    quaternions[whole] = turns[nearest[whole]]
    places[whole] = motion.translation_m[nearest[whole]]
    return replace(
        motion,
        quaternions=quaternions,
        translation_m=places,
        visible=motion.visible[nearest],
    )


def _cubic(track: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """`track` (T, ...) at fractional frames (N,); it goes on straight beyond its ends."""
    last = len(track) - 1
    at = np.minimum(np.floor(frames), max(last - 1, 0)).astype(int)
    share = (frames - at).reshape(-1, *[1] * (track.ndim - 1))

    def value(index: np.ndarray) -> np.ndarray:
        inside = track[np.clip(index, 0, last)].astype(np.float64)
        beyond = (index - np.clip(index, 0, last)).reshape(share.shape)
        if not beyond.any() or last == 0:
            return inside
        slope = np.where(beyond < 0, track[1] - track[0], track[last] - track[last - 1])
        return inside + beyond * slope

    a, b, c, d = (value(at + k) for k in (-1, 0, 1, 2))
    return b + 0.5 * share * (
        c - a + share * (2 * a - 5 * b + 4 * c - d + share * (3 * (b - c) + d - a))
    )
