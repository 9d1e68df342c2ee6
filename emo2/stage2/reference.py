"""ReferenceNet: a 2-D UNet that looks at clean pictures (the portrait and the 12 motion frames).

Paper, Fig. 3. Its self-attention inputs, by layer, are what the backbone attends to. Whatever
that does not need is left out (text attention, output head), so that every tensor of a
checkpoint is used and EchoMimicV2's 570 tensors fit strictly.
"""

from __future__ import annotations

import torch
from diffusers import (
    ModelMixin,  # noqa: F401  diffusers finds loadable classes by this name in their module
    UNet2DConditionModel,
)
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn

from emo2.stage2.loading import OwnArguments
from emo2.stage2.processors import RecordFeatures, Recording


class ReferenceNet(OwnArguments, UNet2DConditionModel):
    """`UNet2DConditionModel` of Stable Diffusion's layout without text attention and output head.

    Args:
        in_channels: C of the latents.
        down_block_types, up_block_types, block_out_channels, layers_per_block, norm_num_groups:
            as in `UNet2DConditionModel`; they must mirror the backbone's, whose layers bear the
            same names.
        attention_heads: heads of every attention layer.
    """

    @register_to_config
    def __init__(
        self,
        in_channels: int = 4,
        down_block_types: tuple[str, ...] = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types: tuple[str, ...] = ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280),
        layers_per_block: int = 2,
        norm_num_groups: int = 32,
        attention_heads: int = 8,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            out_channels=in_channels,
            down_block_types=tuple(down_block_types),
            up_block_types=tuple(up_block_types),
            block_out_channels=tuple(block_out_channels),
            layers_per_block=layers_per_block,
            norm_num_groups=norm_num_groups,
            attention_head_dim=attention_heads,  # diffusers' old name for the number of heads
            cross_attention_dim=block_out_channels[0],
        )
        for block in self.modules():
            if isinstance(block, BasicTransformerBlock):
                block.attn2 = block.norm2 = None
        self.conv_norm_out, self.conv_out = None, nn.Identity()
        names = [name.removesuffix(".processor") for name in self.attn_processors]
        self.set_attn_processor({f"{name}.processor": RecordFeatures(name) for name in names})

    def extract(self, latents: Tensor) -> dict[str, Tensor]:
        """Clean pictures' latents (B, C, h, w) to the features of every attention layer, (B, N,
        D) each."""
        recording = Recording()
        timestep = torch.zeros((), dtype=torch.long, device=latents.device)
        self(latents, timestep, None, cross_attention_kwargs={"recording": recording})
        return recording.by_layer
