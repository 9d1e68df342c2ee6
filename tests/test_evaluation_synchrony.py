"""Beat alignment over chance: laws of the z-score, and what raw scores reward."""

import shutil

import numpy as np
import pytest
from scipy.stats import kstest

from emo2.errors import InputError
from emo2.evaluation.lags import stroke_lags
from emo2.evaluation.peers import bc_talkshow
from emo2.evaluation.performers import Trembling
from emo2.evaluation.points import seen_points
from emo2.evaluation.sounds import audio_beats, find_speech, join
from emo2.evaluation.synchrony import Heard, nearest, speed_minima, synchrony
from emo2.types import AudioClip

FPS = 24.0


def events(rng: np.random.Generator, rate: float, duration_s: float) -> np.ndarray:
    """Moments of a Poisson process with a refractory time, as syllables and strokes have."""
    gaps = 0.12 + rng.exponential(1 / rate - 0.12, int(3 * rate * duration_s))
    times = np.cumsum(gaps)
    return times[times < duration_s]


def bobbing(turns_s: np.ndarray, duration_s: float) -> np.ndarray:
    """(T, 1, 3): a point that goes up and down and is slowest, but not still, at `turns_s`."""
    time = np.arange(round(duration_s * FPS)) / FPS
    phase = np.interp(time, turns_s, np.pi * np.arange(len(turns_s)))
    return 0.1 * np.stack([0.3 * time, np.cos(phase), 0 * time], axis=-1)[:, None]


def test_deaf_motion_has_a_standard_normal_z():
    """The law that makes a z readable, over 300 pairs that have nothing to do with each other."""
    zs = []
    for trial in range(300):
        rng = np.random.default_rng(trial)
        clips = [
            Heard(
                (events(rng, 1.2, length), events(rng, 0.8, length)),
                events(rng, 4.0, length),
                length,
            )
            for length in (20.0, 33.0)
        ]
        zs.append(synchrony(clips, shifts=60, seed=trial).z)
    assert abs(np.mean(zs)) < 0.2
    assert 0.85 < np.std(zs) < 1.2
    assert kstest(zs, "norm").pvalue > 0.005


def test_motion_in_time_is_found_and_late_motion_is_not():
    rng = np.random.default_rng(1)
    onsets = events(rng, 2.0, 60.0)
    turns = onsets[::2]
    on_time = synchrony([Heard((turns,), onsets, 60.0)])
    late = synchrony([Heard((turns + 0.25,), onsets, 60.0)])
    assert on_time.z > 6
    assert late.z < 2
    assert on_time.score > 0.5  # every second onset is met to the bit


def test_more_speech_makes_the_same_timing_surer():
    """z grows with the square root of the seconds: it has to be read with them."""
    zs = []
    for length in (40.0, 360.0):
        rng = np.random.default_rng(2)
        onsets = events(rng, 3.0, length)
        met = onsets[rng.random(len(onsets)) < 0.25]
        zs.append(synchrony([Heard((np.sort(met),), onsets, length)]).z)
    assert 2 < zs[1] / zs[0] < 4.5


def test_a_score_by_hand():
    """Two onsets, one met to the bit and one a tenth of a second off: (1 + exp(-1/2)) / 2."""
    clip = Heard((np.array([2.0, 5.1]), np.zeros(0)), np.array([2.0, 5.0]), 10.0)
    # The second point never beats: it earns nothing and counts.
    assert synchrony([clip]).score == pytest.approx((1 + np.exp(-0.5)) / 4)


def test_size_does_not_count():
    onsets = events(np.random.default_rng(3), 4.0, 30.0)
    points = bobbing(events(np.random.default_rng(4), 1.5, 30.0), 30.0)
    zs = [
        synchrony([Heard(speed_minima(points * size, FPS, 0.1), onsets, 30.0)]).z
        for size in (1.0, 0.1)
    ]
    assert zs[0] == pytest.approx(zs[1])


def test_minima_lie_at_turns_and_stops_are_masked():
    turns = np.arange(1.0, 20.0, 0.8)
    points = bobbing(turns, 20.0)
    (found,) = speed_minima(points, FPS, 0.1)
    inner = found[(found > 1.2) & (found < 18.5)]
    assert np.abs(nearest(inner, turns)).max() < 1.5 / FPS
    # The same path, but stopping dead at the turns: EMAGE's mask takes the beats away.
    stopping = points.copy()
    stopping[..., 0] = 0
    assert len(speed_minima(stopping, FPS, 0.1)[0]) < 0.6 * len(inner)
    assert len(speed_minima(stopping, FPS, None)[0]) > 0.8 * len(inner)


def test_trembling_wins_the_published_score_and_not_ours(speech_like):
    clips = [speech_like(30.0, seed) for seed in (0, 1)]
    hears = [audio_beats(clip)["onsets"] for clip in clips]
    shaking = [Trembling()(clip, "", seed) for seed, clip in enumerate(clips)]
    naive = np.mean([bc_talkshow(m, onsets) for m, onsets in zip(shaking, hears, strict=True)])
    ours = synchrony(
        [
            Heard(speed_minima(seen_points(motion), FPS, 0.1), onsets, clip.duration_s)
            for motion, onsets, clip in zip(shaking, hears, clips, strict=True)
        ]
    )
    assert naive > 0.85  # better than people: 0.75 (real speech and motion, BEAT)
    assert abs(ours.z) < 2.5


def test_nothing_to_hear_or_see_is_not_a_number():
    silent = Heard((np.array([1.0]),), np.zeros(0), 10.0)
    still = Heard((np.zeros(0),), np.array([1.0]), 10.0)
    assert np.isnan(synchrony([silent]).z)
    assert np.isnan(synchrony([still]).z)
    assert speed_minima(np.zeros((48, 2, 3)), FPS, None)[0].size == 0


def test_nearest_is_signed():
    assert nearest(np.array([0.5, 2.2, 9.0]), np.array([1.0, 2.0])) == pytest.approx([-0.5, 0.2, 7])


def test_lags_tell_when():
    rng = np.random.default_rng(5)
    clips = []
    for _ in range(4):
        accents = np.arange(1.0, 40.0, 1.0) + rng.uniform(-0.2, 0.2, 39)
        strokes = np.sort(accents - 0.12 + rng.normal(0, 0.03, 39))
        clips.append((strokes, accents, 41.0))
    lags = stroke_lags(clips)
    assert lags.median_s == pytest.approx(-0.12, abs=0.02)
    assert lags.iqr_s < 0.08 < 0.3 < lags.chance_iqr_s
    assert lags.share.max() > 3 * lags.chance.max()
    assert 0.8 < lags.chance.sum() <= 1  # some lie beyond half a second
    assert stroke_lags([(np.zeros(0), np.zeros(0), 10.0)]) is None


def test_recordings_are_joined_by_folder(tmp_path, speech_file):
    for name in ("b.wav", "a.wav", "c.txt", "zh/c.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(speech_file, tmp_path / name)
    groups = find_speech(tmp_path, 1.5)
    assert {name: [clip.duration_s for clip in clips] for name, clips in groups.items()} == {
        "": [2.0],
        "zh": [1.0],
    }
    with pytest.raises(InputError, match="recordings"):
        find_speech(tmp_path / "nowhere", 5.0)


def test_a_short_rest_is_not_a_clip_of_its_own():
    pieces = [AudioClip(np.full(16_000, n / 10, np.float32)) for n in range(7)]
    clips = join(pieces, 3.0)
    assert [clip.duration_s for clip in clips] == [3, 4]
    heard = np.concatenate([clip.samples for clip in clips])[::16_000]
    assert heard == pytest.approx(np.arange(7) / 10)
