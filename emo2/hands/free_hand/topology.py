"""The mesh of the free right hand: rings of vertices around the fingers, an even mesh on the palm.

Fingers bend well and carry nails where edges run around and along them, so each is a tube of rings
closed by one vertex at the tip. The rest, from the webs to the open wrist, is remeshed
(remesh.py) between the first rings of the fingers and the rim.
"""

from __future__ import annotations

import numpy as np

from emo2.hands.free_hand.implicit import (
    FINGER_RADII,
    FOREARM_LENGTH_M,
    TIP_LENGTH,
    distance,
    finger_distance,
)
from emo2.hands.free_hand.remesh import border_loops, project, remesh, without_pinches
from emo2.hands.skeleton import (
    FINGER_POINTS,
    FINGERS,
    NAIL_FOLD,
    NAIL_TIP_DEGREES,
    TIP_VERTICES,
    WRIST,
    finger_axes,
)
from emo2.hands.subdivision import loop_subdivision

NUM_VERTICES, RIM_VERTICES = 778, 16
CUT_X = 0.120
"""The hand's mesh ends about 2.5 cm behind the wrist joint."""
_FOREARM_RINGS = 18
# Where the rings of a finger lie: (bone, share of its length, millimetres beyond that); the tip's
# rings by degrees from the broadest place to the very end.
_RINGS = (
    *((0, 0.56, 0.0), (0, 1.0, -4.8), (1, 0.0, 0.0), (1, 0.0, 4.8), (1, 0.53, 0.0)),
    *((1, 1.0, -3.6), (2, 0.0, 3.4)),
)
_THUMB_RINGS = ((1, 0.45, 0.0), (1, 1.0, -5.2), (2, 0.0, 0.0), (2, 0.0, 5.2))
_TIP_DEGREES = (0.0, NAIL_TIP_DEGREES, 64.0)
# Angles around a finger from the middle of its back, and where nails need edges.
_AROUND = {10: (0, 36, 72, 108, 144, 180), 8: (0, 45, 90, 135, 180)}
_AROUND_NAIL = {10: (0, 32, 57, 94, 138, 180), 8: (0, 57, 96, 138, 180)}


def build_mesh() -> tuple[np.ndarray, np.ndarray]:
    """Vertices (778, 3) and faces (1538, 3) of the right hand at rest, tips at smplx's ids.

    The vertices lie a little outside the skin, so that the mesh subdivided lies on it.
    """
    tubes = {finger: finger_rings(finger) for finger in FINGERS}
    firsts = [tubes[finger][0] for finger in FINGERS]
    count = NUM_VERTICES - sum(len(points) - len(ring) for ring, points in tubes.values())
    dense, dense_faces = _without_fingers(*march(0.002, CUT_X))
    vertices, faces = remesh(
        dense, dense_faces, distance, _palm_sizes, count, [_rim(), *firsts], rounds=40
    )
    parts, all_faces, base = [vertices], [faces], len(vertices)
    start = RIM_VERTICES
    for finger in FINGERS:
        ring, points = tubes[finger]
        around = len(ring)
        ids = np.concatenate([start + np.arange(around), base + np.arange(len(points) - around)])
        all_faces.append(ids[_tube_faces(around, (len(points) - 1) // around)])
        parts.append(points[around:])
        start, base = start + around, base + len(points) - around
    vertices, faces = np.concatenate(parts), np.concatenate(all_faces)
    return _tips_in_place(_swell(vertices, faces), faces)


def march(step: float, end_x: float) -> tuple[np.ndarray, np.ndarray]:
    """Marching cubes over the implicit surface up to the plane x = `end_x`, where the mesh stays
    open."""
    from skimage.measure import marching_cubes  # a build tool: not needed to use the hand

    low = np.array([-0.104, -0.045, -0.060])
    counts = np.ceil((np.array([end_x, 0.036, 0.094]) - low) / step).astype(int) + 1
    low[0] = end_x - step * (counts[0] - 1)
    grid = np.meshgrid(*(low[i] + step * np.arange(counts[i]) for i in range(3)), indexing="ij")
    values = distance(np.stack(grid, axis=-1).reshape(-1, 3)).reshape(counts)
    vertices, faces, _, _ = marching_cubes(values, 0.0, spacing=(step,) * 3)
    return vertices.astype(np.float64) + low, faces.astype(np.int64)


def finger_rings(finger: str) -> tuple[np.ndarray, np.ndarray]:
    """The first ring (n, 3) of a finger and all its vertices, ring by ring, the tip last."""
    chain, axes = FINGER_POINTS[finger], finger_axes(finger)
    lengths = np.linalg.norm(np.diff(chain, axis=0), axis=1)
    around = 8 if finger == "pinky" else 10
    plain, nail = (_both_sides(table[around]) for table in (_AROUND, _AROUND_NAIL))
    small = lengths[1] / 0.0235 if finger != "thumb" else 1.0  # short fingers have shorter joints
    places = [
        (k, share * lengths[k] + 1e-3 * small * beyond, plain, 0.0)
        for k, share, beyond in (_THUMB_RINGS if finger == "thumb" else _RINGS)
    ]
    places.append((2, NAIL_FOLD[finger] * lengths[2], nail, 0.0))
    broadest = lengths[2] - TIP_LENGTH * FINGER_RADII[finger][3]
    places += [(2, broadest, nail, np.deg2rad(degrees)) for degrees in _TIP_DEGREES]
    origins, directions = [], []
    for k, t, angles, tilt in places:
        along, up, across = axes[k]
        outward = np.cos(angles)[:, None] * up + np.sin(angles)[:, None] * across
        directions.append(np.cos(tilt) * outward + np.sin(tilt) * along)
        origins.append(np.broadcast_to(chain[k] + t * along, outward.shape))
    directions.append(axes[2, :1])
    origins.append(chain[2] + broadest * axes[2, :1])
    points = _hit(np.concatenate(origins), np.concatenate(directions), 0.016)
    return points[:around], points


def _both_sides(half: tuple[float, ...]) -> np.ndarray:
    """Angles all around [rad] from those of one side [degrees]."""
    return np.deg2rad(np.concatenate([half, -np.array(half[-2:0:-1])]))


def _hit(origins: np.ndarray, directions: np.ndarray, reach: float) -> np.ndarray:
    """Where rays from inside leave the skin, at most `reach` metres away."""
    near, far = np.full(len(origins), 0.002), np.full(len(origins), reach)
    for _ in range(26):
        middle = 0.5 * (near + far)
        inside = distance(origins + middle[:, None] * directions) < 0
        near, far = np.where(inside, middle, near), np.where(inside, far, middle)
    return origins + near[:, None] * directions


def _rim() -> np.ndarray:
    """(16, 3) around the wrist at the cut."""
    angle = 2 * np.pi * np.arange(RIM_VERTICES) / RIM_VERTICES
    wide = np.stack([np.zeros_like(angle), 0.019 * np.sin(angle), 0.027 * np.cos(angle)], axis=1)
    centre = np.broadcast_to([CUT_X, WRIST[1], WRIST[2]], wide.shape)
    return _hit(centre, wide / np.linalg.norm(wide, axis=1, keepdims=True), 0.050)


def _tube_faces(around: int, rings: int) -> np.ndarray:
    """Faces of rings of vertices closed by one at the tip; the two sides mirror each other."""
    faces = []
    for r in range(rings - 1):
        for i in range(around):
            j = (i + 1) % around
            a, b, c, d = r * around + i, r * around + j, (r + 1) * around + i, (r + 1) * around + j
            faces += [(a, d, b), (a, c, d)] if i < around // 2 else [(a, c, b), (b, c, d)]
    last = (rings - 1) * around
    faces += [(last + (i + 1) % around, last + i, rings * around) for i in range(around)]
    return np.array(faces)


def _without_fingers(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take away what the tubes replace."""
    away = np.stack([finger_distance(vertices, finger) for finger in FINGERS])
    nearest, close = away.argmin(axis=0), away.min(axis=0) < 0.004
    beyond = np.zeros(len(vertices), dtype=bool)
    for n, finger in enumerate(FINGERS):
        k, share, _ = (_THUMB_RINGS if finger == "thumb" else _RINGS)[0]
        start, end = FINGER_POINTS[finger][k : k + 2]
        ahead = (vertices - start) @ (end - start) > share * (end - start) @ (end - start)
        beyond |= ahead & close & (nearest == n)
    faces = faces[~beyond[faces].any(axis=1)]
    faces = without_pinches(faces)
    used = np.unique(faces)
    index = np.full(len(vertices), -1)
    index[used] = np.arange(len(used))
    return vertices[used], index[faces]


def _palm_sizes(points: np.ndarray) -> np.ndarray:
    """Wanted edge lengths between fingers and rim: finer at knuckles, webs and thumb."""
    size = np.full(len(points), 1.0)
    for finger in FINGERS:
        for k, point in enumerate(FINGER_POINTS[finger][:2]):
            reach = np.linalg.norm(points - point, axis=1) / (1.6 * FINGER_RADII[finger][k])
            size = np.minimum(size, 0.62 + 0.14 * reach)
    return size


def _swell(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Move the vertices out until the subdivided ones lie on the skin; the rim stays in its
    plane."""
    operator, _ = loop_subdivision(faces, len(vertices))
    shrink = operator[: len(vertices)].astype(np.float64)
    for _ in range(4):
        smooth = shrink @ vertices
        move = project(smooth, distance) - smooth
        move[:RIM_VERTICES, 0] = 0.0
        vertices = vertices + 0.8 * move
    return vertices


def _tips_in_place(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Renumber the vertices so that the finger tips have the ids smplx expects."""
    order = np.arange(len(vertices))
    for finger in FINGERS:
        tip = FINGER_POINTS[finger][3]
        here = int(np.argmin(np.linalg.norm(vertices[order] - tip, axis=1)))
        there = TIP_VERTICES[finger]
        order[[here, there]] = order[[there, here]]
    return vertices[order], np.argsort(order)[faces]


def forearm_tube(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Close an open (subdivided) hand by a forearm, ring by ring to a round elbow."""
    rim = border_loops(faces)[0]
    centre = np.array([CUT_X, WRIST[1], WRIST[2]])
    outward = vertices[rim] - centre
    outward[:, 0] = 0.0
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    elbow_x = WRIST[0] + FOREARM_LENGTH_M
    steps = np.linspace(0.0, 1.0, _FOREARM_RINGS + 1)[1:]
    places = [(CUT_X + (elbow_x - CUT_X) * t, 0.0) for t in steps]
    places += [(elbow_x, tilt) for tilt in np.deg2rad((25.0, 50.0, 72.0))]
    parts = [vertices]
    for x, tilt in places:
        origin = np.array([x, WRIST[1], WRIST[2]])
        directions = np.cos(tilt) * outward + np.sin(tilt) * np.array([1.0, 0.0, 0.0])
        parts.append(_hit(np.broadcast_to(origin, directions.shape), directions, 0.070))
    end = np.array([[elbow_x, WRIST[1], WRIST[2]]])
    parts.append(_hit(end, np.array([[1.0, 0.0, 0.0]]), 0.070))
    added = np.arange(len(vertices), sum(map(len, parts)))
    ids = np.concatenate([rim, added])
    tube = ids[_tube_faces(len(rim), len(places) + 1)]
    # The rim runs as the hand's faces have it; the tube's must run against it.
    first = set(map(tuple, faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).tolist()))
    if any((i, j) in first for i, j in tube[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).tolist()):
        tube = tube[:, ::-1]
    return np.concatenate(parts), np.concatenate([faces, tube])
