"""What a full film model is trained to do: film the person of one frame, moving as another stretch
of the same video moves.

Nothing is leant on: the target is the video itself, in the autoencoder's latents, and the loss is
the scheduler's (`v_prediction`, `epsilon` or `sample`). Conditions are the pipeline's own methods,
so that training and filming cannot drift apart. The paper tells the conditions; how often each is
left out and the hands' weight are our design (`video_model.FULL_CONFIG`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emo2.stage2.guidance_scale import Term
from emo2.stage2.pipeline import Stage2Pipeline
from emo2.stage2.windows import audio_windows
from emo2.training.footage import FPS, FootageTake
from emo2.training.video_model import VideoConfig
from emo2.types import AudioFeatures

EVERYTHING = Term(1.0, guidance=True, reference=True, audio=True)
VALIDATION_LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Shares of the noise schedule at which held-out footage is judged."""


@dataclass(frozen=True)
class FilmBatch:
    """One clip. Pictures in [-1, 1], maps in [0, 1]; F frames, M motion frames."""

    portrait: Tensor
    """(1, 3, H, W): a frame from elsewhere in the same video."""
    frames: Tensor
    """(1, F, 3, H, W): the video as it is."""
    maps: Tensor
    """(1, 6, F, H, W): MANO, keypoints."""
    confidence: Tensor
    """(1, F, 2)."""
    heard: Tensor
    """(1, F, 2 radius + 1, D)."""
    noise: Tensor
    """(1, C, F, h, w)."""
    timestep: Tensor
    """(1,)."""
    keep: Term
    """Which conditions are given."""
    past: Tensor | None
    """(1, M, 3, H, W) or none."""

    def to(self, device: torch.device) -> FilmBatch:
        """On another device."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in values.items()}
        return FilmBatch(**moved)


def draw_film_batch(
    config: VideoConfig, pipeline: Stage2Pipeline, takes: list[FootageTake], number: int
) -> FilmBatch:
    """The batch of this number; the same number gives the same batch. Longer takes come more
    often, each stretch of footage alike."""
    rng = np.random.default_rng((config.seed, number))
    frames = np.array([take.num_frames for take in takes], dtype=np.float64)
    take = takes[rng.choice(len(takes), p=frames / frames.sum())]
    keep = Term(
        1.0,
        guidance=bool(rng.random() >= config.drop_guidance),
        reference=bool(rng.random() >= config.drop_reference),
        audio=bool(rng.random() >= config.drop_audio),
    )
    has_past = bool(rng.random() >= config.drop_past)
    levels = pipeline.scheduler.config.num_train_timesteps
    level = int(rng.integers(levels))
    length = config.size.clip_length
    return make_film_batch(pipeline, take, length, level, keep, has_past, rng)


def make_film_batch(
    pipeline: Stage2Pipeline,
    take: FootageTake,
    length: int,
    level: int,
    keep: Term,
    has_past: bool,
    rng: np.random.Generator,
) -> FilmBatch:
    """A stretch of `length` frames of a take, where `rng` says; without the motion frames where the
    portrait is left out, too: both are pictures of the person."""
    motion_frames = pipeline.config.motion_frames if has_past and keep.reference else 0
    start = int(rng.integers(motion_frames, take.num_frames - length + 1))
    stop, before = start + length, start - motion_frames
    elsewhere = np.concatenate([np.arange(before), np.arange(stop, take.num_frames)])
    portrait = int(rng.choice(elsewhere))
    guidance = take.guidance(start, stop)
    height, width = (side // pipeline.latent_stride for side in take.size)
    shape = (1, pipeline.vae.config.latent_channels, length, height, width)
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 60)))
    common = torch.randn((*shape[:2], 1, *shape[3:]), generator=generator)
    return FilmBatch(
        portrait=_pictures(take.pictures([portrait]))[0],
        frames=_pictures(take.pictures(range(start, stop))),
        maps=pipeline.maps(guidance, take.size),
        confidence=torch.from_numpy(guidance.confidence.copy())[None],
        heard=torch.from_numpy(_heard(take.sound, start, length, pipeline))[None],
        noise=pipeline.blend_noise(torch.randn(shape, generator=generator), common),
        timestep=torch.tensor([level]),
        keep=keep,
        past=_pictures(take.pictures(range(before, start))) if motion_frames else None,
    )


def _heard(sound: np.ndarray, start: int, length: int, pipeline: Stage2Pipeline) -> np.ndarray:
    """Audio windows of a stretch, of which alone the sound (T, D) is read."""
    radius = pipeline.audio_projection.config.radius
    first = max(0, start - radius)
    near = AudioFeatures(sound[first : start + length + radius], FPS)
    return audio_windows(near, start - first, length, radius)


def _pictures(frames: np.ndarray) -> Tensor:
    """(F, H, W, 3) uint8 to (1, F, 3, H, W) in [-1, 1]."""
    planes = np.ascontiguousarray(frames.transpose(0, 3, 1, 2), dtype=np.float32)
    return torch.from_numpy(planes / 127.5 - 1)[None]


class FilmLoss(nn.Module):
    """A batch to a number. Holds the pipeline's networks, so that `accelerate` can spread them.

    Args:
        hand_weight: how much more an error weighs where hands are than elsewhere.
    """

    def __init__(self, pipeline: Stage2Pipeline, hand_weight: float) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            [
                pipeline.reference_net,
                pipeline.unet,
                pipeline.guidance_encoder,
                pipeline.audio_projection,
            ]
        )
        self.pipeline, self.hand_weight = pipeline, hand_weight

    def trainable(self) -> list[nn.Parameter]:
        """The parameters of all networks; the autoencoder is fixed."""
        return [p for p in self.networks.parameters() if p.requires_grad]

    def forward(self, batch: FilmBatch) -> Tensor:
        pipe = self.pipeline
        with torch.no_grad():
            latents = pipe.encode(batch.frames.flatten(0, 1))
            latents = latents.unflatten(0, batch.frames.shape[:2]).transpose(1, 2)
            portrait = pipe.encode(batch.portrait)
        reference = pipe.reference_net.extract(portrait) if batch.keep.reference else None
        conditions = pipe.condition(
            batch.maps, batch.confidence, batch.heard, reference, past=batch.past
        ).only(batch.keep)
        noisy = pipe.scheduler.add_noise(latents, batch.noise, batch.timestep)
        wanted = target(pipe.scheduler, latents, batch.noise, batch.timestep)
        error = pipe.predict(noisy, batch.timestep, conditions) - wanted  # (1, C, F, h, w)
        hands = hand_region(batch.maps, pipe.latent_stride)
        where = 1 + (self.hand_weight - 1) * hands
        return (where / where.mean() * error.float().square()).mean()


def target(scheduler, latents: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
    """What the network should say, by the scheduler's `prediction_type`."""
    kind = scheduler.config.prediction_type
    if kind == "v_prediction":
        return scheduler.get_velocity(latents, noise, timestep)
    return {"epsilon": noise, "sample": latents}[kind]


def hand_region(maps: Tensor, stride: int) -> Tensor:
    """(B, 1, F, h, w): 1 where a MANO map (B, 3 + ..., F, H, W) shows a hand, and one latent around
    it."""
    drawn = (maps[:, :3].amax(1, keepdim=True) > 0).to(maps.dtype)
    return F.max_pool3d(
        F.max_pool3d(drawn, (1, stride, stride)), (1, 3, 3), stride=1, padding=(0, 1, 1)
    )


@torch.no_grad()
def validate(loss: FilmLoss, takes: list[FootageTake], clip_length: int, seed: int) -> dict:
    """The loss on footage that was not learnt from, with all conditions, at fixed noise: a number
    to compare runs by, nothing that can be seen."""
    levels = loss.pipeline.scheduler.config.num_train_timesteps
    values = []
    for number, take in enumerate(takes):
        for share in VALIDATION_LEVELS:
            rng = np.random.default_rng((seed, number))
            batch = make_film_batch(
                loss.pipeline, take, clip_length, int(share * levels), EVERYTHING, True, rng
            )
            values.append(float(loss(batch.to(loss.pipeline.device))))
    return {"held_out_takes": len(takes), "held_out_loss": round(float(np.mean(values)), 6)}
