"""Larger and smaller gestures: movement scaled about its local mean.

The local mean is a hand's place with everything quicker than `slow_s` taken out: where the hand is
held, without the beats it makes there. Scaling `x -> mean + factor (x - mean)` moves the mean a
little, so that scaling back would not come home. Instead the movement grows along the flow

    dx/ds = weight * (x - mean(x)),        s from 0 to log(factor)

whose quick part is multiplied by `factor` and whose slow part stays. Flows compose: amplitudes
multiply, and 1 / factor undoes factor exactly, in the cross-fade too. At the motion's ends the mean
is the place itself: hands that begin at rest begin at rest.
"""

from __future__ import annotations

import numpy as np

from emo2.motion.edit.filters import low_pass, reach, surroundings
from emo2.motion.edit.span import WHOLE, Span, put
from emo2.motion.rest import rest_pose
from emo2.motion.rotations import conjugate, continuous, from_axis_angle, log, multiply
from emo2.types import HandMotion

SLOW_S = 4.0
TURN = 0.5
_SMALL = 1e-9
_MAX_TERMS = 60


def amplitude(
    motion: HandMotion,
    span: Span = WHOLE,
    *,
    factor: float = 1.0,
    turn: float = TURN,
    slow_s: float = SLOW_S,
) -> HandMotion:
    """The wrists' movement `factor` times as large about its local mean, and the wrists' turning
    `factor ** turn` times."""
    span = span.within(motion)
    if factor == 1:
        return motion
    period = slow_s * motion.fps
    window, inside = surroundings(span.start, span.stop, motion.num_frames, reach(period))
    weights = np.zeros(window.stop - window.start)
    weights[inside] = span.weights(motion)
    places = motion.translation_m[window][:, span.indices].astype(np.float64)
    grown = _grow(places, weights, np.log(factor), period)[inside]
    whole = np.ones(span.stop - span.start)
    if turn == 0:
        return put(motion, span, translation_m=grown, weights=whole)
    # Rotation vectors from the resting hand: a fixed reference that the edit does not move.
    rests = np.stack([rest_pose(hand)[0][0] for hand in span.indices])
    wrists = continuous(motion.quaternions[window][:, span.indices, 0].astype(np.float64))
    wrists = np.where((wrists[0] * rests).sum(-1, keepdims=True) < 0, -wrists, wrists)
    vectors = _grow(log(multiply(conjugate(rests), wrists)), weights, turn * np.log(factor), period)
    turned = multiply(rests, from_axis_angle(vectors[inside]))
    return put(
        motion,
        span,
        quaternions=turned[:, :, None],
        translation_m=grown,
        joints=slice(0, 1),
        weights=whole,
    )


def _grow(track: np.ndarray, weights: np.ndarray, amount: float, period: float) -> np.ndarray:
    """The flow for a time `amount`, by its power series: every term is the quick part of the one
    before."""
    weights = weights.reshape(-1, *[1] * (track.ndim - 1))
    out, term = track, track
    for k in range(1, _MAX_TERMS):
        term = (amount / k) * weights * (term - low_pass(term, period, pinned=True))
        out = out + term
        if np.abs(term).max() < _SMALL:
            break
    return out
