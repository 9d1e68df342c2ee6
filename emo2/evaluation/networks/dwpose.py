"""DWPose: 133 points of a person with how sure it is of each, for HKC and HKV (Yang et al. 2023).

The user's `dw-ll_ucoco_384.onnx` through onnxruntime. The person's box is the whole frame, which is
also what DWPose takes where its own detector finds nobody: a portrait film shows one person and
little else.
"""

from __future__ import annotations

import cv2
import numpy as np

from emo2.evaluation.networks.loading import Session, open_onnx
from emo2.evaluation.networks.sources import find
from emo2.types import Frame

WIDTH_PX, HEIGHT_PX = 288, 384
BINS_PER_PX = 2
PADDING = 1.25
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)
HANDS = (slice(91, 112), slice(112, 133))
"""Left and right hand among the 133 points, 21 each."""


class DWPose:
    """Finds a person's points in a frame."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name

    @classmethod
    def from_pretrained(cls) -> DWPose:
        """Raises `MissingCheckpoint` without its weights, `InputError` without onnxruntime."""
        return cls(open_onnx(find("dwpose")))

    def hands(self, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """Left and right hand: points (2, 21, 2) px and scores (2, 21)."""
        points, scores = self(frame)
        return np.stack([points[h] for h in HANDS]), np.stack([scores[h] for h in HANDS])

    def __call__(self, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """(133, 2) px and (133,) scores, 0 and up."""
        into = fit(frame.shape[1], frame.shape[0])
        crop = cv2.warpAffine(frame, into, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_LINEAR)
        pixels = ((crop - MEAN) / DEVIATION).astype(np.float32).transpose(2, 0, 1)[None]
        along_x, along_y = self._session.run(None, {self._input: pixels})
        points, scores = decode(along_x[0], along_y[0])
        scale, shift = into[0, 0], into[:, 2]
        return (points - shift) / scale, scores


def fit(width_px: int, height_px: int) -> np.ndarray:
    """(2, 3) scale and shift that put a whole frame, with a rim, in the middle of the input."""
    scale = min(WIDTH_PX / width_px, HEIGHT_PX / height_px) / PADDING
    middle = np.array([WIDTH_PX, HEIGHT_PX]) / 2 - scale * np.array([width_px, height_px]) / 2
    return np.array([[scale, 0, middle[0]], [0, scale, middle[1]]])


def decode(along_x: np.ndarray, along_y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 2) in input px and scores (n,) of SimCC's two rows of bins (n, bins) each: the
    highest bin is the place, the lower of the two heights the score."""
    places = np.stack([along_x.argmax(axis=1), along_y.argmax(axis=1)], axis=1)
    heights = np.minimum(along_x.max(axis=1), along_y.max(axis=1))
    return places / BINS_PER_PX, np.maximum(heights, 0.0)
