"""Settings of a Stage 2 training run, and fresh networks of those settings: the product's own
classes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler

from emo2.stage2.guidance_encoder import AudioProjection, GuidanceEncoder
from emo2.stage2.latents import LinearAutoencoder
from emo2.stage2.pipeline import Stage2Pipeline
from emo2.stage2.reference import ReferenceNet
from emo2.stage2.unet import BackboneUNet


@dataclass(frozen=True)
class VideoSize:
    """The networks' shape. `levels` has, from the finest, whether a level has spatial attention."""

    block_out_channels: tuple[int, ...] = (32, 64, 96)
    levels: tuple[bool, ...] = (False, True, True)
    layers_per_block: int = 1
    norm_num_groups: int = 16
    attention_heads: int = 4
    cross_attention_dim: int = 64
    guidance_channels: int = 16
    guidance_widths: tuple[int, ...] = (8, 16, 24, 32)
    guidance_fusion: str = "concat"
    motion_frames: int = 12
    clip_length: int = 24
    long_side_px: int | None = 512
    leans_on_draft: bool = True
    num_inference_steps: int = 1
    guidance_scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    residual_gain: float = 3.0
    residual_strength: float = 1.0
    residual_limit: float = 0.25
    shared_noise: float = 1.0
    prior_noise: float = 0.0
    prediction_type: str = "sample"
    """What the network says: clean latents ("sample"), "v_prediction" or "epsilon"."""
    beta_schedule: str = "squaredcos_cap_v2"


DEMO = VideoSize()
FULL = VideoSize(
    block_out_channels=(320, 640, 1280, 1280),
    levels=(True, True, True, False),
    layers_per_block=2,
    norm_num_groups=32,
    attention_heads=8,
    cross_attention_dim=768,
    guidance_channels=320,
    guidance_widths=(16, 32, 96, 256),
    long_side_px=None,
    leans_on_draft=False,
    num_inference_steps=30,
    guidance_scale=(1.0, 2.5, 2.5),
    residual_gain=1.0,
    residual_limit=1.0,
    shared_noise=0.0,
    prior_noise=1.0,
    prediction_type="v_prediction",
    beta_schedule="scaled_linear",
)
"""The paper's: Stable Diffusion 1.5 widths, to be initialised from it and AnimateDiff. Noise is
Stable Diffusion's, ending in pure noise; v-prediction can begin there (as EchoMimicV2 does)."""


@dataclass(frozen=True)
class VideoConfig:
    """Every number of a run; saved beside the weights."""

    size: VideoSize = DEMO
    seed: int = 0
    steps: int = 2000
    near_clip: tuple[int, int] = (128, 2)
    """Side [px] and frames of most clips: a hand, and little else."""
    wide_clip: tuple[int, int] = (256, 1)
    wide_share: float = 0.25
    long_clip: tuple[int, int] = (128, 12)
    long_share: float = 0.08
    """Of clips for the temporal modules."""
    ema_decay: float | None = 0.995
    """Of the average of the weights that a run ends with; None = it ends with the last."""
    learning_rate: float = 1e-3
    warmup_steps: int = 50
    cooldown: float = 0.3
    """Share of the steps, at the end, over which the learning rate falls to zero."""
    weight_decay: float = 0.01
    grad_clip: float = 1.0
    drop_audio: float = 0.2
    drop_reference: float = 0.05
    drop_guidance: float = 0.05
    drop_past: float = 0.4
    """How often a long clip has no motion frames, as the first of a film; short ones never have."""
    save_every: int = 50
    accumulate: int = 8
    """Batches of one clip per optimiser step."""
    mixed_precision: str | None = "no"
    """"no", "bf16" or "fp16"; None = bf16 on a GPU, full precision on a CPU, where bf16 is
    slower."""
    hand_weight: float = 3.0
    """Of the loss where hands are, when frames themselves are learnt: hands are a twentieth of a
    picture and most of what is wrong with it. The paper does not tell one; this is ours."""


FULL_CONFIG = VideoConfig(
    size=FULL,
    steps=100_000,
    ema_decay=None,
    learning_rate=1e-5,
    warmup_steps=1000,
    drop_audio=0.1,
    drop_past=0.25,
    save_every=1000,
    accumulate=4,
    mixed_precision=None,
)
"""Of `--config full`: all of it is our design and untested at that size, for the paper tells
neither its rates nor its steps."""


def build_networks(
    size: VideoSize, latent_channels: int, audio_dim: int
) -> tuple[ReferenceNet, BackboneUNet, GuidanceEncoder, AudioProjection]:
    """Fresh networks; the backbone's output starts at zero, which for a residual means: the
    draft."""
    shared = {
        "block_out_channels": size.block_out_channels,
        "layers_per_block": size.layers_per_block,
        "norm_num_groups": size.norm_num_groups,
        "attention_heads": size.attention_heads,
    }
    down = tuple("CrossAttnDownBlock" if attends else "DownBlock" for attends in size.levels)
    up = tuple("CrossAttnUpBlock" if attends else "UpBlock" for attends in reversed(size.levels))
    reference = ReferenceNet(
        latent_channels,
        tuple(f"{name}2D" for name in down),
        tuple(f"{name}2D" for name in up),
        **shared,
    )
    backbone = BackboneUNet(
        latent_channels * (2 if size.leans_on_draft else 1),
        latent_channels,
        size.guidance_channels,
        size.guidance_fusion,
        tuple(f"{name}Motion" for name in down),
        tuple(f"{name}Motion" for name in up),
        cross_attention_dim=size.cross_attention_dim,
        motion_frames=size.motion_frames,
        **shared,
    )
    torch.nn.init.zeros_(backbone.conv_out.weight)
    torch.nn.init.zeros_(backbone.conv_out.bias)
    encoder = GuidanceEncoder(
        7 if size.leans_on_draft else 6, size.guidance_channels, size.guidance_widths
    )
    if size.leans_on_draft:
        keep_scale(encoder)
    return reference, backbone, encoder, AudioProjection(audio_dim, size.cross_attention_dim)


def keep_scale(encoder: GuidanceEncoder) -> None:
    """Lets guidance be heard from the first step, by networks that begin from nothing. The encoder
    ends in a convolution of zeros, which keeps what a pretrained backbone knows; here it only
    delays, and small layers without norms would lose a factor of two each."""
    for module in encoder.maps.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            torch.nn.init.zeros_(module.bias)


def build_scheduler(size: VideoSize) -> DDIMScheduler:
    """Noise that ends in pure noise. Where a residual is learnt, it is cosine and the network
    predicts the clean latents, so that a network of zeros predicts no residual at every step."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,  # of "scaled_linear": Stable Diffusion's
        beta_schedule=size.beta_schedule,
        prediction_type=size.prediction_type,
        clip_sample=False,
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
    )


def build_pipeline(
    size: VideoSize, vae: AutoencoderKL | AutoencoderTiny | LinearAutoencoder, audio_dim: int
) -> Stage2Pipeline:
    """A fresh pipeline of the given size."""
    parts = build_networks(size, vae.config.latent_channels, audio_dim)
    settings = dataclasses.asdict(size)
    names = (
        "clip_length motion_frames num_inference_steps guidance_scale long_side_px leans_on_draft "
        "residual_gain residual_strength residual_limit shared_noise prior_noise"
    )
    return Stage2Pipeline(
        *parts, vae, build_scheduler(size), **{name: settings[name] for name in names.split()}
    )
