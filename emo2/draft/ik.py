"""Where the elbows are: two-bone inverse kinematics from shoulder and wrist, held to the picture's
own elbows.

In: shoulders and wrists in the body frame [m], and the portrait's elbows where they were seen. Out:
elbows (T, 2, 3) [m]. The paper leaves the arm to the video model ("pixels prior IK", section 3.3);
the draft renderer needs it explicitly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emo2.draft.plate import Plate
from emo2.types import Camera

UPPER_ARM_M = 0.30
FOREARM_M = 0.26
# Elbows hang down and lie outward; the more a hand crosses to the other side, the further its
# elbow swings out, or the arm would pass through the chest.
POLE_OUTWARD, POLE_DOWN = 0.65, 1.0
CROSSING_FROM_M, CROSSING_GAIN = 0.12, 5.0
SIDES = np.array([1.0, -1.0])
"""Which way is outward along x, left and right."""
# A limb is never drawn quite straight: a locked elbow looks like a stick.
MAX_REACH = 0.985
MIN_REACH_M = 0.06
# How far the picture's upper arm can be bent along before its pixels look stretched.
ELBOW_PLAY_M = 0.045
ELBOW_FOLLOW = 0.45
ELBOW_DEPTH_M = (-0.14, 0.10)
MAX_FOREARM_STRETCH = 1.22


@dataclass(frozen=True)
class ArmRig:
    """One person's arms in the body frame."""

    shoulders_m: np.ndarray
    """(2, 3) float64, left then right."""
    elbows_m: np.ndarray
    """(2, 3) float64: where the picture shows the elbows, NaN where it does not."""
    upper_arm_m: np.ndarray
    """(2,) float64."""
    forearm_m: np.ndarray
    """(2,) float64."""

    @property
    def pinned(self) -> np.ndarray:
        """(2,) bool: is this elbow held by the picture."""
        return np.isfinite(self.elbows_m).all(axis=-1)


def rig_from_plate(plate: Plate, camera: Camera) -> ArmRig:
    """The arms that a plate leaves to be drawn: bones as long as the picture needs them."""
    shoulders = camera.unproject(np.stack([arm.shoulder for arm in plate.arms]))
    elbows = np.stack([arm.elbow if arm.elbow_seen else (np.nan, np.nan) for arm in plate.arms])
    elbows_m = camera.unproject(elbows)
    seen = np.linalg.norm(elbows_m - shoulders, axis=-1)
    upper = np.fmax(UPPER_ARM_M, np.minimum(1.02 * seen, 1.35 * UPPER_ARM_M))
    return ArmRig(shoulders, elbows_m, upper, FOREARM_M * upper / UPPER_ARM_M)


def two_bone_ik(
    shoulders: np.ndarray,
    wrists: np.ndarray,
    upper_m: float | np.ndarray,
    fore_m: float | np.ndarray,
    pole: np.ndarray,
) -> np.ndarray:
    """Elbows (..., 3) of arms with fixed bone lengths that bend towards `pole` (..., 3).

    A wrist out of reach is taken as lying at the end of reach on the same line, so the upper arm
    keeps its length and the elbow stays continuous.
    """
    reach = wrists - shoulders
    distance = np.linalg.norm(reach, axis=-1, keepdims=True)
    axis = reach / np.maximum(distance, 1e-9)
    upper = np.asarray(upper_m, dtype=np.float64)[..., None]
    fore = np.asarray(fore_m, dtype=np.float64)[..., None]
    shortest = np.maximum(MIN_REACH_M, np.abs(upper - fore) + 1e-3)
    distance = np.clip(distance, shortest, MAX_REACH * (upper + fore))
    along = (upper**2 - fore**2 + distance**2) / (2 * distance)
    away = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    sideways = pole - (pole * axis).sum(axis=-1, keepdims=True) * axis
    sideways = sideways / np.maximum(np.linalg.norm(sideways, axis=-1, keepdims=True), 1e-9)
    return shoulders + along * axis + away * sideways


def elbow_poles(wrists: np.ndarray) -> np.ndarray:
    """Where the elbows of wrists (T, 2, 3) bend to, (T, 2, 3)."""
    crossed = np.maximum(0.0, CROSSING_FROM_M - wrists[..., 0] * SIDES)
    outward = SIDES * (POLE_OUTWARD + CROSSING_GAIN * crossed)
    return np.stack([outward, np.full_like(outward, -POLE_DOWN), np.zeros_like(outward)], axis=-1)


def solve_elbows(
    rig: ArmRig,
    wrists_m: np.ndarray,
    camera: Camera,
    shoulder_shift_px: np.ndarray | float = 0.0,
    elbow_shift_px: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Elbows (T, 2, 3) [m] for wrists (T, 2, 3) [m].

    `shoulder_shift_px` and `elbow_shift_px`, (T, 2, 2), are how far the torso's sway has moved the
    picture's shoulders and elbows.
    """
    wrists = np.asarray(wrists_m, dtype=np.float64)
    shoulders = rig.shoulders_m + _metres(shoulder_shift_px, wrists, camera)
    free = two_bone_ik(shoulders, wrists, rig.upper_arm_m, rig.forearm_m, elbow_poles(wrists))
    homes = rig.elbows_m + _metres(elbow_shift_px, wrists, camera)
    elbows = free.copy()
    for hand in np.flatnonzero(rig.pinned):
        elbows[:, hand] = _hold_to_picture(
            free[:, hand], homes[:, hand], wrists[:, hand], rig.forearm_m[hand], camera
        )
    return elbows


def _metres(shift_px: np.ndarray | float, like: np.ndarray, camera: Camera) -> np.ndarray:
    """A shift in the picture (T, 2, 2) as one in the plane of the shoulders (T, 2, 3)."""
    shift = np.zeros_like(like)
    shift[..., :2] = shift_px
    return shift * [1.0, -1.0, 0.0] / camera.pixels_per_metre


def _hold_to_picture(free, home, wrists, fore_m, camera: Camera) -> np.ndarray:
    """Elbows (T, 3) near the picture's elbow `home` (T, 3), at the depth that gives the forearm its
    length."""
    home_px = camera.project(home)
    wanted = (camera.project(free) - home_px) * ELBOW_FOLLOW
    play_px = ELBOW_PLAY_M * camera.pixels_per_metre
    length = np.linalg.norm(wanted, axis=-1, keepdims=True)
    elbow_px = home_px + wanted * play_px * np.tanh(length / play_px) / np.maximum(length, 1e-9)
    elbow = camera.unproject(elbow_px, 0.0)
    for _ in range(
        3
    ):  # the depth changes where the pixel lies in metres: a fixed point, quickly reached
        across = np.linalg.norm((wrists - elbow)[:, :2], axis=-1)
        depth = wrists[:, 2] - np.sqrt(np.maximum(fore_m**2 - across**2, 0.0))
        elbow = camera.unproject(elbow_px, _soft_clip(depth, *ELBOW_DEPTH_M))
    pull = wrists - elbow
    length = np.linalg.norm(pull, axis=-1, keepdims=True)
    longest = MAX_FOREARM_STRETCH * fore_m
    return elbow + pull * np.maximum(0.0, 1.0 - longest / np.maximum(length, 1e-9))


def _soft_clip(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """Into (low, high) without a kink, the identity in the middle."""
    centre, half = (low + high) / 2, (high - low) / 2
    return centre + half * np.tanh((value - centre) / half)
