"""ArcFace: a face to 512 numbers, for CSIM as the field computes it (Deng et al. 2019).

The user's `w600k_r50.onnx` through onnxruntime. The face is set upright by five points, which are
the mesh's here and RetinaFace's in insightface.
"""

from __future__ import annotations

import cv2
import numpy as np

from emo2.evaluation.networks.loading import Session, open_onnx
from emo2.evaluation.networks.sources import find
from emo2.types import Frame

SIDE_PX = 112
UPRIGHT = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ]
)
"""Eyes, nose and corners of the mouth in ArcFace's 112 px; the picture's left first."""
EYES = ((33, 133), (362, 263))
NOSE, CORNERS = 1, (61, 291)


class ArcFace:
    """Embeds faces that a mesh was found for."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name

    @classmethod
    def from_pretrained(cls) -> ArcFace:
        """Raises `MissingCheckpoint` without its weights, `InputError` without onnxruntime."""
        return cls(open_onnx(find("arcface")))

    def embed(self, frame: Frame, face: np.ndarray) -> np.ndarray:
        """(512,) float64 of the face whose mesh `face` (468, 2) px lies in `frame`."""
        crop = upright(frame, face)
        pixels = (crop.astype(np.float32) - 127.5) / 127.5
        (found,) = self._session.run(None, {self._input: pixels.transpose(2, 0, 1)[None]})
        return np.asarray(found[0], np.float64)


def upright(frame: Frame, face: np.ndarray) -> Frame:
    """(112, 112, 3): eyes, nose and mouth as near as a turn, a scale and a shift bring them."""
    points = np.array(
        [*(face[list(eye)].mean(axis=0) for eye in EYES), face[NOSE], *face[list(CORNERS)]]
    )
    return cv2.warpAffine(frame, similarity(points, UPRIGHT), (SIDE_PX, SIDE_PX))


def similarity(points: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """(2, 3) turn, scale and shift that bring points (n, 2) nearest to others."""
    ones, zeros = np.ones(len(points)), np.zeros(len(points))
    x, y = points.T
    # Rows for x' = a x - b y + c and y' = b x + a y + d.
    rows = np.concatenate([np.stack([x, -y, ones, zeros], 1), np.stack([y, x, zeros, ones], 1)])
    a, b, c, d = np.linalg.lstsq(rows, np.concatenate([goal[:, 0], goal[:, 1]]), rcond=None)[0]
    return np.array([[a, -b, c], [b, a, d]])
