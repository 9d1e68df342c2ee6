"""What Stage 1 learns: the clean motion and its velocity, from any amount of noise.

Letters as in `emo2.stage1.motion_dit`; A stretches of audio, each shared by B / A motions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import DDIMScheduler
from torch import Tensor
from transformers import Wav2Vec2Model

from emo2.features.audio import listen
from emo2.stage1.motion_dit import MotionDiT
from emo2.training.batches import Batch
from emo2.training.config import GestureConfig
from emo2.types import NETWORK_SAMPLE_RATE_HZ


@dataclass(frozen=True)
class MotionLoss:
    """Parts of the loss, scalars."""

    places: Tensor
    velocities: Tensor


def hear(model: Wav2Vec2Model, batch: Batch, fps: float) -> tuple[Tensor, Tensor]:
    """Hidden states (A, K + N + L, D) and the moments (K + N + L,) [s] that they belong to."""
    seconds = torch.arange(batch.audio_mask.shape[1], device=batch.samples.device) / fps
    if batch.hidden.shape[-1]:
        return batch.hidden, seconds
    return listen(model, batch.samples, seconds, NETWORK_SAMPLE_RATE_HZ), seconds


def predict(
    dit: MotionDiT, hidden: Tensor, batch: Batch, noisy: Tensor, timestep: Tensor, context: Tensor
) -> Tensor:
    """The network's clean window (B, K + N, C)."""
    motions = len(batch.frames) // len(hidden)
    audio_mask = batch.audio_mask.repeat_interleave(motions, 0) & ~batch.deaf[:, None]
    return dit(
        noisy,
        timestep,
        hidden.repeat_interleave(motions, 0),
        audio_mask=audio_mask,
        context=context,
        context_mask=batch.context_mask,
        style=batch.style,
        speed=batch.speed,
        offset_m=batch.offset_m,
        visible=batch.visible,
        keep=batch.keep,
    )


def motion_loss(
    dit: MotionDiT,
    hidden: Tensor,
    batch: Batch,
    scheduler: DDIMScheduler,
    config: GestureConfig,
    generator: torch.Generator,
) -> MotionLoss:
    """Noise a batch, predict it clean, and compare places and frame-to-frame differences."""
    plain = dit.module if hasattr(dit, "module") else dit
    clean = plain.normalise(batch.frames)
    num_context = config.motion.num_context_frames
    noise = torch.randn(clean.shape, generator=generator).to(clean.device)
    steps = scheduler.config.num_train_timesteps
    timestep = torch.randint(0, steps, (len(clean),), generator=generator).to(clean.device)
    noisy = scheduler.add_noise(clean[:, num_context:], noise[:, num_context:], timestep)
    noisy = torch.where(batch.kept, clean[:, num_context:], noisy)
    context = clean[:, :num_context] + config.context_noise * noise[:, :num_context]
    told = predict(dit, hidden, batch, noisy, timestep, context)

    written = plain.representation
    weights = torch.from_numpy(written.part_weights()).to(clean.device) * _even(clean)
    seen = batch.visible.repeat_interleave(written.channels_per_hand, dim=2)
    seen = seen & batch.loss_mask[..., None]
    places = _mean((told - clean) ** 2 * weights, seen)
    difference = ((told - clean)[:, 1:] - (told - clean)[:, :-1]) / config.velocity_scale
    velocities = _mean(difference**2 * weights, seen[:, 1:] & seen[:, :-1])
    return MotionLoss(places, velocities)


@torch.no_grad()
def hearing(
    dit: MotionDiT, hidden: Tensor, batch: Batch, scheduler: DDIMScheduler, config: GestureConfig
) -> tuple[float, float]:
    """Is the speech used? Wrist velocity error [cm/s] out of almost pure noise, with the right and
    with wrong audio.

    Equal errors mean a deaf network; it is the first number to watch.
    """
    num_context = config.motion.num_context_frames
    clean = dit.normalise(batch.frames)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(clean[:, num_context:].shape, generator=generator).to(clean.device)
    timestep = torch.full((len(clean),), int(0.95 * scheduler.config.num_train_timesteps))
    timestep = timestep.to(clean.device)
    noisy = scheduler.add_noise(clean[:, num_context:], noise, timestep)
    errors = []
    for heard in (hidden, hidden.roll(1, dims=0)):
        told = predict(dit, heard, batch, noisy, timestep, clean[:, :num_context])
        wrists = [_wrists(dit, x[:, num_context:]) for x in (told, clean)]
        velocity = (wrists[0] - wrists[1]).diff(dim=1) * config.fps * 100
        errors.append(velocity.norm(dim=-1).mean().item())
    return errors[0], errors[1]


def _wrists(dit: MotionDiT, clean: Tensor) -> Tensor:
    """Normalised channels (B, F, C) -> wrists (B, F, 2, 3) metres, on the CPU."""
    channels = dit.denormalise(clean).cpu().numpy()
    return torch.from_numpy(dit.representation.places_m(channels))


def _even(clean: Tensor) -> Tensor:
    """(B, 1, 1) weights of mean 1: calm motions count as much as lively ones, whose errors are
    larger."""
    motion = clean.diff(dim=1).square().mean(dim=(1, 2)).sqrt()
    weights = 1 / (motion / motion.mean() + 0.3)
    return (weights / weights.mean())[:, None, None]


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp(min=1)
