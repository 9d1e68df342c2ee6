"""The free hands as game engines want them: a fine surface, four bone weights a vertex, corrective
shapes.

Files made for others hold this project's own hand, never the one a person loaded: MANO's meshes may
not be handed on. `HandModel` adds pose correctives, skins with all its weights and subdivides last;
an engine subdivides first and skins with four; corrective shapes make up for the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from emo2.errors import MissingCheckpoint
from emo2.motion.formats.engine_shapes import Corrective, fit_correctives
from emo2.motion.formats.vrm_skeleton import BONES, JOINT_BONES
from emo2.types import NUM_BETAS, NUM_HANDS

FREE_HANDS = Path(__file__).resolve().parents[3] / "checkpoints" / "demo" / "hands"
"""The bundled free hands."""
INFLUENCES = 4
_SKIN = ((0.64, 0.43, 0.33), (0.70, 0.42, 0.29))
LOOKS = {
    "skin": (_SKIN, 0.62),
    "nails": (_SKIN, 0.35),
    "cuff": (((0.10, 0.22, 0.40), (0.42, 0.17, 0.10)), 0.9),
}
"""Linear colours of the left and the right hand, as in the preview, and roughness."""
_FILES = ("MANO_LEFT.npz", "MANO_RIGHT.npz")


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

    def shape_names(self, hand: int) -> list[str]:
        """What each corrective shape is called: after its bone, and counted."""
        bones = [BONES[JOINT_BONES[hand, c.joint]].name for c in self.correctives]
        return [f"{bone}_{bones[: k + 1].count(bone)}" for k, bone in enumerate(bones)]


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
                    for c in fit_correctives(
                        hand, arrays[hand], rest[hand], operator, joints, weights
                    )
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
