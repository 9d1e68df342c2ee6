"""The draft renderer: laws of its parts, and short journeys on a real photograph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emo2.draft.arms import ArmLayer, ArmPainter, mean_layer
from emo2.draft.face import MovedPerson
from emo2.draft.ik import (
    ELBOW_PLAY_M,
    MAX_FOREARM_STRETCH,
    ArmRig,
    elbow_poles,
    solve_elbows,
    two_bone_ik,
)
from emo2.draft.light import Light
from emo2.draft.paint import paint_arms
from emo2.draft.plate import make_plate
from emo2.draft.renderer import DraftRenderer
from emo2.draft.shadow import creases
from emo2.draft.tube import tube_faces, tube_vertices
from emo2.draft.upper_arm import UpperArms
from emo2.errors import Cancelled, InputError
from emo2.evaluation.video import mouth_follows, speech_envelope
from emo2.hands.raster import vertex_normals
from emo2.types import AudioClip, Camera, HandMotion

FPS = 24
FRAMES = 6
CAMERA = Camera((160.0, 100.0), 300.0, 320, 320)
SHOULDERS = np.array([[0.18, 0.0, 0.0], [-0.18, 0.0, 0.0]])
UPPER, FORE = np.array([0.30, 0.30]), np.array([0.26, 0.26])
reachable = st.tuples(st.floats(-0.2, 0.35), st.floats(-0.42, 0.1), st.floats(0.12, 0.35))


def both(wrist: tuple[float, float, float]) -> np.ndarray:
    """One pose of two mirrored wrists (1, 2, 3)."""
    return np.array([[wrist, (-wrist[0], wrist[1], wrist[2])]])


def elbows_of(wrists: np.ndarray) -> np.ndarray:
    return two_bone_ik(SHOULDERS, wrists, UPPER, FORE, elbow_poles(wrists))


@given(reachable)
def test_bones_keep_their_length(wrist):
    wrists = both(wrist)
    elbows = elbows_of(wrists)
    assert np.allclose(np.linalg.norm(elbows - SHOULDERS, axis=-1), 0.30, atol=1e-6)
    distance = np.linalg.norm(wrists - SHOULDERS, axis=-1)
    within = distance < 0.98 * 0.56
    assert np.allclose(np.linalg.norm(elbows - wrists, axis=-1)[within], 0.26, atol=1e-6)


@given(reachable)
def test_left_and_right_are_mirror_images(wrist):
    left, right = elbows_of(both(wrist))[0]
    assert np.allclose(left * [-1, 1, 1], right, atol=1e-9)


@given(reachable, st.integers(0, 2))
def test_elbows_are_continuous(wrist, axis):
    step = 1e-4 * np.eye(3)[axis]
    here, there = elbows_of(both(wrist)), elbows_of(both(tuple(np.add(wrist, step))))
    assert np.abs(there - here).max() < 40 * 1e-4


@given(reachable)
def test_elbows_stay_out_of_the_torso(wrist):
    elbow = elbows_of(both(wrist))[0, 0]
    beside = np.hypot(elbow[0] / 0.14, elbow[2] / 0.085)
    assert beside > 0.8


def test_a_wrist_out_of_reach_keeps_the_upper_arm():
    elbows = elbows_of(both((0.9, 0.3, 0.4)))
    assert np.allclose(np.linalg.norm(elbows - SHOULDERS, axis=-1), 0.30)


@given(reachable)
def test_elbows_of_the_picture_hold_the_forearm(wrist):
    homes = np.array([[0.23, -0.27, 0.0], [-0.23, -0.27, 0.0]])
    rig = ArmRig(SHOULDERS, homes, UPPER, FORE)
    wrists = both(wrist)
    elbows = solve_elbows(rig, wrists, CAMERA)
    length = np.linalg.norm(elbows - wrists, axis=-1)
    assert (length < MAX_FOREARM_STRETCH * FORE + 1e-6).all()
    moved = np.linalg.norm(CAMERA.project(elbows) - CAMERA.project(homes), axis=-1)
    unstretched = length < (MAX_FOREARM_STRETCH - 0.01) * FORE
    assert (moved[unstretched] < ELBOW_PLAY_M * CAMERA.pixels_per_metre + 0.5).all()


def test_shading_keeps_colours_and_follows_the_light():
    light = Light(np.array([0.6, 0.0, 0.8], np.float32))
    facing, lit, unlit = light.shade(np.array([[0, 0.12, 0.99], [1, 0, 0], [-1, 0, 0]], np.float32))
    assert 1 < facing < 1.1
    assert lit > unlit + 0.1


def test_hollows_are_dark_and_round_edges_are_not():
    x = np.linspace(-0.04, 0.04, 81)
    hill = np.tile(np.sqrt(0.0017 - x**2), (81, 1)).astype(np.float32)
    covered = np.ones(hill.shape, bool)
    assert np.allclose(creases(hill, covered, 1000), 1)
    groove = creases(np.tile(np.abs(x), (81, 1)).astype(np.float32), covered, 1000)
    assert groove[40, 40].max() < 0.9
    far_in_front = np.where(np.abs(x) < 0.01, 0.3, 0.0) + np.zeros((81, 1))
    assert np.allclose(creases(far_in_front.astype(np.float32), covered, 1000), 1, atol=0.02)


def test_a_drawn_upper_arm_reaches_from_shoulder_to_elbow_and_faces_outwards():
    shoulder, elbow = np.array([0.18, 0.0, 0.0]), np.array([0.25, -0.27, 0.05])
    vertices, along, _ = tube_vertices(shoulder, elbow)
    for end, at in ((shoulder, 0), (elbow, 1)):
        assert np.linalg.norm(vertices[along == at].mean(axis=0) - end) < 0.055
    normals = vertex_normals(vertices, tube_faces())
    centres = shoulder + along[:, None] * (elbow - shoulder)
    assert (np.einsum("vi,vi->v", normals, vertices - centres) > 0).mean() > 0.98


def test_exposures_average():
    full, none = np.ones((4, 5), np.float32), np.zeros((4, 5), np.float32)
    one = ArmLayer(2, 3, np.ones((4, 5, 3), np.float32), full, none, none, none, full)
    same = mean_layer([one, one])
    assert np.array_equal(same.alpha, one.alpha)
    assert same.box == one.box
    apart = mean_layer([one, replace(one, top=4), None])
    assert apart.alpha.shape == (6, 5)
    assert apart.alpha.max() == pytest.approx(2 / 3)


def test_mouth_measure_finds_the_lag_and_the_floor():
    noise = np.random.default_rng(0)
    samples = noise.standard_normal(16000 * 6).astype(np.float32) * 0.1
    syllables = np.repeat(noise.uniform(0.02, 1, 36), 2667)
    audio = AudioClip((samples * syllables[: len(samples)]).astype(np.float32))
    envelope = speech_envelope(audio, 144, FPS)
    late = np.roll(envelope, 3)
    correlation, lag, floor = mouth_follows(0.05 * late, envelope)
    assert lag == 3
    assert correlation > 0.99
    assert floor < 0.5


# Journeys -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def portrait():
    from skimage.data import astronaut

    from emo2.features.portrait import analyse_portrait

    return analyse_portrait(astronaut(), max_side_px=256)


@pytest.fixture(scope="module")
def renderer():
    from emo2.hands.arm import ArmModel
    from emo2.hands.model import HandModel

    folder = Path(__file__).parents[1] / "checkpoints" / "demo" / "hands"
    return DraftRenderer(ArmModel.from_pretrained(folder), HandModel.from_pretrained(folder))


@pytest.fixture(scope="module")
def audio():
    time_s = np.arange(16000 * FRAMES // FPS) / 16000
    return AudioClip((0.3 * np.sin(2 * np.pi * 180 * time_s)).astype(np.float32))


@pytest.fixture(scope="module")
def motion():
    time = np.linspace(0, 1, FRAMES)
    wrists = np.empty((FRAMES, 2, 3), np.float32)
    wrists[:, 0] = np.stack([0.16 + 0.05 * time, -0.30 + 0.06 * time, 0.2 + 0 * time], axis=-1)
    wrists[:, 1] = wrists[:, 0] * [-1, 1, 1]
    quaternions = np.tile(np.array([1, 0, 0, 0], np.float32), (FRAMES, 2, 16, 1))
    return HandMotion(quaternions, wrists, np.ones((FRAMES, 2), bool), np.zeros((2, 10)), FPS)


@pytest.fixture(scope="module")
def film(renderer, portrait, audio, motion):
    return list(renderer(portrait, audio, motion, seed=3))


def test_a_film_has_a_frame_for_every_pose_in_the_size_of_the_portrait(film, portrait):
    assert len(film) == FRAMES
    for frame in film:
        assert frame.image.shape == portrait.image.shape
        assert frame.image.dtype == np.uint8
        assert frame.change.shape == portrait.image.shape[:2]
        assert frame.change.min() >= 0
        assert frame.change.max() <= 1


def test_hands_land_where_the_camera_puts_the_wrists(film, portrait, motion):
    for frame, wrists in zip(film, motion.translation_m, strict=True):
        for u, v in portrait.camera.project(wrists):
            assert frame.change[round(v), round(u)] > 0.9


def test_same_seed_same_bytes_and_a_stretch_equals_the_whole(
    renderer, portrait, audio, motion, film
):
    stretch = list(renderer(portrait, audio, motion, seed=3, start=2, stop=5))
    for ours, whole in zip(stretch, film[2:5], strict=True):
        assert np.array_equal(ours.image, whole.image)
        assert np.array_equal(ours.change, whole.change)


def test_upper_arms_follow_their_elbows_and_nothing_else_moves(portrait):
    plate = make_plate(portrait)
    plate = replace(plate, arms=tuple(replace(arm, elbow_seen=True) for arm in plate.arms))
    person = MovedPerson(portrait.image, np.zeros_like(plate.alpha), plate.alpha)
    shoulders = np.stack([arm.shoulder for arm in plate.arms])
    homes = np.stack([arm.elbow for arm in plate.arms])
    arms = UpperArms(plate)
    assert np.array_equal(arms.follow(person, shoulders, homes, homes).image, portrait.image)
    moved = arms.follow(person, shoulders, homes + 6, homes).image
    changed = np.abs(moved.astype(int) - portrait.image).max(axis=-1) > 8
    still = sum(arm.upper_arm for arm in plate.arms) == 0
    assert changed.any()
    assert not changed[still].any()


def test_hidden_hands_are_not_drawn(renderer, portrait, audio, motion, film):
    hidden = replace(motion, visible=np.zeros((FRAMES, 2), bool))
    mouth = portrait.face_landmarks[:468, :2]
    for frame in renderer(portrait, audio, hidden, seed=3, stop=2):
        outside = frame.change.copy()
        low, high = mouth.min(axis=0).astype(int) - 8, mouth.max(axis=0).astype(int) + 8
        outside[max(low[1], 0) : high[1], max(low[0], 0) : high[0]] = 0
        assert outside.max() == 0
        assert frame.skin.max() == 0  # lips are not arms
        assert frame.change.max() > 0.9
    assert (film[0].skin <= film[0].change + 1e-6).all()
    assert film[0].skin.max() > 0.9
    assert film[0].change[portrait.camera.height_px // 2 :].max() > 0.9


def test_sleeves_may_fill_a_large_picture(renderer, portrait, motion):
    model = renderer.arm_model
    paint = paint_arms(portrait, make_plate(portrait), model, renderer.hand_model, seed=0)
    paint = replace(paint, from_cuff_m=np.ones_like(paint.from_cuff_m))
    camera = Camera((640.0, 200.0), 2400.0, 1280, 960)
    painter = ArmPainter(model.faces, model.blend, paint, Light(np.array([0, 0, 1.0])), camera)
    elbows = np.array([[[0.28, -0.28, 0.0], [-0.28, -0.28, 0.0]]])
    vertices = model.vertices(motion, elbows, 0, 1)[0]
    shoulders = camera.project(SHOULDERS)
    layer = painter.draw(vertices, elbows[0], shoulders, np.ones(2, bool), motion.visible[0])
    assert (layer.alpha > 0.5).sum() > 40_000


def test_stop_ends_the_film_at_once(renderer, portrait, audio, motion):
    seen = []

    def stop_after_two(progress):
        seen.append(progress)
        if progress.done == 2:
            raise Cancelled

    frames = renderer(portrait, audio, motion, on_step=stop_after_two)
    with pytest.raises(Cancelled):
        list(frames)
    assert [(p.done, p.total) for p in seen] == [(1, FRAMES), (2, FRAMES)]
    frames = renderer(portrait, audio, motion)
    next(frames)
    frames.close()


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 3), (0, FRAMES + 1)])
def test_a_stretch_outside_the_film_is_refused(renderer, portrait, audio, motion, start, stop):
    with pytest.raises(InputError, match="start, stop"):
        renderer(portrait, audio, motion, start=start, stop=stop)
