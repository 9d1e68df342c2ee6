"""The performance: the mouth follows the speech, the body stays alive, still and bounded."""

import tracemalloc
from dataclasses import fields
from itertools import pairwise

import numpy as np
import pytest

from emo2.draft.performance import MAX_HEAD_RAD, Performance, perform
from emo2.draft.speech import analyse_speech
from emo2.errors import InputError
from emo2.types import AudioClip, HandMotion

FPS = 24.0
RATE = 16_000


def syllables(seed: int, duration_s: float = 6.0, level: float = 0.3, noise: float = 0.0):
    """A buzz through a vowel-like filter, in syllables of random length with gaps between."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(duration_s * RATE)) / RATE
    buzz = sum(np.sin(2 * np.pi * 120 * k * time) / k**0.7 for k in range(1, 25))
    envelope = np.zeros(len(time))
    start = 0.2
    while start < duration_s - 0.6:
        length = rng.uniform(0.12, 0.35)
        inside = (time > start) & (time < start + length)
        loud = rng.uniform(0.4, 1.0)
        envelope[inside] = loud * np.sin(np.pi * (time[inside] - start) / length)
        start += length + rng.uniform(0.08, 0.6)
    sound = level * envelope * buzz / np.abs(buzz).max() + noise * rng.standard_normal(len(time))
    return AudioClip(np.clip(sound, -1, 1))


def frame_rms(audio: AudioClip, num_frames: int) -> np.ndarray:
    edges = np.round(np.arange(num_frames + 1) * RATE / FPS).astype(int)
    padded = np.pad(audio.samples, (0, max(0, edges[-1] - len(audio.samples)))).astype(np.float64)
    return np.sqrt([np.mean(padded[a:b] ** 2) for a, b in pairwise(edges)])


def mouth(performance: Performance) -> np.ndarray:
    return performance.jaw * (1 - performance.press)


def act(audio: AudioClip, **options) -> Performance:
    return perform(audio, int(np.ceil(audio.duration_s * FPS)), FPS, **options)


@pytest.mark.parametrize("level", [0.01, 0.05, 0.9])
def test_the_mouth_follows_the_envelope_without_delay_at_any_level(level):
    audio = syllables(1, level=level)
    opening = mouth(act(audio))
    rms = frame_rms(audio, len(opening))
    lags = range(-3, 4)
    scores = [np.corrcoef(np.roll(rms, lag)[4:-4], opening[4:-4])[0, 1] for lag in lags]
    assert abs(lags[int(np.argmax(scores))]) <= 1
    assert scores[3] > 0.85
    assert opening.max() > 0.7


def test_another_recording_does_not_fit_the_mouth():
    clips = [syllables(seed) for seed in range(6)]
    mouths = [mouth(act(clip)) for clip in clips]
    levels = [frame_rms(clip, len(mouths[0])) for clip in clips]
    own = [np.corrcoef(m, e)[0, 1] for m, e in zip(mouths, levels, strict=True)]
    wrong = [np.corrcoef(mouths[i], levels[j])[0, 1] for i in range(6) for j in range(6) if i != j]
    assert np.mean(own) - np.mean(wrong) > 0.6
    assert abs(np.mean(wrong)) < 0.2


@pytest.mark.parametrize("noise", [0.0, 0.0005, 0.003])
def test_silence_and_hiss_keep_the_mouth_shut_and_the_person_alive(noise):
    hiss = noise * np.random.default_rng(0).standard_normal(8 * RATE)
    performance = act(AudioClip(hiss.astype(np.float32)))
    assert performance.jaw.max() == 0
    assert performance.press.max() == 0
    assert performance.blink.max() > 0.95
    for curve in (performance.yaw_rad, performance.breath, performance.sway_m):
        assert np.std(curve) > 0
        assert np.abs(np.diff(curve)).max() < 0.1


def test_pauses_in_a_noisy_room_shut_the_mouth():
    audio = syllables(3, noise=0.004)
    performance = act(audio)
    quiet = frame_rms(syllables(3), performance.num_frames) < 1e-4
    # Frames next to speech share some of it.
    inner = quiet & np.roll(quiet, 1) & np.roll(quiet, -1)
    assert inner.sum() > 10
    assert np.percentile(performance.jaw[inner], 90) < 0.12


def test_lips_shut_for_a_moment_between_two_loud_vowels():
    time = np.arange(int(1.5 * RATE)) / RATE
    buzz = 0.3 * sum(np.sin(2 * np.pi * 120 * k * time) for k in range(1, 20)) / 10
    closed = np.clip((0.05 - np.abs(time - 0.785)) / 0.01, 0, 1)
    murmur = 0.03 * np.sin(2 * np.pi * 120 * time)  # all that is left of a voiced m
    performance = act(AudioClip((buzz + closed * (murmur - buzz)).astype(np.float32)))
    shut = mouth(performance)
    closure = int(0.785 * FPS)
    assert shut[closure - 1 : closure + 2].min() < 0.15
    assert shut[closure - 6] > 0.5
    assert shut[closure + 6] > 0.5


@pytest.mark.parametrize("duration_s", [0.05, 0.3, 2.0])
def test_every_length_is_served_bounded_and_smooth(duration_s):
    rng = np.random.default_rng(0)
    clip = AudioClip(rng.uniform(-1, 1, int(duration_s * RATE)).astype(np.float32))
    performance = act(clip, seed=5)
    bounds = {name: (0, 1) for name in ("jaw", "press", "speaking", "blink", "brow")}
    bounds |= {name: (-1, 1) for name in ("spread", "gaze_x", "gaze_y", "breath")}
    bounds |= {f"{axis}_rad": (-MAX_HEAD_RAD, MAX_HEAD_RAD) for axis in ("yaw", "pitch", "roll")}
    bounds |= {"sway_m": (-0.02, 0.02)}
    bounds |= {f"shrug_{side}_m": (-0.015, 0.015) for side in ("left", "right")}
    assert set(bounds) == {curve.name for curve in fields(Performance)}
    for name, (low, high) in bounds.items():
        curve = getattr(performance, name)
        assert curve.shape == (int(np.ceil(duration_s * FPS)),)
        assert curve.dtype == np.float32
        assert np.isfinite(curve).all()
        assert low - 1e-6 <= curve.min()
        assert curve.max() <= high + 1e-6


def test_same_seed_same_performance_other_seed_another():
    audio = syllables(2)
    first, again, other = act(audio, seed=7), act(audio, seed=7), act(audio, seed=8)
    for curve in fields(Performance):
        np.testing.assert_array_equal(getattr(first, curve.name), getattr(again, curve.name))
    assert not np.array_equal(first.yaw_rad, other.yaw_rad)
    assert not np.array_equal(first.blink, other.blink)
    np.testing.assert_array_equal(first.jaw, other.jaw)


def test_blinks_come_at_a_human_rate_shut_fully_and_are_short():
    lids = act(AudioClip(np.zeros(120 * RATE, np.float32)), seed=1).blink
    shut = lids > 0.9
    blinks = int((shut[1:] & ~shut[:-1]).sum())
    assert 15 <= blinks <= 60
    edges = np.flatnonzero(np.diff(np.concatenate([[0], lids > 0.05, [0]])))
    lengths_s = (edges[1::2] - edges[::2]) / FPS
    assert np.median(lengths_s) < 0.3
    assert lengths_s.max() < 0.7


def test_head_moves_more_while_speaking_and_never_jumps():
    speech, silence = syllables(4, 20), AudioClip(np.zeros(20 * RATE, np.float32))
    talking, still = act(speech, seed=3), act(silence, seed=3)
    for name in ("yaw_rad", "pitch_rad", "roll_rad"):
        moving, resting = getattr(talking, name), getattr(still, name)
        assert np.ptp(moving) > np.ptp(resting)
        assert np.rad2deg(np.abs(np.diff(moving)).max()) < 1.5


def test_the_body_follows_the_hands():
    num_frames = 96
    quaternions = np.zeros((num_frames, 2, 16, 4), np.float32)
    quaternions[..., 0] = 1
    translation = np.zeros((num_frames, 2, 3), np.float32)
    translation[48:, 0, 1] = 0.3
    translation[48:, :, 0] = 0.2
    motion = HandMotion(
        quaternions, translation, np.ones((num_frames, 2), bool), np.zeros((2, 10)), FPS
    )
    audio = AudioClip(np.zeros(int(num_frames / FPS * RATE), np.float32))
    alone, moved = act(audio), act(audio, motion=motion)
    lifted = moved.shrug_left_m
    assert lifted[-10:].mean() - lifted[:10].mean() > 0.003
    assert np.ptp(moved.shrug_right_m) < 1e-4
    leaning = moved.sway_m - alone.sway_m
    assert leaning[-10:].mean() - leaning[:10].mean() > 0.003


def test_long_recordings_need_little_memory():
    clip = AudioClip(np.tile(syllables(1, 10).samples, 60))
    tracemalloc.start()
    performance = act(clip)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert performance.num_frames == 14_400
    assert peak < 4 * clip.samples.nbytes + 40e6


def test_bad_input_is_refused():
    audio = syllables(0, 1.0)
    with pytest.raises(InputError, match="num_frames"):
        perform(audio, 0, FPS)
    with pytest.raises(InputError, match="fps"):
        perform(audio, 24, 0)


def test_an_empty_recording_gives_still_curves():
    speech = analyse_speech(AudioClip(np.zeros(0, np.float32)))
    assert speech.loudness.max() == 0
    assert perform(AudioClip(np.zeros(0, np.float32)), 5, FPS).jaw.max() == 0
