"""Loop subdivision as one sparse matrix: smooth vertices = operator @ vertices, in every pose."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix


def loop_subdivision(
    faces: np.ndarray, num_vertices: int, levels: int = 1
) -> tuple[csr_matrix, np.ndarray]:
    """Loop's scheme (1987), `levels` times: the operator (V', V) float32 and the new faces
    (4 ** levels * F, 3) int32.

    The old vertices keep their ids; a level adds one vertex for each edge. An open border becomes a
    smooth curve of its own.
    """
    operator, faces = _one_level(np.asarray(faces, dtype=np.int64), num_vertices)
    for _ in range(levels - 1):
        finer, faces = _one_level(faces.astype(np.int64), operator.shape[0])
        operator = finer @ operator
    return operator, faces


def _one_level(faces: np.ndarray, num_vertices: int) -> tuple[csr_matrix, np.ndarray]:
    halves = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)  # edge n belongs to face n // 3
    opposite = faces[:, [2, 0, 1]].reshape(-1)
    edges, edge_of, uses = np.unique(
        np.sort(halves, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    edge_of = edge_of.reshape(-1)
    inner = uses == 2
    rows, columns, values = [], [], []

    def add(row: np.ndarray, column: np.ndarray, value: np.ndarray | float) -> None:
        rows.append(row)
        columns.append(column)
        values.append(np.broadcast_to(value, row.shape))

    new = num_vertices + np.arange(len(edges))
    ends = np.where(inner, 3 / 8, 1 / 2)
    add(new, edges[:, 0], ends)
    add(new, edges[:, 1], ends)
    counted = inner[edge_of]
    add(new[edge_of[counted]], opposite[counted], 1 / 8)

    rim = np.zeros(num_vertices, dtype=bool)
    rim[edges[~inner]] = True
    both_ways = np.concatenate([edges, edges[:, ::-1]])
    degree = np.bincount(both_ways[:, 0], minlength=num_vertices)
    n = np.maximum(degree, 1)
    beta = (5 / 8 - (3 / 8 + np.cos(2 * np.pi / n) / 4) ** 2) / n
    around = both_ways[~rim[both_ways[:, 0]]]
    add(around[:, 0], around[:, 1], beta[around[:, 0]])
    along = np.concatenate([edges[~inner], edges[~inner][:, ::-1]])
    add(along[:, 0], along[:, 1], 1 / 8)
    every = np.arange(num_vertices)
    add(every, every, np.where(rim, 3 / 4, 1 - degree * beta))

    operator = csr_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=(num_vertices + len(edges), num_vertices),
        dtype=np.float32,
    )
    middle = new[edge_of].reshape(-1, 3)
    (i, j, k), (a, b, c) = faces.T, middle.T
    smooth = [np.stack(corner, 1) for corner in ((i, a, c), (a, j, b), (c, b, k), (a, b, c))]
    return operator, np.concatenate(smooth).astype(np.int32)
