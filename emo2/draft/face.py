"""The person of one frame: the portrait's pixels moved by a `Performance` over a still background.

lids and gaze painted into the portrait -> mesh moved (lips, jaw, brows, head in 3-D, torso) ->
portrait sampled through the mesh -> laid over the background -> inside of the mouth painted.
The performance at rest gives the portrait back.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from emo2.draft.body import TorsoMotion, amounts
from emo2.draft.eyes import eyes_of
from emo2.draft.head_mesh import (
    EAR_LEFT,
    EAR_RIGHT,
    INNER_LOWER,
    INNER_UPPER,
    LIP_ROWS_LOWER,
    LIP_ROWS_UPPER,
    build_mesh,
)
from emo2.draft.lips import LipMotion
from emo2.draft.mouth import MouthInterior
from emo2.draft.performance import Performance
from emo2.draft.plate import Plate
from emo2.draft.seam import snap_lips
from emo2.draft.warp import composite, rasterise_map, sample, split_layers
from emo2.types import Portrait

_LIPS = np.concatenate([LIP_ROWS_UPPER, LIP_ROWS_LOWER])
_BROW_RISE = 0.022
"""Brows at 1 rise by this, in face heights."""


@dataclass(frozen=True)
class MovedPerson:
    """One frame without arms."""

    image: np.ndarray
    """(H, W, 3) uint8 RGB: the person over the background."""
    mouth: np.ndarray
    """(H, W) float32 in [0, 1]: the mouth and around it, where speech changes the picture."""
    body: np.ndarray
    """(H, W) float32 in [0, 1]: how far the person covers a pixel."""


class PortraitWarp:
    """Moves one portrait. Everything that does not change with time is made once."""

    def __init__(self, portrait: Portrait, plate: Plate) -> None:
        landmarks = snap_lips(portrait.image, portrait.face_landmarks.astype(np.float64))
        self._person, self._background = split_layers(portrait.image, plate)
        self._mesh = mesh = build_mesh(portrait, landmarks)
        self._source = mesh.points[:, :2].astype(np.float32)
        self._lips = LipMotion(mesh)
        self._eyes = eyes_of(plate.body, landmarks)
        self._eye_alpha = [plate.alpha[eye.window][..., None] for eye in self._eyes]
        self._torso = TorsoMotion(portrait)
        # The head rides on the neck as one piece, so its torso motion is the neck's.
        head = mesh.head[:, None]
        rider = mesh.points[:, :2] * (1 - head) + portrait.neck * head
        self._torso_fields = self._torso.fields(rider)
        self._neck_fields = self._torso.fields(portrait.neck[None].astype(np.float64))[:, 0]
        self._pivot = self._head_pivot()
        self._lip_depth = float(mesh.local[[INNER_UPPER, INNER_LOWER], 2].mean())
        rest = self._to_head(np.eye(3), np.zeros(2))
        self._mouth = MouthInterior(
            plate.body, landmarks, portrait.skin_rgb, rest, self._lips.is_open
        )
        self._window = self._moving_window(portrait, plate.alpha)
        y, x = self._window
        self._map = np.empty((y.stop - y.start, x.stop - x.start, 2), np.float32)

    def shoulder_shift(self, performance: Performance) -> np.ndarray:
        """(T, 2, 2) pixels that the left and right shoulder move away from the portrait's."""
        return self._torso.shoulder_shift(performance)

    def frame(self, performance: Performance, t: int) -> MovedPerson:
        """Frame `t` of `performance`."""
        moved, drop, to_head = self._move(performance, t)
        self._paint_eyes(performance, t)
        y, x = self._window
        vertices = moved.astype(np.float32)
        rasterise_map(vertices, self._source, self._mesh.triangles, self._map, x.start, y.start)
        person = sample(self._person, self._map)
        image = self._background.copy()
        composite(person, self._background[self._window], image[self._window])
        body = np.zeros(image.shape[:2], np.float32)
        body[self._window] = person[..., 3] * np.float32(1 / 255)
        self._mouth.draw(image, moved[INNER_UPPER], moved[INNER_LOWER], drop, to_head)
        return MovedPerson(image, self._mouth_area(moved, image.shape), body)

    def _head_pivot(self) -> np.ndarray:
        """(3,) pixels: where the skull sits on the neck, behind the mouth."""
        frame, local = self._mesh.frame, self._mesh.local
        ears = 0.5 * (local[EAR_LEFT] + local[EAR_RIGHT])
        pivot = np.array([ears[0], -0.12, ears[2] + 0.08])
        return frame.origin + frame.to_picture(pivot)

    def _to_head(self, rotation: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """(2, 3) from pixels of a moved head to head coordinates in the plane of the lips."""
        frame = self._mesh.frame
        origin = frame.origin + frame.to_picture(np.array([0, 0, self._lip_depth]))
        moved = self._pivot + rotation @ (origin - self._pivot)
        axes = (rotation @ frame.axes.T)[:2, :2] * frame.height_px
        to_picture = np.column_stack([axes, moved[:2] + shift])
        return cv2.invertAffineTransform(to_picture)

    def _move(self, performance: Performance, t: int) -> tuple[np.ndarray, float, np.ndarray]:
        """(V, 2) moved vertices, the jaw's drop, and the affine to head coordinates."""
        mesh, p = self._mesh, performance
        lips = self._lips.shape(p.jaw[t], p.spread[t], p.press[t], p.speaking[t])
        local = mesh.jaw * lips.drop
        outer = np.concatenate([LIP_ROWS_UPPER[0], LIP_ROWS_LOWER[3]])
        edges = np.concatenate([lips.rows[0], lips.rows[7]])
        local += self._lips.kernel @ (edges - local[outer])
        local[_LIPS] = lips.rows
        local[:, 1] -= _BROW_RISE * p.brow[t] * mesh.brow
        points = mesh.points + mesh.frame.to_picture(local)
        angles = [p.pitch_rad[t], -p.yaw_rad[t], p.roll_rad[t]]
        rotation = Rotation.from_euler("xyz", angles).as_matrix()
        from_pivot = points - self._pivot
        turned = points + mesh.head[:, None] * (from_pivot @ rotation.T - from_pivot)
        weights = amounts(performance)[t]
        moved = turned[:, :2] + np.einsum("k,knc->nc", weights, self._torso_fields)
        return moved, lips.drop, self._to_head(rotation, weights @ self._neck_fields)

    def _paint_eyes(self, performance: Performance, t: int) -> None:
        p = performance
        for eye, alpha in zip(self._eyes, self._eye_alpha, strict=True):
            patch = eye.draw(p.blink[t], p.gaze_x[t], p.gaze_y[t])
            self._person[eye.window][..., :3] = patch * alpha

    def _mouth_area(self, moved: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """A soft ellipse around the lips."""
        corners, middle = moved[[61, 291]], moved[[0, 17]]
        centre = 0.5 * (corners.mean(0) + middle.mean(0))
        across = corners[1] - corners[0]
        half = 0.62 * np.linalg.norm(across), 0.75 * np.linalg.norm(middle[1] - middle[0])
        angle = np.rad2deg(np.arctan2(across[1], across[0]))
        area = np.zeros(shape[:2], np.float32)
        reach = int(2 * half[0]) + 4
        low = np.maximum(centre - reach, 0).astype(int)
        part = area[low[1] : low[1] + 2 * reach, low[0] : low[0] + 2 * reach]
        if part.size:
            box = (tuple(float(v) for v in centre - low), (2 * half[0], 2 * half[1]), angle)
            cv2.ellipse(part, box, 1.0, -1)
            part[:] = cv2.GaussianBlur(part, (0, 0), max(1.0, 0.12 * half[0]))
        return area

    def _moving_window(self, portrait: Portrait, alpha: np.ndarray) -> tuple[slice, slice]:
        """The part of the picture that the person can reach."""
        margin = round(0.03 * portrait.camera.pixels_per_metre + 0.12 * self._mesh.frame.height_px)
        rows, columns = (np.flatnonzero((alpha > 0).any(axis)) for axis in (1, 0))
        spans = [
            slice(max(0, at[0] - margin), min(size, at[-1] + margin + 1))
            for at, size in zip((rows, columns), alpha.shape, strict=True)
        ]
        return spans[0], spans[1]
