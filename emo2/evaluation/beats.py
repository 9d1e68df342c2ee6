"""Do strokes end with the speech? The margin over chance of one clip, quick enough for tests.

A motion's strokes are scored against audio beats, and the same strokes against the same beats
shifted in a circle: `margin` is what is left. `synchrony` asks the other way round, what each audio
beat finds, pools clips and says how sure the answer is. None of these numbers is comparable with a
published "BA".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emo2.motion.beats import motion_beats, wrist_speed
from emo2.types import HandMotion

__all__ = [
    "Alignment",
    "alignment",
    "motion_beats",
    "rest_share",
    "seam_ratio",
    "wrist_speed",
]

SIGMA_S = 0.1
STILL_M_S = 0.05
NUM_SHIFTS = 60
EDGE_S = 1.0
"""Shifts smaller than this are not chance: the motion could still be in time."""


@dataclass(frozen=True)
class Alignment:
    """How close motion beats lie to audio beats, 0..1."""

    score: float
    """Mean over motion beats of exp(-d^2 / 2 sigma^2), d to the nearest audio beat."""
    chance: float
    """The mean of the same over circular shifts of the audio beats."""
    spread: float
    """The standard deviation over those shifts."""
    beats_per_s: float

    @property
    def margin(self) -> float:
        """What the speech explains."""
        return self.score - self.chance


def alignment(beats_s: np.ndarray, audio_s: np.ndarray, duration_s: float) -> Alignment:
    """Score motion beats against audio beats, and against the same audio beats shifted in a
    circle."""
    rate = len(beats_s) / duration_s
    if not len(beats_s) or not len(audio_s) or duration_s < 4 * EDGE_S:
        return Alignment(float("nan"), float("nan"), float("nan"), rate)
    shifts = np.linspace(EDGE_S, duration_s - EDGE_S, NUM_SHIFTS)
    shifted = [_score(beats_s, np.sort((audio_s + s) % duration_s)) for s in shifts]
    score = _score(beats_s, audio_s)
    return Alignment(score, float(np.mean(shifted)), float(np.std(shifted)), rate)


def rest_share(motion: HandMotion) -> float:
    """Share of time at which a hand moves slower than `STILL_M_S`."""
    return float((wrist_speed(motion) < STILL_M_S).mean())


def seam_ratio(motion: HandMotion, seams: np.ndarray, reach: int = 3) -> float:
    """Mean jerk within `reach` frames of the given frames over the mean elsewhere: 1 = no seams."""
    third = np.diff(motion.translation_m.astype(np.float64), n=3, axis=0)
    size = np.linalg.norm(third, axis=-1).mean(axis=1)
    frames = np.arange(len(size)) + 1.5
    near = (np.abs(frames[:, None] - np.asarray(seams)[None]) <= reach).any(axis=1)
    return float(size[near].mean() / size[~near].mean())


def _score(beats_s: np.ndarray, audio_s: np.ndarray) -> float:
    nearest = np.abs(beats_s[:, None] - audio_s[None]).min(axis=1)
    return float(np.exp(-0.5 * (nearest / SIGMA_S) ** 2).mean())
