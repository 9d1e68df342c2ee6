"""The reference body as a solid: torso, neck and head in one stack of superellipses.

Its size goes with shoulder joints 0.36 m apart. The front of the chest lies 0.10 m before the
joints, where the draft renderer lets shadows fall; the face is where portraits have it (chin 0.12 m
above the shoulder joints, mouth 0.165 m). Numbers by eye after adults' anthropometry (chest depth
about 0.21 m, waist about 0.28 m wide); clothes and people differ by centimetres, so checks leave a
margin.
"""

from __future__ import annotations

import numpy as np

_COLUMNS = np.array(
    # height, half width, half depth, centre forward
    [
        [-0.620, 0.170, 0.105, 0.000],
        [-0.460, 0.158, 0.100, 0.000],
        [-0.330, 0.143, 0.096, 0.002],
        [-0.220, 0.148, 0.100, 0.000],
        [-0.110, 0.162, 0.104, -0.004],
        [-0.030, 0.175, 0.080, -0.014],
        [0.020, 0.105, 0.062, -0.018],
        [0.060, 0.062, 0.056, -0.012],
        [0.105, 0.056, 0.060, -0.004],
        [0.125, 0.062, 0.088, 0.014],
        [0.190, 0.073, 0.102, 0.020],
        [0.260, 0.076, 0.104, 0.012],
        [0.320, 0.068, 0.092, 0.002],
        [0.365, 0.040, 0.055, -0.002],
        [0.380, 0.001, 0.001, -0.002],
    ]
)
POWER = 2.4
"""2 would be an ellipse; a chest is flatter in front."""
LOWEST_M, HIGHEST_M = _COLUMNS[0, 0], _COLUMNS[-1, 0]
FACE_M = np.array([0.0, 0.215, 0.10])
MOUTH_M = np.array([0.0, 0.165, 0.115])
_PARTS = ((0.105, "head"), (0.02, "neck"), (-0.20, "chest"), (-np.inf, "belly"))


def depth(points_m: np.ndarray, radius_m: np.ndarray | float = 0.0) -> np.ndarray:
    """How deep spheres at (..., 3) with `radius_m` lie inside the body [m]; negative outside.

    It is the shortest way out to the front or to the side: a hand comes from there, never from the
    back.
    """
    forward, sideways = ways_out(points_m, radius_m)
    return np.minimum(forward, sideways)


def ways_out(
    points_m: np.ndarray, radius_m: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """How far spheres (..., 3) have to move forward, or to the nearer side, to leave the body [m];
    negative outside."""
    points_m = np.asarray(points_m)
    x, y, z = np.abs(points_m[..., 0]), points_m[..., 1], points_m[..., 2]
    width, thick, centre = (np.interp(y, _COLUMNS[:, 0], _COLUMNS[:, k]) for k in (1, 2, 3))
    across = np.clip(x / width, 0.0, 1.0)
    front = centre + thick * (1.0 - across**POWER) ** (1.0 / POWER)
    into = np.clip(np.abs(z - centre) / thick, 0.0, 1.0)
    side = width * (1.0 - into**POWER) ** (1.0 / POWER)
    beside = (x > width + radius_m) | (z < centre - thick) | (y < LOWEST_M) | (y > HIGHEST_M)
    away = np.float32(-1.0)
    return (
        np.where(beside, away, front + radius_m - z),
        np.where(beside, away, side + radius_m - x),
    )


def part(point_m: np.ndarray) -> str:
    """The name of the part of the body at the height of a point (3,)."""
    return next(name for height, name in _PARTS if point_m[1] >= height)
