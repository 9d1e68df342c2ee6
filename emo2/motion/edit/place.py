"""Edits of where the hands are: offset, height, mirror, swap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emo2.motion import rotations
from emo2.motion.edit.span import HANDS, WHOLE, Span, put
from emo2.types import HandMotion

_FLIP_X = np.array([-1, 1, 1], dtype=np.float32)


def offset(
    motion: HandMotion,
    span: Span = WHOLE,
    *,
    dx: float = 0.0,
    dy: float = 0.0,
    dz: float = 0.0,
    apart: float = 0.0,
) -> HandMotion:
    """Move the hands in the body frame: to the person's left, up, forward, and (each to its own
    side) apart; metres."""
    span = span.within(motion)
    if not any((dx, dy, dz, apart)):
        return motion
    way = np.array([[dx + apart, dy, dz], [dx - apart, dy, dz]])[span.indices]
    places = motion.translation_m[span.frames][:, span.indices].astype(np.float64)
    return put(motion, span, translation_m=places + way)


def height(motion: HandMotion, span: Span = WHOLE, *, metres: float = 0.0) -> HandMotion:
    """Raise (or lower, below 0) the hands."""
    return offset(motion, span, dy=metres)


def mirror(motion: HandMotion, span: Span = WHOLE) -> HandMotion:
    """The motion in a looking-glass: the left hand does what the right one did, x turned round.

    A reflection in the plane x = 0 keeps a rotation's angle and turns its axis (a, b, c) into
    (a, -b, -c); the free hand's left is the mirror image of its right, so joints keep their index.
    With one hand chosen, that hand copies the other. The whole motion takes the hands' shapes
    (betas) along.
    """
    span = span.within(motion)
    if span.start == 0 and span.stop == motion.num_frames and span.hands == HANDS:
        return replace(
            motion,
            quaternions=rotations.mirror(motion.quaternions[:, ::-1]),
            translation_m=motion.translation_m[:, ::-1] * _FLIP_X,
            visible=motion.visible[:, ::-1],
            betas=motion.betas[::-1],
        )
    return _reflect(motion, span, plane_x=0.0)


def swap(motion: HandMotion, span: Span = WHOLE) -> HandMotion:
    """The hands exchange what they do and stay where they are from side to side: `mirror`, in the
    plane midway between them (on the span's average) in place of the body's."""
    span = replace(span.within(motion), hands=HANDS)
    plane_x = motion.translation_m[span.frames, :, 0].astype(np.float64).mean()
    return _reflect(motion, span, plane_x=plane_x)


def _reflect(motion: HandMotion, span: Span, plane_x: float) -> HandMotion:
    others = [1 - hand for hand in span.indices]
    places = motion.translation_m[span.frames][:, others].astype(np.float64)
    return put(
        motion,
        span,
        quaternions=rotations.mirror(motion.quaternions[span.frames][:, others]),
        translation_m=places * _FLIP_X + [2 * plane_x, 0, 0],
        visible=motion.visible[span.frames][:, others],
    )
