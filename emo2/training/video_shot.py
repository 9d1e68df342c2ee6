"""A still becomes a clip: a camera that looks at one hand, near and aslant, and drifts.

What the network sees of a hand then moves and turns as in a film, and what it should say about it
moves along. Normals turn with the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from emo2.training.video_corpus import Still

ZOOM_STD, TURN_STD_RAD, PLACE_STD = 0.15, 0.30, 0.18
"""How far a camera is from the picture's own: log scale, roll, and off the hand in crops."""
DRIFT_PX, DRIFT_RAD, DRIFT_ZOOM = 2.5, 0.02, 0.01
"""Standard deviations of its motion from frame to frame."""
MOVED_SHARE = 0.6
"""Clips in which only the arms move, over the bare picture; else everything moves."""


@dataclass(frozen=True)
class Shot:
    """F frames of side S, float32 in [0, 1]."""

    draft: np.ndarray
    """(F, S, S, 3)."""
    truth: np.ndarray
    """(F, S, S, 3)."""
    change: np.ndarray
    """(F, S, S)."""
    belief: np.ndarray
    """(F, S, S): of the one hand that is looked at, and of the lips."""
    mano: np.ndarray
    """(F, S, S, 3)."""
    keypoints: np.ndarray
    """(F, S, S, 3)."""


def shoot(
    still: Still, hand: int, frames: int, side_px: int, rng: np.random.Generator, develop
) -> Shot:
    """A clip of `still` about its `hand`. `develop` turns bytes (..., 3) into colours in [0, 1]."""
    owner, change = np.asarray(still.owner), np.asarray(still.change)
    belief = np.where((owner == hand) | (owner == 0), still.belief, 0).astype(np.uint8)
    seen = np.argwhere((belief > 127) & (owner == hand) & (change > 127))
    middle = seen[rng.integers(len(seen))][::-1] + rng.normal(0, PLACE_STD * side_px, 2)
    path = _path(middle, frames, rng)
    ground = None
    if rng.random() < MOVED_SHARE:
        ground = develop(_warp(np.asarray(still.bare), *path[frames // 2], side_px))
    shots = {name: [] for name in Shot.__dataclass_fields__}
    for view in path:

        def look(picture: np.ndarray, view=view) -> np.ndarray:
            return _warp(np.asarray(picture), *view, side_px)

        cover = look(change) / np.float32(255)
        for name in ("draft", "truth"):
            picture = develop(look(getattr(still, name)))
            if ground is not None:
                picture = ground + cover[..., None] * (picture - ground)
            shots[name].append(picture)
        shots["change"].append(cover)
        shots["belief"].append(look(belief) / np.float32(255))
        shots["mano"].append(_turn_normals(look(still.mano) / np.float32(255), view[1]))
        shots["keypoints"].append(look(still.keypoints) / np.float32(255))
    return Shot(**{name: np.stack(pictures) for name, pictures in shots.items()})


def _path(middle: np.ndarray, frames: int, rng: np.random.Generator) -> list[tuple]:
    """Middle (2,), roll and scale of a camera over time."""
    zoom, turn = rng.normal(0, ZOOM_STD), rng.normal(0, TURN_STD_RAD)
    speed = rng.normal(0, (DRIFT_PX, DRIFT_PX, DRIFT_RAD, DRIFT_ZOOM)) * (rng.random() < 0.8)
    steps = np.arange(frames) - frames // 2
    return [
        (middle + t * speed[:2], turn + t * speed[2], np.exp(zoom + t * speed[3])) for t in steps
    ]


def _warp(picture: np.ndarray, middle, turn: float, scale: float, side_px: int) -> np.ndarray:
    """A square of `side_px` about `middle`, turned and scaled; edges are mirrored."""
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    matrix = np.array([[cos, -sin, 0], [sin, cos, 0]])
    matrix[:, 2] = side_px / 2 - matrix[:, :2] @ middle
    return cv2.warpAffine(
        picture, matrix, (side_px, side_px), flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )  # fmt: skip


def _turn_normals(mano: np.ndarray, turn: float) -> np.ndarray:
    """A normal map (S, S, 3) of a picture that was rolled by `turn`: y is up, so the other way."""
    covered = mano.max(axis=-1, keepdims=True) > 0.02
    x, y = 2 * mano[..., 0] - 1, 2 * mano[..., 1] - 1
    cos, sin = np.cos(-turn), np.sin(-turn)
    turned = np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
    out = mano.copy()
    out[..., :2] = np.where(covered, 0.5 + 0.5 * turned, mano[..., :2])
    return out
