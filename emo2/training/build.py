"""From a training configuration to fresh networks: the same classes that the product loads."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from emo2.features.audio import AudioEncoder
from emo2.stage1.motion_dit import MotionDiT
from emo2.training.config import AudioSize, GestureConfig
from emo2.types import NETWORK_SAMPLE_RATE_HZ

LEVELS = (-2.0, 0.5)
"""Powers of ten: the smallest and the largest first bias, for sound of unit variance."""


def build_encoder(size: AudioSize) -> AudioEncoder:
    """A small wav2vec 2.0 whose first filters are Gabor wavelets, evenly spread in mel from 80 Hz
    to 7 kHz.

    Every layer normalisation in it would hide how loud a moment is, and loudness is what gestures
    follow. Its convolutions have biases, therefore, and the first layer's begin between silence and
    a shout: against these a sound is loud or soft.
    """
    fields = dataclasses.asdict(size)
    config = Wav2Vec2Config(
        **fields,
        num_feat_extract_layers=len(size.conv_dim),
        feat_extract_norm="layer",
        conv_bias=True,
        do_stable_layer_norm=True,
        mask_time_prob=0.0,
        **{
            f"{name}_dropout": 0.0
            for name in ("hidden", "attention", "activation", "feat_proj", "final")
        },
        layerdrop=0.0,
        attn_implementation="sdpa",
    )
    model = Wav2Vec2Model(config)
    first = model.feature_extractor.conv_layers[0].conv
    with torch.no_grad():
        first.weight.copy_(_gabor(size.conv_dim[0], size.conv_kernel[0])[:, None])
        levels = torch.logspace(*LEVELS, size.conv_dim[0] // 2)
        levels = torch.stack([levels, -levels], dim=1).flatten()
        first.bias.copy_(levels[torch.randperm(len(levels))])
    extractor = Wav2Vec2FeatureExtractor(
        sampling_rate=NETWORK_SAMPLE_RATE_HZ, do_normalize=True, return_attention_mask=True
    )
    return AudioEncoder(model, extractor)


def build_motion_dit(config: GestureConfig, audio_width: int, facts: dict) -> MotionDiT:
    """A fresh network. `facts` describe the corpus: styles, speed_quantiles, style_speeds, rest_m,
    mean and std."""
    model = MotionDiT(
        **dataclasses.asdict(config.motion),
        audio_width=audio_width,
        fps=config.fps,
        styles=tuple(facts["styles"]),
        speed_quantiles=tuple(facts["speed_quantiles"]),
        style_speeds=tuple(facts["style_speeds"]),
        rest_m=tuple(map(tuple, facts["rest_m"])),
        representation=config.representation,
    )
    model.channel_mean.copy_(torch.as_tensor(np.asarray(facts["mean"])))
    model.channel_std.copy_(torch.as_tensor(np.asarray(facts["std"])))
    return model


def build_scheduler() -> DPMSolverMultistepScheduler:
    """Cosine noise; the network predicts the clean sample; steps of the first order, that end on a
    clean one (`emo2.stage1.noise_steps` says which).

    Steps of the second order make motions more varied and less in time (model card): what a network
    averages over at middling noise is when a hand moves.
    """
    return DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        solver_order=1,
    )


def _gabor(count: int, length: int) -> torch.Tensor:
    """Cosine and sine wavelets in pairs, (count, length), of unit energy."""
    mel = np.linspace(_mel(80.0), _mel(7000.0), count // 2)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    time = (np.arange(length) - (length - 1) / 2) / NETWORK_SAMPLE_RATE_HZ
    width = np.maximum(1.5 / hertz, 0.002)[:, None]
    envelope = np.exp(-0.5 * (time / width) ** 2)
    phase = 2 * np.pi * hertz[:, None] * time
    waves = np.concatenate([envelope * np.cos(phase), envelope * np.sin(phase)])
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    return torch.from_numpy(waves.astype(np.float32))


def _mel(hertz: float) -> float:
    return 2595 * np.log10(1 + hertz / 700)
