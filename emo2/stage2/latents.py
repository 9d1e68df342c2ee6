"""A latent space that is a fixed linear transform, with `AutoencoderKL`'s interface.

Where a network cannot be large, a learned autoencoder costs more than it brings: measured, a
tiny one trained for minutes stays 10 dB below the Karhunen-Loève transform of 8 x 8 patches.
Being linear, decode(a + b) = decode(a) + decode(b): a residual diffused in this space is added
in pixels exactly.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, AutoencoderTiny, ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn


def mean_latents(encoded: AutoencoderKLOutput | AutoencoderTinyOutput) -> Tensor:
    """What an autoencoder's `encode` returned, as latents (B, C, h, w): the likeliest ones where it
    is a distribution."""
    return encoded.latents if "latents" in encoded else encoded.latent_dist.mode()


class LinearAutoencoder(ModelMixin, ConfigMixin):
    """Orthonormal patches: (B, 3, H, W) in [-1, 1] to (B, C, H/p, W/p) and back.

    Args:
        latent_channels: C, at most 3 p^2; equality loses nothing.
        patch_size: p; H and W must be its multiples.
        scaling_factor: latents are multiplied by this before diffusion, as with `AutoencoderKL`.
        latents_std: optional C standard deviations that latents are divided by, as with
            `AutoencoderKL`: components of a KLT differ by orders of magnitude.
    """

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 16,
        patch_size: int = 8,
        scaling_factor: float = 1.0,
        latents_std: tuple[float, ...] | None = None,
    ) -> None:
        super().__init__()
        values = 3 * patch_size**2
        if not 0 < latent_channels <= values:
            raise ValueError(f"latent_channels: must be 1 to {values}, got {latent_channels}")
        basis = torch.eye(values)[:latent_channels].view(-1, 3, patch_size, patch_size)
        self.basis = nn.Parameter(basis, requires_grad=False)  # (C, 3, p, p), orthonormal rows

    @apply_forward_hook
    def encode(self, images: Tensor) -> AutoencoderKLOutput:
        """`.latent_dist` is a distribution without spread: mode, mean and sample are the same."""
        mean = F.conv2d(images, self.basis, stride=self.config.patch_size)
        parameters = torch.cat([mean, torch.zeros_like(mean)], dim=1)
        return AutoencoderKLOutput(DiagonalGaussianDistribution(parameters, deterministic=True))

    @apply_forward_hook
    def decode(self, latents: Tensor) -> DecoderOutput:
        """The picture with exactly these coefficients and no others."""
        return DecoderOutput(F.conv_transpose2d(latents, self.basis, stride=self.config.patch_size))

    @classmethod
    def fit(
        cls, images: Tensor, latent_channels: int = 16, patch_size: int = 8
    ) -> LinearAutoencoder:
        """The Karhunen-Loève transform of pictures (B, 3, H, W) in [-1, 1]: in closed form, the
        basis whose first C coefficients keep the most energy. `latents_std` is theirs on
        `images`."""
        patches = F.unfold(images.double(), patch_size, stride=patch_size)  # (B, 3 p^2, n)
        moment = torch.einsum("bin,bjn->ij", patches, patches) / (len(patches) * patches.shape[2])
        energy, vectors = torch.linalg.eigh(moment)  # ascending
        energy, vectors = energy.flip(0)[:latent_channels], vectors.flip(1)[:, :latent_channels]
        signs = torch.where(vectors.sum(0) < 0, -1.0, 1.0)  # eigenvectors come without a sign
        # At least 1 % of the first: what these pictures hardly have must not blow up in others.
        std = energy.clamp_min(1e-4 * energy[0].item()).sqrt()
        fitted = cls(
            latent_channels,
            patch_size,
            latents_std=tuple(round(value, 6) for value in std.tolist()),
        )
        fitted.basis.data = (
            (vectors * signs).T.reshape(-1, 3, patch_size, patch_size).float().contiguous()
        )
        return fitted


AUTOENCODERS = (LinearAutoencoder, AutoencoderKL, AutoencoderTiny)


def stride(vae: AutoencoderKL | AutoencoderTiny | LinearAutoencoder) -> int:
    """Pixels to a latent along each side."""
    if isinstance(vae, LinearAutoencoder):
        return vae.config.patch_size
    return 2 ** (len(vae.config.block_out_channels) - 1)
