"""What the backbone is told about each frame besides the portrait: hands, their confidence, and
sound.

`GuidanceEncoder` turns MANO and keypoint maps into features at latent resolution (paper,
section 3.3); `AudioProjection` turns wav2vec 2.0 features into tokens for the audio attention.
"""

from __future__ import annotations

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from torch import Tensor, nn

from emo2.stage2.stretches import to_unit
from emo2.types import NUM_HANDS


class GuidanceEncoder(ModelMixin, ConfigMixin):
    """Maps (B, K, F, H, W) in [0, 1] or uint8 and confidence (B, F, 2) to features (B, E, F, h, w).

    The paper has trainable hand-confidence embeddings but does not say where they enter nor how the
    confidence is cut into bins. Ours: per hand, `confidence_bins` learned vectors at evenly spaced
    confidences from 0 to 1, linearly interpolated, added to the frame's guidance features
    everywhere. They start at zero.

    Args:
        conditioning_channels: K; MANO 3 + keypoints 3, and 1 more for the change map of a draft.
        embedding_channels: E.
        block_out_channels: widths of the convolutions; every one after the first halves the
            size, so (16, 32, 96, 256) comes out at an eighth.
        confidence_bins: learned vectors per hand.
    """

    @register_to_config
    def __init__(
        self,
        conditioning_channels: int = 6,
        embedding_channels: int = 320,
        block_out_channels: tuple[int, ...] = (16, 32, 96, 256),
        confidence_bins: int = 5,
    ) -> None:
        super().__init__()
        self.maps = ControlNetConditioningEmbedding(
            embedding_channels, conditioning_channels, tuple(block_out_channels)
        )
        self.confidence = nn.Parameter(torch.zeros(NUM_HANDS, confidence_bins, embedding_channels))

    def forward(self, maps: Tensor, confidence: Tensor, chunk: int = 8) -> Tensor:
        """Encodes `chunk` frames at a time: it is a per-frame network, so the result is the
        same and memory does not grow with the clip. Maps come to the network's device so, too."""
        batch, _, frames = maps.shape[:3]
        pictures = maps.transpose(1, 2).flatten(0, 1)
        features = torch.cat([self.maps(self._unit(part)) for part in pictures.split(chunk)])
        features = features.unflatten(0, (batch, frames)).transpose(1, 2)  # (B, E, F, h, w)
        return features + self.embed_confidence(confidence).transpose(1, 2)[..., None, None]

    def _unit(self, pictures: Tensor) -> Tensor:
        return to_unit(pictures.to(self.confidence.device)).to(self.confidence.dtype)

    def embed_confidence(self, confidence: Tensor) -> Tensor:
        """(B, F, 2) in [0, 1] to the sum over hands of the interpolated vectors, (B, F, E)."""
        bins = self.confidence.shape[1]
        at = confidence.to(self.confidence).clamp(0, 1) * (bins - 1)
        knots = torch.arange(bins, device=at.device, dtype=at.dtype)
        weights = (1 - (at[..., None] - knots).abs()).clamp_min(0)  # (B, F, 2, bins), sums to one
        return torch.einsum("bfkn,kne->bfe", weights, self.confidence)


class AudioProjection(ModelMixin, ConfigMixin):
    """Windows of audio features (B, F, K, D) to tokens of the backbone's width, (B F, K, E).

    Args:
        audio_dim: D of the audio encoder's hidden states.
        cross_attention_dim: E.
        radius: film frames on either side of the frame a window is about; K = 2 radius + 1.
    """

    @register_to_config
    def __init__(
        self, audio_dim: int = 768, cross_attention_dim: int = 768, radius: int = 2
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(audio_dim)
        self.projection = nn.Linear(audio_dim, cross_attention_dim)
        self.position = nn.Parameter(torch.zeros(2 * radius + 1, cross_attention_dim))
        nn.init.normal_(self.position, std=0.02)

    def forward(self, windows: Tensor) -> Tensor:
        """The tokens of each frame; where each lies in its window is added to it."""
        return (self.projection(self.norm(windows)) + self.position).flatten(0, 1)
