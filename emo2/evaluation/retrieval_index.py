"""What a retrieval system hears of a corpus, and the search in it.

Per frame three numbers: loudness between pause and loud syllable, how strong a syllable begins, and
whether somebody speaks nearby. They are all relative to the recording, so voices and microphones
drop out. The curves of a whole corpus are a few megabytes and are kept in one file beside it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d
from tqdm import tqdm

from emo2.errors import InputError
from emo2.features.onsets import RATE_HZ, speech_levels, speech_onsets
from emo2.training.corpus_folder import Corpus
from emo2.types import AudioClip

FPS = 24.0
WEIGHTS = np.array([0.5, 1.5, 0.5], dtype=np.float32)
"""How much loudness, onsets and speech count: gestures follow onsets and their strength most."""
VERSION = 2
"""Counts up when the curves change, so that an older file is not believed."""
ONSET_WIDTH_S = 0.05
CONTEXT_FRAMES = 8
"""How much of the surroundings of a segment must be alike, too, each side."""


def prosodic_curves(audio: AudioClip, frames: int) -> np.ndarray:
    """(frames, 3) float32, each curve within 0..1 times its weight; silence and steady noise are
    all zeros."""
    curves = np.zeros((frames, len(WEIGHTS)), dtype=np.float32)
    onsets_s, strengths = speech_onsets(audio)
    if len(onsets_s):
        times = (np.arange(frames) + 0.5) / FPS
        loudness = gaussian_filter1d(speech_levels(audio), RATE_HZ / FPS / 2)
        points = (np.arange(len(loudness)) + 0.5) / RATE_HZ
        curves[:, 0] = np.interp(times, points, loudness)
        bumps = np.exp(-0.5 * ((times[:, None] - onsets_s) / ONSET_WIDTH_S) ** 2)
        curves[:, 1] = (bumps * strengths).max(axis=1)
        curves[:, 2] = gaussian_filter1d(np.clip(4 * curves[:, 0], 0, 1), 0.3 * FPS)
    return curves * WEIGHTS


@dataclass(frozen=True)
class Index:
    """The curves of a corpus's sounds."""

    curves: np.ndarray
    """(N, T, 3) float32."""
    length: np.ndarray
    """(N,) frames of each clip; what follows them is filling."""

    @classmethod
    def of(cls, corpus: Corpus, file: Path) -> Index:
        """Read the index out of `file`, or listen to the corpus and write it."""
        stamp = _stamp(corpus)
        if file.is_file():
            with np.load(file) as kept:
                if str(kept["stamp"]) == stamp:
                    return cls(kept["curves"].astype(np.float32), np.asarray(corpus.length))
        frames = corpus.channels.shape[2]
        clips = (AudioClip(np.asarray(samples) / np.float32(32768)) for samples in corpus.audio)
        bar = tqdm(clips, total=len(corpus.audio), unit="clip", desc="index", mininterval=5)
        curves = np.stack([prosodic_curves(clip, frames) for clip in bar])
        partial = file.with_name(f"{file.stem}.{os.getpid()}.npz")
        np.savez_compressed(partial, curves=curves.astype(np.float16), stamp=stamp)
        partial.replace(file)
        return cls(curves.astype(np.float16).astype(np.float32), np.asarray(corpus.length))

    def nearest(
        self,
        query: np.ndarray,
        starts: np.ndarray,
        segment: int,
        fade: int,
        k: int,
        clips: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The k most similar stretches of `clips` (n,) for each segment of a query (T, 3) that
        begins at `starts` (Q,).

        Of each clip only the best stretch stands: its neighbours would say the same. Returns places
        in `clips` (Q, k), first frames (Q, k) and costs (Q, k): mean squared differences over their
        spread in the corpus, rising. Raises InputError where no clip is long enough.
        """
        length = segment + fade + 2 * CONTEXT_FRAMES
        padded = np.pad(query, ((CONTEXT_FRAMES, length), (0, 0)))
        wanted = np.stack([padded[start : start + length] for start in starts])
        wanted = wanted.reshape(len(starts), -1)  # (Q, length * 3)
        usable = np.flatnonzero(self.length[clips] >= segment + fade)
        if not len(usable):
            rule = f"needs clips of at least {segment + fade} frames in this style"
            raise InputError("corpus", rule, f"{len(clips)} clips", "Add longer takes.")
        places = np.empty((len(wanted), len(usable)), dtype=np.int64)
        costs = np.empty((len(wanted), len(usable)), dtype=np.float32)
        for column, clip in enumerate(clips[usable]):
            # The surroundings of a clip's first and last stretches are silence.
            heard = self.curves[clip, : self.length[clip]]
            around = np.pad(heard, ((CONTEXT_FRAMES, CONTEXT_FRAMES), (0, 0)))
            views = np.lib.stride_tricks.sliding_window_view(around, length, axis=0)
            there = np.moveaxis(views, -1, 1).reshape(len(views), -1)
            apart = (there**2).sum(axis=1)[:, None] - 2 * there @ wanted.T  # (starts, Q)
            places[:, column] = apart.argmin(axis=0)
            costs[:, column] = apart.min(axis=0)
        costs = (costs + (wanted**2).sum(axis=1)[:, None]) / self._spread(length)
        order = np.argsort(costs, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(places, order, axis=1)
        return usable[order], found, np.take_along_axis(costs, order, axis=1)

    def _spread(self, length: int) -> float:
        return float(length * self.curves.var(axis=(0, 1)).sum()) + 1e-9


def _stamp(corpus: Corpus) -> str:
    """What the curves depend on: the sounds, of which every thousandth sample will do, and how they
    were listened to."""
    heard = np.ascontiguousarray(corpus.audio[:, ::1009])
    return f"{VERSION} {corpus.channels.shape[2]} {hashlib.sha256(heard.tobytes()).hexdigest()}"
