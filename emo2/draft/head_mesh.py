"""The 2.5-D mesh of a portrait: face landmarks, rings around the face, a grid over the rest.

In: a `Portrait`. Out: vertices with depth, triangles, and for every vertex how much of the head,
the jaw, the brows and the lips it follows. Head coordinates: x along the eyes to the picture's
right, y from forehead to chin, z away from the camera, unit = the face's height, origin = chin.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import Delaunay

from emo2.types import Portrait

NUM_FACE = 468
"""Landmarks of the face mesh proper; the ten iris points are no vertices."""
# Eleven columns from the picture's left corner of the mouth to its right one.
LIP_ROWS_UPPER = np.array(
    [
        [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291],
        [76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306],
        [62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292],
        [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308],
    ]
)
LIP_ROWS_LOWER = np.array(
    [
        [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308],
        [62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292],
        [76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306],
        [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291],
    ]
)
INNER_UPPER, INNER_LOWER = LIP_ROWS_UPPER[3], LIP_ROWS_LOWER[0]
OUTER_LIPS = np.unique(np.concatenate([LIP_ROWS_UPPER[0], LIP_ROWS_LOWER[3]]))
# Margins of the lids, from the picture's left corner to its right one.
EYES_UPPER = np.array(
    [[33, 246, 161, 160, 159, 158, 157, 173, 133], [362, 398, 384, 385, 386, 387, 388, 466, 263]]
)
EYES_LOWER = np.array(
    [[33, 7, 163, 144, 145, 153, 154, 155, 133], [362, 382, 381, 380, 374, 373, 390, 249, 263]]
)
FACE_OVAL = np.array(
    [
        *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
        *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
    ]
)
BROWS = np.array(
    [70, 63, 105, 66, 107, 55, 65, 52, 53, 46, 300, 293, 334, 296, 336, 285, 295, 282, 283, 276]
)
CHIN, FOREHEAD, EAR_RIGHT, EAR_LEFT = 152, 10, 234, 454
_RINGS = np.array([1.12, 1.3, 1.55, 1.9])
_RING_FOLLOWS_JAW = np.array([0.75, 0.38, 0.08, 0.0])
_GRID_PX = 20
_STEEPEST = 1.8
"""Depth per distance in the picture, at most: steeper flanks would fold over as the head turns."""


def smoothstep(low: np.ndarray | float, high: np.ndarray | float, x: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True)
class HeadFrame:
    """The head's own axes in the picture."""

    origin: np.ndarray
    """(3,) pixels: the chin."""
    axes: np.ndarray
    """(3, 3): rows x, y, z of the head in picture coordinates (x right, y down, z away)."""
    height_px: float
    """From the top of the forehead to the chin."""

    @classmethod
    def of(cls, landmarks: np.ndarray) -> HeadFrame:
        """From (478, 3) landmarks."""
        x = landmarks[263] - landmarks[33]
        x = x / np.linalg.norm(x)
        y = landmarks[CHIN] - landmarks[FOREHEAD]
        height = float(np.linalg.norm(y))
        y = y - x * (x @ y)
        y = y / np.linalg.norm(y)
        return cls(landmarks[CHIN].copy(), np.stack([x, y, np.cross(x, y)]), height)

    def to_head(self, points: np.ndarray) -> np.ndarray:
        """Picture (..., 3) pixels to head coordinates."""
        return (points - self.origin) @ self.axes.T / self.height_px

    def to_picture(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors (..., 3) of head coordinates to picture pixels."""
        return vectors @ self.axes * self.height_px


@dataclass(frozen=True)
class HeadMesh:
    """Vertices in the portrait's rest pose, and what each of them follows."""

    frame: HeadFrame
    points: np.ndarray
    """(V, 3) float64 pixels: 468 landmarks first, then rings, then the grid."""
    local: np.ndarray
    """(V, 3) the same in head coordinates."""
    triangles: np.ndarray
    """(F, 3) int32, farthest first; those between the lips are part of it."""
    head: np.ndarray
    """(V,) in [0, 1]: 1 moves with the skull, 0 with the shoulders."""
    jaw: np.ndarray
    """(V, 3) displacement in head coordinates for one unit of the lower lip's middle dropping."""
    brow: np.ndarray
    """(V,) in [0, 1]."""

    @cached_property
    def mouth_width(self) -> float:
        """Inner corner to inner corner, in head units."""
        return float(np.linalg.norm(self.local[308, :2] - self.local[78, :2]))


def build_mesh(portrait: Portrait, landmarks: np.ndarray) -> HeadMesh:
    """The mesh of `portrait`; `landmarks` (478, 3) are its face landmarks, perhaps refined."""
    landmarks = landmarks.astype(np.float64)
    frame = HeadFrame.of(landmarks)
    height, width = portrait.image.shape[:2]
    rings, ring_jaw, ring_oval = _rings(landmarks, frame)
    grid = _grid(height, width, landmarks, frame)
    points = np.concatenate([landmarks[:NUM_FACE], rings, grid])
    points[:, 2] = _without_cliffs(points)
    local = frame.to_head(points)
    neck_length = float(frame.to_head(np.append(portrait.neck, 0.0))[1])
    head = _head_weight(local, np.clip(neck_length, 0.22, 0.6))
    head[:NUM_FACE] = 1
    in_rings = slice(NUM_FACE, NUM_FACE + len(rings))
    jaw = np.zeros_like(points)
    jaw[:NUM_FACE] = _jaw_field(local[:NUM_FACE])
    jaw[in_rings] = jaw[ring_oval] * ring_jaw[:, None]
    return HeadMesh(
        frame=frame,
        points=points,
        local=local,
        triangles=_triangulate(points, local),
        head=head,
        jaw=jaw,
        brow=_brow_weight(local),
    )


def _rings(landmarks: np.ndarray, frame: HeadFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rings outside the face oval, how far each point follows the jaw, and its oval landmark."""
    oval = landmarks[FACE_OVAL]
    centre = oval.mean(0)
    behind = 0.5 * (landmarks[EAR_LEFT, 2] + landmarks[EAR_RIGHT, 2])
    rings = centre + (oval - centre) * _RINGS[:, None, None]
    depth = np.array([0.5, 1.0, 1.0, 1.0])[:, None]
    rings[..., 2] = oval[:, 2] * (1 - depth) + behind * depth
    follows = np.repeat(_RING_FOLLOWS_JAW, len(FACE_OVAL))
    return rings.reshape(-1, 3), follows, np.tile(FACE_OVAL, len(_RINGS))


def _grid(height: int, width: int, landmarks: np.ndarray, frame: HeadFrame) -> np.ndarray:
    """A regular grid over the picture and one cell around it, left out where the rings are."""
    xs = np.arange(-2 * _GRID_PX, width + 2 * _GRID_PX + 1, _GRID_PX)
    ys = np.arange(-2 * _GRID_PX, height + 2 * _GRID_PX + 1, _GRID_PX)
    grid = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2).astype(np.float64)
    oval = landmarks[FACE_OVAL, :2]
    centre = oval.mean(0)
    spokes = centre + (oval - centre) * _RINGS[-1]
    angle = np.arctan2(*(oval - centre).T[::-1])
    order = np.argsort(angle)
    towards = grid - centre
    reach = np.interp(
        np.arctan2(towards[:, 1], towards[:, 0]),
        angle[order],
        np.linalg.norm(spokes - centre, axis=1)[order],
        period=2 * np.pi,
    )
    outside = np.linalg.norm(towards, axis=1) > reach + 0.6 * _GRID_PX
    behind = 0.5 * (landmarks[EAR_LEFT, 2] + landmarks[EAR_RIGHT, 2])
    return np.column_stack([grid[outside], np.full(outside.sum(), behind)])


def _without_cliffs(points: np.ndarray) -> np.ndarray:
    """(V,) depths, the far side of every flank that is too steep brought nearer."""
    depth = np.empty(len(points))
    for i, point in enumerate(points):
        distance = np.hypot(points[:, 0] - point[0], points[:, 1] - point[1])
        depth[i] = np.min(points[:, 2] + _STEEPEST * distance)
    return depth


def _head_weight(local: np.ndarray, neck_length: float) -> np.ndarray:
    """1 above the chin, fading down the neck and far to the sides."""
    x, y = np.abs(local[:, 0]), local[:, 1]
    down = 1 - smoothstep(-0.05, 1.15 * neck_length, y)
    aside = 1 - smoothstep(1.1, 2.0, x)
    return down * aside


def _jaw_field(local: np.ndarray) -> np.ndarray:
    """(468, 3) movement of the face as the jaw turns about the ears, per drop of the lower lip."""
    mouth = 0.5 * (local[INNER_UPPER[5]] + local[INNER_LOWER[5]])
    half = 0.5 * abs(local[INNER_UPPER[-1], 0] - local[INNER_UPPER[0], 0])
    hinge = 0.5 * (local[EAR_LEFT] + local[EAR_RIGHT])
    aside = np.abs(local[:, 0] - mouth[0])
    corner = np.abs(hinge[0] - mouth[0]) + 0.5 * np.abs(local[EAR_LEFT, 0] - local[EAR_RIGHT, 0])
    along = np.clip((aside - half) / max(corner - half, 1e-3), 0, 1)
    line = mouth[1] + along * (hinge[1] + 0.12 - mouth[1])
    soft = 0.03 + 0.14 * smoothstep(0.7 * half, 2.2 * half, aside)
    member = smoothstep(-0.4 * soft, soft, local[:, 1] - line)
    lever = np.clip((local[:, 2] - hinge[2]) / (local[INNER_LOWER[5], 2] - hinge[2]), 0, 1.15)
    rise = (local[:, 1] - hinge[1]) / abs(local[INNER_LOWER[5], 2] - hinge[2])
    field = np.zeros_like(local)
    field[:, 1] = member * lever
    field[:, 2] = member * np.clip(rise, 0, 1.5)
    return field


def _brow_weight(local: np.ndarray) -> np.ndarray:
    """1 on the brows, fading up the forehead and down to the lids, which stay."""
    weight = np.zeros(len(local))
    face = local[:NUM_FACE, :2]
    distance = np.linalg.norm(face[:, None] - face[BROWS][None], axis=2).min(1)
    weight[:NUM_FACE] = np.exp(-((distance / 0.09) ** 2))
    eyes = np.concatenate([EYES_UPPER.ravel(), EYES_LOWER.ravel()])
    from_eyes = np.linalg.norm(face[:, None] - face[eyes][None], axis=2).min(1)
    return weight * np.pad(smoothstep(0.0, 0.08, from_eyes), (0, len(local) - NUM_FACE))


def _triangulate(points: np.ndarray, local: np.ndarray) -> np.ndarray:
    """Delaunay triangles, made with the mouth opened so that none bridges shut lips."""
    upper = np.unique(LIP_ROWS_UPPER[:, 1:-1])
    lower = np.unique(LIP_ROWS_LOWER[:, 1:-1])
    left, right = local[INNER_UPPER[0], :2], local[INNER_UPPER[-1], :2]
    half = 0.5 * (right[0] - left[0])
    across = (local[:, 0] - 0.5 * (left[0] + right[0])) / half
    seam = np.interp(local[:, 0], [left[0], right[0]], [left[1], right[1]])
    below = local[:, 1] > seam
    below[upper], below[lower] = False, True
    fade = 1 - np.clip((local[:, 1] - seam) / (4 * half), 0, 1)
    opened = local[:, :2].copy()
    opened[:, 1] += 0.7 * half * np.sqrt(np.clip(1 - across**2, 0, 1)) * fade * below
    triangles = Delaunay(opened).simplices
    depth = points[triangles, 2].mean(1)
    return triangles[np.argsort(-depth, kind="stable")].astype(np.int32)
