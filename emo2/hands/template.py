"""Build the free hand: `python -m emo2.hands.template OUT_DIR` writes MANO_LEFT.npz,
MANO_RIGHT.npz, arm.safetensors.

The first two hold MANO's arrays under MANO's names (778 vertices, 1538 faces, 16 joints, open at
the wrist), so that unmodified `smplx.MANO(folder, ext="npz")` loads them. The third is the right
hand and forearm as one finer mesh, for the draft renderer. All come from one implicit surface
(implicit.py) and one set of skinning rules (skinning.py); nothing in them stems from MANO's data.
Needs scikit-image; takes about half a minute; the same bytes every time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from emo2.hands.implicit import FINGER_RADII, FOREARM_LENGTH_M, distance
from emo2.hands.remesh import remesh
from emo2.hands.skeleton import FINGER_POINTS, FINGERS, PARENTS, REST_JOINTS, TIP_VERTICES, WRIST
from emo2.hands.skinning import (
    joint_regressor,
    knuckle_directions,
    nail_mask,
    shape_directions,
    skin_weights,
)
from emo2.types import NUM_JOINTS

NUM_VERTICES, RIM_VERTICES = 778, 16
ARM_VERTICES = 4600
_CUT_X = 0.120
"""The hand's mesh ends about 2.5 cm behind the wrist joint."""


def build_hand() -> dict[str, np.ndarray]:
    """The right hand as MANO's arrays."""
    dense, faces = _march(0.002, _CUT_X)
    vertices, faces = remesh(dense, faces, distance, _hand_sizes, NUM_VERTICES, RIM_VERTICES)
    vertices, faces = _tips_in_place(vertices, faces)
    weights = skin_weights(vertices, faces, smoothing=1)
    correctives = knuckle_directions(vertices, weights)
    posedirs = np.zeros((NUM_VERTICES, 3, 9 * (NUM_JOINTS - 1)))
    for joint, direction in enumerate(correctives):
        # 1 - cos(angle) = -trace(R - I) / 2, and MANO's pose features are the entries of R - I.
        posedirs[:, :, [9 * joint, 9 * joint + 4, 9 * joint + 8]] = -0.5 * direction[..., None]
    return {
        "v_template": vertices,
        "f": faces.astype(np.uint32),
        "weights": weights,
        "J_regressor": joint_regressor(vertices),
        "shapedirs": shape_directions(vertices, weights),
        "posedirs": posedirs,
        "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(NUM_JOINTS)], dtype=np.int64),
        "hands_components": np.eye(45),
        "hands_mean": np.zeros(45),
    }


def build_arm(hand: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The right hand with its forearm as one closed mesh; joints and their shape directions are the
    hand's."""
    dense, faces = _march(0.0025, WRIST[0] + FOREARM_LENGTH_M + 0.06)
    vertices, faces = remesh(dense, faces, distance, _arm_sizes, ARM_VERTICES)
    weights = skin_weights(vertices, faces, smoothing=4)
    normals = _normals(vertices, faces)
    behind = (vertices[:, 0] - WRIST[0]) / FOREARM_LENGTH_M
    bend = np.clip((behind * FOREARM_LENGTH_M + 0.016) / 0.046, 0.0, 1.0)
    return {
        "vertices": vertices.astype(np.float32),
        "faces": faces.astype(np.int32),
        "weights": weights.astype(np.float32),
        "forearm": (bend * bend * (3 - 2 * bend)).astype(np.float32),
        "blend": np.clip(behind, 0.0, 1.0).astype(np.float32),
        "nail": nail_mask(vertices, normals).astype(np.float32),
        "knuckles": knuckle_directions(vertices, weights).astype(np.float32),
        "shapes": shape_directions(vertices, weights).astype(np.float32),
        "joints": REST_JOINTS.astype(np.float32),
        "joint_shapes": np.einsum("jv,vck->jck", hand["J_regressor"], hand["shapedirs"]).astype(
            np.float32
        ),
    }


def mirrored(hand: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The left hand: x -> -x, faces reversed; the knuckle correctives hold, for a mirror keeps the
    trace of R."""
    flip = np.array([-1.0, 1.0, 1.0])
    return {
        **hand,
        "v_template": hand["v_template"] * flip,
        "f": hand["f"][:, ::-1].copy(),
        "shapedirs": hand["shapedirs"] * flip[:, None],
        "posedirs": hand["posedirs"] * flip[:, None],
    }


def write(folder: Path) -> None:
    """Build everything and write the three files."""
    folder.mkdir(parents=True, exist_ok=True)
    hand = build_hand()
    for name, arrays in (("MANO_RIGHT", hand), ("MANO_LEFT", mirrored(hand))):
        compact = {k: v.astype(np.float32) if v.dtype == float else v for k, v in arrays.items()}
        np.savez_compressed(folder / f"{name}.npz", **compact)
    arm = folder / "arm.safetensors"
    save_file(build_arm(hand), arm)
    arm.chmod(0o644)


def _march(step: float, end_x: float) -> tuple[np.ndarray, np.ndarray]:
    """Marching cubes over the implicit surface up to the plane x = `end_x`, where the mesh stays
    open."""
    from skimage.measure import marching_cubes  # a build tool: not needed to use the hand

    low = np.array([-0.104, -0.055, -0.072])
    counts = np.ceil((np.array([end_x, 0.062, 0.108]) - low) / step).astype(int) + 1
    low[0] = end_x - step * (counts[0] - 1)
    grid = np.meshgrid(*(low[i] + step * np.arange(counts[i]) for i in range(3)), indexing="ij")
    values = distance(np.stack(grid, axis=-1).reshape(-1, 3)).reshape(counts)
    vertices, faces, _, _ = marching_cubes(values, 0.0, spacing=(step,) * 3)
    return vertices.astype(np.float64) + low, faces.astype(np.int64)


def _hand_sizes(points: np.ndarray) -> np.ndarray:
    """Wanted edge lengths: fine on the fingers, finest where they bend and at the tips, coarse on
    the palm."""
    size = np.full(len(points), 1.0)
    for finger in FINGERS:
        for k, point in enumerate(FINGER_POINTS[finger]):
            reach = np.linalg.norm(points - point, axis=1) / (1.7 * FINGER_RADII[finger][k])
            size = np.minimum(size, (0.72, 0.56, 0.54, 0.50)[k] + 0.16 * reach)
    return size


def _arm_sizes(points: np.ndarray) -> np.ndarray:
    """The same for the arm: coarser towards the elbow, finer at the nails."""
    behind = np.clip((points[:, 0] - WRIST[0] + 0.01) / 0.08, 0.0, 1.0)
    return _hand_sizes(points) ** 0.6 + 1.6 * behind


def _tips_in_place(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Renumber the vertices so that the finger tips have the ids smplx expects."""
    order = np.arange(len(vertices))
    for finger in FINGERS:
        joints = FINGER_POINTS[finger]
        along = joints[3] - joints[2]
        near = np.linalg.norm(vertices - joints[3], axis=1) < 0.012
        reach = np.where(near, (vertices - joints[3]) @ along, -np.inf)
        here = int(np.flatnonzero(order == np.argmax(reach))[0])
        there = TIP_VERTICES[finger]
        order[[here, there]] = order[[there, here]]
    return vertices[order], np.argsort(order)[faces]


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corners = vertices[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], face_normals)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m emo2.hands.template OUT_DIR")
    write(Path(sys.argv[1]))
