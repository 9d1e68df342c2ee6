"""Two things anyone tries first: what do hands do when nobody speaks, and when somebody shouts?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emo2.evaluation.control import wrist_deviation
from emo2.evaluation.performers import Performer
from emo2.evaluation.plausibility import STILL_M_S
from emo2.evaluation.points import speeds
from emo2.motion.beats import motion_beats
from emo2.motion.edit import trim
from emo2.types import AudioClip, HandMotion

SILENCE_S = 10.0
HISS_DBFS = -55.0
LOUDER_DB = 12.0


@dataclass(frozen=True)
class Silence:
    """What hands do for 10 s without speech."""

    still: float
    """Share of the time below 5 cm/s, both hands."""
    strokes: int
    """Movements that a beat detector takes for gestures."""


@dataclass(frozen=True)
class Shout:
    """How much larger gestures are in the half of a clip that was made 12 dB louder."""

    ratio: float
    """Geometric mean, over clips, of the wrists' deviation in a half while it is the loud one over
    that of the same half while it is the soft one: what is said cancels out. 1 = deaf to it."""
    error: float
    """Standard error of the ratio, over clips and halves."""


def silence(performer: Performer, style: str, seed: int = 0) -> tuple[Silence, Silence]:
    """Digital silence, and the hiss of a quiet room."""
    samples = round(SILENCE_S * 16_000)
    hiss = np.random.default_rng(seed).normal(0, 10 ** (HISS_DBFS / 20), samples)
    return tuple(
        _stillness(performer(AudioClip(sound), style, seed)) for sound in (np.zeros(samples), hiss)
    )


def shout(performer: Performer, clips: Sequence[AudioClip], style: str, seed: int = 0) -> Shout:
    """Raise each clip's first half, then its second, by 12 dB, and compare the same words."""
    logs = []
    for clip in clips:
        sizes = np.zeros((2, 2))  # loud half, half looked at
        for loud in (0, 1):
            motion = performer(with_loud_half(clip, loud), style, seed)
            middle = motion.num_frames // 2
            halves = trim(motion, 0, middle), trim(motion, middle, motion.num_frames)
            sizes[loud] = [wrist_deviation(half) for half in halves]
        for half in (0, 1):
            logs.append(np.log(sizes[half, half] / sizes[1 - half, half]))
    ratio = float(np.exp(np.mean(logs)))
    return Shout(ratio, ratio * float(np.std(logs, ddof=1) / np.sqrt(len(logs))))


def with_loud_half(clip: AudioClip, half: int) -> AudioClip:
    """The clip with its first (0) or second half louder by 12 dB, changing over 0.1 s; the loud
    half peaks at full scale, the other is turned down."""
    place = np.arange(len(clip.samples)) - len(clip.samples) / 2
    rise = np.clip(place / (0.1 * clip.sample_rate_hz) + 0.5, 0, 1)
    gain_db = LOUDER_DB * ((rise if half else 1 - rise) - 1)
    peak = max(float(np.abs(clip.samples).max()), 1e-6)
    return AudioClip(clip.samples / peak * 10 ** (gain_db / 20))


def _stillness(motion: HandMotion) -> Silence:
    still = speeds(motion.translation_m, motion.fps) < STILL_M_S
    return Silence(float(still.mean()), len(motion_beats(motion)))
