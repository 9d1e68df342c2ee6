"""Where a person's face, body and hands are: mediapipe 0.10.21's legacy solutions behind four plain
methods.

Everything goes in as (H, W, 3) uint8 RGB and comes out in pixels of that picture. The models travel
inside mediapipe's wheel. Its graphs are not re-entrant, so one set is made on first use and one
lock guards it; pictures are analysed alone (`static_image_mode`), so no picture leaves a trace in
the next one's result.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

MAX_FACES = 5
POSE_VISIBLE = 0.5
"""mediapipe's visibility below which a body point counts as unseen."""


@dataclass(frozen=True)
class FoundHand:
    """One hand: (21, 2) float32 pixels, and whether mediapipe takes it for a left hand."""

    points: np.ndarray
    is_left: bool
    score: float


@dataclass(frozen=True)
class FoundPose:
    """One body."""

    points: np.ndarray
    """(33, 2) float32 pixels; points outside the picture are guesses."""
    visibility: np.ndarray
    """(33,) float32 in [0, 1]."""
    mask: np.ndarray
    """(H, W) float32 in [0, 1]: this body's pixels, coarse."""


@contextmanager
def _quiet_native_logs() -> Iterator[None]:
    """mediapipe's C++ side writes start-up chatter straight to file descriptor 2, past Python's
    logging."""
    saved, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(sink)


class Detectors:
    """mediapipe's face detector, face mesh, pose, hands and selfie segmentation."""

    def __init__(self) -> None:
        with _quiet_native_logs():
            from mediapipe.python.solutions import (
                face_detection,
                face_mesh,
                hands,
                pose,
                selfie_segmentation,
            )

            self._face_boxes = face_detection.FaceDetection(
                model_selection=1, min_detection_confidence=0.3
            )
            self._face_mesh = face_mesh.FaceMesh(
                static_image_mode=True,
                max_num_faces=MAX_FACES,
                refine_landmarks=True,
                min_detection_confidence=0.4,
            )
            self._pose = pose.Pose(
                static_image_mode=True, model_complexity=1, enable_segmentation=True
            )
            self._hands = hands.Hands(
                static_image_mode=True, max_num_hands=4, min_detection_confidence=0.4
            )
            self._segmentation = selfie_segmentation.SelfieSegmentation(model_selection=0)
            blank = np.zeros((64, 64, 3), np.uint8)  # starts the graphs, chatter and all
            for graph in (self._face_boxes, self._face_mesh, self._pose, self._hands):
                graph.process(blank)
            self._segmentation.process(blank)
        self._lock = threading.Lock()
        self._has_found_a_face = False

    def _run(self, graph: object, image: np.ndarray) -> tuple[object, int]:
        """`graph` on `image` padded to a square, for which alone its crops are exact; and the
        square's side."""
        height, width = image.shape[:2]
        side = max(height, width)
        square = np.zeros((side, side, 3), np.uint8)
        square[:height, :width] = image
        with self._lock:
            if graph is not self._face_mesh or self._has_found_a_face:
                return graph.process(square), side
            with _quiet_native_logs():  # the face mesh prints a warning at its first find
                found = graph.process(square)
            self._has_found_a_face = found.multi_face_landmarks is not None
            return found, side

    def face_boxes(self, image: np.ndarray) -> list[np.ndarray]:
        """(4,) boxes x0, y0, x1, y1 of all faces, also small ones, largest first."""
        found, side = self._run(self._face_boxes, image)
        boxes = []
        for detection in found.detections or []:
            box = detection.location_data.relative_bounding_box
            x0, y0 = box.xmin, box.ymin
            boxes.append(np.array([x0, y0, x0 + box.width, y0 + box.height]) * side)
        return sorted(boxes, key=lambda b: -(b[2] - b[0]))

    def faces(self, image: np.ndarray) -> list[np.ndarray]:
        """(478, 3) float32 face meshes with irises, largest first; z in pixels, negative towards
        the camera."""
        found, side = self._run(self._face_mesh, image)
        meshes = [
            np.array([(p.x, p.y, p.z) for p in face.landmark], np.float32) * side
            for face in found.multi_face_landmarks or []
        ]
        return sorted(meshes, key=lambda mesh: -np.ptp(mesh[:, 1]))

    def pose(self, image: np.ndarray) -> FoundPose | None:
        """The most prominent body, or None."""
        found, side = self._run(self._pose, image)
        if found.pose_landmarks is None:
            return None
        height, width = image.shape[:2]
        points = np.array([(p.x, p.y, p.visibility) for p in found.pose_landmarks.landmark])
        return FoundPose(
            points=(points[:, :2] * side).astype(np.float32),
            visibility=points[:, 2].astype(np.float32),
            mask=np.clip(found.segmentation_mask[:height, :width], 0, 1).astype(np.float32),
        )

    def hands(self, image: np.ndarray) -> list[FoundHand]:
        """All hands, best first."""
        found, side = self._run(self._hands, image)
        hands = []
        for points, sidedness in zip(
            found.multi_hand_landmarks or [], found.multi_handedness or [], strict=True
        ):
            xy = np.array([(p.x, p.y) for p in points.landmark], np.float32) * side
            label = sidedness.classification[0]
            # mediapipe names hands as a mirror would: an unmirrored picture swaps them.
            hands.append(FoundHand(xy, label.label == "Right", label.score))
        return sorted(hands, key=lambda hand: -hand.score)

    def person_mask(self, image: np.ndarray) -> np.ndarray:
        """(H, W) float32 in [0, 1]: people against background, at the network's coarse
        resolution."""
        height, width = image.shape[:2]
        found, _ = self._run(self._segmentation, image)
        return np.clip(found.segmentation_mask[:height, :width], 0, 1).astype(np.float32)


@functools.cache
def detectors() -> Detectors:
    """The one set of this process, made on first use (about 2 s)."""
    return Detectors()


def crop_and_zoom(
    image: np.ndarray, box: np.ndarray, side_px: int
) -> tuple[np.ndarray, float, np.ndarray]:
    """A box x0, y0, x1, y1 cut at the picture's edges and scaled to a long side of `side_px`.

    Returns the crop, its scale, and its corner (2,), so that `point_in_image = point / scale +
    corner`.
    """
    height, width = image.shape[:2]
    x0, y0 = np.floor(np.clip(box[:2], 0, (width - 2, height - 2))).astype(int)
    x1, y1 = np.ceil(np.clip(box[2:], (x0 + 2, y0 + 2), (width, height))).astype(int)
    crop = image[y0:y1, x0:x1]
    scale = side_px / max(crop.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = (max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale)))
    return cv2.resize(crop, size, interpolation=method), scale, np.array([x0, y0], np.float32)
