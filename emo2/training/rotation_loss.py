"""The geodesic distance on rotations: the angle by which one has to be turned to be the other.

Rotations come as 6-D columns (`motion.rotations`), as the network gives them: not orthonormal. Two
matrices R and S differ by the angle of R^T S, whose sine is half the length of its antisymmetric
part and whose cosine is half its trace less one. arctan2 of the two has a bounded gradient
everywhere but where the sine's own does not exist, at 0 and at half a turn: there it is rounded
off.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

SHORTEST = 1e-3
"""Columns shorter than this are not blown up to unit length: no gradient beyond a thousandfold."""
ROUNDING = 1e-4
"""Sines below this are rounded off [rad]."""


def to_matrices(columns: Tensor) -> Tensor:
    """(..., 6) -> (..., 3, 3) by Gram-Schmidt."""
    first = normalize(columns[..., :3], dim=-1, eps=SHORTEST)
    second = columns[..., 3:] - (first * columns[..., 3:]).sum(-1, keepdim=True) * first
    second = normalize(second, dim=-1, eps=SHORTEST)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)


def angles(told: Tensor, true: Tensor) -> Tensor:
    """Angles [rad] in [0, pi] between rotations (..., 6): (...)."""
    between = to_matrices(told).mT @ to_matrices(true)
    axis = torch.stack(
        [
            between[..., 2, 1] - between[..., 1, 2],
            between[..., 0, 2] - between[..., 2, 0],
            between[..., 1, 0] - between[..., 0, 1],
        ],
        dim=-1,
    )
    sine = (axis.square().sum(-1) / 4 + ROUNDING**2).sqrt()
    cosine = (between.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2
    return torch.atan2(sine, cosine)
