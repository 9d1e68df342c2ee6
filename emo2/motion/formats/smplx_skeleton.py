"""Where a posed SMPL-X or SMPL-H body has its shoulders and wrists.

The rotations are the file's. The bones are our own: an adult of average build from anthropometric
tables (biacromial breadth 0.36 m, upper arm 0.30 m, forearm 0.26 m, as in `emo2.motion.anatomy`;
trunk lengths for a stature of 1.70 m), not those of SMPL-X, whose files are licensed, so the body's
own shape (`betas`) plays no part. Standing in a T-pose, palms down, every joint's axes are the
world's, as in SMPL-X: x to the person's left, y up, z forward.
"""

from __future__ import annotations

import numpy as np

from emo2.motion.anatomy import FOREARM_M, UPPER_ARM_M
from emo2.motion.rotations import from_axis_angle, multiply, rotate
from emo2.types import REFERENCE_SHOULDER_BREADTH_M

TRUNK = (0, 3, 6, 9)
"""Pelvis and the three joints of the spine, as the body models number them."""
ARMS = ((13, 16, 18, 20), (14, 17, 19, 21))
"""Collar bone, shoulder, elbow, wrist: left, right."""
NUM_BODY_JOINTS = 22
COLLAR_M = np.array([0.07, 0.12, 0.0])
"""The inner end of the left collar bone, from the upper spine joint."""
ARM_M = np.array(
    [
        COLLAR_M,
        [REFERENCE_SHOULDER_BREADTH_M / 2 - COLLAR_M[0], 0.02, 0.0],
        [UPPER_ARM_M, 0.0, 0.0],
        [FOREARM_M, 0.0, 0.0],
    ]
)
"""Bones of the left arm in the T-pose, each from its parent; the right arm mirrors them."""
_MIRROR = np.array([-1.0, 1.0, 1.0])
_UP = np.array([0.0, 1.0, 0.0])


def pose_arms(
    body: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Forward kinematics of the trunk and both arms.

    body (T, 22, 3): axis-angle [rad] of pelvis (in the world) and the 21 body joints. Returns, with
    the upper spine joint as origin and the world's axes: shoulders (T, 2, 3) and wrists (T, 2, 3)
    in metres, the direction up the chest (T, 3), and wrist orientations (T, 2, 4) unit wxyz. These
    are what `to_body_frame` takes; where the pelvis is does not matter to it.
    """
    local = from_axis_angle(body)
    chest = local[:, 0]
    for joint in TRUNK[1:]:
        chest = multiply(chest, local[:, joint])
    shoulders, wrists, orientations = [], [], []
    for hand, arm in enumerate(ARMS):
        bones = ARM_M * _MIRROR**hand
        place, turn = np.zeros((len(body), 3)), chest
        for joint, bone in zip(arm, bones, strict=True):
            place = place + rotate(turn, bone)
            turn = multiply(turn, local[:, joint])
            if joint == arm[1]:
                shoulders.append(place)
        wrists.append(place)
        orientations.append(turn)
    up = rotate(chest, _UP)
    return np.stack(shoulders, 1), np.stack(wrists, 1), up, np.stack(orientations, 1)
