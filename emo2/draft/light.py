"""The light of a photograph, read off the face, and how skin and cloth answer to it.

In: a portrait. Out: a light direction in the body frame and a shading of unit normals, normalised
so that a surface that faces the camera keeps the colour it was given.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from emo2.types import Portrait

# Points of the face mesh on plain skin.
FOREHEAD = (10, 67, 109, 297, 338, 151, 108, 337, 69, 299)
CHEEKS = (50, 280, 101, 330, 118, 347, 205, 425, 187, 411, 36, 266, 117, 346, 123, 352, 147, 376)
NOSE_AND_CHIN = (6, 197, 195, 199, 175, 200, 172, 397, 136, 365, 58, 288)
SKIN_POINTS = np.array([*FOREHEAD, *CHEEKS, *NOSE_AND_CHIN])
LUMA = np.array([0.299, 0.587, 0.114])
# Rooms are lit from above and in front; a face says how far to the side and how hard.
DEFAULT_UP = 0.32
AMBIENT = 0.62
WRAP = 0.5
# The mean normal of the seen half of a round limb: colours measured in pictures are such means.
SEEN_OF_A_LIMB = np.array([0.0, 0.0, 0.79], np.float32)
# Light that has travelled through skin comes out red: shadows lose blue first.
SKIN_SHADOW_GAMMA = np.array([0.82, 1.06, 1.18], np.float32)
CLOTH_SHADOW_GAMMA = np.array([1.0, 1.0, 0.97], np.float32)


@dataclass(frozen=True)
class Light:
    """One distant light and its share of the whole."""

    direction: np.ndarray
    """(3,) float32 unit, body frame, from the surface to the light."""
    ambient: float = AMBIENT

    def shade(self, normals: np.ndarray) -> np.ndarray:
        """(..., 3) unit normals to (...) float32 brightness, about 1 on average over a limb as seen
        by the camera."""
        return self._raw(normals) / self._raw(SEEN_OF_A_LIMB)

    def highlight(self, normals: np.ndarray, sharpness: float) -> np.ndarray:
        """(..., 3) unit normals to (...) float32 in [0, 1]: the light's reflection as the camera
        sees it."""
        half = self.direction + np.array([0.0, 0.0, 1.0], np.float32)
        half = half / np.linalg.norm(half)
        return np.clip(normals @ half.astype(np.float32), 0, 1) ** sharpness

    def _raw(self, normals: np.ndarray) -> np.ndarray:
        diffuse = np.clip((normals @ self.direction + WRAP) / (1 + WRAP), 0, 1)
        sky = 0.04 * normals[..., 1]  # a room's ceiling is brighter than its floor
        return self.ambient + (1 - self.ambient) * diffuse + sky


def light_from_face(portrait: Portrait) -> Light:
    """The direction of the light, from how bright the face is on each side (a least-squares Lambert
    fit)."""
    points = portrait.face_landmarks[SKIN_POINTS].astype(np.float64)
    centre = portrait.face_landmarks[:468].mean(axis=0)
    radii = np.ptp(portrait.face_landmarks[:468], axis=0) / 2
    # A face is nearly an ellipsoid; the mesh's depth is too coarse for finer normals.
    normals = (points - centre) / np.maximum(radii, 1) ** 2
    normals = normals / np.linalg.norm(normals, axis=1, keepdims=True) * [1, -1, -1]
    grey = cv2.GaussianBlur(portrait.image, (0, 0), max(1.0, radii[0] / 20)) @ LUMA / 255
    height, width = grey.shape
    column = np.clip(np.round(points[:, 0]).astype(int), 0, width - 1)
    row = np.clip(np.round(points[:, 1]).astype(int), 0, height - 1)
    design = np.concatenate([normals[:, :2], np.ones((len(points), 1))], axis=1)
    ridge = np.diag([1.0, 1.0, 1e-3])  # hair, make-up and beards must not turn the light
    right, up, mean = np.linalg.solve(design.T @ design + ridge, design.T @ grey[row, column])
    tilt = np.array([right, up]) / max(mean, 0.05)
    direction = np.array(
        [np.clip(2.0 * tilt[0], -0.7, 0.7), np.clip(DEFAULT_UP + 0.5 * tilt[1], 0.1, 0.6), 0.8]
    )
    return Light((direction / np.linalg.norm(direction)).astype(np.float32))
