"""Beat alignment as a z-score: is the speech this motion's own, or would any speech do?

The score is EMAGE's beat consistency (Liu et al., CVPR 2024; their evaluation code), its parts
stated: motion beats are local minima of a point's speed that are the lowest within 7 frames at 30
per second on either side and, with a mask, still faster than a share of the point's mean speed;
each audio beat earns exp(-d^2 / 2 sigma^2), d to the nearest motion beat; mean over audio beats,
then over points. Ours differs in the points, wrists and fingertips in place of spine and arms, in
sigma = 0.1 s, and in that nothing is cut off at the ends.

A raw score says little: with four onsets a second any busy hand earns much. So the audio beats of
every clip are shifted round in a circle, each by a random share of its own, and the score is told
in standard deviations of what such shifts earn. Motion that does not know its speech gives a
standard normal z, whatever its style; `tests/test_evaluation_synchrony.py` holds it to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import argrelextrema

from emo2.evaluation.points import speeds

SIGMA_S = 0.1
ORDER_S = 7 / 30
"""A minimum is the lowest within so long, before and after."""
MASKS = (0.1, 0.3, None)
"""Shares of a point's mean speed below which a minimum is a stop, not a beat; EMAGE has used 0.3
and 0.1. None: stops count."""
NUM_SHIFTS = 200
EDGE_S = 1.0
"""Shorter shifts are not chance: the motion could still be in time."""


@dataclass(frozen=True)
class Heard:
    """One clip's beats, in motion and in sound."""

    motion_s: tuple[np.ndarray, ...]
    """Per point the motion's beats (n,) [s], rising."""
    audio_s: np.ndarray
    """(m,) [s], rising."""
    duration_s: float


@dataclass(frozen=True)
class Synchrony:
    """A pooled score and what chance makes of it; NaN where nothing moves or nothing sounds."""

    score: float
    chance: float
    """The mean over circular shifts."""
    spread: float
    """The standard deviation over circular shifts."""

    @property
    def z(self) -> float:
        """How many standard deviations the score lies above chance."""
        return (self.score - self.chance) / self.spread if self.spread > 0 else float("nan")


def speed_minima(points: np.ndarray, fps: float, mask: float | None) -> tuple[np.ndarray, ...]:
    """Motion beats [s] of every point of (T, P, 3)."""
    speed = speeds(points, fps)
    order = max(1, round(ORDER_S * fps))
    beats = []
    for track in speed.T:
        (at,) = argrelextrema(track, np.less, order=order)
        if mask is not None:
            at = at[track[at] > mask * track.mean()]
        beats.append(at / fps)
    return tuple(beats)


def synchrony(
    clips: Sequence[Heard], *, shifts: int = NUM_SHIFTS, sigma_s: float = SIGMA_S, seed: int = 0
) -> Synchrony:
    """Pool clips: every audio beat of every clip counts the same."""
    rng = np.random.default_rng(seed)
    earned, beats = np.zeros(1 + shifts), 0
    for clip in clips:
        edge = min(EDGE_S, clip.duration_s / 4)
        by = rng.uniform(edge, clip.duration_s - edge, shifts)
        times = (clip.audio_s + np.append(0.0, by)[:, None]) % clip.duration_s  # (1 + S, m)
        earned += sum(_kernel(times, beat_s, sigma_s) for beat_s in clip.motion_s) / max(
            len(clip.motion_s), 1
        )
        beats += len(clip.audio_s)
    if not beats or not earned[1:].any():
        return Synchrony(float("nan"), float("nan"), float("nan"))
    score = earned / beats
    return Synchrony(float(score[0]), float(score[1:].mean()), float(score[1:].std(ddof=1)))


def nearest(times: np.ndarray, beats_s: np.ndarray) -> np.ndarray:
    """Signed time [s] from the nearest of the rising `beats_s` (n,) to each of `times` (any
    shape)."""
    after = np.searchsorted(beats_s, times).clip(0, len(beats_s) - 1)
    before = (after - 1).clip(0)
    to_after, to_before = times - beats_s[after], times - beats_s[before]
    return np.where(np.abs(to_before) < np.abs(to_after), to_before, to_after)


def _kernel(times: np.ndarray, beats_s: np.ndarray, sigma_s: float) -> np.ndarray:
    """What audio beats (S, m) earn from one point's motion beats, summed over m."""
    if not len(beats_s) or not times.shape[1]:
        return np.zeros(len(times))
    return np.exp(-0.5 * (nearest(times, beats_s) / sigma_s) ** 2).sum(axis=1)
