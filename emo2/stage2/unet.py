"""The backbone: diffusers' motion UNet with reference, motion-frame and audio attention.

Paper, section 3.3 and Fig. 3. Three things differ from `UNetMotionModel`, and none replaces a
`forward` of a block:

* every attention layer has `ConditionedAttention` as its processor;
* temporal modules normalise each frame by itself (`PerFrameGroupNorm`), as AnimateDiff and
  EchoMimicV2 were trained; diffusers normalises across frames, which puts their weights 28 % off;
* `conv_in` takes the guidance features behind the latents' channels and fuses them as configured.
"""

from __future__ import annotations

from typing import Literal

import torch
from diffusers import (
    ModelMixin,  # noqa: F401  diffusers finds loadable classes by this name in their module
    UNetMotionModel,
)
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention_processor import Attention
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import Tensor, nn

from emo2.stage2.loading import OwnArguments
from emo2.stage2.processors import ConditionedAttention, Features

Fusion = Literal["concat", "add"]


class PerFrameGroupNorm(nn.GroupNorm):
    """Group norm whose statistics are those of one frame: (B, C, F, h, w) as B F pictures."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        batch, _, frames = hidden_states.shape[:3]
        pictures = hidden_states.transpose(1, 2).flatten(0, 1)
        return super().forward(pictures).unflatten(0, (batch, frames)).transpose(1, 2)


class AddingConv2d(nn.Conv2d):
    """`conv_in` of EchoMimicV2's kind: channels beyond `in_channels` are added to its output."""

    def forward(self, sample: Tensor) -> Tensor:
        latents, guidance = sample[:, : self.in_channels], sample[:, self.in_channels :]
        return super().forward(latents) + guidance


class BackboneUNet(OwnArguments, UNetMotionModel):
    """Denoises a clip of latents. Block layout arguments are `UNetMotionModel`'s.

    Args:
        in_channels: latent channels that go through `conv_in`: the noisy latents and, where the
            film leans on a draft, the draft's latents.
        out_channels: C of the predicted latents.
        guidance_channels: width of the guidance encoder's output; with `guidance_fusion="add"`
            it must be `block_out_channels[0]`.
        guidance_fusion: "concat" puts guidance beside the noisy latents (paper, section 3.3),
            "add" puts it behind `conv_in` (EchoMimicV2).
        cross_attention_dim: width of audio tokens.
        audio_attention_scale: factor on the audio attention's output (EchoMimicV2: 3.0).
        motion_frames: M, how many past frames spatial attention reads; 0 leaves its weights out.
        motion_max_seq_length: the longest clip the temporal modules can place.
        attention_heads: heads of every attention layer.
        motion_attention_heads, motion_norm_num_groups: of the temporal modules; `None` = as
            everywhere. AnimateDiff's have 8 and 32 whatever the rest has.
    """

    # What `compile_repeated_blocks` compiles (diffusers' name).
    _repeated_blocks = ("BasicTransformerBlock", "AnimateDiffTransformer3D", "ResnetBlock2D")

    @register_to_config
    def __init__(
        self,
        in_channels: int = 4,
        out_channels: int = 4,
        guidance_channels: int = 320,
        guidance_fusion: Fusion = "concat",
        down_block_types: tuple[str, ...] = ("CrossAttnDownBlockMotion",) * 3
        + ("DownBlockMotion",),
        up_block_types: tuple[str, ...] = ("UpBlockMotion",) + ("CrossAttnUpBlockMotion",) * 3,
        block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280),
        layers_per_block: int = 2,
        norm_num_groups: int = 32,
        cross_attention_dim: int = 768,
        audio_attention_scale: float = 1.0,
        motion_frames: int = 12,
        motion_max_seq_length: int = 32,
        attention_heads: int = 8,
        motion_attention_heads: int | None = None,
        motion_norm_num_groups: int | None = None,
    ) -> None:
        if guidance_fusion == "add" and guidance_channels != block_out_channels[0]:
            raise ValueError(
                f"guidance_channels: must be block_out_channels[0] = {block_out_channels[0]} where "
                f"guidance is added behind conv_in, got {guidance_channels}"
            )
        concatenated = guidance_channels if guidance_fusion == "concat" else 0
        super().__init__(
            in_channels=in_channels + concatenated,
            out_channels=out_channels,
            down_block_types=tuple(down_block_types),
            up_block_types=tuple(up_block_types),
            block_out_channels=tuple(block_out_channels),
            layers_per_block=layers_per_block,
            norm_num_groups=norm_num_groups,
            cross_attention_dim=cross_attention_dim,
            num_attention_heads=attention_heads,
            motion_num_attention_heads=motion_attention_heads or attention_heads,
            motion_max_seq_length=motion_max_seq_length,
        )
        self.register_to_config(in_channels=in_channels, out_channels=out_channels)
        if guidance_fusion == "add":
            self.conv_in = AddingConv2d(in_channels, block_out_channels[0], 3, padding=1)
        for module in self.modules():
            if isinstance(module, AnimateDiffTransformer3D):
                norm, groups = module.norm, motion_norm_num_groups
                module.norm = PerFrameGroupNorm(
                    groups or norm.num_groups, norm.num_channels, norm.eps
                )
        self.set_attn_processor(self._processors(audio_attention_scale, motion_frames))

    def _processors(
        self, audio_scale: float, motion_frames: int
    ) -> dict[str, ConditionedAttention]:
        """One processor per attention layer, each told what its layer is for."""
        processors = {}
        for name, module in self.named_modules():
            if not isinstance(module, Attention):
                continue
            spatial = ".attentions." in name
            if spatial and name.endswith("attn1"):
                processor = ConditionedAttention(
                    name,
                    width=module.query_dim if motion_frames else None,
                    heads=module.heads,
                    max_distance=self.config.motion_max_seq_length + motion_frames,
                )
            else:
                processor = ConditionedAttention(output_scale=audio_scale if spatial else 1.0)
            processors[f"{name}.processor"] = processor
        return processors

    def denoise(
        self,
        latents: Tensor,
        timestep: Tensor,
        audio_tokens: Tensor,
        guidance: Tensor,
        reference: Features | None = None,
        motion: Features | None = None,
    ) -> Tensor:
        """The prediction for one clip.

        Args:
            latents: (B, in_channels, F, h, w).
            timestep: scalar or (B,).
            audio_tokens: (B F, K, cross_attention_dim), K tokens about each frame.
            guidance: (B, guidance_channels, F, h, w).
            reference: the portrait's features (B, N, D) by layer; `None` = without a portrait. Of
                fewer than B clips: those of the last ones, the others are without.
            motion: the motion frames' features (B, M, N, D) by layer, likewise; `None` = the film
                begins here.

        Returns:
            (B, out_channels, F, h, w).
        """
        conditions = {"reference": reference, "motion": motion, "batch": len(latents)}
        sample = torch.cat([latents, guidance], dim=1)
        return self(
            sample, timestep, audio_tokens, cross_attention_kwargs=conditions, return_dict=False
        )[0]
