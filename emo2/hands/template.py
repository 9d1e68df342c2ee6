"""Build the free hand: `python -m emo2.hands.template OUT_DIR` writes MANO_LEFT.npz,
MANO_RIGHT.npz, detail.safetensors, arm.safetensors.

The first two hold MANO's arrays under MANO's names (778 vertices, 1538 faces, 16 joints, open at
the wrist), so that unmodified `smplx.MANO(folder, ext="npz")` loads them. The third is what the
subdivided hand adds to them (detail.py), the fourth the subdivided right hand with a forearm, for
the draft renderer (arm.py). All come from one implicit surface (free_hand/implicit.py); nothing in
them stems from MANO's data. Needs scikit-image; takes under a minute; the same bytes every time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from emo2.hands.detail import FILE as DETAIL_FILE
from emo2.hands.detail import LEVELS
from emo2.hands.free_hand import skin
from emo2.hands.free_hand.correctives import pose_correctives
from emo2.hands.free_hand.implicit import FOREARM_LENGTH_M, distance
from emo2.hands.free_hand.settle import smooth
from emo2.hands.free_hand.shape_space import shape_directions
from emo2.hands.free_hand.skinning import joint_regressor, skin_weights
from emo2.hands.free_hand.topology import CUT_X, build_mesh, forearm_tube
from emo2.hands.skeleton import PARENTS, REST_JOINTS, WRIST
from emo2.hands.subdivision import loop_subdivision
from emo2.types import NUM_JOINTS

MIRROR = np.array([-1.0, 1.0, 1.0])


def build_hand() -> dict[str, np.ndarray]:
    """The right hand as MANO's arrays."""
    vertices, faces = build_mesh()
    weights = skin_weights(vertices, faces, smoothing=1)
    return {
        "v_template": vertices,
        "f": faces.astype(np.uint32),
        "weights": weights,
        "J_regressor": joint_regressor(vertices),
        "shapedirs": shape_directions(vertices, weights),
        "posedirs": pose_correctives(vertices, faces, weights),
        "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(NUM_JOINTS)], dtype=np.int64),
        "hands_components": np.eye(45),
        "hands_mean": np.zeros(45),
    }


def mirrored(hand: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The left hand: x -> -x, faces reversed. A mirrored rotation has the signs of its entries xy,
    xz, yx and zx changed, and so have the correctives that depend on them."""
    signs = np.tile(np.outer(MIRROR, MIRROR).reshape(-1), NUM_JOINTS - 1)
    return {
        **hand,
        "v_template": hand["v_template"] * MIRROR,
        "f": hand["f"][:, ::-1].copy(),
        "shapedirs": hand["shapedirs"] * MIRROR[:, None],
        "posedirs": hand["posedirs"] * MIRROR[:, None] * signs,
    }


def build_detail(hand: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What HandDetail reads; right and left, being mirror images, have the same."""
    faces = hand["f"].astype(np.int64)
    operator, fine = loop_subdivision(faces, len(hand["v_template"]), LEVELS)
    displacement, albedo, nail = _surface(operator.astype(np.float64) @ hand["v_template"], fine)
    return {
        "faces": faces.astype(np.int32),
        "displacement": displacement.astype(np.float32),
        "albedo": albedo.astype(np.float32),
        "nail": nail.astype(np.float32),
    }


def build_arm(hand: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The right hand, subdivided, with its forearm as one closed mesh."""
    coarse = hand["v_template"]
    operator, faces = loop_subdivision(hand["f"].astype(np.int64), len(coarse))
    fine = operator.astype(np.float64) @ coarse
    displacement, _, nail = _surface(fine, faces)
    fine = fine + displacement[:, None] * normals(fine, faces)
    vertices, faces = forearm_tube(fine, faces)
    added = len(vertices) - len(fine)
    weights = np.concatenate([operator @ hand["weights"], np.eye(NUM_JOINTS)[[0] * added]])
    shapes = shape_directions(vertices, weights)
    shapes[: len(fine)] = np.einsum("vw,wcb->vcb", operator.toarray(), hand["shapedirs"])
    behind = (vertices[:, 0] - WRIST[0]) / FOREARM_LENGTH_M
    bend = np.clip((behind * FOREARM_LENGTH_M + 0.016) / 0.046, 0.0, 1.0)
    arrays = {
        "vertices": vertices,
        "weights": weights,
        "forearm": bend * bend * (3 - 2 * bend),
        "blend": np.clip(behind, 0.0, 1.0),
        "nail": np.concatenate([nail, np.zeros(added)]),
        "shapes": shapes,
        "joints": REST_JOINTS,
        "joint_shapes": np.einsum("jv,vck->jck", hand["J_regressor"], hand["shapedirs"]),
        "posedirs": hand["posedirs"],
        "subdivision": operator.data,
    }
    return {
        **{name: np.ascontiguousarray(a, dtype=np.float32) for name, a in arrays.items()},
        "subdivision_columns": operator.indices.astype(np.int32),
        "subdivision_rows": operator.indptr.astype(np.int32),
        "faces": faces.astype(np.int32),
    }


def write(folder: Path) -> None:
    """Build everything and write the four files."""
    folder.mkdir(parents=True, exist_ok=True)
    hand = build_hand()
    for name, arrays in (("MANO_RIGHT", hand), ("MANO_LEFT", mirrored(hand))):
        compact = {k: v.astype(np.float32) if v.dtype == float else v for k, v in arrays.items()}
        np.savez_compressed(folder / f"{name}.npz", **compact)
    for name, arrays in ((DETAIL_FILE, build_detail(hand)), ("arm.safetensors", build_arm(hand))):
        save_file(arrays, folder / name)
        (folder / name).chmod(0o644)


def normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3), weighted by the area of the faces around each vertex."""
    corners = vertices[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(total, faces[:, corner], face_normals)
    return total / np.linalg.norm(total, axis=1, keepdims=True)


def _surface(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Height along the normal (V,), albedo (V, 3) and nails (V,) of a subdivided right hand: back
    to the implicit surface, which subdivision smooths, and the skin's own relief on top."""
    outward, height = normals(points, faces), np.zeros(len(points))
    for _ in range(4):
        here, step = points + height[:, None] * outward, 2e-4 * outward
        slope = (distance(here + step) - distance(here - step)) / 4e-4
        height -= np.clip(distance(here) / np.maximum(slope, 0.4), -1e-3, 1e-3)
    height = np.clip(height, -7e-4, 7e-4)  # webs, where more would tear in bent hands
    height *= np.clip((CUT_X - points[:, 0]) / 0.004, 0.0, 1.0)
    skin_points = points + height[:, None] * outward
    # A little smoothing, as what is finer than the mesh would show its triangles.
    relief = smooth(skin.relief(skin_points, outward)[:, None], faces)[:, 0]
    albedo = smooth(skin.albedo(skin_points, outward), faces)
    return height + relief, albedo, skin.nail_mask(skin_points)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m emo2.hands.template OUT_DIR")
    write(Path(sys.argv[1]))
