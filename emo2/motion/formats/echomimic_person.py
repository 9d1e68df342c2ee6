"""The still part of an EchoMimicV2 pose: the square that its 768 x 768 picture shows, and the
person's body and face in it.

EchoMimicV2 sees a square. Its own samples have the shoulders 0.41 of it apart, 0.45 from its top,
the neck in the middle. A portrait is cut to that square, moved as little as keeps it inside the
picture; a picture too narrow for it is let out at its sides. Nothing is squashed. A motion that
came from a pose folder goes back into the square it came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from emo2.motion.anatomy import SHOULDER_M
from emo2.types import REFERENCE_SHOULDER_BREADTH_M, Camera, Frame, Portrait

SIDE_PX = 768
BREADTH_SHARE = 0.41
ORIGIN_SHARE = (0.5, 0.45)
BODY_POINTS, FACE_POINTS = 18, 68
NOSE, NECK = 0, 1
SHOULDERS, ELBOWS, WRISTS = (5, 2), (6, 3), (7, 4)
"""Left and right, in OpenPose's body order."""
EYES, EARS = (15, 14), (17, 16)
_HEAD_M = {
    NOSE: (0.0, 0.235),
    EYES[0]: (0.039, 0.270),
    EYES[1]: (-0.039, 0.270),
    EARS[0]: (0.089, 0.235),
    EARS[1]: (-0.089, 0.235),
}
"""A head above the middle of the shoulders, where there is no portrait: x, y metres."""
_JAW = (127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152)
_JAW_LEFT = (377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356)
"""The face mesh's outline from the right temple over the chin to the left temple."""
_FEATURES = (
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),  # brows
    *(168, 197, 5, 4, 98, 97, 2, 326, 327),  # bridge and wings of the nose
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # lips, outside
    *(78, 81, 13, 311, 308, 402, 14, 178),  # lips, inside
)
"""The face mesh's points that the 68 points from the brows on stand for."""


@dataclass(frozen=True)
class Person:
    """What does not move in the poses of one portrait; points are shares of the square."""

    camera: Camera
    """Body metres to pixels of the picture that the square was cut from."""
    corner_px: tuple[int, int]
    """x, y of the square's corner in that picture."""
    side_px: int
    body: np.ndarray
    """(18, 2); zeros where `body_score` is 0."""
    body_score: np.ndarray
    """(18,)."""
    face: np.ndarray
    """(68, 2)."""
    face_score: np.ndarray
    """(68,)."""
    reference: Frame | None
    """(768, 768, 3) uint8: the portrait in the square, EchoMimicV2's reference picture."""

    def shares(self, points_m: np.ndarray) -> np.ndarray:
        """Body points (..., 3) [m] as shares (..., 2) of the square."""
        return (self.camera.project(points_m) - self.corner_px) / self.side_px


def person_of(portrait: Portrait) -> Person:
    """The person in a portrait, their square and their reference picture."""
    corner, side = _square(portrait)

    def share(points: np.ndarray) -> np.ndarray:
        return (np.asarray(points, dtype=np.float64)[..., :2] - corner) / side

    face = share(_face_68(portrait.face_landmarks))
    body, score = _body(portrait.camera, share)
    seen = {NECK: portrait.neck, **dict(zip(SHOULDERS, portrait.shoulders, strict=True))}
    for point, place in seen.items():
        if np.isfinite(place).all():
            body[point] = share(place)
    if np.isfinite(face).all():
        eyes = [face[42:48].mean(axis=0), face[36:42].mean(axis=0)]
        body[[NOSE, *EYES, *EARS]] = [face[30], *eyes, face[16], face[0]]
    return Person(
        camera=portrait.camera,
        corner_px=corner,
        side_px=side,
        body=body,
        body_score=score,
        face=np.nan_to_num(face),
        face_score=np.isfinite(face).all(-1).astype(np.float64),
        reference=_reference(portrait.image, corner, side),
    )


def standing_person(camera: Camera | None = None) -> Person:
    """Somebody without a picture, framed as `camera` has it or as EchoMimicV2's samples are."""
    if camera is None:
        scale = BREADTH_SHARE * SIDE_PX / REFERENCE_SHOULDER_BREADTH_M
        origin = (ORIGIN_SHARE[0] * SIDE_PX, ORIGIN_SHARE[1] * SIDE_PX)
        camera = Camera(origin, scale, SIDE_PX, SIDE_PX)
    # The whole picture, or the middle of its longer side.
    side = min(camera.width_px, camera.height_px)
    corner = ((camera.width_px - side) // 2, (camera.height_px - side) // 2)
    body, score = _body(camera, lambda points: (np.asarray(points) - corner) / side)
    face, face_score = np.zeros((FACE_POINTS, 2)), np.zeros(FACE_POINTS)
    return Person(camera, corner, side, body, score, face, face_score, None)


def remembered_camera(facts: object) -> Camera | None:
    """The camera that an import left in a motion's meta; None where there is none to use."""
    if not isinstance(facts, Mapping):
        return None
    try:
        origin = (float(facts["origin_px"][0]), float(facts["origin_px"][1]))
        size = (int(facts["width_px"]), int(facts["height_px"]))
        scale, distance = float(facts["pixels_per_metre"]), float(facts["distance_m"])
    except (LookupError, TypeError, ValueError):
        return None
    usable = np.isfinite([*origin, scale, distance]).all() and min(*size, scale, distance) > 0
    return Camera(origin, scale, *size, distance) if usable else None


def _square(portrait: Portrait) -> tuple[tuple[int, int], int]:
    """Corner and side, in pixels of the portrait."""
    camera = portrait.camera
    height, width = portrait.image.shape[:2]
    breadth = camera.pixels_per_metre * REFERENCE_SHOULDER_BREADTH_M
    side = max(2, min(round(breadth / BREADTH_SHARE), max(height, width)))
    middle_x = portrait.neck[0] if np.isfinite(portrait.neck[0]) else camera.origin_px[0]
    x = round(float(middle_x) - ORIGIN_SHARE[0] * side)
    y = round(camera.origin_px[1] - ORIGIN_SHARE[1] * side)
    return (_inside(x, width - side), _inside(y, height - side)), side


def _inside(start: int, room: int) -> int:
    """Where a square starts along one side, with `room` to move, or to fill where that is
    negative."""
    return min(max(start, min(room, 0)), max(room, 0))


def _reference(image: Frame, corner: tuple[int, int], side: int) -> Frame:
    """(768, 768, 3): the square of the picture; beyond its edges a blur of itself."""
    (x, y), (height, width) = corner, image.shape[:2]
    square = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    square = cv2.GaussianBlur(square, (0, 0), side / 16, borderType=cv2.BORDER_REFLECT)
    seen = image[max(y, 0) : min(y + side, height), max(x, 0) : min(x + side, width)]
    top, left = max(-y, 0), max(-x, 0)
    square[top : top + seen.shape[0], left : left + seen.shape[1]] = seen
    method = cv2.INTER_AREA if side > SIDE_PX else cv2.INTER_CUBIC
    return cv2.resize(square, (SIDE_PX, SIDE_PX), interpolation=method)


def _body(camera: Camera, share) -> tuple[np.ndarray, np.ndarray]:
    """(18, 2), (18,): shoulders, neck and head of the reference body; arms and legs are left
    out."""
    body, score = np.zeros((BODY_POINTS, 2)), np.zeros(BODY_POINTS)
    left = SHOULDER_M
    points = {NECK: (0.0, 0.0), SHOULDERS[0]: left[:2], SHOULDERS[1]: -left[:2], **_HEAD_M}
    for point, (x, y) in points.items():
        body[point] = share(camera.project(np.array([x, y, 0.0])))
        score[point] = 1.0
    return body, score


def _face_68(mesh: np.ndarray) -> np.ndarray:
    """(68, 2) of the face mesh's (478, 3): the outline at 17 equal steps, then the features."""
    outline = mesh[[*_JAW, *_JAW_LEFT], :2].astype(np.float64)
    along = np.concatenate([[0], np.linalg.norm(np.diff(outline, axis=0), axis=-1).cumsum()])
    steps = np.linspace(0.0, along[-1], 17)
    jaw = np.stack([np.interp(steps, along, outline[:, k]) for k in (0, 1)], axis=-1)
    return np.concatenate([jaw, mesh[list(_FEATURES), :2]])
