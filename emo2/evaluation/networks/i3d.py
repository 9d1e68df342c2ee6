"""I3D as FVD uses it: 16 frames to 400 numbers.

Inception-v1 with every kernel a dimension deeper (Carreira & Zisserman 2017; for FVD Unterthiner
et al. 2018); padding as TensorFlow's SAME. Published FVDs run
TF-Hub's i3d-kinetics-400, which is another file of the same network, and differ among each other in
clip length and in how clips are chosen: compare only figures that were made here.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emo2.evaluation.networks.loading import load
from emo2.evaluation.networks.sources import find
from emo2.types import Frame

CLIP_FRAMES = 16
SIDE_PX = 224
CLASSES = 400
MIXED = {
    "Mixed_3b": (192, 64, 96, 128, 16, 32, 32),
    "Mixed_3c": (256, 128, 128, 192, 32, 96, 64),
    "Mixed_4b": (480, 192, 96, 208, 16, 48, 64),
    "Mixed_4c": (512, 160, 112, 224, 24, 64, 64),
    "Mixed_4d": (512, 128, 128, 256, 24, 64, 64),
    "Mixed_4e": (512, 112, 144, 288, 32, 64, 64),
    "Mixed_4f": (528, 256, 160, 320, 32, 128, 128),
    "Mixed_5b": (832, 256, 160, 320, 32, 128, 128),
    "Mixed_5c": (832, 384, 192, 384, 48, 128, 128),
}
"""Channels in; of the plain path; narrow and wide of two paths; of the pooled path."""
POOL_BEFORE = {
    "Conv3d_2b_1x1": ((1, 3, 3), (1, 2, 2)),
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}
Size3 = tuple[int, int, int]


def _same(x: Tensor, kernel: Size3, stride: Size3) -> Tensor:
    """Zeros around, so that the result has ceil(size / stride); an odd one comes last."""
    pads: list[int] = []
    for size, k, s in zip(x.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        lacking = max((-(-size // s) - 1) * s + k - size, 0)
        pads += [lacking // 2, lacking - lacking // 2]
    return F.pad(x, pads)


def _pool(x: Tensor, kernel: Size3, stride: Size3) -> Tensor:
    return F.max_pool3d(_same(x, kernel, stride), kernel, stride)


class Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, wide: int, out: int, side: int = 1, step: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(wide, out, side, step, bias=False)
        self.bn = nn.BatchNorm3d(out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv3d(_same(x, self.conv3d.kernel_size, self.conv3d.stride))))


class Mixed(nn.Module):
    """Four paths, joined along the channels."""

    def __init__(
        self, wide: int, plain: int, in_1: int, out_1: int, in_2: int, out_2: int, pooled: int
    ) -> None:
        super().__init__()
        self.b0 = Unit(wide, plain)
        self.b1a, self.b1b = Unit(wide, in_1), Unit(in_1, out_1, 3)
        self.b2a, self.b2b = Unit(wide, in_2), Unit(in_2, out_2, 3)
        self.b3b = Unit(wide, pooled)

    def forward(self, x: Tensor) -> Tensor:
        near = _pool(x, (3, 3, 3), (1, 1, 1))
        ends = [self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(near)]
        return torch.cat(ends, dim=1)


class _Logits(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(1024, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3d(x)


class I3D(nn.Module):
    """(B, 3, 16, 224, 224) in [-1, 1] to logits (B, 400), mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, 2)
        self.Conv3d_2b_1x1 = Unit(64, 64)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        for name, channels in MIXED.items():
            setattr(self, name, Mixed(*channels))
        self.logits = _Logits()

    @classmethod
    def from_pretrained(cls) -> I3D:
        """Raises `MissingCheckpoint` without its weights."""
        return load(cls(), find("i3d"))

    def forward(self, clips: Tensor) -> Tensor:
        x = clips
        for name in ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3", *MIXED):
            if name in POOL_BEFORE:
                x = _pool(x, *POOL_BEFORE[name])
            x = getattr(self, name)(x)
        return self.logits(F.avg_pool3d(x, (2, 7, 7), stride=1)).mean(dim=(2, 3, 4))

    @torch.inference_mode()
    def features(self, frames: Sequence[Frame]) -> np.ndarray:
        """(400,) of 16 frames, each squeezed into a square as Unterthiner et al. do."""
        squares = [cv2.resize(frame, (SIDE_PX, SIDE_PX)) for frame in frames]
        pixels = torch.from_numpy(np.stack(squares))
        clip = pixels.permute(3, 0, 1, 2).float() / 127.5 - 1
        return self(clip[None])[0].numpy()
