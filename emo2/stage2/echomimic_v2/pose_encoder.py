"""Pose maps to features at latent resolution, the only way by which hands reach the denoiser."""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from torch import Tensor


class PoseEncoder(ControlNetConditioningEmbedding, ModelMixin, ConfigMixin):
    """Maps (F, K, H, W) in [0, 1] to features (F, E, h, w). EchoMimicV2's 16 tensors fit strictly.

    Args:
        embedding_channels: E, the backbone's first width.
        conditioning_channels: K.
        block_out_channels: widths of the convolutions; every one after the first halves the size.
    """

    @register_to_config
    def __init__(
        self,
        embedding_channels: int = 320,
        conditioning_channels: int = 3,
        block_out_channels: tuple[int, ...] = (16, 32, 96, 256),
    ) -> None:
        super().__init__(embedding_channels, conditioning_channels, tuple(block_out_channels))

    def clip(self, maps: Tensor, chunk: int = 4) -> Tensor:
        """Maps (1, K, F, H, W) to (1, E, F, h, w), `chunk` frames at a time: it is a per-frame
        network, so the result is the same, and memory does not grow with the clip."""
        pictures = maps[0].transpose(0, 1)
        return torch.cat([self(part) for part in pictures.split(chunk)]).transpose(0, 1)[None]
