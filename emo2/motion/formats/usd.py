"""`HandMotion` as USD (UsdSkel): the skinned, animated hands of the .glb, for film pipelines.

One file (.usdc binary, .usda text) holds a SkelRoot with the skeleton, both hands bound to it and
one animation; metres, y up, time codes are frames. Translations, rotations and scales are sampled
at every frame, all three, since Blender drops animations that lack one. Pose correctives are blend
shapes. Written by Pixar's own library, which is large and so not installed with the rest.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.motion.formats.report import Context
from emo2.motion.formats.skinned_hands import LOOKS, SkinnedHand, free_hands, free_joints
from emo2.motion.formats.sound import lay_beside
from emo2.motion.formats.usable import check_writable
from emo2.motion.formats.vrm_skeleton import (
    BONES,
    HANDS,
    JOINT_BONES,
    SIDES,
    body_rotations,
    hand_places,
    rest_offsets,
    rest_places,
)
from emo2.types import HandMotion

_ROOT = "/Hands"


def write(motion: HandMotion, path: Path, context: Context) -> None:
    """The registry's writer of .usdc and .usda. Raises `InputError` where `usd-core` is missing."""
    check_writable(motion)
    try:
        from pxr import Sdf, Usd, UsdGeom, UsdShade, UsdSkel
    except ImportError as error:
        raise InputError(
            "out", "USD needs Pixar's library", "usd-core is missing", "Run: pip install usd-core"
        ) from error
    path = Path(path)
    facts = {"fps": motion.fps, "betas": motion.betas.tolist(), "meta": dict(motion.meta)}
    if context.audio is not None:
        facts["audio"] = lay_beside(Path(context.audio), path)
    layer = Sdf.Layer.CreateAnonymous(path.suffix)
    stage = Usd.Stage.Open(layer)
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    stage.SetTimeCodesPerSecond(motion.fps)
    stage.SetFramesPerSecond(motion.fps)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(motion.num_frames - 1)
    root = UsdSkel.Root.Define(stage, _ROOT)
    root.GetPrim().SetCustomDataByKey("emo2", json.dumps(facts, sort_keys=True))
    stage.SetDefaultPrim(root.GetPrim())

    places_m = rest_places(free_joints(motion.betas))
    hands = free_hands(motion.betas)
    names = [surface.shape_names(hand) for hand, surface in enumerate(hands)]
    skeleton = _skeleton(stage, places_m)
    _animation(stage, skeleton, motion, places_m, hands, names)
    material = _material(stage)
    for hand, surface in enumerate(hands):
        mesh = _mesh(stage, skeleton, surface, places_m[HANDS[hand]], hand, names[hand])
        UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)

    part = path.with_name(f".part-{path.name}")
    try:
        if not layer.Export(str(part)):
            raise InputError("out", "must be a place that can be written", path, "Choose another.")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _skeleton(stage, places_m: np.ndarray):
    from pxr import Gf, UsdSkel

    def moved(offset: np.ndarray) -> Gf.Matrix4d:
        return Gf.Matrix4d().SetTranslate(Gf.Vec3d(*offset.tolist()))

    skeleton = UsdSkel.Skeleton.Define(stage, f"{_ROOT}/Skeleton")
    skeleton.CreateJointsAttr(_joint_paths())
    skeleton.CreateBindTransformsAttr([moved(place) for place in places_m])
    skeleton.CreateRestTransformsAttr([moved(offset) for offset in rest_offsets(places_m)])
    return skeleton


def _joint_paths() -> list[str]:
    paths: list[str] = []
    for bone in BONES:
        above = f"{paths[bone.parent]}/" if bone.parent >= 0 else ""
        paths.append(above + bone.name)
    return paths


def _animation(stage, skeleton, motion, places_m, hands, names) -> None:
    from pxr import UsdSkel, Vt

    animation = UsdSkel.Animation.Define(stage, f"{_ROOT}/Skeleton/Animation")
    animation.CreateJointsAttr(_joint_paths())
    animation.CreateBlendShapesAttr([name for of_hand in names for name in of_hand])
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets(
        [animation.GetPath()]
    )
    rotations = body_rotations(motion)
    count = motion.num_frames
    translations = np.tile(rest_offsets(places_m).astype(np.float32), (count, 1, 1))
    translations[:, HANDS] = hand_places(motion, rotations)
    scales = np.ones((count, len(BONES), 3), np.float16)
    scales[:, HANDS] = motion.visible[..., None]
    xyzw = rotations[..., [1, 2, 3, 0]].astype(np.float32)
    weights = np.concatenate(
        [
            np.stack([c.weights(motion, hand) for c in surface.correctives], axis=1)
            for hand, surface in enumerate(hands)
        ],
        axis=1,
    )
    tracks = (
        (animation.CreateTranslationsAttr(), Vt.Vec3fArray, translations),
        (animation.CreateRotationsAttr(), Vt.QuatfArray, xyzw),
        (animation.CreateScalesAttr(), Vt.Vec3hArray, scales),
        (animation.CreateBlendShapeWeightsAttr(), Vt.FloatArray, weights),
    )
    for attribute, kind, values in tracks:
        for frame in range(count):
            attribute.Set(kind.FromNumpy(np.ascontiguousarray(values[frame])), frame)


def _mesh(stage, skeleton, surface: SkinnedHand, wrist_m, hand: int, names: list[str]):
    from pxr import Gf, UsdGeom, UsdSkel, Vt

    side = SIDES[hand]
    mesh = UsdGeom.Mesh.Define(stage, f"{_ROOT}/{side}_hand")
    faces = np.concatenate(list(surface.parts.values()))
    points = (surface.vertices_m + wrist_m).astype(np.float32)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(points))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(faces), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(faces.astype(np.int32).ravel()))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(surface.normals))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateDoubleSidedAttr(False)
    mesh.CreateExtentAttr(UsdGeom.Mesh.ComputeExtent(mesh.GetPointsAttr().Get()))
    colours = surface.tint * np.array(LOOKS["skin"][0][hand], np.float32)
    colours[surface.parts["cuff"]] = LOOKS["cuff"][0][hand]
    primvar = mesh.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex)
    primvar.Set(Vt.Vec3fArray.FromNumpy(colours))
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1.0))
    joints = JOINT_BONES[hand][surface.joints].astype(np.int32)
    influences = surface.weights.shape[1]
    binding.CreateJointIndicesPrimvar(False, influences).Set(Vt.IntArray.FromNumpy(joints.ravel()))
    binding.CreateJointWeightsPrimvar(False, influences).Set(
        Vt.FloatArray.FromNumpy(surface.weights.ravel())
    )
    targets = []
    for name, corrective in zip(names, surface.correctives, strict=True):
        shape = UsdSkel.BlendShape.Define(stage, mesh.GetPath().AppendChild(name))
        rows = np.flatnonzero(corrective.moves_m.any(axis=1))
        shape.CreatePointIndicesAttr(Vt.IntArray.FromNumpy(rows.astype(np.int32)))
        shape.CreateOffsetsAttr(Vt.Vec3fArray.FromNumpy(corrective.moves_m[rows]))
        targets.append(shape.GetPath())
    binding.CreateBlendShapesAttr(names)
    binding.CreateBlendShapeTargetsRel().SetTargets(targets)
    return mesh


def _material(stage):
    """A rough surface in the colours of the vertices."""
    from pxr import Sdf, UsdShade

    material = UsdShade.Material.Define(stage, f"{_ROOT}/Look")
    surface = UsdShade.Shader.Define(stage, f"{_ROOT}/Look/Surface")
    surface.CreateIdAttr("UsdPreviewSurface")
    surface.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(LOOKS["skin"][1])
    colour = UsdShade.Shader.Define(stage, f"{_ROOT}/Look/Colour")
    colour.CreateIdAttr("UsdPrimvarReader_float3")
    colour.CreateInput("varname", Sdf.ValueTypeNames.String).Set("displayColor")
    colour.CreateOutput("result", Sdf.ValueTypeNames.Float3)
    diffuse = surface.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f)
    diffuse.ConnectToSource(colour.ConnectableAPI(), "result")
    surface.CreateOutput("surface", Sdf.ValueTypeNames.Token)
    material.CreateSurfaceOutput().ConnectToSource(surface.ConnectableAPI(), "surface")
    return material
