"""A 2-D track as detectors give it, cleaned: which points are believed, and how far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

from emo2.types import NUM_HANDS

PICTURE_PX = 768.0
"""Errors and noise are counted in pixels of a picture of this smaller side."""
CONFIDENT = 0.5
"""Points above this score are believed: they enter the reported error."""
LEAST_SURE = 0.4
"""Detectors count differently (OpenPose is seldom above 0.7): the score that a tenth of a track's
points exceed, if it is above this, counts as sure."""
FAINT = 0.25
"""Points below this score are taken for absent."""


@dataclass(frozen=True)
class Track:
    """Points of one person over time, in pixels of the picture (x right, y down)."""

    hands_px: np.ndarray
    """(T, 2, 21, 2), hand 0 = the person's left, OpenPose order."""
    hands_score: np.ndarray
    """(T, 2, 21); 0 = absent, detectors' own scale (DWPose goes a little above 1)."""
    body_px: np.ndarray
    """(T, 18, 2) OpenPose's (COCO 18) order."""
    body_score: np.ndarray
    """(T, 18)."""
    width_px: float
    height_px: float
    fps: float

    def __post_init__(self) -> None:
        frames = len(self.hands_px)
        shapes = {
            "hands_px": (frames, NUM_HANDS, 21, 2),
            "hands_score": (frames, NUM_HANDS, 21),
            "body_px": (frames, 18, 2),
            "body_score": (frames, 18),
        }
        for name, shape in shapes.items():
            value = np.array(getattr(self, name), dtype=np.float64)
            if value.shape != shape:
                raise ValueError(f"{name}: shape must be {shape}, got {value.shape}")
            object.__setattr__(self, name, value)
        for points, scores in (("hands_px", "hands_score"), ("body_px", "body_score")):
            place, score = getattr(self, points), getattr(self, scores)
            # A detector's way to say "not there" is a point at or beyond the picture's zero.
            absent = ~np.isfinite(place).all(-1) | ~np.isfinite(score) | (place <= 0).any(-1)
            score[absent] = 0.0
            place[absent] = 0.0
            np.clip(score, 0.0, 1.0, out=score)
        there = self.hands_score[self.hands_score > 0]
        if there.size:
            sure = np.clip(np.quantile(there, 0.9), LEAST_SURE, 1.0)
            np.minimum(self.hands_score / sure, 1.0, out=self.hands_score)

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.hands_px)

    @property
    def scale(self) -> float:
        """Pixels of a picture of 768 per pixel of this one."""
        return PICTURE_PX / min(self.width_px, self.height_px)

    @property
    def inside(self) -> np.ndarray:
        """(T, 2, 21) bool: the point lies in the picture."""
        return (self.hands_px < (self.width_px, self.height_px)).all(-1)

    @property
    def confident(self) -> np.ndarray:
        """(T, 2, 21) bool: points that count for the reported error."""
        return (self.hands_score > CONFIDENT) & self.inside

    def weights(self) -> np.ndarray:
        """(T, 2, 21) in [0, 1]: how far each point is believed. What a detector puts beyond the
        picture's edge is a guess, and a hand that jumps away for a frame or two is another
        thing."""
        weight = np.clip((self.hands_score - FAINT) / (0.75 - FAINT), 0.0, 1.0) ** 2
        weight = np.where(self.inside, weight, 0.3 * weight)
        present = weight > 0
        enough = present.sum(-1) >= 6
        middle = (self.hands_px * present[..., None]).sum(2) / np.maximum(present.sum(-1), 1)[
            ..., None
        ]
        for hand in range(NUM_HANDS):
            frames = np.flatnonzero(enough[:, hand])
            if len(frames) < 5:
                continue
            steady = median_filter(middle[frames, hand], size=(5, 1), mode="nearest")
            jump = np.linalg.norm(middle[frames, hand] - steady, axis=-1)
            enough[frames[jump > 0.08 * min(self.width_px, self.height_px)], hand] = False
        return np.where(enough[..., None], weight, 0.0)
