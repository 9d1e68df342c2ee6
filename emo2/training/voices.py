"""Speech for the corpus: somebody speaks in phrases and pauses, then rooms, microphones and levels
are varied.

It need not sound well. It only has to have what real speech has and Stage 1 must hear: syllables,
stresses, phrases, pauses, voices high and low.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve

from emo2.training.synthesisers import Recordings, choose_speaker
from emo2.types import NETWORK_SAMPLE_RATE_HZ


def speak(
    rng: np.random.Generator, duration_s: float, recordings: Recordings | None = None
) -> np.ndarray:
    """`duration_s` of one voice at 16 kHz: phrases, pauses, silence before and after. Float32, dry,
    peak below 1. Raises `InputError` where espeak-ng is missing."""
    say = choose_speaker(rng, recordings)
    total = int(duration_s * NETWORK_SAMPLE_RATE_HZ)
    out = np.zeros(total, dtype=np.float32)
    place = int(rng.choice([0.05, rng.uniform(0.2, 1.8)]) * NETWORK_SAMPLE_RATE_HZ)
    end = total - int(rng.choice([0.0, rng.uniform(0.5, 2.5)]) * NETWORK_SAMPLE_RATE_HZ)
    while place < end:
        phrase = (say() * rng.uniform(0.6, 1.0))[: total - place]
        out[place : place + len(phrase)] += phrase
        pause_s = rng.choice([rng.uniform(0.05, 0.4), rng.uniform(0.4, 1.0), rng.uniform(1.0, 2.5)])
        place += len(phrase) + int(pause_s * NETWORK_SAMPLE_RATE_HZ)
    return _waver(rng, out)


def record(rng: np.random.Generator, speech: np.ndarray) -> np.ndarray:
    """Dry speech as some microphone in some room would give it, at some level; peak <= 1."""
    sound = _equalise(rng, speech)
    if rng.random() < 0.5:
        sound = _reverberate(rng, sound)
    level = np.sqrt(np.mean(sound**2)) + 1e-6
    noise = _equalise(rng, rng.normal(size=len(sound)).astype(np.float32))
    snr_db = rng.uniform(18, 60)
    sound = sound + noise / (noise.std() + 1e-9) * level * 10 ** (-snr_db / 20)
    loudest = np.abs(sound).max() + 1e-6
    peak = 10 ** (-rng.uniform(0, 20) / 20)
    if rng.random() < 0.15:  # an overdriven recording
        return np.tanh(sound / loudest * 2.5).astype(np.float32) * peak
    return (sound / loudest * peak).astype(np.float32)


def _waver(rng: np.random.Generator, speech: np.ndarray) -> np.ndarray:
    """Loudness that wanders by some decibels within a sentence, which espeak's does not."""
    knots = np.arange(0, len(speech) + 4800, 4800)
    gain_db = np.interp(np.arange(len(speech)), knots, rng.normal(0, 2.5, len(knots)))
    speech = speech * 10 ** (gain_db / 20).astype(np.float32)
    return speech / max(1.0, np.abs(speech).max() / 0.98)


def _equalise(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    spectrum = np.fft.rfft(sound)
    octaves = np.log2(
        np.maximum(np.fft.rfftfreq(len(sound), 1 / NETWORK_SAMPLE_RATE_HZ), 20) / 1000
    )
    gain_db = rng.normal(0, 1.5) * octaves
    for _ in range(2):
        gain_db += rng.normal(0, 4) * np.exp(-0.5 * ((octaves - rng.uniform(-3.3, 2.8)) / 0.7) ** 2)
    if rng.random() < 0.2:  # a telephone
        gain_db += np.where((octaves < -1.7) | (octaves > 1.75), -30, 0)
    return np.fft.irfft(spectrum * 10 ** (gain_db / 20), len(sound)).astype(np.float32)


def _reverberate(rng: np.random.Generator, sound: np.ndarray) -> np.ndarray:
    decay_s = rng.uniform(0.08, 0.5)
    time = np.arange(int(decay_s * NETWORK_SAMPLE_RATE_HZ)) / NETWORK_SAMPLE_RATE_HZ
    room = rng.normal(size=len(time)) * 10 ** (-3 * time / decay_s)
    room *= rng.uniform(0.1, 0.6) / np.linalg.norm(room)
    room[0] = 1.0
    return fftconvolve(sound, room)[: len(sound)].astype(np.float32)
