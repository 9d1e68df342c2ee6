"""Windows of motion: what a feature is taken of, so that clips of any length give equal samples.

64 frames at 24 a second are 2.7 s: long enough for a gesture's preparation, stroke and retraction
(Kendon 1980), short enough that a minute of speech gives 45 of them. Neighbours share half their
frames: rows of one clip are not independent, and everything that splits samples splits clips.
"""

from __future__ import annotations

import numpy as np

from emo2.errors import InputError
from emo2.motion.edit.time import resample
from emo2.types import HandMotion

WINDOW_FRAMES = 64
HOP_FRAMES = 32
FPS = 24.0


def at_film_rate(motion: HandMotion) -> HandMotion:
    """The motion at 24 frames per second, at least one window long; InputError if it is shorter."""
    motion = resample(motion, FPS)
    if motion.num_frames < WINDOW_FRAMES:
        raise InputError(
            "motion",
            f"must last at least {WINDOW_FRAMES / FPS:.2f} s to be compared by features",
            f"{motion.duration_s:.2f} s",
            "Join short clips, or leave them out.",
        )
    return motion


def cut(track: np.ndarray) -> np.ndarray:
    """A track (T, ...) as windows (n, 64, ...), a read-only view; what is left over at the end is
    not looked at."""
    views = np.lib.stride_tricks.sliding_window_view(track, WINDOW_FRAMES, axis=0)
    return np.moveaxis(views[::HOP_FRAMES], -1, 1)
