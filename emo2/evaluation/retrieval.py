"""Nearest-neighbour gestures: the baseline that a network has to beat.

    hands = Retrieval("runs/corpus")(audio, "talk-calm", seed=0)      # a `Performer`

Speech is cut into segments of a second. For each, the corpus is searched for the stretches whose
loudness and syllable onsets run most alike (their surroundings included), and out of the nearest,
one of each clip, a path is chosen that also joins well in pose, as speech synthesis by unit
selection does (Hunt & Black 1996; for gesture, Habibie et al. 2022). The corpus's own motion is
then played and cross-faded. Nothing is learnt, and the student's encoder has no part in it. The
seed perturbs the costs (Gumbel noise: Papandreou & Yuille 2011), so that other good paths win.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.evaluation.retrieval_index import FPS, Index, prosodic_curves
from emo2.media import frame_count
from emo2.motion.anatomy import limit
from emo2.motion.rotations import continuous, slerp
from emo2.stage1.representation import from_channels, part_weights
from emo2.training.corpus_folder import Corpus
from emo2.types import NUM_BETAS, NUM_HANDS, AudioClip, HandMotion

SEGMENT_FRAMES, FADE_FRAMES = 24, 10
NEAREST = 24
"""Candidates per segment, each of another clip."""
JOIN_WEIGHT = 0.5
"""Of the joins' pose error, in squared deviations of the corpus, against the sound's."""
TEMPERATURE = 0.1
"""Size of the seed's noise on the costs."""


class Retrieval:
    """A performer that plays back a corpus.

    Args:
        corpus: a folder made by `python -m emo2 corpus gesture`.
        cache: where the index of its sounds is kept; None = `retrieval.npz` in the corpus folder.
    """

    def __init__(self, corpus: str | Path, cache: Path | None = None) -> None:
        self._corpus = Corpus.load(corpus)
        self._index = Index.of(self._corpus, cache or Path(corpus) / "retrieval.npz")
        self._scale = np.sqrt(part_weights()) / np.asarray(self._corpus.facts["std"])

    @property
    def styles(self) -> tuple[str, ...]:
        """The names that `style` may take."""
        return tuple(self._corpus.facts["styles"])

    def __call__(self, audio: AudioClip, style: str, seed: int) -> HandMotion:
        """`ceil(duration * 24)` frames of the corpus's hands. InputError for an unknown style."""
        if style not in self.styles:
            remedy = f"Use one of {', '.join(self.styles)}."
            raise InputError("style", "must be one of the corpus", repr(style), remedy)
        frames = frame_count(audio.duration_s, FPS)
        starts = np.arange(0, max(frames, 1), SEGMENT_FRAMES)
        clips, motions = np.nonzero(self._corpus.style == self.styles.index(style))
        which, places, costs = self._index.nearest(
            prosodic_curves(audio, frames), starts, SEGMENT_FRAMES, FADE_FRAMES, NEAREST, clips
        )
        tracks = self._tracks(clips[which], motions[which], places)
        rng = np.random.default_rng(seed)
        path = self._path(tracks, costs + TEMPERATURE * rng.gumbel(size=costs.shape))
        chosen = [tracks[segment, choice] for segment, choice in enumerate(path)]
        quaternions, translation_m = limit(*_join(chosen))
        return HandMotion(
            quaternions=continuous(quaternions[:frames]),
            translation_m=translation_m[:frames],
            visible=np.ones((frames, NUM_HANDS), bool),
            betas=np.zeros((NUM_HANDS, NUM_BETAS)),
            fps=FPS,
        )

    def _tracks(self, clips: np.ndarray, motions: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The candidates' channels (segments, k, S + F, 198)."""
        length = SEGMENT_FRAMES + FADE_FRAMES
        rows = zip(clips.flat, motions.flat, places.flat, strict=True)
        tracks = [self._corpus.channels[n, m, at : at + length] for n, m, at in rows]
        return np.stack(tracks).astype(np.float32).reshape(*clips.shape, length, -1)

    def _path(self, tracks: np.ndarray, costs: np.ndarray) -> np.ndarray:
        """The cheapest candidate of every segment (segments,), by Viterbi over pairs of
        neighbours."""
        ends = tracks[:, :, -FADE_FRAMES:] * self._scale
        beginnings = tracks[:, :, :FADE_FRAMES] * self._scale
        total, back = costs[0], []
        for segment in range(1, len(costs)):
            joins = _mean_square(ends[segment - 1], beginnings[segment])  # (k before, k after)
            ways = total[:, None] + JOIN_WEIGHT * joins
            back.append(ways.argmin(axis=0))
            total = ways.min(axis=0) + costs[segment]
        path = [int(total.argmin())]
        for pointers in reversed(back):
            path.append(int(pointers[path[-1]]))
        return np.array(path[::-1])


def _mean_square(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean squared difference of every row of a (k, ...) with every row of b (k, ...), (k, k)."""
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.maximum(squares, 0) / a.shape[1]


def _join(tracks: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Tracks (S + F, 198), each fading into the next over F frames, as quaternions and places."""
    quaternions, translation_m = from_channels(tracks[0])
    along = np.arange(1, FADE_FRAMES + 1) / (FADE_FRAMES + 1)
    weight = along**2 * (3 - 2 * along)
    for track in tracks[1:]:
        turns, places = from_channels(track)
        turned = slerp(quaternions[-FADE_FRAMES:], turns[:FADE_FRAMES], weight[:, None, None])
        moved = translation_m[-FADE_FRAMES:] + weight[:, None, None] * (
            places[:FADE_FRAMES] - translation_m[-FADE_FRAMES:]
        )
        quaternions = np.concatenate([quaternions[:-FADE_FRAMES], turned, turns[FADE_FRAMES:]])
        translation_m = np.concatenate([translation_m[:-FADE_FRAMES], moved, places[FADE_FRAMES:]])
    return quaternions, translation_m
