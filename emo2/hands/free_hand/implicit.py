"""The free right hand and forearm as one implicit surface: lofts and rounded cones that melt into
each other.

`distance(points)` is negative inside. It is our own anatomy, from bone lengths and breadths of an
average adult; only the frame and the place of the wrist are MANO's. Lengths in metres.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.interpolate import PchipInterpolator

from emo2.hands.skeleton import FINGER_POINTS, FINGERS, WRIST, finger_axes

FOREARM_LENGTH_M = 0.26
"""From the wrist joint to the elbow at rest."""
FINGER_RADII = {
    "thumb": (0.0125, 0.0108, 0.0104, 0.0086),
    "index": (0.0104, 0.0093, 0.0083, 0.0071),
    "middle": (0.0106, 0.0095, 0.0085, 0.0072),
    "ring": (0.0100, 0.0089, 0.0079, 0.0068),
    "pinky": (0.0090, 0.0078, 0.0069, 0.0060),
}
"""Half breadths at the three joints and where the tip begins to round."""
# A finger's section by station (0 to 3: its joints and tip), relative to `FINGER_RADII`: half
# breadth, height above the bone (nail side), depth below it (pad side). Pads swell between the
# creases, the back runs straight over knuckles that stand out a little.
_FINGER_SECTIONS = np.array(
    [
        [-0.5, 0.96, 0.94, 1.00],
        [0.00, 0.97, 0.93, 1.03],
        [0.45, 0.980, 0.895, 1.030],
        [0.80, 0.985, 0.895, 0.980],
        [1.00, 1.005, 0.920, 0.935],
        [1.20, 0.995, 0.890, 0.975],
        [1.50, 0.990, 0.860, 1.010],
        [1.82, 1.000, 0.870, 0.960],
        [2.00, 1.010, 0.870, 0.925],
        [2.25, 1.005, 0.800, 0.985],
        [2.50, 1.000, 0.730, 1.050],
        [2.75, 0.970, 0.680, 1.040],
        [3.10, 0.940, 0.640, 1.000],
    ]
)
# The thumb's last bone is short, broad and flat.
_THUMB_SECTIONS = np.array(
    [
        [-0.5, 0.90, 0.90, 0.95],
        [0.00, 0.92, 0.92, 0.98],
        [0.60, 0.92, 0.90, 1.00],
        [1.00, 1.00, 0.96, 0.98],
        [1.30, 0.95, 0.90, 0.98],
        [1.65, 0.94, 0.86, 0.95],
        [2.00, 1.02, 0.88, 0.88],
        [2.30, 1.08, 0.80, 0.95],
        [2.60, 1.14, 0.72, 1.02],
        [3.10, 1.14, 0.66, 1.00],
    ]
)
TIP_LENGTH = 1.12
"""How long the rounded end is, relative to the last of `FINGER_RADII`."""
# The loft from elbow to knuckles by metres behind the row of knuckles: middle of the section (y,
# z), height above it, depth below it, half breadth towards the thumb and the little finger.
_LOFT = np.array(
    [
        [-0.004, 0.0045, -0.0030, 0.0125, 0.0110, 0.0360, 0.0375],
        [0.010, 0.0045, -0.0030, 0.0140, 0.0120, 0.0350, 0.0395],
        [0.030, 0.0040, -0.0030, 0.0155, 0.0122, 0.0315, 0.0392],
        [0.055, 0.0040, -0.0010, 0.0172, 0.0135, 0.0285, 0.0362],
        [0.075, 0.0050, 0.0030, 0.0180, 0.0155, 0.0272, 0.0318],
        [0.092, 0.0062, 0.0058, 0.0178, 0.0172, 0.0272, 0.0284],
        [0.110, 0.0064, 0.0062, 0.0182, 0.0178, 0.0270, 0.0272],
        [0.140, 0.0064, 0.0062, 0.0205, 0.0205, 0.0282, 0.0286],
        [0.180, 0.0064, 0.0062, 0.0262, 0.0272, 0.0325, 0.0330],
        [0.250, 0.0064, 0.0062, 0.0365, 0.0385, 0.0405, 0.0405],
        [0.305, 0.0064, 0.0062, 0.0410, 0.0420, 0.0425, 0.0425],
        [0.360, 0.0064, 0.0062, 0.0405, 0.0405, 0.0405, 0.0405],
    ]
)
_KNUCKLE_ROW = PchipInterpolator(
    [-0.060, -0.0335, -0.0145, 0.0065, 0.0285, 0.0600],
    [0.0330, 0.0215, 0.0105, 0.0040, 0.0080, 0.0130],
)
"""Where the row of knuckles lies (x) by z: slanted towards the little finger."""
# (from, to, radius from, radius to)
_PADS = (
    ((0.0030, 0.0012, 0.0240), (0.0165, 0.0004, -0.0300), 0.0088, 0.0084),  # before the webs
    ((0.0860, 0.0000, -0.0085), (0.0580, -0.0030, -0.0215), 0.0120, 0.0132),  # hypothenar
    ((0.0600, -0.0030, -0.0205), (0.0280, -0.0005, -0.0300), 0.0132, 0.0112),
)
_THENAR = (
    ((0.0840, 0.0000, 0.0170), (0.0440, -0.0140, 0.0470), 0.0128, 0.0114),
    ((0.0690, -0.0078, 0.0190), (0.0540, -0.0118, 0.0310), 0.0138, 0.0138),
    ((0.0540, -0.0060, 0.0390), (0.0210, 0.0035, 0.0285), 0.0086, 0.0090),  # web to the index
)
_HOLLOW = ((0.0620, -0.0320, -0.0020), (0.0270, -0.0300, 0.0030), 0.0190, 0.0200)


def distance(points: np.ndarray) -> np.ndarray:
    """Signed distance [m], roughly, of points (N, 3) to the skin; negative inside."""
    body = _loft(points)
    for pad in _PADS:
        body = _join(body, _cone(points, *pad), 0.020)
    body = -_join(-body, _cone(points, *_HOLLOW), 0.012)
    thenar = _cone(points, *_THENAR[0])
    for cone in _THENAR[1:]:
        thenar = _join(thenar, _cone(points, *cone), 0.012)
    body = _join(body, thenar, 0.020)
    for cone in _back_of_hand():
        body = _join(body, _cone(points, *cone), 0.010)
    fingers = np.stack([finger_distance(points, f) for f in FINGERS[1:]])
    webs = np.min([_cone(points, *web) for web in _webs()], axis=0)
    hand = _join(body, fingers.min(axis=0), 0.009)
    hand = _join(hand, webs, 0.008)
    return _join(hand, finger_distance(points, "thumb"), 0.012)


def _back_of_hand() -> list[tuple]:
    """Knuckles, tendons that fade towards the wrist, and the head of the ulna."""
    cones = []
    for finger in FINGERS[1:]:
        knuckle, up = FINGER_POINTS[finger][0], finger_axes(finger)[0, 1]
        radius = FINGER_RADII[finger][0]
        high = knuckle + 0.0028 * up + np.array([0.0020, 0.0, 0.0])
        cones.append((high, high - np.array([0.0080, 0.0016, 0.0]), 0.80 * radius, 0.66 * radius))
        start = knuckle + up * (radius - 0.0008) + np.array([0.0080, 0.0, 0.0])
        end = 0.35 * start + 0.65 * (WRIST + np.array([-0.0120, 0.0090, -0.0010]))
        cones.append((start, end, 0.0030, 0.0008))
    cones.append(((0.1120, 0.0120, -0.0090), (0.1240, 0.0110, -0.0080), 0.0110, 0.0090))
    return cones


def _webs() -> list[tuple]:
    """The skin between neighbouring fingers: a saddle that reaches further on the palm side."""
    cones = []
    for first, second in pairwise(FINGERS[1:]):
        sides = []
        for finger, other in ((first, second), (second, first)):
            joints, axes = FINGER_POINTS[finger], finger_axes(finger)
            towards = np.sign((FINGER_POINTS[other][0] - joints[0])[2])
            along = 0.0145 * axes[0, 0] - 0.0028 * axes[0, 1]
            sides.append(joints[0] + along + np.array([0.0, 0.0, 0.0055 * towards]))
        cones.append((sides[0], sides[1], 0.0052, 0.0052))
    return cones


def finger_distance(points: np.ndarray, finger: str) -> np.ndarray:
    """Signed distance [m] of points (N, 3) to one finger, from its first joint to its tip."""
    chain, axes = FINGER_POINTS[finger], finger_axes(finger)
    lengths = np.linalg.norm(np.diff(chain, axis=0), axis=1)
    radii = PchipInterpolator((-0.5, 0, 1, 2, 3), (FINGER_RADII[finger][0], *FINGER_RADII[finger]))
    sections = _THUMB_SECTIONS if finger == "thumb" else _FINGER_SECTIONS
    section = PchipInterpolator(sections[:, 0], sections[:, 1:])
    tip = TIP_LENGTH * FINGER_RADII[finger][3]
    best = np.full(len(points), np.inf)
    for k in range(3):
        offset = points - chain[k]
        t = np.clip(offset @ axes[k, 0], 0.0, lengths[k] - (tip if k == 2 else 0.0))
        station = k + t / lengths[k]
        breadth, height, depth = (section(station) * radii(station)[:, None]).T
        offset = offset - t[:, None] * axes[k, 0]
        along, up, across = (offset @ axis for axis in axes[k])
        # The end of a finger is flatter above, where the nail lies, than below.
        end = tip if k == 2 else breadth
        thick = np.where(up > 0, height, depth)
        norm = _round(along / end, up / thick, across / breadth, 2.2)
        best = np.minimum(best, np.linalg.norm(offset, axis=1) * (1 - 1 / norm))
    return best


def _loft(points: np.ndarray) -> np.ndarray:
    """Distance to forearm, wrist and palm: one smooth tube of changing section, so that no dent
    lies between them."""
    behind_knuckles = points[:, 0] - _KNUCKLE_ROW(np.clip(points[:, 2], -0.060, 0.060))
    # The slant of the knuckles fades out towards the wrist.
    straight = np.clip((points[:, 0] - 0.010) / 0.075, 0.0, 1.0)
    straight = straight * straight * (3 - 2 * straight)
    x = behind_knuckles + straight * (points[:, 0] - behind_knuckles)
    stations = _LOFT[:, 0]
    inside = np.clip(x, stations[0], stations[-1])
    cy, cz, height, depth, inner, outer = PchipInterpolator(stations, _LOFT[:, 1:])(inside).T
    along, up, across = x - inside, points[:, 1] - cy, points[:, 2] - cz
    thick = np.where(up > 0, height, depth)
    wide = np.where(across > 0, inner, outer)
    # The palm is boxy, the forearm is round.
    power = 2.0 + 0.5 * np.clip((0.100 - x) / 0.06, 0.0, 1.0)
    end = np.where(along > 0, 0.0405, 0.0070)
    norm = _round(along / end, up / thick, across / wide, power)
    radius = np.sqrt(along**2 + up**2 + across**2)
    return radius * (1 - 1 / norm)


def _round(x: np.ndarray, y: np.ndarray, z: np.ndarray, power: float | np.ndarray) -> np.ndarray:
    """The norm whose unit ball is a superellipsoid; never quite zero."""
    total = np.abs(x) ** power + np.abs(y) ** power + np.abs(z) ** power
    return np.maximum(total, 1e-12) ** (1 / power)


def _cone(points, start, end, radius_start, radius_end) -> np.ndarray:
    """Distance to a rounded cone."""
    start, along = np.asarray(start), np.subtract(end, start)
    offset = points - start
    t = np.clip(offset @ along / (along @ along), 0.0, 1.0)
    offset = offset - t[:, None] * along
    return np.linalg.norm(offset, axis=1) - (radius_start + t * (radius_end - radius_start))


def _join(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    """The union of two shapes, filleted over about `k` metres."""
    h = np.maximum(k - np.abs(a - b), 0.0) / k
    return np.minimum(a, b) - h * h * h * k / 6.0
