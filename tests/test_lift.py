"""2-D tracks lifted to 3-D: the chain of bones, the fit over time, and the files they come in."""

import json
from dataclasses import replace

import numpy as np
import pytest
from seen import CAMERA, body_of, points_of, speaker, track_of

from emo2.errors import InputError
from emo2.hands.limits import LIMITS_DEG, finger_angles
from emo2.hands.model import HandModel
from emo2.motion.formats import Context, identify, read_motion
from emo2.motion.lift import fit, lift
from emo2.motion.lift.bones import MIRROR, OPENPOSE, Bones, hand_points, points
from emo2.motion.lift.frames import fit_frames
from emo2.motion.lift.terms import Pose, Sight, bounded, quadratic, unbounded
from emo2.motion.rotations import angle_between, from_axis_angle, to_matrix
from emo2.pipeline import DEMO_CHECKPOINT
from emo2.types import Camera

NO_HANDS = {"hands": np.zeros((4, 2, 21, 2)), "hands_score": np.zeros((4, 2, 21))}


@pytest.fixture(scope="module")
def hand_model():
    return HandModel.from_pretrained(DEMO_CHECKPOINT / "hands")


def wrist_error_deg(a, b):
    turns = a.quaternions[:, :, 0].astype(float), b.quaternions[:, :, 0].astype(float)
    return np.rad2deg(angle_between(*turns))


# Bones -------------------------------------------------------------------------------------------


def test_bones_are_the_hand_models_joints(hand_model):
    random = np.random.default_rng(3)
    betas = np.stack([random.normal(size=10)] * 2) * 0.5
    motion = replace(speaker(6), betas=betas.astype(np.float32))
    joints = hand_model.joints(motion)[:, :, OPENPOSE]
    chain = hand_points(Bones.of(hand_model), motion, slice(None))
    off = np.linalg.norm(chain - joints, axis=-1)
    tips = np.array([4, 8, 12, 16, 20])
    assert np.delete(off, tips, axis=2).max() < 1e-4
    assert off[:, :, tips].max() < 4e-3  # a tip is skin: it swells as the finger bends


def test_without_a_hand_model_the_anatomy_serves(hand_model):
    off = np.linalg.norm(Bones.of(None).rest_m - Bones.of(hand_model).rest_m, axis=-1)
    assert off.max() < 6e-3


def test_points_move_as_their_derivatives_say():
    random = np.random.default_rng(0)
    rest = Bones.of(None).rest_m[:1]
    pose = Pose(
        random.normal(size=(3, 3)) * 0.1,
        to_matrix(from_axis_angle(random.normal(size=(3, 3)))),
        random.uniform(-0.2, 0.9, (3, 25)),
    )
    at, moves = points(rest, pose.place_m, pose.turn, pose.free)
    small = 1e-6
    for k in range(31):
        step = np.zeros((3, 31))
        step[:, k] = small
        moved = pose.moved(step)
        there, _ = points(rest, moved.place_m, moved.turn, moved.free)
        np.testing.assert_allclose((there - at) / small, moves[..., k], atol=1e-5)


def test_energy_falls_along_its_gradient():
    random = np.random.default_rng(1)
    rest = Bones.of(None).rest_m[:1]
    turn = to_matrix(from_axis_angle(random.normal(size=(4, 3))))
    pose = Pose(np.tile([0.15, -0.3, 0.05], (4, 1)), turn, random.uniform(-0.6, 2.0, (4, 25)))
    sight = Sight(
        random.normal(size=(4, 21, 2)) * 40 + [130, -260],
        random.uniform(0, 1, (4, 21)),
        np.full(4, 0.2),
        np.full(4, 0.05),
        875.0,
        2.5,
    )
    now = quadratic(sight, pose, rest, 2.0, 5.0)
    small = 1e-6
    for k in range(6, 31):
        step = np.zeros((4, 31))
        step[:, k] = small
        then = quadratic(sight, pose.moved(step), rest, 2.0, 5.0)
        slope = (then.energy - now.energy) / small
        np.testing.assert_allclose(slope, 2 * now.gradient[:, k], rtol=2e-3, atol=0.5)


def test_angles_never_leave_their_limits():
    low, high = np.deg2rad(LIMITS_DEG).reshape(25, 2).T
    free = np.linspace(-20, 20, 401)[:, None] + np.zeros(25)
    angles, slope = bounded(free)
    assert (angles >= low - 1e-9).all()
    assert (angles <= high + 1e-9).all()
    assert (np.diff(angles, axis=0) >= 0).all()
    assert (slope >= 0).all()
    middle = (0.5 * (low + high))[None]
    np.testing.assert_allclose(bounded(middle)[0], middle)
    inside = low + (high - low) * np.linspace(0.02, 0.98, 50)[:, None]
    np.testing.assert_allclose(bounded(unbounded(inside))[0], inside, atol=1e-9)


# The fit -----------------------------------------------------------------------------------------


def test_clean_points_give_the_motion_back():
    motion = speaker(24)
    lifted = lift(track_of(motion))
    assert np.abs(lifted.reprojected_px - points_of(motion)).max() < 1.0
    assert wrist_error_deg(motion, lifted.motion).max() < 10
    off = np.abs(motion.translation_m - lifted.motion.translation_m)
    assert np.median(off[..., :2]) < 0.01
    assert np.median(off[..., 2]) < 0.06
    assert lifted.motion.visible.all()
    assert lifted.quality.error_px < 0.3
    assert lifted.quality.jerk_ratio == pytest.approx(1, abs=0.1)


def test_noise_is_not_copied_and_no_palm_turns_over():
    motion = speaker(24, seed=2)
    track = track_of(motion, noise_px=3.0)
    lifted = lift(track)
    off = np.linalg.norm(lifted.reprojected_px - points_of(motion), axis=-1)
    noise = np.linalg.norm(track.hands_px - points_of(motion), axis=-1)
    assert np.median(off) < 0.6 * np.median(noise)
    assert lifted.quality.jerk_ratio < 0.5
    errors = wrist_error_deg(motion, lifted.motion)
    assert np.median(errors) < 8
    assert errors.max() < 45
    speeds = [
        np.quantile(np.linalg.norm(np.diff(m.translation_m[..., :2], axis=0), axis=-1), 0.95)
        for m in (lifted.motion, motion)
    ]
    assert speeds[0] == pytest.approx(speeds[1], rel=0.1)


def test_the_fit_obeys_the_joint_limits():
    track = track_of(speaker(12, seed=1), noise_px=12.0)
    motion = lift(track).motion
    for hand in (0, 1):
        angles, residual = finger_angles(motion.quaternions[:, hand].astype(float), hand)
        assert (angles > LIMITS_DEG[..., 0] - 0.1).all()
        assert (angles < LIMITS_DEG[..., 1] + 0.1).all()
        assert residual.max() < 1e-3


def test_a_fast_stroke_stays_fast():
    motion = speaker(24, seed=3)
    swing = np.clip((np.arange(24) - 10) / 4, 0, 1)
    swing = 0.18 * (swing**3 * (10 - 15 * swing + 6 * swing**2))  # 18 cm in 4 frames
    places = motion.translation_m + swing[:, None, None] * np.array([0.0, 1.0, 0.0])
    motion = replace(motion, translation_m=places)
    lifted = lift(track_of(motion, noise_px=1.5)).motion
    peaks = [np.abs(np.diff(m.translation_m[..., 1], axis=0)).max() for m in (motion, lifted)]
    assert peaks[1] == pytest.approx(peaks[0], rel=0.1)


def test_short_gaps_are_bridged_and_long_ones_hidden():
    motion = speaker(24)
    track = track_of(motion)
    track.hands_score[4:8, 0] = 0.1  # too faint to be believed
    track.hands_px[9:21, 1] = 0.0  # a detector's "not there"
    track.hands_score[9:21, 1] = 0.0
    lifted = lift(track)
    assert lifted.motion.visible[:, 0].all()
    assert not lifted.motion.visible[9:21, 1].any()
    assert lifted.motion.visible[:8, 1].all()
    assert lifted.motion.visible[22:, 1].all()
    off = np.linalg.norm(lifted.reprojected_px - points_of(motion), axis=-1)
    assert off[4:8, 0].max() < 15
    assert np.isfinite(lifted.motion.quaternions).all()


def test_a_hand_that_is_never_seen_is_hidden():
    track = track_of(speaker(8))
    track.hands_score[:, 1] = 0.0
    motion = lift(track).motion
    assert motion.visible[:, 0].all()
    assert not motion.visible[:, 1].any()
    assert np.isfinite(motion.translation_m).all()


def test_points_of_another_place_are_not_followed():
    motion = speaker(16)
    track = track_of(motion, noise_px=0.5)
    track.hands_px[7, 0] += [300, -200]  # one frame somewhere else
    track.hands_px[10, 1, 8] += [60, 0]  # one finger tip
    lifted = lift(track)
    off = np.linalg.norm(lifted.reprojected_px - points_of(motion), axis=-1)
    assert off[7, 0].max() < 8
    assert off[10, 1, 8] < 8


def test_a_modest_detector_is_believed_too():
    motion = speaker(16)
    sure, modest = track_of(motion, noise_px=1.0), track_of(motion, noise_px=1.0)
    modest = replace(modest, hands_score=modest.hands_score * 0.5)
    np.testing.assert_allclose(modest.weights(), sure.weights())


def test_seams_between_stretches_are_not_seen(monkeypatch):
    track = track_of(speaker(40), noise_px=2.0)
    whole = lift(track)
    monkeypatch.setattr(fit, "CHUNK_FRAMES", 24)
    monkeypatch.setattr(fit, "OVERLAP_FRAMES", 12)
    parts = lift(track)
    assert np.linalg.norm(parts.reprojected_px - whole.reprojected_px, axis=-1).max() < 1.5
    assert parts.quality.jerk_ratio < 1.1 * whole.quality.jerk_ratio


def test_a_walk_through_the_picture_is_not_a_gesture():
    motion = speaker(24)
    still = track_of(motion)
    path = np.linspace(-150, 150, 24)[:, None, None] * np.array([1.0, 0.0])
    walking = replace(still, hands_px=still.hands_px + path[:, None], body_px=still.body_px + path)
    lifted = lift(walking)
    assert any("way through the picture" in note for note in lifted.view.notes)
    x = lifted.motion.translation_m[6:-6, :, 0] - motion.translation_m[6:-6, :, 0]
    assert np.abs(x - np.median(x, axis=0)).max() < 0.04
    assert np.linalg.norm(lifted.reprojected_px - walking.hands_px, axis=-1).max() < 1.5


def test_without_a_body_the_hands_make_one():
    track = track_of(speaker(10))
    track.body_score[:] = 0.0
    lifted = lift(track)
    assert any("guessed from the hands" in note for note in lifted.view.notes)
    assert lifted.quality.error_px < 0.5
    assert 0.7 < lifted.view.camera.pixels_per_metre / CAMERA.pixels_per_metre < 1.4


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_the_shortest_tracks(frames):
    lifted = lift(track_of(speaker(frames)))
    assert lifted.motion.num_frames == frames
    assert lifted.quality.error_px < 1.0


def test_every_frame_for_itself_is_right_about_the_palm():
    motion = speaker(12, seed=5)
    for hand in (0, 1):
        seen = (points_of(motion)[:, hand] - CAMERA.origin_px) * [1, -1] * MIRROR[:2] ** hand
        sight = Sight(seen, np.ones((12, 21)), np.full(12, 0.2), np.full(12, 0.08), 875.0, 2.5)
        pose = fit_frames(sight, Bones.of(None).rest_m[hand : hand + 1], 2.0, 4.0)
        fingers = pose.turn[:, :, 0] * MIRROR**hand
        true = to_matrix(motion.quaternions[:, hand, 0].astype(float))[:, :, 0] * (1 - 2 * hand)
        assert (np.sum(fingers * true, axis=-1) > 0.9).all()


# Files -------------------------------------------------------------------------------------------


def save(path, motion, scale=1 / 768, **changes):
    body, body_score = body_of(motion)
    arrays = {
        "hands": points_of(motion) * scale,
        "hands_score": np.full((motion.num_frames, 2, 21), 1.1),
        "body": body * scale,
        "body_score": body_score,
        "canvas": np.array([768, 768]),
        "fps": np.array(30),
    }
    kept = {k: v for k, v in (arrays | changes).items() if v is not None}
    np.savez(path, **kept)
    return path


def test_npz_in_shares_and_in_pixels(tmp_path):
    motion = speaker(8)
    shares = read_motion(save(tmp_path / "a.npz", motion), fps=None)
    pixels = read_motion(save(tmp_path / "b.npz", motion, scale=1.0), fps=None)
    assert shares.report.format == "keypoints"
    assert shares.motion.fps == 30
    assert shares.report.error_px < 0.5
    np.testing.assert_allclose(shares.motion.translation_m, pixels.motion.translation_m, atol=1e-3)
    camera = Camera(**{**shares.motion.meta["camera"]})
    again = camera.project(hand_points(Bones.of(None), shares.motion, slice(None)))
    assert np.linalg.norm(again - points_of(motion), axis=-1).max() < 1.0


def test_npz_of_hands_alone(tmp_path):
    nothing = dict.fromkeys(("body", "body_score", "canvas", "fps"))
    imported = read_motion(save(tmp_path / "a.npz", speaker(8), **nothing), fps=None)
    assert imported.motion.fps == 24
    assert "assumed" in imported.report.convention
    assert any("guessed" in line for line in imported.report.lost)


def people(motion, t, shift=0.0, scale=1.0):
    body, score = body_of(motion)
    triples = np.concatenate([body * scale + shift, score[..., None]], axis=-1)
    hands = points_of(motion) * scale + shift
    scored = np.concatenate([hands, np.ones((*hands.shape[:-1], 1))], axis=-1)
    return {
        "pose_keypoints_2d": triples[t].ravel().tolist(),
        "hand_left_keypoints_2d": scored[t, 0].ravel().tolist(),
        "hand_right_keypoints_2d": scored[t, 1].ravel().tolist(),
    }


def test_openpose_folder_of_several_people(tmp_path):
    motion = speaker(11)
    folder = tmp_path / "poses"
    folder.mkdir()
    for t in range(11):  # 2 comes before 10
        crowd = [people(motion, t, shift=400, scale=0.3), people(motion, t)]
        (folder / f"clip_{t}_keypoints.json").write_text(json.dumps({"people": crowd}))
    assert identify(folder).name == "keypoints"
    imported = read_motion(folder)
    assert any("several people" in line for line in imported.report.lost)
    assert wrist_error_deg(motion, imported.motion).max() < 15


def test_one_json_of_frames_with_a_person_who_leaves(tmp_path):
    motion = speaker(24)
    frames = [
        {"people": [people(motion, t)] if t < 12 else [], "canvas_width": 768, "canvas_height": 768}
        for t in range(24)
    ]
    path = tmp_path / "poses.json"
    path.write_text(json.dumps(frames))
    imported = read_motion(path)
    assert imported.motion.visible[:11].all()
    assert not imported.motion.visible[13:].any()
    assert "768 x 768" in imported.report.convention


def with_nan(array):
    array = np.array(array, dtype=np.float64)
    array[0, 0, 0, 0] = np.nan
    return array


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hands": with_nan(np.ones((4, 2, 21, 2)))}, "NaN"),
        ({"hands": np.zeros((4, 2, 20, 2))}, "(T, 2, 21, 2)"),
        ({"hands": np.zeros((0, 2, 21, 2)), "hands_score": np.zeros((0, 2, 21))}, "one frame"),
        (NO_HANDS | {"body": None}, "show a hand"),
        ({"hands_score": np.ones((3, 2, 21))}, "hands_score"),
        ({"fps": np.array(0)}, "fps"),
        ({"canvas": np.array([3, 3])}, "canvas"),
        ({"hands": np.array([{}])}, "pickled"),
    ],
)
def test_wrong_npz(tmp_path, changes, words):
    path = save(tmp_path / "a.npz", speaker(4), **changes)
    with pytest.raises(InputError, match=words.replace("(", r"\(").replace(")", r"\)")):
        read_motion(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "whole JSON"),
        ("[]", "frames"),
        ('[{"animals": []}]', "people"),
        ('{"people": [{"hand_left_keypoints_2d": [1, 2]}]}', "triples"),
        ('{"people": [{"hand_left_keypoints_2d": [1, 2, 1]}]}', "21 points"),
        ('{"people": []}', "hand"),
    ],
)
def test_wrong_json(tmp_path, text, words):
    path = tmp_path / "poses.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_motion(path)


def test_a_cut_off_npz(tmp_path):
    path = save(tmp_path / "a.npz", speaker(4))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError):
        read_motion(path, format="keypoints")


def test_the_hand_model_gives_the_size(tmp_path, hand_model):
    big = replace(speaker(16), betas=np.tile([[1.5, *[0] * 9]], (2, 1)))
    bones = Bones.of(hand_model)
    seen = CAMERA.project(hand_points(bones, big, slice(None)))
    path = save(tmp_path / "a.npz", big, hands=seen / 768)
    imported = read_motion(path, context=Context(hand_model=hand_model), fps=None)
    assert imported.report.error_px < 0.5
    np.testing.assert_array_equal(imported.motion.betas[0], imported.motion.betas[1])
    assert (np.abs(imported.motion.betas) <= 2.0).all()
