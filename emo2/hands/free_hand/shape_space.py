"""The shape space of the free hand: what each of MANO's ten shape coefficients does.

One unit is about one standard deviation between adults of one sex, from common anthropometry (hand
length 187 +- 9 mm, breadth 85 +- 4 mm, finger breadths +- 6 %, general knowledge rather than one
survey); the last three have no such measure and are a matter of looks. Joints follow through
`J_regressor`.
"""

from __future__ import annotations

import numpy as np

from emo2.hands.free_hand.chains import Chain, bump, chain, ramp
from emo2.hands.skeleton import FINGER_POINTS, FINGERS, FIRST_JOINT, WRIST, finger_axes
from emo2.types import NUM_BETAS

SHAPE_NAMES = (
    "size",
    "breadth",
    "finger_length",
    "thickness",
    "finger_girth",
    "palm_length",
    "thumb",
    "knuckles",
    "taper",
    "flesh",
)
"""What the shape coefficients do, in order; + is more of it."""
_THENAR, _HYPOTHENAR = np.array([0.058, -0.012, 0.028]), np.array([0.055, -0.004, -0.026])


def shape_directions(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(N, 3, 10) metres per unit of each shape coefficient, for rest points (N, 3) with skin
    weights (N, 16)."""
    out = np.zeros((len(points), 3, NUM_BETAS))
    directions = dict(zip(SHAPE_NAMES, np.moveaxis(out, -1, 0), strict=True))
    from_wrist = points - WRIST
    # The forearm grows in girth only: the draft renderer gives it its length.
    behind = from_wrist[:, :1] > 0
    directions["size"] += 0.048 * from_wrist * np.where(behind, (0.0, 1.0, 1.0), 1.0)
    palm = 1.0 - weights[:, 1:].sum(axis=1)[:, None]
    directions["breadth"] += palm * from_wrist * (0.0, 0.0, 0.048)
    directions["thickness"] += palm * from_wrist * (0.0, 0.060, 0.0)
    directions["palm_length"] += palm * np.where(behind, 0.0, from_wrist) * (0.045, 0.0, 0.0)
    for finger in FINGERS:
        where, first = chain(points, finger), FIRST_JOINT[finger]
        share = weights[:, first : first + 3].sum(axis=1)[:, None]
        root = FINGER_POINTS[finger][0] - WRIST
        free = ramp(where.along, -0.006, 0.014)[:, None]
        across = finger_axes(finger)[0, 2]
        sideways = (where.offset @ across)[:, None] * across
        stretch = np.maximum(where.along, 0.0)[:, None] * finger_axes(finger)[0, 0]
        # A finger goes where its root goes, and is itself changed around its bones.
        directions["breadth"] += share * (0.048 * root * (0, 0, 1) + 0.025 * free * sideways)
        directions["thickness"] += share * 0.030 * free * (where.offset - sideways)
        directions["palm_length"] += share * 0.045 * root * (1, 0, 0)
        if finger == "thumb":
            directions["thumb"] += share * (0.06 * stretch + 0.04 * free * where.offset)
        else:
            directions["finger_length"] += share * 0.055 * stretch
        directions["finger_girth"] += share * 0.060 * free * where.offset
        slope = 1.0 - where.station[:, None] / 1.5
        directions["taper"] += share * 0.075 * free * slope * where.offset
        directions["knuckles"] += _knuckles(where, finger)
        directions["flesh"] += (
            share * 0.055 * free * where.offset * ramp(-where.up, -0.4, 0.6)[:, None]
        )
    directions["flesh"] += _palm_flesh(points) * palm
    return out


def _knuckles(where: Chain, finger: str) -> np.ndarray:
    """(N, 3): joints stand out at the back and sides, bones between them get leaner."""
    outward = where.offset / np.maximum(np.linalg.norm(where.offset, axis=1, keepdims=True), 1e-6)
    height = np.zeros(len(where.along))
    between = ramp(where.along, 0.008, 0.016) * ramp(where.station, 2.1, 1.9)
    for k, (reach, amount) in enumerate(((0.0075, 0.9e-3), (0.0050, 0.75e-3), (0.0042, 0.5e-3))):
        between = between * (1.0 - bump(where.along - where.starts[k], 1.8 * reach))
        if finger != "thumb" or k:
            near = bump(where.along - where.starts[k], reach)
            height += amount * near * ramp(where.up, *((0.1, 0.9) if k == 0 else (-0.7, 0.3)))
    height -= 0.3e-3 * between
    return (height * ramp(where.surface, 0.008, 0.002))[:, None] * outward


def _palm_flesh(points: np.ndarray) -> np.ndarray:
    """(N, 3): the balls of the thumb and the little finger, and the pads before the fingers."""
    below = ramp(-points[:, 1], -0.010, 0.004)
    thenar = bump(np.linalg.norm(points - _THENAR, axis=1), 0.015)
    hypothenar = bump(np.linalg.norm(points - _HYPOTHENAR, axis=1), 0.015)
    pads = bump(points[:, 0] - 0.006, 0.008)
    height = 1.6e-3 * thenar + 1.4e-3 * hypothenar + 0.8e-3 * pads
    return (below * height)[:, None] * np.array([0.0, -1.0, 0.0])
