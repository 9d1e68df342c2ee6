"""Speech of any length: windows one after the other, and the joins between them.

A window makes N frames after K context frames: the last K that were made before, clean (paper,
section 3.1). The next window begins `overlap` frames before this one's end and makes those again,
so no frame that is used lies where the network hears least of what follows. It also returns its
context as it sees it: fading from the old frames to those over the context leaves no seam.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from emo2.types import AudioFeatures

OVERLAP_S = 1.0


class Hearing:
    """Audio features that come in pieces, of which only what is still needed is held."""

    def __init__(self, pieces: Iterable[AudioFeatures]) -> None:
        self._pieces = iter(pieces)
        self._rows: np.ndarray | None = None
        """Frames `_first` .. of the clip."""
        self._first = 0
        self._ended = False

    @property
    def num_frames(self) -> int:
        """Frames that have come; after the last piece, the clip's length."""
        return self._first + (0 if self._rows is None else len(self._rows))

    def between(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Hidden states of frames `start <= t < stop` (n, A), and (n,) bool which of them the clip
        has; beyond its ends they repeat. What lies before `start` is forgotten."""
        while not self._ended and self.num_frames < stop:
            piece = next(self._pieces, None)
            self._ended = piece is None
            if piece is not None:
                self._add(piece.hidden_states, start)
        places = np.arange(start, stop)
        inside = (places >= 0) & (places < self.num_frames)
        return self._rows[places.clip(self._first, self.num_frames - 1) - self._first], inside

    def _add(self, rows: np.ndarray, start: int) -> None:
        if self._rows is None:
            self._rows = rows
            return
        # One frame is always held: it is repeated beyond the clip's end.
        forget = min(max(start - self._first, 0), len(self._rows) - 1)
        self._rows = np.concatenate([self._rows[forget:], rows])
        self._first += forget


@dataclass(frozen=True)
class Run:
    """Windows in a row: the first begins at frame `start`, the last reaches `stop` or beyond."""

    start: int
    stop: int | None
    """None: the clip's end, which nobody knows yet."""


def runs(free: np.ndarray, size: int, context: int, overlap: int) -> list[Run]:
    """The windows that touch free frames (T,), and no others.

    Every stretch of free frames gets as few windows as it needs to see `context` given frames
    before and after it, and lies in their middle. Stretches that are close share their windows.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], free, [False]]).astype(int)))
    stretches: list[list[int]] = []
    for start, stop in edges.reshape(-1, 2).tolist():
        if stretches and start - stretches[-1][1] < 2 * context:
            stretches[-1][1] = stop
        else:
            stretches.append([start, stop])
    planned, earliest = [], 0
    for start, stop in stretches:
        run = _around(start, stop, len(free), earliest, size, context, overlap)
        planned.append(run)
        earliest = stop + context
    return planned


def _around(
    start: int, stop: int, num_frames: int, earliest: int, size: int, context: int, overlap: int
) -> Run:
    """Windows over the free frames `start` .. `stop`, no earlier than `earliest`."""
    seen = min(stop + context, num_frames)
    step = size - overlap
    needed = max(0, seen - max(start - context, earliest) - size)
    length = size + -(-needed // step) * step
    first = start - (length - (stop - start)) // 2
    first = max(min(first, num_frames - length), earliest)
    # The frames before the first window are its context: all of them, or it begins the clip.
    first = first if first >= context else 0
    return Run(first, min(max(seen, first + length), num_frames))


def overlap_frames(size: int, fps: float) -> int:
    """Frames at a window's end that the next one makes again."""
    return min(round(OVERLAP_S * fps), size // 4)


def joins(num_frames: int, size: int, fps: float) -> list[int]:
    """The frames at which windows begin in a clip that is made from nothing, but the first."""
    step = size - overlap_frames(size, fps)
    windows = 1 + max(0, -(-(num_frames - size) // step))
    return [step * index for index in range(1, windows)]


def cross_fade(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """From `old` to `new`, both (..., n, C): a smooth weight that leaves the first frame old and
    makes the last one new."""
    place = np.arange(1, old.shape[-2] + 1) / (old.shape[-2] + 1)
    weight = (place**2 * (3 - 2 * place))[:, None].astype(old.dtype)
    return old * (1 - weight) + new * weight
