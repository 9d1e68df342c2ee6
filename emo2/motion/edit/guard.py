"""Edits that bring hands back to what a body can do: the one-step answers to what checks find.

Held back frame by frame, a quick hand would stop as if at a wall: what is changed of a hand's place
sets in before it is needed and fades after.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter1d

from emo2.hands.limits import clamp_fingers
from emo2.motion import anatomy, clearance
from emo2.motion.capsules import Anatomy
from emo2.motion.edit.cut import trim
from emo2.motion.edit.filters import low_pass, surroundings
from emo2.motion.edit.span import WHOLE, Span, chunks, put
from emo2.motion.rotations import mirror
from emo2.types import HandMotion

APPROACH_S = 0.25
"""How long before they would touch, hands begin to give way to each other."""
EASE_S = 0.4
"""What is quicker than this is smoothed away from a correction of a place."""
PUSHES = 8
ROUNDS = 5
"""How often what a place lacks is added, smoothed, before the rest is taken as it is."""
PARTS = ("all", "place", "wrist", "fingers")
WAYS = ("sideways", "forward")
_MIRROR = np.array([-1.0, 1.0, 1.0])


def limit(motion: HandMotion, span: Span = WHOLE, *, what: str = "all") -> HandMotion:
    """Hands within reach, in front of the torso and apart, wrists and fingers bent no further than
    they go; or only one of `PARTS` of that. What is well inside the limits stays."""
    span = span.within(motion)
    places = _limited_places(motion, span, what)
    quaternions = np.empty((span.stop - span.start, len(span.indices), 16, 4), np.float32)
    for part in chunks(0, len(quaternions)):
        frames = slice(span.start + part.start, span.start + part.stop)
        for column, hand in enumerate(span.indices):
            turns = motion.quaternions[frames, hand].copy()
            if what in ("all", "wrist"):
                wrist = mirror(turns[:, 0]) if hand else turns[:, 0]
                wrist = anatomy.limit_bend(wrist, _MIRROR**hand * places[part, hand])
                turns[:, 0] = mirror(wrist) if hand else wrist
            fits = what in ("all", "fingers")
            quaternions[part, column] = clamp_fingers(turns, hand) if fits else turns
    return put(motion, span, quaternions=quaternions, translation_m=places[:, span.indices])


def _limited_places(motion: HandMotion, span: Span, what: str) -> np.ndarray:
    """Where both wrists are in the span, (n, 2, 3), within their volume and apart."""
    approach = APPROACH_S * motion.fps
    window, inside = surroundings(span.start, span.stop, motion.num_frames, round(4 * approach))
    places = motion.translation_m[window].astype(np.float64)
    for hand in span.indices if what in ("all", "place") else ():
        left = _MIRROR**hand * places[:, hand]
        for _ in range(ROUNDS):
            left = left + low_pass(anatomy.limit_place(left) - left, EASE_S * motion.fps)
        places[:, hand] = _MIRROR**hand * anatomy.limit_place(left)
    if what == "all":
        push = _push(motion.quaternions[window, :, 0], places)
        places[:, span.indices] += _eased(push, approach)[:, None, None] * _sideways(span)
    return places[inside]


def separate(
    motion: HandMotion, span: Span = WHOLE, *, gap: float = 0.0, way: str = "sideways"
) -> HandMotion:
    """Move hands that would pass through each other apart, `gap` metres more than needed, beginning
    early enough to look meant. They part sideways, or the one that is nearer to the camera comes
    forward, as when arms cross. With one hand chosen, that one gives way."""
    span = span.within(motion)
    approach = APPROACH_S * motion.fps
    window, inside = surroundings(span.start, span.stop, motion.num_frames, round(4 * approach))
    around = trim(motion, window.start, window.stop)
    if way == "sideways":
        ways = _sideways(span)
        push = _push(around.quaternions[:, :, 0], around.translation_m.astype(np.float64))
        needed = np.where(push > 0, push + 0.5 * gap, 0.0)
    else:
        push, hand = _forward(around, span.indices)
        ways = np.array([[0.0, 0.0, float(index == hand)] for index in span.indices])
        needed = np.where(push > 0, push + gap, 0.0)
    if not needed[inside].any():
        return motion
    moved = motion.translation_m[span.frames][:, span.indices].astype(np.float64)
    eased = _eased(needed, approach)[inside]
    return put(motion, span, translation_m=moved + eased[:, None, None] * ways)


def _sideways(span: Span) -> np.ndarray:
    """Each chosen hand's way (h, 3) to its own side; one hand alone goes for both."""
    sides = np.array([1.0 - 2.0 * hand for hand in span.indices])
    return sides[:, None] * (2.0 / len(sides)) * np.array([1.0, 0.0, 0.0])


def _eased(needed: np.ndarray, approach: float) -> np.ndarray:
    """The largest that is needed (T,) around each frame, smoothed: everywhere at least what is
    needed there, and no corner."""
    held = maximum_filter1d(needed, 2 * round(approach) + 1, mode="nearest")
    return np.maximum(low_pass(held, 2 * approach), needed)


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
