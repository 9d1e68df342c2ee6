"""What every detector reads: the motion with broken numbers mended, joints, usual speeds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from emo2.motion.capsules import Anatomy
from emo2.motion.rotations import conjugate, multiply, normalise, to_axis_angle
from emo2.types import NUM_HANDS, Camera, HandMotion, Portrait

if TYPE_CHECKING:
    from emo2.hands.model import HandModel

UNIT_TOLERANCE = 1e-3
MANO_FORMATS = ("mano", "show", "talkshow", "beat2", "amass")
"""Imports (`meta["format"]`) whose fingers were posed on MANO."""
CHANNELS = ("place", "wrist", "fingers")
"""What moves: the wrist's place [m], its rotation [rad], the 15 finger joints [rad]."""


@dataclass(frozen=True)
class Scene:
    """What a motion is checked against, beside itself."""

    hand_model: HandModel | None = None
    camera: Camera | None = None
    portrait: Portrait | None = None
    usual: np.ndarray | None = None
    """(2, 3) as `Clip.usual`, of the whole motion, when only a part of it is looked at."""


@dataclass(frozen=True)
class Clip:
    """A motion, ready to be measured."""

    fps: float
    quaternions: np.ndarray
    """(T, 2, 16, 4) float32 unit; where numbers were broken, the last good pose."""
    places_m: np.ndarray
    """(T, 2, 3) float32."""
    visible: np.ndarray
    """(T, 2) bool, as the motion says."""
    broken: np.ndarray
    """(T, 2) bool: not finite, or no unit quaternions."""
    joints_m: np.ndarray
    """(T, 2, 21, 3) float32."""
    anatomy: Anatomy
    steps: tuple[np.ndarray, np.ndarray, np.ndarray]
    """Per channel (T, 2, C, 3): how each frame differs from the one before; frame 0 stays."""
    usual: np.ndarray
    """(2, 3) per hand and channel: the 95th percentile of its speed while seen [m/s, rad/s]."""
    scene: Scene
    mano_posed: bool = False
    """Posed for MANO's own joints, whose thumb and little finger turn about other axes than our
    table's: a good import then looks twisted to it."""

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.places_m)

    @property
    def seen(self) -> np.ndarray:
        """(T, 2) bool: to be judged by its looks."""
        return self.visible & ~self.broken

    @classmethod
    def of(cls, motion: HandMotion, scene: Scene) -> Clip:
        """Measure a motion."""
        norms = np.linalg.norm(motion.quaternions, axis=-1)
        with np.errstate(invalid="ignore"):
            broken = ~(np.abs(norms - 1.0) < UNIT_TOLERANCE).all(-1)
        broken |= ~np.isfinite(motion.translation_m).all(-1)
        quaternions, places_m = motion.quaternions, motion.translation_m
        if broken.any():
            quaternions, places_m = np.array(quaternions), np.array(places_m)
            for hand in range(NUM_HANDS):
                source = _last_good(broken[:, hand])
                quaternions[:, hand] = normalise(_finite(quaternions[source, hand]))
                places_m[:, hand] = _finite(places_m[source, hand])
        anatomy = Anatomy.of(motion, scene.hand_model)
        steps = _steps(quaternions, places_m)
        seen = motion.visible & ~broken
        usual = _usual(steps, seen, motion.fps) if scene.usual is None else scene.usual
        return cls(
            fps=motion.fps,
            quaternions=quaternions,
            places_m=places_m,
            visible=motion.visible,
            broken=broken,
            joints_m=anatomy.joints(quaternions, places_m),
            anatomy=anatomy,
            steps=steps,
            usual=usual,
            scene=replace(scene, usual=usual),
            mano_posed=motion.meta.get("format") in MANO_FORMATS,
        )


def _last_good(broken: np.ndarray) -> np.ndarray:
    """(T,) index of the latest good frame, of the first good one before there is any."""
    good = np.flatnonzero(~broken)
    if not len(good):
        return np.zeros(len(broken), int)
    return good[np.maximum(np.searchsorted(good, np.arange(len(broken)), side="right") - 1, 0)]


def _finite(numbers: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(numbers), numbers, np.float32(0))


def _steps(quaternions: np.ndarray, places_m: np.ndarray) -> tuple[np.ndarray, ...]:
    place = np.zeros((*places_m.shape[:2], 1, 3), np.float32)
    place[1:, :, 0] = np.diff(places_m, axis=0)
    turn = np.zeros((*quaternions.shape[:3], 3), np.float32)
    turn[1:] = to_axis_angle(multiply(conjugate(quaternions[:-1]), quaternions[1:]))
    return place, turn[:, :, :1], turn[:, :, 1:]


def _usual(steps: tuple[np.ndarray, ...], seen: np.ndarray, fps: float) -> np.ndarray:
    out = np.zeros((NUM_HANDS, len(CHANNELS)))
    for channel, step in enumerate(steps):
        speed = np.linalg.norm(step, axis=-1).max(axis=2) * fps
        for hand in range(NUM_HANDS):
            moving = speed[1:, hand][seen[1:, hand]]
            out[hand, channel] = np.percentile(moving, 95) if len(moving) else 0.0
    return out
