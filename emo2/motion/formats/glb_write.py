"""`HandMotion` as binary glTF 2.0: skinned, animated hands (.glb), or a VRM animation (.vrma).

Both: metres, y up, the person looks along +z, quaternions xyzw without sign flips, one LINEAR key a
frame, VRM 1.0's bone names, T-pose at rest. What a file says of itself is JSON under
`scenes[0].extras.emo2`; sound lies beside the file under the same name and is named there.

.glb: the scene's origin is the body frame's, midway between the shoulders, so bones stand where the
motion's joints are, to float32. A hidden hand has scale 0 (STEP keys), as the specification advises
for visibility; three.js, Blender, Unity and Unreal all show that. The mesh is this project's free
hand in the motion's shape; pose correctives are morph targets with animated weights.

.vrma: the body stands on y = 0. Avatars have arms of their own length, so the format allows only
rotations here: where hands are follows from the arms, and hidden hands are not told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emo2.errors import InputError
from emo2.motion.formats.gltf_file import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, GltfWriter
from emo2.motion.formats.report import Context
from emo2.motion.formats.skinned_hands import LOOKS, SkinnedHand, free_hands, free_joints
from emo2.motion.formats.sound import lay_beside
from emo2.motion.formats.usable import check_writable
from emo2.motion.formats.vrm_skeleton import (
    BONES,
    FLOOR_M,
    HANDS,
    INDEX,
    JOINT_BONES,
    LOWER_ARMS,
    SIDES,
    UPPER_ARMS,
    body_rotations,
    hand_places,
    rest_offsets,
    rest_places,
)
from emo2.types import HandMotion

GENERATOR = "EMO2 Studio"
VERSION = 1
CONVENTION = (
    "metres, y up, +z forward, T-pose at rest with the axes of the scene; origin midway between "
    "the shoulders; hand bones are MANO's wrist joints, fingers MANO's, flat hand = identity"
)
_ANIMATED = np.concatenate([np.stack([UPPER_ARMS, LOWER_ARMS], axis=1), JOINT_BONES], axis=1)
"""(2, 18): the bones of each side that move."""


def write(motion: HandMotion, path: Path, context: Context) -> None:
    """The registry's writer of .glb."""
    check_writable(motion)
    joints_m = free_joints(motion.betas)
    places_m = rest_places(joints_m)
    rotations = body_rotations(motion).astype(np.float32)
    gltf = _skeleton(places_m)
    track = _Track(gltf, motion)
    track.rotations(rotations)
    hands_m = hand_places(motion, rotations.astype(np.float64)).astype(np.float32)
    skin = _skin(gltf, places_m)
    roots = [INDEX["hips"]]
    for hand, mesh in enumerate(free_hands(motion.betas)):
        track.add(HANDS[hand], "translation", hands_m[:, hand])
        if not motion.visible[:, hand].all():
            shown = np.repeat(motion.visible[:, hand, None], 3, axis=1).astype(np.float32)
            track.add(HANDS[hand], "scale", shown, "STEP")
        node = _mesh(gltf, mesh, places_m[HANDS[hand]], hand, skin)
        roots.append(node)
        if mesh.correctives:
            weights = np.stack([c.weights(motion, hand) for c in mesh.correctives], axis=1)
            track.add(node, "weights", weights.reshape(-1))
    _finish(gltf, motion, roots, path, context)


def write_vrma(motion: HandMotion, path: Path, context: Context) -> None:
    """The registry's writer of .vrma (VRMC_vrm_animation 1.0)."""
    check_writable(motion)
    gltf = _skeleton(rest_places(free_joints(motion.betas)) - [0.0, FLOOR_M, 0.0])
    _Track(gltf, motion).rotations(body_rotations(motion).astype(np.float32))
    humanoid = {"humanBones": {bone.name: {"node": k} for k, bone in enumerate(BONES)}}
    gltf.document["extensionsUsed"] = ["VRMC_vrm_animation"]
    gltf.document["extensions"] = {
        "VRMC_vrm_animation": {"specVersion": "1.0", "humanoid": humanoid}
    }
    _finish(gltf, motion, [INDEX["hips"]], path, context)


class _Track:
    """The one animation: channels that share their key times."""

    def __init__(self, gltf: GltfWriter, motion: HandMotion) -> None:
        self._gltf = gltf
        times_s = (np.arange(motion.num_frames) / motion.fps).astype(np.float32)
        self._times = gltf.array(times_s, bounds=True)
        self._animation = {"name": "hands", "channels": [], "samplers": []}
        gltf.document["animations"] = [self._animation]

    def add(self, node: int, path: str, values: np.ndarray, interpolation: str = "LINEAR") -> None:
        """Animate a node's property by (T, width) float32."""
        self._animation["samplers"].append(
            {
                "input": self._times,
                "output": self._gltf.array(values),
                "interpolation": interpolation,
            }
        )
        sampler = len(self._animation["samplers"]) - 1
        self._animation["channels"].append(
            {"sampler": sampler, "target": {"node": node, "path": path}}
        )

    def rotations(self, quaternions: np.ndarray) -> None:
        """Animate arms, hands and fingers by (T, B, 4) wxyz."""
        for bone in _ANIMATED.ravel().tolist():
            self.add(bone, "rotation", quaternions[:, bone, [1, 2, 3, 0]])


def _skeleton(places_m: np.ndarray) -> GltfWriter:
    """A document whose nodes 0..B-1 are the bones at these places (B, 3)."""
    gltf = GltfWriter(GENERATOR)
    offsets = rest_offsets(places_m)
    for k, bone in enumerate(BONES):
        node: dict[str, Any] = {"name": bone.name, "translation": offsets[k].tolist()}
        children = [c for c, other in enumerate(BONES) if other.parent == k]
        if children:
            node["children"] = children
        gltf.add("nodes", node)
    return gltf


def _skin(gltf: GltfWriter, places_m: np.ndarray) -> int:
    """All bones as one skin, so that tools build one armature with the whole body."""
    matrices = np.tile(np.eye(4, dtype=np.float32), (len(BONES), 1, 1))
    matrices[:, :3, 3] = -places_m
    columns = matrices.transpose(0, 2, 1).reshape(-1, 16)
    return gltf.add(
        "skins",
        {
            "name": "body",
            "skeleton": INDEX["hips"],
            "joints": list(range(len(BONES))),
            "inverseBindMatrices": gltf.array(columns),
        },
    )


def _mesh(gltf: GltfWriter, hand: SkinnedHand, wrist_m: np.ndarray, side: int, skin: int) -> int:
    """The node of one hand's mesh, bound to the skeleton at its T-pose."""
    vertices = (hand.vertices_m + wrist_m).astype(np.float32)
    # Tints are about 1, stored colours at most 1: scaled here, and back in the material's colour.
    brightest = float(hand.tint.max())
    colours = np.full((len(vertices), 4), 255, np.uint8)
    colours[:, :3] = np.rint(255 * np.clip(hand.tint / brightest, 0.0, 1.0))
    attributes = {
        "POSITION": gltf.array(vertices, target=ARRAY_BUFFER, bounds=True),
        "NORMAL": gltf.array(hand.normals, target=ARRAY_BUFFER),
        "COLOR_0": gltf.array(colours, target=ARRAY_BUFFER, normalized=True),
        "JOINTS_0": gltf.array(
            JOINT_BONES[side][hand.joints].astype(np.uint8) * (hand.weights > 0),
            target=ARRAY_BUFFER,
        ),
        "WEIGHTS_0": gltf.array(hand.weights, target=ARRAY_BUFFER),
    }
    targets = [{"POSITION": gltf.sparse(c.moves_m)} for c in hand.correctives]
    primitives = []
    for part, faces in hand.parts.items():
        primitive = {
            "attributes": attributes,
            "indices": gltf.array(faces.astype(np.uint16).reshape(-1), target=ELEMENT_ARRAY_BUFFER),
            "material": _material(gltf, side, part, brightest),
        }
        if targets:
            primitive["targets"] = targets
        primitives.append(primitive)
    mesh: dict[str, Any] = {"name": f"{SIDES[side]} hand", "primitives": primitives}
    if targets:
        mesh["weights"] = [0.0] * len(targets)
        mesh["extras"] = {"targetNames": hand.shape_names(side)}
    return gltf.add(
        "nodes",
        {"name": f"{SIDES[side]} hand mesh", "mesh": gltf.add("meshes", mesh), "skin": skin},
    )


def _material(gltf: GltfWriter, side: int, part: str, brightest: float) -> int:
    """The material of one part of one hand."""
    colours, roughness = LOOKS[part]
    surface = {
        "baseColorFactor": [*(min(c * brightest, 1.0) for c in colours[side]), 1.0],
        "metallicFactor": 0.0,
        "roughnessFactor": roughness,
    }
    return gltf.add("materials", {"name": f"{SIDES[side]} {part}", "pbrMetallicRoughness": surface})


def _finish(
    gltf: GltfWriter, motion: HandMotion, roots: list[int], path: Path, context: Context
) -> None:
    """Describe the file, lay the sound beside it, write it."""
    facts = {
        "version": VERSION,
        "fps": float(motion.fps),
        "frames": motion.num_frames,
        "betas": motion.betas.tolist(),
        "convention": CONVENTION,
        "mesh": "the free hand of EMO2 Studio, Apache-2.0; it is not MANO's",
        "meta": _plain(motion.meta),
    }
    if context.audio is not None:
        facts["audio"] = lay_beside(Path(context.audio), path)
    gltf.document["scenes"] = [{"name": "hands", "nodes": roots, "extras": {"emo2": facts}}]
    gltf.document["scene"] = 0
    gltf.save(path)


def _plain(meta: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return json.loads(json.dumps(dict(meta), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(
            "meta", "must hold JSON values", error, "Leave out what is not text or numbers."
        ) from error
