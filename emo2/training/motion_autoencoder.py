"""Train the autoencoder whose latents measure motion.

    python -m emo2 train motion-autoencoder --corpus runs/corpus --out runs/motion_autoencoder

The run folder holds `config.json` (with the git commit), `log.csv`, `state.pt` (to resume to the
bit) and, at the end, `checkpoint/` and `report.json`: how well motion of clips that were not
trained on is rebuilt, beside two baselines that know no motion. The committed weights are frozen:
distances made with other weights are other distances.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from emo2.errors import InputError
from emo2.evaluation.autoencoder import MotionAutoencoder, part_means
from emo2.evaluation.windows import WINDOW_FRAMES, cut
from emo2.motion.rotations import angle_between
from emo2.stage1.representation import NUM_CHANNELS, from_channels, swap_hands
from emo2.training.corpus_folder import Corpus

LOG_FIELDS = ("step", "seconds", "rate", "loss", "places", "wrists", "fingers", "divergence")


@dataclass(frozen=True)
class AutoencoderConfig:
    """One run of `python -m emo2 train motion-autoencoder`."""

    latent_size: int = 48
    widths: tuple[int, ...] = (64, 96, 112)
    seed: int = 0
    steps: int = 4000
    batch: int = 64
    learning_rate: float = 2e-3
    warmup_steps: int = 100
    grad_clip: float = 1.0
    velocity_weight: float = 0.1
    """Small: 48 numbers cannot hold the quickest turns of a window, and should not try."""
    velocity_scale: float = 0.2
    """Frame-to-frame differences of normalised channels are about this large (as in Stage 1)."""
    divergence_weight: float = 1e-4
    """Of the Kullback-Leibler divergence to a unit Gaussian, per latent: just enough to make the
    cloud of latents round, as the Frechet distance supposes."""
    fitted_windows: int = 4000
    """Windows that fix the principal directions at the start and the features' scale at the end."""
    log_every: int = 50
    save_every: int = 500


class AutoencoderTraining:
    """One run: network, optimiser and the step reached."""

    def __init__(self, config: AutoencoderConfig, corpus: Corpus, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.corpus = corpus
        long_enough = np.asarray(corpus.length) >= WINDOW_FRAMES
        self.learnt = np.flatnonzero(long_enough & ~corpus.held_out)
        self.held_out = np.flatnonzero(long_enough & corpus.held_out)
        if not (len(self.learnt) and len(self.held_out)):
            rule = f"needs clips of at least {WINDOW_FRAMES} frames, to learn from and to hold out"
            raise InputError("corpus", rule, list(corpus.length[:5]), "Make longer clips.")
        torch.manual_seed(config.seed)
        self.accelerator = Accelerator()
        model = MotionAutoencoder(config.latent_size, widths=config.widths)
        windows = draw_windows(
            corpus, self.learnt, config.fitted_windows, np.random.default_rng(config.seed)
        )
        frames = torch.from_numpy(windows[:, :: WINDOW_FRAMES // 4].reshape(-1, NUM_CHANNELS))
        mean, std = (torch.tensor(corpus.facts[name]) for name in ("mean", "std"))
        model.fit_frames(frames, mean, std)
        optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate)
        self.model = model.to(self.accelerator.device)
        self.optimiser = self.accelerator.prepare(optimiser)
        self.step, self.seconds, self.last = 0, 0.0, {}

    def run(self, until: int) -> None:
        """Train up to step `until`; logs and saves on the way."""
        self.folder.mkdir(parents=True, exist_ok=True)
        about = {**asdict(self.config), "git_commit": _commit()}
        (self.folder / "config.json").write_text(json.dumps(about, indent=1) + "\n")
        began = time.monotonic() - self.seconds
        for _ in tqdm(range(self.step, until), initial=self.step, total=until, mininterval=5):
            self.advance()
            self.seconds = time.monotonic() - began
            if self.step % self.config.log_every == 0:
                self._log()
            if self.step % self.config.save_every == 0:
                self.save()
        self.save()

    def advance(self) -> float:
        """One step; returns the loss. All chance follows from the seed and the step."""
        config = self.config
        rng = np.random.default_rng((config.seed, self.step))
        channels = torch.from_numpy(draw_windows(self.corpus, self.learnt, config.batch, rng))
        channels = channels.to(self.accelerator.device)
        mean, log_variance = self.model.encode(channels)
        noise = torch.from_numpy(rng.standard_normal(mean.shape, np.float32)).to(mean.device)
        rebuilt = self.model.decode(mean + noise * (log_variance / 2).exp())
        parts = rebuild_loss(self.model, rebuilt, channels, config)
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1).mean()
        loss = parts.mean() + config.divergence_weight * divergence
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), config.grad_clip)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.step += 1
        names = ("loss", "places", "wrists", "fingers", "divergence")
        values = (loss.item(), *parts.tolist(), divergence.item())
        self.last = dict(zip(names, values, strict=True))
        return self.last["loss"]

    def rate(self) -> float:
        """The learning rate: a short way up, half a cosine down to zero."""
        config = self.config
        up = min(1.0, (self.step + 1) / config.warmup_steps)
        down = 0.5 * (1 + math.cos(math.pi * min(self.step / config.steps, 1.0)))
        return config.learning_rate * up * down

    def save(self) -> None:
        """Write `state.pt`, whole or not at all."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        partial = self.folder / "state.pt.partial"
        torch.save(state, partial)
        partial.replace(self.folder / "state.pt")

    def resume(self) -> None:
        """Go on exactly where `save` left off."""
        path = self.folder / "state.pt"
        if not path.is_file():
            remedy = "Start without --resume."
            raise InputError("resume", "needs a state.pt", str(self.folder), remedy)
        state = torch.load(path, map_location=self.accelerator.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]

    @torch.no_grad()
    def finish(self) -> dict:
        """Fix the features' scale, write `checkpoint/` and `report.json`; returns the report."""
        model = self.model.eval()
        rng = np.random.default_rng(self.config.seed)
        windows = torch.from_numpy(
            draw_windows(self.corpus, self.learnt, self.config.fitted_windows, rng)
        )
        rows = torch.cat([model.measure(part.to(model.device)) for part in windows.split(256)])
        model.feature_mean.copy_(rows.mean(dim=0))
        model.feature_std.copy_(rows.std(dim=0))
        model.save_pretrained(self.folder / "checkpoint")
        report = reconstruction_errors(model, self.corpus, self.held_out)
        (self.folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
        return report

    def _log(self) -> None:
        row = {"step": self.step, "seconds": round(self.seconds, 1), "rate": self.rate()}
        path = self.folder / "log.csv"
        fresh = self.step == self.config.log_every or not path.exists()
        with path.open("w" if fresh else "a", newline="") as file:
            writer = csv.DictWriter(file, LOG_FIELDS)
            if fresh:
                writer.writeheader()
            writer.writerow(row | self.last)


def draw_windows(
    corpus: Corpus, clips: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """`count` windows (count, 64, 198) float32 of the given clips, half of them mirrored."""
    chosen = clips[rng.integers(len(clips), size=count)]
    motions = rng.integers(corpus.channels.shape[1], size=count)
    starts = rng.integers(corpus.length[chosen] - WINDOW_FRAMES + 1)
    mirrored = rng.random(count) < 0.5
    windows = []
    for clip, motion, start, mirror in zip(chosen, motions, starts, mirrored, strict=True):
        window = np.asarray(corpus.channels[clip, motion, start : start + WINDOW_FRAMES])
        window = window.astype(np.float32)
        windows.append(swap_hands(window) if mirror else window)
    return np.stack(windows)


def rebuild_loss(
    model: MotionAutoencoder, rebuilt: Tensor, channels: Tensor, config: AutoencoderConfig
) -> Tensor:
    """(3,) mean squared error of normalised channels and of their velocities: places, wrists,
    fingers."""
    error = (rebuilt - channels) / model.channel_std
    speed = error.diff(dim=1) / config.velocity_scale
    faults = error.square().mean(dim=(0, 1))
    jolts = speed.square().mean(dim=(0, 1))
    return (faults + config.velocity_weight * jolts) @ part_means().to(error)


@torch.no_grad()
def reconstruction_errors(
    model: MotionAutoencoder, corpus: Corpus, clips: np.ndarray
) -> dict[str, int | dict[str, float]]:
    """How far rebuilt motion lies from the motion of the given clips, mean over all windows.

    Beside the network: the corpus's mean pose for everything, and each window's own mean pose,
    which knows the pose and no movement.
    """
    tracks = (np.asarray(corpus.channels[i, :, : corpus.length[i]], np.float32) for i in clips)
    windows = np.concatenate([cut(track) for motions in tracks for track in motions])
    rebuilt = []
    for part in np.array_split(windows, max(1, len(windows) // 256)):
        latent, _ = model.encode(torch.tensor(part, device=model.device))
        rebuilt.append(model.decode(latent).cpu().numpy())
    means = windows.mean(axis=1, keepdims=True)
    mean_pose = np.broadcast_to(model.channel_mean.cpu().numpy(), windows.shape)
    return {
        "windows": len(windows),
        "autoencoder": _errors(np.concatenate(rebuilt), windows),
        "window's own mean pose": _errors(np.broadcast_to(means, windows.shape), windows),
        "corpus mean pose": _errors(mean_pose, windows),
    }


def _errors(made: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Mean distances between windows (n, 64, 198), over every eighth frame."""
    (turns, places), (true_turns, true_places) = (
        from_channels(windows[:, ::8].reshape(-1, NUM_CHANNELS)) for windows in (made, true)
    )
    angles = np.rad2deg(angle_between(turns.astype(float), true_turns.astype(float)))
    distances = np.linalg.norm(places - true_places, axis=-1)
    return {
        "wrist places cm": 100 * float(distances.mean()),
        "wrist rotations deg": float(angles[..., 0].mean()),
        "finger rotations deg": float(angles[..., 1:].mean()),
    }


def _commit() -> str:
    run = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return run.stdout.strip() or "unknown"


def main(argv: list[str] | None = None) -> int:
    """`python -m emo2 train motion-autoencoder`."""
    parser = argparse.ArgumentParser(
        prog="emo2 train motion-autoencoder", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--corpus", type=Path, required=True, help="a gesture corpus")
    parser.add_argument("--out", type=Path, required=True, help="run folder")
    parser.add_argument("--steps", type=int, default=AutoencoderConfig.steps)
    parser.add_argument("--seed", type=int, default=AutoencoderConfig.seed)
    parser.add_argument("--resume", action="store_true", help="go on from the run folder's state")
    options = parser.parse_args(argv)
    config = AutoencoderConfig(seed=options.seed, steps=options.steps)
    training = AutoencoderTraining(config, Corpus.load(options.corpus), options.out)
    if options.resume:
        training.resume()
    training.run(config.steps)
    print(json.dumps(training.finish(), indent=1))
    return 0
