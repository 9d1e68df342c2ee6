"""Motions as glTF, VRM animation and USD, out and in again, and on other people's rigs."""

import json
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_hands import anything, off_by, speaker
from scipy.spatial.transform import Rotation

from emo2.errors import InputError
from emo2.hands.detail import HandDetail
from emo2.hands.model import HandModel
from emo2.motion.formats import Context, read_motion, write_motion
from emo2.motion.formats.bone_names import find_bones
from emo2.motion.formats.gltf_file import GltfFile, GltfWriter
from emo2.motion.formats.skinned_hands import FREE_HANDS, free_joints
from emo2.motion.formats.vrm_skeleton import BONES, JOINT_BONES, rest_offsets, rest_places
from emo2.motion.rotations import angle_between, slerp
from emo2.types import HandMotion

FINGERS = [
    f"{side}{finger}{part}"
    for side in ("left", "right")
    for finger, parts in {
        "Thumb": ("Metacarpal", "Proximal", "Distal"),
        **{
            f: ("Proximal", "Intermediate", "Distal") for f in ("Index", "Middle", "Ring", "Little")
        },
    }.items()
    for part in parts
]
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}
DTYPES = {5121: "<u1", 5123: "<u2", 5126: "<f4"}


def parts_of(path: Path) -> tuple[dict, bytes]:
    """JSON and binary chunk, read without our reader."""
    data = path.read_bytes()
    magic, version, total, length, kind = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, total, kind) == (b"glTF", 2, len(data), b"JSON")
    binary, kind = struct.unpack_from("<I4s", data, 20 + length)
    assert kind == b"BIN\0"
    assert length % 4 == 0 == binary % 4
    assert 28 + length + binary == total
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def accessor(document: dict, binary: bytes, index: int) -> np.ndarray:
    item = document["accessors"][index]
    view = document["bufferViews"][item["bufferView"]]
    assert view["byteOffset"] % 4 == 0
    assert view["byteOffset"] + view["byteLength"] <= len(binary)
    dtype = np.dtype(DTYPES[item["componentType"]])
    count = item["count"] * WIDTHS[item["type"]]
    assert view["byteLength"] == count * dtype.itemsize
    values = np.frombuffer(binary, dtype, count, view["byteOffset"])
    values = values.reshape(item["count"], -1)
    if "min" in item:
        assert values.min(0).tolist() == item["min"]
        assert values.max(0).tolist() == item["max"]
    return values


def world_matrices(document: dict, binary: bytes, frame: int) -> dict[str, np.ndarray]:
    """Where every node is at a key, by 4 x 4 matrices and scipy alone."""
    pose = [dict(node) for node in document["nodes"]]
    animation = document["animations"][0]
    for channel in animation["channels"]:
        output = animation["samplers"][channel["sampler"]]["output"]
        node, path = channel["target"]["node"], channel["target"]["path"]
        if path != "weights":
            pose[node][path] = accessor(document, binary, output)[frame]
    found = {}

    def visit(k: int, above: np.ndarray) -> None:
        local = np.eye(4)
        turn = Rotation.from_quat(pose[k].get("rotation", (0, 0, 0, 1)))
        local[:3, :3] = turn.as_matrix() * pose[k].get("scale", (1, 1, 1))
        local[:3, 3] = pose[k].get("translation", (0, 0, 0))
        found[pose[k]["name"]] = above @ local
        for child in pose[k].get("children", ()):
            visit(child, above @ local)

    for root in document["scenes"][document["scene"]]["nodes"]:
        visit(root, np.eye(4))
    return found


@pytest.fixture(scope="module")
def hand_model() -> HandModel:
    return HandModel.from_pretrained(FREE_HANDS)


@pytest.fixture(scope="module")
def talk() -> HandMotion:
    return speaker(betas=0.5)


@pytest.fixture(scope="module")
def talk_glb(talk, tmp_path_factory) -> Path:
    return write_motion(talk, tmp_path_factory.mktemp("glb") / "talk.glb")


# .glb out ------------------------------------------------------------------------------------


def test_glb_is_a_sound_gltf_file(talk, talk_glb):
    document, binary = parts_of(talk_glb)
    nodes, skin = document["nodes"], document["skins"][0]
    assert {node.get("skin") for node in nodes if "mesh" in node} == {0}
    assert len(document["meshes"]) == 2
    inverse = accessor(document, binary, skin["inverseBindMatrices"])
    assert len(inverse) == len(skin["joints"])
    for mesh in document["meshes"]:
        assert {document["materials"][p["material"]]["name"].split()[1] for p in mesh["primitives"]}
        for primitive in mesh["primitives"]:
            read = {
                name: accessor(document, binary, index)
                for name, index in primitive["attributes"].items()
            }
            count = len(read["POSITION"])
            assert count > 4 * 778, "the smooth surface"
            assert accessor(document, binary, primitive["indices"]).max() < count
            np.testing.assert_allclose(read["WEIGHTS_0"].sum(1), 1, atol=1e-6)
            assert read["JOINTS_0"].shape == (count, 4)
            assert read["JOINTS_0"].max() < len(skin["joints"])
            np.testing.assert_allclose(np.linalg.norm(read["NORMAL"], axis=1), 1, atol=1e-5)
            assert len(primitive["targets"]) == len(mesh["weights"])
    animation = document["animations"][0]
    times = accessor(document, binary, animation["samplers"][0]["input"])[:, 0]
    np.testing.assert_allclose(times, np.arange(talk.num_frames) / 24, atol=1e-7)
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        values = accessor(document, binary, sampler["output"])
        if channel["target"]["path"] == "rotation":
            np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-6)
            assert ((values[1:] * values[:-1]).sum(1) >= 0).all(), "no sign flips"
            assert sampler["interpolation"] == "LINEAR"
    used = json.dumps([document["meshes"], document["animations"], document["skins"]])
    assert all(f": {k}" in used for k in range(len(document["accessors"])))


def test_glb_has_vrm_bones_and_says_what_it_is(talk, talk_glb):
    document, _ = parts_of(talk_glb)
    names = {node["name"] for node in document["nodes"]}
    arms = {f"{s}{p}" for s in ("left", "right") for p in ("UpperArm", "LowerArm", "Hand")}
    assert {*FINGERS, *arms, "hips", "spine", "chest", "upperChest", "neck", "head"} <= names
    facts = document["scenes"][0]["extras"]["emo2"]
    assert facts["fps"] == 24
    assert facts["meta"] == talk.meta
    assert facts["betas"] == talk.betas.tolist()
    assert "not MANO" in facts["mesh"]


def test_glb_bones_are_where_the_joints_are(hand_model, tmp_path):
    motion = anything(4, seed=3)
    motion = replace(motion, visible=np.ones((4, 2), bool))
    document, binary = parts_of(write_motion(motion, tmp_path / "any.glb"))
    joints = hand_model.joints(motion)
    for frame in range(4):
        world = world_matrices(document, binary, frame)
        for hand, joint in np.ndindex(2, 16):
            bone = world[BONES[JOINT_BONES[hand, joint]].name]
            np.testing.assert_allclose(bone[:3, 3], joints[frame, hand, joint], atol=2e-6)


def test_glb_surface_is_the_hand_layers(talk, talk_glb, hand_model):
    document, binary = parts_of(talk_glb)
    truth = HandDetail.from_pretrained(FREE_HANDS).subdivide(hand_model.vertices(talk))
    inverse = accessor(document, binary, document["skins"][0]["inverseBindMatrices"])
    inverse = inverse.reshape(-1, 4, 4).transpose(0, 2, 1)
    weight_tracks = {
        c["target"]["node"]: accessor(
            document, binary, document["animations"][0]["samplers"][c["sampler"]]["output"]
        ).reshape(talk.num_frames, -1)
        for c in document["animations"][0]["channels"]
        if c["target"]["path"] == "weights"
    }

    for track in weight_tracks.values():
        assert track.min() >= 0, "Blender's shape keys stop at 0 and 1"
        assert track.max() <= 1

    def error_m(frame: int, corrected: bool) -> np.ndarray:
        world = world_matrices(document, binary, frame)
        bones = np.stack([world[document["nodes"][j]["name"]] for j in range(len(BONES))]) @ inverse
        out = []
        for hand, (node, track) in enumerate(weight_tracks.items()):
            primitive = document["meshes"][document["nodes"][node]["mesh"]]["primitives"][0]
            read = {k: accessor(document, binary, i) for k, i in primitive["attributes"].items()}
            rest = read["POSITION"].astype(float).copy()
            for weight, target in zip(track[frame], primitive["targets"], strict=True):
                rows, moves = sparse(document, binary, target["POSITION"])
                rest[rows] += corrected * weight * moves
            matrices = (read["WEIGHTS_0"][..., None, None] * bones[read["JOINTS_0"]]).sum(1)
            posed = np.einsum("nij,nj->ni", matrices[:, :3, :3], rest) + matrices[:, :3, 3]
            out.append(np.linalg.norm(posed[: truth.shape[2]] - truth[frame, hand], axis=1))
        return np.stack(out)

    errors = np.stack([error_m(frame, True) for frame in (0, 12, 24)])
    plain = np.stack([error_m(frame, False) for frame in (0, 12, 24)])
    assert errors.mean() < 0.1e-3
    assert np.percentile(errors, 99) < 1.5e-3
    assert errors.mean() < 0.3 * plain.mean(), "corrective shapes must help"


def sparse(document: dict, binary: bytes, index: int) -> tuple[np.ndarray, np.ndarray]:
    item = document["accessors"][index]["sparse"]
    start = document["bufferViews"][item["indices"]["bufferView"]]["byteOffset"]
    dtype = DTYPES[item["indices"]["componentType"]]
    rows = np.frombuffer(binary, dtype, item["count"], start)
    start = document["bufferViews"][item["values"]["bufferView"]]["byteOffset"]
    return rows, np.frombuffer(binary, "<f4", 3 * item["count"], start).reshape(-1, 3)


def test_hidden_hands_have_no_size(tmp_path):
    motion = speaker(6)
    visible = np.ones((6, 2), bool)
    visible[2:4, 0] = False
    document, binary = parts_of(
        write_motion(replace(motion, visible=visible), tmp_path / "hidden.glb")
    )
    for frame in range(6):
        left = world_matrices(document, binary, frame)["leftHand"]
        assert np.linalg.norm(left[:3, :3]) == pytest.approx(visible[frame, 0] * 3**0.5, abs=1e-6)
    kinds = {
        c["target"]["path"]: document["animations"][0]["samplers"][c["sampler"]]["interpolation"]
        for c in document["animations"][0]["channels"]
    }
    assert kinds["scale"] == "STEP"


def test_the_exported_mesh_is_always_the_free_hand(talk, talk_glb, tmp_path):
    """A licensed hand that a person works with must not get into files that they share."""
    theirs = write_motion(talk, tmp_path / "a.glb", context=Context(hand_model=object()))
    assert theirs.read_bytes() == talk_glb.read_bytes()


def test_sound_lies_beside(tmp_path, speech_file):
    motion = speaker(2)
    path = write_motion(motion, tmp_path / "hands.glb", context=Context(audio=speech_file))
    assert (tmp_path / "hands.wav").read_bytes() == speech_file.read_bytes()
    assert parts_of(path)[0]["scenes"][0]["extras"]["emo2"]["audio"] == "hands.wav"
    write_motion(motion, path, context=Context(audio=speech_file))  # the same sound again is fine
    (tmp_path / "hands.wav").write_bytes(b"something that someone recorded")
    with pytest.raises(InputError, match="another file is there"):
        write_motion(motion, path, context=Context(audio=speech_file))


@pytest.mark.parametrize("name", ["a.glb", "a.vrma", "a.bvh", "a.usdc"])
@pytest.mark.parametrize("fault", ["no frames", "nan"])
def test_a_motion_that_cannot_be_written_leaves_no_file(name, fault, tmp_path):
    motion = speaker(2)
    if fault == "nan":
        motion = replace(motion, translation_m=np.full((2, 2, 3), np.nan))
    else:
        motion = HandMotion(
            *(a[:0] for a in (motion.quaternions, motion.translation_m, motion.visible)),
            motion.betas,
            24,
        )
    with pytest.raises(InputError):
        write_motion(motion, tmp_path / name)
    assert not list(tmp_path.iterdir())


# and in again --------------------------------------------------------------------------------


@given(frames=st.integers(1, 6), seed=st.integers(0, 2**16))
@settings(max_examples=8, deadline=None)
def test_glb_round_trip(frames, seed, tmp_path_factory):
    motion = anything(frames, seed)
    path = write_motion(motion, tmp_path_factory.mktemp("trip") / "any.glb")
    back = read_motion(path, fps=None)
    turned, moved = off_by(back.motion, motion)
    assert turned < 2e-6
    assert moved < 2e-6
    np.testing.assert_array_equal(back.motion.visible, motion.visible)
    np.testing.assert_array_equal(back.motion.betas, motion.betas)
    assert back.motion.meta == motion.meta
    assert back.report.lost == ()


def test_vrma_is_rotations_over_a_standing_t_pose(talk, tmp_path):
    path = write_motion(talk, tmp_path / "talk.vrma")
    document, _ = parts_of(path)
    extension = document["extensions"]["VRMC_vrm_animation"]
    assert extension["specVersion"] == "1.0"
    bones = {name: bone["node"] for name, bone in extension["humanoid"]["humanBones"].items()}
    legs = {f"{s}{p}" for s in ("left", "right") for p in ("UpperLeg", "LowerLeg", "Foot")}
    assert {*FINGERS, *legs, "hips", "spine", "head", "leftHand", "rightHand"} <= bones.keys()
    assert {c["target"]["path"] for c in document["animations"][0]["channels"]} == {"rotation"}
    assert document["nodes"][bones["hips"]]["translation"][1] > 0.8
    assert all("rotation" not in node for node in document["nodes"])
    turned, moved = off_by(read_motion(path, fps=None).motion, talk)
    assert turned < 2e-6
    assert moved < 2e-6, "these wrists are within the arms' reach"


def foreign_glb(motion: HandMotion, path: Path, seed: int, step: float = 1.0) -> None:
    """The motion on somebody else's rig: Mixamo's names, axes of their own for every bone, arms
    that hang at rest, centimetres, z up, nodes in any order, no word about us."""
    random = np.random.default_rng(seed)
    source = write_motion(motion, path.with_name("ours.glb"))
    document, binary = parts_of(source)
    frames = [world_matrices(document, binary, t) for t in range(motion.num_frames)]
    names = [bone.name for bone in BONES]
    tilt = Rotation.from_euler("X", 90, degrees=True)  # y up -> z up
    axes = dict(zip(names, Rotation.random(len(names), random_state=seed), strict=True))
    drop = Rotation.from_euler("Z", -50, degrees=True)
    offsets = dict(zip(names, rest_offsets(rest_places(free_joints(motion.betas))), strict=True))

    def hanging(name: str) -> Rotation:
        if "Arm" not in name and "Hand" not in name and name not in FINGERS:
            return Rotation.identity()
        return drop if name.startswith("left") else drop.inv()

    order = random.permutation(len(BONES)).tolist()
    gltf = GltfWriter("somebody else")
    for k in order:
        parent = names[BONES[k].parent] if BONES[k].parent >= 0 else None
        above = tilt * hanging(parent) * axes[parent] if parent else Rotation.identity()
        own = tilt * hanging(names[k]) * axes[names[k]]
        placed = (tilt * hanging(parent)).apply(offsets[names[k]]) if parent else np.zeros(3)
        node = {
            "name": "mixamorig:" + BONES[k].bvh_name,
            "rotation": (above.inv() * own).as_quat().tolist(),
            "translation": (100 * above.inv().apply(placed)).tolist(),
        }
        children = [order.index(c) for c, bone in enumerate(BONES) if bone.parent == k]
        gltf.add("nodes", node | ({"children": children} if children else {}))
    keys = np.arange(0, motion.num_frames, step)
    times = gltf.array((keys / motion.fps).astype(np.float32), bounds=True)
    samplers, channels = [], []
    for k in range(len(BONES)):
        turned = []
        for world in (frames[int(t)] for t in keys):

            def at(name, world=world):
                since_rest = Rotation.from_matrix(world[name][:3, :3])
                return tilt * since_rest * axes[name]

            above = at(names[BONES[k].parent]) if BONES[k].parent >= 0 else Rotation.identity()
            turned.append((above.inv() * at(names[k])).as_quat())
        output = gltf.array(np.stack(turned).astype(np.float32))
        samplers.append({"input": times, "output": output})
        target = {"node": order.index(k), "path": "rotation"}
        channels.append({"sampler": len(samplers) - 1, "target": target})
    gltf.document["animations"] = [{"samplers": samplers, "channels": channels}]
    gltf.document["scenes"] = [{"nodes": [order.index(0)]}]
    gltf.save(path)


def test_somebody_elses_rig_is_retargeted(tmp_path):
    motion = speaker(5, seed=4)
    foreign_glb(motion, tmp_path / "theirs.glb", seed=1)
    back = read_motion(tmp_path / "theirs.glb", fps=None)
    turned, moved = off_by(back.motion, motion)
    assert turned < 1e-4
    assert moved < 1e-4
    assert back.motion.visible.all()
    assert not back.motion.meta


def change(path: Path, target: Path, edit) -> Path:
    """A copy of a .glb whose JSON went through `edit`."""
    document, binary = parts_of(path)
    edit(document)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<4sIII4s", b"glTF", 2, 28 + len(text) + len(binary), len(text), b"JSON")
    target.write_bytes(head + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary)
    return target


def test_what_a_tool_changed_in_the_channels_comes_in(talk, talk_glb, tmp_path):
    """Steps instead of slopes and a lost extras object: frames stay, as no key was moved."""

    def other_tool(document):
        del document["scenes"][0]["extras"]
        for sampler in document["animations"][0]["samplers"]:
            sampler["interpolation"] = "STEP"

    back = read_motion(change(talk_glb, tmp_path / "steps.glb", other_tool), fps=None).motion
    turned, moved = off_by(back, talk)
    assert turned < 2e-6
    assert moved < 2e-6
    np.testing.assert_allclose(free_joints(back.betas), free_joints(talk.betas), atol=1e-5)


def test_uneven_keys_are_sampled(talk_glb, talk, tmp_path):
    document, binary = parts_of(talk_glb)
    times = document["animations"][0]["samplers"][0]["input"]
    view = document["bufferViews"][document["accessors"][times]["bufferView"]]
    uneven = (np.linspace(0, 1, talk.num_frames) ** 1.3).astype("<f4")
    data = bytearray(talk_glb.read_bytes())
    start = len(data) - len(binary) + view["byteOffset"]
    data[start : start + uneven.nbytes] = uneven.tobytes()
    (tmp_path / "uneven.glb").write_bytes(data)
    back = read_motion(tmp_path / "uneven.glb", fps=None)
    assert back.motion.num_frames == 25
    assert any("uneven" in remark for remark in back.report.lost)
    middle = np.interp(12 / 24, uneven, np.arange(25))
    share = middle - int(middle)
    a, b = talk.quaternions[int(middle) : int(middle) + 2].astype(float)
    # Finger joints hang on nothing else that moved, so slerp between the two keys is exact.
    expected = slerp(a, b, np.full((2, 16), share))[:, 1:]
    assert angle_between(back.motion.quaternions[12, :, 1:].astype(float), expected).max() < 1e-4


NAMINGS = {
    "VRM 1.0": ("leftHand", "leftThumbMetacarpal", "leftLittleDistal", "hips", "neck"),
    "VRM 0": ("leftHand", "leftThumbProximal", "leftLittleDistal", "hips", "neck"),
    "Mixamo": ("mixamorig:LeftHand", "mixamorig:LeftHandThumb1", "mixamorig:LeftHandPinky3"),
    "Rokoko": ("LeftHand", "LeftFinger1Metacarpal", "LeftFinger5Distal", "Hips", "Neck"),
    "VRoid": ("J_Bip_L_Hand", "J_Bip_L_Thumb1", "J_Bip_L_Little3", "J_Bip_C_Hips"),
    "Unreal": ("hand_l", "thumb_01_l", "pinky_03_l", "pelvis", "neck_01"),
    "Biped": ("LeftWrist", "LeftFinger0", "LeftFinger42", "Hips", "Neck"),
    "SMPL-X": ("left_wrist", "left_thumb1", "left_pinky3", "pelvis", "neck"),
    "Rigify": ("DEF-hand.L", "DEF-thumb.01.L", "DEF-f_pinky.03.L", "DEF-spine"),
}


@pytest.mark.parametrize("naming", NAMINGS)
def test_bones_are_found_by_everybodys_names(naming):
    names = NAMINGS[naming]
    arms = {
        "Mixamo": ("mixamorig:LeftArm", "mixamorig:LeftForeArm"),
        "Rokoko": ("LeftArm", "LeftForeArm"),
        "VRoid": ("J_Bip_L_UpperArm", "J_Bip_L_LowerArm"),
        "Biped": ("LeftShoulder", "LeftElbow"),
        "SMPL-X": ("left_shoulder", "left_elbow"),
        "Unreal": ("upperarm_l", "lowerarm_l"),
        "Rigify": ("DEF-upper_arm.L", "DEF-forearm.L"),
    }.get(naming, ("leftUpperArm", "leftLowerArm"))
    extra = ("leftThumbIntermediate",) if naming == "VRM 0" else ()
    found = find_bones(["Camera", *arms, *names, *extra])
    assert found["leftHand"] == 3
    assert found["leftThumbMetacarpal"] == 4
    assert found["leftLittleDistal"] == 5
    assert found["leftUpperArm"] == 1
    assert ("hips" in found) == (len(names) > 3)


@pytest.mark.parametrize("kind", ["VRMC_vrm", "VRM"])
def test_a_vrm_extension_names_the_bones(kind, talk, talk_glb, tmp_path):
    def renamed(document):
        del document["scenes"][0]["extras"]
        bones = {node["name"]: k for k, node in enumerate(document["nodes"][: len(BONES)])}
        for k, node in enumerate(document["nodes"]):
            node["name"] = f"joint {k}"
        older = {"Metacarpal": "Proximal", "Proximal": "Intermediate"}
        human = {name: {"node": k} for name, k in bones.items()}
        if kind == "VRM":  # a list, and the thumb's bones under other names
            human = []
            for name, k in bones.items():
                side, thumb, segment = name.partition("Thumb")
                segment = older.get(segment, segment) if thumb else segment
                human.append({"bone": side + thumb + segment, "node": k})
        document["extensions"] = {kind: {"humanoid": {"humanBones": human}}}

    back = read_motion(change(talk_glb, tmp_path / "avatar.glb", renamed), fps=None).motion
    turned, moved = off_by(back, talk)
    assert turned < 1e-4
    assert moved < 1e-5


def test_narrow_shoulders_do_not_stretch_the_arms(talk_glb, talk, tmp_path):
    """Drawn figures have arms of twice our length for shoulders as broad as ours."""

    def narrow(document):
        del document["scenes"][0]["extras"], document["skins"][0]["inverseBindMatrices"]
        for node in document["nodes"]:
            if node["name"].endswith("UpperArm"):
                node["translation"][0] *= 0.1

    back = read_motion(change(talk_glb, tmp_path / "narrow.glb", narrow), fps=None)
    assert any("long for its shoulders" in remark for remark in back.report.lost)
    assert np.linalg.norm(back.motion.translation_m, axis=-1).max() < 0.75


# USD -----------------------------------------------------------------------------------------


def test_usd_says_what_it_needs(talk, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pxr", None)
    with pytest.raises(InputError, match="pip install usd-core"):
        write_motion(talk, tmp_path / "hands.usdc")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".usdc", ".usda"])
def test_usd_joints_are_where_the_joints_are(suffix, hand_model, tmp_path):
    pxr = pytest.importorskip("pxr", reason="usd-core is optional")
    from pxr import Usd, UsdSkel

    motion = anything(3, seed=5)
    motion = replace(motion, visible=np.array([[1, 1], [0, 1], [1, 1]], bool))
    path = write_motion(motion, tmp_path / f"hands{suffix}")
    stage = Usd.Stage.Open(str(path))
    assert pxr.UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert stage.GetEndTimeCode() == 2
    cache = UsdSkel.Cache()
    cache.Populate(UsdSkel.Root.Get(stage, "/Hands"), Usd.PrimDefaultPredicate)
    query = cache.GetSkelQuery(UsdSkel.Skeleton.Get(stage, "/Hands/Skeleton"))
    joints = hand_model.joints(motion)
    for frame in (0, 2):
        found = query.ComputeJointSkelTransforms(frame)
        for hand, joint in np.ndindex(2, 16):
            place = found[int(JOINT_BONES[hand, joint])].ExtractTranslation()
            np.testing.assert_allclose(place, joints[frame, hand, joint], atol=2e-6)
    animation = query.GetAnimQuery().GetPrim()
    scales = np.array(animation.GetAttribute("scales").Get(1))
    assert scales[JOINT_BONES[0, 0]].max() == 0
    assert scales[JOINT_BONES[1, 0]].min() == 1
    for name in ("translations", "rotations", "scales"):
        assert len(animation.GetAttribute(name).GetTimeSamples()) == 3


# Bad files -----------------------------------------------------------------------------------


def _set(document: dict, *keys, value) -> None:
    for key in keys[:-1]:
        document = document[key]
    document[keys[-1]] = value


BROKEN_GLTF = {
    "no animation": lambda d: d.pop("animations"),
    "an animation of nothing": lambda d: _set(d, "animations", 0, "channels", value=[]),
    "no nodes": lambda d: d.pop("nodes"),
    "nodes of another kind": lambda d: _set(d, "nodes", value=[1, 2]),
    "an accessor that is not there": lambda d: _set(
        d, "animations", 0, "samplers", 0, "output", value=10**6
    ),
    "an accessor beyond the end": lambda d: [
        a.update(count=2**33) for a in d["accessors"] if a["type"] == "SCALAR"
    ],
    "a negative offset": lambda d: [v.update(byteOffset=-4) for v in d["bufferViews"]],
    "a view beyond the end": lambda d: [v.update(byteOffset=2**30) for v in d["bufferViews"]],
    "text for numbers": lambda d: [a.update(count="many") for a in d["accessors"]],
    "another type": lambda d: [a.update(type="VEC2") for a in d["accessors"]],
    "numbers elsewhere": lambda d: _set(d, "buffers", 0, "uri", value="../../secret.bin"),
    "a ring of nodes": lambda d: _set(
        d, "nodes", JOINT_BONES[0, 1].item(), "children", value=[JOINT_BONES[0, 0].item()]
    ),
    "a child that is not there": lambda d: _set(d, "nodes", 0, "children", value=[999]),
    "a place of two numbers": lambda d: _set(d, "nodes", 0, "translation", value=[0, 1]),
    "no hands": lambda d: [n.update(name="bone") for n in d["nodes"]],
    "betas of another shape": lambda d: _set(
        d, "scenes", 0, "extras", "emo2", "betas", value=[1, 2]
    ),
    "a frame rate of 1e9": lambda d: _set(d, "scenes", 0, "extras", "emo2", "fps", value=1e9),
    "a sampler that is not there": lambda d: _set(
        d, "animations", 0, "channels", 0, "sampler", value=-1
    ),
    "an unknown interpolation": lambda d: _set(
        d, "animations", 0, "samplers", 0, "interpolation", value="SPLINE"
    ),
    "bones that lie on one another": lambda d: (
        d.pop("skins"),
        [n.update(translation=[0, 0, 0]) for n in d["nodes"]],
        _set(d, "animations", 0, "channels", value=d["animations"][0]["channels"][:1]),
    ),
}


@pytest.mark.parametrize("fault", BROKEN_GLTF)
def test_broken_gltf_is_refused(fault, talk_glb, tmp_path):
    path = change(talk_glb, tmp_path / "broken.glb", BROKEN_GLTF[fault])
    with pytest.raises(InputError):
        read_motion(path)


def _glb(text: bytes, **more) -> bytes:
    text += b" " * (-len(text) % 4)
    head = {"magic": b"glTF", "version": 2, "total": 20 + len(text), "length": len(text)} | more
    return struct.pack("<4sIII4s", *head.values(), b"JSON") + text


JUNK = {
    "empty.glb": b"",
    "short.glb": b"glTF\2\0\0\0",
    "png.glb": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "old.glb": _glb(b"{}", version=1),
    "array.glb": _glb(b"[]"),
    "words.glb": _glb(b"not JSON at all"),
    "deep.glb": _glb(b"[" * 200_000),
    "huge.glb": _glb(b"{}", length=2**31),
    "nothing.glb": _glb(b"{}"),
}


@pytest.mark.parametrize("name", JUNK)
def test_junk_is_refused(name, tmp_path):
    (tmp_path / name).write_bytes(JUNK[name])
    with pytest.raises(InputError):
        read_motion(tmp_path / name)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.999])
def test_truncated_gltf_is_refused(share, talk_glb, tmp_path):
    data = talk_glb.read_bytes()
    (tmp_path / "cut.glb").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError):
        read_motion(tmp_path / "cut.glb")


def test_two_keys_far_apart_do_not_fill_the_memory(talk, tmp_path):
    one = replace(
        talk,
        **{k: getattr(talk, k)[:2] for k in ("quaternions", "translation_m", "visible")},
        fps=0.2,
    )
    path = write_motion(one, tmp_path / "slow.glb")
    path = change(path, path, lambda d: d["scenes"][0]["extras"]["emo2"].update(fps=999.0))
    assert read_motion(path, fps=None).motion.num_frames == 4996
    times = np.array([0, 1e6], "<f4").tobytes()
    data = path.read_bytes().replace(np.array([0, 5], "<f4").tobytes(), times)
    path.write_bytes(data)
    with pytest.raises(InputError, match="frames"):
        read_motion(path)


def test_nan_in_an_accessor_is_refused(talk_glb, tmp_path):
    gltf = GltfFile(talk_glb)
    output = gltf.document["animations"][0]["samplers"][0]["output"]
    view = gltf.document["bufferViews"][gltf.document["accessors"][output]["bufferView"]]
    data = bytearray(talk_glb.read_bytes())
    start = len(data) - len(parts_of(talk_glb)[1]) + view["byteOffset"]
    data[start : start + 4] = struct.pack("<f", np.nan)
    (tmp_path / "nan.glb").write_bytes(data)
    with pytest.raises(InputError, match="finite"):
        read_motion(tmp_path / "nan.glb")


# Slow ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_khronos_finds_nothing(talk, tmp_path):
    """The official validator, where node and the network's npm are there."""
    node, npm = shutil.which("node"), shutil.which("npm")
    assert node, "this test needs node, with npm"
    assert npm, "this test needs node, with npm"
    subprocess.run([npm, "install", "--silent", "gltf-validator"], cwd=tmp_path, check=True)
    hidden = replace(talk, visible=np.zeros((25, 2), bool))
    one = speaker(1)
    files = [
        write_motion(motion, tmp_path / name)
        for name, motion in {"a.glb": talk, "b.glb": hidden, "c.glb": one, "d.vrma": talk}.items()
    ]
    script = """
      const {validateBytes} = require('gltf-validator'), fs = require('fs');
      (async () => { for (const f of process.argv.slice(1)) {
        const found = (await validateBytes(new Uint8Array(fs.readFileSync(f)))).issues;
        console.log(JSON.stringify([f, found.numErrors, found.numWarnings])); } })();
    """
    run = [node, "-e", script, *map(str, files)]
    said = subprocess.run(run, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert [json.loads(line)[1:] for line in said.splitlines()] == [[0, 0]] * 4
