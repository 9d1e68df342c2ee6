"""Checks: silent on what people do, sure of what they do not, and every fix mends what it names."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from emo2.errors import InputError
from emo2.hands.limits import finger_angles
from emo2.hands.model import HandModel
from emo2.hands.shapes import SHAPES, finger_quaternions, handshape, wrist_rotation
from emo2.motion import anatomy, clearance, torso
from emo2.motion.capsules import BONES, Anatomy, closest_points
from emo2.motion.checks import KINDS, check, facts, fix_all, fix_operations, fixes, summary
from emo2.motion.checks.finding import HAND_WORDS, runs
from emo2.motion.edit import apply, resample, trim
from emo2.motion.rest import REST_ANGLES, REST_PLACE_M
from emo2.motion.rotations import angle_between, from_axis_angle, mirror, multiply, slerp
from emo2.pipeline import DEMO_CHECKPOINT, EMO2Pipeline
from emo2.types import Camera, HandMotion

FPS = 24.0
FRAMES = 120
CAMERA = Camera((320.0, 300.0), 640.0, 640, 640)
SIDE = np.array([1.0, -1.0])


def ease(share):
    share = np.clip(share, 0.0, 1.0)
    return share**3 * (10 - 15 * share + 6 * share**2)


def glide(frames, poses, rng):
    """(frames, n): from pose to pose as hands go, minimum jerk, with holds between."""
    out, at, here = np.empty((frames, poses.shape[1])), 0, 0
    while at < frames:
        length, hold = int(rng.integers(8, 16)), int(rng.integers(2, 10))
        start, goal = poses[here], poses[(here + 1) % len(poses)]
        stop = min(at + length + hold, frames)
        share = ease(np.arange(1, stop - at + 1) / length)
        out[at:stop] = start + share[:, None] * (goal - start)
        at, here = stop, (here + 1) % len(poses)
    return out


def speaker(seed=0, frames=FRAMES, fps=FPS):
    """Somebody who gestures: strokes of up to half a metre in a third of a second, turning wrists,
    changing handshapes."""
    rng = np.random.default_rng(seed)
    quaternions, places = np.zeros((frames, 2, 16, 4)), np.zeros((frames, 2, 3))
    for hand in (0, 1):
        goals = REST_PLACE_M + rng.uniform([0.03, 0.0, 0.0], [0.14, 0.24, 0.10], (9, 3))
        angles = REST_ANGLES + np.deg2rad(rng.uniform([-60, -20, -10], [30, 10, 10], (9, 3)))
        shapes = np.stack([SHAPES[n] for n in rng.choice(["relaxed", "open", "cup", "offer"], 9)])
        track = glide(frames, np.concatenate([goals, angles, shapes.reshape(9, -1)], axis=1), rng)
        places[:, hand] = track[:, :3] * [SIDE[hand], 1, 1]
        quaternions[:, hand] = finger_quaternions(track[:, 6:].reshape(-1, 5, 5), hand)
        wrist = anatomy.wrist_orientation(track[:, :3], track[:, 3:6])
        quaternions[:, hand, 0] = mirror(wrist) if hand else wrist
    visible = np.ones((frames, 2), bool)
    return HandMotion(quaternions, places, visible, np.zeros((2, 10)), fps)


def still_hands(left, right, places, frames=6):
    """Two posed hands that stay: wrists as (fingers, palm) directions, `places` (2, 3)."""
    pose = np.stack([handshape("flat", hand) for hand in (0, 1)])
    for hand, (fingers, palm) in enumerate((left, right)):
        pose[hand, 0] = wrist_rotation(fingers, palm, hand)
    stack = np.broadcast_to(pose, (frames, 2, 16, 4))
    where = np.broadcast_to(np.asarray(places, float), (frames, 2, 3))
    return HandMotion(stack, where, np.ones((frames, 2), bool), np.zeros((2, 10)), FPS)


class Fault:
    """A motion with one fault: which kind, in which hand, and when."""

    def __init__(self, kind, seed):
        rng = np.random.default_rng([seed, sorted(FAULTS).index(kind)])
        base = speaker(seed)
        self.hand, self.at = int(rng.integers(2)), int(rng.integers(30, 70))
        self.q, self.x = np.array(base.quaternions), np.array(base.translation_m)
        self.seen, self.rng, self.side = np.array(base.visible), rng, SIDE[self.hand]
        length = int(rng.integers(10, 18))
        self.stop = self.at + (FAULTS[kind](self, length) or length)
        self.base = base
        self.motion = replace(base, quaternions=self.q, translation_m=self.x, visible=self.seen)

    def direction(self):
        vector = self.rng.normal(size=3)
        return vector / np.linalg.norm(vector)

    def bump(self, length):
        """(T, 1): 1 from `at` for `length` frames, eased over 8 frames before and after."""
        t = np.arange(FRAMES)
        rise, fall = ease((t - self.at + 9) / 9), ease((self.at + length + 8 - t) / 9)
        return np.minimum(rise, fall)[:, None]

    def place(self, goal, length):
        weight = self.bump(length)
        goal = np.asarray(goal) * [self.side, 1, 1]
        self.x[:, self.hand] = (1 - weight) * self.x[:, self.hand] + weight * goal

    def turn(self, hand, fingers, palm, length):
        goal = wrist_rotation(fingers, palm, hand)
        wrists = self.q[:, hand, 0]
        self.q[:, hand, 0] = slerp(wrists, np.tile(goal, (FRAMES, 1)), self.bump(length)[:, 0])

    def fingers(self, row, column, degrees, length):
        angles, _ = finger_angles(self.q[:, self.hand], self.hand)
        weight = self.bump(length)[:, 0]
        angles[:, row, column] = (1 - weight) * angles[:, row, column] + weight * degrees
        self.q[:, self.hand, 1:] = finger_quaternions(angles, self.hand)[:, 1:]


def cut(fault, length):
    fault.x[fault.at :, fault.hand] += 0.03 * fault.direction()
    return 1


def turned_cut(fault, length):
    turn = from_axis_angle(np.deg2rad(30) * fault.direction())
    after = fault.q[fault.at :, fault.hand, 0]
    fault.q[fault.at :, fault.hand, 0] = multiply(turn, after)
    return 1


def spike(fault, length):
    fault.x[fault.at, fault.hand] += 0.025 * fault.direction()
    return 1


def tremor(fault, length):
    wave = 0.007 * np.sin(2 * np.pi * 9.3 / FPS * np.arange(30))
    fault.x[fault.at : fault.at + 30, fault.hand] += wave[:, None] * fault.direction()
    return 30


def stutter(fault, length):
    t = np.arange(FRAMES)[:, None]
    fault.x[:, fault.hand] += 0.07 * np.sin(2 * np.pi * 1.1 / FPS * t) * np.array([0, 1, 0])
    for frame in range(fault.at, fault.at + 30, 2):
        fault.x[frame, fault.hand] = fault.x[frame - 1, fault.hand]
        fault.q[frame, fault.hand] = fault.q[frame - 1, fault.hand]
    return 30


def rush(fault, length):
    """Three quarters of a metre in a quarter of a second, and slowly back."""
    t = np.arange(FRAMES) - fault.at
    fault.x[:, fault.hand, 1] += 0.8 * (ease((t + 1) / 6) - ease((t - 20) / 24))
    return 6


def broken_wrist(fault, length):
    axis = np.array([0, 0, -fault.side]) * np.deg2rad(100)
    bent = from_axis_angle(fault.bump(length) * axis)
    fault.q[:, fault.hand, 0] = multiply(fault.q[:, fault.hand, 0], bent)


def collision(fault, length):
    """The hands, upright, palms facing, end up 3 cm into each other."""
    weight = fault.bump(length)
    for hand in (0, 1):
        goal = np.array([0.0, -0.2, 0.3])
        fault.x[:, hand] = (1 - weight) * fault.x[:, hand] + weight * goal
        fault.turn(hand, [0, 1, 0.6], [-SIDE[hand], 0, 0], length)
    fault.hand = None


def silence(fault, length):
    fault.place([0.0, 0.06, 0.2], length)
    fault.turn(fault.hand, [0, 1, 0.1], [0, 0, -1], length)


def twist(fault, length):
    joint = int(fault.rng.choice([2, 3, 5, 6, 8, 9, 11, 12]))
    turn = from_axis_angle(fault.bump(length) * np.deg2rad([50, 0, 0]))
    fault.q[:, fault.hand, joint] = multiply(fault.q[:, fault.hand, joint], turn)


def crossed_fingers(fault, length):
    for row, spread in ((1, -26), (2, 20)):
        fault.fingers(row, 1, spread, length)
        for column in (2, 3, 4):
            fault.fingers(row, column, 5, length)


def flicker(fault, length):
    fault.seen[fault.at : fault.at + 2, fault.hand] = False
    return 2


def broken_numbers(fault, length):
    fault.x[fault.at : fault.at + 2, fault.hand] = np.nan
    fault.q[fault.at + 1, fault.hand, 3] = 0.0
    return 2


FAULTS = {
    "seam": cut,
    "seam ": turned_cut,
    "pop": spike,
    "tremor": tremor,
    "stutter": stutter,
    "speed": rush,
    "finger_limit": lambda f, n: f.fingers(int(f.rng.integers(1, 5)), 3, 140, n),
    "finger_limit ": lambda f, n: f.fingers(int(f.rng.integers(1, 5)), 2, -65, n),
    "finger_twist": twist,
    "wrist_bend": broken_wrist,
    "reach": lambda f, n: f.place([0.42, 0.14, 0.60], n),
    "body_collide": lambda f, n: f.place([0.06, -0.22, 0.0], n),
    "hands_collide": collision,
    "fingers_collide": crossed_fingers,
    "out_of_frame": lambda f, n: f.place([0.52, -0.2, 0.25], n),
    "mouth_hidden": silence,
    "flicker": flicker,
    "broken_numbers": broken_numbers,
}
SEEDS = range(3)
CASES = [(kind, seed) for kind in FAULTS for seed in SEEDS]


@pytest.fixture(scope="module")
def hand_model():
    return HandModel.from_pretrained(DEMO_CHECKPOINT / "hands")


@pytest.mark.parametrize("fps", [15.0, 24.0, 30.0, 60.0])
def test_people_pass(fps):
    for seed in range(8):
        findings = check(resample(speaker(seed), fps), camera=CAMERA)
        assert not findings, summary(findings)


@pytest.mark.parametrize(("style", "speed"), [("talk-lively", 0.9), ("present", 0.5)])
def test_the_networks_gestures_pass(speech_like, style, speed):
    pipeline = EMO2Pipeline.from_pretrained()
    motion = pipeline.gesture(speech_like(4.0), style=style, speed=speed, seed=3)
    findings = check(motion, pipeline.hand_model)
    assert not findings, summary(findings)


@pytest.mark.parametrize(("kind", "seed"), CASES)
def test_a_fault_is_found_and_its_fix_mends_it(kind, seed):
    fault = Fault(kind, seed)
    kind, motion = kind.strip(), fault.motion
    findings = check(motion, camera=CAMERA)
    found = [f for f in findings if f.kind == kind and f.hand == fault.hand]
    found = [f for f in found if f.start < fault.stop + 3 and fault.at - 3 < f.stop]
    assert found, summary(findings)
    finding = found[0]
    assert fault.at - 9 <= finding.worst_frame < fault.stop + 9
    if kind in ("seam", "pop", "flicker", "broken_numbers"):
        assert fault.at - 1 <= finding.worst_frame <= fault.stop
    assert all(f.start < fault.stop + 20 and f.stop > fault.at - 20 for f in findings)

    assert finding.fix is not None, finding
    fixed = apply(motion, [finding.fix])
    start, stop = reach(finding.fix)
    for before, after in zip(arrays(motion), arrays(fixed), strict=True):
        assert before[:start].tobytes() == after[:start].tobytes()
        assert before[stop:].tobytes() == after[stop:].tobytes()
    left = check(fixed, camera=CAMERA, fixes=False)
    again = [f.ratio for f in left if f.kind == kind and overlap(f, finding)]
    assert max(again, default=0.0) < (0.8 * finding.ratio if "in part" in finding.remedy else 1.0)
    errors = [f for f in left if f.severity == "error"]
    assert all(any(e.kind == f.kind and overlap(e, f) for f in findings) for e in errors)


def overlap(a, b):
    return a.hand == b.hand and a.start < b.stop and b.start < a.stop


def reach(operation):
    if "frame" in operation:
        frame, frames = operation["frame"], operation["frames"]
        return max(frame - frames, 0), frame + frames
    return operation["start"], operation["stop"]


def arrays(motion):
    return motion.quaternions, motion.translation_m, motion.visible


@pytest.mark.parametrize("seed", range(4))
def test_fix_all_leaves_no_error(seed):
    """Three faults at once, in three places."""
    kinds = sorted(set(FAULTS) - {"broken_numbers", "speed", "out_of_frame", "reach"})
    chosen = np.random.default_rng(seed).choice(kinds, 3, replace=False)
    parts = [Fault(kind, seed).motion for kind in chosen]
    motion = replace(
        parts[0],
        quaternions=np.concatenate([p.quaternions for p in parts]),
        translation_m=np.concatenate([p.translation_m for p in parts]),
        visible=np.concatenate([p.visible for p in parts]),
    )
    findings = check(motion, camera=CAMERA)
    fixed = fix_all(motion, findings, camera=CAMERA)
    left = check(fixed, camera=CAMERA, fixes=False)
    assert not [f for f in left if f.severity == "error"], summary(left)
    assert len(left) < len(findings)


def test_each_kind_is_tried():
    assert {kind.strip() for kind in FAULTS} | {"still"} == set(KINDS)


def test_hands_that_do_not_breathe_are_still():
    motion = speaker()
    frozen = replace(
        motion,
        quaternions=np.repeat(motion.quaternions[:1], 200, axis=0),
        translation_m=np.repeat(motion.translation_m[:1], 200, axis=0),
        visible=np.ones((200, 2), bool),
    )
    (finding,) = check(frozen)
    assert (finding.kind, finding.start, finding.stop) == ("still", 0, 200)
    assert finding.fix is None
    assert finding.remedy
    assert not check(trim(frozen, 0, 100))


MIDDLE = np.array([0.0, -0.2, 0.3])
TWO_HANDS = {
    "palms together": (
        ([0, 1, 0.5], [-1, 0, 0]),
        ([0, 1, 0.5], [1, 0, 0]),
        [0.0, 0, 0],
        [0.5, 0, 0],
    ),
    "hand on hand": (([-1, 0, 0], [0, 0, -1]), ([1, 0, 0], [0, 0, -1]), [0.09, 0, 0], [0, 0, 0.5]),
}
"""Fingers and palm of the left and the right hand; where the left wrist is from the middle; which
way it goes to touch (the right one's are opposite)."""


@pytest.mark.parametrize("name", TWO_HANDS)
def test_hands_may_touch_but_not_pass_through(hand_model, name):
    left, right, aside, way = TWO_HANDS[name]

    def posed(far, frames=6):
        places = [MIDDLE + sign * (np.array(aside) + far * np.array(way)) for sign in (1, -1)]
        return still_hands(left, right, places, frames)

    skin = hand_model.subdivide(hand_model.vertices(posed(0.0, 1)))[0]
    low, high = 0.0, 0.12
    for _ in range(10):
        far = 0.5 * (low + high)
        moved = [skin[0] + far * np.array(way), skin[1] - far * np.array(way)]
        gap = cKDTree(moved[0]).query(moved[1])[0].min()
        low, high = (low, far) if gap > 0.003 else (far, high)
    touching, through = check(posed(high), hand_model), check(posed(high - 0.02), hand_model)
    assert "hands_collide" not in {f.kind for f in touching}, summary(touching)
    (finding,) = [f for f in through if f.kind == "hands_collide"]
    assert 8 < finding.value < 28
    assert np.linalg.norm(np.array(finding.position_m) - MIDDLE) < 0.2


def test_a_hand_may_not_pass_through_the_other_forearm():
    left, right = ([-1, 0, 0], [0, 0, -1]), ([1, 0, 0.2], [0, -1, 0])
    wrist = np.array([-0.16, -0.2, 0.3])
    side = np.array([-1, 1, 1])
    along = wrist + 0.25 * (anatomy.elbow(wrist * side) * side - wrist)
    through = along - np.array([-0.08, 0, 0])  # the left hand's middle in the right forearm
    (finding,) = [f for f in check(still_hands(left, right, [through, wrist])) if f.hand is None]
    assert finding.kind == "hands_collide"
    assert "forearm" in finding.message
    above = still_hands(left, right, [through + np.array([0, 0.14, 0]), wrist])
    assert "hands_collide" not in {f.kind for f in check(above)}


@pytest.mark.parametrize("name", SHAPES)
def test_handshapes_of_the_library_pass(name):
    facing = ([0, 1, 0.3], [0, 0, 1])
    motion = still_hands(facing, facing, [[0.2, -0.2, 0.3], [-0.2, -0.2, 0.3]])
    posed = np.array(motion.quaternions)
    for hand in (0, 1):
        posed[:, hand, 1:] = handshape(name, hand)[1:]
    findings = check(replace(motion, quaternions=posed), fixes=False)
    assert not findings, summary(findings)


def test_joints_are_the_hand_models(hand_model):
    betas = np.zeros((2, 10))
    betas[0, 0], betas[1, 1] = 1.0, -0.8
    motion = replace(speaker(3, 12), betas=betas)
    ours = Anatomy.of(motion, hand_model).joints(motion.quaternions, motion.translation_m)
    model = hand_model.joints(motion)
    assert np.abs(ours[:, :, :16] - model[:, :, :16]).max() < 2e-4
    assert np.abs(ours - model).max() < 0.012  # the skin moves about the tips' bones
    free = Anatomy.of(motion).joints(motion.quaternions, motion.translation_m)
    assert np.abs(free - ours).max() > 1e-3


@given(st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_nearest_points_of_segments(seed):
    rng = np.random.default_rng(seed)
    a, b, c, d = rng.normal(size=(4, 3)) * rng.choice([0.0, 1e-4, 1.0, 3.0], (4, 1))
    p, q = closest_points(a, b, c, d)
    share = np.linspace(0, 1, 201)[:, None]
    grid = np.linalg.norm((a + share * (b - a))[:, None] - (c + share * (d - c))[None], axis=-1)
    assert np.linalg.norm(p - q) <= grid.min() + 1e-9
    for point, (start, end) in ((p, (a, b)), (q, (c, d))):
        on = np.linalg.norm(point - start) + np.linalg.norm(point - end)
        assert on == pytest.approx(np.linalg.norm(end - start), abs=1e-7)


@given(st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_ways_out_lead_out_of_the_body(seed):
    rng = np.random.default_rng(seed)
    point = rng.uniform([-0.2, -0.6, -0.1], [0.2, 0.35, 0.2])
    radius = 0.012
    forward, aside = torso.ways_out(point, radius)
    if min(forward, aside) <= 0:
        return
    side = np.sign(point[0]) or 1.0
    for far, axis in ((forward, np.array([0, 0, 1])), (side * aside, np.array([1, 0, 0]))):
        assert torso.depth(point + far * axis, radius) <= 1e-6
    assert torso.ways_out(point + np.array([0, 0, forward - 0.003]), radius)[0] > 0


def test_clearance_is_the_least_that_helps():
    fault = Fault("hands_collide", 1)
    anatomy_ = Anatomy.of(fault.motion)
    joints = anatomy_.joints(fault.motion.quaternions, fault.motion.translation_m)
    ways = np.array([[0.5, 0, 0], [-0.5, 0, 0]])
    far = clearance.needed(joints, anatomy_, ways)
    moved = joints + far[:, None, None, None] * ways[:, None]
    assert clearance.between_hands(moved.astype(np.float32), anatomy_).depth_m.max() <= 0.0031
    less = joints + (far - 0.003).clip(0)[:, None, None, None] * ways[:, None]
    depth = clearance.between_hands(less.astype(np.float32), anatomy_).depth_m
    assert (depth[far > 0.003] > clearance.TOUCH_M - 1e-3).mean() > 0.9
    apart = clearance.between_hands(joints, anatomy_).depth_m <= clearance.TOUCH_M
    assert np.array_equal(far == 0, apart)


def test_a_long_motion_is_checked_as_its_parts_are():
    part = Fault("hands_collide", 2).motion
    many = 12  # more than one chunk
    long = replace(
        part,
        quaternions=np.tile(part.quaternions, (many, 1, 1, 1)),
        translation_m=np.tile(part.translation_m, (many, 1, 1)),
        visible=np.tile(part.visible, (many, 1)),
    )
    one = [f for f in check(part, fixes=False) if f.kind == "hands_collide"]
    all_ = [f for f in check(long, fixes=False) if f.kind == "hands_collide"]
    assert len(all_) == many * len(one)
    for index, finding in enumerate(all_):
        first = one[index % len(one)]
        shift = FRAMES * (index // len(one))
        assert (finding.start - shift, finding.stop - shift) == (first.start, first.stop)
        assert finding.value == pytest.approx(first.value, abs=1e-3)


def test_of_very_many_findings_the_first_get_fixes(monkeypatch):
    motion = speaker(0)
    shown = np.array(motion.visible)
    shown[10:110:10, 0] = False
    monkeypatch.setattr(fixes, "MOST_TRIED", 4)
    findings = check(replace(motion, visible=shown))
    assert len(findings) == 10
    assert [f.fix is not None for f in findings] == [True] * 4 + [False] * 6
    assert all("check again" in f.remedy for f in findings[4:])


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_short_and_hidden_and_broken_motions(frames):
    motion = trim(speaker(1), 0, frames)
    assert check(motion, camera=CAMERA) == ()
    bad = replace(motion, translation_m=np.full_like(motion.translation_m, np.inf))
    findings = check(bad, camera=CAMERA)
    assert [(f.kind, f.start, f.stop) for f in findings] == [("broken_numbers", 0, frames)] * 2
    hidden = replace(Fault("body_collide", 1).motion, visible=np.zeros((FRAMES, 2), bool))
    assert check(hidden, camera=CAMERA) == ()


def test_without_a_camera_nothing_is_said_of_the_picture():
    motion = Fault("out_of_frame", 0).motion
    assert "out_of_frame" not in {f.kind for f in check(motion)}


@pytest.mark.parametrize(("length", "most_m", "most_rad"), [(1, 0.004, 0.05), (4, 0.03, 0.3)])
def test_bridge_leads_on_as_the_hands_were_going(length, most_m, most_rad):
    motion = speaker(4)
    for start in (20, 47, 81):
        wrong = np.array(motion.translation_m), np.array(motion.quaternions)
        for track in wrong:
            track[start : start + length, 1] = np.nan
        lost = replace(motion, translation_m=wrong[0], quaternions=wrong[1])
        edit = {"op": "bridge", "start": start, "stop": start + length, "hands": ["right"]}
        mended = apply(lost, [edit])
        off = np.linalg.norm(mended.translation_m - motion.translation_m, axis=-1)
        turned = angle_between(mended.quaternions.astype(float), motion.quaternions.astype(float))
        outside = np.r_[0:start, start + length : FRAMES]
        assert off[outside].max() == 0 == off[:, 0].max()
        assert off.max() < most_m
        assert turned.max() < most_rad


def test_bridge_at_the_ends_holds_and_never_reads_broken_frames():
    motion = speaker(4, 20)
    held = apply(motion, [{"op": "bridge", "start": 0, "stop": 5}])
    assert np.array_equal(held.translation_m[:5], np.repeat(motion.translation_m[5:6], 5, axis=0))
    for bad in ({"start": 0, "stop": 20}, {"start": 3, "stop": 5}):
        places = np.array(motion.translation_m)
        places[2:6] = np.nan
        with pytest.raises(InputError, match="whole frame"):
            apply(replace(motion, translation_m=places), [{"op": "bridge", **bad}])


def test_limits_of_one_part_leave_the_others():
    motion = Fault("wrist_bend", 0).motion
    far = replace(motion, translation_m=motion.translation_m + np.float32([0, 0.3, 0.1]))
    wrists = apply(far, [{"op": "limit", "what": "wrist"}])
    assert np.array_equal(wrists.translation_m, far.translation_m)
    assert np.array_equal(wrists.quaternions[:, :, 1:], far.quaternions[:, :, 1:])
    assert "wrist_bend" not in {f.kind for f in check(wrists, fixes=False)}
    fingers = apply(far, [{"op": "limit", "what": "fingers"}])
    assert np.array_equal(fingers.quaternions[:, :, 0], far.quaternions[:, :, 0])
    assert np.array_equal(fingers.translation_m, far.translation_m)


def test_order_words_and_facts():
    motion = Fault("finger_limit", 1).motion
    motion = replace(motion, translation_m=Fault("seam", 1).motion.translation_m)
    findings = check(motion, camera=CAMERA)
    ranks = [(f.severity != "error", f.start) for f in findings]
    assert ranks == sorted(ranks)
    for finding in findings:
        assert finding.message.startswith(("At ", "From "))
        assert finding.message.endswith(".")
        assert any(word in finding.message for word in (*HAND_WORDS, "hands"))
        assert "_" not in finding.message + finding.remedy
        assert finding.ratio > 1
        assert 0 <= finding.start <= finding.worst_frame < finding.stop
    told = json.loads(json.dumps(facts(findings)))
    assert told["errors"] + told["warnings"] == len(told["findings"]) == len(findings)
    assert len(summary(findings)) == 1 + len(findings)
    assert summary(()) == ["Nothing wrong was found."]
    operations = fix_operations(findings)
    assert operations
    assert all(op in [f.fix for f in findings] for op in operations)


def test_runs_are_joined_when_they_are_near():
    wrong = np.array([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1], bool)
    assert runs(wrong) == [(1, 3), (5, 6), (10, 11)]
    assert runs(wrong, merge_frames=3) == [(1, 6), (10, 11)]
    assert runs(np.zeros(4, bool)) == []
    assert len(BONES) == 24


@pytest.mark.parametrize("kind", ["finger_limit", "finger_twist"])
def test_what_a_mano_capture_shows_is_no_error(kind):
    """MANO's thumb and little finger turn about other axes than the table's."""
    motion = Fault(kind, 3).motion
    captured = replace(motion, meta={**motion.meta, "format": "amass"})
    assert "error" in [f.severity for f in check(motion) if f.kind == kind]
    assert [f.severity for f in check(captured) if f.kind == kind] == ["warning"]
