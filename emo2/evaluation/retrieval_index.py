"""What a retrieval system hears of a corpus, and the search in it.

Per frame four numbers: loudness between pause and loud syllable, how strong a syllable begins,
pitch against the speaker's own, and whether somebody speaks nearby. They are all relative to the
recording, so voices and microphones drop out. The curves of a whole corpus are a few megabytes and
are kept in one file beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter
from tqdm import tqdm

from emo2.features.onsets import RATE_HZ, speech_levels, speech_onsets
from emo2.training.corpus_folder import Corpus
from emo2.types import AudioClip

FPS = 24.0
CURVES = ("loudness", "onsets", "pitch", "speech")
WEIGHTS = np.array([1.0, 1.5, 0.5, 1.0], dtype=np.float32)
"""How much each curve counts: gestures follow onsets and their strength most."""
VERSION = 1
"""Counts up when the curves change, so that an older file is not believed."""
ONSET_WIDTH_S = 0.05
CONTEXT_FRAMES = 8
"""How much of the surroundings of a segment must be alike, too, each side."""
PITCH_RANGE_HZ = (65.0, 420.0)


def prosodic_curves(audio: AudioClip, frames: int) -> np.ndarray:
    """(frames, 4) float32, each curve about 0..1 (pitch about -1..1), times its weight. Silence and
    steady noise are all zeros."""
    curves = np.zeros((frames, len(CURVES)), dtype=np.float32)
    onsets_s, strengths = speech_onsets(audio)
    if len(onsets_s):
        times = (np.arange(frames) + 0.5) / FPS
        loudness = gaussian_filter1d(speech_levels(audio), RATE_HZ / FPS / 2)
        points = (np.arange(len(loudness)) + 0.5) / RATE_HZ
        curves[:, 0] = np.interp(times, points, loudness)
        bumps = np.exp(-0.5 * ((times[:, None] - onsets_s) / ONSET_WIDTH_S) ** 2)
        curves[:, 1] = (bumps * strengths).max(axis=1)
        curves[:, 2] = _pitch(audio, frames) * np.clip(4 * curves[:, 0], 0, 1)
        curves[:, 3] = gaussian_filter1d(np.clip(4 * curves[:, 0], 0, 1), 0.3 * FPS)
    return curves * WEIGHTS


@dataclass(frozen=True)
class Index:
    """The curves of a corpus's sounds."""

    curves: np.ndarray
    """(N, T, 4) float32."""

    @classmethod
    def of(cls, corpus: Corpus, file: Path) -> Index:
        """Read the index out of `file`, or listen to the corpus and write it."""
        stamp = _stamp(corpus)
        if file.is_file():
            with np.load(file) as kept:
                if str(kept["stamp"]) == stamp:
                    return cls(kept["curves"].astype(np.float32))
        frames = corpus.channels.shape[2]
        clips = (AudioClip(np.asarray(samples) / np.float32(32768)) for samples in corpus.audio)
        bar = tqdm(clips, total=len(corpus.audio), unit="clip", desc="index", mininterval=5)
        curves = np.stack([prosodic_curves(clip, frames) for clip in bar])
        partial = file.with_name(f"{file.stem}.{os.getpid()}.npz")
        np.savez_compressed(partial, curves=curves.astype(np.float16), stamp=stamp)
        partial.replace(file)
        return cls(curves.astype(np.float16).astype(np.float32))

    def nearest(
        self, query: np.ndarray, starts: np.ndarray, segment: int, fade: int, k: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The k most similar stretches for each segment of a query (T, 4) that begins at `starts`.

        Of each clip only the best stretch stands: its neighbours would say the same. Returns clips
        (Q, k), first frames (Q, k) and costs (Q, k): mean squared differences over their spread in
        the corpus, rising.
        """
        length = segment + fade + 2 * CONTEXT_FRAMES
        k = min(k, len(self.curves))
        padded = np.pad(query, ((CONTEXT_FRAMES, length), (0, 0)))
        wanted = np.stack([padded[start : start + length] for start in starts])
        wanted = wanted.reshape(len(starts), -1)  # (Q, length * 4)
        places = np.empty((len(wanted), len(self.curves)), dtype=np.int64)
        costs = np.empty((len(wanted), len(self.curves)), dtype=np.float32)
        for number, clip in enumerate(self.curves):
            # The surroundings of a clip's first and last stretches are silence.
            around = np.pad(clip, ((CONTEXT_FRAMES, CONTEXT_FRAMES), (0, 0)))
            views = np.lib.stride_tricks.sliding_window_view(around, length, axis=0)
            there = np.moveaxis(views, -1, 1).reshape(len(views), -1)
            apart = (there**2).sum(axis=1)[:, None] - 2 * there @ wanted.T  # (starts, Q)
            places[:, number] = apart.argmin(axis=0)
            costs[:, number] = apart.min(axis=0)
        costs = (costs + (wanted**2).sum(axis=1)[:, None]) / self._spread(length)
        order = np.argsort(costs, axis=1, kind="stable")[:, :k]
        return (
            order,
            np.take_along_axis(places, order, axis=1),
            np.take_along_axis(costs, order, axis=1),
        )

    def _spread(self, length: int) -> float:
        return float(length * self.curves.var(axis=(0, 1)).sum()) + 1e-9


def _pitch(audio: AudioClip, frames: int) -> np.ndarray:
    """Octaves above the recording's median, without slips of an octave, -1..1 (frames,)."""
    import librosa

    hop = audio.sample_rate_hz / FPS
    low, high = PITCH_RANGE_HZ
    step = 320
    hertz = librosa.yin(
        np.asarray(audio.samples),
        fmin=low,
        fmax=high,
        sr=audio.sample_rate_hz,
        frame_length=1024,
        hop_length=step,
    )
    octaves = median_filter(np.log2(hertz), 7)
    octaves = np.clip(octaves - np.median(octaves), -1, 1)
    centres = (np.arange(frames) + 0.5) * hop / step
    return np.interp(centres, np.arange(len(octaves)), octaves)


def _stamp(corpus: Corpus) -> str:
    about = json.dumps([VERSION, corpus.audio.shape, corpus.facts], sort_keys=True)
    return hashlib.sha256(about.encode()).hexdigest()
