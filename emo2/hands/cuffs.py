"""A sleeve's end over the open wrist of each hand, so that the preview does not show a cut: a band
turned back to a rolled lip, a seam, a little gathered cloth."""

from __future__ import annotations

import numpy as np

# Ring by ring: along the arm from the rim and out from it [m], the share of the gathers, and the
# share of the way out from the middle. From the skin around a rolled lip, over the turned-back band
# to its seam, over the gathered sleeve to its rounded end.
_PROFILE = np.array(
    [
        (-0.0035, -0.0012, 0.0, 1.0),
        (-0.0074, 0.0011, 0.0, 1.0),
        (-0.0089, 0.0018, 0.0, 1.0),
        (-0.0095, 0.0029, 0.0, 1.0),
        (-0.0091, 0.0040, 0.0, 1.0),
        (-0.0076, 0.0047, 0.0, 1.0),
        (-0.0020, 0.0051, 0.1, 1.0),
        (0.0060, 0.0052, 0.2, 1.0),
        (0.0122, 0.0052, 0.2, 1.0),
        (0.0138, 0.0048, 0.2, 1.0),
        (0.0145, 0.0036, 0.2, 1.0),
        (0.0149, 0.0022, 0.3, 1.0),
        (0.0157, 0.0023, 0.5, 1.0),
        (0.0172, 0.0034, 0.9, 1.0),
        (0.0210, 0.0044, 1.0, 1.0),
        (0.0290, 0.0048, 1.0, 1.0),
        (0.0350, 0.0043, 0.8, 1.0),
        (0.0388, 0.0028, 0.5, 1.0),
        (0.0406, 0.0005, 0.2, 1.0),
        (0.0412, 0.0000, 0.0, 0.82),
        (0.0414, 0.0000, 0.0, 0.40),
        (0.0414, 0.0000, 0.0, 0.0),
    ]
)
_GATHERS, _GATHER_M = (5, 8), 0.0007


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
        outward = spokes / np.linalg.norm(spokes, axis=1, keepdims=True)
        around = 2 * np.pi * np.arange(len(rim)) / len(rim)
        gathers = _GATHER_M * sum(np.sin(n * around + n) for n in _GATHERS)
        along, out, gathered, share = _PROFILE.T[..., None]
        reach = (out + gathered * gathers)[..., None] * outward
        rings = centre + along[..., None] * axis + share[..., None] * spokes + reach
        return rings.reshape(-1, 3).astype(np.float32), self._faces[hand]


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
