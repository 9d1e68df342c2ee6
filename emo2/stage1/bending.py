"""What was made meets what is given: place and speed agree where one becomes the other.

At a given frame the network's own idea differs from the given value by some error. That error,
and how fast it changes there, fade out into the made frames as a hand moves from one rest to
another, with minimum jerk (Flash & Hogan 1985): no jump in place, speed or acceleration. A large
error takes longer, so that hands are not snatched to a pin.
"""

from __future__ import annotations

import itertools

import numpy as np

from emo2.motion.rotations import (
    conjugate,
    continuous,
    from_axis_angle,
    multiply,
    to_axis_angle,
)
from emo2.stage1.keeping import Keep
from emo2.types import NUM_HANDS

SHORTEST_S, LONGEST_S = 0.75, 1.25
"""How long an error fades."""
SPEED_M_S, SPEED_RAD_S = 0.25, 2.5
"""What the fading may add to a hand's own speed, where there is time."""
SWING_S = 0.16
"""How far a change goes on, in seconds of that speed."""


def put_back(
    quaternions: np.ndarray, translation_m: np.ndarray, keep: Keep
) -> tuple[np.ndarray, np.ndarray]:
    """Given values into a made motion (T, 2, 16, 4), (T, 2, 3), and what lies between bent to meet
    them. At given frames the made motion is the network's idea of them."""
    quaternions, translation_m = np.array(quaternions), np.array(translation_m)
    given_q, given_m, fps = keep.motion.quaternions, keep.motion.translation_m, keep.motion.fps
    for hand in range(NUM_HANDS):
        mask, made = keep.mask[:, hand], quaternions[:, hand]
        places = (given_m[:, hand] - translation_m[:, hand])[:, None].astype(np.float64)
        turns = to_axis_angle(multiply(given_q[:, hand].astype(np.float64), conjugate(made)))
        places = correction(places, mask[:, :1], fps, SPEED_M_S)[:, 0]
        turns = correction(turns, mask[:, 1:], fps, SPEED_RAD_S)
        bent_m = translation_m[:, hand] + places
        bent_q = multiply(from_axis_angle(turns), made)
        translation_m[:, hand] = np.where(mask[:, :1], given_m[:, hand], bent_m)
        joints = np.where(mask[:, 1:, None], given_q[:, hand], bent_q)
        for slot in range(mask.shape[1] - 1):
            joints[:, slot] = _signed(joints[:, slot], mask[:, slot + 1])
        quaternions[:, hand] = joints
    return quaternions.astype(np.float32), translation_m.astype(np.float32)


def correction(errors: np.ndarray, mask: np.ndarray, fps: float, speed: float) -> np.ndarray:
    """What to add to made tracks: errors (T, S, 3) where mask (T, S) is True, fading between.

    Each gap between given frames is bent from both ends; a bend never reaches the other end.
    """
    out = np.where(mask[..., None], errors, 0.0)
    for slots in _alike(mask):
        given = np.flatnonzero(mask[:, slots[0]])
        if not len(given):
            continue
        ends = [(-1, given[0]), *itertools.pairwise(given), (given[-1], len(mask))]
        for before, after in ends:
            gap = after - before
            if gap < 2:
                continue
            away = np.arange(1, gap)
            if before >= 0:
                run = errors[max(before - 1, 0) : before + 1, slots]
                moving = before > 0 and mask[before - 1, slots[0]]
                out[before + 1 : after, slots] += _fade(run, moving, away, gap, fps, speed)
            if after < len(mask):
                run = errors[after : after + 2, slots][::-1]
                moving = after + 1 < len(mask) and mask[after + 1, slots[0]]
                out[before + 1 : after, slots] += _fade(run, moving, away[::-1], gap, fps, speed)
    return out


def _fade(
    run: np.ndarray, moving: bool, away: np.ndarray, gap: int, fps: float, speed: float
) -> np.ndarray:
    """The error run[-1] (S, 3), and its change from run[-2] where it is `moving`, at frames `away`
    (n,) beyond: (n, S, 3)."""
    error = run[-1]
    change = error - run[-2] if moving else np.zeros_like(error)
    size = np.linalg.norm(error, axis=-1)
    # The steepest slope of minimum jerk is 1.875 times its mean slope.
    reach = np.clip(1.875 * size / speed, SHORTEST_S, LONGEST_S) * fps
    reach = np.minimum(reach, gap)
    # What moves on swings out by a fifth of where it would be; a jittery track must not throw it.
    swing = 0.2 * np.maximum(np.linalg.norm(change, axis=-1), 1e-9)
    swung = np.clip(SWING_S * speed / swing, 1.0, reach)
    place = np.minimum(away[:, None, None] / reach[:, None], 1.0)
    staying = 1 - place**3 * (10 - 15 * place + 6 * place**2)
    place = np.minimum(away[:, None, None] / swung[:, None], 1.0)
    moving_on = swung[:, None] * (place - place**3 * (6 - 8 * place + 3 * place**2))
    return staying * error + moving_on * change


def _alike(mask: np.ndarray) -> list[np.ndarray]:
    """Slots of mask (T, S) that are given at the same frames."""
    _, group = np.unique(mask, axis=1, return_inverse=True)
    return [np.flatnonzero(group == g) for g in np.unique(group)]


def _signed(track: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Signs as in `continuous`, except that given quaternions (T, 4) keep theirs."""
    flipped = (continuous(track) * track).sum(-1) < 0
    # A stretch of made frames takes the sign of the given frame before it, else of the next.
    given = np.flatnonzero(mask)
    if not len(given):
        return continuous(track)
    frames = np.arange(len(track))
    before = given[(np.searchsorted(given, frames, side="right") - 1).clip(0)]
    change = flipped != flipped[before]
    return np.where((change & ~mask)[:, None], -track, track)
