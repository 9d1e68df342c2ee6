"""Train Stage 1: audio encoder and `MotionDiT` together, from raw speech (paper, section 3.1).

    python -m emo2 train gesture --corpus runs/corpus --out runs/gesture
    accelerate launch -m emo2 train gesture --corpus runs/beat2 --size full --out runs/full

The run folder holds `config.json` (with the git commit), `log.csv`, `state.pt` (to resume exactly)
and `checkpoint/` (what the product loads, with averaged weights). Ctrl-C ends the run after the
step it is at; --resume goes on to the bit, for data and noise follow from the seed and the batch's
number alone.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from diffusers.training_utils import EMAModel
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from emo2.errors import InputError
from emo2.stage1.pipeline import Stage1Pipeline
from emo2.stage1.representation import REPRESENTATIONS
from emo2.training.batches import Batch, Examples, draw
from emo2.training.build import build_encoder, build_motion_dit, build_scheduler
from emo2.training.config import GestureConfig
from emo2.training.distillation import ReadOut
from emo2.training.listening import forget_heard, hear_corpora, open_encoder
from emo2.training.losses import hear, hearing, motion_loss
from emo2.training.mixture import Mixture
from emo2.training.networks import GestureNetworks, seed_of
from emo2.training.options import parse
from emo2.training.run_folder import RunFolder

LOSSES = ("loss", "places", "velocities", "angles", "read_out")
LOG_FIELDS = ("step", "seconds", "rate", *LOSSES, "validation", "right", "wrong", "ratio")
MAY_CHANGE = ("steps", "joint_steps", "workers", "log_every", "monitor_every", "save_minutes")
"""Settings that may be others when a run is resumed."""
LONGEST_WAIT = timedelta(hours=6)
"""Of one process for another: the first to hear its share of a corpus waits for the last."""
VALIDATION_BATCHES = 2


class GestureTraining:
    """One run: networks, optimiser, averages and the step reached."""

    def __init__(
        self, config: GestureConfig, mixture: Mixture, folder: Path, *, tensorboard: bool = False
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.mixture, self.folder = config, mixture, folder
        self.tensorboard = tensorboard
        precision = config.mixed_precision or ("bf16" if torch.cuda.is_available() else "no")
        waits = InitProcessGroupKwargs(timeout=LONGEST_WAIT)
        # Each part of a run leaves some of the networks out.
        unused = DistributedDataParallelKwargs(find_unused_parameters=True)
        self.accelerator = Accelerator(mixed_precision=precision, kwargs_handlers=[waits, unused])
        self.scheduler = build_scheduler()
        if config.audio_checkpoint is None:
            self.encoder, self.joint_steps = build_encoder(config.audio), config.joint_steps
            learning = self.encoder.model.requires_grad_(True), ReadOut(self.encoder.width)
        else:
            self.encoder, self.joint_steps = open_encoder(config.audio_checkpoint), 0
            self.encoder.model.to(self.accelerator.device)
            learning = ()
        facts = mixture.facts | mixture.moments(REPRESENTATIONS[config.representation])
        dit = build_motion_dit(config, self.encoder.width, facts)
        self.networks = GestureNetworks(dit, self.scheduler, config, *learning)
        self.networks.to(self.accelerator.device)
        optimiser = torch.optim.AdamW(
            self.networks.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            betas=(0.9, 0.99),
        )
        self.average = EMAModel(self.networks.parameters(), decay=config.ema_decay)
        self.wrapped, self.optimiser = self.accelerator.prepare(self.networks, optimiser)
        self.step = 0
        self.seconds = 0.0
        self.last: dict[str, float] = {}
        self.heard: list[np.ndarray] | None = None
        self._batches: tuple[str, Iterator[Batch]] | None = None

    # The run ------------------------------------------------------------------------------------

    def run(self, until: int) -> None:
        """Train up to step `until`; logs, monitors and saves on the way. Ctrl-C, or being asked to
        go by a cluster, ends it earlier, after a whole step."""
        main = self.accelerator.is_main_process
        if not self.step and main:
            forget_heard(self.folder)
        run_folder = self._open_run_folder() if main else None
        began, saved = time.monotonic() - self.seconds, time.monotonic()
        bar = tqdm(total=until, initial=self.step, unit="step", mininterval=5, disable=not main)
        with _asked_to_stop() as stopping, bar:
            while self.step < until and not self._any(bool(stopping)):
                losses = self.advance()
                self.seconds = time.monotonic() - began
                bar.update()
                monitoring = self.step % self.config.monitor_every == 0
                if monitoring or self.step % self.config.log_every == 0:
                    self.last = self._mean(losses)
                    bar.set_postfix(loss=f"{self.last['loss']:.3f}")
                    if main:
                        run_folder.log(self._row(self.monitor() if monitoring else {}))
                if main and time.monotonic() - saved > 60 * self.config.save_minutes:
                    self.save()
                    saved = time.monotonic()
        if run_folder is not None:
            run_folder.close()
            self.save()
        self.accelerator.wait_for_everyone()

    def advance(self) -> dict[str, Tensor]:
        """One step of the optimiser; returns the loss and its parts, of this process's last
        batch."""
        config, part = self.config, self.part
        if part == "frozen" and self.heard is None:
            self.freeze()
        rounds = config.accumulate
        for place in range(rounds):
            batch, number = self._next(part), self._number(self.step, place)
            last = place == rounds - 1
            with nullcontext() if last else self.accelerator.no_sync(self.wrapped):
                losses = self.wrapped(batch, number, part)
                self.accelerator.backward(losses["loss"] / rounds)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        self.accelerator.clip_grad_norm_(self.wrapped.parameters(), config.grad_clip)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average.step(self.networks.parameters())
        self.step += 1
        return {name: value.detach() for name, value in losses.items()}

    @property
    def part(self) -> str:
        """Which of `networks.PARTS` the next step belongs to."""
        if self.step >= self.joint_steps:
            return "frozen"
        return "distil" if self.step < self.config.distil_steps else "joint"

    def freeze(self) -> None:
        """End the joint part: the encoder keeps its averaged weights and listens to the whole
        corpus once."""
        if self.networks.encoder is not None:
            with self._averaged():
                weights = {k: v.clone() for k, v in self.networks.encoder.state_dict().items()}
            self.networks.encoder.load_state_dict(weights)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.heard = hear_corpora(self.mixture, self.encoder, self.folder, self.accelerator)

    def rate(self) -> float:
        """The learning rate: up, flat, and down to zero over the last part of the run."""
        config = self.config
        start = config.distil_steps if config.distil_steps <= self.step < self.joint_steps else 0
        up = min(1.0, (self.step - start + 1) / max(config.warmup_steps, 1))
        down = (config.steps - self.step) / max(config.cooldown * config.steps, 1)
        return config.learning_rate * min(up, 1.0, max(down, 0.0))

    @torch.no_grad()
    def monitor(self) -> dict[str, float]:
        """Of held-out speech, by the averaged weights: the loss, with all noise alike, and the
        velocity error with the right and with wrong audio."""
        shape = {"batch_audio": 8, "min_snr_gamma": None}
        config = dataclasses.replace(self.config, **shape)
        losses, errors = [], []
        with self._averaged(), self.accelerator.autocast():
            for number in range(VALIDATION_BATCHES):
                batch = draw(
                    self.mixture, self.encoder, config, number, heard=self.heard, validation=True
                ).to(self.accelerator.device)
                hidden, _ = hear(self.networks.encoder, batch, config.fps)
                told = (self.networks.dit, hidden, batch, self.scheduler, config)
                generator = torch.Generator().manual_seed(seed_of(config.seed, number))
                losses.append(motion_loss(*told, generator).total(config).item())
                errors.append(hearing(*told))
        right, wrong = np.mean(errors, axis=0)
        facts = {"right": right, "wrong": wrong, "ratio": wrong / right}
        return {"validation": float(np.mean(losses)), **facts}

    # Saving -------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write `state.pt` and the averaged weights under `checkpoint/`."""
        state = {
            "config": self._settings(),
            "step": self.step,
            "seconds": self.seconds,
            "networks": self.networks.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.state_dict(),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / "state.pt.partial"
        torch.save(state, partial)
        partial.replace(self.folder / "state.pt")
        self.export(self.folder / "checkpoint")

    def export(self, folder: Path) -> None:
        """Write what the product loads: `audio/` and `gesture/`, with averaged weights."""
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        style = self.mixture.commonest
        with self._averaged():
            self.encoder.save_pretrained(partial / "audio")
            pipeline = Stage1Pipeline(self.networks.dit, self.scheduler, default_style=style)
            pipeline.save_pretrained(partial / "gesture")
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)

    def resume(self) -> None:
        """Go on exactly where `save` left off. Raises `InputError` where there is nothing to go on
        with, or the settings are others."""
        path = self.folder / "state.pt"
        if not path.is_file():
            raise InputError(
                "resume", "needs a state.pt", str(self.folder), "Start without --resume."
            )
        state = torch.load(path, map_location="cpu", weights_only=True)
        was, now = json.loads(state["config"]), json.loads(self._settings())
        for name in sorted(was.keys() | now.keys()):
            if name not in MAY_CHANGE and was.get(name) != now.get(name):
                rule = f"goes on with the run's own {name}, {was.get(name)}"
                raise InputError("resume", rule, now.get(name), "Say it again as it was.")
        self.networks.load_state_dict(state["networks"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average.load_state_dict(state["average"])
        self.average.to(self.accelerator.device)
        self.step, self.seconds = state["step"], state["seconds"]
        if self.part != "frozen" and self.accelerator.is_main_process:
            forget_heard(self.folder)  # the encoder learns on

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The networks have their averaged weights for a while."""
        self.average.store(self.networks.parameters())
        self.average.copy_to(self.networks.parameters())
        try:
            yield
        finally:
            self.average.restore(self.networks.parameters())

    # Batches ------------------------------------------------------------------------------------

    def _number(self, step: int, place: int) -> int:
        """Of a batch: as if one process did all of a step's batches, one after the other."""
        processes = self.accelerator.num_processes
        return (step * self.config.accumulate + place) * processes + self.accelerator.process_index

    def _next(self, part: str) -> Batch:
        if self._batches is None or self._batches[0] != part:
            self._batches = part, iter(self._loader(part))
        return next(self._batches[1]).to(self.accelerator.device)

    def _loader(self, part: str) -> DataLoader:
        """The batches of a part of the run, from here to its end."""
        config = self.config
        shapes = {
            "distil": {"batch_audio": config.distil_batch, "batch_motions": 1},
            "joint": {},
            "frozen": {"batch_audio": config.batch_frozen, "batch_motions": 1},
        }
        ends = {"distil": min(config.distil_steps, self.joint_steps), "joint": self.joint_steps}
        end = ends.get(part, max(config.steps, self.step + 1))
        heard = self.heard if part == "frozen" else None
        examples = Examples(
            self.mixture, self.encoder, dataclasses.replace(config, **shapes[part]), heard
        )
        first, last = self._number(self.step, 0), self._number(end, 0)
        return DataLoader(
            examples,
            batch_size=None,
            sampler=range(first, last, self.accelerator.num_processes),
            num_workers=config.workers,
            pin_memory=self.accelerator.device.type == "cuda",
        )

    # Logs ---------------------------------------------------------------------------------------

    def _any(self, mine: bool) -> bool:
        """Is it so in any process? All of them must ask."""
        if self.accelerator.num_processes == 1:
            return mine
        flag = torch.tensor([float(mine)], device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum").item())

    def _mean(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """Losses over all processes, as numbers."""
        values = torch.stack([losses[name].float() for name in losses])
        means = dict(zip(losses, self.accelerator.reduce(values, "mean").tolist(), strict=True))
        if not all(map(math.isfinite, means.values())):
            raise FloatingPointError(f"step {self.step}: {means}; the last state saved is kept")
        return means

    def _row(self, monitored: dict[str, float]) -> dict[str, float]:
        row = {"step": self.step, "seconds": round(self.seconds, 1), "rate": self.rate()}
        return row | self.last | monitored

    def _settings(self) -> str:
        settings = dataclasses.asdict(self.config) | {"corpora": self.mixture.describe()}
        return json.dumps(settings)

    def _open_run_folder(self) -> RunFolder:
        folder = RunFolder(self.folder, LOG_FIELDS, step=self.step, tensorboard=self.tensorboard)
        accelerator = self.accelerator
        folder.describe(
            json.loads(self._settings())
            | {
                "processes": accelerator.num_processes,
                "device": str(accelerator.device),
                "precision": accelerator.mixed_precision,
            }
        )
        return folder


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """A list that fills when a person or a cluster asks the run to end; a second Ctrl-C does not
    wait."""
    asked: list[int] = []

    def note(number: int, frame: object) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, note) for kind in kinds]
    try:
        yield asked
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


def main(argv: list[str] | None = None) -> int:
    """`python -m emo2 train gesture`."""
    options, config = parse(argv)
    mixture = Mixture.load(options.corpus, options.weights, config.label)
    training = GestureTraining(config, mixture, options.out, tensorboard=options.tensorboard)
    if options.resume:
        training.resume()
    training.run(config.steps)
    if training.accelerator.is_main_process:
        loss = f", loss {training.last['loss']:.4f}" if "loss" in training.last else ""
        print(f"step {training.step}{loss}: {options.out / 'checkpoint'}")
    return 0
