"""3-D motions of other tools: every format there and back again, and files that are wrong.

The files are written here, from a known motion, by writers that share nothing with the readers but
the bone lengths that these state. Rotations are SciPy's.
"""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mano_like import FREE, write_folder
from scipy.spatial.transform import Rotation

from emo2.errors import InputError
from emo2.hands.mano_files import load_hands
from emo2.hands.model import HandModel
from emo2.hands.shapes import SHAPES, finger_quaternions, handshape
from emo2.motion.anatomy import FOREARM_M, UPPER_ARM_M, elbow
from emo2.motion.formats import Context, identify, read_motion
from emo2.motion.rotations import angle_between
from emo2.types import HandMotion

FRAMES, FPS = 24, 30.0
FLIP = np.array([-1.0, 1.0, 1.0])
CLOSE_RAD = 1e-5


def turn(quaternions) -> Rotation:
    """wxyz (..., 4) as SciPy rotations, flattened."""
    return Rotation.from_quat(np.asarray(quaternions, float).reshape(-1, 4)[:, [1, 2, 3, 0]])


def known_motion(seed: int = 0, *, flat_fingers: bool = False) -> HandMotion:
    """Two hands that move smoothly before a chest, within reach, fingers bending."""
    random = np.random.default_rng(seed)
    time = np.linspace(0, 1, FRAMES)[:, None]
    quaternions = np.zeros((FRAMES, 2, 16, 4))
    places = np.zeros((FRAMES, 2, 3))
    for hand in (0, 1):
        a, b = random.choice(["relaxed", "cup", "fist", "point"], 2, replace=False)
        for t in range(FRAMES):
            mix = 0.5 + 0.5 * np.sin(5 * time[t, 0] + hand)
            angles = mix * SHAPES[a] + (1 - mix) * SHAPES[b]
            quaternions[t, hand] = finger_quaternions(0 * angles if flat_fingers else angles, hand)
        swing = random.normal(size=3) * (1 + 0.5 * np.sin(4 * time))
        quaternions[:, hand, 0] = Rotation.from_rotvec(swing).as_quat()[:, [3, 0, 1, 2]]
        wave = 0.06 * np.sin(6 * time + random.uniform(0, 6, 3))
        places[:, hand] = np.array([0.17, -0.22, 0.26]) * FLIP**hand + wave
    return HandMotion(quaternions, places, np.ones((FRAMES, 2), bool), np.zeros((2, 10)), FPS)


# Bodies -------------------------------------------------------------------------------------


def body_of(motion: HandMotion, seed: int = 1) -> np.ndarray:
    """(T, 22, 3) axis-angles of a body that stands and leans anyhow and has its hands there."""
    random = np.random.default_rng(seed)
    body = np.zeros((FRAMES, 22, 3))
    body[:, [0, 3, 6, 9]] = random.normal(size=(4, 3)) * [[1.5], [0.2], [0.2], [0.2]]
    body[:, [1, 2, 4, 5, 12, 15]] = random.normal(size=(6, 3))  # legs and head play no part
    for t in range(FRAMES):
        chest = Rotation.identity()
        for joint in (0, 3, 6, 9):
            chest = chest * Rotation.from_rotvec(body[t, joint])
        for hand in (0, 1):
            wrist = motion.translation_m[t, hand].astype(float)
            shoulder = np.array([0.18, 0, 0]) * FLIP**hand
            bend = elbow(wrist * FLIP**hand) * FLIP**hand
            out = np.array([1.0, 0, 0]) * FLIP**hand
            parent = Rotation.identity()  # all in the chest's frame, which is the body frame
            for joint, goal, start in ((16, bend, shoulder), (18, wrist, bend)):
                along = (goal - start) / np.linalg.norm(goal - start)
                twist = Rotation.from_rotvec(random.normal() * out)
                swing, _ = Rotation.align_vectors(along[None], out[None])
                world = swing * twist
                body[t, joint + hand] = (parent.inv() * world).as_rotvec()
                parent = world
            hold = turn(motion.quaternions[t, hand, 0])[0]
            body[t, 20 + hand] = (parent.inv() * hold).as_rotvec()
    return body


def fingers_of(motion: HandMotion) -> np.ndarray:
    """(T, 2, 45) axis-angles from the flat hand."""
    return turn(motion.quaternions[:, :, 1:]).as_rotvec().reshape(FRAMES, 2, 45)


def write_beat2(path: Path, motion: HandMotion) -> None:
    poses = np.zeros((FRAMES, 165))
    poses[:, :66] = body_of(motion).reshape(FRAMES, 66)
    poses[:, 66:75] = 0.3
    poses[:, 75:] = fingers_of(motion).reshape(FRAMES, 90)
    np.savez(
        path,
        betas=np.ones(300),
        poses=poses,
        expressions=np.ones((FRAMES, 100)),
        trans=np.ones((FRAMES, 3)),
        model="smplx2020",
        gender="neutral",
        mocap_frame_rate=30,
    )


def write_amass(path: Path, motion: HandMotion, jaw_and_eyes: int = 0) -> None:
    body, fingers = body_of(motion).reshape(FRAMES, 66), fingers_of(motion).reshape(FRAMES, 90)
    poses = np.concatenate([body, np.ones((FRAMES, jaw_and_eyes)), fingers], axis=1)
    rate = {"mocap_frame_rate" if jaw_and_eyes else "mocap_framerate": np.array(FPS)}
    np.savez(path, poses=poses, trans=np.ones((FRAMES, 3)), betas=np.ones(16), **rate)


def write_amass_x(path: Path, motion: HandMotion) -> None:
    write_amass(path, motion, jaw_and_eyes=9)


def write_talkshow(path: Path, motion: HandMotion, mean=0.0) -> None:
    rows = np.ones((FRAMES, 265))
    rows[:, 9:75] = body_of(motion).reshape(FRAMES, 66)
    rows[:, 75:165] = (fingers_of(motion) - mean).reshape(FRAMES, 90)
    np.save(path, rows.astype(np.float32))


def show_fit(motion: HandMotion, left: np.ndarray, right: np.ndarray) -> dict:
    body = body_of(motion)
    return {
        "losses_to_log": {"all_loss": torch.tensor(3.0)},
        "width": 1280,
        "center": [640.0, 360.0],
        "betas": np.ones((1, 300), np.float32),
        "transl": np.ones((FRAMES, 3), np.float32),
        "expression": torch.ones(FRAMES, 100),
        "global_orient": body[:, :1],
        "body_pose_axis": torch.tensor(body[:, 1:].reshape(FRAMES, 63)),
        "left_hand_pose": torch.tensor(left),
        "right_hand_pose": right,
    }


def assert_same(motion: HandMotion, known: HandMotion, *, fingers=True, metres=2e-6) -> None:
    joints = slice(None) if fingers else slice(0, 1)
    angles = angle_between(motion.quaternions[:, :, joints], known.quaternions[:, :, joints])
    assert angles.max() < CLOSE_RAD
    np.testing.assert_allclose(motion.translation_m, known.translation_m, atol=metres)


@pytest.mark.parametrize(
    ("name", "format", "write"),
    [
        ("a.npz", "beat2", write_beat2),
        ("a.npz", "amass", write_amass),
        ("a.npz", "amass", write_amass_x),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_bodies_from_the_flat_hand_come_back(tmp_path, name, format, write, seed):
    known = known_motion(seed)
    write(tmp_path / name, known)
    assert identify(tmp_path / name).name == format
    imported = read_motion(tmp_path / name, fps=None)
    assert_same(imported.motion, known)
    assert imported.report.source_fps == imported.motion.fps == FPS
    assert "flat hand" in imported.report.convention
    assert any("average body" in loss for loss in imported.report.lost)
    assert imported.motion.visible.all()


def test_a_missing_frame_rate_is_said(tmp_path):
    held = {"poses": np.zeros((3, 165)), "expressions": np.zeros((3, 100))}
    np.savez(tmp_path / "a.npz", **held)
    assert "30 assumed" in read_motion(tmp_path / "a.npz").report.convention


def test_talkshow_counts_from_manos_mean_hand(tmp_path, monkeypatch):
    known = known_motion()
    mano = write_folder(tmp_path / "mano", monkeypatch)
    write_talkshow(tmp_path / "a.npy", known, load_hands(mano).hands_mean)
    imported = read_motion(tmp_path / "a.npy", fps=None, context=Context(mano_folder=mano))
    assert_same(imported.motion, known)  # stored as float32
    assert "MANO's mean hand, which was added" in imported.report.convention


def test_talkshow_without_mano_counts_from_our_relaxed_hand_and_says_so(tmp_path):
    known = known_motion(flat_fingers=True)
    write_talkshow(tmp_path / "a.npy", known)
    imported = read_motion(tmp_path / "a.npy", fps=None)
    assert_same(imported.motion, known, fingers=False)
    for hand in (0, 1):
        angles = angle_between(imported.motion.quaternions[:, hand], handshape("relaxed", hand))
        assert angles[:, 1:].max() < CLOSE_RAD
    assert "our relaxed hand was added" in imported.report.convention
    assert any("checkpoints/mano" in loss for loss in imported.report.lost)


def show_file(path: Path, mano: Path, components: int) -> HandMotion:
    """A fit with random coefficients, and the motion it means."""
    pair, random = load_hands(mano), np.random.default_rng(3)
    coefficients = 0.5 * random.normal(size=(2, FRAMES, components))
    fingers = [
        c @ pair.hands_components[h, :components] + pair.hands_mean[h]
        for h, c in enumerate(coefficients)
    ]
    known = known_motion()
    quaternions = known.quaternions.astype(float)
    rotations = Rotation.from_rotvec(np.stack(fingers, 1).reshape(-1, 3)).as_quat()
    quaternions[:, :, 1:] = rotations[:, [3, 0, 1, 2]].reshape(FRAMES, 2, 15, 4)
    moved = HandMotion(quaternions, known.translation_m, known.visible, known.betas, FPS)
    path.write_bytes(pickle.dumps(show_fit(moved, *coefficients), protocol=2))
    return moved


@pytest.mark.parametrize("components", [12, 24])
def test_show_is_in_manos_principal_components(tmp_path, monkeypatch, components):
    mano = write_folder(tmp_path / "mano", monkeypatch)
    known = show_file(tmp_path / "a.pkl", mano, components)
    assert identify(tmp_path / "a.pkl").name == "show"
    imported = read_motion(tmp_path / "a.pkl", fps=None, context=Context(mano_folder=mano))
    assert_same(imported.motion, known)
    assert imported.report.source_fps == 30


@pytest.mark.parametrize("folder", [None, Path("nowhere"), FREE])
def test_show_without_mano_keeps_the_arms_and_says_so(tmp_path, monkeypatch, folder):
    known = show_file(tmp_path / "a.pkl", write_folder(tmp_path / "mano", monkeypatch), 12)
    imported = read_motion(tmp_path / "a.pkl", fps=None, context=Context(mano_folder=folder))
    assert_same(imported.motion, known, fingers=False)
    angles = angle_between(imported.motion.quaternions[:, 0, 1:], handshape("relaxed", 0)[1:])
    assert angles.max() < CLOSE_RAD
    assert any("checkpoints/mano" in loss for loss in imported.report.lost)


def test_a_shrug_moves_the_frame_with_the_shoulders(tmp_path):
    """Raising one collar bone tilts the frame: the other hand, which hangs on the chest, moves."""
    poses = np.zeros((1, 165))
    write = {"expressions": np.ones((1, 100)), "mocap_frame_rate": 30}
    np.savez(tmp_path / "a.npz", poses=poses, **write)
    rest = read_motion(tmp_path / "a.npz", fps=None).motion
    reach = 0.18 + UPPER_ARM_M + FOREARM_M
    np.testing.assert_allclose(rest.translation_m[0], [[reach, 0, 0], [-reach, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(rest.quaternions[0, :, 0], [[1, 0, 0, 0]] * 2, atol=1e-6)
    poses[0, 13 * 3 + 2] = 0.3  # the left collar bone up
    np.savez(tmp_path / "a.npz", poses=poses, **write)
    shrug = read_motion(tmp_path / "a.npz", fps=None).motion
    assert shrug.translation_m[0, 1, 1] > 0.02
    assert shrug.translation_m[0, 0, 0] > 0.3


# MANO tracks --------------------------------------------------------------------------------

DOWN = Rotation.from_rotvec([np.pi, 0, 0])
MIRROR = np.diag(FLIP)
WRIST_M = np.array([0.0957, 0.0064, 0.0062])


def detection(motion: HandMotion, t: int, hand: int, *, mirrored=True, matrices=True) -> dict:
    """One hand of one frame, as a regressor gives it: a camera 2 m away, y down."""
    wrist = (DOWN * turn(motion.quaternions[t, hand, 0])[0]).as_matrix()
    joints = turn(motion.quaternions[t, hand, 1:]).as_matrix()
    if hand == 0 and mirrored:
        wrist, joints = MIRROR @ wrist @ MIRROR, MIRROR @ joints @ MIRROR
    camera = motion.translation_m[t, hand] * [1, -1, -1] + [0.1, 0.05, 2.0]
    out = {
        "global_orient": wrist[None],
        "hand_pose": joints,
        "betas": np.full(10, 0.1 * (hand + 1)),
        "pred_cam_t_full": camera - WRIST_M * FLIP ** (1 - hand),
        "right": hand,
        "frame": t,
    }
    if not matrices:
        for name in ("global_orient", "hand_pose"):
            out[name] = Rotation.from_matrix(out[name]).as_rotvec()
    return out


def stacked(motion: HandMotion, **options) -> dict:
    rows = [detection(motion, t, hand, **options) for t in range(FRAMES) for hand in (0, 1)]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def check_track(path: Path, known: HandMotion, context: Context | None = None, *, metres=0.01):
    imported = read_motion(path, fps=None, format="mano", context=context)
    motion = imported.motion
    assert motion.num_frames == FRAMES
    assert angle_between(motion.quaternions, known.quaternions).max() < CLOSE_RAD
    # Where the body stands is not in such a file: both hands may be elsewhere by the same way.
    away = motion.translation_m - known.translation_m
    centred = away - away.mean(axis=(0, 1))
    assert np.abs(centred[..., :2]).max() < metres
    assert np.abs(centred[..., 2]).max() < 0.06
    assert np.abs(away).max() < 0.12
    return imported


@pytest.mark.parametrize("matrices", [True, False])
@pytest.mark.parametrize("mirrored", [True, False])
def test_stacked_tracks_come_back(tmp_path, matrices, mirrored):
    known = known_motion()
    held = stacked(known, matrices=matrices, mirrored=mirrored)
    np.savez(tmp_path / "a.npz", **held, fps=24)
    assert identify(tmp_path / "a.npz").name == "mano"
    imported = check_track(tmp_path / "a.npz", known)
    assert imported.report.source_fps == 24
    said = "mirrored crops, turned back" if mirrored else "left hands already"
    assert said in imported.report.convention
    assert not imported.motion.betas.any()
    np.testing.assert_allclose(imported.motion.meta["mano_betas"], [[0.1] * 10, [0.2] * 10])
    assert any("betas" in loss for loss in imported.report.lost)


def test_flat_left_hands_are_taken_as_the_networks_give_them(tmp_path):
    known = known_motion(flat_fingers=True)
    np.savez(tmp_path / "a.npz", **stacked(known))
    check_track(tmp_path / "a.npz", known)


def test_a_list_over_frames_as_wilor_mini_gives_it(tmp_path):
    known = known_motion()
    frames = []
    for t in range(FRAMES):
        hands = []
        for hand in (0, 1):
            row = detection(known, t, hand, mirrored=False, matrices=False)
            inner = {k: np.asarray(v)[None] for k, v in row.items() if k not in ("right", "frame")}
            hands.append({"hand_bbox": [0, 0, 9, 9], "is_right": float(hand), "wilor_preds": inner})
        frames.append(hands)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(frames))
    imported = check_track(tmp_path / "a.pkl", known)
    assert "30 assumed" in imported.report.convention


def test_a_folder_of_hamer_batches(tmp_path):
    known = known_motion()
    for t in range(FRAMES):
        rows = [detection(known, t, hand) for hand in (1, 0)]
        inner = {
            name: torch.tensor(np.stack([row[name] for row in rows]))
            for name in ("global_orient", "hand_pose", "betas")
        }
        place = torch.tensor(np.stack([row["pred_cam_t_full"] for row in rows]))
        held = {"pred_mano_params": inner, "pred_cam_t_full": place, "right": torch.tensor([1, 0])}
        if t % 2:
            torch.save(held, tmp_path / f"img_{t + 7:06d}.pt")
        else:
            (tmp_path / f"img_{t + 7:06d}.pkl").write_bytes(pickle.dumps(held))
    assert identify(tmp_path).name == "mano"
    check_track(tmp_path, known)


def test_a_folder_with_a_file_a_hand(tmp_path):
    known = known_motion()
    for t in range(FRAMES):
        for hand, side in enumerate(("left", "right")):
            row = detection(known, t, hand)
            del row["right"], row["frame"]
            np.savez(tmp_path / f"{t:05d}_{side}.npz", **row)
    check_track(tmp_path, known)


def test_a_dictionary_over_pictures_with_a_side_each(tmp_path):
    known = known_motion()
    frames = {}
    for t in range(FRAMES):
        hands = [detection(known, t, hand) for hand in (0, 1)]
        for row in hands:
            del row["right"], row["frame"]
        frames[f"clip/img_{t + 3}.jpg"] = dict(zip(("left", "right"), hands, strict=True))
    frames["clip/img_9.jpg"]["left"] = None
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(frames))
    imported = read_motion(tmp_path / "a.pkl", fps=None)
    assert imported.motion.num_frames == FRAMES
    right = angle_between(imported.motion.quaternions[:, 1], known.quaternions[:, 1])
    assert right.max() < CLOSE_RAD
    assert "1 frames without a left hand: bridged" in imported.report.lost


def test_a_list_of_numbered_hands_and_frames_without_any(tmp_path):
    known = known_motion()
    rows = [detection(known, t, hand) for t in range(FRAMES) for hand in (1, 0)]
    for row in rows:
        row["frame"] += 100
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(rows))
    check_track(tmp_path / "a.pkl", known)
    frames = [[], None, *([row] for row in rows[::2]), []]
    for row in rows:
        del row["frame"]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(frames))
    motion = read_motion(tmp_path / "a.pkl", fps=None).motion
    assert motion.num_frames == FRAMES + 3
    assert motion.visible[:, 1].tolist() == [False] * 2 + [True] * FRAMES + [False]


def test_sides_apart_and_rows_without_numbers(tmp_path):
    known = known_motion()
    sides = {}
    for hand, side in enumerate(("left", "right")):
        rows = [detection(known, t, hand) for t in range(FRAMES)]
        names = ("global_orient", "hand_pose", "pred_cam_t_full")
        sides[side] = {name: np.stack([row[name] for row in rows]) for name in names}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({**sides, "fps": 30}))
    imported = check_track(tmp_path / "a.pkl", known)
    assert any("were paired" in loss for loss in imported.report.lost)


def test_betas_stay_where_manos_hands_will_draw_them(tmp_path, monkeypatch):
    known = known_motion()
    np.savez(tmp_path / "a.npz", **stacked(known))
    mano = write_folder(tmp_path / "mano", monkeypatch)
    for context in (Context(mano_folder=mano), Context(HandModel.from_pretrained(mano))):
        imported = check_track(tmp_path / "a.npz", known, context)
        np.testing.assert_allclose(imported.motion.betas[:, 0], [0.1, 0.2], atol=1e-6)
    free = Context(HandModel.from_pretrained(FREE), mano_folder=mano)
    assert not read_motion(tmp_path / "a.npz", context=free).motion.betas.any()


def test_nominal_depth_becomes_a_speakers(tmp_path):
    known, random = known_motion(), np.random.default_rng(0)
    held = stacked(known)
    held["pred_cam_t_full"][:, 2] *= 5000 / 256 / 1.1 * random.normal(1, 0.04, 2 * FRAMES)
    np.savez(tmp_path / "a.npz", **held)
    imported = check_track(tmp_path / "a.npz", known)
    assert any("depth" in loss for loss in imported.report.lost)


def test_gaps_are_bridged_or_hidden(tmp_path):
    known = known_motion()
    held = stacked(known)
    missing = {0: {5, 6}, 1: set(range(8, 19))}
    keep = [row for row in range(2 * FRAMES) if row // 2 not in missing[row % 2]]
    np.savez(tmp_path / "a.npz", **{name: value[keep] for name, value in held.items()}, fps=30)
    imported = read_motion(tmp_path / "a.npz", fps=None)
    motion = imported.motion
    assert motion.visible[:, 0].all(), "a short gap is bridged"
    np.testing.assert_array_equal(np.flatnonzero(~motion.visible[:, 1]), np.arange(8, 19))
    far = angle_between(motion.quaternions[7, 1], motion.quaternions[19, 1])
    half = angle_between(motion.quaternions[7, 1], motion.quaternions[13, 1])
    np.testing.assert_allclose(half, far / 2, atol=1e-3)
    assert {"2 frames without a left hand: bridged", "11 frames without a right hand: hidden"} <= {
        *imported.report.lost
    }


def test_one_hand_alone_leaves_the_other_at_rest_and_hidden(tmp_path):
    held = {name: value[1::2] for name, value in stacked(known_motion()).items()}
    np.savez(tmp_path / "a.npz", **held)
    imported = read_motion(tmp_path / "a.npz", fps=None)
    assert imported.motion.visible[:, 1].all()
    assert not imported.motion.visible[:, 0].any()
    assert (imported.motion.translation_m[:, 1, 0] < 0).all(), "on its own side"
    assert any("the left hand: not in the file" in loss for loss in imported.report.lost)


def test_another_person_is_left_out(tmp_path):
    known = known_motion()
    held, other = stacked(known), stacked(known_motion(5))
    other["pred_cam_t_full"] = other["pred_cam_t_full"] + [0.9, 0.1, 0]
    some = [row for row in range(2 * FRAMES) if row // 2 not in (0, 1, 9)]
    both = {name: np.concatenate([other[name][some], held[name]]) for name in held}
    np.savez(tmp_path / "a.npz", **both)
    imported = check_track(tmp_path / "a.npz", known)
    assert any(f"{len(some)} hands of other people" in loss for loss in imported.report.lost)


def test_tracks_without_places_stay_before_the_chest(tmp_path):
    known = known_motion()
    held = {k: v for k, v in stacked(known).items() if k != "pred_cam_t_full"}
    np.savez(tmp_path / "a.npz", **held)
    imported = read_motion(tmp_path / "a.npz", fps=None)
    assert angle_between(imported.motion.quaternions, known.quaternions).max() < CLOSE_RAD
    assert (imported.motion.translation_m[:, 0, 0] > 0.1).all()
    assert any("where the hands are" in loss for loss in imported.report.lost)


def test_places_within_crops_are_no_places(tmp_path):
    held = stacked(known_motion())
    whole = held.pop("pred_cam_t_full")
    np.savez(tmp_path / "a.npz", **held, pred_cam_t=whole)
    check_track(tmp_path / "a.npz", known_motion())
    np.savez(tmp_path / "a.npz", **held, pred_cam_t=whole * [0.01, 0.01, 1])
    imported = read_motion(tmp_path / "a.npz", fps=None)
    assert (imported.motion.translation_m[:, 0, 0] > 0.1).all()
    assert any("where the hands are" in loss for loss in imported.report.lost)


# Wrong files --------------------------------------------------------------------------------


def an_npz(tmp_path, **arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    return tmp_path / "a.npz"


def beat2(tmp_path, **changes):
    write_beat2(tmp_path / "a.npz", known_motion())
    held = {**np.load(tmp_path / "a.npz"), **changes}
    return an_npz(tmp_path, **{k: v for k, v in held.items() if v is not None})


def amass(tmp_path, **changes):
    write_amass(tmp_path / "a.npz", known_motion())
    held = {**np.load(tmp_path / "a.npz"), **changes}
    return an_npz(tmp_path, **{k: v for k, v in held.items() if v is not None})


def show(tmp_path, **changes):
    fit = {**show_fit(known_motion(), np.zeros((FRAMES, 12)), np.zeros((FRAMES, 12))), **changes}
    held = {k: v for k, v in fit.items() if v is not None}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(held))
    return tmp_path / "a.pkl"


def talkshow(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    return tmp_path / "a.npy"


def mano(tmp_path, **changes):
    held = {**stacked(known_motion()), **changes}
    return an_npz(tmp_path, **{k: v for k, v in held.items() if v is not None})


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def a_folder(tmp_path):
    (tmp_path / "frames").mkdir()
    return tmp_path / "frames"


def broken_folder(tmp_path):
    folder = a_folder(tmp_path)
    np.savez(folder / "1.npz", **detection(known_motion(), 0, 1))
    (folder / "2.npz").write_bytes(b"PK\x03\x04")
    return folder


def no_shoulders():
    """Both collar bones turned back into the spine."""
    poses = np.zeros((2, 165))
    poses[:, [13 * 3 + 2, 14 * 3 + 2]] = np.deg2rad(130), -np.deg2rad(130)
    return poses


NAN = np.full((FRAMES, 63), np.nan)
EYES = np.tile(np.eye(3), (2 * FRAMES, 15, 1, 1))
WRONG = {
    "beat2 nan": (lambda p: beat2(p, poses=np.full((9, 165), np.inf)), "infinity or more.* row 0"),
    "beat2 huge": (lambda p: beat2(p, poses=np.full((9, 165), 1e300)), "more than 1e"),
    "beat2 no shoulders": (lambda p: beat2(p, poses=no_shoulders()), "shoulders must be apart"),
    "beat2 shape": (lambda p: beat2(p, poses=np.zeros((9, 72))), r"shape \(T, 165\).*\(9, 72\)"),
    "beat2 no frames": (lambda p: beat2(p, poses=np.zeros((0, 165))), "at least one frame"),
    "beat2 rate": (lambda p: beat2(p, mocap_frame_rate=0), "frames per second"),
    "beat2 text": (lambda p: beat2(p, poses=np.array(["a", "b"])), "finite numbers"),
    "beat2 cut": (lambda p: cut(beat2(p)), "a.npz"),
    "amass smpl": (lambda p: amass(p, poses=np.zeros((9, 72))), r"shape \(T, 156\)"),
    "amass one number": (lambda p: amass(p, poses=np.array(3.0)), r"shape \(T, 156\)"),
    "amass no rate": (lambda p: amass(p, mocap_framerate=None), "mocap_framerate"),
    "amass no frames": (lambda p: amass(p, poses=np.zeros((0, 156))), "at least one frame"),
    "amass objects": (
        lambda p: amass(p, poses=np.array([{}, []], dtype=object)),
        "pickled objects",
    ),
    "show nan": (lambda p: show(p, body_pose_axis=NAN), "NaN"),
    "show shape": (lambda p: show(p, left_hand_pose=np.zeros((FRAMES, 3, 7))), "left_hand_pose"),
    "show lengths": (lambda p: show(p, right_hand_pose=np.zeros((5, 12))), "equally long"),
    "show no frames": (lambda p: show(p, body_pose_axis=np.zeros((0, 63))), "at least one frame"),
    "show missing": (lambda p: show(p, global_orient=None), "must hold global_orient"),
    "show text": (lambda p: show(p, global_orient="none"), "finite numbers"),
    "show cut": (lambda p: cut(show(p)), "whole pickle"),
    "talkshow shape": (lambda p: talkshow(p, np.zeros((9, 165))), r"\(T, 265\)"),
    "talkshow no frames": (lambda p: talkshow(p, np.zeros((0, 265))), "at least one frame"),
    "talkshow nan": (lambda p: talkshow(p, np.full((3, 265), np.nan)), "NaN"),
    "talkshow objects": (
        lambda p: talkshow(p, np.array([{}], dtype=object)),
        "pickled objects",
    ),
    "talkshow cut": (lambda p: cut(talkshow(p, np.zeros((9, 265)))), "plain numbers"),
    "mano shape": (lambda p: mano(p, hand_pose=np.zeros((9, 44))), "axis-angles a row"),
    "mano mixed": (lambda p: mano(p, global_orient=np.zeros((48, 3))), "3x3 matrices a row"),
    "mano not rotations": (lambda p: mano(p, hand_pose=2 * EYES), "must be rotation matrices"),
    "mano mirrors": (lambda p: mano(p, hand_pose=-EYES), "must be rotation matrices"),
    "mano nan": (lambda p: mano(p, betas=np.full((48, 10), np.nan)), "NaN"),
    "mano no side": (lambda p: mano(p, right=None), "which hand"),
    "mano wrong side": (lambda p: mano(p, right=np.arange(48)), "1 or 0"),
    "mano lengths": (lambda p: mano(p, right=np.ones(7)), "a row a hand, 48"),
    "mano no frames": (
        lambda p: mano(p, hand_pose=np.zeros((0, 15, 3, 3)), global_orient=np.zeros((0, 3, 3))),
        "a row",
    ),
    "mano negative frame": (lambda p: mano(p, frame=np.arange(48) - 5), "0 or more"),
    "mano huge frame": (lambda p: mano(p, frame=10**7 * np.arange(48)), "span at most"),
    "mano rate": (lambda p: mano(p, fps=-3), "frames per second"),
    "mano nested objects": (
        lambda p: an_npz(p, pred_mano_params=np.array({"hand_pose": 1}, dtype=object)),
        "pickled objects",
    ),
    "mano cut": (lambda p: cut(mano(p)), "a.npz"),
    "a broken frame": (broken_folder, r"2\.npz"),
    "an empty folder": (a_folder, "a folder"),
    "a list of nothing": (
        lambda p: (p / "a.pkl").write_bytes(pickle.dumps([[], None])) and p / "a.pkl",
        "at least one hand",
    ),
    "an array": (
        lambda p: (p / "a.pkl").write_bytes(pickle.dumps([np.ones((3, 3))])) and p / "a.pkl",
        "must hold global_orient",
    ),
    "something else": (
        lambda p: (p / "a.pkl").write_bytes(pickle.dumps({"x": 1})) and p / "a.pkl",
        "must hold global_orient",
    ),
}


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG)
def test_wrong_files_are_refused_with_the_reason(tmp_path, make, message):
    path = make(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        read_motion(path)
    assert caught.value.argument == "motion"
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("format", ["beat2", "amass", "show", "talkshow", "mano"])
def test_a_format_named_wrongly_is_refused_as_well(tmp_path, format):
    (tmp_path / "a.npz").write_bytes(b"not an archive")
    (tmp_path / "other").mkdir()
    for path in (tmp_path / "a.npz", an_npz(tmp_path / "other", x=np.ones(3))):
        with pytest.raises(InputError):
            read_motion(path, format=format)


def test_an_archive_that_unpacks_to_too_much_is_not_unpacked(tmp_path, monkeypatch):
    write_beat2(tmp_path / "a.npz", known_motion())
    monkeypatch.setattr("emo2.motion.formats.arrays.MAX_BYTES", 1000)
    with pytest.raises(InputError, match="unpacks to more"):
        read_motion(tmp_path / "a.npz")
