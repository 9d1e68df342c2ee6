"""Train the viseme network: synthetic speech in, the lips that its known sounds ask for out.

    python -m emo2 train visemes --out runs/visemes

Nobody was filmed for it. What makes it hear strangers: many timbres and languages, higher and
lower, faster and slower voices, rooms and microphones (`emo2.training.voices.record`).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.signal import resample_poly
from torch import Tensor
from tqdm import tqdm

from emo2.draft.speech import RATE_HZ
from emo2.draft.visemes import VisemeNet, log_mel
from emo2.errors import InputError
from emo2.training.articulation import Phone, lips
from emo2.training.sentences import SENTENCES
from emo2.training.timed_voices import choose_sayer
from emo2.training.voices import record
from emo2.types import NETWORK_SAMPLE_RATE_HZ, AudioClip

CROP = 3 * RATE_HZ
"""Points of one example."""
PITCH_PERCENT = (82, 122)
"""Voices are played so much slower or faster: higher and lower ones, longer and shorter throats."""
HELD_OUT = 20
"""Every so-many-th recording is only for validation."""


@dataclass(frozen=True)
class VisemeConfig:
    """One training."""

    recordings: int = 2000
    steps: int = 2500
    batch: int = 24
    learning_rate: float = 2e-3
    seed: int = 0
    width: int = 96


def make_recording(index: int, seed: int, bands: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, bands) log-mel and (N, 3) lips of somebody saying something somewhere."""
    rng = np.random.default_rng((seed, index))
    language, say = choose_sayer(rng)
    samples, phones = say(_text(rng, language))
    percent = int(rng.integers(*PITCH_PERCENT))
    samples = resample_poly(samples, 100, percent).astype(np.float32)
    phones = [Phone(p.name, p.start_s * 100 / percent, p.stop_s * 100 / percent) for p in phones]
    before_s = rng.uniform(0, 0.4)
    samples = np.pad(samples, (round(before_s * NETWORK_SAMPLE_RATE_HZ), 3200))
    phones = [Phone(p.name, p.start_s + before_s, p.stop_s + before_s) for p in phones]
    clip = AudioClip(record(rng, samples))
    mel = log_mel(clip, bands)
    return mel.astype(np.float16), lips(phones, clip.duration_s)[: len(mel)].astype(np.float16)


def make_recordings(config: VisemeConfig, bands: int, workers: int) -> list[tuple]:
    """All recordings, each by a process of its own: espeak-ng's library remembers what it said
    before, and would say the same differently."""
    log_mel(AudioClip(np.zeros(800, np.float32)), bands)  # what it imports, once for all
    make = partial(make_recording, seed=config.seed, bands=bands)
    with get_context("fork").Pool(workers, maxtasksperchild=1) as pool:
        made = pool.imap(make, range(config.recordings), chunksize=1)
        return list(tqdm(made, total=config.recordings, unit="recording"))


def viseme_loss(told: Tensor, wanted: Tensor) -> Tensor:
    """told (B, N, 3) as the network tells it, wanted (B, N, 3) as `lips` has it."""
    opened = F.mse_loss(told[..., 0].sigmoid(), wanted[..., 0])
    spread = F.mse_loss(told[..., 1].tanh(), wanted[..., 1])
    press = F.binary_cross_entropy_with_logits(told[..., 2], wanted[..., 2])
    return 10 * opened + 2 * spread + press  # open counts most: it is seen most


def train(config: VisemeConfig, workers: int = 2) -> tuple[VisemeNet, dict[str, float]]:
    """The network, and its errors on recordings that it was not shown, beside those of always
    telling the mean."""
    torch.manual_seed(config.seed)
    net = VisemeNet(width=config.width)
    recordings = make_recordings(config, net.config.bands, workers)
    shown = [r for i, r in enumerate(recordings) if i % HELD_OUT]
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=config.steps, pct_start=0.05
    )
    rng = np.random.default_rng(config.seed)
    for _ in tqdm(range(config.steps), unit="step"):
        mel, wanted = _batch(rng, shown, config.batch)
        loss = viseme_loss(net(mel), wanted)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return net.eval(), errors(net, shown, recordings[::HELD_OUT])


@torch.no_grad()
def errors(net: VisemeNet, shown, held_out) -> dict[str, float]:
    """Root mean square errors of open and spread, and how well press is told (area under ROC)."""
    from sklearn.metrics import roc_auc_score

    mel = [torch.from_numpy(m.astype(np.float32))[None] for m, _ in held_out]
    told = np.concatenate([net(m)[0].numpy() for m in mel])
    wanted = np.concatenate([w for _, w in held_out]).astype(np.float32)
    usual = np.concatenate([w for _, w in shown]).astype(np.float32).mean(axis=0)
    sigmoid = 1 / (1 + np.exp(-told[:, 0]))
    facts = {}
    for name, column, values in (("open", 0, sigmoid), ("spread", 1, np.tanh(told[:, 1]))):
        facts[name] = float(np.sqrt(np.mean((values - wanted[:, column]) ** 2)))
        facts[f"{name}_mean"] = float(np.sqrt(np.mean((usual[column] - wanted[:, column]) ** 2)))
    facts["press_auc"] = float(roc_auc_score(wanted[:, 2] > 0.5, told[:, 2]))
    return facts


def main(argv: list[str] | None = None) -> int:
    """Train, save the network, print its errors."""
    parser = argparse.ArgumentParser(prog="emo2 train visemes", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    for name, value in asdict(VisemeConfig()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    options = vars(parser.parse_args(argv))
    out, workers = options.pop("out"), options.pop("workers")
    if options["recordings"] < HELD_OUT + 1:
        raise InputError(
            "--recordings", f"must be above {HELD_OUT}", options["recordings"], "Try 2000."
        )
    config = VisemeConfig(**options)
    net, found = train(config, workers)
    net.save_pretrained(out)
    (out / "training.json").write_text(json.dumps({**asdict(config), **found}, indent=2) + "\n")
    print(json.dumps(found))
    return 0


def _text(rng: np.random.Generator, language: str) -> str:
    """A sentence; or, so that sounds meet that seldom do, words out of several."""
    sentences = SENTENCES[language]
    if rng.random() < 0.5:
        return str(rng.choice(sentences))
    words = " ".join(sentences).replace(".", "").replace(",", "").split(" ")
    return " ".join(rng.choice(words, int(rng.integers(4, 12))))


def _batch(rng: np.random.Generator, recordings, count: int) -> tuple[Tensor, Tensor]:
    """Stretches of `CROP` points: (B, CROP, bands), (B, CROP, 3). Short ones go on in the silence
    with which every recording ends."""
    mels, wishes = [], []
    for index in rng.integers(len(recordings), size=count):
        mel, wanted = recordings[index]
        start = int(rng.integers(max(1, len(mel) - CROP + 1)))
        mel, wanted = mel[start : start + CROP], wanted[start : start + CROP]
        short = CROP - len(mel)
        # A band may be shifted a little: nobody's microphone is the corpus's.
        mel = mel + rng.normal(0, 0.1, mel.shape[1]).astype(np.float32)
        mels.append(np.pad(mel, ((0, short), (0, 0)), mode="edge"))
        wishes.append(np.pad(wanted, ((0, short), (0, 0))))
    return tuple(torch.from_numpy(np.stack(x).astype(np.float32)) for x in (mels, wishes))
