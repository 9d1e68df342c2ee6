"""Where a posed SMPL-X or SMPL-H body has its shoulders and wrists.

The rotations are the file's. The bones are our own: an adult of average build from anthropometric
tables (biacromial breadth 0.36 m, upper arm 0.30 m, forearm 0.26 m, as in `emo2.motion.anatomy`),
not those of SMPL-X, whose files are licensed; so the body's own shape (`betas`) plays no part. In
the T-pose, palms down, every joint's axes are those of the chest, as in SMPL-X: x to the person's
left, y up, z forward.
"""

from __future__ import annotations

import numpy as np

from emo2.motion.anatomy import FOREARM_M, UPPER_ARM_M
from emo2.motion.rotations import from_axis_angle, multiply, rotate
from emo2.types import REFERENCE_SHOULDER_BREADTH_M

ARMS = ((13, 16, 18, 20), (14, 17, 19, 21))
"""Collar bone, shoulder, elbow, wrist: left, right, as the body models number them."""
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
    """Forward kinematics of both arms, in the frame of the chest (origin: the upper spine joint).

    body (T, 22, 3): axis-angles [rad] of pelvis and body joints, of which the collar bones and arms
    count: how the trunk leans and turns in the world does not matter to hands seen from the
    shoulders. Returns shoulders (T, 2, 3) and wrists (T, 2, 3) in metres, the direction up the
    chest (T, 3) and wrist orientations (T, 2, 4) unit wxyz: what `to_body_frame` takes.
    """
    local = from_axis_angle(body)
    shoulders, wrists, orientations = [], [], []
    for hand, (collar, shoulder, elbow, wrist) in enumerate(ARMS):
        inner, clavicle, upper_arm, forearm = ARM_M * _MIRROR**hand
        turn = local[:, collar]
        shoulders.append(inner + rotate(turn, clavicle))
        turn = multiply(turn, local[:, shoulder])
        bend = shoulders[-1] + rotate(turn, upper_arm)
        turn = multiply(turn, local[:, elbow])
        wrists.append(bend + rotate(turn, forearm))
        orientations.append(multiply(turn, local[:, wrist]))
    up = np.broadcast_to(_UP, (len(body), 3))
    return np.stack(shoulders, 1), np.stack(wrists, 1), up, np.stack(orientations, 1)
