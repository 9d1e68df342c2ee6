"""The free hands as game engines want them: a fine surface, four bone weights a vertex, corrective
shapes.

Files made for others hold this project's own hand, never the one a person loaded: MANO's meshes may
not be handed on. `HandModel` adds pose correctives, skins with all its weights and subdivides last;
an engine subdivides first and skins with four. The difference is fitted, joint by joint, into
shapes that an engine adds before it skins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from emo2.errors import MissingCheckpoint
from emo2.hands.skeleton import FIRST_JOINT, LEFT, PARENTS, finger_axes
from emo2.motion.rotations import from_axis_angle, to_matrix
from emo2.types import NUM_BETAS, NUM_HANDS, NUM_JOINTS, HandMotion

FREE_HANDS = Path(__file__).resolve().parents[3] / "checkpoints" / "demo" / "hands"
"""The bundled free hands."""
INFLUENCES = 4
SMALLEST_MOVE_M = 3e-5
"""Vertices that a corrective shape moves less stay out of it."""
_BENDS_RAD = np.deg2rad([-30.0, 20.0, 40.0, 60.0, 80.0, 100.0])
"""The angles of flexion that corrective shapes are fitted at."""
_SKIN = ((0.64, 0.43, 0.33), (0.70, 0.42, 0.29))
LOOKS = {
    "skin": (_SKIN, 0.62),
    "nails": (_SKIN, 0.35),
    "cuff": (((0.10, 0.22, 0.40), (0.42, 0.17, 0.10)), 0.9),
}
"""Linear colours of the left and the right hand, as in the preview, and roughness."""
_FILES = ("MANO_LEFT.npz", "MANO_RIGHT.npz")


@dataclass(frozen=True)
class Corrective:
    """A shape that is added before skinning as a joint bends."""

    name: str
    """"bend" grows with 1 - cos of the joint's angle, "turn" with the sine of its flexion."""
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
    """Triangles (F, 3) int32 of "skin", "nails" and "cuff"."""
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
    return _built(np.asarray(betas, np.float32).tobytes())


@lru_cache(maxsize=2)
def _built(shapes: bytes) -> tuple[SkinnedHand, SkinnedHand]:
    from emo2.hands.cuffs import Cuffs
    from emo2.hands.detail import LEVELS, HandDetail
    from emo2.hands.raster import vertex_normals
    from emo2.hands.subdivision import loop_subdivision

    betas = np.frombuffer(shapes, np.float32).reshape(NUM_HANDS, NUM_BETAS)
    detail = HandDetail.from_pretrained(FREE_HANDS)
    if detail is None:
        raise _missing(FREE_HANDS)
    arrays = [_arrays(hand) for hand in range(NUM_HANDS)]
    rest = np.stack([_shaped(a, b) for a, b in zip(arrays, betas, strict=True)])
    wrists = np.stack([a["J_regressor"][0] @ r for a, r in zip(arrays, rest, strict=True)])
    surfaces = detail.subdivide(rest - wrists[:, None])
    cuffs = Cuffs(detail.smooth_faces)
    out = []
    for hand in range(NUM_HANDS):
        faces, skin = detail.smooth_faces[hand], surfaces[hand]
        cuff, cuff_faces = cuffs.build(skin, hand)
        normals = vertex_normals(skin, faces), vertex_normals(cuff, cuff_faces)
        on_nail = (detail.nail > 0.5)[faces].all(axis=1)
        given = arrays[hand]["f"].astype(np.int64)
        operator, _ = loop_subdivision(given, len(rest[hand]), LEVELS)
        joints, weights = _strongest(operator @ arrays[hand]["weights"])
        extra = len(cuff)
        out.append(
            SkinnedHand(
                vertices_m=np.concatenate([skin, cuff]),
                normals=np.concatenate(normals),
                tint=_with_cuff(detail.albedo, extra, 1.0),
                joints=_with_cuff(joints, extra, 0),
                weights=_with_cuff(weights, extra, np.eye(INFLUENCES)[0]),
                parts={
                    "skin": faces[~on_nail],
                    "nails": faces[on_nail],
                    "cuff": cuff_faces + len(skin),
                },
                correctives=tuple(
                    replace(c, moves_m=_with_cuff(c.moves_m, extra, 0.0))
                    for c in _correctives(hand, arrays[hand], rest[hand], operator)
                ),
            )
        )
    return tuple(out)


def _with_cuff(of_skin: np.ndarray, count: int, of_cuff: np.ndarray | float) -> np.ndarray:
    """Rows of the skin's vertices, then the same row for each of the cuff's."""
    rows = np.broadcast_to(np.asarray(of_cuff, of_skin.dtype), (count, of_skin.shape[1]))
    return np.concatenate([of_skin, rows])


def _strongest(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The `INFLUENCES` largest weights (N, 4) of each row, made to sum to 1, and their columns."""
    order = np.argsort(-weights, axis=1, kind="stable")[:, :INFLUENCES]
    kept = np.take_along_axis(weights.astype(np.float64), order, axis=1)
    kept /= kept.sum(axis=1, keepdims=True)
    # Engines want the index 0 where the weight is 0.
    return np.where(kept > 0, order, 0).astype(np.uint8), kept.astype(np.float32)


def _correctives(
    hand: int, arrays: dict[str, np.ndarray], rest: np.ndarray, operator
) -> Iterator[Corrective]:
    """Two shapes a joint that make the fine surface (N vertices), skinned, what `HandModel` makes
    of the flat hand's vertices `rest` (778, 3) when that joint alone bends."""
    places = arrays["J_regressor"] @ rest
    fine = operator @ rest
    joints, weights = _strongest(operator @ arrays["weights"])
    features = np.stack([1 - np.cos(_BENDS_RAD), np.sin(_BENDS_RAD)], axis=1)
    for joint in range(1, NUM_JOINTS):
        axis = _flexion_axis(joint, hand)
        below = np.array([_hangs_on(k, joint) for k in range(NUM_JOINTS)])
        share = arrays["weights"] @ below  # of the turn that a vertex takes
        fine_share = (weights * below[joints]).sum(axis=1)
        missed = []
        for angle in _BENDS_RAD:
            matrix = to_matrix(from_axis_angle(angle * axis))
            turn = matrix - np.eye(3)
            correct = arrays["posedirs"][..., 9 * (joint - 1) : 9 * joint] @ turn.ravel()
            shaped = rest + correct
            posed = operator @ (shaped + share[:, None] * ((shaped - places[joint]) @ turn.T))
            skinned = fine + fine_share[:, None] * ((fine - places[joint]) @ turn.T)
            miss = posed - skinned
            rows = np.flatnonzero(np.abs(miss).max(axis=1) > SMALLEST_MOVE_M / 10)
            blends = np.eye(3) + fine_share[rows, None, None] * turn
            miss[rows] = np.linalg.solve(blends, miss[rows, :, None])[..., 0]
            missed.append(miss)
        shapes = np.linalg.lstsq(features, np.stack(missed).reshape(len(features), -1), rcond=None)
        # As functions of the matrix: its diagonal's fall, and its part that is odd about the axis.
        x, y, z = axis
        odd = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        for name, turn, moves in zip(
            ("bend", "turn"), (-np.eye(3) / 2, odd / 2), shapes[0], strict=True
        ):
            moves = moves.reshape(-1, 3).astype(np.float32)
            moves[np.linalg.norm(moves, axis=1) < SMALLEST_MOVE_M] = 0.0
            if moves.any():
                yield Corrective(name, joint, turn.ravel(), moves)


def _flexion_axis(joint: int, hand: int) -> np.ndarray:
    """(3,) unit: what a finger joint of the flat hand bends about, towards the palm."""
    finger, first = max(
        ((f, k) for f, k in FIRST_JOINT.items() if k <= joint), key=lambda item: item[1]
    )
    axis = finger_axes(finger)[joint - first, 2]
    return axis * [1.0, -1.0, -1.0] if hand == LEFT else axis


def _hangs_on(joint: int, other: int) -> bool:
    """Does `joint` move when `other` turns?"""
    while joint > other:
        joint = PARENTS[joint]
    return joint == other


def _arrays(hand: int) -> dict[str, np.ndarray]:
    path = FREE_HANDS / _FILES[hand]
    if not path.is_file():
        raise _missing(path)
    with np.load(path, allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def _shaped(arrays: dict[str, np.ndarray], betas: np.ndarray) -> np.ndarray:
    return arrays["v_template"] + arrays["shapedirs"] @ np.asarray(betas)[:NUM_BETAS]


def _missing(path: Path) -> MissingCheckpoint:
    from emo2.hands.arm import template_command

    rule = "exports draw the bundled free hands"
    return MissingCheckpoint("hands", rule, path, f"Run: {template_command(FREE_HANDS)}")
