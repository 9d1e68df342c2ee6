"""What Stage 2 sees of a motion: MANO maps, keypoint maps, confidence of each hand (paper, Fig. 3).

In: a `HandMotion`, the hand model and the portrait whose camera says where body metres fall in the
picture. Out: `GuidanceMaps` of a stretch of frames. Callers walk through a long motion in
stretches, so memory stays flat.

* MANO map: both hand meshes over black, coloured by their surface normal as the camera sees it (x
  to red, y to green, z to blue, -1..1 to 0..1); nearer hands hide farther ones.
* Keypoint map: hand skeletons with one hue a finger, as pose estimators draw them, on top of
  shoulders and neck.
* Confidence: the share of a visible hand that lies inside the picture; 0 for a hand that is not
  visible. (The paper does not say how it is binned or measured.)
"""

from __future__ import annotations

import colorsys
from itertools import pairwise

import cv2
import numpy as np

from emo2.hands.model import HandModel
from emo2.hands.raster import rasterise, to_pixels, vertex_normals
from emo2.hands.skeleton import CHAINS
from emo2.types import NUM_HANDS, Camera, GuidanceMaps, HandMotion, Portrait

_BONE_COLOURS = np.array([colorsys.hsv_to_rgb(n / 20, 1.0, 1.0) for n in range(20)]) * 255
"""One hue per bone, thumb to pinky, wrist to tip."""
_BODY_COLOURS = ((255, 85, 0), (255, 170, 0))
"""Neck to the right and to the left shoulder."""
_SUBPIXEL_BITS = 4
"""OpenCV draws lines at 1/16 of a pixel, so slow motion does not crawl from pixel to pixel."""


def draw_guidance(
    motion: HandMotion,
    hand_model: HandModel,
    portrait: Portrait,
    start: int = 0,
    stop: int | None = None,
) -> GuidanceMaps:
    """The maps of frames start..stop of the motion, at the portrait's size."""
    stop = motion.num_frames if stop is None else stop
    camera = portrait.camera
    vertices = hand_model.vertices(motion, start, stop)
    joints = hand_model.joints(motion, start, stop)
    visible = motion.visible[start:stop]
    count, size = len(vertices), (camera.height_px, camera.width_px)
    mano = np.zeros((count, 3, *size), dtype=np.float32)
    keypoints = np.zeros((count, 3, *size), dtype=np.float32)
    confidence = np.zeros((count, NUM_HANDS), dtype=np.float32)
    body = _body_lines(portrait)
    for t in range(count):
        smooth = hand_model.subdivide(vertices[t])
        hands = [h for h in range(NUM_HANDS) if visible[t, h]]
        if hands:
            mano[t] = _normal_map(smooth, hand_model.smooth_faces, hands, camera)
        picture = body.copy()
        for h in hands:
            confidence[t, h] = _inside(camera.project(vertices[t, h]), camera)
            _draw_hand(picture, camera.project(joints[t, h]))
        keypoints[t] = picture.transpose(2, 0, 1) / np.float32(255)
    return GuidanceMaps(mano=mano, keypoints=keypoints, confidence=confidence)


def _normal_map(
    vertices: np.ndarray, faces: np.ndarray, hands: list[int], camera: Camera
) -> np.ndarray:
    """(3, H, W) in [0, 1]: the normals of these hands, in one depth buffer."""
    count = vertices.shape[1]
    points = np.concatenate([vertices[h] for h in hands])
    triangles = np.concatenate([faces[h] + n * count for n, h in enumerate(hands)])
    normals = vertex_normals(points, triangles)
    raster = rasterise(
        to_pixels(points, camera), triangles, normals, camera.height_px, camera.width_px
    )
    length = np.linalg.norm(raster.attributes, axis=-1, keepdims=True)
    colour = 0.5 + 0.5 * raster.attributes / np.maximum(length, 1e-6)
    picture = np.zeros((camera.height_px, camera.width_px, 3), dtype=np.float32)
    raster.over(picture, colour.astype(np.float32))
    return np.clip(picture.transpose(2, 0, 1), 0.0, 1.0)


def _inside(points_px: np.ndarray, camera: Camera) -> float:
    """The share of points inside the picture."""
    size = (camera.width_px, camera.height_px)
    return float(np.all((points_px >= 0) & (points_px < size), axis=-1).mean())


def _body_lines(portrait: Portrait) -> np.ndarray:
    """(H, W, 3) uint8: neck and shoulders, as far as they were seen."""
    picture = np.zeros(portrait.image.shape, dtype=np.uint8)
    for shoulder, colour in zip(portrait.shoulders[::-1], _BODY_COLOURS, strict=True):
        ends = np.stack([portrait.neck, shoulder])
        if np.isfinite(ends).all():
            _line(picture, ends[0], ends[1], colour, _thickness(picture, 1 / 110))
            for point in ends:
                _dot(picture, point, colour, _thickness(picture, 1 / 90))
    return picture


def _draw_hand(picture: np.ndarray, joints_px: np.ndarray) -> None:
    """Bones, then joints, of one hand (21, 2)."""
    thickness = _thickness(picture, 1 / 200)
    bones = [pair for chain in CHAINS for pair in pairwise(chain)]
    for (a, b), colour in zip(bones, _BONE_COLOURS, strict=True):
        _line(picture, joints_px[a], joints_px[b], colour, thickness)
    for point in joints_px:
        _dot(picture, point, (0, 0, 255), _thickness(picture, 1 / 300))


def _thickness(picture: np.ndarray, share: float) -> int:
    return max(1, round(share * picture.shape[0]))


def _fixed_point(point: np.ndarray) -> tuple[int, int]:
    # Far outside, OpenCV's fixed-point numbers would overflow; the line's direction no longer
    # matters there.
    x, y = np.clip(np.asarray(point, dtype=np.float64) - 0.5, -8192, 8192)
    return round(x * 2**_SUBPIXEL_BITS), round(y * 2**_SUBPIXEL_BITS)


def _line(picture, start, end, colour, thickness: int) -> None:
    cv2.line(
        picture,
        _fixed_point(start),
        _fixed_point(end),
        [int(c) for c in colour],
        thickness,
        cv2.LINE_AA,
        _SUBPIXEL_BITS,
    )


def _dot(picture, point, colour, radius: int) -> None:
    cv2.circle(
        picture,
        _fixed_point(point),
        radius << _SUBPIXEL_BITS,
        [int(c) for c in colour],
        -1,
        cv2.LINE_AA,
        _SUBPIXEL_BITS,
    )
