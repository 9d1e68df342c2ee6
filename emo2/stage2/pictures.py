"""Stage 2's side that faces pictures: how they become latents, and what is decoded becomes a frame.

A pipeline that has a `vae`, the networks' `unet` and these settings inherits it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from emo2.stage2.inputs import SIZE_MULTIPLE_PX
from emo2.stage2.latents import mean_latents, stride
from emo2.stage2.stretches import Stretch, shrink, to_unit
from emo2.types import Frame, GuidanceMaps


class PicturesMixin:
    """Pictures in, pictures out; chunked, so that memory does not grow with a clip."""

    def working_size(self, height_px: int, width_px: int) -> tuple[int, int]:
        """The size (H, W) the network works at: multiples of 16 px, nearly the picture's shape."""
        if self.config.long_side_px is None:
            return height_px, width_px
        shrink = self.config.long_side_px / max(height_px, width_px)
        height, width = (
            max(1, round(side * shrink / SIZE_MULTIPLE_PX)) * SIZE_MULTIPLE_PX
            for side in (height_px, width_px)
        )
        return height, width

    @property
    def latent_stride(self) -> int:
        """Pixels to a latent along each side."""
        return stride(self.vae)

    def encode(self, pictures: Tensor, chunk: int = 4) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1], or differences of such, to latents (N, C, h, w) on the
        pipeline's device, `chunk` pictures at a time."""
        parts = pictures.to(self._execution_device, self.vae.dtype).split(chunk)
        latents = torch.cat([mean_latents(self.vae.encode(part)) for part in parts])
        latents = latents * self.vae.config.scaling_factor
        latents = latents if self._latents_std is None else latents / self._latents_std
        return latents.to(self.unet.dtype)

    def decode(self, latents: Tensor, chunk: int = 1) -> Tensor:
        """The inverse, `chunk` pictures at a time: at full size, where decoding one picture takes
        as much memory as denoising a clip."""
        latents = latents.to(self._execution_device, self.vae.dtype)
        if self._latents_std is not None:
            latents = latents * self._latents_std
        latents = latents / self.vae.config.scaling_factor
        return torch.cat([self.vae.decode(part).sample for part in latents.split(chunk)])

    @property
    def _latents_std(self) -> Tensor | None:
        std = self.vae.config.get("latents_std")
        if std is None:
            return None
        return torch.tensor(std, device=self._execution_device).view(-1, 1, 1)

    def pictures(self, frames: Sequence[Frame], size: tuple[int, int]) -> Tensor:
        """Frames (H, W, 3) uint8 to (N, 3, *size) in [-1, 1] on the pipeline's device."""
        planes = np.stack(frames).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1
        return shrink(planes, size).to(self._execution_device)

    def compose(self, decoded: Tensor, guidance: GuidanceMaps | Stretch, index: int) -> Frame:
        """Frame `index` of the clip from what was decoded for it, (3, *working size)."""
        picture = decoded[None].float().cpu()
        picture = F.interpolate(picture, guidance.size, mode="bilinear", antialias=True)[0]
        if self.config.leans_on_draft:
            change, draft = (
                to_unit(torch.from_numpy(planes[index].copy()))
                for planes in (guidance.change, guidance.draft)
            )
            picture = draft + change * self.residual(picture)
        else:
            picture = (picture + 1) / 2
        return picture.mul(255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()

    def residual(self, decoded: Tensor) -> Tensor:
        """What was decoded, as a change of pixels in [0, 1]: of the checkpoint's strength and
        limited."""
        limit = self.config.residual_limit
        share = self.config.residual_strength / (2 * self.config.residual_gain)
        return (decoded * share).clamp(-limit, limit)
