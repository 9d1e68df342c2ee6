"""What the 778 vertices are too few for: nails, creases and colour of the free hand, precomputed.

In: the posed vertices of `HandModel`. Out: a surface two Loop levels finer, moved along its normals
by a stored height, with an albedo for each vertex. `HandDetail` has `smooth_faces` and `subdivide`
as `HandModel` has, so a renderer may use either.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from emo2.hands.subdivision import loop_subdivision
from emo2.types import NUM_HANDS

FILE = "detail.safetensors"
LEVELS = 2
_MESHES = ("MANO_LEFT.npz", "MANO_RIGHT.npz")


class HandDetail:
    """The fine surface of both free hands."""

    def __init__(
        self, faces: np.ndarray, albedo: np.ndarray, displacement: np.ndarray, nail: np.ndarray
    ) -> None:
        # Loop's rules do not ask which way round a face runs: one operator serves both hands.
        self._operator, right = loop_subdivision(faces, int(faces.max()) + 1, LEVELS)
        self.smooth_faces: np.ndarray = np.stack([right[:, ::-1], right])
        """(2, 16 F, 3) int32: left, right; counter-clockwise seen from outside."""
        self.albedo: np.ndarray = albedo
        """(V'', 3) float32 about 1, both hands': multiplies the skin's linear colour."""
        self.displacement: np.ndarray = displacement
        """(V'',) float32 metres along the outward normal."""
        self.nail: np.ndarray = nail
        """(V'',) float32 in [0, 1]: 1 on the nails."""

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> HandDetail | None:
        """Read `detail.safetensors` from `folder`; None where the hands there are not the free
        hands that it was made for."""
        folder = Path(folder)
        if not all((folder / name).is_file() for name in (FILE, *_MESHES)):
            return None
        arrays = load_file(folder / FILE)
        left, right = (np.load(folder / name)["f"] for name in _MESHES)
        ours = arrays["faces"]
        if not (np.array_equal(right, ours) and np.array_equal(left, ours[:, ::-1])):
            return None
        return cls(ours, arrays["albedo"], arrays["displacement"], arrays["nail"])

    def subdivide(self, vertices: np.ndarray) -> np.ndarray:
        """The fine surface (..., 2, V'', 3) float32 of posed hands (..., 2, 778, 3) [m]."""
        from emo2.hands.raster import vertex_normals  # numba: only those who draw need it

        flat = np.asarray(vertices, np.float32).reshape(-1, *vertices.shape[-3:])
        out = np.empty((len(flat), NUM_HANDS, *self.albedo.shape), np.float32)
        for t, hands in enumerate(flat):
            for h in range(NUM_HANDS):
                smooth = self._operator @ hands[h]
                normals = vertex_normals(smooth, self.smooth_faces[h])
                out[t, h] = smooth + self.displacement[:, None] * normals
        return out.reshape(*vertices.shape[:-2], *out.shape[-2:])
