"""An upper arm for people whose picture shows none: a round limb from shoulder to elbow.

Frames that were let out below a head-and-shoulders picture have a torso but no arms; a forearm
alone would float beside it.
"""

from __future__ import annotations

import numpy as np

from emo2.features.garment import CAP_M

SIDES, RINGS = 20, 18
# Stations along the limb from shoulder (0) to elbow (1), beyond them the round ends, and the half
# width there; the shoulder sits inside the torso.
STATIONS = np.array([0.0, 0.25, 0.6, 1.0])
HALF_WIDTHS_M = np.array([CAP_M, 0.056, 0.052, 0.047])
CREASE_M = 0.0016


def tube_faces() -> np.ndarray:
    """(F, 3) int32, counter-clockwise seen from outside."""
    ring, side = np.meshgrid(np.arange(RINGS - 1), np.arange(SIDES), indexing="ij")
    a = (ring * SIDES + side).ravel()
    b = (ring * SIDES + (side + 1) % SIDES).ravel()
    c, d = a + SIDES, b + SIDES
    return np.concatenate([np.stack([a, b, c], -1), np.stack([b, d, c], -1)]).astype(np.int32)


def tube_vertices(
    shoulder: np.ndarray, elbow: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(V, 3) metres; (V,) where along the limb each lies: 0 = shoulder, 1 = elbow; and (V,) its
    angle around it, 0 = towards the camera."""
    axis = elbow - shoulder
    length = max(float(np.linalg.norm(axis)), 1e-3)
    axis = axis / length
    # Any frame around the limb does, as long as it turns smoothly: arms seldom point at the camera.
    right = np.cross(np.array([0.0, 0.0, 1.0]), axis)
    right /= max(float(np.linalg.norm(right)), 1e-6)
    front = np.cross(axis, right)
    bend = np.linspace(0, np.pi / 2, RINGS // 3)
    radius_up, radius_down = HALF_WIDTHS_M[[0, -1]]
    middle = np.linspace(0, 1, RINGS - 2 * len(bend) + 2)[1:-1]
    along = np.concatenate(
        [-radius_up / length * np.cos(bend), middle, 1 + radius_down / length * np.sin(bend)]
    )
    half = np.concatenate(
        [
            radius_up * np.sin(bend),
            np.interp(middle, STATIONS, HALF_WIDTHS_M),
            radius_down * np.cos(bend),
        ]
    )
    angle = 2 * np.pi * np.arange(SIDES) / SIDES
    circle = np.cos(angle)[:, None] * right + np.sin(angle)[:, None] * front  # (SIDES, 3)
    centres = shoulder + along[:, None] * length * axis
    # Soft creases where the sleeve gathers at the elbow.
    creases = np.sin(2 * np.pi * 4.5 * along[:, None] + 1.5 * np.cos(angle + 0.7))
    radii = (
        half[:, None] + CREASE_M * creases * np.clip(along, 0, 1)[:, None] * (half > 0.03)[:, None]
    )
    vertices = centres[:, None] + radii[..., None] * circle
    around = np.tile(np.pi / 2 - angle, RINGS)  # `front` is where the angle is a right one
    return vertices.reshape(-1, 3), np.repeat(np.clip(along, 0, 1), SIDES), around
