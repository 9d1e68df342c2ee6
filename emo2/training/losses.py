"""What Stage 1 learns: the clean motion, its velocity and, if asked for, the angles of its joints,
from any amount of noise.

Letters as in `emo2.stage1.motion_dit`; A stretches of audio, each shared by B / A motions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import DPMSolverMultistepScheduler
from torch import Tensor
from transformers import Wav2Vec2Model

from emo2.features.audio import listen
from emo2.stage1.motion_dit import MotionDiT
from emo2.training.batches import Batch
from emo2.training.config import GestureConfig
from emo2.training.rotation_loss import angles
from emo2.types import NETWORK_SAMPLE_RATE_HZ, NUM_HANDS, NUM_JOINTS


@dataclass(frozen=True)
class MotionLoss:
    """Parts of the loss, scalars."""

    places: Tensor
    """Of normalised channels."""
    velocities: Tensor
    """Of their differences from frame to frame."""
    angles: Tensor
    """Squared angles of the 16 joints [rad^2]; 0 where they have no weight."""

    def total(self, config: GestureConfig) -> Tensor:
        """The weighted sum."""
        total = self.places + config.velocity_weight * self.velocities
        return total + config.geodesic_weight * self.angles


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
    scheduler: DPMSolverMultistepScheduler,
    config: GestureConfig,
    generator: torch.Generator,
) -> MotionLoss:
    """Noise a batch, predict it clean, and compare places and frame-to-frame differences."""
    clean = dit.normalise(batch.frames)
    num_context = config.motion.num_context_frames
    noise = torch.randn(clean.shape, generator=generator).to(clean.device)
    steps = scheduler.config.num_train_timesteps
    timestep = torch.randint(0, steps, (len(clean),), generator=generator).to(clean.device)
    noisy = scheduler.add_noise(clean[:, num_context:], noise[:, num_context:], timestep)
    noisy = torch.where(batch.kept, clean[:, num_context:], noisy)
    context = clean[:, :num_context] + config.context_noise * noise[:, :num_context]
    told = predict(dit, hidden, batch, noisy, timestep, context).float()

    written = dit.representation
    count = noise_weights(scheduler, timestep, config)[:, None, None] * _even(clean)
    weights = torch.from_numpy(written.part_weights()).to(clean.device) * count
    visible = batch.visible & batch.loss_mask[..., None]
    seen = visible.repeat_interleave(written.channels_per_hand, dim=2)
    places = _mean((told - clean) ** 2 * weights, seen)
    difference = ((told - clean)[:, 1:] - (told - clean)[:, :-1]) / config.velocity_scale
    velocities = _mean(difference**2 * weights, seen[:, 1:] & seen[:, :-1])
    turned = told.new_zeros(())
    if config.geodesic_weight:
        squares = joint_angles(dit, told, clean) ** 2  # (B, F, 2, 16)
        turned = _mean(_by_joint(squares) * count, visible)
    return MotionLoss(places, velocities, turned)


def joint_angles(dit: MotionDiT, told: Tensor, clean: Tensor) -> Tensor:
    """Angles [rad] between the joints of two normalised motions (B, F, C): (B, F, 2, 16)."""

    def rotations(normalised: Tensor) -> Tensor:
        hands = dit.denormalise(normalised).unflatten(2, (NUM_HANDS, -1))
        return hands[..., -6 * NUM_JOINTS :].unflatten(3, (NUM_JOINTS, 6))

    return angles(rotations(told), rotations(clean))


def noise_weights(
    scheduler: DPMSolverMultistepScheduler, timestep: Tensor, config: GestureConfig
) -> Tensor:
    """(B,) how much examples of this much noise count, 1 on average over all timesteps.

    Hang et al. 2023, equation 8 and its note on x0-prediction: min(SNR, gamma), here of an SNR that
    counts as `min_snr_floor` at least. Predicting x0 with equal weights is, in terms of the noise,
    weighing by SNR; this caps what nearly clean examples count.
    """
    if config.min_snr_gamma is None:
        return torch.ones(len(timestep), device=timestep.device)
    kept = scheduler.alphas_cumprod.to(timestep.device)
    snr = kept / (1 - kept).clamp(min=1e-8)
    weights = snr.clamp(config.min_snr_floor, config.min_snr_gamma)
    return (weights / weights.mean())[timestep]


@torch.no_grad()
def hearing(
    dit: MotionDiT,
    hidden: Tensor,
    batch: Batch,
    scheduler: DPMSolverMultistepScheduler,
    config: GestureConfig,
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


def _by_joint(values: Tensor) -> Tensor:
    """(B, F, 2, 16) -> (B, F, 2): the wrist weighs as much as all finger joints together."""
    return (values[..., 0] + values[..., 1:].mean(dim=-1)) / 2


def _even(clean: Tensor) -> Tensor:
    """(B, 1, 1) weights of mean 1: calm motions count as much as lively ones, whose errors are
    larger."""
    motion = clean.diff(dim=1).square().mean(dim=(1, 2)).sqrt()
    weights = 1 / (motion / motion.mean() + 0.3)
    return (weights / weights.mean())[:, None, None]


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp(min=1)
