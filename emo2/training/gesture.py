"""Train Stage 1: audio encoder and `MotionDiT` together, from raw speech (paper, section 3.1).

    python -m emo2 train gesture --corpus runs/corpus --out runs/gesture

The run folder holds `config.json` (with the git commit), `log.csv`, `state.pt` (to resume exactly)
and `checkpoint/` (what the product loads, with averaged weights). Press Ctrl-C at any time and go
on with --resume.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import nn
from tqdm import tqdm

from emo2.errors import InputError
from emo2.features.audio import AudioEncoder
from emo2.stage1.pipeline import Stage1Pipeline
from emo2.stage1.representation import REPRESENTATIONS
from emo2.training.batches import Batch, draw
from emo2.training.build import build_encoder, build_motion_dit, build_scheduler
from emo2.training.config import FULL_MOTION, SMALL_MOTION, GestureConfig
from emo2.training.corpus import Corpus
from emo2.training.distillation import ReadOut
from emo2.training.losses import hear, hearing, motion_loss
from emo2.training.moments import channel_moments
from emo2.types import AudioClip

LOG_FIELDS = (
    "step",
    "seconds",
    "rate",
    "loss",
    "places",
    "velocities",
    "read_out",
    "right",
    "wrong",
    "ratio",
)


class GestureTraining:
    """One run: networks, optimiser, averages and the step reached."""

    def __init__(self, config: GestureConfig, corpus: Corpus, folder: Path) -> None:
        torch.manual_seed(config.seed)
        self.config, self.corpus, self.folder = config, corpus, folder
        self.accelerator = Accelerator()
        if config.audio_checkpoint is None:
            self.encoder, self.joint_steps = build_encoder(config.audio), config.joint_steps
            self.encoder.model.requires_grad_(True)
        else:
            self.encoder = AudioEncoder.from_pretrained(config.audio_checkpoint)
            self.joint_steps = 0
        self.heard: np.ndarray | None = None
        self.scheduler = build_scheduler()
        written = REPRESENTATIONS[config.representation]
        facts = corpus.facts | channel_moments(corpus.channels, written)
        self.networks = nn.ModuleDict(
            {
                "dit": build_motion_dit(config, self.encoder.width, facts),
                "encoder": self.encoder.model,
                "read_out": ReadOut(self.encoder.width),
            }
        ).to(self.accelerator.device)
        trained = [p for p in self.networks.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(
            trained, lr=config.learning_rate, weight_decay=config.weight_decay, betas=(0.9, 0.99)
        )
        self.optimiser = self.accelerator.prepare(optimiser)
        self.average = EMAModel(self.networks.parameters(), decay=config.ema_decay)
        self.step = 0
        self.seconds = 0.0
        self.last: dict[str, float] = {}

    def run(self, until: int) -> None:
        """Train up to step `until`; logs, monitors and saves on the way."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_config()
        began, saved = time.monotonic() - self.seconds, time.monotonic()
        bar = tqdm(total=until, initial=self.step, unit="step", mininterval=5)
        try:
            while self.step < until:
                self.advance()
                self.seconds = time.monotonic() - began
                bar.update()
                if self.step % self.config.monitor_every == 0:
                    self.last |= self.monitor()
                if self.step % self.config.log_every == 0:
                    self._log()
                    bar.set_postfix(loss=f"{self.last.get('loss', 0):.3f}")
                if time.monotonic() - saved > 60 * self.config.save_minutes:
                    self.save()
                    saved = time.monotonic()
        finally:
            bar.close()
            self.save()

    def advance(self) -> float:
        """One step; returns the loss."""
        config = self.config
        joint = self.step < self.joint_steps
        distilling = joint and self.step < config.distil_steps
        shape = {}
        if distilling:
            shape = {"batch_audio": config.distil_batch, "batch_motions": 1}
        elif not joint:
            shape = {"batch_audio": config.batch_frozen, "batch_motions": 1}
            if self.heard is None:
                self.freeze()
        batch = self._batch(dataclasses.replace(config, **shape), self.step)
        hidden, seconds = hear(self.networks["encoder"], batch, config.fps)
        loss = torch.zeros((), device=hidden.device)
        if joint:
            read_out = self.networks["read_out"].loss(hidden, batch.samples, batch.prosody, seconds)
            loss = read_out if distilling else config.read_out_weight * read_out
            self.last["read_out"] = read_out.item()
        if not distilling:
            generator = torch.Generator().manual_seed(_seed(config.seed, self.step))
            parts = motion_loss(
                self.networks["dit"], hidden, batch, self.scheduler, config, generator
            )
            loss = loss + parts.places + config.velocity_weight * parts.velocities
            self.last |= {"places": parts.places.item(), "velocities": parts.velocities.item()}
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.networks.parameters(), config.grad_clip)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average.step(self.networks.parameters())
        self.step += 1
        self.last["loss"] = loss.item()
        return self.last["loss"]

    def freeze(self) -> None:
        """End the joint part: the encoder keeps its averaged weights and listens to the whole
        corpus once."""
        with self._averaged():
            weights = {k: v.clone() for k, v in self.encoder.model.state_dict().items()}
        self.encoder.model.load_state_dict(weights)
        self.encoder.model.requires_grad_(False)
        clips = (AudioClip(np.asarray(audio) / np.float32(32768)) for audio in self.corpus.audio)
        rows = [self.encoder(clip, self.config.fps).hidden_states for clip in clips]
        self.heard = np.stack(rows).astype(np.float16)

    def rate(self) -> float:
        """The learning rate: up, flat, and down to zero over the last part of the run."""
        config = self.config
        start = config.distil_steps if config.distil_steps <= self.step < self.joint_steps else 0
        up = min(1.0, (self.step - start + 1) / max(config.warmup_steps, 1))
        down = (config.steps - self.step) / max(config.cooldown * config.steps, 1)
        return config.learning_rate * min(up, 1.0, max(down, 0.0))

    def monitor(self) -> dict[str, float]:
        """Velocity error on held-out speech with the right and with wrong audio, by the averaged
        weights."""
        config = dataclasses.replace(self.config, batch_audio=8)
        errors = []
        with self._averaged(), torch.no_grad():
            for number in range(2):
                batch = self._batch(config, number, validation=True)
                hidden, _ = hear(self.networks["encoder"], batch, config.fps)
                errors.append(hearing(self.networks["dit"], hidden, batch, self.scheduler, config))
        right, wrong = np.mean(errors, axis=0)
        return {"right": right, "wrong": wrong, "ratio": wrong / right}

    def save(self) -> None:
        """Write `state.pt` and the averaged weights under `checkpoint/`."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "networks": self.networks.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.state_dict(),
        }
        partial = self.folder / "state.pt.partial"
        torch.save(state, partial)
        partial.replace(self.folder / "state.pt")
        self.export(self.folder / "checkpoint")

    def export(self, folder: Path) -> None:
        """Write what the product loads: `audio/` and `gesture/`, with averaged weights."""
        with self._averaged():
            self.encoder.save_pretrained(folder / "audio")
            Stage1Pipeline(self.networks["dit"], self.scheduler).save_pretrained(folder / "gesture")

    def resume(self) -> None:
        """Go on exactly where `save` left off."""
        path = self.folder / "state.pt"
        if not path.is_file():
            raise InputError(
                "resume", "needs a state.pt", str(self.folder), "Start without --resume."
            )
        state = torch.load(path, map_location=self.accelerator.device, weights_only=True)
        self.networks.load_state_dict(state["networks"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average.load_state_dict(state["average"])
        self.step, self.seconds = state["step"], state["seconds"]

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The networks have their averaged weights for a while."""
        self.average.store(self.networks.parameters())
        self.average.copy_to(self.networks.parameters())
        try:
            yield
        finally:
            self.average.restore(self.networks.parameters())

    def _batch(self, config: GestureConfig, number: int, *, validation: bool = False) -> Batch:
        batch = draw(
            self.corpus, self.encoder, config, number, heard=self.heard, validation=validation
        )
        device = self.accelerator.device
        moved = {f.name: getattr(batch, f.name).to(device) for f in dataclasses.fields(batch)}
        return Batch(**moved)

    def _write_config(self) -> None:
        facts = {key: self.corpus.facts[key] for key in ("seed", "clips", "duration_s")}
        config = {**dataclasses.asdict(self.config), "git_commit": _commit(), "corpus": facts}
        (self.folder / "config.json").write_text(json.dumps(config, indent=1))

    def _log(self) -> None:
        row = {
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "rate": self.rate(),
            **self.last,
        }
        path = self.folder / "log.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, LOG_FIELDS)
            if fresh:
                writer.writeheader()
            writer.writerow(row)


def _seed(*numbers: int) -> int:
    """One well-mixed seed out of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _commit() -> str:
    run = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return run.stdout.strip() or "unknown"


def main(argv: list[str] | None = None) -> int:
    """`python -m emo2 train gesture`."""
    parser = argparse.ArgumentParser(prog="emo2 train gesture", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--corpus", type=Path, required=True, help="folder made by `emo2 corpus gesture`"
    )
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument("--steps", type=int, default=GestureConfig.steps, help="optimiser steps")
    parser.add_argument(
        "--joint-steps",
        type=int,
        default=GestureConfig.joint_steps,
        help="steps during which the audio encoder learns, too",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", choices=("demo", "small", "full"), default="demo")
    parser.add_argument(
        "--representation",
        choices=tuple(REPRESENTATIONS),
        default="hands",
        help="what is learnt: hands (end effectors) or whole arms, shoulder to wrist",
    )
    parser.add_argument(
        "--audio-checkpoint", help="a frozen wav2vec 2.0 folder; default: train a small one"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the run folder's state")
    options = parser.parse_args(argv)
    config = GestureConfig(
        steps=options.steps,
        joint_steps=options.joint_steps,
        seed=options.seed,
        audio_checkpoint=options.audio_checkpoint,
        representation=options.representation,
    )
    if options.size == "small":
        config = dataclasses.replace(config, motion=SMALL_MOTION)
    if options.size == "full":
        config = dataclasses.replace(config, motion=FULL_MOTION, learning_rate=1e-4)
    # Being asked to go, by a person or by a cluster, saves the state first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    training = GestureTraining(config, Corpus.load(options.corpus), options.out)
    if options.resume:
        training.resume()
    training.run(config.steps)
    print(f"step {training.step}, loss {training.last['loss']:.4f}: {options.out / 'checkpoint'}")
    return 0
