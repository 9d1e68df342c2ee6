"""Edits that bring hands back to what a body can do: the one-step answers to what checks find."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter1d

from emo2.hands.limits import clamp_fingers
from emo2.motion import anatomy
from emo2.motion.edit.filters import low_pass
from emo2.motion.edit.span import HANDS, WHOLE, Span, chunks, put
from emo2.types import HandMotion

APPROACH_S = 0.25
"""How long before they would touch, hands begin to give way to each other."""
PUSHES = 8


def limit(motion: HandMotion, span: Span = WHOLE) -> HandMotion:
    """Hands within reach and in front of the torso, wrists and fingers bent no further than they
    go. What is well inside the limits stays."""
    span = span.within(motion)
    count, hands = span.stop - span.start, span.indices
    quaternions = np.empty((count, len(hands), 16, 4), np.float32)
    places = np.empty((count, len(hands), 3), np.float32)
    for part in chunks(0, count):
        frames = slice(span.start + part.start, span.start + part.stop)
        turns, moved = anatomy.limit(motion.quaternions[frames], motion.translation_m[frames])
        places[part] = moved[:, hands]
        for column, hand in enumerate(hands):
            quaternions[part, column] = clamp_fingers(turns[:, hand], hand)
    return put(motion, span, quaternions=quaternions, translation_m=places)


def separate(motion: HandMotion, span: Span = WHOLE, *, gap: float = 0.0) -> HandMotion:
    """Move hands that would pass through each other apart sideways, `gap` metres more than
    needed, beginning early enough to look meant. With one hand chosen, that one gives way."""
    span = span.within(motion)
    reach = round(APPROACH_S * motion.fps)
    first = max(0, span.start - 3 * reach)
    last = min(motion.num_frames, span.stop + 3 * reach)
    places = motion.translation_m[first:last].astype(np.float64)
    push = _push(motion.quaternions[first:last, :, 0], places)
    needed = np.where(push > 0, push + 0.5 * gap, 0.0)
    if not needed[span.start - first : span.stop - first].any():
        return motion
    # The largest push around, then smoothed: everywhere at least what is needed, and no corner.
    held = maximum_filter1d(needed, 2 * reach + 1, mode="nearest")
    eased = np.maximum(low_pass(held, 2.0 * reach), needed)[span.start - first : span.stop - first]
    share = eased[:, None] * (2.0 / len(span.indices))
    sides = np.array([1.0 if HANDS[hand] == "left" else -1.0 for hand in span.indices])
    moved = motion.translation_m[span.frames][:, span.indices].astype(np.float64)
    moved[..., 0] += share * sides
    return put(motion, span, translation_m=moved)


def _push(wrists: np.ndarray, places: np.ndarray) -> np.ndarray:
    """How far (T,) each hand has to give way: one push moves hands that pass each other at a slant
    only part of the way, so it is repeated."""
    moved = places
    for _ in range(PUSHES):
        moved = anatomy.separate(wrists, moved)
    return moved[:, 0, 0] - places[:, 0, 0]
