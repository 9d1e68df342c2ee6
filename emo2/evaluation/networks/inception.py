"""Inception-v3 as FID uses it: pictures to 2048 numbers.

The network of 2015 (Szegedy et al. 2016) in the TensorFlow release on which FID was defined
(Heusel et al. 2017). It departs from other Inceptions in three ways: its mean pools leave padding
out, its last block takes a maximum where the others take a mean, and it knows 1008 classes. Blocks
are tables: which convolutions there are, and along which paths they are run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emo2.evaluation.networks.loading import load
from emo2.evaluation.networks.sources import find
from emo2.types import Frame

SIDE_PX = 299
FEATURES = 2048

Kernel = tuple[int, int]
Step = str | tuple[str, ...]
"""A convolution or a pool by name; of several, each is run and the results are joined."""
POOLS = {
    "mean": lambda x: F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False),
    "max": lambda x: F.max_pool2d(x, 3, stride=1, padding=1),
    "halve": lambda x: F.max_pool2d(x, 3, stride=2),
}


class Convolution(nn.Module):
    """Convolution, batch norm, ReLU; the picture keeps its size unless it is strided."""

    def __init__(self, wide: int, out: int, kernel: Kernel, stride: int = 1, pad: bool = True):
        super().__init__()
        padding = tuple(k // 2 for k in kernel) if pad else 0
        self.conv = nn.Conv2d(wide, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Block(nn.Module):
    """Paths side by side, joined along the channels."""

    def __init__(self, convolutions: dict[str, tuple], paths: Sequence[Sequence[Step]]) -> None:
        super().__init__()
        for name, shape in convolutions.items():
            setattr(self, name, Convolution(*shape))
        self.paths = paths

    def forward(self, x: Tensor) -> Tensor:
        ends = []
        for path in self.paths:
            here = x
            for step in path:
                names = (step,) if isinstance(step, str) else step
                here = torch.cat([self._step(name, here) for name in names], dim=1)
            ends.append(here)
        return torch.cat(ends, dim=1)

    def _step(self, name: str, x: Tensor) -> Tensor:
        return POOLS[name](x) if name in POOLS else getattr(self, name)(x)


def _chain(name: str, channels: Sequence[int], kernels: Sequence[Kernel], last_stride: int = 1):
    """Convolutions `name_1`, `name_2` ... one after the other; the last may halve the picture."""
    table, last = {}, len(kernels)
    for k, kernel in enumerate(kernels, 1):
        stride = last_stride if k == last else 1
        table[f"{name}_{k}"] = (channels[k - 1], channels[k], kernel, stride, stride == 1)
    return table


def _at_35(wide: int, pooled: int) -> Block:
    table = {
        "branch1x1": (wide, 64, (1, 1)),
        **_chain("branch5x5", (wide, 48, 64), ((1, 1), (5, 5))),
        **_chain("branch3x3dbl", (wide, 64, 96, 96), ((1, 1), (3, 3), (3, 3))),
        "branch_pool": (wide, pooled, (1, 1)),
    }
    return Block(table, _paths(table, "mean"))


def _to_17(wide: int) -> Block:
    table = {
        "branch3x3": (wide, 384, (3, 3), 2, False),
        **_chain("branch3x3dbl", (wide, 64, 96, 96), ((1, 1), (3, 3), (3, 3)), 2),
    }
    return Block(table, [*_paths(table), ("halve",)])


def _at_17(narrow: int) -> Block:
    flat, tall = (1, 7), (7, 1)
    table = {
        "branch1x1": (768, 192, (1, 1)),
        **_chain("branch7x7", (768, narrow, narrow, 192), ((1, 1), flat, tall)),
        **_chain("branch7x7dbl", (768, *[narrow] * 4, 192), ((1, 1), tall, flat, tall, flat)),
        "branch_pool": (768, 192, (1, 1)),
    }
    return Block(table, _paths(table, "mean"))


def _to_8() -> Block:
    table = {
        **_chain("branch3x3", (768, 192, 320), ((1, 1), (3, 3)), 2),
        **_chain("branch7x7x3", (768, 192, 192, 192, 192), ((1, 1), (1, 7), (7, 1), (3, 3)), 2),
    }
    return Block(table, [*_paths(table), ("halve",)])


def _at_8(wide: int, pool: str) -> Block:
    flat, tall = (384, 384, (1, 3)), (384, 384, (3, 1))
    table = {
        "branch1x1": (wide, 320, (1, 1)),
        "branch3x3_1": (wide, 384, (1, 1)),
        "branch3x3_2a": flat,
        "branch3x3_2b": tall,
        "branch3x3dbl_1": (wide, 448, (1, 1)),
        "branch3x3dbl_2": (448, 384, (3, 3)),
        "branch3x3dbl_3a": flat,
        "branch3x3dbl_3b": tall,
        "branch_pool": (wide, 192, (1, 1)),
    }
    return Block(
        table,
        [
            ("branch1x1",),
            ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b")),
            ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b")),
            (pool, "branch_pool"),
        ],
    )


def _paths(table: dict[str, tuple], pool: str | None = None) -> list[tuple[str, ...]]:
    """Convolutions of one name in their order; before `branch_pool` the pool."""
    paths: dict[str, tuple[str, ...]] = {}
    for name in table:
        stem = name if name == "branch_pool" else name.rsplit("_", 1)[0]
        start = (pool,) if name == "branch_pool" and pool else ()
        paths[stem] = (*paths.get(stem, start), name)
    return list(paths.values())


class FIDInception(nn.Module):
    """(B, 3, H, W) in [0, 1] to (B, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, (3, 3), 2, False)
        self.Conv2d_2a_3x3 = Convolution(32, 32, (3, 3), 1, False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, (3, 3))
        self.Conv2d_3b_1x1 = Convolution(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = Convolution(80, 192, (3, 3), 1, False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = (
            _at_35(wide, pooled) for wide, pooled in ((192, 32), (256, 64), (288, 64))
        )
        self.Mixed_6a = _to_17(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = map(
            _at_17, (128, 160, 160, 192)
        )
        self.Mixed_7a = _to_8()
        self.Mixed_7b, self.Mixed_7c = _at_8(1280, "mean"), _at_8(FEATURES, "max")
        self.fc = nn.Linear(FEATURES, 1008)  # in the file; FID does not use it

    @classmethod
    def from_pretrained(cls) -> FIDInception:
        """Raises `MissingCheckpoint` without its weights."""
        return load(cls(), find("inception"))

    def forward(self, pictures: Tensor) -> Tensor:
        size = (SIDE_PX, SIDE_PX)
        x = 2 * F.interpolate(pictures, size, mode="bilinear", align_corners=False) - 1
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(POOLS["halve"](x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(POOLS["halve"](x))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return x.mean(dim=(2, 3))

    @torch.inference_mode()
    def features(self, frames: Sequence[Frame]) -> np.ndarray:
        """(n, 2048) of pictures of one size."""
        pictures = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255
        return self(pictures).numpy()
