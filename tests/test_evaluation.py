"""The measures of gesture: what they reward, and what they do not."""

import numpy as np
import pytest

from emo2.evaluation.beats import (
    alignment,
    motion_beats,
    rest_share,
    seam_ratio,
    wrist_speed,
)
from emo2.evaluation.performers import Trembling
from emo2.evaluation.smoothness import jerk
from emo2.types import AudioClip, HandMotion

FPS = 24.0


def motion_of(places: np.ndarray) -> HandMotion:
    frames = len(places)
    quaternions = np.tile(np.array([1.0, 0, 0, 0]), (frames, 2, 16, 1))
    return HandMotion(quaternions, places, np.ones((frames, 2), bool), np.zeros((2, 10)), FPS)


def steps_that_end_at(moments: np.ndarray, duration_s: float, length_m: float = 0.1) -> HandMotion:
    """Both hands step up and down in turn, each step 0.4 s, stopping at `moments`."""
    time = np.arange(round(duration_s * FPS)) / FPS
    height = np.zeros_like(time)
    for number, moment in enumerate(moments):
        x = np.clip((time - moment + 0.4) / 0.4, 0, 1)
        height += length_m * (-1) ** number * x**3 * (10 - 15 * x + 6 * x**2)
    places = np.zeros((len(time), 2, 3))
    places[..., 1] = height[:, None]
    return motion_of(places)


def test_beats_are_where_hands_stop():
    moments = np.array([1.0, 2.1, 3.6, 5.0])
    beats = motion_beats(steps_that_end_at(moments, 6.0))
    assert len(beats) == 4
    assert np.abs(beats - moments).max() < 0.09


def test_in_time_beats_chance_and_out_of_time_does_not():
    rng = np.random.default_rng(0)
    moments = np.cumsum(rng.uniform(0.6, 1.6, 40))
    duration = moments[-1] + 2
    beats = motion_beats(steps_that_end_at(moments, duration))
    in_time = alignment(beats, moments, duration)
    late = alignment(beats, moments - 0.3, duration)
    assert in_time.margin > 0.4
    assert late.margin < 0.05
    assert in_time.beats_per_s == pytest.approx(40 / duration, rel=0.05)


def test_trembling_is_not_rewarded():
    rng = np.random.default_rng(1)
    moments = np.cumsum(rng.uniform(0.6, 1.6, 60))
    duration = moments[-1] + 2
    motion = steps_that_end_at(moments, duration)
    silence = AudioClip(np.zeros(round(duration * 16_000), np.float32))
    noise = Trembling(6e-3)(silence, "", 0)
    assert len(motion_beats(noise)) > 20
    assert abs(alignment(motion_beats(noise), moments, duration).margin) < 0.08
    assert jerk(noise.translation_m, FPS) > 5 * jerk(motion.translation_m, FPS)


def test_nothing_to_measure_is_not_a_number():
    still = motion_of(np.zeros((240, 2, 3)))
    assert np.isnan(alignment(motion_beats(still), np.array([1.0, 2.0]), 10.0).margin)
    assert rest_share(still) == 1
    assert wrist_speed(motion_of(np.zeros((1, 2, 3)))).shape == (1, 2)


def test_seams_are_found():
    time = np.arange(480) / FPS
    places = np.zeros((480, 2, 3))
    places[..., 0] = 0.1 * np.sin(2 * np.pi * 0.7 * time)[:, None]
    seams = np.array([96, 192, 288])
    assert seam_ratio(motion_of(places), seams) == pytest.approx(1, abs=0.2)
    broken = places.copy()
    for seam in seams:
        broken[seam:] += 0.02
    assert seam_ratio(motion_of(broken), seams) > 5


def test_speed_is_in_metres_per_second():
    places = np.zeros((48, 2, 3))
    places[:, 0, 2] = np.arange(48) / FPS * 0.5
    speed = wrist_speed(motion_of(places))
    assert np.allclose(speed[:, 0], 0.5, atol=1e-6)
    assert np.allclose(speed[:, 1], 0)
