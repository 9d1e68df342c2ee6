"""The free right hand and forearm as one implicit surface: rounded cones that melt into each other.

`distance(points)` is negative inside. It is our own anatomy, from bone lengths and breadths of an
average adult; only the frame and the place of the wrist are MANO's. Lengths in metres.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from emo2.hands.skeleton import FINGER_POINTS, FINGERS, WRIST, finger_axes

FOREARM_LENGTH_M = 0.26
"""From the wrist joint to the elbow at rest."""
FINGER_RADII = {
    "thumb": (0.0125, 0.0108, 0.0104, 0.0082),
    "index": (0.0104, 0.0093, 0.0083, 0.0069),
    "middle": (0.0106, 0.0095, 0.0085, 0.0070),
    "ring": (0.0100, 0.0089, 0.0079, 0.0066),
    "pinky": (0.0090, 0.0078, 0.0069, 0.0058),
}
"""Half breadths at the three joints and the tip."""
# (from, to, radius from, radius to): heel of the hand, metacarpals, pads.
_PALM = (
    ((0.082, 0.004, 0.017), (0.009, 0.0065, 0.0275), 0.0135, 0.0112),
    ((0.082, 0.006, 0.007), (0.004, 0.0090, 0.0065), 0.0140, 0.0112),
    ((0.082, 0.005, -0.003), (0.010, 0.0075, -0.0145), 0.0135, 0.0106),
    ((0.080, 0.002, -0.011), (0.021, 0.0030, -0.0330), 0.0130, 0.0100),
    ((-0.0015, 0.0015, 0.0250), (0.0125, 0.0000, -0.0315), 0.0088, 0.0080),  # pads before the webs
    ((0.062, -0.0010, 0.0020), (0.016, 0.0010, 0.0000), 0.0120, 0.0110),  # the hollow of the palm
    ((0.077, -0.006, -0.010), (0.036, -0.004, -0.0300), 0.0135, 0.0110),  # hypothenar
)
_THENAR = (
    ((0.078, -0.003, 0.015), (0.042, -0.0145, 0.0490), 0.0140, 0.0112),
    ((0.066, -0.010, 0.020), (0.054, -0.0125, 0.0310), 0.0150, 0.0145),
    (
        (0.052, -0.007, 0.0400),
        (0.020, 0.0030, 0.0290),
        0.0090,
        0.0095,
    ),  # web between thumb and index
)
# Distance from the wrist towards the elbow, half breadth (z) and half thickness (y) of the forearm.
_FOREARM = np.array(
    [
        [-0.020, 0.0265, 0.0160],
        [0.000, 0.0272, 0.0182],
        [0.030, 0.0268, 0.0202],
        [0.080, 0.0320, 0.0265],
        [0.150, 0.0405, 0.0375],
        [0.205, 0.0425, 0.0415],
        [FOREARM_LENGTH_M, 0.0405, 0.0405],
    ]
)


def distance(points: np.ndarray) -> np.ndarray:
    """Signed distance [m], roughly, of points (N, 3) to the skin; negative inside."""
    palm = _melt([_cone(points, *cone) for cone in _PALM], 0.006)
    thenar = _melt([_cone(points, *cone) for cone in _THENAR], 0.008)
    body = _join(_join(palm, thenar, 0.010), _forearm(points), 0.026)
    fingers = _melt([finger_distance(points, f) for f in FINGERS[1:]], 0.0010)
    hand = _join(_join(body, fingers, 0.007), finger_distance(points, "thumb"), 0.007)
    return _join(hand, _melt([_cone(points, *cone) for cone in _back_of_hand()], 0.0015), 0.009)


def _back_of_hand() -> list[tuple]:
    """Knuckles, and tendons that fade towards the wrist."""
    cones = []
    for finger in FINGERS[1:]:
        knuckle, up = FINGER_POINTS[finger][0], finger_axes(finger)[0, 1]
        radius = FINGER_RADII[finger][0]
        high = knuckle + 0.0026 * up + np.array([0.0010, 0.0, 0.0])
        cones.append((high, high - np.array([0.004, 0.0005, 0.0]), 0.88 * radius, 0.84 * radius))
        start = knuckle + up * (radius - 0.0005) + np.array([0.006, 0.0, 0.0])
        end = 0.42 * start + 0.58 * (WRIST + np.array([-0.010, 0.0105, -0.001]))
        cones.append((start, end, 0.0027, 0.0020))
    return cones


def finger_distance(points: np.ndarray, finger: str) -> np.ndarray:
    """Signed distance [m] of points (N, 3) to one finger, from its first joint to its tip."""
    chain, radii, axes = FINGER_POINTS[finger], FINGER_RADII[finger], finger_axes(finger)
    parts = []
    for k in range(3):
        end = chain[k + 1] - (axes[2, 0] * radii[3] if k == 2 else 0)
        # A little deeper than broad at the base, flatter at the tip, where the nail lies.
        depth = (1.0, 1.02, 0.90)[k]
        parts.append(_cone(points, chain[k], end, radii[k], radii[k + 1], axes[k, 1], depth))
    pad = chain[3] - axes[2, 0] * 1.55 * radii[3] - axes[2, 1] * 0.16 * radii[3]
    pulp = np.linalg.norm(points - pad, axis=1) - 1.02 * radii[3]
    return _melt([*parts, pulp], 0.0009)


def _cone(points, start, end, radius_start, radius_end, axis=None, depth=1.0) -> np.ndarray:
    """Distance to a rounded cone, `depth` times as thick along the unit `axis` as across it."""
    start, along = np.asarray(start), np.subtract(end, start)
    offset = points - start
    t = np.clip(offset @ along / (along @ along), 0.0, 1.0)
    offset = offset - t[:, None] * along
    if axis is not None:
        offset = offset + (offset @ axis * (1.0 / depth - 1.0))[:, None] * axis
    # Thinner in the middle of the bone than a straight cone would be.
    waist = 1.0 - 0.02 * np.sin(np.pi * t)
    return np.linalg.norm(offset, axis=1) - waist * (radius_start + t * (radius_end - radius_start))


def _forearm(points: np.ndarray) -> np.ndarray:
    """Distance to the tapering ellipse of the wrist and forearm, closed by a round elbow."""
    offset = points - WRIST
    stations, breadths, depths = _FOREARM.T
    x = offset[:, 0]
    inside = np.clip(x, stations[0], stations[-1])
    breadth = PchipInterpolator(stations, breadths)(inside)
    depth = PchipInterpolator(stations, depths)(inside)
    beyond = np.maximum(0.0, np.maximum(x - stations[-1], stations[0] - x))
    radius = np.minimum(breadth, depth)
    ellipse = np.sqrt((offset[:, 1] / depth) ** 2 + (offset[:, 2] / breadth) ** 2 + 1e-12)
    return np.hypot(ellipse * radius, beyond) - radius


def _join(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    """The union of two shapes, filleted over about `k` metres."""
    h = np.maximum(k - np.abs(a - b), 0.0) / k
    return np.minimum(a, b) - h * h * h * k / 6.0


def _melt(shapes: list[np.ndarray], k: float) -> np.ndarray:
    """The union of many shapes at once, all equal before it: -k log sum exp(-d / k)."""
    stack = np.stack(shapes)
    least = stack.min(axis=0)
    return least - k * np.log(np.exp((least - stack) / k).sum(axis=0))
