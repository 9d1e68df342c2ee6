"""Spans, key poses, hands and beginnings that stay; variants; streams; samplers."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import syllables
from diffusers import DPMSolverMultistepScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from motions import same, smooth_motion, steps
from scipy.io import wavfile
from test_stage1 import FPS, features, toy_pipeline

from emo2.cli import main
from emo2.errors import InputError
from emo2.hands.shapes import handshape
from emo2.motion.formats.npz import load_npz
from emo2.motion.rotations import angle_between, from_axis_angle
from emo2.pipeline import EMO2Pipeline
from emo2.stage1.bending import correction
from emo2.stage1.keeping import Keep, shown
from emo2.stage1.long_audio import runs
from emo2.stage1.pins import Pin, read_pins
from emo2.stage1.pipeline import Stage1Pipeline
from emo2.stage1.smoothing import calm, calm_reach
from emo2.types import NETWORK_SAMPLE_RATE_HZ, AudioClip, AudioFeatures, HandMotion

SIZE, CONTEXT = 24, 12
"""The toy's windows."""


@pytest.fixture(scope="module")
def toy() -> Stage1Pipeline:
    return toy_pipeline()


@pytest.fixture(scope="module")
def studio() -> EMO2Pipeline:
    return EMO2Pipeline.from_pretrained()


@pytest.fixture(scope="module")
def spoken(studio) -> tuple[AudioClip, HandMotion]:
    """Nine seconds of something like speech, and lively hands to it."""
    audio = AudioClip(syllables(9.0, seed=3))
    return audio, studio.gesture(audio, style="talk-lively", seed=1)


def kept_to_the_bit(motion: HandMotion, keep: Keep) -> bool:
    places, turns = keep.mask[..., 0], keep.mask[..., 1:]
    return np.array_equal(motion.translation_m[places], keep.motion.translation_m[places]) and (
        np.array_equal(motion.quaternions[turns], keep.motion.quaternions[turns])
    )


def jumps(motion: HandMotion) -> np.ndarray:
    """(T - 2,) change of the wrists' velocity [m/s] over frames t .. t + 2, of the worse hand."""
    change = np.diff(motion.translation_m.astype(float), n=2, axis=0) * motion.fps
    return np.linalg.norm(change, axis=-1).max(axis=1)


def jump_at(motion: HandMotion, join: int) -> float:
    """The larger of the changes of velocity that have the step join - 1 -> join in them."""
    return jumps(motion)[max(join - 2, 0) : join].max(initial=0.0)


# What is made anew, and nothing else


@settings(max_examples=15, deadline=None)
@given(
    frames=st.integers(1, 90),
    where=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    hands=st.sampled_from([("left",), ("right",), ("left", "right")]),
    seed=st.integers(0, 3),
)
def test_outside_a_span_every_bit_stays(frames, where, hands, seed):
    toy, motion = toy_pipeline(), smooth_motion(frames, seed)
    start = min(int(min(where) * frames), frames - 1)
    stop = max(start + 1, round(max(where) * frames))
    keep = Keep.outside(motion, start, stop, hands)
    made = toy(features(frames), keep=keep, seed=seed)
    assert kept_to_the_bit(made, keep)
    assert np.array_equal(made.betas, motion.betas)
    assert np.allclose(np.linalg.norm(made.quaternions, axis=-1), 1, atol=1e-5)
    outside = np.r_[0:start, stop:frames]
    assert np.array_equal(made.visible[outside], motion.visible[outside])
    changed = made.translation_m[start:stop] != motion.translation_m[start:stop]
    assert changed.any(axis=(0, 2)).tolist() == [hand in hands for hand in ("left", "right")]


def test_another_seed_another_span(toy):
    motion = toy(features(60), seed=1)
    keep = Keep.outside(motion, 20, 44)
    one, same_seed, other = (toy(features(60), keep=keep, seed=seed) for seed in (8, 8, 9))
    assert same(one, same_seed)
    assert np.abs(one.translation_m - other.translation_m)[20:44].max() > 1e-3
    livelier = toy(features(60), keep=keep, seed=8, speed=1.0)
    assert np.abs(one.translation_m - livelier.translation_m)[20:44].max() > 1e-4


def test_all_given_is_the_motion_itself(toy):
    motion = toy(features(30), seed=1)
    assert toy(features(30), keep=Keep(motion, np.ones(30, bool)), seed=2) is motion


@pytest.mark.parametrize(
    ("free", "planned"),
    [
        ([(300, 324)], [(264, 360)]),  # in the middle of one window
        ([(300, 301)], [(253, 349)]),
        ([(0, 10)], [(0, 96)]),
        ([(980, 1000)], [(904, 1000)]),
        ([(300, 400)], [(266, 434)]),  # two windows that overlap by 24
        ([(300, 310), (500, 510)], [(257, 353), (457, 553)]),
        ([(300, 310), (325, 330)], [(267, 363)]),  # too close for windows of their own
        ([(0, 1000)], [(0, 1000)]),
    ],
)
def test_windows_lie_around_what_is_free(free, planned):
    mask = np.zeros(1000, dtype=bool)
    for start, stop in free:
        mask[start:stop] = True
    assert [(run.start, run.stop) for run in runs(mask, 96, 12, 24)] == planned


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 400))
def test_windows_see_given_frames_on_both_sides(seed, frames):
    rng = np.random.default_rng(seed)
    free = np.zeros(frames, dtype=bool)
    for _ in range(rng.integers(1, 5)):
        start = rng.integers(0, frames)
        free[start : start + rng.integers(1, 150)] = True
    planned = runs(free, SIZE * 2, CONTEXT, 12)
    for run in planned:
        assert run.start == 0 or not free[run.start - CONTEXT : run.start + 1].any()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], free, [0]])))
    for start, stop in edges.reshape(-1, 2):
        seen = min(stop + CONTEXT, frames)
        assert any(run.start <= start and seen <= run.stop for run in planned)


def test_a_span_costs_its_own_windows(toy, monkeypatch):
    """However long the clip is."""
    calls = []
    forward = type(toy.motion_dit).forward
    monkeypatch.setattr(
        type(toy.motion_dit),
        "forward",
        lambda self, *args, **inputs: calls.append(1) or forward(self, *args, **inputs),
    )
    for frames in (80, 600):
        keep = Keep.outside(smooth_motion(frames), 40, 44)
        calls.clear()
        toy(features(frames), keep=keep)
        assert len(calls) == 2 * 3  # windows (to see 12 frames on either side) x steps
    reports = []
    toy(features(600), keep=keep, on_step=reports.append)
    assert [(r.done, r.total) for r in reports] == [(n, 6) for n in range(1, 7)]


def test_the_network_sees_what_lies_beyond_the_span(toy):
    """A motion that differs only after the span makes another span."""
    motion = smooth_motion(60)
    lifted = np.array(motion.translation_m)
    lifted[44:] += 0.05
    spans = [
        toy(features(60), keep=Keep.outside(given, 24, 40), seed=1).translation_m[24:32]
        for given in (motion, replace(motion, translation_m=lifted))
    ]
    assert np.abs(spans[0] - spans[1]).max() > 1e-4


# Where made and given meet


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 80))
def test_bends_meet_what_is_given_and_end(seed, frames):
    rng = np.random.default_rng(seed)
    mask = rng.random((frames, 2)) < rng.choice([0.03, 0.3, 0.9])
    errors = rng.normal(0, 0.1, (frames, 2, 3))
    bent = correction(errors, mask, FPS, 0.25)
    assert np.array_equal(bent[mask], errors[mask])
    assert not bent[:, ~mask.any(axis=0)].any()
    for slot in range(2):
        away = np.abs(np.arange(frames)[:, None] - np.flatnonzero(mask[:, slot])[None])
        if away.size:
            assert not bent[away.min(axis=1) > 30, slot].any()


def test_bends_have_no_kinks():
    """An error and its change fade without a step in either, from both sides of a gap."""
    errors = np.zeros((60, 1, 3))
    errors[:20, 0, 0] = 0.05 + 0.004 * np.arange(-19, 1)
    errors[40:, 0, 0] = -0.03
    mask = np.ones((60, 1), dtype=bool)
    mask[20:40] = False
    bent = correction(errors, mask, FPS, 0.25)[:, 0, 0]
    assert np.abs(np.diff(bent, n=2)).max() < 0.003  # a jump's would be 0.05
    assert bent[20] > bent[19]  # goes on for a moment
    errors[18, 0, 0] -= 0.5  # a jittery track must not throw the hand
    thrown = correction(errors, mask, FPS, 0.25)[20:40, 0, 0]
    assert np.abs(thrown).max() < 0.1
    alone = np.zeros((60, 1), dtype=bool)
    alone[30] = True
    pinned = correction(np.full((60, 1, 3), 0.2), alone, FPS, 0.25)[:, 0, 0]
    assert np.argmax(pinned) == 30
    assert np.diff(pinned).max() * FPS < 0.35  # a large error is given time
    assert np.array_equal(pinned[1:], pinned[1:][::-1])


@pytest.mark.parametrize("span", [(48, 108), (60, 61), (0, 30), (190, 216), (20, 200)])
def test_demo_spans_join_within_the_motions_own_jumps(studio, spoken, span):
    audio, motion = spoken
    for style in studio.styles:
        keep = Keep.outside(motion, *span)
        made = studio.gesture(audio, keep=keep, style=style, seed=8)
        assert kept_to_the_bit(made, keep)
        assert max(jump_at(made, join) for join in span) <= jumps(motion).max()
        assert steps(made)[1].max() < steps(motion)[1].max() + 0.15


# Key poses


def test_pins_are_met_and_nothing_is_snatched(studio, spoken):
    audio, motion = spoken
    pins = [
        Pin(60, "right", place_m=(-0.15, -0.1, 0.3), shape="point"),
        Pin(120, "right", wrist=from_axis_angle(np.array([0.4, -0.3, 0.2]))),
        Pin(120, "left", place_m=(0.22, -0.2, 0.28), shape="fist"),
    ]
    keep = Keep.nothing(motion.num_frames, FPS).pinned(pins)
    made = studio.gesture(audio, keep=keep, style="talk-lively", seed=1)
    assert np.allclose(made.translation_m[60, 1], (-0.15, -0.1, 0.3), atol=1e-6)
    assert np.allclose(made.quaternions[60, 1, 1:], handshape("point", 1)[1:], atol=1e-6)
    assert np.rad2deg(angle_between(made.quaternions[120, 1, 0], pins[1].wrist)) < 0.1
    assert np.allclose(made.translation_m[120, 0], (0.22, -0.2, 0.28), atol=1e-6)
    ours, free = steps(made), steps(motion)
    assert ours[0].max() < free[0].max() + 0.02
    assert ours[1].max() < free[1].max() + 0.3
    # Between the keys the hands do not wait: they gesture.
    assert made.translation_m[70:110].std(axis=0).max() > 0.01


@pytest.mark.parametrize("frames", [(0,), (59,), (0, 59), (30, 32), (30, 31), (10, 30, 50)])
def test_poses_of_a_motion_stay_where_they_are_pinned(toy, frames):
    motion = smooth_motion(60)
    keep = Keep.frames(motion, frames)
    made = toy(features(60), keep=keep)
    assert kept_to_the_bit(made, keep)
    free = [t for t in range(60) if t not in frames]
    assert (np.abs(made.translation_m - motion.translation_m)[free] > 0).all(axis=(1, 2)).all()
    dots = (made.quaternions[1:] * made.quaternions[:-1]).sum(-1)
    gaps = [t for t in free if t + 1 in free]
    assert (dots[gaps] > 0).all()


def test_a_pin_is_shown_for_a_token():
    """The network would miss a frame in four; stretches that fill a token are shown as they are."""
    motion = smooth_motion(60)
    mask = np.zeros((60, 2, 17), dtype=bool)
    mask[[20, 22], 0] = mask[30:36, 0] = mask[0, 1, 0] = True
    told = shown(Keep(motion, mask), 4)
    assert np.flatnonzero(told.mask[:, 0, 5]).tolist() == [*range(18, 25), *range(30, 36)]
    assert np.flatnonzero(told.mask[:, 1, 0]).tolist() == [0, 1, 2]
    assert not told.mask[:, 1, 1:].any()
    assert np.array_equal(told.motion.quaternions[mask[..., 1:]], motion.quaternions[mask[..., 1:]])
    for frame, source in ((18, 20), (19, 20), (21, 20), (23, 22), (24, 22)):
        assert np.array_equal(told.motion.quaternions[frame, 0], motion.quaternions[source, 0])
    assert np.array_equal(told.motion.translation_m[25:], motion.translation_m[25:])
    assert np.array_equal(shown(Keep(motion, mask), 1).mask, mask)


def test_pins_in_a_span(toy):
    motion = smooth_motion(60)
    keep = Keep.outside(motion, 20, 40).pinned([Pin(30, "left", place_m=(0.2, -0.2, 0.3))])
    made = toy(features(60), keep=keep)
    assert made.translation_m[30, 0] == pytest.approx((0.2, -0.2, 0.3), abs=1e-6)
    assert np.array_equal(made.translation_m[:20], motion.translation_m[:20])
    assert not np.array_equal(made.translation_m[30, 1], motion.translation_m[30, 1])


def test_pins_that_contradict_each_other_are_both_met(toy):
    pins = [Pin(30, "left", place_m=(0.1, -0.3, 0.2)), Pin(31, "left", place_m=(0.3, -0.1, 0.3))]
    made = toy(features(60), keep=Keep.nothing(60, FPS).pinned(pins))
    for pin in pins:
        assert made.translation_m[pin.frame, 0] == pytest.approx(pin.place_m, abs=1e-6)
    assert np.isfinite(made.quaternions).all()


def test_pins_are_read_and_wrong_ones_refused(tmp_path):
    path = tmp_path / "pins.json"

    def read(*entries):
        path.write_text(json.dumps(entries))
        return read_pins(path, FPS)

    pin = {"at_s": 1.5, "hand": "right", "place": [-0.2, -0.1, 0.3], "shape": "point"}
    (one,) = read(pin)
    assert (one.frame, one.hand_index, one.shape) == (36, 1, "point")
    for change, message in [
        ({"hand": "third"}, "hand"),
        ({"place": [1, 2]}, "place_m"),
        ({"place": [1, 2, "x"]}, "place_m"),
        ({"wrist": [0, 0, 0, 0]}, "wrist"),
        ({"shape": "spoon"}, "handshape"),
        ({"shape": [[1, 0, 0, 0]]}, "shape"),
        ({"frame": 3}, "at_s"),
        ({"at_s": -1}, "time"),
        ({"at_s": True}, "time"),
        ({"colour": 1}, "names"),
    ]:
        with pytest.raises(InputError, match=message):
            read({**pin, **change})
    with pytest.raises(InputError, match="must pin"):
        read({"at_s": 1, "hand": "left"})
    with pytest.raises(InputError, match="list"):
        read()
    path.write_text("{")
    with pytest.raises(InputError, match="JSON"):
        read_pins(path, FPS)
    with pytest.raises(InputError, match="60 frames"):
        Keep.nothing(60, FPS).pinned([Pin(60, "left", shape="fist")])


# A hand, a beginning


def test_one_hand_stays_the_other_is_new(studio, spoken):
    audio, motion = spoken
    made = studio.gesture(audio, keep=Keep.hand(motion, "right"), seed=5)
    assert np.array_equal(made.translation_m[:, 1], motion.translation_m[:, 1])
    assert np.array_equal(made.quaternions[:, 1], motion.quaternions[:, 1])
    assert np.abs(made.translation_m[:, 0] - motion.translation_m[:, 0]).max() > 0.02
    ours, free = steps(made)[0][:, 0], steps(motion)[0]
    assert 0.2 * free.mean() < ours.mean() < 3 * free.mean()


def test_a_motion_goes_on(studio, spoken):
    audio, motion = spoken
    first = replace(
        motion, **{n: getattr(motion, n)[:100] for n in ("quaternions", "translation_m", "visible")}
    )
    made = studio.gesture(audio, keep=Keep.beginning(first, motion.num_frames), seed=2)
    assert made.num_frames == motion.num_frames
    assert np.array_equal(made.quaternions[:100], motion.quaternions[:100])
    assert jump_at(made, 100) <= jumps(motion).max()
    assert steps(made)[0][100:].mean() > 0.2 * steps(motion)[0].mean()
    with pytest.raises(InputError, match="at most 90 frames"):
        Keep.beginning(first, 90)


# What else a motion carries


def test_shape_visibility_and_history_are_carried(toy):
    motion = smooth_motion(60)
    visible = np.ones((60, 2), dtype=bool)
    visible[:, 1] = False
    visible[:35, 0] = False
    motion = replace(motion, visible=visible, meta={"seed": 3, "edits": [{"base": "x"}]})
    made = toy(features(60), keep=Keep.outside(motion, 20, 40), seed=8, style="sing", speed=0.4)
    assert np.array_equal(made.betas, motion.betas)
    assert not made.visible[:, 1].any()  # hidden on both sides: nothing pops into the picture
    assert made.visible[:, 0].tolist() == [t >= 30 for t in range(60)]
    first, second = made.meta["edits"]
    assert first == {"base": "x"}
    assert second["generated"]["spans"] == {"left": [[20, 40]], "right": [[20, 40]]}
    assert second["generated"]["seed"] == 8
    assert second["generated"]["style"]["sing"] == 1
    assert second["generated"]["speed"] == 0.4
    assert made.meta["seed"] == 3
    json.dumps(made.meta)
    anew = toy(features(60), keep=Keep.hand(motion, "left"), seed=8)
    assert anew.visible[:, 1].all()
    assert np.array_equal(anew.visible[:, 0], motion.visible[:, 0])


def test_a_span_keeps_the_manner_of_its_motion(toy):
    motion = toy(features(60), style={"sing": 0.5, "present": 0.5}, speed=0.9)
    keep = Keep.outside(motion, 20, 40)
    by_default = toy(features(60), keep=keep, seed=1)
    told = toy(features(60), keep=keep, seed=1, style={"sing": 1, "present": 1}, speed=0.9)
    assert same(by_default, told)
    for meta in ({"style": {"somebody": 1.0}}, {"style": {"sing": "much"}, "speed": 0.5}, {}):
        foreign = replace(motion, meta=meta)
        calm_style = toy(features(60), keep=Keep.outside(foreign, 20, 40), seed=1)
        assert calm_style.meta["edits"][-1]["generated"]["style"]["talk-calm"] == 1


# Variants and streams


def test_variants_are_what_each_seed_makes_alone(toy):
    heard = features(60)
    keep = Keep.outside(smooth_motion(60), 20, 44)
    for given_motion in (None, keep):
        together = toy.variants(heard, 4, seed=5, keep=given_motion)
        again = toy.variants(heard, 4, seed=5, keep=given_motion)
        for seed, one, twin in zip(range(5, 9), together, again, strict=True):
            alone = toy(heard, seed=seed, keep=given_motion)
            assert np.abs(one.translation_m - alone.translation_m).max() < 1e-4
            assert angle_between(one.quaternions, alone.quaternions).max() < 2e-3
            assert same(one, twin)
        recorded = [m.meta["edits"][-1]["generated"] if given_motion else m.meta for m in together]
        assert [record["seed"] for record in recorded] == [5, 6, 7, 8]
    with pytest.raises(InputError, match="count"):
        toy.variants(heard, 0)


@pytest.mark.parametrize("frames", [1, 2, 24, 25, 43, 200])
@pytest.mark.parametrize("piece", [1, 17, 500])
def test_streams_are_whole_motions_in_pieces(toy, frames, piece):
    heard = features(frames)
    parts = (
        AudioFeatures(heard.hidden_states[first : first + piece], FPS)
        for first in range(0, frames, piece)
    )
    streamed = list(toy.stream(parts, seed=4, style="sing"))
    whole = toy(heard, seed=4, style="sing")
    for name in ("quaternions", "translation_m", "visible"):
        joined = np.concatenate([getattr(motion, name) for motion in streamed])
        assert np.array_equal(joined, getattr(whole, name))
    assert {json.dumps(motion.meta) for motion in streamed} == {json.dumps(whole.meta)}


def test_streams_do_not_wait_for_the_end_nor_disturb_each_other(toy):
    heard = features(400)
    asked = []

    def pieces():
        for first in range(0, 400, 20):
            asked.append(first)
            yield AudioFeatures(heard.hidden_states[first : first + 20], FPS)

    stream = toy.stream(pieces(), seed=1)
    first = next(stream)
    assert first.num_frames > 0
    assert max(asked) < 150
    other = toy.stream([heard], seed=2)
    mixed = [first, next(stream)]
    next(other), next(other)
    mixed += stream
    places = np.concatenate([motion.translation_m for motion in mixed])
    assert np.array_equal(places, toy(heard, seed=1).translation_m)


def test_calm_looks_no_further_than_it_says():
    rng = np.random.default_rng(0)
    reach = calm_reach(FPS)
    track = np.cumsum(rng.normal(0, 0.01, (300, 5)), axis=0).astype(np.float32)
    track[100:160] = track[100]
    whole = calm(track, track[:, :3], FPS)
    part = calm(track[80:240], track[80:240, :3], FPS)
    assert np.array_equal(part[reach : 160 - reach], whole[80 + reach : 240 - reach])
    assert not np.array_equal(part, whole[80:240])


# Samplers and guidance


def test_dpm_solver_samples_too(toy):
    """Another of diffusers' schedulers; `test_noise_steps` holds its steps against DDIM's."""
    solver = DPMSolverMultistepScheduler.from_config(toy.scheduler.config)
    other = Stage1Pipeline(toy.motion_dit, solver, num_inference_steps=4)
    heard = features(24)
    assert same(other(heard, seed=1), other(heard, seed=1))
    assert not same(other(heard, seed=1), other(heard, seed=2))
    keep = Keep.outside(smooth_motion(60), 20, 40)
    assert kept_to_the_bit(other(features(60), keep=keep), keep)


def test_demo_style_guidance_widens_styles(studio, spoken):
    heard = studio.hear(AudioClip(spoken[0].samples[: 4 * NETWORK_SAMPLE_RATE_HZ]))

    def apart(scale: float) -> float:
        places = [
            studio.stage1(
                heard, style=style, speed=0.5, style_guidance_scale=scale, seed=0
            ).translation_m.mean(axis=0)
            for style in ("talk-calm", "present", "sing")
        ]
        return np.mean([np.abs(a - b).mean() for a, b in pairwise([*places, places[0]])])

    assert apart(2.5) > 1.05 * apart(1.0)


def test_mixtures_may_go_beyond_a_style(studio, spoken):
    audio, _ = spoken
    beyond = studio.gesture(audio, style={"talk-lively": 1.5, "talk-calm": -0.5}, speed=0.6)
    assert beyond.meta["style"]["talk-lively"] == 1.5
    assert steps(beyond)[0].max() * FPS < 4.0


# The command line


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Four seconds of speech, and hands to it."""
    folder = tmp_path_factory.mktemp("spans")
    samples = (syllables(4.0) * 32767).astype("<i2")
    wavfile.write(folder / "speech.wav", NETWORK_SAMPLE_RATE_HZ, samples)
    assert gesture(folder, "hands.npz", "--style", "talk-calm=0.5,talk-lively=0.5") == 0
    return folder


def gesture(folder: Path, out: str, *arguments: object) -> int:
    words = ["gesture", "--audio", folder / "speech.wav", "--out", folder / out, *arguments]
    return main([str(word) for word in [*words, "--json"]])


def test_a_span_by_command(folder, capsys):
    motion = load_npz(folder / "hands.npz")
    part = ("--motion", folder / "hands.npz", "--span", "1.0:2.5")
    assert gesture(folder, "span.npz", *part, "--seed", 8) == 0
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert facts["spans"] == {"left": [[24, 60]], "right": [[24, 60]]}
    assert facts["style"]["talk-lively"] == 0.5
    made = load_npz(folder / "span.npz")
    kept_frames = np.r_[0:24, 60:96]
    assert np.array_equal(made.quaternions[kept_frames], motion.quaternions[kept_frames])
    assert not np.array_equal(made.quaternions[24:60], motion.quaternions[24:60])
    assert gesture(folder, "span.npz", *part, "--seed", 8, "--variants", 3) == 0
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [variant["seed"] for variant in facts["variants"]] == [8, 9, 10]
    first = load_npz(folder / "span-8.npz")
    assert np.abs(first.translation_m - made.translation_m).max() < 1e-4


def test_pins_lock_and_continue_by_command(folder):
    motion = load_npz(folder / "hands.npz")
    given_motion = ("--motion", folder / "hands.npz")
    assert gesture(folder, "pin.npz", *given_motion, "--pin", 1, "--pin", 4, "--steps", 4) == 0
    pinned = load_npz(folder / "pin.npz")
    assert np.array_equal(pinned.translation_m[[24, 95]], motion.translation_m[[24, 95]])
    assert gesture(folder, "lock.npz", *given_motion, "--lock", "left", "--seed", 3) == 0
    locked = load_npz(folder / "lock.npz")
    assert np.array_equal(locked.quaternions[:, 0], motion.quaternions[:, 0])
    (folder / "pins.json").write_text('[{"frame": 40, "hand": "left", "shape": "fist"}]')
    assert gesture(folder, "fist.npz", "--pins", folder / "pins.json") == 0
    fist = load_npz(folder / "fist.npz").quaternions[40, 0, 1:]
    assert np.allclose(fist, handshape("fist", 0)[1:], atol=1e-6)
    (folder / "cut.json").write_text('[{"op": "trim", "start": 0, "stop": 50}]')
    cut = ["edit", *given_motion, "--ops", folder / "cut.json", "--out", folder / "cut.npz"]
    assert main([str(word) for word in cut]) == 0
    assert gesture(folder, "on.npz", "--motion", folder / "cut.npz", "--continue") == 0
    assert np.array_equal(load_npz(folder / "on.npz").quaternions[:50], motion.quaternions[:50])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--motion", "hands.npz"], "which part"),
        (["--motion", "hands.npz", "--span", "1:2", "--lock", "left"], "which part"),
        (["--span", "1:2"], "about a motion"),
        (["--motion", "hands.npz", "--span", "3.9:99"], None),
        (["--motion", "hands.npz", "--span", "9:10"], "96 frames"),
        (["--motion", "hands.npz", "--pin", "5"], "96 frames"),
        (["--motion", "cut.npz", "--lock", "left"], "as long as the speech"),
        (["--motion", "hands.npz", "--lock", "left", "--hands", "left"], "--span and --pin"),
        (["--variants", "40"], "1..32"),
        (["--guidance", "-1"], "guidance_scale"),
        (["--pins", "absent.json"], "existing file"),
    ],
)
def test_what_does_not_go_together_is_refused(folder, capsys, arguments, said):
    words = [str(folder / word) if word.endswith((".npz", ".json")) else word for word in arguments]
    code = gesture(folder, "x.npz", *words)
    assert code == (0 if said is None else 2)
    if said:
        assert said in capsys.readouterr().err


def test_variants_do_not_overwrite_their_motion(folder, capsys):
    motion = folder / "take-8.npz"
    motion.write_bytes((folder / "hands.npz").read_bytes())
    part = ("--motion", motion, "--span", "1:2", "--seed", 7, "--variants", 2)
    assert gesture(folder, "take.npz", *part) == 2
    assert "input of --motion" in capsys.readouterr().err
