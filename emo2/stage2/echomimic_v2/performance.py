"""Our hands in EchoMimicV2's square, and its film back in our frame.

The network sees a square picture with the shoulders 0.41 of it apart, as in its own samples
(`emo2.motion.formats.echomimic_person`): the portrait is cut to that square, never squashed. Hands
are projected by the portrait's camera into the same square. The finished square goes back to where
it was cut from; what it does not cover, mostly nothing, stays as in the portrait.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from emo2.hands.model import HandModel
from emo2.motion.formats.echomimic_person import Person
from emo2.motion.lift.bones import NUM_POINTS, Bones, hand_points
from emo2.types import Frame, HandMotion

CHUNK_FRAMES = 256
FADE_SHARE = 0.02
"""Of the square's side: how wide its edge fades into the portrait."""


@dataclass(frozen=True)
class Hands:
    """Both hands of a film as a detector would have seen them."""

    points: np.ndarray
    """(T, 2, 21, 2) shares of the square, OpenPose order; 0 = the person's left hand."""
    scores: np.ndarray
    """(T, 2, 21); 0 = not seen."""

    @classmethod
    def of(cls, motion: HandMotion, hand_model: HandModel, person: Person) -> Hands:
        """What the portrait's camera sees of a motion; hidden hands are not drawn."""
        bones = Bones.of(hand_model)
        points = np.zeros((motion.num_frames, 2, NUM_POINTS, 2))
        for first in range(0, motion.num_frames, CHUNK_FRAMES):
            frames = slice(first, min(first + CHUNK_FRAMES, motion.num_frames))
            points[frames] = person.shares(hand_points(bones, motion, frames))
        seen = np.repeat(motion.visible[..., None], NUM_POINTS, axis=2)
        return cls(points * seen[..., None], seen.astype(np.float64))

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.points)


class Frameback:
    """Puts squares back into the picture they were cut from."""

    def __init__(self, image: Frame, person: Person) -> None:
        self.image, self.side = image, person.side_px
        (x, y), (height, width) = person.corner_px, image.shape[:2]
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + self.side, width), min(y + self.side, height)
        self.place = slice(top, bottom), slice(left, right)
        self.part = slice(top - y, bottom - y), slice(left - x, right - x)
        fade = max(1.0, FADE_SHARE * self.side)
        edges = []  # along each axis: distance to those edges of the square inside the picture
        for low, high, length in ((top, bottom, height), (left, right, width)):
            at = np.arange(low, high, dtype=np.float32)
            far = np.full(high - low, np.inf, np.float32)
            before = at - low + 0.5 if low > 0 else far
            after = high - at - 0.5 if high < length else far
            edges.append(np.minimum(before, after))
        self.alpha = (np.minimum(edges[0][:, None], edges[1]) / fade).clip(0, 1)[..., None]

    def __call__(self, square: Frame) -> Frame:
        """A square film frame (S, S, 3) in the portrait's frame (H, W, 3)."""
        method = cv2.INTER_AREA if len(square) > self.side else cv2.INTER_CUBIC
        new = cv2.resize(square, (self.side, self.side), interpolation=method)[self.part]
        frame = self.image.copy()
        old = frame[self.place]
        frame[self.place] = np.rint(old + self.alpha * (new.astype(np.float32) - old))
        return frame
