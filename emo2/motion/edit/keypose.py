"""A key pose: at one frame the hands are as told, and the frames around bend towards it.

The wrist's place and orientation are bent by adding what the key changes, fading to both sides: the
beats that the hand makes stay on top. The fingers are mixed with the key's shape instead, so that
they stay within what joints allow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emo2.errors import InputError
from emo2.hands.shapes import handshape
from emo2.motion.edit.fingers import FINGERS
from emo2.motion.edit.span import HANDS, Span, ease, mix, put
from emo2.motion.rotations import (
    conjugate,
    from_axis_angle,
    mirror,
    multiply,
    normalise,
    to_axis_angle,
)
from emo2.types import HandMotion

FALLOFF = 12


def key(
    motion: HandMotion,
    *,
    frame: int,
    place: Sequence[float] | None = None,
    wrist: Sequence[float] | None = None,
    shape: str | Sequence[Sequence[float]] | None = None,
    before: int = FALLOFF,
    after: int = FALLOFF,
    hands: tuple[str, ...] = HANDS,
) -> HandMotion:
    """The pose at `frame`, and around it from `before` frames earlier to `after` frames later.

    `place` (3,) [m] and `wrist` (4,) wxyz are of the body frame, `shape` is a handshape's name or
    16 quaternions (the first, the wrist's, is not read). What is None stays as it moves. With both
    hands, the values are the left hand's and the right one takes their mirror image.
    """
    if not 0 <= frame < motion.num_frames:
        raise InputError(
            "frame", f"must be one of the motion's {motion.num_frames}", frame, "Choose another."
        )
    if place is None and wrist is None and shape is None:
        return motion
    start, stop = max(0, frame - before), min(motion.num_frames, frame + after + 1)
    distance = np.arange(start, stop) - frame
    weights = 1 - ease(np.abs(distance) / np.where(distance < 0, before + 1, after + 1))
    for hand in Span(hands=tuple(hands)).within(motion).indices:
        span = Span(start, stop, 0, (HANDS[hand],)).within(motion)
        reflected = hand == 1 and len(hands) == 2
        motion = _bend_wrist(motion, span, frame, weights, place, wrist, reflected)
        if shape is not None:
            motion = _bend_fingers(motion, span, weights, shape, reflected)
    return motion


def _bend_wrist(
    motion: HandMotion,
    span: Span,
    frame: int,
    weights: np.ndarray,
    place: Sequence[float] | None,
    wrist: Sequence[float] | None,
    reflected: bool,
) -> HandMotion:
    whole = np.ones(len(weights))
    hand = span.indices[0]
    if place is not None:
        target = np.asarray(place, float) * ([-1, 1, 1] if reflected else [1, 1, 1])
        change = target - motion.translation_m[frame, hand]
        bent = motion.translation_m[span.frames, hand] + weights[:, None] * change
        motion = put(motion, span, translation_m=bent[:, None], weights=whole)
    if wrist is not None:
        target = normalise(np.asarray(wrist, float))
        target = mirror(target) if reflected else target
        now = motion.quaternions[:, hand, 0].astype(np.float64)
        change = to_axis_angle(multiply(target, conjugate(now[frame])))
        bent = multiply(from_axis_angle(weights[:, None] * change), now[span.frames])
        bent = bent[:, None, None]
        motion = put(motion, span, quaternions=bent, joints=slice(0, 1), weights=whole)
    return motion


def _bend_fingers(
    motion: HandMotion,
    span: Span,
    weights: np.ndarray,
    shape: str | Sequence[Sequence[float]],
    reflected: bool,
) -> HandMotion:
    hand = span.indices[0]
    if isinstance(shape, str):
        target = handshape(shape, hand)[FINGERS]
    else:
        target = normalise(np.asarray(shape, float))[FINGERS]
        target = mirror(target) if reflected else target
    now = motion.quaternions[span.frames][:, [hand], FINGERS]
    bent = mix(now, np.broadcast_to(target, now.shape), weights[:, None, None])
    return put(motion, span, quaternions=bent, joints=FINGERS, weights=np.ones(len(weights)))
