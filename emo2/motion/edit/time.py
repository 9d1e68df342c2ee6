"""Edits of time: the frame rate, and warps inside a span."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emo2.errors import InputError
from emo2.motion.rotations import continuous, slerp
from emo2.types import HandMotion


def resample(motion: HandMotion, fps: float) -> HandMotion:
    """The same movement at `fps` frames per second: rotations by slerp, places linearly,
    visibility from the nearer frame. The first frame stays, the duration to within half a frame."""
    if not (np.isfinite(fps) and fps > 0):
        raise InputError("fps", "must be positive", fps, "24 is the film's rate.")
    if fps == motion.fps:
        return motion
    count = max(1, round(motion.num_frames * fps / motion.fps))
    return replace(at_times(motion, np.arange(count) * motion.fps / fps), fps=float(fps))


def at_times(motion: HandMotion, frames: np.ndarray) -> HandMotion:
    """The motion as seen at fractional frame numbers (N,), held at both ends."""
    frames = np.clip(np.asarray(frames, dtype=np.float64), 0, motion.num_frames - 1)
    before = np.floor(frames).astype(int)
    after = np.minimum(before + 1, motion.num_frames - 1)
    share = frames - before
    turns = continuous(motion.quaternions)
    quaternions = slerp(turns[before], turns[after], share[:, None, None])
    weight = share[:, None, None]
    places = (1 - weight) * motion.translation_m[before] + weight * motion.translation_m[after]
    visible = np.where((share < 0.5)[:, None], motion.visible[before], motion.visible[after])
    return replace(motion, quaternions=quaternions, translation_m=places, visible=visible)
