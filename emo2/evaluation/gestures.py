"""Measure a gesture checkpoint on a folder of real speech.

    python -m emo2 evaluate gesture --checkpoint checkpoints/demo --speech DIR [--seeds 2]

Prints one table: alignment over chance (against the stresses that the teacher hears and against
plain sound onsets), beside it the same for motion made to other speech (deaf floor) and for
trembling hands (noise floor); rest, speed, jerk, seams; and how well the speed control orders
motion.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import librosa
import numpy as np
from scipy.stats import spearmanr

from emo2.evaluation.beats import (
    alignment,
    floor_of_noise,
    jerk,
    motion_beats,
    rest_share,
    seam_ratio,
    wrist_speed,
)
from emo2.features.audio import AudioEncoder
from emo2.media import load_audio
from emo2.stage1.pipeline import Stage1Pipeline
from emo2.training.prosody import analyse
from emo2.types import AudioClip, HandMotion

SPEEDS = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)


def audio_beats(audio: AudioClip) -> dict[str, np.ndarray]:
    """Moments [s] by two detectors: stressed syllables, and plain onsets of sound."""
    prosody = analyse(audio.samples)
    onsets = librosa.onset.onset_detect(
        y=np.asarray(audio.samples), sr=audio.sample_rate_hz, units="time"
    )
    return {"stress": prosody.times_s[prosody.salience > 0.5], "onset": np.asarray(onsets)}


def join(folder: Path, length_s: float) -> list[AudioClip]:
    """All recordings of a folder, in order of name, joined into stretches of about `length_s`."""
    clips, parts = [], []
    for path in sorted(folder.glob("*.wav")):
        parts.append(load_audio(path).samples)
        if sum(map(len, parts)) >= length_s * 16_000:
            clips.append(AudioClip(np.concatenate(parts)))
            parts = []
    return [*clips, AudioClip(np.concatenate(parts))] if parts else clips


def measure(
    pipeline: Stage1Pipeline, encoder: AudioEncoder, clips: list[AudioClip], seeds: int
) -> dict[str, dict[str, float]]:
    """Rows of the table: one per style, then the floors."""
    features = [encoder(clip, pipeline.fps) for clip in clips]
    beats = [audio_beats(clip) for clip in clips]
    step = pipeline.motion_dit.config.num_frames
    rows: dict[str, dict[str, list[float]]] = {}

    def note(row: str, motion: HandMotion, at: int) -> None:
        facts = rows.setdefault(row, {})
        duration = clips[at].duration_s
        for name, times in beats[at].items():
            aligned = alignment(motion_beats(motion), times, duration)
            facts.setdefault(f"{name} margin", []).append(aligned.margin)
            facts.setdefault(f"{name} chance", []).append(aligned.chance)
        facts.setdefault("beats/s", []).append(aligned.beats_per_s)
        facts.setdefault("rest share", []).append(rest_share(motion))
        facts.setdefault("m/s", []).append(wrist_speed(motion).mean())
        facts.setdefault("p90 m/s", []).append(np.percentile(wrist_speed(motion), 90))
        facts.setdefault("jerk m/s3", []).append(jerk(motion))
        seams = np.arange(step, motion.num_frames - 6, step)
        if len(seams):
            facts.setdefault("seam ratio", []).append(seam_ratio(motion, seams))

    for style in pipeline.styles:
        for at, heard in enumerate(features):
            for seed in range(seeds):
                motion = pipeline(heard, style=style, seed=seed)
                note(style, motion, at)
                note("all styles", motion, at)
                other = (at + 1) % len(clips)
                shared = min(clips[other].duration_s, clips[at].duration_s)
                if other != at and shared > 6:
                    note("other speech", motion, other)
                note("trembling", floor_of_noise(motion, seed), at)
    return {
        row: {name: float(np.nanmean(values)) for name, values in facts.items()}
        | {"s.e.": _standard_error(facts["stress margin"]), "n": len(facts["beats/s"])}
        for row, facts in rows.items()
    }


def order_of_speeds(pipeline: Stage1Pipeline, encoder: AudioEncoder, clip: AudioClip) -> float:
    """Spearman correlation of the speed asked for with the wrists' spread made, mean over
    styles."""
    features = encoder(clip, pipeline.fps)
    values = []
    for style in pipeline.styles:
        made = [
            pipeline(features, style=style, speed=speed).translation_m.std(axis=0).mean()
            for speed in SPEEDS
        ]
        values.append(spearmanr(SPEEDS, made).statistic)
    return float(np.mean(values))


def _standard_error(values: list[float]) -> float:
    return float(np.nanstd(values) / np.sqrt(max(np.isfinite(values).sum(), 1)))


def main(argv: list[str] | None = None) -> int:
    """Print the table and, last, the same as one line of JSON."""
    parser = argparse.ArgumentParser(
        prog="emo2 evaluate gesture", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--checkpoint", type=Path, default=Path("checkpoints/demo"))
    parser.add_argument("--speech", type=Path, required=True, help="folder of wav files")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--stretch", type=float, default=20.0, help="seconds joined per measure")
    options = parser.parse_args(argv)
    encoder = AudioEncoder.from_pretrained(options.checkpoint / "audio")
    pipeline = Stage1Pipeline.from_pretrained(options.checkpoint / "gesture")
    clips = join(options.speech, options.stretch)
    table = measure(pipeline, encoder, clips, options.seeds)
    table["all styles"]["speed order"] = order_of_speeds(pipeline, encoder, clips[0])
    for row, facts in table.items():
        print(f"{row:14s}", "  ".join(f"{name} {value:.3f}" for name, value in facts.items()))
    print(json.dumps(table))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
