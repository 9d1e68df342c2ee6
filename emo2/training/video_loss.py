"""What the demo film is trained to do: see a drawn hand, say what a photograph would have of it.

The networks are the pipeline's own and are conditioned by its own methods, so that training and
filming cannot drift apart. The reference never shows the hand that is asked for: it shows the
person's other hand, or none.
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
from emo2.training.video_corpus import FPS, Still
from emo2.training.video_model import VideoConfig
from emo2.training.video_shot import Shot, shoot
from emo2.types import AudioFeatures

OUTSIDE_WEIGHT = 0.02
"""Where nothing was drawn the film cannot differ from the draft: a little weight keeps it quiet
there."""
MOTION_WEIGHT = 0.5
"""Of the loss on differences from frame to frame, against flicker."""
FADE = 3.0
"""The residual goes to zero outside of what was seen, faster than belief by this factor."""
BARE_SHARE, CLOSE_SHARE = 0.25, 0.9
"""References without any hand; references that are a close-up and not the whole picture."""


@dataclass(frozen=True)
class Batch:
    """One clip. Pictures in [-1, 1], maps in [0, 1]; F frames, M motion frames."""

    portrait: Tensor
    """(1, 3, H, W): the person, without the hand that is asked for."""
    draft: Tensor
    """(1, F, 3, h, w): the draft the network sees."""
    residual: Tensor
    """(1, F, 3, h, w): what is to be added to it, in [-2, 2]."""
    belief: Tensor
    """(1, 1, F, h, w): how far that is known."""
    maps: Tensor
    """(1, 7, F, h, w): MANO, keypoints, change."""
    confidence: Tensor
    """(1, F, 2)."""
    heard: Tensor
    """(1, F, 2 radius + 1, D)."""
    noise: Tensor
    """(1, C, F, h / p, w / p): what a film starts from."""
    keep: Term
    """Which conditions are given."""
    past: Tensor | None
    """(1, M, 3, h, w) or none."""

    def to(self, device: torch.device) -> Batch:
        """On another device."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(**{k: v.to(device) if isinstance(v, Tensor) else v for k, v in values.items()})


def draw_batch(
    config: VideoConfig, pipeline: Stage2Pipeline, stills: list[Still], number: int
) -> Batch:
    """Clip `number` of a run; the same number gives the same clip."""
    rng = np.random.default_rng((config.seed, number))
    still = stills[rng.integers(len(stills))]
    kind = rng.random()
    long = kind < config.long_share
    side, length = (
        config.near_clip
        if kind > config.long_share + config.wide_share
        else (config.long_clip if long else config.wide_clip)
    )
    has_past = long and rng.random() >= config.drop_past
    keep = Term(
        1.0,
        guidance=bool(rng.random() >= config.drop_guidance),
        reference=bool(rng.random() >= config.drop_reference),
        audio=bool(rng.random() >= config.drop_audio),
    )
    hand = int(rng.choice(still.hands))
    return make_batch(pipeline, still, hand, length, side, rng, keep, has_past)


def make_batch(
    pipeline: Stage2Pipeline,
    still: Still,
    hand: int,
    length: int,
    side_px: int,
    rng: np.random.Generator,
    keep: Term,
    has_past: bool,
) -> Batch:
    """`length` frames about one hand of a still, in other colours."""
    develop = recolouring(rng)
    past_frames = pipeline.config.motion_frames * has_past
    shot = shoot(still, hand, past_frames + length, side_px, rng, develop)
    now = slice(past_frames, None)
    maps = np.concatenate([shot.mano, shot.keypoints, shot.change[..., None]], axis=-1)[now]
    first = int(rng.integers(len(still.sound) - length + 1))
    sound = AudioFeatures(still.sound, FPS)
    heard = audio_windows(sound, first, length, pipeline.audio_projection.config.radius)
    side = side_px // pipeline.latent_stride
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 60)))
    shape = (1, pipeline.vae.config.latent_channels, length, side, side)
    common = torch.randn((*shape[:2], 1, *shape[3:]), generator=generator)
    confidence = np.repeat(np.asarray(still.confidence, np.float32)[None], length, axis=0)
    return Batch(
        portrait=_pictures(develop(reference(still, hand, rng))[None])[0],
        draft=_pictures(shot.draft[now]),
        residual=_pictures(residual(shot)[now] / 2 + 0.5) * 2,
        belief=torch.from_numpy(shot.belief[None, None, now].copy()),
        maps=torch.from_numpy(maps.transpose(3, 0, 1, 2).copy())[None],
        confidence=torch.from_numpy(confidence)[None],
        heard=torch.from_numpy(heard)[None],
        noise=pipeline.blend_noise(torch.randn(shape, generator=generator), common),
        keep=keep,
        past=_pictures(finished(shot)[:past_frames]) if has_past else None,
    )


def residual(shot: Shot) -> np.ndarray:
    """(F, S, S, 3) in [-1, 1]: what turns the draft into the truth, as far as it is known."""
    share = np.clip(FADE * shot.belief, 0, 1)[..., None]
    return share * (shot.truth - shot.draft)


def finished(shot: Shot) -> np.ndarray:
    """(F, S, S, 3) in [0, 1]: the film as it should be."""
    return (shot.draft + shot.change[..., None] * residual(shot)).clip(0, 1)


def reference(still: Still, hand: int, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8: the portrait without `hand`, now and then without any; whole or a close-up
    of its other hand, or of what lies about the middle."""
    other = np.asarray(still.owner) != hand
    if rng.random() < BARE_SHARE:
        other = np.zeros_like(other)
    picture = np.where(other[..., None], still.portrait, still.bare)
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
        other = other[:, ::-1]
    if rng.random() >= CLOSE_SHARE:
        return picture
    height, width = picture.shape[:2]
    side = min(height, width) // int(rng.choice((2, 4)))
    shown = np.argwhere(other & (np.asarray(still.belief) > 127)) if other.any() else ()
    middle = shown[rng.integers(len(shown))] if len(shown) else np.array((height, width)) // 2
    corner = (middle + rng.normal(0, side / 6, 2) - side / 2).round().astype(int)
    top, left = np.clip(corner, 0, (height - side, width - side))
    return picture[top : top + side, left : left + side]


def recolouring(rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Bytes to [0, 1] with other colours, the same for all pictures of a clip: who a person is then
    does not tell the colour of the arms, only the portrait does."""
    gains = np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.06, 3))
    mix = (np.eye(3) + rng.normal(0, 0.03, (3, 3))) * gains[:, None]
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
        # The latents are orthonormal: with these weights the error is that of pixels.
        energy = torch.tensor(pipeline.vae.config.latents_std).square()
        self.register_buffer("weight", (energy / energy.mean()).view(1, -1, 1, 1, 1))

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
            draft=batch.draft,
        ).only(batch.keep)
        wanted = batch.residual.flatten(0, 1) * pipe.config.residual_gain
        target = pipe.encode(wanted).unflatten(0, batch.draft.shape[:2]).transpose(1, 2)
        first = pipe.scheduler.config.num_train_timesteps - 1
        timestep = torch.full((1,), first, device=target.device)
        error = pipe.predict(batch.noise, timestep, conditions) - target  # (1, C, F, h, w)
        where = self._where(batch) * self.weight
        still = (where * error.square()).mean()
        moving = (where[:, :, 1:] * error.diff(dim=2).square()).mean() if where.shape[2] > 1 else 0
        return still + MOTION_WEIGHT * moving

    def _where(self, batch: Batch) -> Tensor:
        """(1, 1, F, h, w): how much each latent counts. Drawn but unknown counts nothing."""
        patch = (1, *[self.pipeline.latent_stride] * 2)
        drawn = batch.maps[:, -1:]
        known = F.avg_pool3d(drawn * batch.belief, patch)
        untouched = 1 - F.max_pool3d(drawn, patch)
        return known + OUTSIDE_WEIGHT * untouched
