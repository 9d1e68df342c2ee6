"""What Stage 2 is trained to do: see a spoilt draft, say the residual that mends it.

The networks are the pipeline's own and are conditioned by its own methods, so that training and
filming cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emo2.stage2.guidance_scale import Term
from emo2.stage2.pipeline import Stage2Pipeline
from emo2.stage2.windows import audio_windows
from emo2.training.video_corpus import FPS, VideoClip
from emo2.training.video_degradation import spoil
from emo2.training.video_model import VideoConfig
from emo2.types import AudioFeatures

OUTSIDE_WEIGHT = 0.03
"""Where nothing was drawn the film cannot differ from the draft: a little weight keeps it quiet
there."""
MOTION_WEIGHT = 0.5
"""Of the loss on differences from frame to frame, against flicker."""


@dataclass(frozen=True)
class Batch:
    """One clip. Pictures in [-1, 1], maps in [0, 1]; F frames, M motion frames."""

    portrait: Tensor
    """(1, 3, H, W)."""
    spoilt: Tensor
    """(1, F, 3, H, W): the draft the network sees."""
    draft: Tensor
    """(1, F, 3, H, W): the draft as it should be."""
    maps: Tensor
    """(1, 7, F, H, W): MANO, keypoints, change."""
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

    def to(self, device: torch.device) -> Batch:
        """On another device."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in values.items()})


def draw_batch(
    config: VideoConfig, pipeline: Stage2Pipeline, clips: list[VideoClip], step: int
) -> Batch:
    """The batch of a step; the same step gives the same batch."""
    rng = np.random.default_rng((config.seed, step))
    clip = clips[rng.integers(len(clips))]
    size = config.size
    whole = rng.random() < config.whole_clip_share
    length = size.clip_length if whole else config.short_frames
    has_past = rng.random() >= config.drop_past
    start = int(rng.integers(size.motion_frames * has_past, clip.num_frames - length + 1))
    keep = Term(
        1.0,
        guidance=bool(rng.random() >= config.drop_guidance),
        reference=bool(rng.random() >= config.drop_reference),
        audio=bool(rng.random() >= config.drop_audio),
    )
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 60)))
    levels = pipeline.scheduler.config.num_train_timesteps
    level = levels - 1 if rng.random() < config.pure_noise_share else rng.integers(levels)
    timestep = torch.tensor([int(level)])
    return make_batch(pipeline, clip, start, length, rng, generator, timestep, keep, has_past)


def make_batch(
    pipeline: Stage2Pipeline,
    clip: VideoClip,
    start: int,
    length: int,
    rng: np.random.Generator | None,
    generator: torch.Generator,
    timestep: Tensor,
    keep: Term,
    has_past: bool,
) -> Batch:
    """Frames `start` to `start + length` of a clip, recoloured and spoilt by `rng` (`None`:
    neither)."""
    now, before = slice(start, start + length), slice(start - pipeline.config.motion_frames, start)
    develop = recolouring(rng) if rng is not None else lambda pictures: pictures / np.float32(255)
    draft = develop(clip.draft[now])
    change = clip.change[now].astype(np.float32) / 255
    spoilt = draft if rng is None else spoil(draft, change, rng)
    maps = np.concatenate(
        [
            clip.mano[now].astype(np.float32) / 255,
            clip.keypoints[now].astype(np.float32) / 255,
            change[..., None],
        ],
        axis=-1,
    )
    sound = AudioFeatures(clip.sound, FPS)
    heard = audio_windows(sound, start, length, pipeline.audio_projection.config.radius)
    height, width = (side // pipeline.latent_stride for side in change.shape[1:])
    shape = (1, pipeline.vae.config.latent_channels, length, height, width)
    common = torch.randn((*shape[:2], 1, *shape[3:]), generator=generator)
    return Batch(
        portrait=_pictures(develop(clip.portrait[None]))[0],
        spoilt=_pictures(spoilt),
        draft=_pictures(draft),
        maps=torch.from_numpy(maps.transpose(3, 0, 1, 2).copy())[None],
        confidence=torch.from_numpy(np.array(clip.confidence[now], dtype=np.float32))[None],
        heard=torch.from_numpy(heard)[None],
        noise=pipeline.blend_noise(torch.randn(shape, generator=generator), common),
        timestep=timestep,
        keep=keep,
        past=_pictures(develop(clip.draft[before])) if has_past else None,
    )


def recolouring(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Bytes to [0, 1] with other colours, the same for all pictures of a clip: who a person is then
    does not tell the colour of the arms, only the portrait does."""
    gains = np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.12, 3))
    mix = (np.eye(3) + rng.normal(0, 0.1, (3, 3))) * gains[:, None]
    gamma = np.exp(rng.normal(0, 0.2))
    curve = (np.arange(256) / 255) ** gamma

    def develop(pictures: np.ndarray) -> np.ndarray:
        return (curve[pictures] @ mix.T).clip(0, 1).astype(np.float32)

    return develop


def _pictures(frames: np.ndarray) -> Tensor:
    """(F, H, W, 3) in [0, 1] to (1, F, 3, H, W) in [-1, 1]."""
    planes = np.ascontiguousarray(frames.transpose(0, 3, 1, 2), dtype=np.float32)
    return torch.from_numpy(planes * 2 - 1)[None]


class VideoLoss(nn.Module):
    """A batch to a number. Holds the pipeline's networks, so that `accelerate` can spread them."""

    def __init__(self, pipeline: Stage2Pipeline) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            [
                pipeline.reference_net,
                pipeline.unet,
                pipeline.guidance_encoder,
                pipeline.audio_projection,
            ]
        )
        self.pipeline = pipeline
        # Components of the latents weigh by how much of a picture they make up, but not in full:
        # the fine ones, small as they are, are fingers.
        std = torch.tensor(pipeline.vae.config.latents_std)
        self.register_buffer("weight", (std / std.mean()).view(1, -1, 1, 1, 1))

    def trainable(self) -> list[nn.Parameter]:
        """The parameters of all networks; the latents are fixed."""
        return [p for p in self.networks.parameters() if p.requires_grad]

    def forward(self, batch: Batch) -> Tensor:
        pipe = self.pipeline
        conditions = pipe.condition(
            batch.maps,
            batch.confidence,
            batch.heard,
            pipe.reference_net.extract(pipe.encode(batch.portrait)),
            past=batch.past,
            draft=batch.spoilt,
        ).only(batch.keep)
        residual = (batch.draft - batch.spoilt).flatten(0, 1) * pipe.config.residual_gain
        target = pipe.encode(residual).unflatten(0, batch.draft.shape[:2]).transpose(1, 2)
        noisy = pipe.scheduler.add_noise(target, batch.noise, batch.timestep)
        error = pipe.predict(noisy, batch.timestep, conditions) - target  # (1, C, F, h, w)
        drawn = F.max_pool3d(batch.maps[:, -1:], (1, *[pipe.latent_stride] * 2))
        where = (OUTSIDE_WEIGHT + drawn) * self.weight
        still = (where * error.square()).mean()
        moving = (where[:, :, 1:] * error.diff(dim=2).square()).mean()
        return still + MOTION_WEIGHT * moving
