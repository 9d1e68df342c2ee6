"""Where a speaker stresses, pauses and breathes: accents with a strength, and phrases, from the
sound alone.

Used by the teacher that gestures for the corpus. The product never runs it: Stage 1 has to hear by
itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d
from scipy.signal import butter, find_peaks, sosfiltfilt

from emo2.types import NETWORK_SAMPLE_RATE_HZ

HOP = 160
RATE_HZ = NETWORK_SAMPLE_RATE_HZ / HOP
REFRACTORY_S = 0.24
PAUSE_S = 0.35


@dataclass(frozen=True)
class Prosody:
    """What the teacher hears."""

    times_s: np.ndarray
    """(n,) moments of stressed syllables: where loudness rises into the vowel."""
    salience: np.ndarray
    """(n,) 0..1: how far a syllable stands out from its neighbours in loudness, pitch and
    length."""
    effort: np.ndarray
    """(n,) 0.6..1.9: how loud the second around a syllable is beside the rest of the clip."""
    phrases_s: np.ndarray
    """(m, 2) start and end of stretches without a pause."""

    def curves(self, num_frames: int, fps: float) -> np.ndarray:
        """(T, 2) in [0, 1]: a bump of 60 ms for each accent, as high as it is salient; 1 within a
        phrase."""
        times = np.arange(num_frames) / fps
        bumps = np.exp(-0.5 * ((times[:, None] - self.times_s) / 0.06) ** 2) * self.salience
        starts, ends = self.phrases_s.T
        inside = (times[:, None] >= starts) & (times[:, None] <= ends)
        return np.stack([bumps.max(axis=1, initial=0.0), inside.any(axis=1)], axis=1)


def analyse(samples: np.ndarray) -> Prosody:
    """Prosody of 16 kHz speech (N,). Silence has no accents and no phrases."""
    loudness = _loudness(samples)
    floor = max(np.percentile(loudness, 98) - 35.0, -60.0)
    speaking = loudness > floor
    phrases = _stretches(speaking)
    if not len(phrases):
        return Prosody(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros((0, 2)))
    smooth = gaussian_filter1d(loudness, 0.035 * RATE_HZ)
    peaks, facts = find_peaks(smooth, height=floor + 6, prominence=2.0)
    if not len(peaks):
        return Prosody(np.zeros(0), np.zeros(0), np.zeros(0), phrases)
    pitch = _pitch(samples, len(loudness))
    around = uniform_filter1d(np.maximum(smooth, floor), int(1.2 * RATE_HZ))
    length = _widths(smooth, peaks)
    louder = smooth[peaks] - around[peaks]
    higher = _pitch_rise(pitch, peaks)
    raw = _z(louder) + 0.7 * _z(higher) + 0.4 * _z(length)
    raw += 0.6 * _z(np.minimum(facts["prominences"], 20))
    salience = 1 / (1 + np.exp(-1.2 * raw))
    # The beat of a syllable is heard where loudness rises into the vowel, not at its maximum.
    rise = np.gradient(smooth)
    back = int(0.12 * RATE_HZ)
    onsets = np.array([p - back + np.argmax(rise[max(p - back, 0) : p + 1]) for p in peaks])
    times = np.maximum((0.5 * onsets + 0.5 * peaks) / RATE_HZ, 0.0)
    chosen: list[int] = []
    for index in np.argsort(-salience):
        if all(abs(times[index] - times[other]) >= REFRACTORY_S for other in chosen):
            chosen.append(int(index))
    order = np.sort(chosen)
    effort = _effort(np.maximum(smooth, floor)[peaks], peaks)
    return Prosody(times[order], salience[order], effort[order], phrases)


def _loudness(samples: np.ndarray) -> np.ndarray:
    """Decibels re full scale of the band 150 - 4000 Hz, every `HOP` samples."""
    band = butter(2, [150, 4000], "bandpass", fs=NETWORK_SAMPLE_RATE_HZ, output="sos")
    samples = sosfiltfilt(band, np.pad(samples.astype(np.float64), (0, HOP)))
    power = gaussian_filter1d(samples**2, 0.012 * NETWORK_SAMPLE_RATE_HZ)[::HOP]
    return 10 * np.log10(power + 1e-9)


def _pitch(samples: np.ndarray, count: int) -> np.ndarray:
    """Semitones re 100 Hz (count,), NaN where unvoiced: the peak of the autocorrelation of 40
    ms."""
    size = 640
    padded = np.pad(samples.astype(np.float64), (size // 2, size + HOP))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::HOP][:count]
    frames = (frames - frames.mean(axis=1, keepdims=True)) * np.hanning(size)
    spectrum = np.abs(np.fft.rfft(frames, 2 * size, axis=1)) ** 2
    correlation = np.fft.irfft(spectrum, axis=1)[:, :size]
    correlation /= correlation[:, :1] + 1e-9
    window = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(size), 2 * size)) ** 2)[:size]
    low, high = NETWORK_SAMPLE_RATE_HZ // 420, NETWORK_SAMPLE_RATE_HZ // 65
    correlation = correlation[:, low:high] / (window[low:high] / window[0])
    lag = correlation.argmax(axis=1) + low
    voiced = correlation.max(axis=1) > 0.5
    semitones = 12 * np.log2(NETWORK_SAMPLE_RATE_HZ / lag / 100)
    return np.where(voiced, semitones, np.nan)


def _pitch_rise(pitch: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Semitones by which each peak's pitch exceeds the median of the 1.6 s around it."""
    rises = np.zeros(len(peaks))
    near, far = int(0.04 * RATE_HZ), int(0.8 * RATE_HZ)
    for index, peak in enumerate(peaks):
        here = pitch[max(peak - near, 0) : peak + near + 1]
        around = pitch[max(peak - far, 0) : peak + far + 1]
        if np.isfinite(here).any():
            rises[index] = np.clip(np.nanmedian(here) - np.nanmedian(around), -7, 7)
    return rises


def _widths(smooth: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Seconds for which loudness stays within 4 dB of each peak, at most 0.4."""
    reach = int(0.2 * RATE_HZ)
    return np.array(
        [(smooth[max(p - reach, 0) : p + reach] > smooth[p] - 4).sum() / RATE_HZ for p in peaks]
    )


def _stretches(speaking: np.ndarray) -> np.ndarray:
    """(m, 2) seconds: speech joined over gaps shorter than `PAUSE_S`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], speaking.astype(np.int8), [0]])))
    stretches = edges.reshape(-1, 2) / RATE_HZ
    joined: list[list[float]] = []
    for start, end in stretches:
        if joined and start - joined[-1][1] < PAUSE_S:
            joined[-1][1] = end
        else:
            joined.append([start, end])
    long_enough = [stretch for stretch in joined if stretch[1] - stretch[0] > 0.08]
    return np.array(long_enough, dtype=np.float64).reshape(-1, 2)


def _effort(level_db: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Loudness of the syllables within half a second of each, over the clip's middle one; 8 dB are
    a factor of 1.7."""
    near = np.abs(peaks[:, None] - peaks[None]) <= 0.5 * RATE_HZ
    around = (near * level_db).sum(axis=1) / near.sum(axis=1)
    return np.clip(10 ** ((around - np.median(level_db)) * 0.0295), 0.6, 1.9)


def _z(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / (values.std() + 1e-6)
