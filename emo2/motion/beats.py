"""Where hands beat: how fast the wrists move, and the moments at which a stroke ends."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from emo2.types import HandMotion

PEAK_M_S = 0.12
"""Slower movements are not gestures."""


def wrist_speed(motion: HandMotion) -> np.ndarray:
    """Metres per second (T, 2), from centred differences."""
    if motion.num_frames < 2:
        return np.zeros((motion.num_frames, 2))
    velocity = np.gradient(motion.translation_m.astype(np.float64), axis=0) * motion.fps
    return np.linalg.norm(velocity, axis=-1)


def motion_beats(motion: HandMotion) -> np.ndarray:
    """Moments [s] at which a hand that moved comes to a stop or turns."""
    speed = gaussian_filter1d(wrist_speed(motion).max(axis=1), 0.02 * motion.fps)
    peaks, _ = find_peaks(speed, height=PEAK_M_S, prominence=0.5 * PEAK_M_S)
    beats = []
    for peak, end in zip(peaks, [*peaks, len(speed)][1:], strict=True):
        after = speed[peak:end]
        slow = np.flatnonzero(after < 0.1 * speed[peak])
        beats.append(peak + (slow[0] if len(slow) else after.argmin()))
    return np.array(beats, dtype=np.float64) / motion.fps
