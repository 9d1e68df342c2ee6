"""Guidance maps: what Stage 2 sees of a motion."""

from pathlib import Path

import numpy as np
import pytest

from emo2.guidance.maps import draw_guidance
from emo2.hands.model import HandModel
from emo2.hands.shapes import handshape, wrist_rotation
from emo2.types import Camera, HandMotion, Portrait

HANDS = Path(__file__).parents[1] / "checkpoints" / "demo" / "hands"
SIZE = (192, 160)
CAMERA = Camera((80.0, 70.0), 240.0, SIZE[1], SIZE[0])


@pytest.fixture(scope="module")
def hand_model() -> HandModel:
    return HandModel.from_pretrained(HANDS)


def portrait(shoulders=((123.0, 70.0), (37.0, 70.0))) -> Portrait:
    """A frame with nobody's face in it, but a camera and shoulders."""
    unseen = np.nan
    return Portrait(
        image=np.zeros((*SIZE, 3), np.uint8),
        face_landmarks=np.full((478, 3), unseen),
        shoulders=np.array(shoulders),
        neck=np.array([80.0, 60.0]),
        elbows=np.full((2, 2), unseen),
        wrists=np.full((2, 2), unseen),
        hands=np.full((2, 21, 2), unseen),
        person_mask=np.ones(SIZE),
        skin_rgb=np.full(3, 0.5),
        sleeve_rgb=np.full(3, 0.2),
        bare_forearms=False,
        camera=CAMERA,
        source_box=(0.0, 0.0, SIZE[1], SIZE[0]),
    )


def waving(frames: int = 3, left=(0.15, -0.1, 0.1), right=(-0.15, -0.1, 0.1)) -> HandMotion:
    """Open palms that drift sideways by 4 mm a frame."""
    quaternions = np.zeros((frames, 2, 16, 4))
    wrists = np.tile(np.array([left, right], dtype=float), (frames, 1, 1))
    wrists[..., 0] += 0.004 * np.arange(frames)[:, None]
    for hand in (0, 1):
        quaternions[:, hand] = handshape("open", hand)
        quaternions[:, hand, 0] = wrist_rotation([0, 1, 0.1], [0, 0, 1], hand)
    return HandMotion(quaternions, wrists, np.ones((frames, 2), bool), np.zeros((2, 10)), 24.0)


def with_visible(motion: HandMotion, left: bool, right: bool) -> HandMotion:
    visible = np.tile([left, right], (motion.num_frames, 1))
    return HandMotion(motion.quaternions, motion.translation_m, visible, motion.betas, motion.fps)


def test_maps_have_the_pictures_size_and_range(hand_model):
    maps = draw_guidance(waving(), hand_model, portrait())
    for name in ("mano", "keypoints"):
        values = getattr(maps, name)
        assert values.shape == (3, 3, *SIZE)
        assert values.dtype == np.float32
        assert values.min() == 0
        assert 0.8 < values.max() <= 1
    np.testing.assert_array_equal(maps.confidence, 1)


def test_palms_to_the_camera_are_blue_and_lie_where_the_camera_projects_them(hand_model):
    motion = waving(1)
    maps = draw_guidance(motion, hand_model, portrait())
    joints = hand_model.joints(motion)[0]
    palms = CAMERA.project(joints[:, [0, 1, 7]].mean(axis=1)).astype(int)
    for column, row in palms:
        red, green, blue = maps.mano[0, :, row, column]
        assert blue > 0.9
        assert max(red, green) < 0.75
    for point in CAMERA.project(joints[0]):
        column, row = np.floor(point).astype(int)
        near = maps.keypoints[0, :, row - 1 : row + 2, column - 1 : column + 2]
        assert near.max() > 0.5


def test_a_stretch_equals_the_same_frames_of_the_whole(hand_model):
    whole = draw_guidance(waving(5), hand_model, portrait())
    part = draw_guidance(waving(5), hand_model, portrait(), 2, 4)
    for name in ("mano", "keypoints", "confidence"):
        np.testing.assert_allclose(getattr(part, name), getattr(whole, name)[2:4], atol=0.02)
    assert np.abs(whole.mano[0] - whole.mano[4]).max() > 0.3, "the hands move"


def test_hidden_hands_are_black_and_not_trusted(hand_model):
    motion = with_visible(waving(1), left=False, right=True)
    maps = draw_guidance(motion, hand_model, portrait(shoulders=np.full((2, 2), np.nan)))
    np.testing.assert_array_equal(maps.confidence, [[0, 1]])
    assert maps.mano[0, :, :, :80].any()
    assert not maps.mano[0, :, :, 85:].any()
    assert not maps.keypoints[0, :, :, 85:].any()


def test_confidence_is_the_share_inside_the_picture(hand_model):
    edge = CAMERA.unproject(np.array([SIZE[1], 0.0]), 0.1)[0]
    motion = waving(1, left=(edge, -0.1, 0.1), right=(-3.0, 0.0, 0.1))
    maps = draw_guidance(motion, hand_model, portrait())
    assert 0.2 < maps.confidence[0, 0] < 0.8
    assert maps.confidence[0, 1] == 0


def test_nearer_hands_hide_farther_ones(hand_model):
    together = waving(1, left=(0.0, -0.1, 0.05), right=(0.0, -0.1, 0.30))
    both = draw_guidance(together, hand_model, portrait()).mano[0]
    near = draw_guidance(with_visible(together, False, True), hand_model, portrait()).mano[0]
    solid = near[2] > 0.9
    np.testing.assert_allclose(both[:, solid], near[:, solid], atol=0.02)


def test_unseen_shoulders_are_not_drawn(hand_model):
    nobody = with_visible(waving(1), False, False)
    seen = draw_guidance(nobody, hand_model, portrait())
    unseen = draw_guidance(nobody, hand_model, portrait(shoulders=np.full((2, 2), np.nan)))
    assert seen.keypoints.max() > 0.9
    assert not unseen.keypoints.any()
    assert not seen.mano.any()


def test_no_frames_give_empty_maps(hand_model):
    maps = draw_guidance(waving(2), hand_model, portrait(), 1, 1)
    assert maps.mano.shape == (0, 3, *SIZE)
