"""A short sleeve end over the open wrist of each hand, so that the preview does not show a cut."""

from __future__ import annotations

import numpy as np

# Along the arm from the rim [m], and the radius as a multiple of the wrist's: a rounded lip, a
# tube, a rounded end.
_PROFILE = (
    (-0.0050, 1.00),
    (-0.0062, 1.07),
    (-0.0050, 1.13),
    (0.0000, 1.16),
    (0.0160, 1.19),
    (0.0300, 1.20),
    (0.0345, 1.16),
    (0.0360, 1.05),
    (0.0362, 0.55),
    (0.0362, 0.00),
)


class Cuffs:
    """Cuffs for meshes with these faces (2, F, 3): one ring of vertices a step of the profile."""

    def __init__(self, faces: np.ndarray) -> None:
        self._rims = [_rim(f) for f in faces]
        self._faces = [_tube(len(rim), len(_PROFILE)) for rim in self._rims]

    def build(self, vertices: np.ndarray, hand: int) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (N, 3) and faces of the cuff of one posed hand (V', 3)."""
        rim = vertices[self._rims[hand]]
        centre = rim.mean(axis=0)
        spokes = rim - centre
        axis = np.cross(spokes, np.roll(spokes, -1, axis=0)).sum(axis=0)
        axis /= np.linalg.norm(axis)
        spokes = spokes - (spokes @ axis)[:, None] * axis
        rings = [centre + along * axis + scale * spokes for along, scale in _PROFILE]
        return np.concatenate(rings).astype(np.float32), self._faces[hand]


def _rim(faces: np.ndarray) -> np.ndarray:
    """The border's vertices in order, counter-clockwise seen from beyond the open end."""
    halves = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).astype(np.int64)
    edges = halves.min(axis=1) << 32 | halves.max(axis=1)
    _, edge_of, uses = np.unique(edges, return_inverse=True, return_counts=True)
    following = {j: i for i, j in halves[uses[edge_of] == 1].tolist()}
    first = min(following)
    order = [first]
    while following[order[-1]] != first:
        order.append(following[order[-1]])
    return np.array(order)


def _tube(around: int, rings: int) -> np.ndarray:
    """Faces (2 * around * (rings - 1), 3) between rings of vertices, outside counter-clockwise."""
    i, r = np.meshgrid(np.arange(around), np.arange(rings - 1), indexing="xy")
    i, r = i.ravel(), r.ravel()
    a, b = r * around + i, r * around + (i + 1) % around
    c, d = a + around, b + around
    return np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)]).astype(np.int32)
