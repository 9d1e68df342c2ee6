"""The way from one handshape to another, on which the thumb gets out of the fingers' way.

Tables mix linearly and stay inside the joint limits, for those are convex. But a thumb that lies
over the fingers, or is to lie over them, would pass through them half-way: it is led around, out to
the side while the fingers move, as hands do it.
"""

from __future__ import annotations

import numpy as np

THUMB_OUT = np.array([4.0, 16.0, -22.0, 2.0, 6.0])
"""The thumb's row of a table when it is out of every finger's way."""
_OPPOSED_DEG = (14.0, 34.0)
"""Twist of a thumb that lies beside the fingers, and of one that lies before them."""
_CURLED_DEG = (60.0, 90.0)
"""Middle joint of fingers that a thumb can lie over; also the thumb's own bend across the palm."""
_MOVED_DEG = 50.0
"""How far fingers bend or open, or the thumb itself turns, until it must be all the way out."""
_LEAVING = 0.36
"""Share of the way in which the thumb goes out, and again in which it comes back."""


def blend(start: np.ndarray, end: np.ndarray, fraction: np.ndarray | float) -> np.ndarray:
    """The handshape table (..., 5, 5) at `fraction` (...) of the way, 0 at `start` and 1 at `end`.

    Inside the limits where both ends are; the ends to the bit. `fraction` beyond 0..1 is held.
    """
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    share = np.clip(np.asarray(fraction, np.float64), 0.0, 1.0)[..., None, None]
    detour = _detour(start, end)
    # While the thumb makes its detour the fingers wait at either end.
    late = _smooth((share - 0.5 * detour * _LEAVING) / (1.0 - detour * _LEAVING))
    fingers = share + detour * (late - share)
    table = (1.0 - fingers) * start + fingers * end
    out = detour * _smooth(share / _LEAVING) * _smooth((1.0 - share) / _LEAVING)
    table[..., 0, :] += out[..., 0, :] * (THUMB_OUT - table[..., 0, :])
    return np.where(share <= 0.0, start, np.where(share >= 1.0, end, table))


def _detour(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(..., 1, 1) in 0..1: how far the thumb has to go out of the way."""
    turn = end - start
    bent = np.abs(turn[..., 1:, 2:4].sum(axis=-1)).max(axis=-1)
    way = np.maximum(bent, 1.5 * np.abs(turn[..., 0, :]).max(axis=-1))
    covering = np.maximum(_covering(start), _covering(end))
    return (covering * np.minimum(way / _MOVED_DEG, 1.0))[..., None, None]


def _covering(angles: np.ndarray) -> np.ndarray:
    """(...) in 0..1: whether the thumb lies over curled fingers, or in the palm."""
    opposed = _ramp(angles[..., 0, 0], _OPPOSED_DEG)
    curled = np.maximum(angles[..., 1:, 3].max(axis=-1), angles[..., 0, 3:].sum(axis=-1))
    return opposed * _ramp(curled, _CURLED_DEG)


def _ramp(value: np.ndarray, edges: tuple[float, float]) -> np.ndarray:
    return np.clip((value - edges[0]) / (edges[1] - edges[0]), 0.0, 1.0)


def _smooth(x: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, no kink."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)
