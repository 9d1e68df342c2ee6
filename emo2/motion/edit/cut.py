"""Edits that cut and copy: trim the motion, paste a span elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emo2.errors import InputError
from emo2.motion import rotations
from emo2.motion.edit.span import HANDS, MOVING_FADE, Span, put
from emo2.types import HandMotion


def trim(motion: HandMotion, start: int, stop: int) -> HandMotion:
    """The frames `start <= t < stop`. Raises `InputError` where that span is not in the motion."""
    frames = Span(start, stop).within(motion).frames
    return replace(
        motion,
        quaternions=motion.quaternions[frames],
        translation_m=motion.translation_m[frames],
        visible=motion.visible[frames],
    )


def paste(
    motion: HandMotion,
    *,
    start: int,
    from_start: int,
    from_stop: int,
    mirrored: bool = False,
    fade: int = MOVING_FADE,
    hands: tuple[str, ...] = HANDS,
) -> HandMotion:
    """A copy of the frames from_start..from_stop at `start`, over what is there; `mirrored`, each
    hand does what the other one did."""
    source = Span(from_start, from_stop).within(motion)
    count = from_stop - from_start
    if not 0 <= start <= motion.num_frames - count:
        raise InputError(
            "start",
            f"must leave room for {count} frames in the motion's {motion.num_frames}",
            start,
            "Paste earlier, or copy a shorter span.",
        )
    span = Span(start, start + count, fade, tuple(hands)).within(motion)
    givers = [1 - hand for hand in span.indices] if mirrored else span.indices
    quaternions = motion.quaternions[source.frames][:, givers]
    places = motion.translation_m[source.frames][:, givers]
    if mirrored:
        quaternions = rotations.mirror(quaternions)
        places = places * np.array([-1, 1, 1], dtype=np.float32)
    return put(
        motion,
        span,
        quaternions=quaternions,
        translation_m=places,
        visible=motion.visible[source.frames][:, givers],
    )
