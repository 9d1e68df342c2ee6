"""Handshapes: joint limits, fingertip targets, the library of named poses."""

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from trimesh.triangles import closest_point

from emo2.errors import InputError
from emo2.hands.blending import blend
from emo2.hands.contact import PAD, HandSurface, Spot
from emo2.hands.ik import reach
from emo2.hands.limits import (
    HINGE_PLAY_DEG,
    LIMITS_DEG,
    clamp_angles,
    clamp_fingers,
    finger_angles,
)
from emo2.hands.model import HandModel
from emo2.hands.poses import RECIPES
from emo2.hands.recipes import cook, write
from emo2.hands.shapes import LABELS, SHAPES, finger_quaternions, first_joint_axes, handshape
from emo2.hands.skeleton import FINGERS, FIRST_JOINT, LEFT, RIGHT, finger_axes
from emo2.motion.rotations import angle_between, from_axis_angle, mirror, multiply, normalise

HANDS = Path(__file__).parents[1] / "checkpoints" / "demo" / "hands"
HAND = st.sampled_from([LEFT, RIGHT])
HINGES = [j for first in FIRST_JOINT.values() for j in (first + 1, first + 2)]


def tables(low: np.ndarray | float, high: np.ndarray | float) -> st.SearchStrategy[np.ndarray]:
    """Handshape tables with every angle between low and high."""
    shares = arrays(np.float64, (5, 5), elements=st.floats(0, 1))
    return shares.map(lambda share: low + share * (np.asarray(high) - low))


inside = tables(LIMITS_DEG[..., 0], LIMITS_DEG[..., 1]).map(clamp_angles)
any_rotations = arrays(np.float64, (16, 4), elements=st.floats(-1, 1)).map(
    lambda numbers: normalise(normalise(numbers))  # a vector near nothing is not yet unit after one
)


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
    assert residual[fingers].max() < 0.25, "three angles say nearly any rotation of a finger's base"


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


def test_bent_fingers_spread_little():
    straight, bent = np.zeros((5, 5)), np.zeros((5, 5))
    straight[1:, 1] = bent[1:, 1] = 12
    bent[1:, 2] = 90
    np.testing.assert_array_equal(clamp_angles(straight), straight)
    assert clamp_angles(bent)[1:, 1].max() <= 7
    np.testing.assert_allclose(clamp_angles(bent)[1, 1], 5)


def test_axes_of_the_first_joints_are_unit_and_the_thumb_has_its_own():
    for finger in FINGERS:
        along, sideways, flexion = first_joint_axes(finger)
        assert abs(along @ flexion) < 1e-12
        assert np.allclose(np.linalg.norm([along, sideways, flexion], axis=1), 1)
        assert (abs(sideways[1]) == 1) == (finger != "thumb")


def test_one_hand_at_a_time():
    with pytest.raises(InputError, match=r"\(\.\.\., 16, 4\)"):
        finger_angles(np.zeros((2, 15, 4)), LEFT)


# The library --------------------------------------------------------------------------------

LIBRARY = sorted(SHAPES)
STRAIGHT = {
    "flat": "timrp",
    "open": "timrp",
    "offer": "timrp",
    "blade": "imrp",
    "steeple": "timrp",
    "five": "timrp",
    "four": "imrp",
    "three": "imr",
    "two": "im",
    "one": "i",
    "point": "i",
    "fist": "",
    "thumb_up": "t",
    "l_shape": "ti",
    "phone": "tp",
}


@pytest.fixture(scope="module")
def hand_model() -> HandModel:
    return HandModel.from_pretrained(HANDS)


@pytest.fixture(scope="module")
def skin(hand_model) -> HandSurface:
    return HandSurface(hand_model)


def straight(angles: np.ndarray) -> str:
    """First letters of the fingers that are stretched out."""
    bend = np.abs(angles[:, 2:]).sum(axis=1) - np.where(np.arange(5) == 0, np.abs(angles[:, 2]), 0)
    folded = angles[0, 0] > 30  # a thumb in opposition lies across the palm
    return "".join(f[0] for f, degrees in zip(FINGERS, bend, strict=True) if degrees < 60).replace(
        "t", "" if folded else "t"
    )


def test_every_handshape_is_known_in_words_and_inside_the_limits():
    assert list(SHAPES) == list(LABELS)
    assert set(SHAPES) == set(RECIPES)
    assert {"flat", "open", "relaxed", "cup", "point", "fist", "pinch", "ok", "thumb_up"} < set(
        SHAPES
    )
    for name, angles in SHAPES.items():
        np.testing.assert_array_equal(clamp_angles(angles), angles, err_msg=name)
        assert LABELS[name].title
        assert LABELS[name].use.endswith(".")
    assert len({label.title for label in LABELS.values()}) == len(LABELS)
    assert not SHAPES["flat"].any()


@pytest.mark.parametrize("name", LIBRARY)
def test_no_finger_goes_through_the_hand(skin, name):
    assert skin.depth_m(SHAPES[name]) < 0.0012


@pytest.mark.parametrize(("name", "fingers"), STRAIGHT.items())
def test_the_right_fingers_are_stretched(name, fingers):
    assert straight(SHAPES[name]) == fingers


def ring_gap_m(skin, angles):
    """Between the tips of thumb and index."""
    points = skin.points(angles[None])[0]
    thumb, index = (points[skin.part == 1 + 3 * finger + 2] for finger in (0, 1))
    return np.linalg.norm(thumb[:, None] - index, axis=-1).min()


@pytest.mark.parametrize("name", ["ok", "pinch", "precision", "purse"])
def test_rings_are_closed(skin, name):
    assert ring_gap_m(skin, SHAPES[name]) < 0.002


def test_the_thumb_lies_across_the_fist(skin):
    points = skin.points(SHAPES["fist"][None])[0]
    thumb = points[(skin.part == 2) | (skin.part == 3)]
    for finger in ("index", "middle"):
        first = 1 + 3 * FINGERS.index(finger)
        bones = points[(skin.part == first + 1) | (skin.part == first + 2)]
        assert np.linalg.norm(thumb[:, None] - bones, axis=-1).min() < 0.002, finger
    fingers = points[skin.part == 1 + 3 * 2 + 1]
    assert thumb[:, 1].min() < fingers[:, 1].min(), "in front of them, not under them"


@pytest.mark.parametrize("name", ["one", "two", "three", "point"])
def test_the_thumb_holds_a_finger_down(skin, name):
    points = skin.points(SHAPES[name][None])[0]
    held = {"one": "middle", "point": "middle", "two": "ring", "three": "pinky"}[name]
    first = 1 + 3 * FINGERS.index(held)
    finger = points[(skin.part == first + 1) | (skin.part == first + 2)]
    assert np.linalg.norm(points[skin.part == 3][:, None] - finger, axis=-1).min() < 0.002


def test_mixtures_of_handshapes_stay_inside_the_limits():
    random = np.random.default_rng(0)
    stack = np.stack(list(SHAPES.values()))
    shares = random.dirichlet(np.full(len(stack), 0.3), 500)
    mixed = np.einsum("ns,sij->nij", shares, stack)
    np.testing.assert_allclose(clamp_angles(mixed), mixed, atol=1e-9)


def test_blends_start_and_end_with_their_handshapes_and_stay_inside_the_limits():
    way = np.linspace(0, 1, 21)
    for a, b in combinations(SHAPES.values(), 2):
        blended = blend(a, b, way)
        np.testing.assert_array_equal(blended[0], a)
        np.testing.assert_array_equal(blended[-1], b)
        np.testing.assert_allclose(clamp_angles(blended), blended, atol=1e-9)
        np.testing.assert_allclose(blend(b, a, 1 - way), blended, atol=1e-9)
        steps = np.abs(np.diff(blended, axis=0)).max()
        assert steps < 0.3 * max(np.abs(b - a).max(), 60), "nothing jumps"
    np.testing.assert_array_equal(blend(a, b, [-1.0, 2.0]), [a, b])
    np.testing.assert_allclose(blend(a, a, 0.5), a, atol=1e-12)


@pytest.mark.parametrize(
    ("start", "end"),
    [("relaxed", "fist"), ("fist", "one"), ("one", "two"), ("two", "three"), ("three", "four"),
     ("flat", "point"), ("open", "ok"), ("relaxed", "pinch"), ("pinch", "fist"), ("blade", "four")],
)  # fmt: skip
def test_no_finger_goes_through_another_on_the_way(skin, start, end):
    way = np.linspace(0.1, 0.9, 9)
    a, b = SHAPES[start], SHAPES[end]
    depth = max(skin.depth_m(table) for table in blend(a, b, way))
    assert depth < 0.002
    if "fist" in (start, end):
        straight_on = [(1 - share) * a + share * b for share in way]
        assert max(skin.depth_m(table) for table in straight_on) > 0.003, "what it is for"


def test_unknown_handshapes_are_refused():
    with pytest.raises(InputError, match="relaxed"):
        handshape("spock", RIGHT)


# The skin against itself --------------------------------------------------------------------


def winding(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """How often a surface (F, 3, 3) goes around each point: the solid angles over 4 pi."""
    total = np.zeros(len(points))
    for n, point in enumerate(points):
        a, b, c = np.moveaxis(triangles - point, 1, 0)
        la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
        volume = np.einsum("fi,fi->f", a, np.cross(b, c))
        cosines = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
        total[n] = np.arctan2(volume, cosines).sum() / (2 * np.pi)
    return total


@pytest.mark.parametrize(("flexion", "through"), [(20, False), (70, True), (80, True)])
def test_depth_is_that_of_points_which_the_rest_of_the_hand_goes_around(
    skin, hand_model, flexion, through
):
    angles = np.zeros((5, 5))
    angles[4] = (0, 0, flexion, 100, 60)  # a little finger, in the palm where it flexes far
    points = skin.points(angles[None])[0]
    own = np.isin(skin.part, [13, 14, 15])
    faces = hand_model.smooth_faces[RIGHT]
    others = points[faces[~own[faces].any(axis=1)]]
    tip = points[skin.part == 15]
    inside = tip[winding(tip, others) > 0.5]
    depths = [0.0]
    for point in inside:
        onto = closest_point(others, np.repeat(point[None], len(others), axis=0))
        depths.append(np.linalg.norm(onto - point, axis=1).min())
    assert (len(inside) > 0) == through
    assert skin.depth_m(angles) == pytest.approx(max(depths), abs=0.001)


# Fingertips to targets ----------------------------------------------------------------------


@pytest.mark.parametrize("hand", [LEFT, RIGHT])
def test_a_tip_goes_where_it_is_dragged(hand_model, hand):
    wanted = SHAPES["relaxed"].copy()
    wanted[1] = (0, 6, 50, 40, 25)
    wanted[3] = (0, 2, 10, 45, 30)
    goal = HandSurface(hand_model, hand).tips(wanted[None])[0]
    targets = {"index": goal[1], "ring": goal[3]}
    found = reach(targets, SHAPES["relaxed"], hand, hand_model)
    tips = HandSurface(hand_model, hand).tips(found[None])[0]
    assert np.linalg.norm(tips - goal, axis=1)[[1, 3]].max() < 0.001
    np.testing.assert_array_equal(found[[0, 2, 4]], SHAPES["relaxed"][[0, 2, 4]])
    np.testing.assert_array_equal(clamp_angles(found), found)
    other = reach(
        {f: p * [-1, 1, 1] for f, p in targets.items()}, SHAPES["relaxed"], 1 - hand, hand_model
    )
    np.testing.assert_allclose(other, found, atol=0.05)


def test_a_target_out_of_reach_is_neared(hand_model, skin):
    tip = skin.tips(np.zeros((1, 5, 5)))[0, 1]
    far = tip - np.array([0.2, 0.0, 0.0])
    found = reach({"index": far}, SHAPES["relaxed"], RIGHT, hand_model, contacts=False)
    np.testing.assert_allclose(skin.tips(found[None])[0, 1], tip, atol=0.004)


def test_a_dragged_finger_does_not_go_through_the_palm(hand_model, skin):
    flat = skin.points(np.zeros((1, 5, 5)))[0]
    inside_the_palm = np.array([-0.06, flat[skin.part == 0][:, 1].mean(), -0.005])
    found = reach({"middle": inside_the_palm}, SHAPES["relaxed"], RIGHT, hand_model)
    through = reach(
        {"middle": inside_the_palm}, SHAPES["relaxed"], RIGHT, hand_model, contacts=False
    )
    assert skin.depth_m(through) > 0.004
    assert skin.depth_m(found) < 0.6 * skin.depth_m(through)


def test_nothing_to_reach_changes_nothing(hand_model):
    found = reach({}, SHAPES["cup"], LEFT, hand_model)
    np.testing.assert_array_equal(found, SHAPES["cup"])


@pytest.mark.parametrize(
    ("targets", "start", "message"),
    [
        ({"toe": [0, 0, 0]}, SHAPES["flat"], "must name fingers"),
        ({"index": [0, 0]}, SHAPES["flat"], "finite points"),
        ({"index": [0, np.nan, 0]}, SHAPES["flat"], "finite points"),
        ({"index": [0, 0, 0]}, np.zeros((5, 4)), r"\(5, 5\)"),
        ({"index": [0, 0, 0]}, np.full((5, 5), np.inf), "finite"),
    ],
)
def test_impossible_requests_are_refused(hand_model, targets, start, message):
    with pytest.raises(InputError, match=message):
        reach(targets, start, RIGHT, hand_model)


def test_spots_are_on_fingers(skin):
    with pytest.raises(InputError, match="spot"):
        skin.spot(Spot("index", 4, 0.5))
    flat = skin.points(np.zeros((1, 5, 5)))[0]
    normals = skin.normals(flat)
    for finger in FINGERS[1:]:
        assert normals[skin.spot(PAD[finger])[0], 1] < -0.8
        assert normals[skin.spot(Spot(finger, 2, 0.5, "thumbward"))[0], 2] > 0.8


# The tables are what the recipes say --------------------------------------------------------


def test_recipes_give_the_tables_again(skin):
    """The same ring, if not the same degrees: a processor that rounds otherwise may end a few
    degrees away along a valley in which the tips touch all the same."""
    again = cook("ok", SHAPES["flat"], skin)
    assert np.abs(again - SHAPES["ok"]).mean() < 1.5
    np.testing.assert_allclose(again, SHAPES["ok"], atol=8.0)
    assert ring_gap_m(skin, again) < 0.002
    assert skin.depth_m(again) < 0.0012
    assert straight(again) == straight(SHAPES["ok"])


def test_tables_are_written_as_a_module(tmp_path):
    write(SHAPES, tmp_path / "tables.py")
    stored = Path(sys.modules["emo2.hands.tables"].__file__)
    assert (tmp_path / "tables.py").read_text() == stored.read_text()
