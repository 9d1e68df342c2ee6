"""Poses that no hand takes: fingers beyond their joints, broken wrists, arms too short."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from emo2.hands.limits import LIMITS_DEG, finger_angles
from emo2.hands.skeleton import FINGERS, FIRST_JOINT, JOINT_NAMES
from emo2.motion.anatomy import (
    FOREARM_M,
    MAX_BEND_RAD,
    SHOULDER_M,
    UPPER_ARM_M,
    bend_angle,
)
from emo2.motion.checks.clip import Clip
from emo2.motion.checks.finding import FINGER_WORDS, HAND_WORDS, Reading, Signal
from emo2.types import NUM_HANDS, NUM_JOINTS

FINGER_TOLERANCE_DEG, FINGER_ERROR_DEG = 8.0, 25.0
RESIDUAL_LIMIT_DEG, RESIDUAL_ERROR_DEG = 25.0, 45.0
"""Rotation about axes that the joint does not have; trackers put some there."""
BEND_LIMIT_DEG, BEND_ERROR_DEG = np.rad2deg(MAX_BEND_RAD) + 8.0, np.rad2deg(MAX_BEND_RAD) + 35.0
ARM_M = UPPER_ARM_M + FOREARM_M
REACH_LIMIT_M, REACH_ERROR_M = ARM_M, ARM_M + 0.08
_WAYS = (
    ("twists", "twists outwards"),
    ("spreads", "crosses over"),
    ("bends at the knuckle", "bends backwards at the knuckle"),
    ("bends at the middle joint", "bends backwards at the middle joint"),
    ("bends at the last joint", "bends backwards at the last joint"),
)
"""Beyond the upper and the lower limit of a handshape table's columns."""
_JOINT_WORDS = {"1": "knuckle", "2": "middle joint", "3": "last joint"}
_COLUMN_JOINT = (0, 0, 0, 1, 2)


def signals(clip: Clip) -> list[Signal]:
    """Finger limits, wrist bend and reach of both hands."""
    bends = np.rad2deg(bend_angle(clip.quaternions[:, :, 0], clip.places_m))
    out = []
    for hand in range(NUM_HANDS):
        seen = clip.seen[:, hand]
        out += _fingers(clip, hand, seen)
        out.append(_bend(clip, hand, np.where(seen, bends[:, hand], 0.0)))
        out.append(_reach(clip, hand, seen))
    return out


@lru_cache(maxsize=4)
def _angles(fingers: bytes, hand: int) -> tuple[np.ndarray, np.ndarray]:
    """`finger_angles` of float32 rotations (T, 15, 4), remembered: half of a check's time goes
    here, and most of the fixes that are tried leave the fingers as they are."""
    turns = np.frombuffer(fingers, np.float32).reshape(-1, NUM_JOINTS - 1, 4)
    wrist = np.broadcast_to(np.float32([1, 0, 0, 0]), (len(turns), 1, 4))
    return finger_angles(np.concatenate([wrist, turns], axis=1), hand)


def _fingers(clip: Clip, hand: int, seen: np.ndarray) -> list[Signal]:
    angles, residual = _angles(clip.quaternions[:, hand, 1:].tobytes(), hand)
    low, high = LIMITS_DEG[..., 0], LIMITS_DEG[..., 1]
    excess = np.maximum(angles - high, low - angles).reshape(len(angles), -1)  # (T, 25)
    excess[~seen] = 0.0
    worst = excess.argmax(axis=1)
    never = np.inf if clip.mano_posed else 1.0
    rows = np.arange(len(excess))
    joints = np.array(
        [FIRST_JOINT[FINGERS[k // 5]] + _COLUMN_JOINT[k % 5] for k in range(excess.shape[1])]
    )

    def read(frame: int) -> Reading:
        finger, column = divmod(int(worst[frame]), 5)
        angle = angles[frame, finger, column]
        over = angle > high[finger, column]
        limit = (high if over else low)[finger, column]
        words = (
            f"the {FINGER_WORDS[FINGERS[finger]]} of the {HAND_WORDS[hand]} "
            f"{_WAYS[column][not over]} by {abs(angle):.0f}°, a real one stops at about "
            f"{abs(limit):.0f}°"
        )
        return Reading(angle, limit, "deg", words)

    limits = Signal(
        kind="finger_limit",
        hand=hand,
        ratio=excess[rows, worst] / FINGER_TOLERANCE_DEG,
        error_ratio=never * FINGER_ERROR_DEG / FINGER_TOLERANCE_DEG,
        where_m=clip.joints_m[rows, hand, joints[worst]],
        read=read,
    )
    twisted = np.where(seen[:, None], np.rad2deg(residual), 0.0)  # (T, 15)
    most = twisted.argmax(axis=1)

    def read_twist(frame: int) -> Reading:
        name, value = JOINT_NAMES[1 + most[frame]], twisted[frame, most[frame]]
        words = (
            f"the {_JOINT_WORDS[name[-1]]} of the {FINGER_WORDS[name[:-1]]} of the "
            f"{HAND_WORDS[hand]} is turned sideways or about itself by {value:.0f}°; it can only "
            f"bend"
        )
        return Reading(value, RESIDUAL_LIMIT_DEG, "deg", words)

    twist = Signal(
        kind="finger_twist",
        hand=hand,
        ratio=twisted[rows, most] / RESIDUAL_LIMIT_DEG,
        error_ratio=never * RESIDUAL_ERROR_DEG / RESIDUAL_LIMIT_DEG,
        where_m=clip.joints_m[rows, hand, 1 + most],
        read=read_twist,
    )
    return [limits, twist]


def _bend(clip: Clip, hand: int, bend_deg: np.ndarray) -> Signal:
    def read(frame: int) -> Reading:
        words = (
            f"the wrist of the {HAND_WORDS[hand]} is bent {bend_deg[frame]:.0f}° from the forearm, "
            f"{BEND_LIMIT_DEG:.0f}° is the most that looks right"
        )
        return Reading(bend_deg[frame], BEND_LIMIT_DEG, "deg", words)

    return Signal(
        kind="wrist_bend",
        hand=hand,
        ratio=bend_deg / BEND_LIMIT_DEG,
        error_ratio=BEND_ERROR_DEG / BEND_LIMIT_DEG,
        where_m=clip.places_m[:, hand],
        read=read,
    )


def _reach(clip: Clip, hand: int, seen: np.ndarray) -> Signal:
    shoulder = SHOULDER_M * (1 - 2 * hand, 1, 1)
    reach = np.where(seen, np.linalg.norm(clip.places_m[:, hand] - shoulder, axis=-1), 0.0)

    def read(frame: int) -> Reading:
        words = (
            f"the {HAND_WORDS[hand]} is {100 * (reach[frame] - ARM_M):.0f} cm further away than "
            f"its arm is long"
        )
        return Reading(reach[frame], REACH_LIMIT_M, "m", words)

    return Signal(
        kind="reach",
        hand=hand,
        ratio=reach / REACH_LIMIT_M,
        error_ratio=REACH_ERROR_M / REACH_LIMIT_M,
        where_m=clip.places_m[:, hand],
        read=read,
    )
