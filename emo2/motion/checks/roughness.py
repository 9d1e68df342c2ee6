"""How a track of steps leaves a smooth path: cuts, pops, trembling and repeated frames.

Each step is compared with the cubic through its four neighbours. A hand's own strokes begin and end
within 3 to 6 frames of a film and leave at most 2 % of their length there; a cut leaves all of its
size, in one frame, and a frame that is off by s leaves 5/3 s twice, there and back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter, uniform_filter1d

from emo2.motion.checks.finding import runs

_CUT = np.array([1.0, -4.0, 6.0, -4.0, 1.0], np.float32) / 6
_OFF = np.array([0.0, 1.0, -3.0, 3.0, -1.0], np.float32) / 6
POP_GAIN = 5 / 3
"""What one frame that is off by 1 leaves in `Roughness.cut`."""
_POP_FRAMES = 3
"""A hand that comes back within so many frames popped; else it is elsewhere from then on."""


@dataclass(frozen=True)
class Roughness:
    """One channel of one hand, per frame; zeros while it is not seen."""

    speed: np.ndarray
    """(T,) its usual step around this frame, whatever this frame does."""
    fastest: np.ndarray
    """(T,) the median of three steps, so that one jump does not count, of the fastest joint."""
    cut: np.ndarray
    """(T,) how far the step into this frame is off its neighbours."""
    direction: np.ndarray
    """(T, 3) which way."""
    off: np.ndarray
    """(T,) how far this frame's place is off its neighbours."""
    joint: np.ndarray
    """(T,) which of the channel's joints is worst."""
    repeats: np.ndarray
    """(T,) bool: a frame that repeats the one before it in the midst of a movement."""

    @classmethod
    def of(cls, steps: np.ndarray, seen: np.ndarray, least_step: float) -> Roughness:
        """Measure steps (T, C, 3) while `seen` (T,); movement begins at `least_step` a frame."""
        count = len(steps)
        first, last = _stretch(seen)
        valid = first <= last
        vectors = np.zeros_like(steps)
        offs = np.zeros_like(steps)
        for k in range(5):
            near = steps[np.clip(np.arange(count) + k - 2, first, np.maximum(first, last))]
            vectors += _CUT[k] * near
            offs += _OFF[k] * near
        lengths = np.where(valid[:, None], np.linalg.norm(steps, axis=-1), 0.0)
        cuts = np.where(valid[:, None], np.linalg.norm(vectors, axis=-1), 0.0)
        joint = cuts.argmax(axis=1)
        rows = np.arange(count)
        off = np.where(valid, np.linalg.norm(offs, axis=-1).max(axis=1), 0.0)
        most = lengths.max(axis=1)
        before, after = np.roll(steps, 1, axis=0), np.roll(steps, -1, axis=0)
        beside = np.minimum(np.roll(most, 1), np.roll(most, -1))
        onward = (before * after).sum(axis=(1, 2)) > 0  # else the hand turns round there
        return cls(
            speed=median_filter(most, 9, mode="nearest"),
            fastest=median_filter(lengths, (3, 1), mode="nearest").max(axis=1),
            cut=cuts[rows, joint],
            direction=vectors[rows, joint],
            off=off,
            joint=joint,
            repeats=(most < 0.3 * beside) & (beside > least_step) & onward & valid,
        )

    def pops_and_seams(self, ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`ratio` (T,) split into frames that come back and cuts that stay."""
        pops, seams = np.zeros_like(ratio), np.zeros_like(ratio)
        for start, stop in runs(ratio > 1.0, merge_frames=2):
            worst = start + int(ratio[start:stop].argmax())
            (pops if self._comes_back(worst) else seams)[start:stop] = ratio[start:stop]
        return pops, seams

    def _comes_back(self, frame: int) -> bool:
        """Is the step into this frame undone, in size and direction, a few frames before or
        after?"""
        low, high = max(frame - _POP_FRAMES, 0), frame + _POP_FRAMES + 1
        near, sizes = self.direction[low:high], self.cut[low:high]
        same_joint = self.joint[low:high] == self.joint[frame]
        along = near @ self.direction[frame] / max(self.cut[frame] ** 2, 1e-12)
        straight = along < -0.7 * sizes / max(self.cut[frame], 1e-12)
        return bool(np.any(same_joint & straight & (along < -0.83)))


def windowed_median(values: np.ndarray, frames: int) -> np.ndarray:
    """(T,) medians over `frames` frames around each."""
    return median_filter(values, max(3, frames | 1), mode="nearest")


def windowed_count(marks: np.ndarray, frames: int) -> np.ndarray:
    """(T,) how many of the `frames` frames around each are marked."""
    size = max(3, frames | 1)
    return np.rint(uniform_filter1d(marks.astype(np.float64), size, mode="constant") * size)


def _stretch(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T,) first and last step of the stretch in which each frame is seen; first > last where it is
    not. A stretch's first frame has no step: what came before was hidden."""
    first, last = np.zeros(len(seen), int), np.full(len(seen), -1)
    for start, stop in runs(seen):
        first[start + 1 : stop], last[start + 1 : stop] = start + 1, stop - 1
    return first, last
