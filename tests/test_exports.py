"""Motions in other people's formats: glTF, VRM animation and BVH, out and in again."""

import json
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from emo2.errors import InputError
from emo2.hands.detail import HandDetail
from emo2.hands.model import HandModel
from emo2.hands.shapes import SHAPES, handshape
from emo2.motion.anatomy import neutral_wrist
from emo2.motion.formats import Context, read_motion, write_motion
from emo2.motion.formats.bone_names import find_bones
from emo2.motion.formats.gltf_file import GltfFile, GltfWriter
from emo2.motion.formats.skinned_hands import FREE_HANDS, free_joints
from emo2.motion.formats.vrm_skeleton import BONES, FLOOR_M, JOINT_BONES, rest_offsets, rest_places
from emo2.motion.rotations import angle_between, mirror, slerp
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


def speaker(frames: int = 25, *, seed: int = 0, betas: float = 0.0, fps: float = 24.0):
    """Hands that wander before the chest and pass from one handshape to the next."""
    random = np.random.default_rng(seed)
    time = np.linspace(0, 1, frames)[:, None]
    quaternions = np.zeros((frames, 2, 16, 4))
    places = np.zeros((frames, 2, 3))
    for hand in (0, 1):
        swing = 0.12 * np.sin(6.28 * (time + random.uniform(0, 1, 3)))
        left = np.array([0.2, -0.2, 0.25]) + swing
        places[:, hand] = left * [1 - 2 * hand, 1, 1]
        shapes = [handshape(name, hand) for name in random.choice(list(SHAPES), 2)]
        quaternions[:, hand] = slerp(shapes[0], shapes[1], np.repeat(time, 16, axis=1))
        wrist = neutral_wrist(left)
        quaternions[:, hand, 0] = mirror(wrist) if hand else wrist
    return HandMotion(
        quaternions,
        places,
        np.ones((frames, 2), bool),
        betas * random.normal(size=(2, 10)),
        fps,
        {"seed": seed, "style": "talk-calm"},
    )


def anything(frames: int, seed: int) -> HandMotion:
    """Any rotations at any places, some of them out of the arms' reach, hands hidden at will."""
    random = np.random.default_rng(seed)
    turns = random.normal(size=(frames, 2, 16, 4))
    turns /= np.linalg.norm(turns, axis=-1, keepdims=True)
    return HandMotion(
        turns,
        random.uniform(-0.9, 0.9, (frames, 2, 3)),
        random.random((frames, 2)) < 0.7,
        np.full((2, 10), seed % 2),
        float(random.choice([12, 24, 25, 29.97, 60])),
        {"seed": seed, "words": "né"},
    )


def off_by(a: HandMotion, b: HandMotion) -> tuple[float, float]:
    """The largest difference of rotations [rad] and places [m]."""
    assert a.num_frames == b.num_frames
    assert a.fps == pytest.approx(b.fps, rel=1e-9)
    turned = angle_between(a.quaternions.astype(float), b.quaternions.astype(float)).max()
    return float(turned), float(np.abs(a.translation_m - b.translation_m).max())


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
    assert errors.mean() < 0.15e-3
    assert np.percentile(errors, 99) < 1.5e-3
    assert errors.mean() < 0.6 * plain.mean(), "corrective shapes must help"


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


@pytest.mark.parametrize("name", ["a.glb", "a.vrma", "a.bvh"])
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
@settings(max_examples=12, deadline=None)
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


# .bvh ----------------------------------------------------------------------------------------


def second_reader(path: Path) -> tuple[list[dict[str, np.ndarray]], float, list[str]]:
    """World places of every frame by a reader that shares nothing with ours."""
    text = path.read_text().split()
    joints, stack, k = [], [], 0
    while text[k] != "MOTION":
        if text[k] in ("ROOT", "JOINT"):
            joints.append({"name": text[k + 1], "parent": stack[-1] if stack else None})
            stack.append(len(joints) - 1)
        elif text[k] == "End":
            stack.append(None)
        elif text[k] == "}":
            stack.pop()
        elif text[k] == "OFFSET" and stack[-1] is not None:
            joints[stack[-1]]["offset"] = np.array(text[k + 1 : k + 4], float)
        elif text[k] == "CHANNELS":
            joints[stack[-1]]["channels"] = text[k + 2 : k + 2 + int(text[k + 1])]
        k += 1
    frames, frame_time = int(text[k + 2]), float(text[k + 5])
    rows = np.array(text[k + 6 :], float).reshape(frames, -1)
    out = []
    for row in rows:
        values, world, places = iter(row), [], {}
        for joint in joints:
            read = {name: next(values) for name in joint["channels"]}
            order = "".join(name[0] for name in joint["channels"] if name.endswith("rotation"))
            turns = [read[f"{axis}rotation"] for axis in order]
            turn = Rotation.from_euler(order, turns, degrees=True)
            place = np.array(
                [read.get(f"{a}position", o) for a, o in zip("XYZ", joint["offset"], strict=True)]
            )
            if joint["parent"] is not None:
                above, there = world[joint["parent"]]
                turn, place = above * turn, there + above.apply(place)
            world.append((turn, place))
            places[joint["name"]] = place
        out.append(places)
    return out, frame_time, [joint["name"] for joint in joints]


@pytest.mark.parametrize("reach", ["near", "far"])
def test_bvh_bones_are_where_the_joints_are(reach, hand_model, tmp_path):
    motion = speaker(4, betas=0.5) if reach == "near" else anything(4, 3)
    path = write_motion(motion, tmp_path / "a.bvh")
    frames, frame_time, names = second_reader(path)
    assert frame_time == pytest.approx(1 / motion.fps, abs=1e-9)
    assert names[0] == "Hips"
    assert {"LeftArm", "LeftHandThumb1", "RightHandPinky3"} <= set(names)
    joints = hand_model.joints(motion)
    for frame, places in enumerate(frames):
        for hand, joint in np.ndindex(2, 16):
            expected = 100 * (joints[frame, hand, joint] - [0, FLOOR_M, 0])
            name = BONES[JOINT_BONES[hand, joint]].bvh_name
            np.testing.assert_allclose(places[name], expected, atol=1e-3)
    assert ("CHANNELS 6" in path.read_text().split("LeftHand\n")[1][:120]) == (reach == "far")


@given(frames=st.integers(1, 6), seed=st.integers(0, 2**16))
@settings(max_examples=20, deadline=None)
def test_bvh_round_trip(frames, seed, tmp_path_factory):
    motion = anything(frames, seed)
    path = write_motion(motion, tmp_path_factory.mktemp("trip") / "any.bvh")
    back = read_motion(path, fps=None)
    turned, moved = off_by(replace(back.motion, fps=motion.fps), motion)
    assert turned < 1e-5
    assert moved < 1e-6
    assert back.motion.fps == pytest.approx(motion.fps, rel=2e-3)
    np.testing.assert_allclose(free_joints(back.motion.betas), free_joints(motion.betas), atol=1e-5)


def test_bvh_angles_run_on(tmp_path):
    """A hand that turns right round, past the angle that locks, without jumps between frames."""
    motion = speaker(49)
    turn = Rotation.from_euler("y", np.linspace(0, 360, 49)[:, None], degrees=True)
    quaternions = np.array(motion.quaternions)
    quaternions[:, :, 0] = turn.as_quat()[:, None, [3, 0, 1, 2]]
    path = write_motion(replace(motion, quaternions=quaternions), tmp_path / "turn.bvh")
    rows = np.loadtxt(path.read_text().split("Frame Time")[1].splitlines()[1:])
    assert np.abs(np.diff(rows, axis=0)).max() < 120


BEAT_HAND = {"Index": (9.0, 0.0, 0.8), "Middle": (9.3, 0.0, 0.0), "Ring": (8.2, 0.0, -0.7)}


def beat_like(path: Path, values: np.ndarray, frames: int, frame_time: float) -> None:
    """Vicon's body as BEAT has it: bones of the palm between hand and fingers, XYZ, centimetres."""
    lines = ["HIERARCHY"]

    def joint(name: str, offset: tuple, children: list, depth: int = 0) -> None:
        channels = "Xrotation Yrotation Zrotation"
        lines.append("\t" * depth + ("JOINT " if depth else "ROOT ") + name)
        lines.append("\t" * depth + "{")
        lines.append("\t" * depth + f"\tOFFSET {offset[0]} {offset[1]} {offset[2]}")
        head = "3 " if depth else "6 Xposition Yposition Zposition "
        lines.append("\t" * depth + f"\tCHANNELS {head}{channels}")
        for child in children:
            joint(*child, depth=depth + 1)
        if not children:
            lines.append("\t" * depth + "\tEnd Site\n{\nOFFSET 1 0 0\n}")
        lines.append("\t" * depth + "}")

    def arm(side: str, x: float) -> tuple:
        def finger(name: str, first: tuple, palm: bool) -> tuple:
            chain: list = []
            for n in (3, 2, 1):
                length = first if n == 1 else (3.0, 0.0, 0.0)
                offset = tuple(np.array(length) * [x, 1, 1])
                chain = [(f"{side}Hand{name}{n}", offset, chain)]
            return (f"{side}Hand{name}", (0.0, 0.0, 0.0), chain) if palm else chain[0]

        fingers = [finger(name, place, name != "Middle") for name, place in BEAT_HAND.items()]
        pinky = finger("Pinky", (6.8, 0.0, -1.5), True)
        thumb = finger("Thumb", (2.0, -0.7, 2.0), False)
        hand = (f"{side}Hand", (25.0 * x, 0.0, 0.0), [*fingers, pinky, thumb])
        return (
            f"{side}Shoulder",
            (0.0, 11.0, 0.0),
            [(f"{side}Arm", (20.0 * x, 0, 0), [(f"{side}ForeArm", (30.0 * x, 0, 0), [hand])])],
        )

    spine = ("Spine", (0, 20, 0), [("Neck", (0, 20, 0), []), arm("Right", -1), arm("Left", 1)])
    joint("Hips", (0, 0, 0), [spine])
    rows = [" ".join(f"{v:.5f}" for v in row) for row in values]
    timing = ["MOTION", f"Frames: {frames}", f"Frame Time: {frame_time:.6f}"]
    path.write_text("\n".join([*lines, *timing, *rows]))


def beat_columns(path: Path) -> dict[str, int]:
    """Joint -> column of its Xrotation."""
    names = [
        line.split()[1] for line in path.read_text().splitlines() if line[-1:] and "JOINT" in line
    ]
    return {name: 6 + 3 * k for k, name in enumerate(names)}


def test_beat_bvh(tmp_path, hand_model):
    path = tmp_path / "beat.bvh"
    beat_like(path, np.zeros((1, 6)), 1, 1 / 120)
    columns = beat_columns(path)
    values = np.zeros((3, max(columns.values()) + 3))
    values[:, 1], values[:, 4] = 100.0, [0, 30, 60]  # stands somewhere, and turns
    values[:, columns["LeftForeArm"] + 1] = -90.0  # the left forearm forward
    values[:, columns["LeftHandIndex1"] + 2] = [0, -40, -80]  # bends
    values[:, columns["RightHandRing"]] = 10.0  # the palm itself folds a little
    beat_like(path, values, 3, 1 / 120)
    back = read_motion(path, fps=None)
    motion = back.motion
    assert motion.fps == 120
    assert "XYZ" in back.report.convention
    # The same at all times, wherever the body turns; scaled from 0.40 m between the shoulders.
    scale = 0.36 / 0.40
    np.testing.assert_allclose(
        motion.translation_m[:, 0], [[0.18 + 0.30 * scale, 0, 0.25 * scale]] * 3, atol=1e-5
    )
    np.testing.assert_allclose(motion.translation_m[:, 1, 0], -0.18 - 0.55 * scale, atol=1e-5)
    fingers = hand_model.joints(motion)
    ahead = fingers[:, 0, 4] - fingers[:, 0, 0]
    assert (ahead[:, 2] / np.linalg.norm(ahead, axis=1) > 0.98).all(), "fingers point forward"
    bent = angle_between(motion.quaternions[:1, 0, 1].astype(float), motion.quaternions[:, 0, 1])
    np.testing.assert_allclose(np.rad2deg(bent), [0, 40, 80], atol=0.01)
    down = hand_model.joints(motion)[2, 0, 17] - hand_model.joints(motion)[2, 0, 1]
    assert down[1] < -0.05, "the index points to the floor"
    still = motion.quaternions[:, 1].astype(float)
    assert angle_between(still[:1], still).max() < 1e-5
    assert angle_between(still[0, 10], [1.0, 0, 0, 0]) > 0.1, (
        "the palm's fold is in the ring finger"
    )


def test_bvh_header_that_lies(tmp_path):
    path = tmp_path / "beat.bvh"
    beat_like(path, np.zeros((1, 6)), 1, 1 / 120)
    width = max(beat_columns(path).values()) + 3
    beat_like(path, np.zeros((30, width)), 241, 1 / 120)
    back = read_motion(path, fps=None)
    assert (back.motion.num_frames, back.motion.fps) == (30, 15)
    assert any("241" in remark and "8th" in remark for remark in back.report.lost)
    beat_like(path, np.zeros((30, width)), 20, 1 / 120)
    back = read_motion(path, fps=None)
    assert (back.motion.num_frames, back.motion.fps) == (30, 120)
    assert any("20 frames" in remark for remark in back.report.lost)
    beat_like(path, np.zeros((30, width)), 45, 1 / 120)
    with pytest.raises(InputError, match="45 frames"):
        read_motion(path)


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
    "binary.bvh": bytes(range(256)) * 20,
    "words.bvh": b"hello\nworld",
    "empty.bvh": b"",
    "endless.bvh": b"HIERARCHY " + b"x" * 200_000,
    "open.bvh": b"HIERARCHY\nROOT Hips\n{\nOFFSET 0 0 0\nCHANNELS 3 Xrotation Yrotation Zrotation",
    "braces.bvh": b"HIERARCHY\n}}}}\nMOTION\n",
    "deep.bvh": b"HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\n" + b"JOINT b\n{\nOFFSET 0 0 0\n" * 5000,
}


@pytest.mark.parametrize("name", JUNK)
def test_junk_is_refused(name, tmp_path):
    (tmp_path / name).write_bytes(JUNK[name])
    with pytest.raises(InputError):
        read_motion(tmp_path / name)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("suffix", [".glb", ".bvh"])
def test_truncated_files_are_refused(suffix, share, talk, talk_glb, tmp_path):
    path = talk_glb if suffix == ".glb" else write_motion(talk, tmp_path / "whole.bvh")
    data = path.read_bytes()
    (tmp_path / f"cut{suffix}").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError):
        read_motion(tmp_path / f"cut{suffix}")


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


BROKEN_BVH = {
    "nan": ("0.000000", "nan"),
    "inf": ("0.000000", "1e999"),
    "words": ("0.000000", "zero"),
    "no frames": ("Frames: 25", "Frames: 0"),
    "half a frame": ("Frames: 25", "Frames: 2.5"),
    "no frame time": ("Frame Time: 0.04", "Frame Time: 0.00000"),
    "negative frame time": ("Frame Time: 0.0", "Frame Time: -0.0"),
    "an unknown channel": ("Zrotation Yrotation", "Zrotation Wrotation"),
    "the same channel twice": ("Zrotation Yrotation", "Zrotation Zrotation"),
    "a wrong count": ("CHANNELS 3", "CHANNELS 2"),
    "a missing brace": ("}", ""),
    "no offset": ("OFFSET", ""),
    "no MOTION": ("MOTION", ""),
    "no hands": ("Hand", "Paw"),
    "a column too few": (" 0.000000\n", "\n"),
}


@pytest.mark.parametrize("fault", BROKEN_BVH)
def test_broken_bvh_is_refused(fault, talk, tmp_path):
    text = write_motion(talk, tmp_path / "whole.bvh").read_text()
    old, new = BROKEN_BVH[fault]
    assert old in text
    body, motion = text.split("MOTION")
    text = text.replace(old, new) if fault == "no hands" else text
    if fault == "a column too few":
        text = body + "MOTION" + motion[::-1].replace("\n", "\n9 ", 1)[::-1]
    elif fault in ("nan", "inf", "words"):
        text = body + "MOTION" + motion.replace(old, new, 1)
    elif fault != "no hands":
        text = text.replace(old, new, 1)
    (tmp_path / "broken.bvh").write_text(text)
    with pytest.raises(InputError):
        read_motion(tmp_path / "broken.bvh")


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
