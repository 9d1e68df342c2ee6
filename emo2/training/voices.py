"""Synthesised speech for the corpus: espeak-ng speaks, then rooms, microphones and levels are
varied.

Nothing here sounds like a person. It only has to have what real speech has and Stage 1 must hear:
syllables, stresses, phrases, pauses, voices high and low.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import wave

import numpy as np
from scipy.signal import fftconvolve, resample_poly

from emo2.errors import InputError
from emo2.training.sentences import ACCENTS, SENTENCES
from emo2.types import NETWORK_SAMPLE_RATE_HZ

LANGUAGES = ("en", "cmn", "de", "es", "fr", "it", "ru", "hi")
LANGUAGE_SHARES = (0.48, 0.22, 0.06, 0.06, 0.06, 0.04, 0.04, 0.04)
TIMBRES = (
    *("", "+m1", "+m2", "+m3", "+m4", "+m5", "+m7", "+f1", "+f2", "+f3", "+f4", "+f5"),
    *("+adam", "+linda", "+steph", "+belinda", "+michael", "+Alicia", "+david", "+pablo", "+anika"),
)


def speak(rng: np.random.Generator, duration_s: float) -> np.ndarray:
    """`duration_s` of one voice at 16 kHz: phrases, pauses, silence before and after. Float32, dry,
    peak below 1."""
    program = shutil.which("espeak-ng")
    if program is None:
        raise InputError(
            "espeak-ng",
            "must be installed to synthesise speech",
            "not found",
            "Try `apt-get install espeak-ng`.",
        )
    language = rng.choice(LANGUAGES, p=LANGUAGE_SHARES)
    voice = rng.choice(ACCENTS.get(language, (language,))) + rng.choice(TIMBRES)
    rate, pitch = int(np.clip(rng.normal(160, 22), 110, 220)), int(rng.uniform(15, 85))
    liveliness = rng.uniform(0.1, 0.5)
    total = int(duration_s * NETWORK_SAMPLE_RATE_HZ)
    out = np.zeros(total, dtype=np.float32)
    place = int(rng.choice([0.05, rng.uniform(0.2, 1.8)]) * NETWORK_SAMPLE_RATE_HZ)
    end = total - int(rng.choice([0.0, rng.uniform(0.5, 2.5)]) * NETWORK_SAMPLE_RATE_HZ)
    while place < end:
        text = _stress(rng, str(rng.choice(SENTENCES[language])), liveliness)
        phrase = _phrase(program, text, voice, rate, pitch) * rng.uniform(0.6, 1.0)
        phrase = phrase[: total - place]
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


def _phrase(program: str, text: str, voice: str, rate: int, pitch: int) -> np.ndarray:
    command = [program, "-m", "-v", voice, "-s", str(rate), "-p", str(pitch), "--stdout", text]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(data)) as sound:
        source_rate = sound.getframerate()
        samples = np.frombuffer(data[44:], dtype="<i2").astype(np.float32) / 32768
    divisor = np.gcd(source_rate, NETWORK_SAMPLE_RATE_HZ)
    return resample_poly(samples, NETWORK_SAMPLE_RATE_HZ // divisor, source_rate // divisor).astype(
        np.float32
    )


def _stress(rng: np.random.Generator, text: str, share: float) -> str:
    """Mark some words to be said higher, louder and slower, as speakers do."""
    words = text.split(" ")
    for index, word in enumerate(words):
        if rng.random() < share and len(word) > 3:
            lift, slow = rng.integers(10, 45), rng.integers(70, 95)
            words[index] = (
                f'<prosody pitch="+{lift}%" volume="+{lift // 6}dB" rate="{slow}%">{word}</prosody>'
            )
    return " ".join(words)


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
