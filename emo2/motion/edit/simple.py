"""Edits of a motion: pure functions from one `HandMotion` to another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emo2.errors import InputError
from emo2.types import HandMotion


def trim(motion: HandMotion, start: int, stop: int) -> HandMotion:
    """The frames `start <= t < stop`. Raises `InputError` where that span is not in the motion."""
    if not 0 <= start < stop <= motion.num_frames:
        raise InputError(
            "span",
            f"must lie within the motion's {motion.num_frames} frames",
            f"{start}..{stop}",
            "Choose 0 <= start < stop <= the number of frames.",
        )
    return replace(
        motion,
        quaternions=motion.quaternions[start:stop],
        translation_m=motion.translation_m[start:stop],
        visible=motion.visible[start:stop],
    )


def mirror(motion: HandMotion) -> HandMotion:
    """The motion in a looking-glass: the left hand does what the right one did, x turned round.

    A reflection in the plane x = 0 keeps a rotation's angle and turns its axis (a, b, c) into
    (a, -b, -c); the free hand's left is the mirror image of its right, so joints keep their index.
    """
    flip_axis = np.array([1, 1, -1, -1], dtype=np.float32)
    flip_x = np.array([-1, 1, 1], dtype=np.float32)
    return replace(
        motion,
        quaternions=motion.quaternions[:, ::-1] * flip_axis,
        translation_m=motion.translation_m[:, ::-1] * flip_x,
        visible=motion.visible[:, ::-1],
        betas=motion.betas[::-1],
    )
