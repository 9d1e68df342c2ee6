"""Measures of motion: known answers on motions whose answer is known."""

import numpy as np
import pytest

from emo2.evaluation.comparison import correct_keypoints, diversity
from emo2.evaluation.control import SPEEDS, SpeedOrder, speed_order, wrist_deviation
from emo2.evaluation.criteria import Criterion, within
from emo2.evaluation.performers import (
    OtherSpeech,
    Shuffled,
    SmoothNoise,
    Teacher,
    Trembling,
    frozen,
    motion_of,
    surrogate,
)
from emo2.evaluation.plausibility import (
    finger_components,
    flexion_percentiles,
    limit_rate,
    occupation,
    penetration_rate,
)
from emo2.evaluation.situations import shout, silence, with_loud_half
from emo2.evaluation.smoothness import (
    jerk,
    jumps_around,
    local_ratios,
    mean_arc_length,
    seams,
    spectral_arc_length,
)
from emo2.evaluation.spans import pinned, regenerated
from emo2.evaluation.styles import recognise
from emo2.evaluation.takes import Speech, Take
from emo2.hands.shapes import finger_quaternions
from emo2.motion.rotations import from_axis_angle, multiply
from emo2.types import AudioClip, HandMotion

FPS = 24.0


def resting(frames: int) -> HandMotion:
    return frozen(AudioClip(np.zeros(int(frames / FPS * 16_000), np.float32)), "", 0)


def moved(motion: HandMotion, by_m: np.ndarray) -> HandMotion:
    return motion_of(motion.quaternions, motion.translation_m + by_m, motion.fps)


def reach(length_s: float, size_m: float, fps: float = FPS) -> np.ndarray:
    """Speed (T,) of one minimum-jerk movement."""
    x = np.arange(0, length_s + 1e-9, 1 / fps) / length_s
    return size_m / length_s * 30 * x**2 * (1 - x) ** 2


def wandering(frames: int, seed: int, rests: bool = False) -> np.ndarray:
    """(T, 1, 3) smooth random places; with `rests` it lies still half of the time."""
    rng = np.random.default_rng(seed)
    spectrum = np.zeros((frames // 2 + 1, 3), complex)
    spectrum[1 : frames // 20] = rng.normal(size=(frames // 20 - 1, 3, 2)) @ [1, 1j]
    places = np.fft.irfft(spectrum, frames, axis=0)
    velocity = np.diff(places / places.std() * 0.1, axis=0, prepend=0)
    if rests:
        velocity *= np.clip(4 * np.sin(np.arange(frames) / 40) - 0.5, 0, 1)[:, None]
    return np.cumsum(velocity, axis=0)[:, None]


# Smoothness -----------------------------------------------------------------------------------


def test_jerk_of_a_cube_is_six():
    time = np.arange(48) / FPS
    points = np.zeros((48, 1, 3))
    points[:, 0, 2] = time**3
    assert jerk(points, FPS) == pytest.approx(6)


@pytest.mark.parametrize(("length_s", "size_m"), [(0.5, 0.1), (1.0, 0.1), (1.0, 0.4)])
def test_arc_length_of_one_reach(length_s, size_m):
    """Balasubramanian 2015: about -1.4, whatever size and length."""
    assert spectral_arc_length(reach(length_s, size_m), FPS) == pytest.approx(-1.41, abs=0.06)


def test_arc_length_counts_submovements_and_tremor():
    one, pair = reach(1.0, 0.2), np.concatenate([reach(0.5, 0.1), reach(0.5, 0.1)])
    shaky = one + 0.1 * np.abs(np.sin(2 * np.pi * 4 * np.arange(len(one)) / FPS))
    assert spectral_arc_length(pair, FPS) < spectral_arc_length(one, FPS) - 0.5
    assert spectral_arc_length(shaky, FPS) < spectral_arc_length(one, FPS) - 0.3
    assert np.isnan(mean_arc_length(np.zeros((200, 2)), FPS))


def test_seams_are_told_from_strokes():
    joins = np.arange(90, 1700, 90)
    places = wandering(1800, 0, rests=True)
    whole = seams([(places, joins)], FPS)
    assert 0.4 < whole.velocity < whole.placebo_most
    # A hand that rests has a literal mean-over-median ratio far above one, with no seam at all.
    assert whole.placebo > 1.3
    broken = places.copy()
    for join in joins:
        broken[join:] += 0.01
    torn = seams([(broken, joins)], FPS)
    assert torn.velocity > 5
    assert torn.acceleration > 5
    assert torn.velocity > torn.placebo_most
    assert seams([(places, np.zeros(0, int))], FPS) is None


def test_a_jump_is_seen_where_it_is():
    points = wandering(600, 1)
    points[300:] += 0.05
    profile = jumps_around([(points, np.array([300]))], FPS, 24)
    assert profile.argmax() in (24, 25)
    assert local_ratios(points, np.array([300, 200]), FPS) == pytest.approx([60, 1], rel=0.95)
    assert local_ratios(points, np.array([300]), FPS)[0] > 8


# Bodies ---------------------------------------------------------------------------------------


def test_limits_are_counted_by_frame():
    motion = resting(100)
    quaternions = np.array(motion.quaternions)
    angles = np.zeros((5, 5))
    angles[1, 2] = -70  # the index finger's knuckle bent backwards
    quaternions[:25, 1, 1:] = finger_quaternions(angles, 1)[1:]
    broken = motion_of(quaternions, motion.translation_m, FPS)
    assert limit_rate(motion) == 0
    assert limit_rate(broken) == pytest.approx(0.25)


def test_hands_in_each_other_are_counted_by_frame():
    motion = resting(60)
    assert penetration_rate(motion) == 0
    by = np.zeros((60, 2, 3))
    by[:12, 0, 0] = -2 * motion.translation_m[0, 0, 0]  # the left hand lies in the right one
    assert penetration_rate(moved(motion, by)) == pytest.approx(0.2)


def test_rest_hold_and_move_add_up():
    time = np.arange(240) / FPS
    wrists = np.zeros((240, 2, 3))
    wrists[120:, :, 1] = 0.2  # raised and held
    wrists[96:120, :, 1] = (0.2 * (10 * (u := np.linspace(0, 1, 24)) ** 3 - 15 * u**4 + 6 * u**5))[
        :, None
    ]
    found = occupation(wrists, FPS)
    assert found.rest == pytest.approx(0.4, abs=0.03)
    assert found.hold == pytest.approx(0.5, abs=0.03)
    assert found.rest + found.hold + found.active == pytest.approx(1)
    assert occupation(0.3 * np.sin(6 * time)[:, None, None] * np.ones((1, 1, 3)), FPS).active > 0.9


def test_fingers_that_move_as_one_have_one_component():
    share = 0.5 + 0.5 * np.sin(np.arange(120) / 9)
    angles = np.zeros((120, 5, 5))
    angles[:, 1:, 2:] = share[:, None, None] * np.array([40.0, 50.0, 30.0])
    still = resting(120)
    quaternions = np.array(still.quaternions)
    for hand in (0, 1):
        quaternions[:, hand, 1:] = finger_quaternions(angles, hand)[:, 1:]
    motion = motion_of(quaternions, still.translation_m, FPS)
    assert finger_components([motion])[0] > 0.99
    low, middle, high = flexion_percentiles([motion])[1, 1]  # middle finger, PIP
    assert (low, high) == pytest.approx((0, 50), abs=1.5)
    assert 15 < middle < 35
    noise = np.array(quaternions)
    turns = np.random.default_rng(0).normal(0, 0.1, (120, 2, 15, 3))
    noise[:, :, 1:] = multiply(quaternions[:, :, 1:], from_axis_angle(turns))
    assert finger_components([motion_of(noise, still.translation_m, FPS)])[0] < 0.95
    assert np.isnan(finger_components([still])).all()


# Comparison -----------------------------------------------------------------------------------


def test_diversity_by_hand():
    motion = resting(30)
    assert diversity([motion, moved(motion, np.array([0.0, 0.1, 0.0]))]).places_m == pytest.approx(
        0.1, rel=1e-4
    )
    quaternions = np.array(motion.quaternions)
    quaternions[:, :, 0] = multiply(from_axis_angle(np.array([0.4, 0, 0])), quaternions[:, :, 0])
    turned = diversity([motion, motion_of(quaternions, motion.translation_m, FPS)])
    assert turned.turns_rad == pytest.approx(0.4 / 16, rel=1e-4)
    assert turned.wrists_m == 0
    # Three, two of them equal: two of the three pairs differ.
    third = moved(motion, np.array([0.3, 0.0, 0.0]))
    assert diversity([motion, motion, third]).wrists_m == pytest.approx(0.2, rel=1e-4)


def test_keypoints_within_half_a_hand():
    motion = resting(20)
    assert correct_keypoints(moved(motion, np.array([0.08, 0, 0])), motion) == 1
    assert correct_keypoints(moved(motion, np.array([0.12, 0, 0])), motion) == 0
    half = np.zeros((20, 2, 3))
    half[:5, 0] = 1.0  # one hand, a quarter of the time
    assert correct_keypoints(moved(motion, half), motion) == pytest.approx(7 / 8)


# Performers -----------------------------------------------------------------------------------


def test_a_surrogate_keeps_the_spectrum_and_loses_the_timing():
    channels = np.cumsum(np.random.default_rng(0).normal(size=(400, 3)), axis=0)
    made = surrogate(channels, 1)
    powers = [np.abs(np.fft.rfft(x - x.mean(0), axis=0))[:-1] ** 2 for x in (channels, made)]
    assert powers[1] == pytest.approx(powers[0], rel=1e-6, abs=1e-6)
    assert np.cov(made.T) == pytest.approx(np.cov(channels.T), rel=0.02)
    assert abs(np.corrcoef(channels[:, 0], made[:, 0])[0, 1]) < 0.9
    assert not np.array_equal(made, surrogate(channels, 2))


def test_floors_are_what_they_say(speech_like):
    clip = speech_like(6.0)
    assert np.ptp(frozen(clip, "", 0).translation_m, axis=0).max() == 0
    shaking = Trembling(1e-3)(clip, "", 0).translation_m
    assert np.std(shaking - shaking.mean(axis=0)) == pytest.approx(1e-3, rel=0.1)
    teacher = Teacher()
    for performer in (
        teacher,
        SmoothNoise(teacher),
        Shuffled(teacher),
        OtherSpeech(teacher, [clip]),
    ):
        motion = performer(clip, "talk-lively", 3)
        again = performer(clip, "talk-lively", 3)
        assert motion.num_frames == 144
        assert np.array_equal(motion.quaternions, again.quaternions)
        assert not np.array_equal(motion.quaternions, performer(clip, "talk-lively", 4).quaternions)


def test_deaf_controls_hear_other_sound(speech_like):
    clips = [speech_like(6.0, seed) for seed in (0, 1)]
    heard = []

    def listener(audio, style, seed):
        heard.append(audio.samples)
        return frozen(audio, style, seed)

    Shuffled(listener, 1.5)(clips[0], "", 0)
    OtherSpeech(listener, clips)(clips[0], "", 0)
    assert not np.array_equal(heard[0], clips[0].samples)
    assert np.array_equal(np.sort(heard[0]), np.sort(clips[0].samples))
    pieces = zip(*(sound.reshape(4, -1) for sound in (heard[0], clips[0].samples)), strict=True)
    assert not any(np.array_equal(*pair) for pair in pieces)
    assert np.array_equal(heard[1], clips[1].samples)


# Control, situations, spans -------------------------------------------------------------------


class Loud:
    """A performer whose hands go as far as the speech is loud, times its speed; keeps are kept."""

    def __init__(self, follows: float = 1.0) -> None:
        self.follows = follows

    def __call__(self, audio, style, seed, speed=0.5, keep=None):
        frames = round(audio.duration_s * FPS)
        level = np.abs(audio.samples[: frames * 666]).reshape(frames, -1).mean(axis=1)
        swing = np.sin(np.arange(frames) * 0.6 + seed) * level**self.follows
        motion = moved(resting(frames), 0.5 * speed * swing[:, None, None] * np.array([1.0, 1, 0]))
        if keep is None:
            return motion
        places = np.where(keep.mask[..., :1], keep.motion.translation_m, motion.translation_m)
        turns = np.where(keep.mask[..., 1:, None], keep.motion.quaternions, motion.quaternions)
        return motion_of(turns, places, FPS)


def test_a_slider_that_works_and_one_that_does_not(speech_like):
    clips = [speech_like(4.0, seed) for seed in (0, 1)]
    order = speed_order(Loud(), clips)
    assert order.deviation_m.shape == (2, 9)
    assert order.within == pytest.approx(1)
    assert order.pooled > 0.95
    noise = SpeedOrder(SPEEDS, np.random.default_rng(0).random((4, 9)))
    assert abs(noise.pooled) < 0.5
    assert wrist_deviation(resting(20)) == pytest.approx(0, abs=1e-7)


def test_a_shout_is_heard_or_not(speech_like):
    clips = [speech_like(5.0, seed) for seed in (0, 1)]
    hearing, deaf = (shout(Loud(follows), clips, "") for follows in (1.0, 0.0))
    assert hearing.ratio == pytest.approx(10 ** (12 / 20), rel=0.05)
    assert deaf.ratio == pytest.approx(1, abs=0.01)
    loud = with_loud_half(clips[0], 1).samples
    soft = with_loud_half(clips[0], 0).samples
    gain = np.sqrt(np.mean(loud[-20_000:] ** 2) / np.mean(soft[-20_000:] ** 2))
    assert 20 * np.log10(gain) == pytest.approx(12, abs=0.1)
    assert np.abs(loud).max() <= 1


def test_silence_is_still(speech_like):
    quiet, hiss = silence(Loud(), "")
    assert quiet.still == 1
    assert quiet.strokes == 0
    assert hiss.still > 0.9
    fidget = silence(lambda a, s, n: Teacher()(speech_like(10.0), "talk-lively", n), "")
    assert fidget[0].still < 0.9


def test_spans_and_pins_of_a_model_that_keeps(speech_like):
    clips = [speech_like(6.0, seed) for seed in (0, 1)]
    spans = regenerated(Loud(0.0), clips)
    assert spans.identical
    assert spans.changed_m > 0.02
    assert spans.joins == 36
    assert spans.join > 1.5 * spans.join_before  # it puts frames back and joins nothing
    pins = pinned(Loud(), clips)
    assert pins.wrist_m == pytest.approx(0, abs=1e-6)
    assert pins.shape_deg == pytest.approx(0, abs=1e-3)
    assert pins.rush > 3  # and leaps to its pin


def test_a_model_that_forgets_is_caught(speech_like):
    class Forgetful(Loud):
        def __call__(self, audio, style, seed, speed=0.5, keep=None):
            return super().__call__(audio, style, seed, speed)

    clips = [speech_like(6.0)]
    assert not regenerated(Forgetful(), clips).identical
    assert pinned(Forgetful(), clips).wrist_m > 0.05


def test_styles_are_recognised_only_where_they_differ(speech_like):
    speech = [Speech(speech_like(17.0, seed)) for seed in range(4)]

    def takes(sizes):
        return [
            Take(clip, style, seed, Loud(0.0)(clip.audio, style, 7 * at + 3 * seed, speed=size))
            for at, clip in enumerate(speech)
            for style, size in sizes.items()
            for seed in (0, 1)
        ]

    told = recognise(takes({"small": 0.1, "large": 0.5}))
    assert told.accuracy == 1
    assert told.chance == 0.5
    assert told.confusion == pytest.approx(np.eye(2))
    assert recognise(takes({"one": 0.3, "other": 0.3})).accuracy < 0.8
    assert recognise(takes({"one": 0.3})) is None
    assert recognise(takes({"small": 0.1, "large": 0.5})[:4]) is None  # one clip: none is left


def test_criteria_know_their_side():
    assert within("a", 3.0, least=3).passed
    assert within("a", 2.99, least=3).passed is False
    assert within("a", -1.6, least=-1.5, most=1.5).passed is False
    assert within("a", float("nan"), most=1).passed is None
    assert within("a", 1.23456, most=2, unit="cm").bound == "≤ 2 cm"
    assert Criterion("a", 1.0, "bit-identical", True).shown == "yes"
    assert within("a", 2e-7, most=1).shown == "0"
