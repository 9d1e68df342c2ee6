"""Rotations obey the axioms, agree with SciPy, and tracks never flip."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation, Slerp

from emo2.motion import rotations as r

settings.register_profile("rotations", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("rotations")

components = st.floats(-1, 1, width=32).filter(lambda x: x == 0 or abs(x) > 1e-3)
quaternions = (
    arrays(np.float64, (4,), elements=components)
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(r.normalise)
)
vectors = arrays(np.float64, (3,), elements=st.floats(-2, 2, width=32))


def same(a, b, tolerance=1e-6):
    return np.all(r.angle_between(a, b) < tolerance)


def scipy(quaternion):
    return Rotation.from_quat(np.roll(quaternion, -1, axis=-1))


@given(quaternions, quaternions, quaternions)
def test_group(a, b, c):
    assert np.isclose(np.linalg.norm(r.multiply(a, b)), 1)
    assert same(r.multiply(r.multiply(a, b), c), r.multiply(a, r.multiply(b, c)))
    assert same(r.multiply(a, r.IDENTITY), a)
    assert same(r.multiply(a, r.conjugate(a)), r.IDENTITY)


@given(quaternions, quaternions, vectors)
def test_scipy_agrees(a, b, v):
    assert np.allclose(r.rotate(a, v), scipy(a).apply(v), atol=1e-9)
    assert np.allclose(r.to_matrix(a), scipy(a).as_matrix(), atol=1e-9)
    assert np.allclose(r.to_matrix(r.multiply(a, b)), (scipy(a) * scipy(b)).as_matrix(), atol=1e-9)
    rotvec = scipy(a).as_rotvec()
    if np.linalg.norm(rotvec) < np.pi - 1e-4:
        assert np.allclose(r.to_axis_angle(a), rotvec, atol=1e-7)


@given(quaternions)
def test_forms_are_bijective(q):
    assert same(r.from_matrix(r.to_matrix(q)), q)
    assert same(r.from_axis_angle(r.to_axis_angle(q)), q)
    assert same(r.from_6d(r.to_6d(q)), q)
    assert r.from_matrix(r.to_matrix(q))[0] >= 0


@pytest.mark.parametrize("axis", np.eye(3))
def test_half_turns_survive(axis):
    q = np.concatenate([[0.0], axis])
    assert same(r.from_matrix(r.to_matrix(q)), q)
    assert same(r.from_axis_angle(r.to_axis_angle(q)), q)


@given(quaternions, quaternions, st.floats(0, 1))
def test_slerp_takes_the_short_way(a, b, fraction):
    angle = r.angle_between(a, b)
    assert np.isclose(r.angle_between(a, r.slerp(a, b, fraction)), fraction * angle, atol=1e-6)
    assert same(r.slerp(a, b, 0.0), a)
    assert same(r.slerp(a, b, 1.0), b)
    if angle < np.pi - 1e-3:
        reference = Slerp([0, 1], Rotation.concatenate([scipy(a), scipy(b)]))(fraction)
        assert np.allclose(r.to_matrix(r.slerp(a, b, fraction)), reference.as_matrix(), atol=1e-6)


@given(arrays(np.float64, (6,), elements=st.floats(-3, 3, width=32)))
def test_any_six_numbers_are_a_rotation(columns):
    matrix = r.to_matrix(r.from_6d(columns))
    assert np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
    assert np.isclose(np.linalg.det(matrix), 1, atol=1e-6)


def test_six_numbers_forget_length_and_skew():
    q = r.normalise(np.array([0.5, -0.2, 0.7, 0.1]))
    columns = r.to_6d(q)
    skewed = np.concatenate([3 * columns[:3], 2 * columns[3:] + 0.7 * columns[:3]])
    assert same(r.from_6d(skewed), q)


def test_continuous_undoes_random_signs():
    rng = np.random.default_rng(0)
    angles = np.cumsum(rng.normal(0, 0.2, (50, 2, 3)), axis=0)
    smooth = r.from_axis_angle(angles)
    flipped = smooth * rng.choice([-1.0, 1.0], (50, 2, 1))
    track = r.continuous(flipped)
    assert (np.sum(track[1:] * track[:-1], axis=-1) >= 0).all()
    assert same(track, smooth)
    assert np.array_equal(r.continuous(flipped[:1]), flipped[:1])


@given(quaternions, vectors)
def test_mirror_is_a_reflection(q, v):
    reflect = np.array([-1.0, 1.0, 1.0])
    assert np.allclose(r.rotate(r.mirror(q), v * reflect), r.rotate(q, v) * reflect, atol=1e-9)
    assert np.array_equal(r.mirror(r.mirror(q)), q)


@given(quaternions)
def test_between_turns_one_direction_into_another(q):
    start = np.array([0.0, 0.6, 0.8])
    end = r.rotate(q, start)
    assert np.allclose(r.rotate(r.between(start, end), start), end, atol=1e-6)
    assert np.allclose(r.rotate(r.between(start, -start), start), -start, atol=1e-6)


def test_zero_quaternion_is_the_identity():
    assert np.array_equal(r.normalise(np.zeros((2, 4))), np.tile(r.IDENTITY, (2, 1)))
