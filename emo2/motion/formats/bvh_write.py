"""`HandMotion` as BVH (Biovision hierarchy): a standing body with fingers, for Blender and every
mocap tool.

Centimetres, as mocap has it (scale 0.01 at Blender's import for metres); y up, the person looks
along +z, feet at y = 0; T-pose at rest, all axes parallel. Names are Mixamo's without its prefix
(`LeftArm`, `LeftHandIndex1`): retargeting tools know them. Rotations are `Zrotation Yrotation
Xrotation`, in this order from the parent outwards (R = Rz Ry Rx): a finger bends about z and
spreads about y, so it stays far from where Euler angles lock. Angles run on without jumps.

Where a wrist is nearer or farther than the arm's bones reach, the hand joint also has position
channels (absolute, like the root's: Blender reads them so); otherwise only the root has. BVH has no
place for visibility, shape and meta.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np

from emo2.hands.skeleton import FINGER_POINTS, FIRST_JOINT
from emo2.motion.formats.report import Context
from emo2.motion.formats.skinned_hands import free_joints
from emo2.motion.formats.usable import check_writable
from emo2.motion.formats.vrm_skeleton import (
    BONES,
    FLOOR_M,
    HANDS,
    body_rotations,
    hand_places,
    rest_offsets,
    rest_places,
)
from emo2.motion.rotations import to_matrix
from emo2.types import HandMotion

CM = 100.0
REACHED_M = 1e-6
"""Hands that are nearer than this to the forearm's end need no position of their own."""
CHUNK_FRAMES = 512
_ROTATIONS = "Zrotation Yrotation Xrotation"
_POSITIONS = "Xposition Yposition Zposition"
_TIPS = {
    (hand, FIRST_JOINT[finger] + 2): np.array([1 - 2 * (hand == 0), 1, 1]) * (points[3] - points[2])
    for finger, points in FINGER_POINTS.items()
    for hand in (0, 1)
}
"""Where a finger ends, from its last joint, metres."""


def write(motion: HandMotion, path: Path, context: Context) -> None:
    """The registry's writer."""
    check_writable(motion)
    path = Path(path)
    offsets = rest_offsets(rest_places(free_joints(motion.betas)) - [0.0, FLOOR_M, 0.0])
    rotations = body_rotations(motion)
    hands_m = hand_places(motion, rotations)
    beyond = np.abs(hands_m - offsets[list(HANDS)]).max(axis=(0, 2)) > REACHED_M
    moving = {bone: hands_m[:, hand] for hand, bone in enumerate(HANDS) if beyond[hand]}
    moving[0] = np.broadcast_to(offsets[0], (motion.num_frames, 3))
    order = list(_depth_first(0))
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w", encoding="ascii", newline="\n") as file:
            file.write("HIERARCHY\n")
            _joint(file, 0, offsets, moving, 0)
            file.write(f"MOTION\nFrames: {motion.num_frames}\n")
            file.write(f"Frame Time: {1 / motion.fps:.10f}\n")
            angles = _degrees(rotations)
            for start in range(0, motion.num_frames, CHUNK_FRAMES):
                rows = slice(start, start + CHUNK_FRAMES)
                columns = []
                for bone in order:
                    columns += [CM * moving[bone][rows]] if bone in moving else []
                    columns.append(angles[rows, bone])
                np.savetxt(file, np.concatenate(columns, axis=1), fmt="%.6f")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _joint(file: TextIO, bone: int, offsets: np.ndarray, moving: dict, depth: int) -> None:
    """Write a joint, and all below it."""
    indent, inner = "  " * depth, "  " * (depth + 1)
    kind = "JOINT" if depth else "ROOT"
    # The root's place is in its channels; its offset would be added to them by some readers.
    offset = offsets[bone] if depth else np.zeros(3)
    channels = f"6 {_POSITIONS} {_ROTATIONS}" if bone in moving else f"3 {_ROTATIONS}"
    file.write(f"{indent}{kind} {BONES[bone].bvh_name}\n{indent}{{\n")
    file.write(f"{inner}OFFSET {_numbers(offset)}\n{inner}CHANNELS {channels}\n")
    children = [k for k, other in enumerate(BONES) if other.parent == bone]
    for child in children:
        _joint(file, child, offsets, moving, depth + 1)
    if not children:
        end = _end(bone)
        file.write(f"{inner}End Site\n{inner}{{\n{inner}  OFFSET {_numbers(end)}\n{inner}}}\n")
    file.write(f"{indent}}}\n")


def _end(bone: int) -> np.ndarray:
    """Where a bone without children ends: finger tip, crown or toes, metres."""
    described = BONES[bone]
    if described.joint is not None:
        return _TIPS[described.hand, described.joint]
    return np.array([0.0, 0.2, 0.0] if described.name == "head" else [0.0, -0.08, 0.16])


def _depth_first(bone: int) -> Iterator[int]:
    yield bone
    for child, other in enumerate(BONES):
        if other.parent == bone:
            yield from _depth_first(child)


def _numbers(metres: np.ndarray) -> str:
    return " ".join(f"{CM * value:.6f}" for value in metres)


def _degrees(quaternions: np.ndarray) -> np.ndarray:
    """(T, B, 4) -> (T, B, 3) degrees z, y, x with R = Rz Ry Rx; of the equal triples always the one
    nearest to the frame before."""
    m = to_matrix(quaternions)
    cosine = np.hypot(m[..., 0, 0], m[..., 1, 0])
    y = np.arctan2(-m[..., 2, 0], cosine)
    # Where y is a right angle only z - x (or z + x) is defined: x = 0.
    locked = cosine < 1e-9
    x = np.where(locked, 0.0, np.arctan2(m[..., 2, 1], m[..., 2, 2]))
    free_z = np.arctan2(m[..., 1, 0], m[..., 0, 0])
    z = np.where(locked, np.arctan2(-m[..., 0, 1], m[..., 1, 1]), free_z)
    either = np.stack(
        [np.stack([z, y, x], axis=-1), np.stack([z + np.pi, np.pi - y, x + np.pi], axis=-1)]
    )
    out = np.zeros_like(either[0])
    last = np.zeros_like(out[0])
    for t in range(len(out)):
        pair = either[:, t] + 2 * np.pi * np.round((last - either[:, t]) / (2 * np.pi))
        first_is_nearer = np.abs(pair - last).sum(axis=-1, keepdims=True).argmin(axis=0) == 0
        last = out[t] = np.where(first_is_nearer, pair[0], pair[1])
    return np.rad2deg(out)
