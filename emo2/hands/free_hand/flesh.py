"""How flesh moves when a joint bends: an elastic solve, from which pose correctives are fitted.

Around a joint the hand is filled with tetrahedra. Those inside the two bones turn with them; the
rest is soft and minds its volume. Projective dynamics (Bouaziz et al. 2014, "Projective Dynamics:
Fusing Constraint Projections for Fast Simulation") finds where it comes to rest: each tetrahedron
wants to be a turned copy of itself and to keep its volume, and one factorised system reconciles
them. A build tool: nothing of it runs when hands are used.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
from scipy.sparse import csc_matrix, diags
from scipy.sparse.linalg import splu

VOLUME_STIFFNESS = 2.0
"""How much more a tetrahedron minds a change of volume than one of shape."""
_ITERATIONS = 20


class Flesh:
    """The soft tissue around one joint of the hand at rest."""

    def __init__(
        self,
        inside: Callable[[np.ndarray], np.ndarray],
        bone: Callable[[np.ndarray], np.ndarray],
        low: np.ndarray,
        high: np.ndarray,
        cell_m: float,
    ) -> None:
        """`inside(points)` says what is flesh or bone; `bone(points)` gives 0 for soft, 1 for what
        stays, 2 for what turns with the joint; `low`, `high` (3,) bound the region [m], `cell_m`
        is the size of the lattice's cells."""
        counts = np.ceil((high - low) / cell_m).astype(int) + 1
        grid = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1)
        solid = inside((low + cell_m * grid).reshape(-1, 3)).reshape(counts)
        # A cell is filled where any of its corners is: the skin then lies within the lattice.
        filled = np.zeros(counts - 1, dtype=bool)
        for corner in _CORNERS:
            filled |= solid[tuple(slice(c, n - 1 + c) for c, n in zip(corner, counts, strict=True))]
        cells = np.argwhere(filled)
        flat = np.ravel_multi_index((cells[:, None] + _CORNERS).reshape(-1, 3).T, counts)
        used, corners = np.unique(flat, return_inverse=True)
        self._low, self._counts, self._filled, self._cell_m = low, counts, filled, cell_m
        self._node_of = np.full(int(np.prod(counts)), -1)
        self._node_of[used] = np.arange(len(used))
        self.rest = low + cell_m * grid.reshape(-1, 3)[used]
        self.tets = corners.reshape(-1, 8)[:, _KUHN].reshape(-1, 4)
        edges = self.rest[self.tets[:, 1:]] - self.rest[self.tets[:, :1]]  # (M, 3 edges, 3)
        self._gradient = np.linalg.inv(edges)  # F = x_edges^T @ gradient^T
        self._bone = bone(self.rest)
        self._factorise()

    def _factorise(self) -> None:
        count, tets = len(self.rest), self.tets
        # Derivatives of F by the four corners: (M, 4, 3).
        self._slope = np.concatenate(
            [-self._gradient.sum(axis=2)[:, None], self._gradient.transpose(0, 2, 1)], axis=1
        )
        local = np.einsum("mai,mbi->mab", self._slope, self._slope)
        rows = np.repeat(tets, 4, axis=1).reshape(-1)
        columns = np.tile(tets, (1, 4)).reshape(-1)
        stiffness = csc_matrix((local.reshape(-1), (rows, columns)), shape=(count, count))
        self._free = np.flatnonzero(self._bone == 0)
        self._held = np.flatnonzero(self._bone > 0)
        self._coupling = stiffness[self._free][:, self._held]
        inner = stiffness[self._free][:, self._free]
        self._solve = splu((inner + diags(np.full(len(self._free), 1e-9))).tocsc()).solve

    def bend(self, joint: np.ndarray, rotations: list[np.ndarray], guess) -> list[np.ndarray]:
        """Where the nodes are after each of `rotations` (3, 3) about `joint`, one after the other.

        `guess(points, rotation)` gives a first place for the soft nodes.
        """
        poses, turns = [], np.tile(np.eye(3), (len(self.tets), 1, 1))
        moved = None
        for rotation in rotations:
            turned = (self.rest - joint) @ rotation.T + joint
            start = guess(self.rest, rotation)
            places = start if moved is None else 0.5 * (start + moved)
            places = np.where((self._bone == 1)[:, None], self.rest, places)
            places = np.where((self._bone == 2)[:, None], turned, places)
            for _ in range(_ITERATIONS):
                force = _forces(places, self.tets, self._slope, turns)
                right = force[self._free] - self._coupling @ places[self._held]
                places[self._free] = self._solve(right)
            moved = places
            poses.append(places.copy())
        return poses

    def carry(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How skin points (N, 3) hang in the lattice: which do (N,) bool, their cells' nodes
        (n, 8) and shares (n, 8)."""
        position = (points - self._low) / self._cell_m
        cell = np.floor(position).astype(int)
        within = np.all((cell >= 0) & (cell < self._counts - 1), axis=1)
        within[within] = self._filled[tuple(cell[within].T)]
        cell, rest = cell[within], position[within] - cell[within]
        nodes = self._node_of[
            np.ravel_multi_index((cell[:, None] + _CORNERS).reshape(-1, 3).T, self._counts)
        ].reshape(-1, 8)
        shares = np.prod(np.where(_CORNERS[None] == 1, rest[:, None], 1 - rest[:, None]), axis=2)
        return within, nodes, shares


_CORNERS = np.array([(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)])


def _kuhn() -> np.ndarray:
    """(6, 4) corners of the six tetrahedra of a cube, all of positive volume."""
    tets = []
    for order in permutations(range(3)):
        corner, path = np.zeros(3, int), [0]
        for axis in order:
            corner[axis] = 1
            path.append(int(corner @ (4, 2, 1)))
        edges = _CORNERS[path[1:]] - _CORNERS[path[0]]
        if np.linalg.det(edges) < 0:
            path[1], path[2] = path[2], path[1]
        tets.append(path)
    return np.array(tets)


_KUHN = _kuhn()


def _forces(
    places: np.ndarray, tets: np.ndarray, slope: np.ndarray, turns: np.ndarray
) -> np.ndarray:
    """What the tetrahedra pull with: the sum of slope times the F that they want, (N, 3).

    `turns` (M, 3, 3), their rotations, are a warm start and kept up to date.
    """
    gradient = np.einsum("mai,maj->mij", places[tets], slope)
    for _ in range(2):
        # The nearest rotation as in Mueller et al. 2016, "A Robust Method to Extract the Rotational
        # Part of Deformations", with a Cayley step.
        spin = np.cross(turns, gradient, axis=1).sum(axis=2)
        match = np.abs(np.einsum("mij,mij->m", turns, gradient)) + 1e-9
        x, y, z = 0.5 * (spin / match[:, None]).T
        zero = np.zeros_like(x)
        half = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
        square = half @ half
        step = 2.0 / (1.0 + x * x + y * y + z * z)
        turns += (step[:, None, None] * (half + square)) @ turns
    # The same shape at its rest volume; one that is crushed or inverted starts from its turn.
    volume = np.einsum("mi,mi->m", gradient[:, 0], np.cross(gradient[:, 1], gradient[:, 2]))
    whole = volume > 0.05
    grown = gradient * np.where(whole, volume, 1.0)[:, None, None] ** (-1 / 3)
    grown[~whole] = turns[~whole]
    wanted = (turns + VOLUME_STIFFNESS * grown) / (1 + VOLUME_STIFFNESS)
    pull = np.einsum("mij,maj->mai", wanted, slope).reshape(-1, 3)
    corners = tets.reshape(-1)
    return np.stack([np.bincount(corners, pull[:, i], len(places)) for i in range(3)], axis=1)
