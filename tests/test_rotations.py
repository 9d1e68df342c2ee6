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


def axes_and(angles):
    """Rotations as (axis, angle) with the angle drawn from `angles`."""
    return st.tuples(vectors.filter(lambda v: np.linalg.norm(v) > 0.1), angles).map(
        lambda pair: pair[0] / np.linalg.norm(pair[0]) * pair[1]
    )


@given(quaternions, quaternions, quaternions)
def test_group(a, b, c):
    assert np.isclose(np.linalg.norm(r.multiply(a, b)), 1)
    assert same(r.multiply(r.multiply(a, b), c), r.multiply(a, r.multiply(b, c)), 1e-7)
    assert same(r.multiply(a, r.IDENTITY), a)
    assert same(r.multiply(r.IDENTITY, a), a)
    assert same(r.multiply(a, r.conjugate(a)), r.IDENTITY)
    assert same(r.multiply(r.conjugate(a), a), r.IDENTITY)
    assert same(r.conjugate(r.multiply(a, b)), r.multiply(r.conjugate(b), r.conjugate(a)))


@given(quaternions, quaternions, vectors)
def test_rotations_act_on_vectors(a, b, v):
    assert np.allclose(r.rotate(r.multiply(a, b), v), r.rotate(a, r.rotate(b, v)), atol=1e-9)
    assert np.isclose(np.linalg.norm(r.rotate(a, v)), np.linalg.norm(v), atol=1e-9)
    assert np.allclose(r.to_matrix(a) @ v, r.rotate(a, v), atol=1e-9)


@given(quaternions, vectors)
def test_a_quaternion_and_its_negative_are_the_same_rotation(q, v):
    assert np.array_equal(r.to_matrix(q), r.to_matrix(-q))
    assert np.allclose(r.rotate(-q, v), r.rotate(q, v), atol=1e-12)
    assert np.array_equal(r.to_axis_angle(q), r.to_axis_angle(-q)) or q[0] == 0
    assert np.array_equal(r.to_6d(q), r.to_6d(-q))
    assert r.angle_between(q, -q) < 1e-7


@given(quaternions, quaternions, vectors)
def test_scipy_agrees(a, b, v):
    assert np.allclose(r.rotate(a, v), scipy(a).apply(v), atol=1e-9)
    assert np.allclose(r.to_matrix(a), scipy(a).as_matrix(), atol=1e-9)
    assert np.allclose(r.to_matrix(r.multiply(a, b)), (scipy(a) * scipy(b)).as_matrix(), atol=1e-9)
    assert np.isclose(r.angle_between(a, b), (scipy(b) * scipy(a).inv()).magnitude(), atol=1e-7)
    assert np.allclose(r.to_6d(a), scipy(a).as_matrix()[:, :2].T.ravel(), atol=1e-9)
    rotvec = scipy(a).as_rotvec()
    if np.linalg.norm(rotvec) < np.pi - 1e-4:
        assert np.allclose(r.to_axis_angle(a), rotvec, atol=1e-7)


@given(arrays(np.float64, (3,), elements=st.floats(-10, 10)))
def test_scipy_reads_the_same_axis_angles_and_matrices(vector):
    reference = Rotation.from_rotvec(vector)
    assert np.allclose(r.to_matrix(r.from_axis_angle(vector)), reference.as_matrix(), atol=1e-9)
    assert same(r.from_matrix(reference.as_matrix()), r.from_axis_angle(vector), 1e-7)


@given(quaternions)
def test_forms_are_bijective(q):
    assert same(r.from_matrix(r.to_matrix(q)), q)
    assert same(r.from_axis_angle(r.to_axis_angle(q)), q)
    assert same(r.from_6d(r.to_6d(q)), q)
    assert r.from_matrix(r.to_matrix(q))[0] >= 0


near_nothing = st.floats(1e-12, 1e-3)
near_half_a_turn = st.floats(np.pi - 1e-3, np.pi)


@given(axes_and(near_nothing))
def test_small_turns_keep_their_digits(vector):
    size = np.linalg.norm(vector)
    q = r.from_axis_angle(vector)
    assert np.allclose(r.to_axis_angle(q), vector, rtol=1e-9, atol=0)
    assert np.allclose(r.log(q), vector, rtol=1e-9, atol=0)
    assert np.isclose(r.angle_between(q, r.IDENTITY), size, rtol=1e-9, atol=0)
    assert same(r.from_matrix(r.to_matrix(q)), q, 1e-12)
    assert same(r.from_6d(r.to_6d(q)), q, 1e-12)


@given(axes_and(near_half_a_turn))
def test_half_turns_keep_their_digits(vector):
    q = r.from_axis_angle(vector)
    assert np.allclose(r.to_axis_angle(q), vector, atol=1e-9) or np.allclose(
        r.to_axis_angle(q), vector * (1 - 2 * np.pi / np.linalg.norm(vector)), atol=1e-9
    )
    assert same(r.from_matrix(r.to_matrix(q)), q, 1e-7)
    assert same(r.from_6d(r.to_6d(q)), q, 1e-7)
    assert same(r.from_axis_angle(r.to_axis_angle(q)), q, 1e-9)


@pytest.mark.parametrize("axis", np.eye(3))
def test_half_turns_survive(axis):
    q = np.concatenate([[0.0], axis])
    assert same(r.from_matrix(r.to_matrix(q)), q)
    assert same(r.from_axis_angle(r.to_axis_angle(q)), q)


@given(axes_and(st.floats(0, 2 * np.pi - 1e-3)))
def test_log_and_exponential_undo_each_other_past_half_a_turn(vector):
    assert np.allclose(r.log(r.from_axis_angle(vector)), vector, atol=1e-9)


def test_log_of_a_continuous_track_does_not_jump():
    angles = np.linspace(0, 1.8 * np.pi, 60)
    track = r.from_matrix(r.to_matrix(r.from_axis_angle(angles[:, None] * np.array([0, 0.6, 0.8]))))
    assert np.abs(np.diff(r.to_axis_angle(track), axis=0)).max() > 3
    assert np.abs(np.diff(r.log(r.continuous(track)), axis=0)).max() < 0.1


@given(quaternions, quaternions, st.floats(0, 1))
def test_slerp_takes_the_short_way(a, b, fraction):
    angle = r.angle_between(a, b)
    assert angle <= np.pi + 1e-9
    assert np.isclose(r.angle_between(a, r.slerp(a, b, fraction)), fraction * angle, atol=1e-6)
    if angle < np.pi - 1e-3:
        reference = Slerp([0, 1], Rotation.concatenate([scipy(a), scipy(b)]))(fraction)
        assert np.allclose(r.to_matrix(r.slerp(a, b, fraction)), reference.as_matrix(), atol=1e-6)
        assert same(r.slerp(a, b, fraction), r.slerp(b, a, 1 - fraction))


@given(quaternions, quaternions)
def test_slerp_ends_exactly_where_it_should(a, b):
    assert np.array_equal(r.slerp(a, b, 0.0), a)
    end = r.slerp(a, b, 1.0)
    assert np.array_equal(end, b) or np.array_equal(end, -b)
    assert (a * end).sum() >= -1e-12


@given(quaternions, quaternions)
def test_slerp_has_constant_speed(a, b):
    steps = r.slerp(a, b, np.linspace(0, 1, 9))
    turns = r.angle_between(steps[:-1], steps[1:])
    assert np.allclose(turns, r.angle_between(a, b) / 8, atol=1e-6)
    assert ((steps[1:] * steps[:-1]).sum(-1) >= 0).all()


@given(arrays(np.float64, (6,), elements=st.floats(-3, 3, width=32)))
def test_any_six_numbers_are_a_rotation(columns):
    matrix = r.to_matrix(r.from_6d(columns))
    assert np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
    assert np.isclose(np.linalg.det(matrix), 1, atol=1e-6)


@pytest.mark.parametrize(
    "column", [(1, 0, 0), (0, 1, 0), (0, 0, -1), (1, 1, -1), (-1, 1, 1), (1, 2, 3)]
)
def test_six_numbers_may_be_parallel_or_nothing(column):
    for second in (np.zeros(3), np.array(column), -2.0 * np.array(column)):
        matrix = r.to_matrix(r.from_6d(np.concatenate([column, second])))
        assert np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-9)
        assert np.allclose(matrix[:, 0], column / np.linalg.norm(column), atol=1e-9)
    nothing = r.to_matrix(r.from_6d(np.zeros(6)))
    assert np.allclose(nothing @ nothing.T, np.eye(3), atol=1e-9)


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
    for direction in (start, end, np.array([1.0, 1.0, -1.0]) / np.sqrt(3)):
        turned = r.rotate(r.between(direction, -direction), direction)
        assert np.allclose(turned, -direction, atol=1e-6)


def test_zero_quaternion_is_the_identity():
    assert np.array_equal(r.normalise(np.zeros((2, 4))), np.tile(r.IDENTITY, (2, 1)))


def test_every_form_takes_any_leading_axes_and_single_precision():
    rng = np.random.default_rng(1)
    for shape in ((), (3,), (2, 0, 4), (2, 3, 5)):
        q = r.normalise(rng.normal(size=(*shape, 4)).astype(np.float32))
        assert r.to_matrix(q).shape == (*shape, 3, 3)
        assert r.to_6d(q).shape == (*shape, 6)
        assert r.to_axis_angle(q).shape == r.log(q).shape == (*shape, 3)
        for back in (
            r.from_matrix(r.to_matrix(q)),
            r.from_6d(r.to_6d(q)),
            r.from_axis_angle(r.to_axis_angle(q)),
            r.from_axis_angle(r.log(q)),
        ):
            assert back.shape == (*shape, 4)
            assert same(back, q, 3e-3)
