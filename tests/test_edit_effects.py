"""What each edit does to hands, one by one."""

import numpy as np
import pytest
from motions import difference, same, smooth_motion, steps

from emo2.hands.limits import LIMITS_DEG, finger_angles
from emo2.hands.shapes import SHAPES, finger_quaternions, handshape
from emo2.motion import anatomy
from emo2.motion.edit import Span, apply
from emo2.motion.edit.presets import PRESETS
from emo2.motion.edit.warp import apexes
from emo2.motion.rest import rest_pose
from emo2.motion.rotations import angle_between, from_axis_angle, mirror, multiply
from emo2.types import HandMotion

FRAMES = 80
BASE = smooth_motion(FRAMES)


def test_amplitude_scales_the_quick_and_leaves_the_slow():
    turns = 2 * np.pi * np.arange(481) / 480
    slow, quick = 0.1 * np.sin(turns), 0.03 * np.sin(20 * turns)
    places = np.zeros((481, 2, 3))
    places[..., 1] = (slow + quick)[:, None]
    edited = apply(moving(places), [{"op": "amplitude", "factor": 2.0}]).translation_m[:, 0, 1]
    np.testing.assert_allclose(edited, slow * 2**0.028 + 2 * quick, atol=1e-4)


def test_amplitude_leaves_hands_at_rest_where_a_motion_begins_and_ends():
    edited = apply(BASE, [{"op": "amplitude", "factor": 2.5}])
    ends = [0, FRAMES - 1]
    np.testing.assert_allclose(edited.translation_m[ends], BASE.translation_m[ends], atol=1e-6)
    still = moving(np.zeros((60, 2, 3)) + BASE.translation_m[0])
    assert difference(apply(still, [{"op": "amplitude", "factor": 2.5}]), still)[0] < 1e-6


def moving(places):
    """A motion with these places."""
    base = smooth_motion(len(places))
    return HandMotion(base.quaternions, places, base.visible, base.betas, base.fps)


def test_height_is_an_offset_upwards():
    high = apply(BASE, [{"op": "height", "metres": 0.1}])
    assert same(high, apply(BASE, [{"op": "offset", "dy": 0.1}]))
    np.testing.assert_allclose(
        high.translation_m[..., 1] - BASE.translation_m[..., 1], 0.1, atol=1e-6
    )


def test_swap_keeps_the_hands_on_their_sides():
    moved = apply(BASE, [{"op": "offset", "dx": 0.2}])
    swapped = apply(moved, [{"op": "swap"}])
    np.testing.assert_allclose(
        swapped.translation_m[..., 0].mean(axis=0),
        moved.translation_m[..., 0].mean(axis=0),
        atol=1e-5,
    )
    np.testing.assert_allclose(
        swapped.translation_m[:, 0, 1:], moved.translation_m[:, 1, 1:], atol=1e-6
    )
    np.testing.assert_array_equal(swapped.quaternions[:, 0], mirror(moved.quaternions[:, 1]))


def test_one_hand_mirrored_copies_the_other():
    copied = apply(BASE, [{"op": "mirror", "hands": ["left"]}])
    np.testing.assert_array_equal(copied.translation_m[:, 1], BASE.translation_m[:, 1])
    np.testing.assert_array_equal(copied.translation_m[:, 0], BASE.translation_m[:, 1] * [-1, 1, 1])


def test_a_nudge_moves_the_middle_by_whole_frames():
    edited = apply(BASE, [{"op": "nudge", "start": 10, "stop": 71, "frames": 5}])
    middle = slice(35, 50)
    np.testing.assert_allclose(edited.translation_m[middle], BASE.translation_m[30:45], atol=1e-6)


def test_speed_plays_the_middle_faster():
    base = travelling()
    for factor in (0.5, 2.0):
        edited = apply(base, [{"op": "speed", "start": 20, "stop": 61, "factor": factor}])
        rate = np.gradient(edited.translation_m[:, 0, 0].astype(float)) / 0.01
        assert np.isclose(rate[40], factor, rtol=0.02)
        assert (rate > 0).all()
        assert np.abs(rate[[19, 20, 60, 61]] - 1).max() < 0.1  # no jump at the pins
        assert np.abs(np.diff(rate)).max() < 0.25


def travelling() -> HandMotion:
    """A hand that moves by 1 cm a frame."""
    places = np.zeros((80, 2, 3))
    places[:, :, 0] = 0.01 * np.arange(80)[:, None]
    return moving(places)


def test_snap_lands_the_apex_on_the_sound():
    base = smooth_motion(120, seed=5)
    span = {"start": 20, "stop": 100}
    now = apexes(base, Span(20, 100))
    now = now[np.abs(now - 60).argmin()]
    for shift in (-4, -1, 3, 5):
        onset_s = (now + shift) / 24
        edited = apply(base, [{"op": "snap", **span, "onset_s": onset_s}])
        landed = apexes(edited, Span(20, 100))
        assert np.abs(landed - (now + shift)).min() <= 1.0
        early = apply(base, [{"op": "snap", **span, "onset_s": onset_s + 0.1, "lead_s": 0.1}])
        assert difference(early, edited)[0] < 1e-5


def test_smoothing_has_no_phase_and_halves_a_swing_of_its_period():
    span = {"op": "smooth", "seconds": 0.8}
    reverse = HandMotion(
        BASE.quaternions[::-1], BASE.translation_m[::-1], BASE.visible[::-1], BASE.betas, 24.0
    )
    there, back = apply(BASE, [span]), apply(reverse, [span])
    np.testing.assert_allclose(there.translation_m[::-1], back.translation_m, atol=1e-6)
    time = np.arange(240) / 24
    places = np.zeros((240, 2, 3))
    places[..., 0] = np.sin(2 * np.pi * time / 0.8)[:, None]
    smoothed = apply(moving(places), [span]).translation_m[60:180, 0, 0]
    np.testing.assert_allclose(smoothed, 0.5 * places[60:180, 0, 0], atol=0.01)


def test_smoothing_takes_jitter_and_leaves_gestures():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.003, BASE.translation_m.shape)
    turns = multiply(from_axis_angle(rng.normal(0, 0.05, (FRAMES, 2, 16, 3))), BASE.quaternions)
    shaky = HandMotion(turns, BASE.translation_m + noise, BASE.visible, BASE.betas, 24.0)
    smoothed = apply(shaky, [{"op": "smooth", "seconds": 0.35}])

    def jerk(motion):
        return np.abs(np.diff(motion.translation_m, 3, axis=0)).mean()

    assert jerk(smoothed) < 1.1 * jerk(BASE) < 0.2 * jerk(shaky)
    left = angle_between(smoothed.quaternions.astype(float), BASE.quaternions.astype(float)).mean()
    assert left < 0.5 * angle_between(turns, BASE.quaternions.astype(float)).mean()
    assert np.abs(smoothed.translation_m - BASE.translation_m).max() < 0.015


@pytest.mark.parametrize("amount", [-1.0, -0.4, 0.4, 1.0])
def test_openness_stays_within_what_joints_allow(amount):
    edited = apply(BASE, [{"op": "openness", "amount": amount}])
    np.testing.assert_array_equal(edited.quaternions[:, :, 0], BASE.quaternions[:, :, 0])
    for hand in (0, 1):
        angles, _ = finger_angles(edited.quaternions[:, hand], hand)
        assert (angles > LIMITS_DEG[..., 0] - 2).all()
        assert (angles < LIMITS_DEG[..., 1] + 2).all()
        before, _ = finger_angles(BASE.quaternions[:, hand], hand)
        curl = (angles[:, 1:, 3] - before[:, 1:, 3]).mean()
        assert np.sign(curl) == -np.sign(amount)
    if abs(amount) == 1:
        shape = handshape("open" if amount > 0 else "fist", 0)
        assert np.allclose(np.abs((edited.quaternions[:, 0, 1:] * shape[1:]).sum(-1)), 1, atol=1e-6)


def test_handshapes_of_the_library_are_reached():
    for name in SHAPES:
        edited = apply(BASE, [{"op": "handshape", "shape": name}])
        for hand in (0, 1):
            target = finger_quaternions(SHAPES[name], hand)[1:]
            turned = angle_between(edited.quaternions[:, hand, 1:].astype(float), target)
            assert turned.max() < 1e-5


def test_hold_and_rest_stand_still():
    held = apply(BASE, [{"op": "hold", "start": 20, "stop": 60, "frame": 33}])
    core = slice(31, 49)
    assert np.array_equal(held.translation_m[core], np.repeat(BASE.translation_m[33:34], 18, 0))
    assert np.abs((held.quaternions[core] * BASE.quaternions[33]).sum(-1)).min() > 1 - 1e-6
    first = apply(BASE, [{"op": "hold", "start": 20, "stop": 60}])
    assert np.array_equal(first.translation_m[40], BASE.translation_m[30])
    arriving = np.linalg.norm(first.translation_m[20:31] - BASE.translation_m[30], axis=-1)
    leaving = np.linalg.norm(BASE.translation_m[20:31] - BASE.translation_m[30], axis=-1)
    assert (arriving <= leaving + 1e-6).all()
    rested = apply(BASE, [{"op": "rest", "start": 20}])
    for hand in (0, 1):
        quaternions, place = rest_pose(hand)
        np.testing.assert_allclose(
            rested.translation_m[40:, hand], np.tile(place, (40, 1)), atol=1e-6
        )
        assert np.abs((rested.quaternions[40:, hand] * quaternions).sum(-1)).min() > 1 - 1e-6


def test_paste_copies():
    copied = apply(BASE, [{"op": "paste", "start": 40, "from_start": 0, "from_stop": 30}])
    np.testing.assert_array_equal(copied.translation_m[53:57], BASE.translation_m[13:17])
    np.testing.assert_array_equal(copied.visible[53:57], BASE.visible[13:17])
    turned = apply(
        BASE, [{"op": "paste", "start": 40, "from_start": 0, "from_stop": 30, "mirrored": True,
                "hands": ["left"]}],
    )  # fmt: skip
    np.testing.assert_array_equal(
        turned.translation_m[55, 0], BASE.translation_m[15, 1] * [-1, 1, 1]
    )
    np.testing.assert_array_equal(turned.translation_m[:, 1], BASE.translation_m[:, 1])


def test_a_key_is_met_and_fades():
    target = [0.2, -0.1, 0.3]
    wrist = from_axis_angle(np.array([0.3, -0.2, 0.5]))
    given = {"op": "key", "frame": 40, "place": target, "wrist": wrist.tolist(), "before": 10,
             "after": 20, "shape": "point", "hands": ["left"]}  # fmt: skip
    edited = apply(BASE, [given])
    np.testing.assert_allclose(edited.translation_m[40, 0], target, atol=1e-6)
    assert angle_between(edited.quaternions[40, 0, 0].astype(float), wrist) < 1e-5
    shape = handshape("point", 0)[1:]
    assert angle_between(edited.quaternions[40, 0, 1:].astype(float), shape).max() < 1e-5
    outside = np.r_[0:30, 61:80]
    assert np.array_equal(edited.quaternions[outside], BASE.quaternions[outside])
    assert np.array_equal(edited.translation_m[:, 1], BASE.translation_m[:, 1])
    both = apply(BASE, [given | {"hands": ["left", "right"]}])
    np.testing.assert_allclose(both.translation_m[40, 1], np.array(target) * [-1, 1, 1], atol=1e-6)
    assert angle_between(both.quaternions[40, 1, 0].astype(float), mirror(wrist)) < 1e-5
    rows = np.concatenate([[[1.0, 0, 0, 0]], shape]).tolist()
    assert difference(apply(BASE, [given | {"shape": rows}]), edited)[1] < 1e-5


def test_a_key_keeps_the_beats_that_lie_on_it():
    given = {"op": "key", "frame": 40, "place": [0.2, 0.1, 0.3], "hands": ["left"]}
    edited = apply(BASE, [given])
    added = (edited.translation_m - BASE.translation_m)[:, 0].astype(float)
    largest = np.linalg.norm(added[40])
    assert np.allclose(np.linalg.norm(added, axis=-1).max(), largest)
    np.testing.assert_allclose(added[34], added[46], atol=1e-6)  # the same fade on both sides
    assert np.abs(np.diff(added, axis=0)).max() < 1.9 / 13 * largest


def test_a_seam_is_mended():
    jump = np.zeros(BASE.translation_m.shape)
    jump[40:] = [0.06, -0.05, 0.02]
    turn = np.zeros((FRAMES, 2, 16, 3))
    turn[40:, :, 0] = [0.3, 0.2, -0.2]
    broken = HandMotion(
        multiply(from_axis_angle(turn), BASE.quaternions.astype(float)),
        BASE.translation_m + jump, BASE.visible, BASE.betas, 24.0,
    )  # fmt: skip
    mended = apply(broken, [{"op": "seam", "frame": 40, "frames": 10}])
    places, angles = steps(mended)
    usual_places, usual_angles = steps(BASE)
    assert places[30:50].max() < usual_places.max() + 1.9 / 10 * 0.05
    assert angles[30:50, :, 0].max() < usual_angles[:, :, 0].max() + 1.9 / 10 * 0.25
    jerk, was, usual = (
        np.abs(np.diff(motion.translation_m.astype(float), 3, axis=0)).max()
        for motion in (mended, broken, BASE)
    )
    assert jerk < 0.15 * was
    assert jerk < 3 * usual
    outside = np.r_[0:30, 50:80]
    assert np.array_equal(mended.translation_m[outside], broken.translation_m[outside])


def test_a_seam_that_is_none_is_left_nearly_as_it_is():
    places, angles = difference(apply(BASE, [{"op": "seam", "frame": 40}]), BASE)
    assert places < 4e-3
    assert angles < 0.04


def test_limit_leaves_nothing_impossible():
    rng = np.random.default_rng(2)
    wild = multiply(from_axis_angle(rng.normal(0, 1.0, (1, 2, 16, 3))), BASE.quaternions)
    far = HandMotion(wild, BASE.translation_m * 1.8, BASE.visible, BASE.betas, 24.0)
    limited = apply(far, [{"op": "limit"}])
    bend = anatomy.bend_angle(limited.quaternions[:, :, 0], limited.translation_m)
    assert bend.max() < anatomy.MAX_BEND_RAD + 1e-3
    for hand in (0, 1):
        angles, _ = finger_angles(limited.quaternions[:, hand], hand)
        assert (angles > LIMITS_DEG[..., 0] - 0.1).all()
        assert (angles < LIMITS_DEG[..., 1] + 0.1).all()


def test_a_quick_hand_does_not_stop_at_its_reach_as_at_a_wall():
    wide = apply(BASE, [{"op": "key", "frame": 40, "place": [0.75, 0, 0.2], "hands": ["left"]}])
    eased = apply(wide, [{"op": "limit", "what": "place"}]).translation_m[:, 0].astype(float)
    walled = anatomy.limit_place(wide.translation_m[:, 0].astype(float))
    np.testing.assert_allclose(eased, anatomy.limit_place(eased), atol=0.01)
    assert (eased <= anatomy.VOLUME_M[1] + 1e-6).all()

    def sharpest(places):
        return np.linalg.norm(np.diff(places, 2, axis=0), axis=-1).max()

    assert sharpest(eased) < 0.7 * sharpest(walled)


def test_hands_that_cross_are_parted_without_a_corner():
    crossed = apply(BASE, [{"op": "offset", "start": 30, "stop": 50, "fade": 8, "apart": -0.17}])
    wrists = crossed.quaternions[:, :, 0]
    push = anatomy.separate(wrists, crossed.translation_m)[:, 0, 0] - crossed.translation_m[:, 0, 0]
    assert push.max() > 0.01
    parted = apply(crossed, [{"op": "separate"}])
    left = anatomy.separate(wrists, parted.translation_m)[:, 0, 0] - parted.translation_m[:, 0, 0]
    assert left.max() < 1e-3
    added = (parted.translation_m - crossed.translation_m)[:, 0, 0]
    assert np.abs(np.diff(added, 2)).max() < 0.5 * np.abs(np.diff(push, 2)).max()
    one = apply(crossed, [{"op": "separate", "hands": ["right"]}])
    assert np.array_equal(one.translation_m[:, 0], crossed.translation_m[:, 0])


@pytest.mark.parametrize("name", PRESETS)
def test_manners_grow_with_their_amount(name):
    def change(amount):
        return difference(apply(BASE, [{"op": "style", "style": name, "amount": amount}]), BASE)

    assert 0 < change(0.3)[0] < change(1.0)[0] < 0.25


@pytest.mark.parametrize("fps", [12.0, 25.0, 30.0, 48.0, 60.0, 120.0])
def test_resampling_follows_the_movement(fps):
    seconds = 4.0
    slow, reference = smooth_motion(96, seed=1), smooth_motion(round(seconds * fps), 1, fps=fps)
    got = apply(slow, [{"op": "resample", "fps": fps}])
    assert got.fps == fps
    assert got.num_frames == reference.num_frames
    assert np.array_equal(got.quaternions[0], slow.quaternions[0])
    inner = slice(int(0.1 * fps), int((seconds - 0.2) * fps))
    places = np.abs(got.translation_m - reference.translation_m)[inner]
    turns = angle_between(got.quaternions.astype(float), reference.quaternions.astype(float))
    assert places.max() < 1e-3
    assert turns[inner].max() < 0.01
    if fps % 24 == 0:
        every = int(fps / 24)
        assert np.array_equal(got.translation_m[::every], slow.translation_m)
        assert np.array_equal(got.quaternions[::every], slow.quaternions)
