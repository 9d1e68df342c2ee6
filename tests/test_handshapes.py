"""Handshapes: joint limits, fingertip targets, the library of named poses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emo2.errors import InputError
from emo2.hands.limits import (
    HINGE_PLAY_DEG,
    LIMITS_DEG,
    clamp_angles,
    clamp_fingers,
    finger_angles,
)
from emo2.hands.shapes import SHAPES, finger_quaternions, first_joint_axes
from emo2.hands.skeleton import FINGERS, FIRST_JOINT, LEFT, RIGHT, finger_axes
from emo2.motion.rotations import angle_between, from_axis_angle, mirror, multiply, normalise

HAND = st.sampled_from([LEFT, RIGHT])
HINGES = [j for first in FIRST_JOINT.values() for j in (first + 1, first + 2)]


def tables(low: np.ndarray | float, high: np.ndarray | float) -> st.SearchStrategy[np.ndarray]:
    """Handshape tables with every angle between low and high."""
    shares = arrays(np.float64, (5, 5), elements=st.floats(0, 1))
    return shares.map(lambda share: low + share * (np.asarray(high) - low))


inside = tables(LIMITS_DEG[..., 0], LIMITS_DEG[..., 1]).map(clamp_angles)
any_rotations = arrays(np.float64, (16, 4), elements=st.floats(-1, 1)).map(normalise)


# Limits -------------------------------------------------------------------------------------


@given(inside, HAND)
@settings(max_examples=60, deadline=None)
def test_angles_come_back_from_rotations(angles, hand):
    found, residual = finger_angles(finger_quaternions(angles, hand), hand)
    np.testing.assert_allclose(found, angles, atol=1e-6)
    assert residual.max() < 1e-7


@given(any_rotations, HAND)
@settings(max_examples=60, deadline=None)
def test_angles_and_the_rest_are_the_whole_rotation(quaternions, hand):
    angles, residual = finger_angles(quaternions, hand)
    again = finger_quaternions(angles, hand)
    np.testing.assert_allclose(angle_between(again, quaternions)[1:], residual, atol=1e-6)
    fingers = [FIRST_JOINT[f] - 1 for f in FINGERS[1:]]
    assert residual[fingers].max() < 0.1, "three angles say nearly any rotation of a finger's base"


@given(any_rotations, st.floats(-np.pi, np.pi))
@settings(max_examples=40, deadline=None)
def test_a_hinge_angle_is_the_nearest_one(quaternions, other):
    angles, residual = finger_angles(quaternions, RIGHT)
    for row, finger in enumerate(FINGERS):
        for k in (1, 2):
            joint = FIRST_JOINT[finger] + k
            elsewhere = from_axis_angle(other * finger_axes(finger)[k, 2])
            assert angle_between(elsewhere, quaternions[joint]) > residual[joint - 1] - 1e-7
            assert abs(angles[row, 2 + k]) <= 180


@given(inside, HAND, st.sampled_from([np.float32, np.float64]))
@settings(max_examples=60, deadline=None)
def test_what_is_inside_the_limits_stays_to_the_bit(angles, hand, dtype):
    quaternions = finger_quaternions(angles, hand).astype(dtype)
    quaternions[0] = [0.5, 0.5, -0.5, 0.5]
    clamped = clamp_fingers(quaternions, hand)
    assert clamped.dtype == dtype
    np.testing.assert_array_equal(clamped, quaternions)


@given(any_rotations, HAND, st.sampled_from([np.float32, np.float64]))
@settings(max_examples=100, deadline=None)
def test_clamping_twice_is_clamping_once(quaternions, hand, dtype):
    once = clamp_fingers(quaternions.astype(dtype), hand)
    np.testing.assert_array_equal(clamp_fingers(once, hand), once)
    np.testing.assert_array_equal(once[0], quaternions[0].astype(dtype))
    np.testing.assert_allclose(np.linalg.norm(once, axis=-1), 1, atol=1e-6)
    angles, residual = finger_angles(once, hand)
    np.testing.assert_allclose(clamp_angles(angles), angles, atol=2e-3)
    assert np.rad2deg(residual.max()) < HINGE_PLAY_DEG + 2e-3


@given(tables(-80.0, 170.0), inside, HAND)
@settings(max_examples=60, deadline=None)
def test_the_clamped_hand_is_the_nearest_one_inside(angles, other, hand):
    angles[:, :2] = np.clip(angles[:, :2], -60, 60)  # a spread beyond the pole has another name
    clamped, residual = finger_angles(clamp_fingers(finger_quaternions(angles, hand), hand), hand)
    assert residual.max() < 1e-6
    columns = [0, 2, 3, 4]  # the limit of the spread depends on the base
    asked = finger_angles(finger_quaternions(angles, hand), hand)[0]
    away = np.abs((asked - clamped + 180) % 360 - 180)[:, columns]
    elsewhere = np.abs((asked - other + 180) % 360 - 180)[:, columns]
    assert np.all(away <= elsewhere + 2e-3)
    np.testing.assert_allclose(clamped, clamp_angles(asked), atol=1e-6)


@given(any_rotations)
@settings(max_examples=40, deadline=None)
def test_limits_are_the_same_in_the_mirror(quaternions):
    left, right = finger_angles(mirror(quaternions), LEFT), finger_angles(quaternions, RIGHT)
    np.testing.assert_allclose(left[0], right[0], atol=1e-9)
    np.testing.assert_array_equal(
        mirror(clamp_fingers(mirror(quaternions), LEFT)), clamp_fingers(quaternions, RIGHT)
    )


def test_a_joint_may_turn_a_little_off_its_hinge():
    off = from_axis_angle(np.deg2rad(10.0) * np.array([1.0, 0, 0]))
    far = from_axis_angle(np.deg2rad(40.0) * np.array([1.0, 0, 0]))
    hand = finger_quaternions(SHAPES["relaxed"], RIGHT)
    hand[2], hand[5] = multiply(off, hand[2]), multiply(far, hand[5])
    clamped = clamp_fingers(hand, RIGHT)
    np.testing.assert_array_equal(clamped[2], hand[2])
    residual = np.rad2deg(finger_angles(clamped, RIGHT)[1])
    assert residual[5 - 1] == pytest.approx(HINGE_PLAY_DEG, abs=1e-3)
    assert np.delete(residual, [1, 4]).max() < 1e-5


def test_bent_fingers_do_not_spread():
    straight, bent = np.zeros((5, 5)), np.zeros((5, 5))
    straight[1:, 1] = bent[1:, 1] = 12
    bent[1:, 2] = 90
    np.testing.assert_array_equal(clamp_angles(straight), straight)
    np.testing.assert_allclose(clamp_angles(bent)[1:, 1], 0)


def test_axes_of_the_first_joints_are_unit_and_the_thumb_has_its_own():
    for finger in FINGERS:
        along, sideways, flexion = first_joint_axes(finger)
        assert abs(along @ flexion) < 1e-12
        assert np.allclose(np.linalg.norm([along, sideways, flexion], axis=1), 1)
        assert (abs(sideways[1]) == 1) == (finger != "thumb")


def test_one_hand_at_a_time():
    with pytest.raises(InputError, match=r"\(\.\.\., 16, 4\)"):
        finger_angles(np.zeros((2, 15, 4)), LEFT)
