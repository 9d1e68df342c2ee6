"""Edits that stop the hands: hold a pose, go to rest."""

from __future__ import annotations

import numpy as np

from emo2.errors import InputError
from emo2.motion.edit.span import WHOLE, Span, put
from emo2.motion.rest import rest_pose
from emo2.types import HandMotion


def hold(motion: HandMotion, span: Span = WHOLE, *, frame: int | None = None) -> HandMotion:
    """Stay in the pose of `frame` (left out, the span's first): the hands ease into it and out."""
    span = span.within(motion)
    frame = span.start if frame is None else frame
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
