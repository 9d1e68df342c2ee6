"""The demo's corpus: synthetic voices, and a procedural speaker's gestures to them.

    python -m emo2 corpus gesture --out runs/corpus --clips 600

Each clip is one stretch of speech with one motion per style; `corpus_folder` says what is written.
The same seed, voices and recordings give the same corpus.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from emo2.stage1.representation import to_channels
from emo2.training.corpus_folder import Clip, CorpusWriter, log_speed
from emo2.training.prosody import analyse
from emo2.training.styles import STYLES
from emo2.training.synthesisers import Recordings
from emo2.training.teacher import gesture
from emo2.training.voices import record, sing, speak
from emo2.types import NETWORK_SAMPLE_RATE_HZ, NUM_HANDS

FPS = 24.0
SILENT_SHARE = 0.03
SUNG_SHARE = 0.06
GAIN_RANGE = (0.45, 1.9)


def make_clip(
    index: int, seed: int, duration_s: float, recordings: Recordings | None = None
) -> tuple[np.ndarray, ...]:
    """One clip's audio, channels, prosody, speed and rest."""
    rng = np.random.default_rng((seed, index))
    kind = rng.random()
    silent = kind < SILENT_SHARE
    length = int(duration_s * NETWORK_SAMPLE_RATE_HZ)
    if silent:
        dry = np.zeros(length, dtype=np.float32)
    elif kind < SILENT_SHARE + SUNG_SHARE:
        dry = sing(rng, duration_s)
    else:
        dry = speak(rng, duration_s, recordings)
    prosody = analyse(dry)
    sound = rng.normal(0, 10 ** rng.uniform(-4, -1.5), length) if silent else record(rng, dry)
    motions = [
        gesture(prosody, style, np.exp(rng.uniform(*np.log(GAIN_RANGE))), duration_s, FPS, rng)
        for style in STYLES.values()
    ]
    speed = [np.nan if silent else log_speed(motion.translation_m) for motion in motions]
    return (
        (sound.clip(-1, 1) * 32767).astype(np.int16),
        np.stack([to_channels(m.quaternions, m.translation_m) for m in motions]).astype(np.float16),
        prosody.curves(int(np.ceil(duration_s * FPS)), FPS).astype(np.float16),
        np.array(speed, dtype=np.float32),
        np.stack([m.rest_m for m in motions]),
    )


def build(
    folder: Path,
    clips: int,
    duration_s: float,
    seed: int,
    workers: int,
    recordings: Recordings | None = None,
) -> dict:
    """Write the corpus and return its facts."""
    frames, samples = int(np.ceil(duration_s * FPS)), int(duration_s * NETWORK_SAMPLE_RATE_HZ)
    labels = {
        "style": np.arange(len(STYLES)),
        "speaker": 0,
        "visible": np.ones((len(STYLES), frames, NUM_HANDS), dtype=bool),
    }
    writer = CorpusWriter(folder, frames, samples)
    make = partial(make_clip, seed=seed, duration_s=duration_s, recordings=recordings)
    with ProcessPoolExecutor(workers) as pool:
        for clip in tqdm(pool.map(make, range(clips)), total=clips, unit="clip"):
            writer.add(Clip(*clip, **labels))
    return writer.close(
        source="synthetic",
        seed=seed,
        duration_s=duration_s,
        fps=FPS,
        styles=list(STYLES),
        speakers=["teacher"],
    )


def main(argv: list[str] | None = None) -> int:
    """`python -m emo2 corpus gesture`."""
    parser = argparse.ArgumentParser(prog="emo2 corpus gesture", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--clips", type=int, default=600, help="stretches of speech (600)")
    parser.add_argument("--duration", type=float, default=12.0, help="seconds per clip (12)")
    parser.add_argument("--speech", type=Path, help="real speech to use, too: one folder a speaker")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes (1)")
    options = parser.parse_args(argv)
    recordings = Recordings.find(options.speech) if options.speech else None
    facts = build(
        options.out,
        options.clips,
        options.duration,
        options.seed,
        options.workers,
        recordings,
    )
    hours = facts["clips"] * facts["duration_s"] / 3600
    print(f"{hours:.2f} h of speech with {len(facts['styles'])} motions each in {options.out}")
    return 0
