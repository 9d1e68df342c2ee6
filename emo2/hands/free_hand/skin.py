"""The skin of the free right hand at rest: nails, creases and colour as smooth functions of place.

They are finer than 778 vertices can hold, so template.py stores them for the vertices of the
subdivided hand (detail.py). Heights in metres along the normal; colours multiply the skin's own.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from emo2.hands.free_hand.chains import Chain, bump, chain, ramp
from emo2.hands.free_hand.implicit import FINGER_RADII, TIP_LENGTH
from emo2.hands.skeleton import FINGERS, NAIL_FOLD, WRIST

_NAIL_SIDE = np.deg2rad(55.0)
"""Half the angle around the finger that a nail covers."""
_NAIL_END_DEGREES = 43.0
"""Where a nail ends on the rounded tip: 0 where the rounding begins, 90 at the very end."""
# Lines of the palm as (x, z) at rest: below the fingers, across, around the thumb.
_PALM_LINES = tuple(
    np.array(line)
    for line in (
        [(.0350, -.0430), (.0275, -.0250), (.0215, -.0080), (.0150, .0070), (.0065, .0150)],
        [(.0235, .0370), (.0290, .0220), (.0365, .0060), (.0450, -.0090), (.0520, -.0220)],
        [(.0250, .0360), (.0340, .0240), (.0480, .0140), (.0640, .0075), (.0830, .0065)],
    )
)  # fmt: skip
# Albedo against the skin of the back of the hand, linear (r, g, b).
_PALM = np.array([1.10, 0.985, 0.955])
_KNUCKLE = np.array([0.93, 0.80, 0.75])
_FINGERTIP = np.array([1.04, 0.89, 0.86])
_CREASE = np.array([0.80, 0.63, 0.57])
_NAIL = np.array([1.17, 1.03, 1.05])
_NAIL_EDGE = np.array([1.42, 1.48, 1.56])
_NAIL_MOON = np.array([1.18, 1.14, 1.15])
_NAIL_FOLD_TINT = np.array([0.80, 0.65, 0.61])


def relief(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(N,) metres: what nails, folds and creases add to the smooth surface."""
    height = -0.00042 * _palm_creases(points, normals)
    for finger in FINGERS:
        where = chain(points, finger)
        on = _on_finger(points, finger, where)
        height -= 0.00038 * on * _flexion_creases(where, finger)
        height -= 0.00022 * on * _knuckle_wrinkles(where, finger)
        nail = _Nail(where, finger)
        plate = nail.inside * (0.00024 + 0.00022 * np.clip(nail.ahead, 0.0, 1.0) ** 2)
        groove = 0.00042 * nail.border * ramp(nail.ahead, 1.12, 0.92)
        fold = 0.00030 * bump(nail.outside - 0.20, 0.12) * ramp(nail.ahead, 0.95, 0.6)
        under = 0.00050 * bump(nail.ahead - 1.15, 0.07) * ramp(nail.aside, 0.95, 0.75)
        height += on * np.where(where.up > 0.1, plate - groove + fold - under, 0.0)
    return height


def albedo(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(N, 3) linear colour relative to the skin of the back of the hand."""
    palm = ramp(-normals[:, 1], -0.35, 0.45) * ramp(points[:, 0], 0.125, 0.095)
    colour = 1.0 + (_PALM - 1.0) * palm[:, None]
    colour = _tint(colour, _CREASE, 0.85 * _palm_creases(points, normals))
    for finger in FINGERS:
        where = chain(points, finger)
        on = _on_finger(points, finger, where)
        red = np.zeros(len(points))
        for k, reach in enumerate((0.0085, 0.0068, 0.0055)):
            if finger != "thumb" or k:
                red = np.maximum(red, bump(where.along - where.starts[k], reach))
        close = ramp(where.surface, 0.006, 0.001)
        colour = _tint(colour, _KNUCKLE, 0.75 * close * red * ramp(where.up, 0.15, 0.8))
        colour = _tint(colour, _FINGERTIP, 0.8 * on * ramp(where.station, 2.25, 2.85))
        creases = _flexion_creases(where, finger) + 0.6 * _knuckle_wrinkles(where, finger)
        colour = _tint(colour, _CREASE, 0.75 * on * np.minimum(creases, 1.0))
        nail = _Nail(where, finger)
        on = on * (where.up > 0.1)
        colour = _tint(colour, _NAIL_FOLD_TINT, on * 0.8 * nail.border)
        plate = on * nail.inside
        colour += plate[:, None] * (_NAIL - colour)
        moon = plate * ramp(np.hypot(nail.ahead / 0.26, nail.aside / 0.62), 1.1, 0.8)
        colour = _mix(colour, _NAIL_MOON, 0.6 * moon)
        colour = _mix(colour, _NAIL_EDGE, 0.75 * plate * ramp(nail.ahead, 0.86, 0.97))
    return colour


def nail_mask(points: np.ndarray) -> np.ndarray:
    """(N,) 0..1: 1 on the five nails, with a soft edge of about a millimetre."""
    mask = np.zeros(len(points))
    for finger in FINGERS:
        where = chain(points, finger)
        on = _on_finger(points, finger, where) * (where.up > 0.1)
        mask = np.maximum(mask, on * _Nail(where, finger).inside)
    return mask


class _Nail:
    """Where points lie relative to one nail."""

    def __init__(self, where: Chain, finger: str) -> None:
        length = where.starts[3] - where.starts[2]
        tip = TIP_LENGTH * FINGER_RADII[finger][3]
        start = where.starts[2] + NAIL_FOLD[finger] * length
        end = where.starts[3] - tip + tip * np.deg2rad(_NAIL_END_DEGREES)
        self.aside = np.abs(where.angle) / _NAIL_SIDE
        """0 on the nail's middle line, 1 at its sides."""
        # Both ends are arcs: the fold comes forward at the sides, the free edge falls back.
        sides = np.minimum(self.aside, 1.2) ** 2
        start, end = start + 0.15 * (end - start) * sides, end - 0.13 * (end - start) * sides
        self.ahead = (where.along - start) / (end - start)
        """0 where it leaves the skin, 1 at its free edge."""
        self.outside = np.maximum(1.25 * np.abs(self.ahead - 0.5) - 0.625, self.aside - 1.0)
        """Below 0 on the nail, about in its half breadths."""
        self.inside = ramp(self.outside, 0.04, -0.10)
        self.border = bump(self.outside - 0.02, 0.075)


def _on_finger(points: np.ndarray, finger: str, where: Chain) -> np.ndarray:
    """(N,) 0..1: 1 on this finger's own skin."""
    others = np.min([chain(points, f).surface for f in FINGERS if f != finger], axis=0)
    return ramp(others - where.surface, -0.001, 0.001) * ramp(where.surface, 0.005, 0.002)


def _flexion_creases(where: Chain, finger: str) -> np.ndarray:
    """(N,) 0..1: the lines across the pad side over each joint."""
    starts = where.starts
    places = [(starts[1] - 0.0012, 0.9), (starts[1] + 0.0012, 1.0), (starts[2] - 0.0004, 1.0)]
    if finger == "thumb":
        places = [(starts[1] - 0.0004, 0.7), (starts[2] - 0.0006, 1.0)]
    else:
        places.append((0.40 * starts[1], 0.9))
    total = np.zeros(len(where.along))
    for place, strength in places:
        # Lines run a little towards the tip at the sides.
        bend = 0.0012 * np.square(np.abs(where.angle) - np.pi)
        total = np.maximum(total, strength * bump(where.along - place - bend, 0.00075))
    return total * ramp(-where.up, -0.35, 0.35)


def _knuckle_wrinkles(where: Chain, finger: str) -> np.ndarray:
    """(N,) 0..1: fine lines across the back of the middle (and, weaker, the last) joint."""
    total = np.zeros(len(where.along))
    joints = ((2, 1.0),) if finger == "thumb" else ((1, 1.0), (2, 0.7))
    for joint, strength in joints:
        at = where.along - where.starts[joint]
        for place in (-0.0024, 0.0, 0.0024):
            total = np.maximum(total, strength * bump(at - place, 0.0006))
    return total * ramp(where.up, 0.35, 0.85)


def _palm_creases(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """(N,) 0..1: the three lines of the palm and the folds of the wrist."""
    total = np.zeros(len(points))
    flat = points[:, [0, 2]]
    for line in _PALM_LINES:
        away, position = np.full(len(points), np.inf), np.zeros(len(points))
        for k, (start, end) in enumerate(pairwise(line)):
            t = np.clip((flat - start) @ (end - start) / ((end - start) @ (end - start)), 0.0, 1.0)
            here = np.linalg.norm(flat - start - t[:, None] * (end - start), axis=1)
            position = np.where(here < away, (k + t) / (len(line) - 1), position)
            away = np.minimum(away, here)
        fade = ramp(position, -0.02, 0.15) * ramp(position, 1.02, 0.75)
        total = np.maximum(total, 0.85 * bump(away, 0.0019) * fade)
    for place, strength in ((WRIST[0] + 0.0015, 0.8), (WRIST[0] + 0.0085, 0.5)):
        bend = 12.0 * np.square(points[:, 2] - WRIST[2])
        total = np.maximum(total, strength * bump(points[:, 0] - place - bend, 0.0012))
    return total * ramp(-normals[:, 1], 0.1, 0.6) * ramp(points[:, 0], -0.004, 0.004)


def _tint(colour: np.ndarray, tint: np.ndarray, amount: np.ndarray) -> np.ndarray:
    return colour * (1.0 + (tint - 1.0) * amount[:, None])


def _mix(colour: np.ndarray, other: np.ndarray, amount: np.ndarray) -> np.ndarray:
    return colour + (other - colour) * amount[:, None]
