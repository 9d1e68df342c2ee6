"""A small z-buffer rasteriser on the CPU: meshes already in pixels become smooth-edged buffers.

In: vertices (V, 3) as pixel x, pixel y (0, 0 is the outer corner of the first pixel) and depth [m]
from the camera; faces (F, 3); anything wanted per pixel as vertex attributes (V, C): normals,
colours, masks. Out: a `Raster`, cropped to the mesh, with antialiased coverage. Guidance maps, the
preview without OpenGL and the draft renderer all draw with it. It is deterministic, needs no
graphics library and releases the GIL.

>>> pixels = to_pixels(vertices_m, camera)                       # (V, 3)
>>> normals = vertex_normals(vertices_m, faces)                  # (V, 3)
>>> raster = rasterise(pixels, faces, normals, camera.height_px, camera.width_px)
>>> shaded = shade(raster.attributes[..., :3])                   # (h, w, 3), yours
>>> raster.over(frame, shaded)                                   # into (H, W, 3) float32, in place
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from emo2.types import Camera


@dataclass(frozen=True)
class Raster:
    """What a mesh covers of a picture, cropped to rows `top`.. and columns `left`.. of it."""

    alpha: np.ndarray
    """(h, w) float32 in [0, 1]: the covered share of each pixel."""
    attributes: np.ndarray
    """(h, w, C) float32: mean over the covered part of the pixel; 0 where nothing is."""
    depth: np.ndarray
    """(h, w) float32 metres: the nearest surface; inf where nothing is."""
    left: int
    top: int

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the picture that this crop covers: `picture[raster.window]`."""
        height, width = self.alpha.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)

    def over(self, picture: np.ndarray, colour: np.ndarray) -> None:
        """Lay `colour` (h, w, C) over the float `picture` (H, W, C), in place, by coverage."""
        beneath = picture[self.window]
        beneath += self.alpha[..., None] * (colour - beneath)


def rasterise(
    vertices_px: np.ndarray,
    faces: np.ndarray,
    attributes: np.ndarray,
    height: int,
    width: int,
    *,
    samples: int = 2,
) -> Raster:
    """Draw one mesh (or several, concatenated) with `samples` x `samples` points a pixel.

    Faces need no particular winding; parts outside the picture are clipped. Vertices must lie in
    front of the camera.
    """
    vertices_px = np.ascontiguousarray(vertices_px, dtype=np.float32)
    attributes = np.ascontiguousarray(attributes, dtype=np.float32)
    faces = np.ascontiguousarray(faces, dtype=np.int32)
    if len(vertices_px):
        across_down = np.ascontiguousarray(vertices_px[:, :2].T)
        low = np.floor(across_down.min(axis=1))
        high = np.ceil(across_down.max(axis=1))
        left, top = (int(v) for v in np.clip(low, 0, (width, height)))
        right, bottom = (int(v) for v in np.clip(high, 0, (width, height)))
    else:
        left = top = right = bottom = 0
    shape = (max(bottom - top, 0), max(right - left, 0))
    nearest = np.full((shape[0] * samples, shape[1] * samples), np.inf, np.float32)
    owner = np.full(nearest.shape, -1, np.int32)
    local = (vertices_px - np.array([left, top, 0], np.float32)) * np.array(
        [samples, samples, 1], np.float32
    )
    _visibility(local, faces, nearest, owner)
    alpha = np.empty(shape, np.float32)
    depth = np.empty(shape, np.float32)
    values = np.zeros((*shape, attributes.shape[1]), np.float32)
    _resolve(local, faces, attributes, nearest, owner, samples, alpha, depth, values)
    return Raster(alpha, values, depth, left, top)


def to_pixels(vertices_m: np.ndarray, camera: Camera) -> np.ndarray:
    """Body-frame points (..., 3) [m] to pixel x, pixel y and depth [m] from the camera (..., 3),
    float32."""
    vertices_m = np.asarray(vertices_m, dtype=np.float32)
    depth = camera.distance_m - vertices_m[..., 2:]
    return np.concatenate([camera.project(vertices_m), depth], axis=-1).astype(np.float32)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3) float32, weighted by the area of the faces around each vertex;
    counter-clockwise is outside."""
    vertices = np.ascontiguousarray(vertices, dtype=np.float32)
    return _vertex_normals(vertices, np.ascontiguousarray(faces, dtype=np.int32))


@numba.njit(cache=True, nogil=True)
def _vertex_normals(vertices, faces):
    normals = np.zeros_like(vertices)
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        x0, y0, z0 = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        ax, ay, az = vertices[j, 0] - x0, vertices[j, 1] - y0, vertices[j, 2] - z0
        bx, by, bz = vertices[k, 0] - x0, vertices[k, 1] - y0, vertices[k, 2] - z0
        nx, ny, nz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for v in (i, j, k):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(vertices.shape[0]):
        x, y, z = normals[v, 0], normals[v, 1], normals[v, 2]
        length = np.sqrt(x * x + y * y + z * z)
        if length > 0:
            normals[v, 0], normals[v, 1], normals[v, 2] = x / length, y / length, z / length
    return normals


@numba.njit(cache=True, nogil=True)
def _visibility(vertices, faces, nearest, owner):
    """Depth and face of the nearest surface at every sample; sample (r, c) lies at (c + 0.5, r +
    0.5)."""
    height, width = nearest.shape
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        x0, y0, z0 = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        x1, y1, z1 = vertices[j, 0], vertices[j, 1], vertices[j, 2]
        x2, y2, z2 = vertices[k, 0], vertices[k, 1], vertices[k, 2]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area == 0 or not np.isfinite(area):
            continue
        first_row = max(0, int(np.ceil(min(y0, y1, y2) - 0.5)))
        last_row = min(height - 1, int(np.floor(max(y0, y1, y2) - 0.5)))
        first_col = max(0, int(np.ceil(min(x0, x1, x2) - 0.5)))
        last_col = min(width - 1, int(np.floor(max(x0, x1, x2) - 0.5)))
        inverse = np.float32(1.0) / area
        step_1, step_2 = (y2 - y0) * inverse, (y0 - y1) * inverse
        for row in range(first_row, last_row + 1):
            dy = np.float32(row + 0.5) - y0
            dx = np.float32(first_col + 0.5) - x0
            b1 = (dx * (y2 - y0) - (x2 - x0) * dy) * inverse
            b2 = ((x1 - x0) * dy - dx * (y1 - y0)) * inverse
            for col in range(first_col, last_col + 1):
                if b1 >= 0 and b2 >= 0 and b1 + b2 <= 1:
                    z = z0 + b1 * (z1 - z0) + b2 * (z2 - z0)
                    if z < nearest[row, col]:
                        nearest[row, col] = z
                        owner[row, col] = f
                b1 += step_1
                b2 += step_2


@numba.njit(cache=True, nogil=True)
def _resolve(vertices, faces, attributes, nearest, owner, samples, alpha, depth, values):
    """Interpolate the attributes at every covered sample and average them over the pixel."""
    height, width, channels = values.shape
    share = np.float32(1.0 / (samples * samples))
    for row in range(height):
        for col in range(width):
            covered, least = 0, np.float32(np.inf)
            for r in range(row * samples, (row + 1) * samples):
                for c in range(col * samples, (col + 1) * samples):
                    f = owner[r, c]
                    if f < 0:
                        continue
                    covered += 1
                    least = min(least, nearest[r, c])
                    i, j, k = faces[f]
                    x0, y0 = vertices[i, 0], vertices[i, 1]
                    ax, ay = vertices[j, 0] - x0, vertices[j, 1] - y0
                    bx, by = vertices[k, 0] - x0, vertices[k, 1] - y0
                    dx, dy = np.float32(c + 0.5) - x0, np.float32(r + 0.5) - y0
                    inverse = np.float32(1.0) / (ax * by - bx * ay)
                    b1 = (dx * by - bx * dy) * inverse
                    b2 = (ax * dy - dx * ay) * inverse
                    b0 = np.float32(1.0) - b1 - b2
                    for n in range(channels):
                        values[row, col, n] += (
                            b0 * attributes[i, n] + b1 * attributes[j, n] + b2 * attributes[k, n]
                        )
            alpha[row, col] = covered * share
            depth[row, col] = least
            if covered:
                for n in range(channels):
                    values[row, col, n] /= covered
