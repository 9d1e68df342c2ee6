"""What a mouth and a head need to know about speech: loudness, lip shape, closures, accents.

In: an `AudioClip`. Out: `SpeechCurves` at 100 Hz, each in [0, 1] or [-1, 1], normalised by the
clip's own level and noise floor, so that a whisper and a shout both speak. The recording is read in
blocks: memory grows with the number of points (100 a second), never with the spectrogram.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from emo2.types import AudioClip

RATE_HZ = 100
"""Points a second of every curve here: fine enough for a plosive's 50 ms closure."""
_BLOCK = 512
_SPEECH_HZ = (150.0, 4000.0)
_BANDS_HZ = {
    "speech": _SPEECH_HZ,
    "closed": (150.0, 450.0),  # first formant of i, u and of nasals
    "open": (500.0, 1100.0),  # first formant of a
    "back": (600.0, 1300.0),  # second formant of u, o
    "front": (1700.0, 3200.0),  # second formant of i, e
    "articulated": (600.0, 7500.0),  # everything that closed lips swallow
    "burst": (2500.0, 7500.0),  # what a tongue's release (t, k, s) has and the lips' has not
}
_SILENT_DBFS = -66.0
_STEADY_NOISE_DB = 6.0
_LEVEL_WINDOW_S = 8.0


@dataclass(frozen=True)
class SpeechCurves:
    """(N,) float32 curves at `RATE_HZ`; point i lies at (i + 0.5) / RATE_HZ seconds."""

    loudness: np.ndarray
    """[0, 1.2]: 0 in pauses, about 1 on stressed vowels."""
    openness: np.ndarray
    """[-1, 1]: closed vowels (i, u) to open ones (a), from the first formant's band."""
    spread: np.ndarray
    """[-1, 1]: rounded (u, o) to spread lips (i, e), from the second formant's band."""
    closure: np.ndarray
    """[0, 1]: the lips shut for a moment (p, b, m) between two loud stretches."""
    accent: np.ndarray
    """[0, 1]: loudness and pitch rise above their neighbourhood."""

    @property
    def times_s(self) -> np.ndarray:
        """(N,) float64 seconds."""
        return (np.arange(len(self.loudness)) + 0.5) / RATE_HZ


def analyse_speech(audio: AudioClip) -> SpeechCurves:
    """The curves of a whole recording, at least one point; silence and steady hiss give zeros."""
    power = _band_powers(audio)
    level_db = 10 * np.log10(power["speech"] + 1e-12)
    smooth = {name: gaussian_filter1d(band, 2.0) for name, band in power.items()}
    loudness = _loudness(smooth["speech"], level_db)
    voiced = np.clip(loudness * 3, 0, 1)
    openness = _standardised(_log_ratio(smooth["open"], smooth["closed"]), voiced)
    spread = _standardised(_log_ratio(smooth["front"], smooth["back"]), voiced)
    curves = {
        "loudness": loudness,
        "openness": openness * voiced,
        "spread": gaussian_filter1d(spread * voiced, 4.0),
        "closure": _closures(power["articulated"], power["burst"], loudness),
        "accent": _accents(loudness, _pitch_octaves(audio, len(loudness)), voiced),
    }
    return SpeechCurves(**{name: curve.astype(np.float32) for name, curve in curves.items()})


def _windows(audio: AudioClip, window_s: float, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """All windows of the padded recording, and which of them sit on the curves' points."""
    window = round(window_s * audio.sample_rate_hz)
    points = max(1, round(audio.duration_s * rate_hz))
    hop = audio.sample_rate_hz / rate_hz
    padded = np.pad(audio.samples, (window // 2, window + round(hop)))
    starts = np.round((np.arange(points) + 0.5) * hop).astype(np.int64)
    return np.lib.stride_tricks.sliding_window_view(padded, window), starts


def _band_powers(audio: AudioClip) -> dict[str, np.ndarray]:
    """Mean power of every band at every point, (N,) float64."""
    edges = list(_BANDS_HZ.values())

    def select(frequencies: np.ndarray) -> np.ndarray:
        return np.stack([(frequencies >= lo) & (frequencies < hi) for lo, hi in edges], axis=1)

    return dict(zip(_BANDS_HZ, weighted_power(audio, 0.032, select).T, strict=True))


def weighted_power(
    audio: AudioClip, window_s: float, weigh: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """(N, bands) float64: at every point the mean power in bands; `weigh` takes frequencies (F,)
    [Hz] to the bands' weights (F, bands)."""
    view, starts = _windows(audio, window_s, RATE_HZ)
    taper = np.hanning(view.shape[1])
    weights = weigh(np.fft.rfftfreq(view.shape[1], 1 / audio.sample_rate_hz)).astype(float)
    blocks = [
        np.abs(np.fft.rfft(view[starts[i : i + _BLOCK]] * taper)) ** 2 @ weights
        for i in range(0, len(starts), _BLOCK)
    ]
    return np.concatenate(blocks) * 2 / (len(taper) * np.sum(taper**2))


def _loudness(power: np.ndarray, level_db: np.ndarray) -> np.ndarray:
    """RMS ** 0.7 between the adaptive noise gate (0) and the running speech level (1)."""
    peak_db = np.percentile(level_db, 99.5)
    active = level_db > peak_db - 30
    speech_db, floor_db = np.percentile(level_db[active], 85), np.percentile(level_db, 10)
    steady = speech_db - floor_db < _STEADY_NOISE_DB and speech_db < -35
    if speech_db < _SILENT_DBFS or steady:
        return np.zeros(len(power))
    gate_db = np.clip(floor_db + 6, speech_db - 30, speech_db - 16)
    loud_db = np.maximum(_running_level(level_db, active, speech_db), speech_db - 8)
    gate, loud, now = (
        10 ** (0.7 * db / 20) for db in (gate_db, loud_db, 10 * np.log10(power + 1e-12))
    )
    fade_in = np.clip((speech_db - _SILENT_DBFS) / 8, 0, 1)
    return np.clip((now - gate) / (loud - gate), 0, 1.2) * fade_in


def _running_level(level_db: np.ndarray, active: np.ndarray, speech_db: float) -> np.ndarray:
    """The speech level of the surrounding seconds: a speaker who moves away keeps speaking."""
    window = int(_LEVEL_WINDOW_S * RATE_HZ)
    centres = np.arange(0, len(level_db) + window // 2, window // 2)
    levels = []
    for centre in centres:
        near = slice(max(0, centre - window // 2), centre + window // 2)
        loud = level_db[near][active[near]]
        levels.append(np.percentile(loud, 85) if len(loud) > RATE_HZ // 2 else speech_db)
    return np.interp(np.arange(len(level_db)), centres, levels)


def _log_ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.log10((above + 1e-12) / (below + 1e-12))


def _standardised(curve: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """`curve` about its weighted mean in weighted deviations, squashed to [-1, 1]."""
    total = weight.sum() + 1e-6
    mean = np.sum(curve * weight) / total
    deviation = np.sqrt(np.sum(weight * (curve - mean) ** 2) / total)
    return np.tanh((curve - mean) / max(1.5 * deviation, 0.15))


def _closures(articulated: np.ndarray, burst: np.ndarray, loudness: np.ndarray) -> np.ndarray:
    """Short, deep dips of the band that closed lips swallow, between speech on both sides.

    A dip that ends in a burst sharper than the vowel after it was the tongue's (t, k): it counts
    less.
    """
    rms = np.sqrt(gaussian_filter1d(articulated, 1.0))
    reach = round(0.13 * RATE_HZ)
    depth = 1 - rms / (_both_sides(rms, reach) + 1e-9)
    spoken = _both_sides(loudness, reach)
    sharp = np.sqrt(gaussian_filter1d(burst, 1.0))
    release = maximum_filter1d(sharp, round(0.08 * RATE_HZ), origin=-round(0.03 * RATE_HZ))
    ahead = round(0.11 * RATE_HZ)
    vowel = np.pad(gaussian_filter1d(sharp, 3.0), (0, ahead), mode="edge")[ahead:]
    tongue = np.clip(release / (vowel + 1e-9) - 1.5, 0, 1)
    lips = np.clip((depth - 0.6) / 0.2, 0, 1) * np.clip((spoken - 0.1) / 0.2, 0, 1)
    return lips * (1 - 0.7 * tongue)


def _both_sides(curve: np.ndarray, reach: int) -> np.ndarray:
    """The lower one of the maxima within `reach` points before and after."""
    before = maximum_filter1d(curve, reach, origin=(reach - 1) // 2, mode="constant")
    after = maximum_filter1d(curve, reach, origin=-(reach // 2), mode="constant")
    return np.minimum(before, after)


def _pitch_octaves(audio: AudioClip, points: int) -> np.ndarray:
    """(points,) log2 pitch about the speaker's median, 0 where unvoiced, by autocorrelation."""
    view, starts = _windows(audio, 0.064, 25)
    window, rate = view.shape[1], audio.sample_rate_hz
    taper = np.hanning(window)
    lags = np.arange(int(rate / 400), min(int(rate / 70), window // 2))
    shape = np.fft.irfft(np.abs(np.fft.rfft(taper, 2 * window)) ** 2)[lags]
    pitch, strength = [], []
    for i in range(0, len(starts), _BLOCK):
        power = np.abs(np.fft.rfft(view[starts[i : i + _BLOCK]] * taper, 2 * window)) ** 2
        correlation = np.fft.irfft(power)
        ratio = correlation[:, lags] / shape / (correlation[:, :1] / np.sum(taper**2) + 1e-9)
        best = ratio.argmax(1)
        pitch.append(np.log2(rate / lags[best]))
        strength.append(ratio[np.arange(len(best)), best])
    pitch, voiced = np.concatenate(pitch), np.concatenate(strength) > 0.6
    if voiced.sum() < 3:
        return np.zeros(points)
    octaves = np.where(voiced, np.clip(pitch - np.median(pitch[voiced]), -0.7, 0.7), 0)
    return np.interp(
        (np.arange(points) + 0.5) / RATE_HZ, (np.arange(len(octaves)) + 0.5) / 25, octaves
    )


def _accents(loudness: np.ndarray, octaves: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """How far syllables stand out in loudness and pitch, half and half."""
    stands_out = gaussian_filter1d(loudness, 8.0) - gaussian_filter1d(loudness, 60.0)
    rises = gaussian_filter1d(octaves * voiced, 8.0) - gaussian_filter1d(octaves * voiced, 60.0)
    return np.clip(1.3 * stands_out + 1.2 * rises, 0, 1)
