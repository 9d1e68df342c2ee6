"""From the dense mesh of an implicit surface to an even mesh with an exact number of vertices.

Edges are collapsed, the shortest (relative to a wanted size) first; then edges are flipped towards
equal angles and vertices relaxed along the surface. Everything is deterministic. An open border
stays open and in its plane.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import numpy as np

Distance = Callable[[np.ndarray], np.ndarray]


def remesh(
    vertices: np.ndarray,
    faces: np.ndarray,
    distance: Distance,
    sizes: Callable[[np.ndarray], np.ndarray],
    count: int,
    border_count: int = 0,
    rounds: int = 12,
) -> tuple[np.ndarray, np.ndarray]:
    """A mesh of `count` vertices, `border_count` of them on its border (0: closed), on the surface
    `distance` = 0.

    `sizes(points)` is the wanted edge length there; only ratios matter. Returns vertices (count,
    3), faces (F, 3).
    """
    mesh = _Collapse(vertices, faces, sizes(vertices))
    if border_count:
        mesh.run(border_count, on_border=True)
    mesh.run(count, on_border=False)
    vertices, faces = mesh.compact()
    border = border_vertices(faces, len(vertices))
    for _ in range(rounds):
        faces = _flip_edges(vertices, faces)
        vertices = _relax(vertices, faces, border, sizes(vertices))
        vertices = project(vertices, distance, border)
    return vertices, faces


def border_vertices(faces: np.ndarray, count: int) -> np.ndarray:
    """(count,) bool: the vertices of edges that belong to one face only."""
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, uses = np.unique(edges, axis=0, return_counts=True)
    mask = np.zeros(count, dtype=bool)
    mask[unique[uses == 1]] = True
    return mask


def project(points: np.ndarray, distance: Distance, border: np.ndarray) -> np.ndarray:
    """Newton steps along the gradient onto `distance` = 0; border vertices keep their x (the plane
    of the cut)."""
    points, step = points.copy(), 2e-4
    for _ in range(3):
        offsets = np.concatenate([np.eye(3), -np.eye(3)]) * step
        samples = distance((points[:, None] + offsets).reshape(-1, 3)).reshape(-1, 6)
        gradient = (samples[:, :3] - samples[:, 3:]) / (2 * step)
        gradient[border, 0] = 0.0
        norm = np.maximum((gradient**2).sum(axis=1), 0.1)
        move = -(distance(points) / norm)[:, None] * gradient
        length = np.linalg.norm(move, axis=1, keepdims=True)
        points += move * np.minimum(1.0, 2e-3 / np.maximum(length, 1e-12))
    return points


class _Collapse:
    """Edge collapse by shortest relative length, with the topology and the orientation of faces
    kept."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, sizes: np.ndarray) -> None:
        self.points = np.array(vertices, dtype=np.float64)
        self.sizes = np.array(sizes, dtype=np.float64)
        self.faces = [tuple(f) for f in faces.tolist()]
        self.around: list[set[int]] = [set() for _ in vertices]
        for f, corners in enumerate(self.faces):
            for v in corners:
                self.around[v].add(f)
        self.border = border_vertices(faces, len(vertices))
        self.version = [0] * len(vertices)

    def run(self, target: int, on_border: bool) -> None:
        """Collapse border edges (or all that do not lie between two border vertices) until `target`
        are left."""
        alive = [v for v, fs in enumerate(self.around) if fs]
        heap: list[tuple] = []
        for v in alive:
            self._push(heap, v, on_border, lambda u, v=v: u > v)
        left = int(self.border[alive].sum()) if on_border else len(alive)
        while left > target:
            if not heap:
                raise RuntimeError(f"no edge left to collapse at {left} of {target} vertices")
            _, a, b, version_a, version_b = heapq.heappop(heap)
            fresh = self.version[a] == version_a and self.version[b] == version_b
            if fresh and self._merge(a, b):
                left -= 1
                self._push(heap, a, on_border, lambda u: True)

    def compact(self) -> tuple[np.ndarray, np.ndarray]:
        """The vertices and faces that are left."""
        alive = [v for v, fs in enumerate(self.around) if fs]
        index = np.full(len(self.points), -1)
        index[alive] = np.arange(len(alive))
        kept = sorted(set().union(*(self.around[v] for v in alive)))
        return self.points[alive], index[np.array([self.faces[f] for f in kept])]

    def _neighbours(self, v: int) -> set[int]:
        return {u for f in self.around[v] for u in self.faces[f]} - {v}

    def _push(self, heap: list, v: int, on_border: bool, wanted: Callable[[int], bool]) -> None:
        for u in sorted(self._neighbours(v)):
            if wanted(u) and on_border == bool(self.border[u] and self.border[v]):
                length = np.linalg.norm(self.points[u] - self.points[v])
                cost = float(length / (self.sizes[u] + self.sizes[v]))
                heapq.heappush(heap, (cost, u, v, self.version[u], self.version[v]))

    def _merge(self, a: int, b: int) -> bool:
        """Merge b into a, unless that would change the topology or fold a face."""
        shared = self.around[a] & self.around[b]
        common = self._neighbours(a) & self._neighbours(b)
        both = self.border[a] and self.border[b]
        if not shared or len(common) != len(shared) or (both and len(shared) != 1):
            return False
        middle = 0.5 * (self.points[a] + self.points[b])
        if self.border[a] != self.border[b]:
            middle = self.points[a if self.border[a] else b].copy()
        changed = (self.around[a] | self.around[b]) - shared
        corners = np.array([self.faces[f] for f in sorted(changed)])
        before = self.points[corners]
        moves = (corners == a) | (corners == b)
        after = np.where(moves[..., None], middle, before)
        old, new = _face_normals(before), _face_normals(after)
        sizes = np.linalg.norm(old, axis=1) * np.linalg.norm(new, axis=1)
        if np.any((old * new).sum(axis=1) < 0.4 * sizes):
            return False
        for f in shared:
            for v in self.faces[f]:
                self.around[v].discard(f)
        for f in self.around[b]:
            self.faces[f] = tuple(a if v == b else v for v in self.faces[f])
        self.around[a] |= self.around[b]
        self.around[b] = set()
        self.points[a] = middle
        self.sizes[a] = 0.5 * (self.sizes[a] + self.sizes[b])
        self.border[a] |= self.border[b]
        self.version[a] += 1
        self.version[b] += 1
        return True


def _face_normals(corners: np.ndarray) -> np.ndarray:
    """Normals (F, 3), twice the area long, of triangles (F, 3, 3)."""
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _flip_edges(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Flip every edge whose two opposite angles sum to more than pi (not Delaunay), unless that
    folds the surface."""
    faces = faces.copy()
    owners: dict[tuple[int, int], int] = {}
    for f, (i, j, k) in enumerate(faces.tolist()):
        owners[i, j] = owners[j, k] = owners[k, i] = f
    touched: set[int] = set()
    for (i, j), f in sorted(owners.items()):
        g = owners.get((j, i))
        if i > j or g is None or f in touched or g in touched:
            continue
        k = next(v for v in faces[f].tolist() if v not in (i, j))
        m = next(v for v in faces[g].tolist() if v not in (i, j))
        if (
            (k, m) in owners
            or (m, k) in owners
            or _angle(vertices, k, i, j) + _angle(vertices, m, i, j) < np.pi * 1.02
        ):
            continue
        old = _face_normals(vertices[faces[[f, g]]])
        new = _face_normals(vertices[np.array([[k, i, m], [m, j, k]])])
        mean = old.sum(axis=0)
        if np.any(new @ mean < 0.5 * np.linalg.norm(new, axis=1) * np.linalg.norm(mean)):
            continue
        faces[f], faces[g] = (k, i, m), (m, j, k)
        touched |= {f, g}
        owners[k, m] = f  # so that no other flip makes the same edge
    return faces


def _angle(vertices: np.ndarray, apex: int, i: int, j: int) -> float:
    a, b = vertices[i] - vertices[apex], vertices[j] - vertices[apex]
    return float(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b))


def _relax(
    vertices: np.ndarray, faces: np.ndarray, border: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    """Move vertices half way to the mean of their neighbours within the tangent plane; the border
    along itself."""
    edges = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    edges = np.concatenate([edges, edges[:, ::-1]])
    edges = edges[~border[edges[:, 0]] | border[edges[:, 1]]]
    length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    weight = length / sizes[edges[:, 0]]  # long edges pull harder, towards the wanted size
    total, count = np.zeros_like(vertices), np.zeros(len(vertices))
    np.add.at(total, edges[:, 0], weight[:, None] * vertices[edges[:, 1]])
    np.add.at(count, edges[:, 0], weight)
    move = total / np.maximum(count, 1e-12)[:, None] - vertices
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], _face_normals(vertices[faces]))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    move -= normals * (move * normals).sum(axis=1, keepdims=True)
    return vertices + 0.5 * move
