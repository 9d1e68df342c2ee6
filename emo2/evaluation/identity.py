"""Is it still the same person? A face embedding on the film's frames.

dlib's recognition network (public domain, on PyPI as `face_recognition_models`) turns an upright
face into 128 numbers; the cosine between two faces is compared with that of different people, the
floor. Needs `pip install dlib-bin face_recognition_models`; only measuring does.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.types import Frame

WEIGHTS = "models/dlib_face_recognition_resnet_model_v1.dat"
EYE_CORNERS_AND_NOSE = (263, 362, 33, 133, 2)
"""mediapipe's points for the five by which dlib sets a face upright: the person's left eye from
outside in, the right eye from outside in, the nose's base."""
CHIP_PX, PADDING = 150, 0.25


def is_installed() -> bool:
    """Whether the network can be used."""
    names = ("face_recognition_models", "dlib")
    return all(importlib.util.find_spec(name) is not None for name in names)


@cache
def _network():
    spec = importlib.util.find_spec("face_recognition_models")
    if not is_installed():
        raise InputError(
            "identity",
            "is measured with a face recognition network",
            "not installed",
            "Run pip install dlib-bin face_recognition_models.",
        )
    import dlib

    return dlib.face_recognition_model_v1(str(Path(spec.origin).parent / WEIGHTS))


def embed(frame: Frame, face: np.ndarray) -> np.ndarray:
    """(128,) float64 of the face whose mesh `face` (468, 2) px lies in `frame`.

    Raises `InputError` where the network is not installed.
    """
    network = _network()
    import dlib

    points = [dlib.point(round(x), round(y)) for x, y in face[list(EYE_CORNERS_AND_NOSE)]]
    low, high = face.min(axis=0).astype(int), face.max(axis=0).astype(int)
    box = dlib.rectangle(int(low[0]), int(low[1]), int(high[0]), int(high[1]))
    shape = dlib.full_object_detection(box, points)
    chip = dlib.get_face_chip(np.ascontiguousarray(frame), shape, CHIP_PX, PADDING)
    return np.array(network.compute_face_descriptor(chip))


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of embeddings (..., 128)."""
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
