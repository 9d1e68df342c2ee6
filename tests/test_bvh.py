"""Motions as BVH: our own out and in again, BEAT's in, broken ones refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_hands import anything, off_by, speaker
from scipy.spatial.transform import Rotation

from emo2.errors import InputError
from emo2.hands.model import HandModel
from emo2.motion.formats import read_motion, write_motion
from emo2.motion.formats.skinned_hands import FREE_HANDS, free_joints
from emo2.motion.formats.vrm_skeleton import BONES, FLOOR_M, JOINT_BONES
from emo2.motion.rotations import angle_between
from emo2.types import HandMotion


@pytest.fixture(scope="module")
def hand_model() -> HandModel:
    return HandModel.from_pretrained(FREE_HANDS)


@pytest.fixture(scope="module")
def talk() -> HandMotion:
    return speaker(betas=0.5)


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


JUNK = {
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
def test_truncated_bvh_is_refused(share, talk, tmp_path):
    data = write_motion(talk, tmp_path / "whole.bvh").read_bytes()
    (tmp_path / "cut.bvh").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError):
        read_motion(tmp_path / "cut.bvh")


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
