"""The garment of a body that no picture shows, and where its shoulders lie."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from emo2.draft.joints import arm_joint
from emo2.draft.limbs import ArmBones
from emo2.features.framing import lowered_shoulders, pixels_per_metre
from emo2.features.garment import CAP_M, folds, roundness, shoulders_outline, torso_half_px
from emo2.features.person import CHIN, FACE_LEFT, FACE_RIGHT, FOREHEAD, Person

SHAPE, METRE = (400, 420), 500.0
SHOULDERS = np.array([[290.0, 120.0], [130.0, 120.0]])


def test_slopes_are_symmetrical_and_end_round_at_the_shoulders():
    outline = shoulders_outline(SHAPE, SHOULDERS, METRE)
    np.testing.assert_allclose(outline, outline[:, ::-1], atol=0.02)
    for x, y in SHOULDERS.astype(int):
        assert outline[y, x] == 1
    top = np.argmax(outline > 0.5, axis=0)
    assert top[215] < top[250] < top[285]  # down from the neck
    assert top[289] == pytest.approx(120 - CAP_M * METRE, abs=1.5)
    assert outline[:, 290 + int(CAP_M * METRE) + 2 :].max() == 0


def test_a_torso_narrows_at_the_waist():
    chest, waist, hips = torso_half_px(120 + METRE * np.array([0.06, 0.36, 0.6]), 120, METRE)
    assert waist < chest
    assert waist < hips


def test_folds_are_faint_and_the_same_in_every_size_of_picture():
    light = folds(SHAPE, METRE, middle=210.0)
    assert light.shape == SHAPE
    assert light.mean() == pytest.approx(1, abs=0.02)
    assert 0.02 < light.std() < 0.1
    assert np.array_equal(light, folds(SHAPE, METRE, middle=210.0))
    half = folds((200, 210), METRE / 2, middle=105.0)
    shrunk = cv2.resize(light, (210, 200), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(half.ravel(), shrunk.ravel())[0, 1] > 0.9


def test_folds_lean_from_the_armpits_to_the_middle():
    light = folds(SHAPE, METRE, middle=210.0) - 1
    for half, sign in ((light[:, 220:], 1), (light[:, :200], -1)):
        # Ten rows further down, the same fold lies nearer to the middle.
        shifts = range(-12, 13)
        alike = [
            (half[:-10, 15:-15] * np.roll(half, s, axis=1)[10:, 15:-15]).mean() for s in shifts
        ]
        assert np.sign(shifts[int(np.argmax(alike))]) == sign


def test_a_body_turns_dark_towards_its_outline():
    body = np.zeros(SHAPE, np.float32)
    body[50:, 100:320] = 1
    light = roundness(body, METRE)
    assert light[395, 210] == pytest.approx(1, abs=0.01)  # the picture's edge is no outline
    assert (np.diff(light[200, 101:160]) >= 0).all()
    assert light[200, 101] < 0.8


def person(mask: np.ndarray, shoulders: np.ndarray) -> Person:
    face = np.zeros((478, 3), np.float32)
    face[[FACE_LEFT, FACE_RIGHT, FOREHEAD, CHIN], :2] = [
        [170, 90],
        [100, 90],
        [135, 40],
        [135, 125],
    ]
    nothing = np.full((2, 2), np.nan, np.float32)
    hands = np.full((2, 21, 2), np.nan, np.float32)
    return Person(face, shoulders, nothing, nothing, hands, mask, np.zeros((2, 2, 2)), ())


def test_shoulders_where_the_picture_shows_a_wall_lie_under_its_edge():
    mask = np.zeros((160, 270), np.float32)
    mask[30:, 90:180] = 1  # a head and a neck
    supposed = np.array([[210.0, 150.0], [60.0, 152.0]], np.float32)
    lowered = lowered_shoulders(person(mask, supposed))
    metre = pixels_per_metre(lowered)
    assert lowered.shoulders[:, 1].min() >= 160 + CAP_M * metre - 1e-3
    np.testing.assert_allclose(lowered.shoulders[:, 0], supposed[:, 0])
    assert np.ptp(lowered.shoulders[:, 1]) == pytest.approx(2)  # as level as they were


def test_shoulders_that_are_seen_or_far_inside_stay():
    mask = np.zeros((160, 270), np.float32)
    mask[30:, 90:180] = 1
    mask[140:] = 1
    seen = np.array([[210.0, 150.0], [60.0, 150.0]], np.float32)
    assert lowered_shoulders(person(mask, seen)).shoulders is seen
    mask[:] = 0
    inside = seen - [0, 90]
    assert lowered_shoulders(person(mask, inside)).shoulders is inside


@pytest.mark.parametrize("shift", [(0, 0), (14, -18)])
def test_a_drawn_arm_begins_inside_the_body(shift):
    alpha = np.zeros(SHAPE, np.float32)
    alpha[100:, 110:310] = 1
    shoulder = np.array([265.0, 140.0], np.float32) + np.float32(shift)

    class Seen:
        """What `arm_joint` asks a portrait for."""

        shoulders = np.stack([shoulder, shoulder])
        skin_rgb, sleeve_rgb = np.float32([0.8, 0.6, 0.5]), np.float32([0.2, 0.2, 0.4])
        camera = type("Camera", (), {"pixels_per_metre": METRE})

    bones = ArmBones(shoulder + np.float32([30, 140]), None, None, elbow_seen=False)
    body = np.zeros((*SHAPE, 3), np.uint8)
    rooted = arm_joint(Seen, body, alpha, 0, bones).shoulder
    x, y = rooted
    inside = min(x - 110, 310 - x, y - 100)
    assert inside >= CAP_M * METRE - 1.5
    assert np.linalg.norm(rooted - shoulder) < 30
    kept = arm_joint(Seen, body, alpha, 0, replace(bones, elbow_seen=True)).shoulder
    assert np.array_equal(kept, shoulder)
