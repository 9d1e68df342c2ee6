"""When syllables begin: the moments a gesture can meet, and the loudness between them.

An onset is a peak of the spectral flux (librosa) of the voice's bands, at 100 Hz and smoothed to
the length of a consonant, so that it lies where loudness rises into the vowel; what is found in
pauses and in noise is dropped. Each has a strength: how loud the syllable that follows is above the
pauses, and how steeply it begins.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from emo2.hands.preview.timeline import Beats
from emo2.types import AudioClip

RATE_HZ = 100
"""Points a second of the loudness."""
_WINDOW_S, _SMOOTHING_S = 0.04, 0.04
_VOICE_HZ, _NUM_BANDS = (200.0, 3000.0), 40
_BAND_RANGE_DB = 35.0
_BLOCK_S = 30.0
_RANGE_DB = 32.0
"""What is this far below the loud syllables is a pause."""
_SILENT_DBFS, _STEADY_DB = -60.0, 6.0
"""Quieter is silence; what varies less is noise."""
_LEAST_RISE_DB = 0.18
"""Mean of the bands, a point: steady hiss stays below."""
_SYLLABLE, _LEAST_GAP = 15, 10
"""Points: how far an onset's vowel is looked for, how close two onsets may be."""
_PEAKS = {"pre_max": 4, "post_max": 4, "pre_avg": 15, "post_avg": 15, "delta": 0.07}
"""librosa's peak picking, in points."""


def speech_onsets(audio: AudioClip) -> tuple[np.ndarray, np.ndarray]:
    """Onset times (n,) [s], rising, and strengths (n,) in [0, 1]. Silence has none."""
    import librosa

    level_db = _level_db(audio)
    quiet_db, loud_db = np.percentile(level_db, (5, 95))
    if loud_db < _SILENT_DBFS or loud_db - quiet_db < _STEADY_DB:
        return np.zeros(0), np.zeros(0)
    flux = _flux(audio, len(level_db))
    found = librosa.onset.onset_detect(
        onset_envelope=flux, sr=RATE_HZ, hop_length=1, units="frames", wait=_LEAST_GAP, **_PEAKS
    )
    # The syllable that an onset begins lies after it.
    ahead = maximum_filter1d(level_db, _SYLLABLE + 1, origin=-(_SYLLABLE // 2))
    floor_db = max(np.percentile(level_db, 98) - _RANGE_DB, _SILENT_DBFS)
    found = found[(ahead[found] > floor_db + 6) & (flux[found] > _LEAST_RISE_DB)]
    if not len(found):
        return np.zeros(0), np.zeros(0)
    loud = np.clip((ahead[found] - floor_db) / _RANGE_DB, 0, 1)
    steep = np.clip(flux[found] / np.percentile(flux[found], 90), 0, 1)
    return (found + 0.5) / RATE_HZ, loud * (0.3 + 0.7 * steep)


def speech_levels(audio: AudioClip) -> np.ndarray:
    """(N,) float32 in [0, 1] at `RATE_HZ`: loudness between the recording's pauses and its loud
    syllables."""
    level_db = _level_db(audio)
    top_db = max(float(np.percentile(level_db, 99.5)), _SILENT_DBFS)
    amplitude = 10 ** ((np.maximum(level_db, top_db - 60) - top_db) / 20)
    return (np.clip(amplitude, 0, 1) ** 0.7).astype(np.float32)


def speech_beats(audio: AudioClip) -> Beats:
    """All that a preview draws of a recording."""
    times_s, strengths = speech_onsets(audio)
    return Beats(speech_levels(audio), RATE_HZ, times_s, strengths)


def _level_db(audio: AudioClip) -> np.ndarray:
    """Decibels re full scale of each hundredth of a second (N,), at least one."""
    hop = round(audio.sample_rate_hz / RATE_HZ)
    samples = np.pad(audio.samples, (0, -len(audio.samples) % hop))
    power = np.square(samples, dtype=np.float64).reshape(-1, hop).mean(axis=1)
    return 10 * np.log10(power + 1e-12)


def _flux(audio: AudioClip, points: int) -> np.ndarray:
    """(points,) how much louder the bands of the voice become from one point to the next.

    Spectra are made in blocks: only the bands of a long recording are held whole.
    """
    import librosa

    rate = audio.sample_rate_hz
    hop, window = round(rate / RATE_HZ), round(_WINDOW_S * rate)
    block = round(_BLOCK_S * RATE_HZ)
    # Window k is centred on the middle of hundredth k - 1: the first has something to rise from.
    padded = np.pad(audio.samples, (window // 2 + hop // 2, window + hop * (block + 1)))
    bands = [
        librosa.feature.melspectrogram(
            y=padded[first * hop : (first + block - 1) * hop + window],
            sr=rate,
            n_fft=window,
            hop_length=hop,
            n_mels=_NUM_BANDS,
            fmin=_VOICE_HZ[0],
            fmax=_VOICE_HZ[1],
            center=False,
        )
        for first in range(0, points + 1, block)
    ]
    power = np.concatenate(bands, axis=1)[:, : points + 1]
    loud = 10 * np.log10(np.maximum(power, power.max() * 10 ** (-_BAND_RANGE_DB / 10)) + 1e-12)
    rise = np.diff(gaussian_filter1d(loud, _SMOOTHING_S * RATE_HZ, axis=1), axis=1)
    return np.maximum(rise, 0).mean(axis=0)
