"""Edits that stop the hands: hold a pose, go to rest."""

from __future__ import annotations

import numpy as np

from emo2.errors import InputError
from emo2.motion.edit.span import WHOLE, Span, put
from emo2.motion.rest import rest_pose
from emo2.types import HandMotion


def hold(motion: HandMotion, span: Span = WHOLE, *, frame: int | None = None) -> HandMotion:
    """Stay in the pose of `frame`: the hands ease into it and out. Left out, they move on for the
    length of the fade and stay where they come to be."""
    span = span.within(motion)
    if frame is None:
        frame = span.start + int((span.weights(motion) >= 1).argmax())
    if not 0 <= frame < motion.num_frames:
        raise InputError(
            "frame", f"must be one of the motion's {motion.num_frames}", frame, "Choose another."
        )
    hands = span.indices
    return _stay(motion, span, motion.quaternions[frame, hands], motion.translation_m[frame, hands])


def rest(motion: HandMotion, span: Span = WHOLE) -> HandMotion:
    """The hands glide to where they rest and stay there."""
    span = span.within(motion)
    quaternions, places = zip(*(rest_pose(hand) for hand in span.indices), strict=True)
    return _stay(motion, span, np.stack(quaternions), np.stack(places))


def _stay(
    motion: HandMotion, span: Span, quaternions: np.ndarray, translation_m: np.ndarray
) -> HandMotion:
    frames = span.stop - span.start
    return put(
        motion,
        span,
        quaternions=np.broadcast_to(quaternions, (frames, *quaternions.shape)),
        translation_m=np.broadcast_to(translation_m, (frames, *translation_m.shape)),
    )
