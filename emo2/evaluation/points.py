"""The points of a motion that measures look at: wrists, fingertips, all joints."""

from __future__ import annotations

import numpy as np

from emo2.motion.capsules import Anatomy
from emo2.types import NUM_HANDS, NUM_JOINTS, HandMotion

TRACKED = (0, *range(NUM_JOINTS, NUM_JOINTS + 5))
"""Of a hand's 21 joints: the wrist and the five fingertips."""
MOSTLY = 0.9
NUM_TRACKED = NUM_HANDS * len(TRACKED)


def joints_m(motion: HandMotion) -> np.ndarray:
    """(T, 2, 21, 3) metres: MANO's 16 joints and five tips, of the free hand.

    By forward kinematics alone, so that minutes take a second. All motions are measured on the same
    hands, whatever their betas.
    """
    return Anatomy.of(motion).joints(motion.quaternions, motion.translation_m)


def seen_points(motion: HandMotion) -> np.ndarray:
    """Wrists and fingertips (T, P, 3) of the hands that are in the picture nine tenths of the time;
    of both where neither is. P = 6 a hand, each hand's wrist first."""
    hands = motion.visible.mean(axis=0) >= MOSTLY if motion.num_frames else np.ones(2, bool)
    points = joints_m(motion)[:, hands if hands.any() else slice(None)]
    return points[:, :, TRACKED].reshape(motion.num_frames, -1, 3)


def tracked(joints: np.ndarray) -> np.ndarray:
    """Wrists and fingertips (T, 12, 3) of joints (T, 2, 21, 3)."""
    return joints[:, :, TRACKED].reshape(len(joints), NUM_TRACKED, 3)


def speeds(points: np.ndarray, fps: float) -> np.ndarray:
    """Metres per second (T, P) of points (T, P, 3), by centred differences."""
    if len(points) < 2:
        return np.zeros(points.shape[:2])
    return np.linalg.norm(np.gradient(points.astype(np.float64), axis=0), axis=-1) * fps


class Bones:
    """`HandModel.joints` of the free hand by kinematics alone: many times as fast as with skin."""

    joints = staticmethod(joints_m)
