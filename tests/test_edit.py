"""The laws of edits: what does nothing, what is undone, what stays, what never jumps."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motions import difference, same, smooth_motion, steps

from emo2.motion.edit import OPERATIONS, apply
from emo2.motion.rotations import angle_between, from_axis_angle
from emo2.types import HandMotion

laws = settings(deadline=None, max_examples=25, derandomize=True)
FRAMES = 80
BASE = smooth_motion(FRAMES)
EXAMPLES = {
    "amplitude": {"factor": 1.7},
    "speed": {"factor": 1.5},
    "smooth": {"seconds": 0.6},
    "openness": {"amount": -0.5},
    "handshape": {"shape": "point", "amount": 0.8},
    "offset": {"dx": 0.03, "dy": 0.05, "dz": -0.02, "apart": 0.04},
    "height": {"metres": 0.08},
    "nudge": {"frames": 3},
    "style": {"style": "keynote"},
    "limit": {},
    "separate": {},
    "mirror": {},
    "swap": {},
    "show": {},
    "hide": {},
    "hold": {},
    "rest": {},
}
"""Every operation that takes any span, with values that change the base."""
OTHERS = (
    {"op": "paste", "start": 40, "from_start": 5, "from_stop": 30},
    {"op": "key", "frame": 40, "place": [0.2, 0.0, 0.3], "wrist": [1, 0.2, 0, 0], "shape": "ok"},
    {"op": "seam", "frame": 40},
    {"op": "bridge", "start": 38, "stop": 44},
    {"op": "snap", "start": 10, "stop": 70, "onset_s": 1.6},
    {"op": "trim", "start": 10, "stop": 60},
    {"op": "resample", "fps": 30},
)
FADING = [name for name in EXAMPLES if "fade" in OPERATIONS[name].all_parameters]


@st.composite
def spans(draw):
    start = draw(st.integers(0, FRAMES - 14))
    stop = draw(st.integers(start + 13, FRAMES))
    hands = draw(st.sampled_from([["left"], ["right"], ["left", "right"]]))
    return {"start": start, "stop": stop, "fade": draw(st.integers(0, 12)), "hands": hands}


def operation(name, span, **values):
    known = OPERATIONS[name].all_parameters
    span = {key: value for key, value in span.items() if key in known}
    return {"op": name, **span, **(values or EXAMPLES.get(name, {}))}


def test_examples_cover_the_registry():
    assert set(EXAMPLES) | {op["op"] for op in OTHERS} == set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_neutral_values_change_nothing_to_the_bit(name):
    neutral = {p.name: p.neutral for p in OPERATIONS[name].parameters if p.neutral is not None}
    if neutral:
        given = {"style": "grander", "amount": 0.0} if name == "style" else neutral
        for span in ({}, {"start": 5, "stop": 60}):
            assert same(apply(BASE, [{"op": name, **span, **given}]), BASE)
    assert neutral or name in (
        *("mirror", "swap", "show", "hide", "hold", "rest", "paste", "snap", "key", "limit"),
        *("separate", "seam", "bridge", "trim", "resample"),
    )


@pytest.mark.parametrize("name", EXAMPLES)
@laws
@given(spans())
def test_outside_its_span_and_hands_an_edit_changes_nothing(name, span):
    edited = apply(BASE, [operation(name, span)])
    inside = np.zeros((FRAMES, 2), bool)
    for hand, word in enumerate(("left", "right")):
        inside[span["start"] : span["stop"], hand] = word in span["hands"] or name == "swap"
    assert np.array_equal(edited.quaternions[~inside], BASE.quaternions[~inside])
    assert np.array_equal(edited.translation_m[~inside], BASE.translation_m[~inside])
    assert np.array_equal(edited.visible[~inside], BASE.visible[~inside])
    whole = span["stop"] - span["start"] == FRAMES and len(span["hands"]) == 2
    assert np.array_equal(edited.betas, BASE.betas) or (name == "mirror" and whole)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_change_something(name):
    motion = BASE
    if name == "separate":
        motion = apply(BASE, [{"op": "offset", "apart": -0.15}])
    if name == "limit":
        motion = apply(BASE, [{"op": "offset", "dz": 0.3}])
    assert not same(apply(motion, [operation(name, {"start": 8, "stop": 70})]), motion)


@pytest.mark.parametrize(
    "given", [operation(name, {}) for name in EXAMPLES] + list(OTHERS), ids=lambda op: op["op"]
)
def test_every_edit_makes_a_sound_motion(given):
    base = smooth_motion(FRAMES, seed=3)
    before = (base.quaternions.tobytes(), base.translation_m.tobytes())
    edited = apply(base, [given])
    assert (base.quaternions.tobytes(), base.translation_m.tobytes()) == before
    assert np.isfinite(edited.translation_m).all()
    lengths = np.linalg.norm(edited.quaternions.astype(float), axis=-1)
    assert np.abs(lengths - 1).max() < 1e-5
    dots = (edited.quaternions[1:] * edited.quaternions[:-1]).sum(-1)
    assert dots.min() > 0
    assert same(apply(base, [given]), edited)
    assert (edited.num_frames != FRAMES) == OPERATIONS[given["op"]].changes_length


@pytest.mark.parametrize("name", FADING)
@laws
@given(spans())
def test_cross_fades_never_jump(name, span):
    """With a fade, no step is larger than the steps it leads over between, plus the way from one to
    the other at the curve's steepest."""
    faded = apply(BASE, [operation(name, span)])
    hard = apply(BASE, [operation(name, span | {"fade": 0})])
    if name == "amplitude":
        return  # its cross-fade is in the flow: see below
    fade = min(span["fade"], (span["stop"] - span["start"] - 1) // 2)
    slope = 1.9 / (fade + 1)
    inside = slice(span["start"], span["stop"] - 1)
    largest = [
        np.maximum(b, h).max(axis=0)
        for b, h in zip(steps(BASE), hard_steps(hard, span), strict=True)
    ]
    places = np.linalg.norm(hard.translation_m.astype(float) - BASE.translation_m, axis=-1)
    angles = angle_between(hard.quaternions.astype(float), BASE.quaternions.astype(float))
    got_places, got_angles = steps(faded)
    assert (got_places <= largest[0] + slope * places.max(axis=0) + 1e-6).all()
    assert (got_angles <= largest[1] + slope * angles.max(axis=0) + 1e-4).all()
    assert inside.stop > inside.start


def hard_steps(motion: HandMotion, span: dict) -> tuple[np.ndarray, np.ndarray]:
    """Steps of a motion edited without fade, but for the two at the span's edges."""
    places, angles = (np.array(part) for part in steps(motion))
    for edge in (span["start"] - 1, span["stop"] - 1):
        if 0 <= edge < len(places):
            places[edge], angles[edge] = 0, 0
    return places, angles


@laws
@given(spans(), st.floats(0.4, 2.5))
def test_amplitude_sets_in_softly(span, factor):
    span["fade"] = max(span["fade"], 4)
    edited = apply(BASE, [operation("amplitude", span, factor=factor)])
    added = edited.translation_m.astype(float) - BASE.translation_m
    bound = (
        1.9 / (span["fade"] + 1) * np.abs(added).max() * 2
        + np.abs(np.diff(BASE.translation_m, axis=0)).max()
    )
    assert np.abs(np.diff(added, axis=0)).max() <= bound


@laws
@given(spans(), st.floats(0.3, 3.0))
def test_amplitude_is_undone_by_its_inverse(span, factor):
    there = apply(BASE, [operation("amplitude", span, factor=factor, turn=0.7)])
    back = apply(there, [operation("amplitude", span, factor=1 / factor, turn=0.7)])
    places, angles = difference(back, BASE)
    assert places < 1e-5
    assert angles < 1e-4


@laws
@given(spans(), st.floats(0.5, 2.0), st.floats(0.5, 2.0))
def test_amplitudes_multiply(span, first, second):
    two = apply(BASE, [operation("amplitude", span, factor=f) for f in (first, second)])
    one = apply(BASE, [operation("amplitude", span, factor=first * second)])
    places, angles = difference(two, one)
    assert places < 1e-5
    assert angles < 1e-4


@laws
@given(spans(), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
def test_offsets_are_undone_by_their_opposite(span, dy, apart):
    there = apply(BASE, [operation("offset", span, dy=dy, apart=apart)])
    back = apply(there, [operation("offset", span, dy=-dy, apart=-apart)])
    assert difference(back, BASE)[0] < 1e-6


@laws
@given(spans())
def test_mirror_and_swap_twice_are_nothing(span):
    span |= {"fade": 0, "hands": ["left", "right"]}
    twice = apply(BASE, [operation("mirror", span)] * 2)
    assert same(twice, BASE)
    twice = apply(BASE, [operation("swap", span)] * 2)
    assert difference(twice, BASE)[0] < 1e-6
    assert np.array_equal(twice.quaternions, BASE.quaternions)


@laws
@given(spans(), st.sampled_from([0.5, 0.8, 1.25, 2.0]))
def test_speed_is_undone_by_its_inverse(span, factor):
    there = apply(BASE, [operation("speed", span, factor=factor)])
    back = apply(there, [operation("speed", span, factor=1 / factor)])
    places, angles = difference(back, BASE)
    assert places < 4e-3
    assert angles < 0.05


@laws
@given(st.integers(-6, 6), st.integers(-6, 6))
def test_nudges_add_up(first, second):
    span = {"start": 10, "stop": 70}
    two = apply(BASE, [operation("nudge", span, frames=n) for n in (first, second)])
    one = apply(BASE, [operation("nudge", span, frames=first + second)])
    places, angles = difference(two, one)
    assert places < 4e-3
    assert angles < 0.05


def test_half_a_turn_apart_a_cross_fade_does_not_flip():
    """Palm up pasted over palm down, by way of exactly opposite wrists."""
    frames = 60
    turn = np.zeros((frames, 2, 16, 3))
    turn[:30, :, 0, 0] = np.linspace(0.0, 0.3, 30)[:, None]
    turn[30:, :, 0, 0] = np.linspace(np.pi - 0.1, np.pi + 0.1, 30)[:, None]
    base = smooth_motion(frames)
    base = HandMotion(from_axis_angle(turn), base.translation_m, base.visible, base.betas, 24.0)
    edited = apply(
        base, [{"op": "paste", "start": 30, "from_start": 0, "from_stop": 30, "fade": 14}]
    )
    assert steps(edited)[1][31:58, :, 0].max() < np.pi * 1.9 / 14 + 0.1


def test_ten_minutes_need_no_more_memory_than_a_few_copies():
    motion = smooth_motion(24 * 60 * 2)
    size = motion.quaternions.nbytes + motion.translation_m.nbytes
    operations = [operation(name, {}) for name in EXAMPLES if name != "nudge"]
    tracemalloc.start()
    edited = apply(motion, operations)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert edited.num_frames == motion.num_frames
    assert peak < 10 * size
