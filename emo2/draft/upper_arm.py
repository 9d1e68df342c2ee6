"""The picture's own upper arms, turned a little about the shoulder so that they follow the elbows.

In: the moved person of one frame and where its elbows should be. Out: the same person with its
upper arms bent there. Only a box around each arm is touched; the scene behind stays still.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from emo2.draft.face import MovedPerson
from emo2.draft.plate import Plate
from emo2.types import NUM_HANDS

MARGIN_PX = 4
LEAST_PX = 0.25
"""Elbows that move less than this leave their arm's pixels untouched."""


class UpperArms:
    """Both upper arms of one plate."""

    def __init__(self, plate: Plate) -> None:
        self._background = plate.background
        self._arms = plate.arms
        self._boxes = [_box(arm.upper_arm) for arm in plate.arms]
        self._grids = [box and np.mgrid[box].astype(np.float32) for box in self._boxes]

    def follow(
        self,
        moved: MovedPerson,
        shoulders_px: np.ndarray,
        elbows_px: np.ndarray,
        homes_px: np.ndarray,
    ) -> MovedPerson:
        """`moved` with each arm's elbow brought from `homes_px` (2, 2) to `elbows_px` (2, 2)."""
        image, body = moved.image, moved.body
        for side in range(NUM_HANDS):
            away = np.linalg.norm(elbows_px[side] - homes_px[side])
            if not self._arms[side].elbow_seen or self._boxes[side] is None or away < LEAST_PX:
                continue
            if image is moved.image:
                image, body = image.copy(), body.copy()
            self._bend(side, image, body, shoulders_px[side], elbows_px[side], homes_px[side])
        return replace(moved, image=image, body=body)

    def _bend(self, side: int, image, body, shoulder, elbow, home) -> None:
        """In place: turn and stretch about the shoulder, most near the elbow, none on the chest."""
        box = self._boxes[side]
        rows, columns = box
        y, x = self._grids[side]
        # Where each pixel comes from: the turn that takes the new elbow back to the old one.
        old, new = complex(*(home - shoulder)), complex(*(elbow - shoulder))
        turn = old / new - 1
        dx, dy = x - np.float32(shoulder[0]), y - np.float32(shoulder[1])
        weight = self._arms[side].upper_arm[box]
        along, around = weight * np.float32(turn.real), weight * np.float32(turn.imag)
        from_x = x + along * dx - around * dy - np.float32(columns.start)
        from_y = y + around * dx + along * dy - np.float32(rows.start)
        scene = self._background[box].astype(np.float32)
        alpha = body[box]
        person = image[box] - (1 - alpha)[..., None] * scene
        layer = np.concatenate([person, alpha[..., None]], axis=-1)
        layer = cv2.remap(
            layer,
            from_x,
            from_y,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        body[box] = layer[..., 3]
        mixed = layer[..., :3] + (1 - layer[..., 3:]) * scene
        image[box] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)


def _box(weight: np.ndarray) -> tuple[slice, slice] | None:
    """Rows and columns in which `weight` (H, W) is not zero; None where it is zero everywhere."""
    spans = []
    for axis in (1, 0):
        found = np.flatnonzero((weight > 0).any(axis=axis))
        if not len(found):
            return None
        end = min(weight.shape[1 - axis], int(found[-1]) + MARGIN_PX)
        spans.append(slice(max(0, int(found[0]) - MARGIN_PX), end))
    return spans[0], spans[1]
