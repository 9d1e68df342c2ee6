"""What no body does, and what hands do most of the time: limits, collisions, rest and holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emo2.evaluation.points import speeds
from emo2.hands.limits import finger_angles
from emo2.motion.capsules import Anatomy
from emo2.motion.checks import posing
from emo2.motion.checks.clip import Clip, Scene
from emo2.motion.clearance import between_hands
from emo2.types import NUM_HANDS, HandMotion

PENETRATION_M = 0.005
STILL_M_S = 0.05
STILL_S = 0.2
"""Slower than that for so long is still; a turn of the hand is not."""
LOW_M = 0.06
"""A still hand rests if it is no higher above its lowest places than this; else it holds."""
FINGERS = ("index", "middle", "ring", "little")
JOINTS = ("MCP", "PIP", "DIP")


@dataclass(frozen=True)
class Occupation:
    """What hands do, as shares of time over both hands; the three add up to 1."""

    rest: float
    hold: float
    active: float


def limit_rate(motion: HandMotion) -> float:
    """Share of frames in which a finger, a wrist or an arm goes beyond its limits, by the detectors
    and tolerances of `python -m emo2 check` (8 degrees at fingers and wrists)."""
    clip = Clip.of(motion, Scene())
    ratios = np.stack([signal.ratio for signal in posing.signals(clip)])
    return float((np.nan_to_num(ratios) > 1).any(axis=0).mean())


def penetration_rate(motion: HandMotion, depth_m: float = PENETRATION_M) -> float:
    """Share of frames in which the hands lie deeper in each other than `depth_m`: capsules inside
    the free hands' skin, forearms included. Every frame is looked at."""
    anatomy = Anatomy.of(motion)
    joints = anatomy.joints(motion.quaternions, motion.translation_m)
    return float((between_hands(joints, anatomy).depth_m > depth_m).mean())


def occupation(wrists_m: np.ndarray, fps: float) -> Occupation:
    """Rest, hold or move, of wrists (T, H, 3)."""
    still = still_frames(wrists_m, fps)
    height = wrists_m[..., 1]
    low = height < np.percentile(height, 5, axis=0) + LOW_M
    return Occupation(
        rest=float((still & low).mean()),
        hold=float((still & ~low).mean()),
        active=float((~still).mean()),
    )


def still_frames(wrists_m: np.ndarray, fps: float) -> np.ndarray:
    """(T, H) bool: this wrist is slower than 5 cm/s, and stays so for 0.2 s."""
    slow = speeds(wrists_m, fps) < STILL_M_S
    least = max(1, round(STILL_S * fps))
    return np.stack([_runs(track, least) for track in slow.T], axis=1)


def flexion_percentiles(motions: list[HandMotion]) -> np.ndarray:
    """(4, 3, 3) degrees: the 2nd, 50th and 98th percentile of flexion, per `FINGERS` and `JOINTS`,
    over both hands."""
    angles = np.concatenate(
        [
            finger_angles(motion.quaternions[:, hand], hand)[0][:, 1:, 2:]
            for motion in motions
            for hand in range(NUM_HANDS)
        ]
    )  # (n, 4, 3)
    return np.moveaxis(np.percentile(angles, [2, 50, 98], axis=0), 0, -1)


def finger_components(motions: list[HandMotion], count: int = 5) -> np.ndarray:
    """(count,) share of the finger angles' variance that the first principal components hold,
    cumulative: hands move in synergies (Santello 1998), noise does not. The 25 angles of a
    handshape table, both hands as one."""
    angles = np.concatenate(
        [
            finger_angles(motion.quaternions[:, hand], hand)[0].reshape(motion.num_frames, -1)
            for motion in motions
            for hand in range(NUM_HANDS)
        ]
    )
    values = np.linalg.eigvalsh(np.cov(angles.T))[::-1]
    if values.sum() <= 1e-9:
        return np.full(count, np.nan)
    return np.cumsum(values)[:count] / values.sum()


def _runs(mask: np.ndarray, least: int) -> np.ndarray:
    """`mask` (T,) without stretches shorter than `least`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    kept = np.zeros_like(mask)
    for start, stop in edges.reshape(-1, 2):
        kept[start:stop] = stop - start >= least
    return kept
