"""Speech for the corpus: somebody speaks in phrases and pauses, then rooms, microphones and levels
are varied.

It need not sound well. It only has to have what real speech has and Stage 1 must hear: syllables,
stresses, phrases, pauses, voices high and low.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve, resample_poly

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
    raised_share = float(rng.choice([0.0, 0.35], p=[0.75, 0.25]))
    while place < end:
        phrase = say() * rng.uniform(0.6, 1.0)
        if rng.random() < raised_share:
            phrase = _raise(rng, phrase)
        phrase = phrase[: total - place]
        out[place : place + len(phrase)] += phrase
        pause_s = rng.choice([rng.uniform(0.05, 0.4), rng.uniform(0.4, 1.0), rng.uniform(1.0, 2.5)])
        place += len(phrase) + int(pause_s * NETWORK_SAMPLE_RATE_HZ)
    return _waver(rng, out)


def sing(rng: np.random.Generator, duration_s: float) -> np.ndarray:
    """`duration_s` of sung vowels at 16 kHz: a melody in phrases, with breaths. Float32, dry, peak
    below 1.

    A buzz of harmonics with vibrato through three formants: not a singer, but long notes with soft
    and hard beginnings, which no speaking voice has.
    """
    rate = NETWORK_SAMPLE_RATE_HZ
    total = int(duration_s * rate)
    out = np.zeros(total, dtype=np.float32)
    scale = np.array([0, 2, 4, 5, 7, 9, 11, 12])
    degree, root_hz = int(rng.integers(8)), rng.uniform(95, 330)
    beat_s = rng.uniform(0.28, 0.6)
    place = int(rng.uniform(0.05, 1.0) * rate)
    while place < total:
        for _ in range(int(rng.integers(3, 9))):
            degree = int(np.clip(degree + rng.integers(-2, 3), 0, 7))
            length_s = beat_s * float(rng.choice([1, 1, 2, 3]))
            note = _note(rng, root_hz * 2 ** (scale[degree] / 12), length_s)[: total - place]
            out[place : place + len(note)] += note
            place = min(place + int(length_s * rate), total)
        place += int(rng.uniform(0.3, 1.6) * rate)
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


def _raise(rng: np.random.Generator, phrase: np.ndarray) -> np.ndarray:
    """The phrase in a raised voice: louder, brighter, higher."""
    percent = int(rng.integers(88, 98))
    phrase = resample_poly(phrase, percent, 100)
    spectrum = np.fft.rfft(phrase)
    hertz = np.maximum(np.fft.rfftfreq(len(phrase), 1 / NETWORK_SAMPLE_RATE_HZ), 100)
    gain_db = rng.uniform(6, 14) + rng.uniform(1, 3) * np.log2(hertz / 500).clip(-1, 3)
    return np.fft.irfft(spectrum * 10 ** (gain_db / 20), len(phrase)).astype(np.float32)


def _note(rng: np.random.Generator, pitch_hz: float, length_s: float) -> np.ndarray:
    """One sung vowel, (n,) float32 of peak about 0.5."""
    rate = NETWORK_SAMPLE_RATE_HZ
    seconds = np.arange(int(length_s * rate)) / rate
    vibrato = 1 + 0.008 * np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * seconds)
    phase = 2 * np.pi * pitch_hz * np.cumsum(vibrato) / rate
    formants = np.array([(300, 870, 2240), (700, 1220, 2600), (500, 1500, 2500), (390, 2300, 3000)])
    formants = formants[rng.integers(4)] * rng.uniform(0.9, 1.15)
    orders = np.arange(1, max(2, int(5000 / pitch_hz)))
    places = (orders * pitch_hz)[:, None]
    gains = (1 / (1 + ((places - formants) / (60 + 0.06 * formants)) ** 2)).sum(
        axis=1
    ) / orders**0.6
    note = (gains[:, None] * np.sin(orders[:, None] * phase)).sum(axis=0)
    rise_s, fall_s = rng.uniform(0.02, 0.12), rng.uniform(0.05, 0.2)
    envelope = np.clip(seconds / rise_s, 0, 1) * np.clip((length_s - seconds) / fall_s, 0, 1)
    return (note * envelope / (np.abs(note).max() + 1e-9) * rng.uniform(0.25, 0.6)).astype(
        np.float32
    )


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
