"""Edits that bring hands back to what a body can do: the one-step answers to what checks find."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter1d

from emo2.hands.limits import clamp_fingers
from emo2.motion import anatomy, clearance
from emo2.motion.capsules import Anatomy
from emo2.motion.edit.cut import trim
from emo2.motion.edit.filters import low_pass
from emo2.motion.edit.span import HANDS, WHOLE, Span, chunks, put
from emo2.types import HandMotion

APPROACH_S = 0.25
"""How long before they would touch, hands begin to give way to each other."""
PUSHES = 8
PARTS = ("all", "place", "wrist", "fingers")
WAYS = ("sideways", "forward")


def limit(motion: HandMotion, span: Span = WHOLE, *, what: str = "all") -> HandMotion:
    """Hands within reach and in front of the torso, wrists and fingers bent no further than they
    go; or only one of `PARTS` of that. What is well inside the limits stays."""
    span = span.within(motion)
    count, hands = span.stop - span.start, span.indices
    quaternions = np.empty((count, len(hands), 16, 4), np.float32)
    places = np.empty((count, len(hands), 3), np.float32)
    for part in chunks(0, count):
        frames = slice(span.start + part.start, span.start + part.stop)
        turns, moved = anatomy.limit(motion.quaternions[frames], motion.translation_m[frames], what)
        places[part], quaternions[part] = moved[:, hands], turns[:, hands]
        for column, hand in enumerate(hands if what in ("all", "fingers") else ()):
            quaternions[part, column] = clamp_fingers(turns[:, hand], hand)
    return put(motion, span, quaternions=quaternions, translation_m=places)


def separate(
    motion: HandMotion, span: Span = WHOLE, *, gap: float = 0.0, way: str = "sideways"
) -> HandMotion:
    """Move hands that would pass through each other apart, `gap` metres more than needed, beginning
    early enough to look meant. They part sideways, or the one that is nearer to the camera comes
    forward, as when arms cross. With one hand chosen, that one gives way."""
    span = span.within(motion)
    reach = round(APPROACH_S * motion.fps)
    first = max(0, span.start - 3 * reach)
    last = min(motion.num_frames, span.stop + 3 * reach)
    around = trim(motion, first, last)
    if way == "sideways":
        sides = np.array([1.0 if HANDS[hand] == "left" else -1.0 for hand in span.indices])
        ways = sides[:, None] * (2.0 / len(span.indices)) * np.array([1.0, 0.0, 0.0])
        push = _push(around.quaternions[:, :, 0], around.translation_m.astype(np.float64))
        needed = np.where(push > 0, push + 0.5 * gap, 0.0)
    else:
        push, hand = _forward(around, span.indices)
        ways = np.array([[0.0, 0.0, float(index == hand)] for index in span.indices])
        needed = np.where(push > 0, push + gap, 0.0)
    if not needed[span.start - first : span.stop - first].any():
        return motion
    # The largest push around, then smoothed: everywhere at least what is needed, and no corner.
    held = maximum_filter1d(needed, 2 * reach + 1, mode="nearest")
    eased = np.maximum(low_pass(held, 2.0 * reach), needed)[span.start - first : span.stop - first]
    moved = motion.translation_m[span.frames][:, span.indices].astype(np.float64)
    return put(motion, span, translation_m=moved + eased[:, None, None] * ways)


def _push(wrists: np.ndarray, places: np.ndarray) -> np.ndarray:
    """How far (T,) each hand has to give way: one push moves hands that pass each other at a slant
    only part of the way, so it is repeated."""
    moved = places
    for _ in range(PUSHES):
        moved = anatomy.separate(wrists, moved)
    return moved[:, 0, 0] - places[:, 0, 0]


def _forward(motion: HandMotion, hands: list[int]) -> tuple[np.ndarray, int]:
    """How far (T,) the nearer of `hands` has to come forward, and which one that is."""
    anatomy_ = Anatomy.of(motion)
    joints = anatomy_.joints(motion.quaternions, motion.translation_m)
    meeting = clearance.between_hands(joints, anatomy_).depth_m > clearance.TOUCH_M
    if not meeting.any():
        return np.zeros(len(joints)), hands[0]
    nearness = joints[meeting][..., 2].mean(axis=(0, 2))
    hand = max(hands, key=lambda index: nearness[index])
    ways = np.array([[0.0, 0.0, float(index == hand)] for index in (0, 1)])
    return clearance.needed(joints, anatomy_, ways), hand
