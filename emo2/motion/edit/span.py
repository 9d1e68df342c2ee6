"""A stretch of time, the hands it is about, and the only place where edited and original frames
meet.

Outside its span an edit changes nothing, to the bit. Inside, `put` goes over from the original to
the edited and back within `fade` frames at each end, along a minimum-jerk curve; a span that
begins with the motion or ends with it has no fade there, for there is nothing to meet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emo2.errors import InputError
from emo2.motion.rotations import conjugate, continuous, from_axis_angle, log, multiply, normalise
from emo2.types import HandMotion

HANDS = ("left", "right")
DEFAULT_FADE = 6
MOVING_FADE = 12
"""For edits that carry the hands elsewhere: in a quarter of a second they would jerk."""
CHUNK_FRAMES = 1024
"""Frames that are worked on at a time: temporary arrays do not grow with the motion."""


@dataclass(frozen=True)
class Span:
    """The frames `start <= t < stop` of some hands."""

    start: int = 0
    stop: int | None = None
    """Exclusive; None is the motion's end."""
    fade: int = DEFAULT_FADE
    """Frames of cross-fade at each end, inside the span; as many as fit."""
    hands: tuple[str, ...] = HANDS

    def within(self, motion: HandMotion) -> Span:
        """This span with its end as a number. Raises `InputError` where it is not in the motion or
        names no hand."""
        frames = motion.num_frames
        stop = frames if self.stop is None else self.stop
        if not 0 <= self.start < stop <= frames:
            raise InputError(
                "span",
                f"must lie within the motion's {frames} frames",
                f"{self.start}..{stop}",
                "Choose 0 <= start < stop <= the number of frames.",
            )
        if self.fade < 0:
            raise InputError("fade", "must not be negative", self.fade, "6 frames is the default.")
        if not self.hands or not set(self.hands) <= set(HANDS):
            raise InputError(
                "hands", "must be left, right or both", list(self.hands), 'Write ["left", "right"].'
            )
        return replace(self, stop=stop)

    @property
    def frames(self) -> slice:
        """The span as a slice of frames."""
        return slice(self.start, self.stop)

    @property
    def indices(self) -> list[int]:
        """The hands as indices: 0 left, 1 right."""
        return [index for index, name in enumerate(HANDS) if name in self.hands]

    def weights(self, motion: HandMotion) -> np.ndarray:
        """How much of the edited a frame shows, (stop - start,) in (0, 1]: `within` comes first."""
        count = self.stop - self.start
        fade = min(self.fade, (count - 1) // 2)
        ramp = ease(np.arange(1, count + 1) / (fade + 1))
        rising = ramp if self.start > 0 else np.ones(count)
        falling = ramp[::-1] if self.stop < motion.num_frames else np.ones(count)
        return np.minimum(rising, falling)


WHOLE = Span()


def ease(share: np.ndarray) -> np.ndarray:
    """From 0 to 1 as a hand moves from rest to rest: minimum jerk (Flash & Hogan 1985)."""
    share = np.clip(share, 0.0, 1.0)
    return share**3 * (10 - 15 * share + 6 * share**2)


def put(
    motion: HandMotion,
    span: Span,
    *,
    quaternions: np.ndarray | None = None,
    translation_m: np.ndarray | None = None,
    visible: np.ndarray | None = None,
    joints: slice = slice(None),
    weights: np.ndarray | None = None,
) -> HandMotion:
    """`motion` with the edited frames of `span` in place.

    `quaternions` (n, h, j, 4) for the joints `joints`, `translation_m` (n, h, 3) and `visible` (n,
    h) are the edited frames of the span's h hands; None leaves that part alone. `weights` (n,)
    replaces the span's cross-fade: ones where the edit fades by itself.
    """
    weights = span.weights(motion) if weights is None else weights
    changes = {}
    if quaternions is not None:
        changes["quaternions"] = _put_turns(motion, span, quaternions, joints, weights)
    if translation_m is not None:
        places = motion.translation_m.copy()
        before = places[span.frames, span.indices].astype(np.float64)
        mixed = before + weights[:, None, None] * (translation_m - before)
        full = (weights >= 1)[:, None, None]
        places[span.frames, span.indices] = np.where(full, translation_m, mixed)
        changes["translation_m"] = places
    if visible is not None:
        seen = motion.visible.copy()
        shown = (weights >= 0.5)[:, None]
        seen[span.frames, span.indices] = np.where(shown, visible, seen[span.frames, span.indices])
        changes["visible"] = seen
    return replace(motion, **changes)


def chunks(start: int, stop: int) -> list[slice]:
    """Slices of at most `CHUNK_FRAMES` that cover start..stop."""
    return [slice(at, min(at + CHUNK_FRAMES, stop)) for at in range(start, stop, CHUNK_FRAMES)]


def _put_turns(
    motion: HandMotion, span: Span, edited: np.ndarray, joints: slice, weights: np.ndarray
) -> np.ndarray:
    out = motion.quaternions.copy()
    hands = span.indices
    inside = np.array(edited, dtype=np.float32)
    full = weights >= 1
    first = int(full.argmax()) if full.any() else len(full)
    last = len(full) - int(full[::-1].argmax()) if full.any() else first
    for part in (slice(0, first), slice(last, len(full))):
        if part.start < part.stop:
            before = out[span.frames][part][:, hands, joints]
            inside[part] = mix(before, edited[part], weights[part, None, None])
    out[span.start : span.stop, hands, joints] = _signed(out[:, hands, joints], inside, span)
    return out


def mix(before: np.ndarray, after: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Tracks (n, ..., 4) between two others, frame by frame `weights` (n, ...) of the way.

    The way from one to the other is unrolled over time: it does not jump to the other side where
    the two come to be half a turn apart.
    """
    turn = continuous(multiply(after, conjugate(normalise(before.astype(np.float64)))))
    turn = np.where(turn[..., :1].sum(axis=0) < 0, -turn, turn)
    return multiply(from_axis_angle(log(turn) * weights[..., None]), before)


def _signed(track: np.ndarray, inside: np.ndarray, span: Span) -> np.ndarray:
    """`inside` with signs that follow on from the frame before the span, or lead to the one after
    it, or are the original's."""
    inside = continuous(inside)
    if span.start > 0:
        near, mine = track[span.start - 1], inside[0]
    elif span.stop < len(track):
        near, mine = track[span.stop], inside[-1]
    else:
        near, mine = track[0], inside[0]
    flip = (near * mine).sum(-1, keepdims=True) < 0
    return np.where(flip, -inside, inside)
