"""What a training step of Stage 1 costs, at demo size and at the paper's.

    python -m benchmarks.training [--sizes demo full] [--batches 1 4 16] [--steps 3]

For each size and batch a process of its own: seconds per step (forward, backward, optimiser,
averages), of one sampling step, and the peak of its memory; seconds of CPU time on a CPU, which
other programs do not spoil; on a GPU the peak there, with bf16 as
in training. The encoder is frozen (the last and longest part of a run), so hidden states are given.
Then the parameters by part. Prints a table and, last, the same as one line of JSON.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from emo2.stage1.motion_dit import MotionDiT
from emo2.stage1.representation import HANDS
from emo2.training.build import build_encoder
from emo2.training.config import SIZES, AudioSize, GestureConfig
from emo2.training.corpus_folder import Clip, Corpus, CorpusWriter
from emo2.training.gesture import GestureTraining
from emo2.training.mixture import Mixture

AUDIO_WIDTHS = {"demo": 128, "small": 128, "full": 768}
"""Of the encoder that each size hears through."""


def measure(size: str, batch: int, steps: int) -> dict:
    """One size and batch in this process."""
    width = AUDIO_WIDTHS[size]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build_encoder(AudioSize(hidden_size=width)).save_pretrained(folder / "audio")
        config = dataclasses.replace(
            SIZES[size], batch_frozen=batch, workers=0, audio_checkpoint=str(folder / "audio")
        )
        mixture = _noise(folder, config)
        training = GestureTraining(config, mixture, folder)
        corpus = mixture.corpora[0]
        shape = (len(corpus.length), corpus.channels.shape[2], width)
        training.heard = [np.zeros(shape, np.float16)]
        training.advance()  # warm up
        device = training.accelerator.device
        seconds = _timed(lambda: training.advance()["loss"].item(), steps, device)
        sampling = _timed(lambda: _sample(training.networks.dit, width, device), steps, device)
        facts = {
            "size": size,
            "batch": batch,
            "s_per_step": seconds,
            "s_per_example": seconds / batch,
            "s_per_sampling_step": sampling,
            "peak_rss_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
            "threads": torch.get_num_threads(),
            "device": str(device),
            "precision": training.accelerator.mixed_precision,
            "parameters": parameters(training.networks.dit),
        }
        if device.type == "cuda":
            facts["gpu"] = torch.cuda.get_device_name()
            facts["peak_gpu_gb"] = torch.cuda.max_memory_allocated() / 2**30
        return facts


def parameters(dit: MotionDiT) -> dict[str, int]:
    """Numbers that are learnt, by part."""

    def count(*parts: nn.Module | nn.Parameter) -> int:
        each = (p.parameters() if isinstance(p, nn.Module) else [p] for p in parts)
        return sum(parameter.numel() for one in each for parameter in one)

    blocks = dit.blocks
    told = {
        "self-attention": count(*(b.self_attention for b in blocks)),
        "cross-attention": count(*(m for b in blocks for m in (b.cross_attention, b.cross_norm))),
        "MLP": count(*(b.mlp for b in blocks)),
        "AdaLN-single": count(dit.modulation, dit.final, *(b.table for b in blocks)),
        "audio in": count(dit.audio_norm, dit.audio_in, dit.audio_aligned, dit.no_audio),
        "motion in and out": count(dit.motion_in, dit.motion_out, dit.smooth_in, dit.smooth_out),
    }
    told["conditions"] = count(dit) - sum(told.values())
    return {**told, "all": count(dit)}


def _noise(folder: Path, config: GestureConfig) -> Mixture:
    """A corpus of nothing, long enough for a window."""
    frames = config.motion.num_frames + 2 * config.motion.num_context_frames
    rng = np.random.default_rng(0)
    writer = CorpusWriter(folder, frames, 1)
    for _ in range(40):
        clip = Clip(
            audio=np.zeros(1),
            channels=rng.normal(size=(1, frames, HANDS.num_channels)),
            prosody=np.zeros((frames, 2)),
            speed=rng.normal(-2, 0.5, 1),
            rest_m=np.zeros((1, 2, 3)),
            style=np.zeros(1),
            speaker=0,
            visible=np.ones((1, frames, 2)),
        )
        writer.add(clip)
    writer.close(fps=config.fps, styles=["noise"], speakers=["nobody"])
    return Mixture.of([Corpus.load(folder)])


@torch.no_grad()
def _sample(dit: MotionDiT, width: int, device: torch.device) -> None:
    """One denoising step of one window, as the product does it: guided, so two rows."""
    size = dit.config
    total = size.num_context_frames + size.num_frames
    dit(
        torch.randn(2, size.num_frames, HANDS.num_channels, device=device),
        torch.full((2,), 500, device=device),
        torch.zeros(2, total + size.num_lookahead_frames, width, device=device),
        audio_mask=torch.ones(
            2, total + size.num_lookahead_frames, dtype=torch.bool, device=device
        ),
        context=torch.zeros(2, size.num_context_frames, HANDS.num_channels, device=device),
        context_mask=torch.ones(2, dtype=torch.bool, device=device),
        style=torch.ones(2, 1, device=device),
        speed=torch.full((2,), -2.0, device=device),
        offset_m=torch.zeros(2, 2, 3, device=device),
        visible=torch.ones(2, total, 2, dtype=torch.bool, device=device),
        keep=torch.zeros(2, size.num_frames, 6, device=device),
    ).sum().item()  # waits for the GPU


def _timed(work, times: int, device: torch.device) -> float:
    """Median seconds: by the clock on a GPU, of CPU time a thread on a CPU."""
    clock, threads = time.perf_counter, 1
    if device.type == "cpu":
        clock, threads = time.process_time, torch.get_num_threads()
    seconds = []
    for _ in range(times):
        began = clock()
        work()
        seconds.append((clock() - began) / threads)
    return float(np.median(seconds))


def main() -> None:
    """Each case in a fresh process, so that its peak of memory is its own."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=["demo", "full"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 4, 16])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.sizes[0], options.batches[0], options.steps)))
        return
    rows = []
    for size in options.sizes:
        for batch in options.batches:
            case = [
                "--one",
                "--sizes",
                size,
                "--batches",
                str(batch),
                "--steps",
                str(options.steps),
            ]
            command = [sys.executable, "-m", "benchmarks.training", *case]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{size} batch {batch}: {done.stderr.strip().splitlines()[-1]}")
                continue
            row = json.loads(done.stdout.splitlines()[-1])
            rows.append(row)
            gpu = f", GPU {row['peak_gpu_gb']:.2f} GB" if "peak_gpu_gb" in row else ""
            print(
                f"{size:5s} batch {batch:3d}: {row['s_per_step']:8.3f} s a step, "
                f"{row['s_per_sampling_step']:7.3f} s a sampling step, "
                f"{row['peak_rss_gb']:.2f} GB{gpu} ({row['device']}, {row['threads']} threads)",
                flush=True,
            )
    for size in options.sizes:
        counts = next((r["parameters"] for r in rows if r["size"] == size), {})
        told = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in counts.items())
        print(f"{size}: {told}")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
