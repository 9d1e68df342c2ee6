"""Previews: the hands' pictures, trails, the beat strip and the contact sheet."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from emo2.errors import InputError
from emo2.hands.model import HandModel
from emo2.hands.opengl import OpenGLRenderer
from emo2.hands.render import available_backend, render_motion
from emo2.hands.shapes import SHAPES, finger_quaternions, handshape, wrist_rotation
from emo2.types import NUM_HANDS, Camera, HandMotion

HANDS = Path(__file__).parents[1] / "checkpoints" / "demo" / "hands"
CAMERA = Camera((128.0, 100.0), 380.0, 256, 224)


@pytest.fixture(scope="module")
def hand_model() -> HandModel:
    return HandModel.from_pretrained(HANDS)


def random_motion(frames: int, seed: int = 0) -> HandMotion:
    """Hands in front of the chest in human handshapes and any orientation."""
    random = np.random.default_rng(seed)
    quaternions = np.zeros((frames, NUM_HANDS, 16, 4))
    for t in range(frames):
        for hand in range(NUM_HANDS):
            shape = SHAPES[random.choice(list(SHAPES))]
            quaternions[t, hand] = finger_quaternions(shape, hand)
            quaternions[t, hand, 0] = wrist_rotation(
                random.normal(size=3), random.normal(size=3), hand
            )
    centre = np.array([[0.18, -0.05, 0.2], [-0.18, -0.05, 0.2]])
    places = centre + random.uniform(-0.04, 0.04, (frames, 2, 3))
    betas = random.uniform(-1, 1, (2, 10))
    return HandMotion(quaternions, places, np.ones((frames, 2), bool), betas, 24.0)


def still(names: tuple[str, str], fingers=(0, 1, 0), palm=(0, 0, 1), wrists=None) -> HandMotion:
    """One frame: a named handshape for each hand, the given way round."""
    quaternions = np.stack([handshape(name, hand) for hand, name in enumerate(names)])[None]
    for hand in range(NUM_HANDS):
        quaternions[0, hand, 0] = wrist_rotation(fingers, palm, hand)
    wrists = np.array([[0.16, -0.05, 0.1], [-0.16, -0.05, 0.1]]) if wrists is None else wrists
    return HandMotion(
        quaternions, np.asarray(wrists)[None], np.ones((1, 2), bool), np.zeros((2, 10)), 24.0
    )


NIGHT = np.zeros((CAMERA.height_px, CAMERA.width_px, 3), np.uint8)


def silhouette(frame: np.ndarray) -> np.ndarray:
    """Hands and cuffs over a black picture."""
    return frame.max(axis=-1) > 30


def test_backends_draw_the_same_silhouette_where_the_camera_puts_it(hand_model):
    motion = random_motion(3, seed=3)

    def draw(backend):
        return list(render_motion(motion, hand_model, CAMERA, background=NIGHT, backend=backend))

    backend, reason = available_backend()
    pictures = {"raster": draw("raster")}
    if backend == "pyrender":
        pictures["pyrender"] = draw("pyrender")
    else:
        assert "OpenGL" in reason
        with pytest.raises(InputError, match="backend"):
            draw("pyrender")
    masks = {name: [silhouette(f) for f in fs] for name, fs in pictures.items()}
    for t in range(3):
        points = CAMERA.project(hand_model.vertices(motion, t, t + 1)[0]).reshape(-1, 2)
        inside = np.all((points >= 2) & (points < np.array([256, 224]) - 2), axis=1)
        columns, rows = points[inside].astype(int).T
        for name, frames in masks.items():
            near = frames[t] | np.roll(frames[t], 1, 0) | np.roll(frames[t], -1, 0)
            near = near | np.roll(near, 1, 1) | np.roll(near, -1, 1)
            assert near[rows, columns].mean() > 0.97, name
        if "pyrender" in masks:
            a, b = masks["pyrender"][t], masks["raster"][t]
            assert (a & b).sum() / (a | b).sum() > 0.97
            difference = np.abs(pictures["pyrender"][t].astype(int) - pictures["raster"][t])
            assert difference[a & b].mean() < 12


def test_previews_work_without_opengl(hand_model, monkeypatch):
    monkeypatch.setattr(OpenGLRenderer, "_instance", None)
    monkeypatch.setattr(OpenGLRenderer, "_failure", None)
    monkeypatch.setitem(sys.modules, "pyrender", None)
    name, reason = available_backend()
    assert name == "raster"
    assert "pyrender" in reason
    motion = random_motion(1)
    auto = list(render_motion(motion, hand_model, CAMERA))
    raster = list(render_motion(motion, hand_model, CAMERA, backend="raster"))
    np.testing.assert_array_equal(auto, raster)
    with pytest.raises(InputError, match="pyrender must work here"):
        render_motion(motion, hand_model, CAMERA, backend="pyrender")


def test_previews_may_be_drawn_from_many_threads(hand_model):
    motion = random_motion(4)
    alone = list(render_motion(motion, hand_model, CAMERA))
    with ThreadPoolExecutor(3) as pool:
        jobs = [
            pool.submit(lambda: list(render_motion(motion, hand_model, CAMERA))) for _ in range(3)
        ]
    for job in jobs:
        np.testing.assert_array_equal(job.result(), alone)


def test_frames_have_the_cameras_size_and_hidden_hands_are_not_drawn(hand_model):
    motion = random_motion(2)
    visible = np.array([[True, True], [False, False]])
    half = HandMotion(motion.quaternions, motion.translation_m, visible, motion.betas, 24.0)
    portrait = np.full((224, 256, 3), 180, np.uint8)
    shown, hidden = render_motion(half, hand_model, CAMERA, background=portrait, backend="raster")
    assert shown.shape == hidden.shape == (224, 256, 3)
    assert shown.dtype == np.uint8
    assert np.ptp(hidden) == 0, "nothing but the dimmed portrait"
    assert 40 < hidden.mean() < 140
    assert (shown != hidden).any(axis=-1).mean() > 0.03
    (tail,) = render_motion(half, hand_model, CAMERA, background=portrait, start=1)
    np.testing.assert_array_equal(tail, hidden)


def test_hands_outside_the_picture_are_no_error(hand_model):
    away = still(("open", "fist"), wrists=[[2.0, 0, 0], [-0.33, 0.0, 0.1]])
    for backend in ("auto", "raster"):
        (frame,) = render_motion(away, hand_model, CAMERA, backend=backend)
        assert frame.shape == (224, 256, 3)


def test_bad_arguments_are_refused_at_the_call(hand_model):
    motion = random_motion(1)
    with pytest.raises(InputError, match="backend"):
        render_motion(motion, hand_model, CAMERA, backend="vulkan")
    with pytest.raises(InputError, match="256 x 224"):
        render_motion(motion, hand_model, CAMERA, background=np.zeros((8, 8, 3), np.uint8))


def test_the_preview_looks_as_it_did(hand_model):
    """Golden: mean brightness of a 6 x 6 grid of one small frame."""
    motion = still(("open", "point"), fingers=(0.1, 1, 0.2), palm=(0, 0, 1))
    (frame,) = render_motion(motion, hand_model, Camera((48, 44), 150.0, 96, 96), backend="raster")
    cells = frame.reshape(6, 16, 6, 16, 3).mean(axis=(1, 3, 4))
    np.testing.assert_allclose(cells, GOLDEN, atol=2.5)


GOLDEN = (
    (232, 235, 237, 237, 235, 232),
    (228, 225, 233, 233, 216, 223),
    (221, 174, 227, 221, 174, 208),
    (216, 157, 221, 221, 160, 216),
    (209, 213, 214, 214, 213, 209),
    (202, 205, 207, 207, 205, 202),
)
