"""What Stage 2 keeps of guidance until its clip is filmed: bytes, the maps at the working size.

A clip's `GuidanceMaps` are float32 at the portrait's size, 200 MB at 512 x 416. Here the same clip
takes 25 to 70 MB. Bytes lose nothing that counts: drafts and keypoint maps are drawn in bytes, and
the corpus that checkpoints are trained on holds all maps so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from emo2.types import GuidanceMaps


@dataclass(frozen=True)
class Stretch:
    """Consecutive frames of a film. Arrays are uint8, 255 = 1, if not said otherwise."""

    size: tuple[int, int]
    """(H, W) of the film."""
    maps: np.ndarray
    """(T, K, h, w) at the working size: what the guidance encoder takes."""
    confidence: np.ndarray
    """(T, 2) float32."""
    small_draft: np.ndarray | None = None
    """(T, 3, h, w) at the working size."""
    draft: np.ndarray | None = None
    """(T, 3, H, W)."""
    change: np.ndarray | None = None
    """(T, 1, H, W)."""

    @classmethod
    def of(
        cls, guidance: GuidanceMaps, maps: Tensor, size: tuple[int, int], with_draft: bool
    ) -> Stretch:
        """From `guidance` and its `maps` (1, K, T, h, w) at the working `size`."""
        drafts = {}
        if with_draft:
            small = shrink(guidance.draft, size).numpy()
            drafts = {"small_draft": small, "draft": guidance.draft, "change": guidance.change}
        return cls(
            guidance.size,
            to_bytes(maps[0].transpose(0, 1).numpy()),
            guidance.confidence,
            **{name: to_bytes(pictures) for name, pictures in drafts.items()},
        )

    @property
    def num_frames(self) -> int:
        """T."""
        return len(self.maps)


def to_bytes(values: np.ndarray) -> np.ndarray:
    """[0, 1] to uint8."""
    return np.rint(values * np.float32(255)).astype(np.uint8)


def to_unit(values: Tensor) -> Tensor:
    """uint8 to [0, 1]; what is no bytes is there already."""
    return values / 255 if values.dtype == torch.uint8 else values


def shrink(planes: np.ndarray, size: tuple[int, int]) -> Tensor:
    """(N, C, H, W) to (N, C, *size) by averaging areas."""
    tensor = torch.from_numpy(planes.copy())
    return tensor if planes.shape[2:] == size else F.interpolate(tensor, size, mode="area")
