"""The demo's corpus: synthetic voices, and a procedural speaker's gestures to them.

    python -m emo2 corpus gesture --out runs/corpus --clips 600

Each clip is one stretch of speech with one motion per style. A folder of plain arrays comes out:

    audio.npy     (N, samples) int16, 16 kHz            channels.npy  (N, K, T, 198) float16, see
    stage1.representation prosody.npy   (N, T, 2) float16: how stressed this moment is, and whether
    somebody speaks speed.npy     (N, K) log std of wrist translation   rest_m.npy    (N, K, 2, 3)
    where the wrists rest corpus.json   styles, fps, seed, quantiles of speed, mean and std per
    channel

The same seed, voices and recordings give the same corpus.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from emo2.errors import InputError
from emo2.stage1.representation import NUM_CHANNELS, to_channels
from emo2.training.prosody import analyse
from emo2.training.synthesisers import Recordings
from emo2.training.teacher import STYLES, gesture
from emo2.training.voices import record, speak
from emo2.types import NETWORK_SAMPLE_RATE_HZ, NUM_HANDS

FPS = 24.0
SILENT_SHARE = 0.03
GAIN_RANGE = (0.45, 1.9)
STILL_M = 4e-3
"""Added to the std before the logarithm, so that hands at rest have a speed, too."""
MIN_CHANNEL_STD = 0.04


@dataclass(frozen=True)
class Corpus:
    """Arrays on disk, read as needed. Letters: N clips, K styles, T frames."""

    audio: np.ndarray
    """(N, samples) int16."""
    channels: np.ndarray
    """(N, K, T, 198) float16."""
    prosody: np.ndarray
    """(N, T, 2) float16 in [0, 1]."""
    speed: np.ndarray
    """(N, K) float32; NaN where nobody speaks."""
    rest_m: np.ndarray
    """(N, K, 2, 3) float32."""
    facts: dict
    """`corpus.json`."""

    @classmethod
    def load(cls, folder: str | Path) -> Corpus:
        """Open a corpus folder."""
        folder = Path(folder)
        if not (folder / "corpus.json").is_file():
            raise InputError(
                "corpus",
                "must be a corpus folder",
                str(folder),
                "Make one with `python -m emo2 corpus gesture --out DIR`.",
            )
        arrays = {
            name: np.load(folder / f"{name}.npy", mmap_mode="r")
            for name in ("audio", "channels", "prosody", "speed", "rest_m")
        }
        return cls(**arrays, facts=json.loads((folder / "corpus.json").read_text()))


def make_clip(
    index: int, seed: int, duration_s: float, recordings: Recordings | None = None
) -> tuple[np.ndarray, ...]:
    """One clip's audio, channels, prosody, speed and rest."""
    rng = np.random.default_rng((seed, index))
    silent = rng.random() < SILENT_SHARE
    length = int(duration_s * NETWORK_SAMPLE_RATE_HZ)
    dry = np.zeros(length, dtype=np.float32) if silent else speak(rng, duration_s, recordings)
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


def log_speed(translation_m: np.ndarray) -> float:
    """*Speed* of a motion (T, 2, 3): log of the wrists' root-mean-square distance [m] from their
    mean places.

    The paper conditions on the variance within a window. We measure over the whole clip, so that a
    pause in the speech, not a small number, is what makes the hands rest.
    """
    variance = np.asarray(translation_m, dtype=np.float64).var(axis=0).sum(axis=-1).mean()
    return float(np.log(np.sqrt(variance) + STILL_M))


def build(
    folder: Path,
    clips: int,
    duration_s: float,
    seed: int,
    workers: int,
    recordings: Recordings | None = None,
) -> dict:
    """Write the corpus and return its facts."""
    folder.mkdir(parents=True, exist_ok=True)
    frames, styles = int(np.ceil(duration_s * FPS)), len(STYLES)
    shapes = {
        "audio": ((clips, int(duration_s * NETWORK_SAMPLE_RATE_HZ)), np.int16),
        "channels": ((clips, styles, frames, NUM_CHANNELS), np.float16),
        "prosody": ((clips, frames, 2), np.float16),
        "speed": ((clips, styles), np.float32),
        "rest_m": ((clips, styles, NUM_HANDS, 3), np.float32),
    }
    arrays = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)
        for name, (shape, dtype) in shapes.items()
    }
    make = partial(make_clip, seed=seed, duration_s=duration_s, recordings=recordings)
    with ProcessPoolExecutor(workers) as pool:
        for index, clip in enumerate(tqdm(pool.map(make, range(clips)), total=clips, unit="clip")):
            for array, value in zip(arrays.values(), clip, strict=True):
                array[index] = value
    facts = {
        "seed": seed,
        "clips": clips,
        "duration_s": duration_s,
        "fps": FPS,
        "styles": list(STYLES),
        **_statistics(arrays),
    }
    (folder / "corpus.json").write_text(json.dumps(facts, indent=1))
    return facts


def _statistics(arrays: dict[str, np.ndarray]) -> dict:
    speeds = arrays["speed"][np.isfinite(arrays["speed"]).all(axis=1)]
    quantiles = np.quantile(speeds, np.linspace(0, 1, 21))
    medians = np.median(speeds, axis=0)
    sample = arrays["channels"][:200].reshape(-1, NUM_CHANNELS).astype(np.float32)
    both = sample.reshape(-1, NUM_CHANNELS // NUM_HANDS)  # hands are mirror images: one statistic
    std = np.maximum(both.std(axis=0), MIN_CHANNEL_STD)
    return {
        "speed_quantiles": quantiles.tolist(),
        "style_speeds": np.interp(medians, quantiles, np.linspace(0, 1, 21)).tolist(),
        "rest_m": arrays["rest_m"].mean(axis=(0, 1)).tolist(),
        "mean": np.tile(both.mean(axis=0), NUM_HANDS).tolist(),
        "std": np.tile(std, NUM_HANDS).tolist(),
    }


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
