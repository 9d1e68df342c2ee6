"""Do the lips shut on p, b and m? The draft's mouth against an independent aligner.

    python -m emo2 evaluate lips --speech DIR

One row a driver of the mouth: the viseme network, the formant bands that stand in where there is
none, and loudness alone, which is all that a mouth on an envelope knows. A closure counts as met
when the lips are in the lowest quarter of their openings in a frame within two of the sound's
middle. Five frames hit a quarter often by chance: the same sounds shifted round in a circle say how
often.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from emo2.draft.lips import parted
from emo2.draft.performance import Performance, perform
from emo2.draft.speech import analyse_speech
from emo2.draft.visemes import VisemeNet
from emo2.errors import InputError
from emo2.evaluation.phones import Aligner, labials_s, transcript
from emo2.evaluation.sounds import SUFFIXES
from emo2.evaluation.video import speech_envelope
from emo2.media import frame_count, load_audio
from emo2.types import AudioClip

WITHIN_FRAMES = 2
QUARTER = 0.25
SHIFTS = np.linspace(0.1, 0.9, 25)

Driver = Callable[[AudioClip], np.ndarray]
"""(T,) how far the lips are apart."""


@dataclass(frozen=True)
class LipRow:
    """What one driver does on all recordings, shares 0..1."""

    name: str
    met: float
    """Closures in which the lips were in their lowest quarter."""
    by_chance: float
    """The same for the sounds at other times."""
    rank: float
    """Median share of frames with lips further shut than at a closure: 0 is best, 0.5 deaf."""
    envelope: float
    """Correlation of opening and loudness, mean over recordings."""
    closures: int


def opening(performance: Performance) -> np.ndarray:
    """(T,) the gap between the lips, 1 = the widest."""
    return parted(performance.jaw, performance.spread, performance.press)


def shut_ranks(gap: np.ndarray, moments_s: np.ndarray, fps: float) -> np.ndarray:
    """(n,) for each moment the share of all frames whose gap is smaller than the smallest within
    two frames of it."""
    frames = np.floor(np.asarray(moments_s) * fps).astype(int)[:, None]
    near = frames + np.arange(-WITHIN_FRAMES, WITHIN_FRAMES + 1)
    least = gap[near.clip(0, len(gap) - 1)].min(axis=1)
    return np.searchsorted(np.sort(gap), least, side="left") / len(gap)


def drivers(net: VisemeNet, fps: float) -> dict[str, Driver]:
    """The mouths that are compared."""

    def frames(audio: AudioClip) -> int:
        return frame_count(audio.duration_s, fps)

    def loudness(audio: AudioClip) -> np.ndarray:
        curves, middles = analyse_speech(audio), (np.arange(frames(audio)) + 0.5) / fps
        return np.interp(middles, curves.times_s, curves.loudness)

    return {
        "visemes": lambda a: opening(perform(a, frames(a), fps, lips=net.read_lips(a))),
        "formants": lambda a: opening(perform(a, frames(a), fps)),
        "loudness alone": loudness,
    }


def compare(
    recordings: Sequence[tuple[AudioClip, np.ndarray]], net: VisemeNet, fps: float
) -> list[LipRow]:
    """One row a driver; `recordings` come with the moments [s] of their closures."""
    rows = []
    for name, driver in drivers(net, fps).items():
        ranks, chance, envelopes = [], [], []
        for audio, moments_s in recordings:
            gap = driver(audio)
            ranks.append(shut_ranks(gap, moments_s, fps))
            for share in SHIFTS:
                moved = (moments_s + share * audio.duration_s) % audio.duration_s
                chance.append(shut_ranks(gap, moved, fps) < QUARTER)
            loud = speech_envelope(audio, len(gap), fps)
            envelopes.append(np.corrcoef(gap, loud)[0, 1] if gap.std() > 0 else np.nan)
        ranks = np.concatenate(ranks)
        rows.append(
            LipRow(
                name=name,
                met=float(np.mean(ranks < QUARTER)),
                by_chance=float(np.concatenate(chance).mean()),
                rank=float(np.median(ranks)),
                envelope=float(np.nanmean(envelopes)),
                closures=len(ranks),
            )
        )
    return rows


def listen(files: Sequence[Path]) -> list[tuple[AudioClip, np.ndarray]]:
    """Recordings and their closures; those without any are left out."""
    align, found = Aligner(), []
    for path in tqdm(files, unit="recording", desc="aligning", leave=False):
        audio = load_audio(path)
        moments_s = labials_s(align(audio, transcript(path)))
        if len(moments_s):
            found.append((audio, moments_s))
    return found


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    from emo2.pipeline import DEMO_CHECKPOINT

    parser = argparse.ArgumentParser(prog="emo2 evaluate lips", description=__doc__)
    parser.add_argument("--speech", type=Path, required=True, help="English recordings")
    parser.add_argument("--visemes", type=Path, default=DEMO_CHECKPOINT / "visemes")
    parser.add_argument("--fps", type=float, default=24.0)
    options = parser.parse_args(argv)
    files = sorted(p for p in options.speech.rglob("*") if p.suffix.lower() in SUFFIXES)
    recordings = listen(files) if files else []
    if not recordings:
        raise InputError("--speech", "must hold English speech", options.speech, "Add recordings.")
    rows = compare(recordings, VisemeNet.load(options.visemes), options.fps)
    print(f"{rows[0].closures} p, b and m in {len(recordings)} recordings")
    print(f"{'mouth':16} {'met':>6} {'chance':>7} {'rank':>6} {'envelope r':>11}")
    for row in rows:
        print(
            f"{row.name:16} {row.met:6.1%} {row.by_chance:7.1%} {row.rank:6.2f} "
            f"{row.envelope:11.2f}"
        )
    return 0
