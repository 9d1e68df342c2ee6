"""Edits against jitter and jumps: zero-phase smoothing, and the repair of a seam."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emo2.errors import InputError
from emo2.motion.edit.filters import low_pass, reach, surroundings
from emo2.motion.edit.span import WHOLE, Span, ease, put
from emo2.motion.rotations import (
    conjugate,
    continuous,
    from_axis_angle,
    multiply,
    normalise,
    to_axis_angle,
)
from emo2.types import HandMotion

EXTRAPOLATE = np.array([4.0, 1.0, -2.0]) / 3
"""The speed at a seam from the three steps on one side, the nearest first: their least-squares
line, one step further."""


def smooth(motion: HandMotion, span: Span = WHOLE, *, seconds: float = 0.0) -> HandMotion:
    """Without what is quicker than about `seconds` (a swing of that period is halved), delaying
    nothing.

    Places are averaged by a Gaussian kernel, rotations likewise as sign-continuous unit
    quaternions: over so short a time their mean is the mean of the rotations' logarithms to second
    order, and it needs no reference that some rotation could be half a turn away from.
    """
    span = span.within(motion)
    if seconds == 0:
        return motion
    period = seconds * motion.fps
    window, inside = surroundings(span.start, span.stop, motion.num_frames, reach(period))
    places = low_pass(motion.translation_m[window][:, span.indices].astype(np.float64), period)
    turns = continuous(motion.quaternions[window][:, span.indices])
    turns = normalise(low_pass(turns, period))
    return put(motion, span, quaternions=turns[inside], translation_m=places[inside])


def seam(
    motion: HandMotion, *, frame: int, frames: int = 8, hands: tuple[str, ...] = ("left", "right")
) -> HandMotion:
    """Take out a jump between `frame` - 1 and `frame`: each side bends half the way, in place and
    in speed, and is itself again `frames` away."""
    if not 0 < frame < motion.num_frames:
        raise InputError(
            "frame",
            f"must have a frame before it and be one of the motion's {motion.num_frames}",
            frame,
            "Name the first frame after the jump.",
        )
    start, stop = max(0, frame - frames), min(motion.num_frames, frame + frames)
    span = Span(start, stop, 0, tuple(hands)).within(motion)
    window, inside = surroundings(start, stop, motion.num_frames, len(EXTRAPOLATE))
    at = frame - window.start
    places = motion.translation_m[window][:, span.indices].astype(np.float64)
    turns = continuous(motion.quaternions[window][:, span.indices].astype(np.float64))
    bend = _bend(np.arange(start, stop) - frame + 0.5, frames)
    place_jump, place_kink = _break(np.diff(places, axis=0), at)
    turn_jump, turn_kink = _break(to_axis_angle(multiply(turns[1:], conjugate(turns[:-1]))), at)
    bent_places = places[inside] + bend(place_jump, place_kink)
    bent_turns = multiply(from_axis_angle(bend(turn_jump, turn_kink)), turns[inside])
    return put(
        motion,
        span,
        quaternions=bent_turns,
        translation_m=bent_places,
        weights=np.ones(stop - start),
    )


def _break(steps: np.ndarray, at: int) -> tuple[np.ndarray, np.ndarray]:
    """What a seam adds to its own step beyond the speeds around it, and how those speeds differ.

    `steps` (n - 1, ...) lead from frame to frame; `at` is the first frame after the seam.
    """
    ahead, behind = _speed(steps[: at - 1][::-1]), _speed(steps[at:])
    return steps[at - 1] - 0.5 * (ahead + behind), behind - ahead


def _speed(steps: np.ndarray) -> np.ndarray:
    """The speed to which `steps` lead, the nearest first."""
    if len(steps) < len(EXTRAPOLATE):
        return steps[0] if len(steps) else np.zeros(steps.shape[1:])
    return np.tensordot(EXTRAPOLATE, steps[: len(EXTRAPOLATE)], 1)


def _bend(distance: np.ndarray, frames: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The correction as a function of jump and kink; `distance` [frames] from the seam, negative
    before it."""
    share = np.minimum(np.abs(distance) / frames, 1.0)
    level = -0.5 * np.sign(distance) * (1 - ease(share))
    slope = -0.5 * frames * share * (1 - share) ** 3

    def bend(jump: np.ndarray, kink: np.ndarray) -> np.ndarray:
        shape = (-1, *[1] * jump.ndim)
        return level.reshape(shape) * jump + slope.reshape(shape) * kink

    return bend
