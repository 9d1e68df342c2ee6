"""A `HandMotion` from binary glTF: our own .glb and .vrma, and animated humanoids from elsewhere.

The animation's channels are read, not a copy of the motion; what a tool has changed in them is what
comes in. Our own files give back rotations, places, visibility, shape, frame rate and meta (what
.vrma keeps is said there). Others need bones that a VRM extension names, or that bear the names of
VRM, Mixamo and the like; `retarget` does the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emo2.motion.formats.bone_names import find_bones, needed_bones
from emo2.motion.formats.gltf_file import GltfFile
from emo2.motion.formats.gltf_scene import Scene
from emo2.motion.formats.report import Context, Imported, ImportReport
from emo2.motion.formats.retarget import Humanoid, retarget
from emo2.motion.formats.vrm_skeleton import SIDES
from emo2.types import NUM_BETAS, NUM_HANDS, HandMotion

MAX_FRAMES = 100_000
"""More than an hour of film; two keys that lie far apart must not fill the memory."""
LEAST_FPS, MOST_FPS = 0.1, 1000.0
SPARSE_FPS, KEYFRAMED_FPS = 10.0, 24.0
"""Keys rarer than the former were set by hand; what lies between them is sampled at the latter."""
SHOWN_SCALE = 0.5
"""A hand this much smaller than at its largest is hidden."""
_VRM0_THUMB = {"Proximal": "Metacarpal", "Intermediate": "Proximal", "Distal": "Distal"}


def read(path: Path, context: Context) -> Imported:
    """The registry's reader."""
    path = Path(path)
    gltf = GltfFile(path)
    scene = Scene(gltf)
    facts = _facts(gltf)
    bones = _bones(gltf, scene)
    names = needed_bones(bones, "motion", path)
    times_s, fps, remarks = _times(gltf, scene, [bones[n] for n in names], facts.get("fps"))
    nodes = [bones[name] for name in names]
    rotations, places = scene.world(nodes, times_s)
    rest_rotations, rest_places = scene.rest(nodes)
    humanoid = Humanoid(
        {name: k for k, name in enumerate(names)}, rest_rotations, rest_places, rotations, places
    )
    hands = retarget(humanoid)
    sizes = [scene.value(bones[f"{side}Hand"], "scale", times_s).min(axis=1) for side in SIDES]
    motion = HandMotion(
        quaternions=hands.quaternions,
        translation_m=hands.translation_m,
        visible=np.stack([size > SHOWN_SCALE * size.max() for size in sizes], axis=1),
        betas=facts.get("betas", hands.betas),
        fps=fps,
        meta=facts.get("meta", {}),
    )
    if not facts:
        remarks += hands.remarks
    elif "VRMC_vrm_animation" in gltf.object(gltf.document, "extensions"):
        remarks += ("a VRM animation keeps no hidden hands and no place beyond an arm's reach",)
    kind = "vrma" if path.suffix.lower() == ".vrma" else "glb"
    convention = "glTF: metres, y up, quaternions xyzw; hands relative to the shoulders"
    return Imported(motion, ImportReport(kind, fps, convention, remarks))


def _facts(gltf: GltfFile) -> dict[str, Any]:
    """What our writer said of the file, or an empty dict."""
    for scene in gltf.items("scenes"):
        extras = scene.get("extras")
        facts = extras.get("emo2") if isinstance(extras, dict) else None
        if isinstance(facts, dict):
            try:
                betas = np.asarray(facts["betas"], dtype=np.float64)
                fps, meta = float(facts["fps"]), facts["meta"]
            except (KeyError, TypeError, ValueError) as error:
                raise gltf.refuse("extras.emo2 must hold fps, betas and meta", error) from error
            whole = betas.shape == (NUM_HANDS, NUM_BETAS) and np.isfinite(betas).all()
            if not (whole and isinstance(meta, dict) and LEAST_FPS <= fps <= MOST_FPS):
                raise gltf.refuse("extras.emo2 must hold fps, betas and meta", "other values")
            return {"fps": fps, "betas": betas, "meta": meta}
    return {}


def _bones(gltf: GltfFile, scene: Scene) -> dict[str, int]:
    """VRM 1.0's names -> nodes: as an extension says, else by the nodes' names."""
    extensions = gltf.object(gltf.document, "extensions")
    found = {}
    for key in ("VRMC_vrm", "VRMC_vrm_animation"):
        humanoid = gltf.object(gltf.object(extensions, key), "humanoid")
        bones = gltf.object(humanoid, "humanBones")
        found.update({name: gltf.object(bones, name).get("node") for name in bones})
    for bone in gltf.objects(gltf.object(gltf.object(extensions, "VRM"), "humanoid"), "humanBones"):
        side, thumb, segment = str(bone.get("bone")).partition("Thumb")
        found[side + thumb + _VRM0_THUMB.get(segment, segment)] = bone.get("node")
    for node in found.values():
        gltf.item("nodes", node)
    return found or find_bones(scene.names)


def _times(
    gltf: GltfFile, scene: Scene, nodes: list[int], fps: float | None
) -> tuple[np.ndarray, float, tuple[str, ...]]:
    """Frame times (T,) [s], their rate, and a remark where the keys had other times."""
    wanted = set(nodes)
    keys = [c.times_s for (node, _), c in scene.channels.items() if node in wanted]
    if not keys:
        raise gltf.refuse("must move its hands", "an animation of other bones")
    longest = max(keys, key=len)
    start, stop = min(k[0] for k in keys), max(k[-1] for k in keys)
    if fps is None:
        step = float(np.median(np.diff(longest))) if len(longest) > 1 else 1 / 24
        fps = 1 / step
        fps = round(fps) if abs(fps - round(fps)) < 0.01 else fps
        fps = fps if fps >= SPARSE_FPS else KEYFRAMED_FPS
    count = round((stop - start) * fps) + 1
    if not (LEAST_FPS <= fps <= MOST_FPS and 0 < count <= MAX_FRAMES):
        raise gltf.refuse(
            f"must have at most {MAX_FRAMES} frames at up to {MOST_FPS:g} a second",
            f"{stop - start:g} s at {fps:g}",
        )
    times_s = start + np.arange(count) / fps
    even = len(longest) == count and np.abs(longest - times_s).max() < 1e-2 / fps
    remarks = () if even else (f"keys at uneven times: sampled at {fps:g} frames per second",)
    return times_s, float(fps), remarks
