"""An edit against frames that are simply wrong: lead the hands over them."""

from __future__ import annotations

import numpy as np

from emo2.errors import InputError
from emo2.motion.edit.span import WHOLE, Span, put
from emo2.motion.rotations import conjugate, from_axis_angle, multiply, normalise, to_axis_angle
from emo2.types import HandMotion

LONGEST_PULL = 12
"""In a longer gap the speeds at its ends count no further: hands would swing out."""
SLOPE_FRAMES = 3
"""Frames from which the speed at one end of the gap is read."""


def bridge(motion: HandMotion, span: Span = WHOLE) -> HandMotion:
    """The span's frames anew: a smooth path from the good frame before it to the good one after, at
    the speeds that the hands have there.

    What the span holds is not read: it may be anything, even no numbers. A span at the motion's
    beginning or end holds the pose of its other end. `visible` stays.
    """
    span = span.within(motion)
    frames = np.arange(motion.num_frames)
    before = frames[max(0, span.start - SLOPE_FRAMES) : span.start]
    after = frames[span.stop : span.stop + SLOPE_FRAMES]
    near = np.concatenate([before, after])
    turns = motion.quaternions[near][:, span.indices].astype(np.float64)
    places = motion.translation_m[near][:, span.indices].astype(np.float64)
    ends = [len(before) - 1] * (len(before) > 0) + [len(before)] * (len(after) > 0)
    if not ends or not (np.isfinite(turns[ends]).all() and np.isfinite(places[ends]).all()):
        raise InputError(
            "span",
            "must have a whole frame before it or after it, and none that is broken",
            f"{span.start}..{span.stop}",
            "Choose the broken frames and no others.",
        )
    # Rotations as vectors, counted from one end: there a smooth path is a smooth curve.
    origin = normalise(turns[ends[0]])
    vectors = to_axis_angle(multiply(conjugate(origin), normalise(turns)))
    count = span.stop - span.start
    path = _path(vectors, len(before), count)
    return put(
        motion,
        span,
        quaternions=multiply(origin, from_axis_angle(path)),
        translation_m=_path(places, len(before), count),
        weights=np.ones(count),
    )


def _path(track: np.ndarray, split: int, count: int) -> np.ndarray:
    """`count` frames between the good ones: track[:split] before, the rest after (n, ...)."""
    before, after = track[:split], track[split:]
    if not len(before) or not len(after):
        return np.repeat(track[:1] if not len(before) else track[-1:], count, axis=0)
    share = (np.arange(1, count + 1) / (count + 1)).reshape(-1, *[1] * (track.ndim - 1))
    pull = min(count + 1, LONGEST_PULL)
    leave, arrive = -pull * _slope(before[::-1]), pull * _slope(after)
    # Cubic Hermite.
    return (
        (1 + 2 * share) * (1 - share) ** 2 * before[-1]
        + share**2 * (3 - 2 * share) * after[0]
        + share * (1 - share) ** 2 * leave
        - share**2 * (1 - share) * arrive
    )


def _slope(track: np.ndarray) -> np.ndarray:
    """The change per frame at track[0], to second order where there are three whole frames."""
    steps = np.diff(track, axis=0)
    whole = int(np.isfinite(steps).all(axis=tuple(range(1, steps.ndim))).cumprod().sum())
    if whole == 0:
        return np.zeros_like(track[0])
    return steps[0] if whole == 1 else 1.5 * steps[0] - 0.5 * steps[1]
