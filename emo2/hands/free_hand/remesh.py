"""From the dense mesh of an implicit surface to an even mesh with an exact number of vertices.

Edges are collapsed, the shortest (relative to a wanted size) first; then edges are flipped towards
equal angles and vertices relaxed along the surface. Everything is deterministic. Open borders
become given rings of vertices, to which other parts can be sewn.
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
    rings: list[np.ndarray],
    rounds: int = 30,
) -> tuple[np.ndarray, np.ndarray]:
    """A mesh of `count` vertices on the surface `distance` = 0, its borders those of `rings`.

    `sizes(points)` is the wanted edge length there; only ratios matter. Each ring (N, 3) replaces
    the border that it lies nearest to. Returns vertices (count, 3), first all the rings' in their
    order, and faces (F, 3).
    """
    mesh = _Collapse(vertices, faces, sizes(vertices))
    borders = border_loops(faces)
    if len(borders) != len(rings):
        raise RuntimeError(f"{len(borders)} borders for {len(rings)} rings")
    for ring in rings:
        mesh.run(len(ring), among=_nearest(ring, borders, vertices))
    mesh.run(count)
    vertices, faces = mesh.compact()
    vertices, faces = _fit_rings(vertices, faces, rings)
    free = np.arange(len(vertices)) >= sum(map(len, rings))
    for _ in range(rounds):
        faces = _flip_edges(vertices, faces)
        relaxed = _relax(vertices, faces, sizes(vertices))
        vertices = np.where(free[:, None], project(relaxed, distance), vertices)
    return vertices, faces


def border_loops(faces: np.ndarray) -> list[np.ndarray]:
    """The borders as closed loops of vertex ids, each in the order of the faces' edges."""
    halves = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    _, edge_of, uses = np.unique(
        np.sort(halves, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    following = dict(halves[uses[edge_of.reshape(-1)] == 1].tolist())
    loops = []
    while following:
        loop = [min(following)]
        while (after := following.pop(loop[-1])) != loop[0]:
            loop.append(after)
        loops.append(np.array(loop))
    return loops


def without_pinches(faces: np.ndarray) -> np.ndarray:
    """Without the faces around vertices where a border touches itself or another border."""
    while True:
        halves = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
        _, edge_of, uses = np.unique(
            np.sort(halves, axis=1), axis=0, return_inverse=True, return_counts=True
        )
        border = halves[uses[edge_of.reshape(-1)] == 1, 0]
        starts, counts = np.unique(border, return_counts=True)
        if not np.any(counts > 1):
            return faces
        faces = faces[~np.isin(faces, starts[counts > 1]).any(axis=1)]


def _nearest(ring: np.ndarray, borders: list[np.ndarray], vertices: np.ndarray) -> np.ndarray:
    centre = ring.mean(axis=0)
    away = [np.linalg.norm(vertices[border].mean(axis=0) - centre) for border in borders]
    return borders[int(np.argmin(away))]


def _fit_rings(
    vertices: np.ndarray, faces: np.ndarray, rings: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Move each border onto its ring, turned so that it moves least, and number the rings first."""
    vertices, order = vertices.copy(), []
    borders = border_loops(faces)
    for ring in rings:
        border = _nearest(ring, borders, vertices)
        ways = [np.roll(way, k) for way in (border, border[::-1]) for k in range(len(border))]
        best = min(ways, key=lambda way: float(np.sum((vertices[way] - ring) ** 2)))
        vertices[best] = ring
        order.extend(best.tolist())
    rest = np.setdiff1d(np.arange(len(vertices)), order)
    order = np.concatenate([np.array(order, dtype=np.int64), rest])
    return vertices[order], np.argsort(order)[faces]


def project(points: np.ndarray, distance: Distance) -> np.ndarray:
    """Newton steps along the gradient onto `distance` = 0."""
    points, step = points.copy(), 2e-4
    for _ in range(2):
        offsets = np.concatenate([np.zeros((1, 3)), np.eye(3), -np.eye(3)]) * step
        samples = distance((points[:, None] + offsets).reshape(-1, 3)).reshape(-1, 7)
        gradient = (samples[:, 1:4] - samples[:, 4:]) / (2 * step)
        norm = np.maximum((gradient**2).sum(axis=1), 0.1)
        move = -(samples[:, 0] / norm)[:, None] * gradient
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
        self.border = np.zeros(len(vertices), dtype=bool)
        for loop in border_loops(faces):
            self.border[loop] = True
        self.version = [0] * len(vertices)

    def run(self, target: int, among: np.ndarray | None = None) -> None:
        """Collapse edges until `target` vertices are left: of the border `among`, or in all, where
        edges between two border vertices stay."""
        on_border = among is not None
        alive = among.tolist() if on_border else [v for v, fs in enumerate(self.around) if fs]
        heap: list[tuple] = []
        for v in alive:
            self._push(heap, v, on_border, lambda u, v=v: u > v)
        left = len(alive)
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
        if np.any((old * new).sum(axis=1) < (-0.3 if both else 0.4) * sizes):
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


def _relax(vertices: np.ndarray, faces: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Move vertices half way to the mean of their neighbours within the tangent plane."""
    edges = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    edges = np.concatenate([edges, edges[:, ::-1]])
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
