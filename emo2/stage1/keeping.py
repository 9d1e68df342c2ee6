"""Frames and joints that are given, not generated: spans, key poses, a hand, a beginning.

    Keep.outside(motion, 48, 108)                      all but two and a half seconds
    Keep.outside(motion, 48, 108, hands=("left",))     of one hand
    Keep.hand(motion, "right")                         the other hand is made anew
    Keep.beginning(motion, num_frames=480)             goes on where the motion ends
    Keep.frames(motion, (12, 60)) , keep.pinned(pins)  in-betweens

The network sees given values and fills in between (`MotionDiT`'s keep-mask). They come out as they
went in, to the bit; `emo2.stage1.bending` brings what was made to meet them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emo2.errors import InputError
from emo2.motion.edit.span import HANDS, Span
from emo2.motion.rest import rest_pose
from emo2.motion.rotations import normalise
from emo2.stage1.pins import Pin
from emo2.stage1.representation import NUM_SLOTS
from emo2.types import NUM_BETAS, NUM_HANDS, HandMotion


@dataclass(frozen=True)
class Keep:
    """What is given."""

    motion: HandMotion
    mask: np.ndarray
    """(T, 2, 17) bool: per frame and hand the translation (slot 0) and the 16 joints (1..16); or
    (T,) for whole frames."""

    def __post_init__(self) -> None:
        mask = np.asarray(self.mask, dtype=bool)
        shape = (self.motion.num_frames, NUM_HANDS, NUM_SLOTS)
        if mask.ndim == 1 and len(mask) == self.motion.num_frames:
            mask = np.broadcast_to(mask[:, None, None], shape)
        if mask.shape != shape:
            raise InputError(
                "keep",
                f"mask must be {shape}",
                mask.shape,
                "Give one value per frame, hand and slot, or one per frame.",
            )
        object.__setattr__(self, "mask", mask)

    @classmethod
    def outside(
        cls, motion: HandMotion, start: int, stop: int, hands: tuple[str, ...] = HANDS
    ) -> Keep:
        """All but the frames `start <= t < stop` of `hands`."""
        span = Span(start, stop, hands=tuple(hands)).within(motion)
        mask = np.ones((motion.num_frames, NUM_HANDS, NUM_SLOTS), dtype=bool)
        mask[span.frames, span.indices] = False
        return cls(motion, mask)

    @classmethod
    def hand(cls, motion: HandMotion, hand: str) -> Keep:
        """One hand, "left" or "right", as it is; the other is free."""
        mask = np.zeros((motion.num_frames, NUM_HANDS, NUM_SLOTS), dtype=bool)
        mask[:, Span(hands=(hand,)).within(motion).indices] = True
        return cls(motion, mask)

    @classmethod
    def beginning(cls, motion: HandMotion, num_frames: int) -> Keep:
        """The whole of `motion`, then free frames up to `num_frames`."""
        more = num_frames - motion.num_frames
        if more < 0:
            rule = f"must be at most {num_frames} frames, as long as the speech"
            raise InputError("motion", rule, f"{motion.num_frames} frames", "Trim it first.")
        names = ("quaternions", "translation_m", "visible")
        longer = {
            name: np.concatenate([track, np.repeat(track[-1:], more, axis=0)])
            for name, track in ((name, getattr(motion, name)) for name in names)
        }
        return cls(replace(motion, **longer), np.arange(num_frames) < motion.num_frames)

    @classmethod
    def frames(
        cls, motion: HandMotion, frames: Iterable[int], hands: tuple[str, ...] = HANDS
    ) -> Keep:
        """The poses of `hands` at `frames`; the rest is made anew."""
        mask = np.zeros((motion.num_frames, NUM_HANDS, NUM_SLOTS), dtype=bool)
        indices = Span(hands=tuple(hands)).within(motion).indices
        for frame in frames:
            _in_clip(frame, motion.num_frames)
            mask[frame, indices] = True
        return cls(motion, mask)

    @classmethod
    def nothing(cls, num_frames: int, fps: float) -> Keep:
        """All free: where pins begin when there is no motion yet."""
        quaternions, places_m = zip(*map(rest_pose, range(NUM_HANDS)), strict=True)
        motion = HandMotion(
            np.repeat(np.stack(quaternions)[None], num_frames, axis=0),
            np.repeat(np.stack(places_m)[None], num_frames, axis=0),
            np.ones((num_frames, NUM_HANDS), dtype=bool),
            np.zeros((NUM_HANDS, NUM_BETAS)),
            fps,
        )
        return cls(motion, np.zeros(num_frames, dtype=bool))

    def pinned(self, pins: Iterable[Pin]) -> Keep:
        """These, and key poses. A pin overrules what was kept there; of two pins of one place, the
        later counts."""
        quaternions = np.array(self.motion.quaternions)
        translation_m, mask = np.array(self.motion.translation_m), np.array(self.mask)
        for pin in pins:
            _in_clip(pin.frame, self.motion.num_frames)
            where = pin.frame, pin.hand_index
            if pin.place_m is not None:
                translation_m[where], mask[(*where, 0)] = pin.place_m, True
            if pin.wrist is not None:
                quaternions[(*where, 0)], mask[(*where, 1)] = normalise(pin.wrist), True
            if pin.fingers is not None:
                quaternions[where][1:], mask[where][2:] = pin.fingers, True
        motion = replace(self.motion, quaternions=quaternions, translation_m=translation_m)
        return Keep(motion, mask)

    @property
    def free(self) -> np.ndarray:
        """(T,) bool: frames of which something is made."""
        return ~self.mask.all(axis=(1, 2))

    @property
    def visible(self) -> np.ndarray:
        """(T, 2) bool. A hand that is made anew is seen, unless the nearest given frame hides
        it."""
        visible = np.ones((self.motion.num_frames, NUM_HANDS), dtype=bool)
        frames = np.arange(self.motion.num_frames)
        for hand in range(NUM_HANDS):
            given = np.flatnonzero(self.mask[:, hand].any(axis=1))
            if len(given):
                after = np.searchsorted(given, frames).clip(max=len(given) - 1)
                before = (after - (given[after] > frames)).clip(min=0)
                nearer = np.abs(given[before] - frames) <= np.abs(given[after] - frames)
                nearest = np.where(nearer, given[before], given[after])
                visible[:, hand] = self.motion.visible[nearest, hand]
        return visible

    def record(self) -> dict[str, Any]:
        """Which frames were made anew, for `meta`: stretches [start, stop) of each hand of which
        anything was free."""
        free = ~self.mask.all(axis=2)
        return {"spans": {name: _stretches(free[:, hand]) for hand, name in enumerate(HANDS)}}


def shown(keep: Keep, frames_per_token: int) -> Keep:
    """What the network is told of `keep`: a pose that is given for less than a token's frames would
    be lost among the free ones of its token, so it is held half a token longer on either side."""
    half = frames_per_token // 2
    motion, mask = keep.motion, np.array(keep.mask)
    quaternions, translation_m = np.array(motion.quaternions), np.array(motion.translation_m)
    for hand, slot in np.ndindex(NUM_HANDS, NUM_SLOTS):
        track = translation_m[:, hand] if slot == 0 else quaternions[:, hand, slot - 1]
        for start, stop in _stretches(keep.mask[:, hand, slot]):
            if stop - start < frames_per_token:
                for given, free in (
                    (start, slice(max(start - half, 0), start)),
                    (stop - 1, slice(stop, stop + half)),
                ):
                    track[free] = np.where(mask[free, hand, slot, None], track[free], track[given])
                    mask[free, hand, slot] = True
    return Keep(replace(motion, quaternions=quaternions, translation_m=translation_m), mask)


def _stretches(flags: np.ndarray) -> list[list[int]]:
    """Where flags (T,) are set: [start, stop) each."""
    return np.flatnonzero(np.diff(np.concatenate([[0], flags, [0]]))).reshape(-1, 2).tolist()


def _in_clip(frame: int, num_frames: int) -> None:
    if not 0 <= frame < num_frames:
        raise InputError("pin", f"must be one of {num_frames} frames", frame, "Choose another.")
