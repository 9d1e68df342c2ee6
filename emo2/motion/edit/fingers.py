"""Edits of the fingers: more open or more closed, or towards a named handshape."""

from __future__ import annotations

import numpy as np

from emo2.hands.shapes import handshape as named_handshape
from emo2.motion.edit.span import WHOLE, Span, chunks, put
from emo2.motion.rotations import slerp
from emo2.types import HandMotion

OPEN, CLOSED = "open", "fist"
FINGERS = slice(1, 16)


def openness(motion: HandMotion, span: Span = WHOLE, *, amount: float = 0.0) -> HandMotion:
    """Fingers `amount` of the way to the open hand; below 0, to the fist. 1 is all the way.

    Both ends lie inside the joints' limits, and so does all between: nothing has to be clamped.
    """
    return handshape(motion, span, shape=OPEN if amount > 0 else CLOSED, amount=abs(amount))


def handshape(
    motion: HandMotion, span: Span = WHOLE, *, shape: str, amount: float = 1.0
) -> HandMotion:
    """Fingers `amount` of the way to a named handshape."""
    span = span.within(motion)
    if amount == 0:
        return motion
    targets = np.stack([named_handshape(shape, hand)[FINGERS] for hand in span.indices])
    edited = np.empty((span.stop - span.start, *targets.shape), np.float32)
    for part in chunks(0, len(edited)):
        frames = slice(span.start + part.start, span.start + part.stop)
        before = motion.quaternions[frames][:, span.indices, FINGERS]
        edited[part] = slerp(before, np.broadcast_to(targets, before.shape), amount)
    return put(motion, span, quaternions=edited, joints=FINGERS)
