"""What the camera sees: hands that leave the picture, hands over the mouth."""

from __future__ import annotations

import numpy as np

from emo2.motion import torso
from emo2.motion.capsules import BONES
from emo2.motion.checks.clip import Clip
from emo2.motion.checks.finding import HAND_WORDS, Reading, Signal
from emo2.types import NUM_HANDS, Camera, Portrait

EDGE_SHARE = 0.012
"""Of the picture's height: a fingertip that crosses the edge by less is not worth a word."""
EDGE_S = 0.15
MOUTH_S = 0.25
_LIPS = (61, 291, 0, 17, 39, 269, 181, 405)
"""Mediapipe's outer lips."""
_MOUTH_HALF_M = np.array([0.026, 0.013])


def signals(clip: Clip) -> list[Signal]:
    """Out of frame and over the mouth; nothing without a camera."""
    camera = clip.scene.camera
    if camera is None:
        return []
    pixels = camera.project(clip.joints_m)  # (T, 2, 21, 2)
    out = []
    for hand in range(NUM_HANDS):
        out.append(_frame(clip, hand, pixels[:, hand], camera))
        out.append(_mouth(clip, hand, pixels[:, hand], camera))
    return out


def _frame(clip: Clip, hand: int, pixels: np.ndarray, camera: Camera) -> Signal:
    size = np.array([camera.width_px, camera.height_px])
    beyond = np.maximum(pixels - size, -pixels)  # (T, 21, 2), negative inside
    sides = beyond.max(axis=-1)
    far, worst = sides.max(axis=1), sides.argmax(axis=1)
    share = (sides > 0).mean(axis=1)
    limit = EDGE_SHARE * camera.height_px
    rows = np.arange(clip.num_frames)

    def read(frame: int) -> Reading:
        x, y = pixels[frame, worst[frame]]
        edge = {
            -x: "left",
            x - size[0]: "right",
            -y: "upper",
            y - size[1]: "lower",
        }
        name = edge[max(edge)]
        much = "all of it" if share[frame] == 1.0 else f"{100 * share[frame]:.0f} % of it"
        words = (
            f"the {HAND_WORDS[hand]} leaves the picture at its {name} edge by up to "
            f"{far[frame]:.0f} px; at worst {much} is outside"
        )
        return Reading(far[frame], limit, "px", words)

    return Signal(
        kind="out_of_frame",
        hand=hand,
        ratio=np.where(clip.seen[:, hand], far / limit, 0.0),
        error_ratio=np.inf,
        where_m=clip.joints_m[rows, hand, worst],
        read=read,
        least_frames=max(1, round(EDGE_S * clip.fps)),
        merge_frames=round(clip.fps),
    )


def mouth_px(camera: Camera, portrait: Portrait | None) -> tuple[np.ndarray, np.ndarray]:
    """Middle (2,) and half size (2,) of the mouth in the picture: the portrait's own, else where
    the reference body has it."""
    if portrait is not None and np.isfinite(portrait.face_landmarks).all():
        lips = portrait.face_landmarks[list(_LIPS), :2]
        return lips.mean(axis=0), np.ptp(lips, axis=0) / 2
    near = camera.pixels_per_metre * camera.distance_m / (camera.distance_m - torso.MOUTH_M[2])
    return camera.project(torso.MOUTH_M), near * _MOUTH_HALF_M


def _mouth(clip: Clip, hand: int, pixels: np.ndarray, camera: Camera) -> Signal:
    """The share of the mouth that a hand before the face hides."""
    middle, half = mouth_px(camera, clip.scene.portrait)
    grid = np.stack(np.meshgrid(*[np.linspace(-0.9, 0.9, 5)] * 2), axis=-1).reshape(-1, 2)
    targets = middle + grid[np.linalg.norm(grid, axis=-1) < 1.1] * half  # (n, 2)
    hidden = np.zeros(clip.num_frames)
    low, high = middle - half, middle + half
    scale = camera.pixels_per_metre * camera.distance_m
    margin = 0.03 * scale / (camera.distance_m - clip.joints_m[:, hand, 0, 2])
    near = np.all(
        (pixels.min(axis=1) < high + margin[:, None])
        & (pixels.max(axis=1) > low - margin[:, None]),
        axis=-1,
    )
    frames = np.flatnonzero(near & clip.seen[:, hand])
    if len(frames):
        capsules = clip.anatomy.capsules(clip.joints_m[frames, hand], hand)
        start, stop = (camera.project(ends) for ends in capsules)  # (t, 24, 2)
        depth = clip.joints_m[frames, hand][:, BONES[:, 1], 2]
        radius = clip.anatomy.radius_m[hand] * scale / (camera.distance_m - depth)  # (t, 24)
        along = stop - start
        length = np.maximum((along**2).sum(-1), 1e-9)
        reach = targets[:, None, None] - start  # (n, t, 20, 2)
        share = np.clip((reach * along).sum(-1) / length, 0.0, 1.0)
        distance = np.linalg.norm(reach - share[..., None] * along, axis=-1)
        covered = (distance < radius) & (depth > torso.FACE_M[2] - 0.06)
        hidden[frames] = covered.any(axis=-1).mean(axis=0)

    def read(frame: int) -> Reading:
        words = (
            f"the {HAND_WORDS[hand]} hides {100 * hidden[frame]:.0f} % of the mouth: lip movements "
            f"cannot be seen there"
        )
        return Reading(100 * hidden[frame], 100 * 0.3, "%", words)

    return Signal(
        kind="mouth_hidden",
        hand=hand,
        ratio=hidden / 0.3,
        error_ratio=np.inf,
        where_m=clip.joints_m[:, hand, 5],
        read=read,
        least_frames=max(1, round(MOUTH_S * clip.fps)),
    )
