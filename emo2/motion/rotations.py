"""Rotations in four forms: quaternions (..., 4) wxyz, matrices (..., 3, 3), axis-angle (..., 3)
[rad], 6-D (..., 6).

All functions take and return NumPy arrays with any leading axes. A quaternion and its negative are
the same rotation; `continuous` picks signs so that a track never flips. 6-D is the first two
columns of the matrix, one after the other (Zhou et al. 2019): it has no sign ambiguity and no jump,
so networks learn on it.
"""

from __future__ import annotations

import numpy as np

IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])
SMALL_ANGLE_RAD = 1e-6


def normalise(quaternion: np.ndarray) -> np.ndarray:
    """Unit length; the zero quaternion becomes the identity."""
    quaternion = np.asarray(quaternion)
    norm = np.linalg.norm(quaternion, axis=-1, keepdims=True)
    unit = quaternion / np.where(norm > 0, norm, 1)
    return np.where(norm > 0, unit, IDENTITY.astype(unit.dtype))


def conjugate(quaternion: np.ndarray) -> np.ndarray:
    """The inverse rotation of a unit quaternion."""
    return np.asarray(quaternion) * np.array([1, -1, -1, -1], dtype=np.int8)


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The rotation that turns by `b` first, then by `a`."""
    aw, ax, ay, az = np.moveaxis(np.asarray(a), -1, 0)
    bw, bx, by, bz = np.moveaxis(np.asarray(b), -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def rotate(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """`vector` (..., 3) turned by a unit quaternion."""
    w, u = np.asarray(quaternion)[..., :1], np.asarray(quaternion)[..., 1:]
    t = 2 * np.cross(u, vector)
    return vector + w * t + np.cross(u, t)


def to_matrix(quaternion: np.ndarray) -> np.ndarray:
    """(..., 4) unit -> (..., 3, 3)."""
    w, x, y, z = np.moveaxis(np.asarray(quaternion), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def from_matrix(matrix: np.ndarray) -> np.ndarray:
    """(..., 3, 3) rotation -> (..., 4) with w >= 0.

    Shepperd's method: of the four squared components the largest is the divisor, so no rotation is
    badly conditioned.
    """
    m = np.asarray(matrix)
    m00, m01, m02 = m[..., 0, 0], m[..., 0, 1], m[..., 0, 2]
    m10, m11, m12 = m[..., 1, 0], m[..., 1, 1], m[..., 1, 2]
    m20, m21, m22 = m[..., 2, 0], m[..., 2, 1], m[..., 2, 2]
    products = np.stack(  # row i: 4 q_i (w, x, y, z)
        [
            np.stack([1 + m00 + m11 + m22, m21 - m12, m02 - m20, m10 - m01], axis=-1),
            np.stack([m21 - m12, 1 + m00 - m11 - m22, m10 + m01, m02 + m20], axis=-1),
            np.stack([m02 - m20, m10 + m01, 1 - m00 + m11 - m22, m21 + m12], axis=-1),
            np.stack([m10 - m01, m02 + m20, m21 + m12, 1 - m00 - m11 + m22], axis=-1),
        ],
        axis=-2,
    )
    largest = np.diagonal(products, axis1=-2, axis2=-1).argmax(axis=-1)
    row = np.take_along_axis(products, largest[..., None, None], axis=-2)[..., 0, :]
    quaternion = normalise(row)
    return np.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def to_axis_angle(quaternion: np.ndarray) -> np.ndarray:
    """(..., 4) unit -> (..., 3): axis times angle, angle in [0, pi]."""
    quaternion = np.asarray(quaternion)
    quaternion = np.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    sine = np.linalg.norm(quaternion[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternion[..., :1])
    scale = np.where(angle > SMALL_ANGLE_RAD, angle / np.where(sine > 0, sine, 1), 2)
    return quaternion[..., 1:] * scale


def log(quaternion: np.ndarray) -> np.ndarray:
    """(..., 4) unit -> (..., 3): axis times angle, angle in [0, 2 pi): the sign of the quaternion
    counts.

    A track whose signs are `continuous` gives vectors that do not jump at half a turn;
    `from_axis_angle` takes them back.
    """
    quaternion = np.asarray(quaternion)
    sine = np.linalg.norm(quaternion[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, quaternion[..., :1])
    return quaternion[..., 1:] * np.where(sine > 0, angle / np.where(sine > 0, sine, 1), 2)


def from_axis_angle(axis_angle: np.ndarray) -> np.ndarray:
    """(..., 3) axis times angle [rad] -> (..., 4)."""
    axis_angle = np.asarray(axis_angle)
    angle = np.linalg.norm(axis_angle, axis=-1, keepdims=True)
    small = angle < SMALL_ANGLE_RAD
    scale = np.where(small, 0.5, np.sin(angle / 2) / np.where(small, 1, angle))
    return normalise(np.concatenate([np.cos(angle / 2), axis_angle * scale], axis=-1))


def to_6d(quaternion: np.ndarray) -> np.ndarray:
    """(..., 4) unit -> (..., 6): the matrix's first column, then its second."""
    matrix = to_matrix(quaternion)
    return np.concatenate([matrix[..., :, 0], matrix[..., :, 1]], axis=-1)


def from_6d(columns: np.ndarray) -> np.ndarray:
    """(..., 6) -> (..., 4): the nearest frame by Gram-Schmidt; the input need not be
    orthonormal."""
    columns = np.asarray(columns)
    first = _unit(columns[..., :3], fallback=(1, 0, 0))
    second = columns[..., 3:] - first * (first * columns[..., 3:]).sum(-1, keepdims=True)
    length = np.linalg.norm(second, axis=-1, keepdims=True)
    second = _unit(np.where(length > 1e-8, second, _square_to(first)), fallback=(0, 1, 0))
    return from_matrix(np.stack([first, second, np.cross(first, second)], axis=-1))


def slerp(a: np.ndarray, b: np.ndarray, fraction: np.ndarray | float) -> np.ndarray:
    """The rotation `fraction` (0..1) of the shorter way from `a` to `b`, at constant angular speed;
    `fraction` broadcasts over leading axes. At 0 it is `a`, at 1 `b` or -`b`, to the bit."""
    a, b, fraction = np.asarray(a), np.asarray(b), np.asarray(fraction)[..., None]
    turn = to_axis_angle(multiply(b, conjugate(a)))
    way = normalise(multiply(from_axis_angle(turn * fraction), a))
    end = np.where((a * b).sum(-1, keepdims=True) < 0, -b, b)
    return np.where(fraction == 0, a, np.where(fraction == 1, end, way))


def continuous(quaternions: np.ndarray, axis: int = 0) -> np.ndarray:
    """The same rotations with signs chosen so that neighbours along `axis` have a dot product >=
    0."""
    track = np.moveaxis(np.asarray(quaternions), axis, 0)
    if len(track) < 2:
        return np.array(quaternions)
    dots = (track[1:] * track[:-1]).sum(-1, keepdims=True)
    signs = np.cumprod(np.where(dots < 0, -1, 1).astype(track.dtype), axis=0)
    signs = np.concatenate([np.ones_like(signs[:1]), signs])
    return np.moveaxis(track * signs, 0, axis)


def mirror(quaternion: np.ndarray) -> np.ndarray:
    """The rotation seen in a mirror in the plane x = 0: how a left hand becomes a right one."""
    return np.asarray(quaternion) * np.array([1, 1, -1, -1], dtype=np.int8)


def between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The shortest rotation (..., 4) that turns unit vector `start` (..., 3) into unit vector
    `end`."""
    cosine = (start * end).sum(-1, keepdims=True)
    opposite = cosine < -1 + 1e-9
    half = np.concatenate([1 + cosine, np.cross(start, end)], axis=-1)
    flipped = np.concatenate([np.zeros_like(cosine), _square_to(start)], axis=-1)
    return normalise(np.where(opposite, flipped, half))


def angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The angle [rad] (...) of the rotation from `a` to `b`."""
    return np.linalg.norm(to_axis_angle(multiply(b, conjugate(a))), axis=-1)


def _square_to(vector: np.ndarray) -> np.ndarray:
    """A unit vector (..., 3) at right angles to each unit vector."""
    axis = np.eye(3)[np.abs(vector).argmin(axis=-1)]
    return _unit(np.cross(vector, axis), fallback=(1, 0, 0))


def _unit(vector: np.ndarray, fallback: tuple[float, float, float]) -> np.ndarray:
    norm = np.linalg.norm(vector, axis=-1, keepdims=True)
    unit = vector / np.where(norm > 1e-12, norm, 1)
    return np.where(norm > 1e-12, unit, np.asarray(fallback, dtype=unit.dtype))
