"""The free hands as game engines want them: a fine surface, four bone weights a vertex, corrective
shapes.

Files made for others hold this project's own hand, never the one a person loaded: MANO's meshes may
not be handed on. `HandModel` subdivides after it has skinned; here the surface is subdivided at
rest and its weights with it, which differs from the former by a fraction of a millimetre.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emo2.errors import MissingCheckpoint
from emo2.motion.rotations import to_matrix
from emo2.types import NUM_BETAS, NUM_HANDS, HandMotion

FREE_HANDS = Path(__file__).resolve().parents[3] / "checkpoints" / "demo" / "hands"
"""The bundled free hands."""
INFLUENCES = 4
SMALLEST_MOVE_M = 2e-5
"""Corrective shapes leave out vertices that move less, and are left out where none moves more."""
_FILES = ("MANO_LEFT.npz", "MANO_RIGHT.npz")


@dataclass(frozen=True)
class Corrective:
    """A shape that is added as a joint bends, so that flesh keeps its volume."""

    joint: int
    """MANO's number."""
    turn: np.ndarray
    """(9,): its weight is this times the rows of the joint's matrix less the identity."""
    moves_m: np.ndarray
    """(N, 3) float32: how every vertex moves at weight 1."""

    def weights(self, motion: HandMotion, hand: int) -> np.ndarray:
        """(T,) float32."""
        turns = to_matrix(motion.quaternions[:, hand, self.joint].astype(np.float64)) - np.eye(3)
        return (turns.reshape(-1, 9) @ self.turn).astype(np.float32)


@dataclass(frozen=True)
class SkinnedHand:
    """One hand with its cuff at rest: flat, the wrist joint at the origin, body frame's axes,
    metres."""

    vertices_m: np.ndarray
    """(N, 3) float32."""
    normals: np.ndarray
    """(N, 3) float32 unit."""
    tint: np.ndarray
    """(N, 3) float32: the surface's linear colour over its material's."""
    joints: np.ndarray
    """(N, 4) uint8: MANO's joints that a vertex follows."""
    weights: np.ndarray
    """(N, 4) float32, sum 1, the largest first."""
    parts: Mapping[str, np.ndarray]
    """Triangles (F, 3) int32 of "skin", "nails" (where known) and "cuff"."""
    correctives: tuple[Corrective, ...]


def free_joints(betas: np.ndarray) -> np.ndarray:
    """(2, 16, 3) metres: the joints of the flat free hands of these shapes (2, 10), each in MANO's
    own frame."""
    hands = [_arrays(hand) for hand in range(NUM_HANDS)]
    return np.stack(
        [a["J_regressor"] @ _shaped(a, b) for a, b in zip(hands, betas, strict=True)]
    ).astype(np.float64)


def joint_shapes() -> np.ndarray:
    """(2, 16, 3, 10) metres: how the joints move with each shape coefficient."""
    hands = [_arrays(hand) for hand in range(NUM_HANDS)]
    return np.stack([np.einsum("jv,vck->jck", a["J_regressor"], a["shapedirs"]) for a in hands])


def free_hands(betas: np.ndarray) -> tuple[SkinnedHand, SkinnedHand]:
    """Both hands of these shapes (2, 10)."""
    from emo2.hands.cuffs import Cuffs
    from emo2.hands.detail import LEVELS, HandDetail
    from emo2.hands.subdivision import loop_subdivision

    arrays = [_arrays(hand) for hand in range(NUM_HANDS)]
    surfaces = [
        loop_subdivision(a["f"].astype(np.int64), len(a["v_template"]), LEVELS) for a in arrays
    ]
    cuffs = Cuffs(np.stack([faces for _, faces in surfaces]))
    detail = HandDetail.from_pretrained(FREE_HANDS)
    return tuple(
        _hand(hand, arrays[hand], betas[hand], *surfaces[hand], cuffs, detail)
        for hand in range(NUM_HANDS)
    )


def _hand(hand, arrays, betas, operator, faces, cuffs, detail) -> SkinnedHand:
    from emo2.hands.raster import vertex_normals

    shaped = _shaped(arrays, betas)
    wrist = (arrays["J_regressor"] @ shaped)[0]
    skin = (operator @ (shaped - wrist)).astype(np.float32)
    tint = np.ones_like(skin)
    nail = np.zeros(len(skin), bool)
    if detail is not None:
        skin += detail.displacement[hand, :, None] * vertex_normals(skin, faces)
        tint, nail = detail.albedo[hand], detail.nail[hand] > 0.5
    cuff, cuff_faces = cuffs.build(skin, hand)
    joints, weights = _strongest(operator @ arrays["weights"])
    on_nail = nail[faces].all(axis=1)
    parts = {"skin": faces[~on_nail], "nails": faces[on_nail], "cuff": cuff_faces + len(skin)}

    def with_cuff(of_skin: np.ndarray, of_cuff: np.ndarray) -> np.ndarray:
        rows = np.broadcast_to(of_cuff, (len(cuff), of_skin.shape[1]))
        return np.concatenate([of_skin, rows]).astype(of_skin.dtype)

    return SkinnedHand(
        vertices_m=with_cuff(skin, cuff),
        normals=with_cuff(vertex_normals(skin, faces), vertex_normals(cuff, cuff_faces)),
        tint=with_cuff(tint.astype(np.float32), np.ones(3)),
        joints=with_cuff(joints, np.zeros(INFLUENCES)),
        weights=with_cuff(weights, np.eye(INFLUENCES)[0]),
        parts={name: faces for name, faces in parts.items() if len(faces)},
        correctives=tuple(
            Corrective(joint, turn, with_cuff(moves, np.zeros(3)))
            for joint, turn, moves in _correctives(arrays["posedirs"], operator)
        ),
    )


def _strongest(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The `INFLUENCES` largest weights (N, 4) of each row, made to sum to 1, and their columns."""
    order = np.argsort(-weights, axis=1, kind="stable")[:, :INFLUENCES]
    kept = np.take_along_axis(weights.astype(np.float64), order, axis=1)
    kept /= kept.sum(axis=1, keepdims=True)
    # Engines want the index 0 where the weight is 0.
    return np.where(kept > 0, order, 0).astype(np.uint8), kept.astype(np.float32)


def _correctives(posedirs: np.ndarray, operator):
    """Yields (joint, turn (9,), moves (N, 3)): MANO's pose correctives with as few shapes as give
    the same. A joint's nine shapes are seldom more than one or two different ones."""
    per_joint = posedirs.reshape(len(posedirs) * 3, -1, 9)
    for joint in range(per_joint.shape[1]):
        shapes, sizes, turns = np.linalg.svd(per_joint[:, joint], full_matrices=False)
        for k, size in enumerate(sizes):
            moves = (operator @ (size * shapes[:, k]).reshape(-1, 3)).astype(np.float32)
            moves[np.linalg.norm(moves, axis=1) < SMALLEST_MOVE_M] = 0.0
            if moves.any():
                # A sign that makes the weight grow as the joint bends: the diagonal shrinks then.
                sign = -1.0 if turns[k, [0, 4, 8]].sum() > 0 else 1.0
                yield joint + 1, sign * turns[k], sign * moves


def _arrays(hand: int) -> dict[str, np.ndarray]:
    path = FREE_HANDS / _FILES[hand]
    if not path.is_file():
        raise MissingCheckpoint(
            "hands",
            "exports draw the bundled free hands",
            path,
            f"Run: python -m emo2.hands.template {FREE_HANDS}",
        )
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def _shaped(arrays: dict[str, np.ndarray], betas: np.ndarray) -> np.ndarray:
    return arrays["v_template"] + arrays["shapedirs"] @ np.asarray(betas)[:NUM_BETAS]
