"""The frozen motion autoencoder: what a network that knows gestures sees in a window of motion.

    features = MotionAutoencoder.from_pretrained(FOLDER).features(motion)     # (n_windows, 51)

A small variational autoencoder (Kingma & Welling 2014) over 64 frames of the network's 198 channels
(`emo2.stage1.representation`): a linear path over principal directions and slow cosines, which
holds posture and gesture, and 1-D convolutions beside it. A feature vector is the mean of its 48
latents, which says where on the manifold of gestures a window lies, and three logarithms of how
badly the jerk of places, wrists and fingers is rebuilt, which say how far off it lies: a bottleneck
alone is blind to a tremble, for it was never given one to code. Evaluation mode always
(peers' FGDs were once made in training mode); the features are standardised with the training
corpus's statistics, which are kept in the weights.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from emo2.errors import MissingCheckpoint
from emo2.evaluation.windows import WINDOW_FRAMES, at_film_rate, cut
from emo2.stage1.representation import (
    NUM_CHANNELS,
    NUM_SLOTS,
    PARTS,
    expand_slots,
    part_weights,
    to_channels,
)
from emo2.types import NUM_HANDS, HandMotion

FOLDER = Path("checkpoints/evaluation/motion_autoencoder")
KERNEL, STRIDE = 4, 2
CHUNK_WINDOWS = 256
RESIDUAL_FLOOR = 1e-3
"""Normalised channels per frame cubed: what is rebuilt better than this is rebuilt."""
SMALLEST_DIRECTION = 0.05
"""Normalised channels: directions that vary less are not blown up to unit variance."""


class MotionAutoencoder(ModelMixin, ConfigMixin):
    """Windows (B, 64, 198) of channels to latents and back.

    Args:
        latent_size: L, numbers per window.
        num_directions: P, principal directions of a frame that are kept.
        num_waves: cosines over the window on the linear path.
        widths: channels of the convolutions; each halves the number of frames.
    """

    @register_to_config
    def __init__(
        self,
        latent_size: int = 48,
        num_directions: int = 40,
        num_waves: int = 12,
        widths: tuple[int, ...] = (64, 96, 112),
    ) -> None:
        super().__init__()
        frames = WINDOW_FRAMES // STRIDE ** len(widths)
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for wide, narrow in pairwise((num_directions, *widths)):
            down += [nn.Conv1d(wide, narrow, KERNEL, STRIDE, padding=1), nn.GELU()]
            up = [nn.GELU(), nn.ConvTranspose1d(narrow, wide, KERNEL, STRIDE, padding=1), *up]
        deepest = widths[-1] * frames
        self.down = nn.Sequential(*down, nn.Flatten(), nn.Linear(deepest, 2 * latent_size))
        self.up = nn.Sequential(
            nn.Linear(latent_size, deepest), nn.Unflatten(1, (widths[-1], frames)), *up
        )
        self.down_linear = nn.Linear(num_directions * num_waves, latent_size)
        self.up_linear = nn.Sequential(
            nn.Linear(latent_size, num_directions * num_waves),
            nn.Unflatten(1, (num_directions, num_waves)),
        )
        self.register_buffer("waves", cosines(num_waves), persistent=False)
        self.register_buffer("channel_mean", torch.zeros(NUM_CHANNELS))
        self.register_buffer("channel_std", torch.ones(NUM_CHANNELS))
        self.register_buffer("whiten", torch.eye(NUM_CHANNELS, num_directions))
        self.register_buffer("colour", torch.eye(num_directions, NUM_CHANNELS))
        self.register_buffer("feature_mean", torch.zeros(latent_size + len(PARTS)))
        self.register_buffer("feature_std", torch.ones(latent_size + len(PARTS)))

    @classmethod
    def from_pretrained(cls, folder: str | Path, **options) -> MotionAutoencoder:
        """Load from a local folder, in evaluation mode and frozen. A weight that is missing or too
        many is an error."""
        remedy = "Use the committed weights, or `python -m emo2 train motion-autoencoder`."
        if not (Path(folder) / "config.json").is_file():
            raise MissingCheckpoint("motion autoencoder", "must be there", str(folder), remedy)
        options = {"dtype": torch.float32, "use_safetensors": True, **options}
        model, report = super().from_pretrained(str(folder), output_loading_info=True, **options)
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
            if report[kind]:
                rule = f"must have no {kind.replace('_', ' ')}"
                raise MissingCheckpoint(
                    "motion autoencoder", rule, f"{folder}: {sorted(report[kind])[0]}", remedy
                )
        return model.eval().requires_grad_(False)

    @property
    def num_features(self) -> int:
        """d: the latents, and one residual per part."""
        return self.config.latent_size + len(PARTS)

    def fit_frames(self, frames: Tensor, mean: Tensor, std: Tensor) -> None:
        """Fix the principal directions by frames (n, 198) of the corpus with its `mean` and `std`:
        of parts that weigh alike, scaled to unit variance."""
        self.channel_mean.copy_(mean)
        self.channel_std.copy_(std)
        weights = torch.from_numpy(part_weights()).sqrt()
        normal = (frames - mean) / std * weights
        values, vectors = torch.linalg.eigh(normal.T.cov())
        count = self.config.num_directions
        size = values[-count:].clamp(min=SMALLEST_DIRECTION**2).sqrt()
        self.whiten.copy_(weights[:, None] * vectors[:, -count:] / size)
        self.colour.copy_(size[:, None] * vectors[:, -count:].T / weights)

    def encode(self, channels: Tensor) -> tuple[Tensor, Tensor]:
        """Channels (B, 64, 198), not normalised -> mean and log variance of the latents (B, L)."""
        normal = (channels - self.channel_mean) / self.channel_std
        track = (normal @ self.whiten).transpose(1, 2)  # (B, P, 64)
        mean, log_variance = self.down(track).chunk(2, dim=1)
        mean = mean + self.down_linear((track @ self.waves).flatten(1))
        return mean, log_variance.clamp(-12, 8)

    def decode(self, latent: Tensor) -> Tensor:
        """Latents (B, L) -> channels (B, 64, 198), not normalised."""
        track = self.up(latent) + self.up_linear(latent) @ self.waves.T  # (B, P, 64)
        normal = track.transpose(1, 2) @ self.colour
        return normal * self.channel_std + self.channel_mean

    def measure(self, channels: Tensor) -> Tensor:
        """Channels (B, 64, 198) -> features (B, L + 3), not standardised."""
        latent, _ = self.encode(channels)
        error = (self.decode(latent) - channels) / self.channel_std
        power = error.diff(n=3, dim=1).square().mean(dim=1) @ part_means().to(error)  # (B, 3)
        return torch.cat([latent, torch.log(power.sqrt() + RESIDUAL_FLOOR)], dim=1)

    @torch.inference_mode()
    def features_of_windows(self, channels: np.ndarray) -> np.ndarray:
        """Windows (n, 64, 198) of channels -> (n, L + 3) float64, standardised."""
        rows = [
            self.measure(torch.tensor(np.asarray(part, np.float32), device=self.device))
            for part in np.array_split(channels, max(1, -(-len(channels) // CHUNK_WINDOWS)))
        ]
        return ((torch.cat(rows) - self.feature_mean) / self.feature_std).double().cpu().numpy()

    def features(self, motion: HandMotion) -> np.ndarray:
        """(n_windows, L + 3) float64: one row per window of 64 frames, every 32 frames.

        Raises InputError for a motion shorter than one window.
        """
        motion = at_film_rate(motion)
        return self.features_of_windows(cut(to_channels(motion.quaternions, motion.translation_m)))


def cosines(count: int) -> Tensor:
    """(64, count) float32 orthonormal: the slowest waves of the discrete cosine transform."""
    time = torch.arange(WINDOW_FRAMES) + 0.5
    waves = torch.cos(torch.pi / WINDOW_FRAMES * time[:, None] * torch.arange(count))
    return waves / waves.norm(dim=0)


def part_means() -> Tensor:
    """(198, 3) float32: multiplied from the right it takes means over the channels of each part:
    places, wrists' rotations, fingers' rotations."""
    slots = np.zeros((len(PARTS), NUM_HANDS, NUM_SLOTS), np.float32)
    for row, part in enumerate(PARTS.values()):
        slots[row, :, part] = 1
    members = torch.from_numpy(expand_slots(slots)).T
    return members / members.sum(dim=0)
