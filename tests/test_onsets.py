"""Onsets and loudness of speech, as the beat strip draws them and edits snap to them."""

import numpy as np
import pytest

from emo2.features.onsets import RATE_HZ, speech_beats, speech_levels, speech_onsets
from emo2.types import AudioClip

SR = 16_000


def syllables_at(moments: np.ndarray, duration_s: float, loudness: np.ndarray) -> np.ndarray:
    """A voiced syllable of 0.2 s at each moment: 10 ms of rise, then fading."""
    time = np.arange(round(duration_s * SR)) / SR
    voice = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
    out = np.zeros_like(time)
    for moment, loud in zip(moments, loudness, strict=True):
        since = time - moment
        out += loud * np.where(since >= 0, np.clip(since / 0.01, 0, 1) * np.exp(-since / 0.07), 0)
    return (0.3 * out * voice).astype(np.float32)


@pytest.mark.parametrize("noise", [0.0, 1e-3, 5e-3])
def test_onsets_are_where_syllables_begin(noise):
    random = np.random.default_rng(4)
    moments = np.cumsum(random.uniform(0.22, 0.6, 14)) + 0.2
    samples = syllables_at(moments, moments[-1] + 0.6, np.ones(14))
    samples = samples + noise * random.standard_normal(len(samples)).astype(np.float32)
    times_s, strengths = speech_onsets(AudioClip(samples))
    assert len(times_s) == 14
    assert np.abs(times_s - moments).max() < 0.03
    assert (np.diff(times_s) > 0).all()
    assert ((strengths > 0) & (strengths <= 1)).all()


def test_louder_syllables_are_stronger():
    moments = np.arange(0.3, 6.0, 0.5)
    loudness = np.where(np.arange(len(moments)) % 3 == 0, 1.0, 0.15)
    _, strengths = speech_onsets(AudioClip(syllables_at(moments, 6.5, loudness)))
    assert len(strengths) == len(moments)
    assert strengths[::3].min() > strengths[loudness < 0.5].max()


def test_pauses_silence_and_hiss_have_no_onsets():
    random = np.random.default_rng(0)
    hiss = random.standard_normal(3 * SR).astype(np.float32)
    for samples in (np.zeros(3 * SR, np.float32), 1e-4 * hiss, 1e-2 * hiss):
        assert len(speech_onsets(AudioClip(samples))[0]) == 0
    speech = syllables_at(np.array([0.5, 1.0, 4.0]), 5.0, np.ones(3))
    times_s, _ = speech_onsets(AudioClip(speech + 1e-3 * np.resize(hiss, len(speech))))
    assert len(times_s) == 3


def test_blocks_leave_no_seam(monkeypatch):
    moments = np.arange(0.3, 12.0, 0.37)
    clip = AudioClip(syllables_at(moments, 12.5, np.ones(len(moments))))
    whole = speech_onsets(clip)
    monkeypatch.setattr("emo2.features.onsets._BLOCK_S", 1.5)
    blocks = speech_onsets(clip)
    np.testing.assert_allclose(blocks, whole, atol=1e-6)


def test_levels_follow_the_voice():
    clip = AudioClip(syllables_at(np.array([1.0]), 2.0, np.ones(1)))
    levels = speech_levels(clip)
    assert len(levels) == 2 * RATE_HZ
    assert levels.dtype == np.float32
    assert levels.max() <= 1
    assert levels[102] > 0.8
    assert levels[50] < 0.05
    beats = speech_beats(clip)
    np.testing.assert_array_equal(beats.levels, levels)
    assert beats.rate_hz == RATE_HZ
    assert len(beats.onsets_s) == len(beats.strengths) == 1


def test_the_shortest_recordings_work():
    for count in (1, 37, 800):
        clip = AudioClip(np.full(count, 0.1, np.float32))
        assert len(speech_levels(clip)) == -(-count // (SR // RATE_HZ))
        times_s, strengths = speech_onsets(clip)
        assert len(times_s) == len(strengths)
