"""Train the demo film: `python -m emo2 train video --people DIR --out runs/video [--resume]`.

1. Draws the hands that the portraits in DIR show anew, once (`video_corpus`).
2. Fits the linear latents to drafts and pictures, in closed form.
3. Trains the pipeline's own parts to bring drawn hands nearer to photographed ones (`video_loss`).
4. Judges the film on people it has not seen (`video_gate`) and writes `checkpoint/`.

Every step's data and noise follow from (seed, step) alone, so a resumed run is the run it resumes.
The run folder holds `config.json` with the git commit, `log.csv`, `state/`, `report.json`.

With `--config full` the same loop trains the paper's size on real footage: `film`.
"""

from __future__ import annotations

import argparse
import copy
import csv
import dataclasses
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import nn
from tqdm import tqdm

from emo2.draft.renderer import DraftRenderer
from emo2.errors import InputError
from emo2.features.audio import AudioEncoder
from emo2.hands.arm import ArmModel
from emo2.hands.model import HandModel
from emo2.stage2.latents import LinearAutoencoder
from emo2.stage2.pipeline import Stage2Pipeline
from emo2.training import film
from emo2.training.video_corpus import Still, Studio, build_corpus
from emo2.training.video_gate import choose_strength
from emo2.training.video_loss import VideoLoss, draw_batch
from emo2.training.video_model import VideoConfig, build_pipeline

LATENT_CHANNELS, PATCH_SIZE = 24, 8


def train(
    config: VideoConfig,
    pipeline: Stage2Pipeline,
    clips: list,
    out: Path,
    resume: bool,
    loss: nn.Module | None = None,
    draw: Callable | None = None,
) -> None:
    """Trains `pipeline` in place, on one device. `draw(config, pipeline, clips, number)` makes the
    batches of `loss`; without them a residual over drafts is learnt. It ends with averaged
    weights where the config averages."""
    draw = draw or draw_batch
    precision = config.mixed_precision or ("bf16" if torch.cuda.is_available() else "no")
    accelerator = Accelerator(mixed_precision=precision)
    torch.manual_seed(config.seed)
    pipeline.to(accelerator.device)
    loss = loss or VideoLoss(pipeline)
    optimiser = torch.optim.AdamW(
        loss.trainable(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: ramp(step, config))
    average = config.ema_decay and EMAModel(loss.trainable(), decay=config.ema_decay)
    loss, optimiser, schedule = accelerator.prepare(loss, optimiser, schedule)
    if average:
        average.to(accelerator.device)
        accelerator.register_for_checkpointing(average)
    first = load_state(accelerator, out) if resume else 0
    with open_log(out / "log.csv", first) as file:
        log = csv.writer(file, lineterminator="\n")
        for step in tqdm(range(first, config.steps), initial=first, total=config.steps):
            began = time.perf_counter()
            value = 0.0
            for part in range(config.accumulate):
                number = step * config.accumulate + part
                batch = draw(config, pipeline, clips, number).to(accelerator.device)
                share = loss(batch) / config.accumulate
                accelerator.backward(share)
                value += share.item()
            accelerator.clip_grad_norm_(loss.parameters(), config.grad_clip)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
            if average:
                average.step(loss.trainable())
            rate, seconds = schedule.get_last_lr()[0], time.perf_counter() - began
            log.writerow([step, f"{value:.6f}", f"{rate:.3e}", f"{seconds:.2f}"])
            file.flush()
            if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
                save_state(accelerator, out, step + 1)
    if average:
        average.copy_to(loss.trainable())
    loss.requires_grad_(False)


def ramp(step: int, config: VideoConfig) -> float:
    """Learning rate as a share of its peak: a short warm-up, a plateau, a straight line to
    zero. Until the line begins, a run is the beginning of every longer run."""
    warm = min(1.0, (step + 1) / config.warmup_steps)
    return warm * min(1.0, (config.steps - step) / (config.cooldown * config.steps))


def open_log(path: Path, first: int) -> TextIO:
    """The log, ready for the row of step `first`: rows written after it last saved are cut."""
    rows = path.read_text().splitlines()[1 : first + 1] if first else []
    file = path.open("w", newline="")
    file.writelines(f"{row}\n" for row in ["step,loss,learning_rate,seconds", *rows])
    return file


def save_state(accelerator: Accelerator, out: Path, step: int) -> None:
    """Everything a resumed run needs."""
    accelerator.save_state(out / "state")
    (out / "state" / "step.json").write_text(json.dumps({"step": step}))


def load_state(accelerator: Accelerator, out: Path) -> int:
    """Continues from `state/`; returns the number of steps already done."""
    marker = out / "state" / "step.json"
    if not marker.is_file():
        raise InputError("--resume", "needs a run that saved its state", out, "Leave it out.")
    accelerator.load_state(out / "state")
    return json.loads(marker.read_text())["step"]


def fit_latents(stills: list[Still]) -> LinearAutoencoder:
    """The linear latents that keep most of these drafts and of the truth about their hands."""
    patches = []
    for still in stills:
        height, width = (side // PATCH_SIZE * PATCH_SIZE for side in still.change.shape)
        for picture in (still.draft, still.truth):
            planes = torch.from_numpy(np.array(picture[:height, :width]))
            planes = planes.permute(2, 0, 1).float() / 127.5 - 1
            patches.append(F.unfold(planes[None], PATCH_SIZE, stride=PATCH_SIZE)[0].T)
    # LinearAutoencoder.fit takes pictures: a strip of patches is one.
    rows = torch.cat(patches).view(-1, 3, PATCH_SIZE, PATCH_SIZE)
    return LinearAutoencoder.fit(rows, LATENT_CHANNELS, PATCH_SIZE)


def save_checkpoint(pipeline: Stage2Pipeline, folder: Path) -> None:
    """The product's folder: half precision, but the fixed latents in full (they are
    orthonormal)."""
    halved = copy.deepcopy(pipeline)
    for part in (
        halved.reference_net,
        halved.unet,
        halved.guidance_encoder,
        halved.audio_projection,
    ):
        part.half()
    halved.save_pretrained(folder)


def describe(config: VideoConfig, people: Path) -> dict:
    """The run, so that it can be repeated."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    return {**dataclasses.asdict(config), "people": people.name, "git": commit.stdout.strip()}


def main(argv: list[str] | None = None) -> int:
    """`python -m emo2 train video`."""
    parser = argparse.ArgumentParser(prog="emo2 train video", description=__doc__.split("\n")[0])
    parser.add_argument("--people", type=Path, help="portraits to learn from")
    parser.add_argument("--held-out", type=Path, default=Path("assets"), help="to judge by")
    parser.add_argument("--weights", type=Path, default=Path("checkpoints/demo"))
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument("--steps", type=int, help="optimiser steps (default: the config's)")
    parser.add_argument("--seed", type=int, default=VideoConfig.seed)
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    film.add_options(parser)
    options = parser.parse_args(argv)
    changes = {"seed": options.seed}
    if options.steps is not None:
        changes["steps"] = options.steps
    options.out.mkdir(parents=True, exist_ok=True)
    if options.config == "demo":
        film.refuse(options)
    else:
        print(json.dumps(film.run(options, changes, train), indent=1))
        return 0
    if options.people is None:
        raise InputError("--people", "is what the demo learns from", "none", "Name a folder.")
    config = VideoConfig(**changes)
    about = json.dumps(describe(config, options.people), indent=1)
    (options.out / "config.json").write_text(about + "\n")

    encoder = AudioEncoder.from_pretrained(options.weights / "audio")
    hands = options.weights / "hands"
    renderer = DraftRenderer(ArmModel.from_pretrained(hands), HandModel.from_pretrained(hands))
    studio = Studio(renderer, encoder, config.size.long_side_px)
    torch.manual_seed(config.seed)
    blank = build_pipeline(
        config.size, LinearAutoencoder(LATENT_CHANNELS, PATCH_SIZE), encoder.width
    )
    seen, unseen = (
        build_corpus(people, options.out / name, config.seed, studio, blank.working_size)
        for people, name in ((options.people, "corpus"), (options.held_out, "held-out"))
    )
    torch.manual_seed(config.seed)
    pipeline = build_pipeline(config.size, fit_latents(seen), encoder.width)
    train(config, pipeline, seen, options.out, options.resume)
    report = choose_strength(pipeline, unseen, config.seed)
    save_checkpoint(pipeline, options.out / "checkpoint")
    (options.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    return 0
