"""What a check says: one `Finding` for each stretch of frames, and the `Signal`s they are cut from.

A detector measures the whole motion and returns signals: for every frame, how far it is along to
being wrong (1 = just at the limit). Here neighbouring frames above 1 become one finding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

SEVERITIES = ("error", "warning")
HAND_WORDS = ("left hand", "right hand")
FINGER_WORDS = {
    "thumb": "thumb",
    "index": "index finger",
    "middle": "middle finger",
    "ring": "ring finger",
    "pinky": "little finger",
}
KINDS = {
    "broken_numbers": "Broken numbers",
    "flicker": "Flicker",
    "pop": "Pop",
    "seam": "Jump",
    "stutter": "Stutter",
    "tremor": "Trembling",
    "speed": "Too fast",
    "finger_limit": "Finger bent too far",
    "finger_twist": "Finger twisted",
    "wrist_bend": "Broken wrist",
    "reach": "Arm too short",
    "body_collide": "Hand in the body",
    "hands_collide": "Hands in each other",
    "fingers_collide": "Fingers in each other",
    "out_of_frame": "Out of the picture",
    "mouth_hidden": "Mouth hidden",
    "still": "Dead still",
}
"""Every kind of finding and its short name, in the order in which they are best mended."""
MERGE_FRAMES = 4
"""Stretches of the same fault that are no further apart become one finding."""


@dataclass(frozen=True)
class Finding:
    """One fault in a motion, where it is, and one edit that mends it."""

    kind: str
    """A key of `KINDS`."""
    severity: str
    """"error": nobody would take it for a person; "warning": look at it."""
    hand: int | None
    """0 the person's left, 1 the right, None for both together."""
    start: int
    """First frame."""
    stop: int
    """One past the last frame."""
    worst_frame: int
    """Where it is worst, start <= worst_frame < stop."""
    position_m: tuple[float, float, float]
    """The place in the body frame, at the worst frame."""
    value: float
    """What was measured at the worst frame, in `unit`."""
    limit: float
    """The most that passes, in `unit`."""
    ratio: float
    """How bad it is: 1 just passes."""
    unit: str
    message: str
    """One sentence for people, with the time in seconds."""
    fix: dict[str, Any] | None = None
    """An operation of `emo2.motion.edit.document`, or None."""
    remedy: str = ""
    """What the fix does, or why there is none."""

    def facts(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return asdict(self)


class Reading(NamedTuple):
    """One signal at one frame, for people."""

    value: float
    limit: float
    unit: str
    words: str
    """What is wrong, without the time: "the left wrist bends 72°, ..."."""


@dataclass(frozen=True)
class Signal:
    """One possible fault of one hand, measured at every frame."""

    kind: str
    hand: int | None
    ratio: np.ndarray
    """(T,) float: measured / allowed; above 1 is a finding. NaN and 0 are silent."""
    error_ratio: float
    """From here on the finding is an error; inf: it never is."""
    where_m: np.ndarray
    """(T, 3) the place in the body frame."""
    read: Callable[[int], Reading]
    """What to say of a frame."""
    least_frames: int = 1
    """Shorter findings are dropped."""
    spread: int = 0
    """Frames on both sides that belong to the finding too."""
    merge_frames: int = MERGE_FRAMES

    def findings(self, fps: float) -> Iterator[Finding]:
        """The stretches above 1."""
        with np.errstate(invalid="ignore"):
            wrong = self.ratio > 1.0
        for start, stop in runs(wrong, self.merge_frames):
            if stop - start < self.least_frames:
                continue
            worst = start + int(np.nanargmax(self.ratio[start:stop]))
            reading = self.read(worst)
            start, stop = max(start - self.spread, 0), min(stop + self.spread, len(wrong))
            yield Finding(
                kind=self.kind,
                severity="error" if self.ratio[worst] >= self.error_ratio else "warning",
                hand=self.hand,
                start=start,
                stop=stop,
                worst_frame=worst,
                position_m=tuple(round(float(x), 4) for x in self.where_m[worst]),
                value=round(float(reading.value), 4),
                limit=round(float(reading.limit), 4),
                ratio=round(float(self.ratio[worst]), 4),
                unit=reading.unit,
                message=f"{when(start, stop, fps)}: {reading.words}.",
            )


def runs(wrong: np.ndarray, merge_frames: int = 1) -> list[tuple[int, int]]:
    """Stretches (start, stop) of True in (T,), those less than `merge_frames` apart joined."""
    edges = np.diff(np.concatenate([[0], wrong.astype(np.int8), [0]]))
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if not len(starts):
        return []
    apart = starts[1:] - stops[:-1] >= merge_frames
    return list(
        zip(
            starts[np.concatenate([[True], apart])].tolist(),
            stops[np.concatenate([apart, [True]])].tolist(),
            strict=True,
        )
    )


def when(start: int, stop: int, fps: float) -> str:
    """ "At 3.21 s" or "From 3.21 to 4.00 s"."""
    if stop - start <= max(1.0, 0.1 * fps):
        return f"At {start / fps:.2f} s"
    return f"From {start / fps:.2f} to {stop / fps:.2f} s"
