"""Frames and joints that are given, not generated.

The network sees given values and fills in between (`MotionDiT`'s keep-mask). Here they are put back
to the bit, and what was made beside them is bent over a third of a second to meet them: no jump
where a span was re-generated or a pose pinned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emo2.errors import InputError
from emo2.motion.rotations import conjugate, continuous, multiply, slerp
from emo2.stage1.representation import NUM_SLOTS
from emo2.types import NUM_HANDS, HandMotion

REACH_S = 0.33


@dataclass(frozen=True)
class Keep:
    """What is given: it comes out as it went in, to the bit."""

    motion: HandMotion
    mask: np.ndarray
    """(T, 2, 17) bool: per frame and hand the translation (slot 0) and the 16 joints (1..16); or
    (T,) for whole frames."""

    def __post_init__(self) -> None:
        mask = np.asarray(self.mask, dtype=bool)
        shape = (self.motion.num_frames, NUM_HANDS, NUM_SLOTS)
        if mask.ndim == 1 and len(mask) == len(self.motion.quaternions):
            mask = np.broadcast_to(mask[:, None, None], shape)
        if mask.shape != shape:
            raise InputError(
                "keep",
                f"mask must be {shape}",
                mask.shape,
                "Give one value per frame, hand and slot, or one per frame.",
            )
        object.__setattr__(self, "mask", mask)


def put_back(
    quaternions: np.ndarray, translation_m: np.ndarray, keep: Keep
) -> tuple[np.ndarray, np.ndarray]:
    """Given values into a generated motion (T, 2, 16, 4), (T, 2, 3), and their neighbours bent to
    meet them."""
    quaternions, translation_m = np.array(quaternions), np.array(translation_m)
    given_q, given_m = keep.motion.quaternions, keep.motion.translation_m
    reach = max(1, round(REACH_S * keep.motion.fps))
    for hand in range(NUM_HANDS):
        for slot in range(NUM_SLOTS):
            mask = keep.mask[:, hand, slot]
            if not mask.any():
                continue
            nearest, weight = _nearest(mask, reach)
            if slot == 0:
                track = translation_m[:, hand]
                bent = track + weight[:, None] * (given_m[nearest, hand] - track[nearest])
                translation_m[:, hand] = np.where(mask[:, None], given_m[:, hand], bent)
                continue
            track, given = quaternions[:, hand, slot - 1], given_q[:, hand, slot - 1]
            turn = multiply(given[nearest], conjugate(track[nearest]))
            still = np.broadcast_to(np.array([1.0, 0, 0, 0]), turn.shape)
            bent = multiply(slerp(still, turn, weight), track)
            quaternions[:, hand, slot - 1] = _signed(np.where(mask[:, None], given, bent), mask)
    return quaternions.astype(np.float32), translation_m.astype(np.float32)


def _nearest(mask: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """For each frame the nearest given one, and a weight from 1 there to 0 `reach` frames away."""
    given = np.flatnonzero(mask)
    frames = np.arange(len(mask))
    after = given[np.searchsorted(given, frames).clip(0, len(given) - 1)]
    before = given[(np.searchsorted(given, frames, side="right") - 1).clip(0, len(given) - 1)]
    nearest = np.where(np.abs(after - frames) < np.abs(before - frames), after, before)
    near = np.clip(1 - np.abs(nearest - frames) / reach, 0.0, 1.0)
    return nearest, near**2 * (3 - 2 * near)


def _signed(track: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Signs as in `continuous`, except that given quaternions (T, 4) keep theirs."""
    flipped = (continuous(track) * track).sum(-1) < 0
    # A stretch of generated frames takes the sign of the given frame before it, else of the next.
    given = np.flatnonzero(mask)
    frames = np.arange(len(track))
    before = given[(np.searchsorted(given, frames, side="right") - 1).clip(0)]
    change = flipped != flipped[before]
    return np.where((change & ~mask)[:, None], -track, track)
