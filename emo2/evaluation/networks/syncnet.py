"""SyncNet: mouths and sounds in one space (Chung & Zisserman 2016).

Five frames of a face at 25 a second and the 0.2 s of sound beside them become 1024 numbers each;
Sync-D and Sync-C are read from their distances at different offsets. Layers and preparation follow
joonson/syncnet_python but for the face's box, which is the mesh's here and S3FD's there: compare
figures that were made here.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from scipy.fft import dct
from scipy.signal import medfilt
from torch import Tensor, nn

from emo2.evaluation.networks.loading import load
from emo2.evaluation.networks.sources import find
from emo2.types import AudioClip, Frame

FPS = 25
SIDE_PX = 224
WINDOW_FRAMES = 5
MFCC_PER_FRAME = 4
CROP_SCALE = 0.4
"""Of half the face's box: what is seen around it; the box is smoothed over 13 frames."""
BORDER = 110
SMOOTHED_FRAMES = 13
BATCH = 16
_COEFFICIENTS, _FILTERS, _FFT, _LIFTER, _PREEMPHASIS = 13, 26, 512, 22, 0.97
_WINDOW_S, _HOP_S = 0.025, 0.01

Layer = tuple[int, tuple, tuple, tuple, tuple | None]
"""Channels out, kernel, stride, padding, and the maximum after it: kernel, stride, padding."""
SOUND: tuple[Layer, ...] = (
    (64, (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1), (0, 0))),
    (192, (3, 3), (1, 1), (1, 1), ((3, 3), (1, 2), (0, 0))),
    (384, (3, 3), (1, 1), (1, 1), None),
    (256, (3, 3), (1, 1), (1, 1), None),
    (256, (3, 3), (1, 1), (1, 1), ((3, 3), (2, 2), (0, 0))),
    (512, (5, 4), (1, 1), (0, 0), None),
)
MOUTH: tuple[Layer, ...] = (
    (96, (5, 7, 7), (1, 2, 2), (0, 0, 0), ((1, 3, 3), (1, 2, 2), (0, 0, 0))),
    (256, (1, 5, 5), (1, 2, 2), (0, 1, 1), ((1, 3, 3), (1, 2, 2), (0, 1, 1))),
    (256, (1, 3, 3), (1, 1, 1), (0, 1, 1), None),
    (256, (1, 3, 3), (1, 1, 1), (0, 1, 1), None),
    (256, (1, 3, 3), (1, 1, 1), (0, 1, 1), ((1, 3, 3), (1, 2, 2), (0, 0, 0))),
    (512, (1, 6, 6), (1, 1, 1), (0, 0, 0), None),
)


def _stack(channels: int, table: Sequence[Layer], kinds: tuple) -> nn.Sequential:
    convolution, norm, pool = kinds
    layers: list[nn.Module] = []
    for out, kernel, stride, padding, after in table:
        layers += [convolution(channels, out, kernel, stride, padding), norm(out), nn.ReLU()]
        layers += [] if after is None else [pool(*after)]
        channels = out
    return nn.Sequential(*layers)


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


class SyncNet(nn.Module):
    """Two networks that meet: `of_mouth` and `of_sound`."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = _stack(1, SOUND, (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d))
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = _stack(3, MOUTH, (nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d))

    @classmethod
    def from_pretrained(cls) -> SyncNet:
        """Raises `MissingCheckpoint` without its weights."""
        return load(cls(), find("syncnet"))

    def of_sound(self, mfcc: Tensor) -> Tensor:
        """(B, 1, 13, 20) to (B, 1024)."""
        return self.netfcaud(self.netcnnaud(mfcc).flatten(1))

    def of_mouth(self, faces: Tensor) -> Tensor:
        """(B, 3, 5, 224, 224), blue first, 0..255, to (B, 1024)."""
        return self.netfclip(self.netcnnlip(faces).flatten(1))

    @torch.inference_mode()
    def embed(self, faces: Sequence[Frame], audio: AudioClip) -> tuple[np.ndarray, np.ndarray]:
        """Mouths and sounds, (T, 1024) each, of faces (224, 224, 3) RGB at 25 a second."""
        sound = mfcc(audio)
        count = min(len(faces) - WINDOW_FRAMES, len(sound) // MFCC_PER_FRAME - WINDOW_FRAMES)
        mouths, sounds = [], []
        for start in range(0, max(count, 0), BATCH):
            at = range(start, min(start + BATCH, count))
            clips = np.stack([np.stack(faces[t : t + WINDOW_FRAMES])[..., ::-1] for t in at])
            pixels = torch.from_numpy(clips).permute(0, 4, 1, 2, 3).float()
            width = WINDOW_FRAMES * MFCC_PER_FRAME
            heard = [sound[t * MFCC_PER_FRAME :][:width].T for t in at]
            mouths.append(self.of_mouth(pixels).numpy())
            sounds.append(self.of_sound(torch.from_numpy(np.stack(heard))[:, None]).numpy())
        if not mouths:
            return np.zeros((0, 1024), np.float32), np.zeros((0, 1024), np.float32)
        return np.concatenate(mouths), np.concatenate(sounds)


def mfcc(audio: AudioClip) -> np.ndarray:
    """(N, 13) float32, 100 a second: what SyncNet was trained on.

    Square windows of 25 ms, 26 triangular mel filters with edges rounded down to bins, natural
    logarithm, orthonormal DCT, liftered by 22; the first is the logarithm of the energy.
    """
    rate = audio.sample_rate_hz
    samples = np.floor(np.clip(audio.samples.astype(np.float64), -1, 32767 / 32768) * 32768)
    sharp = np.append(samples[:1], samples[1:] - _PREEMPHASIS * samples[:-1])
    window, hop = round(_WINDOW_S * rate), round(_HOP_S * rate)
    count = 1 + max(-(-(len(sharp) - window) // hop), 0)
    sharp = np.pad(sharp, (0, max((count - 1) * hop + window - len(sharp), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(sharp, window)[::hop][:count]
    power = np.abs(np.fft.rfft(frames, _FFT)) ** 2 / _FFT
    tiny = np.finfo(float).eps
    bands = power @ _mel_filters(rate).T
    cepstra = dct(np.log(np.where(bands == 0, tiny, bands)), type=2, axis=1, norm="ortho")
    lift = 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(_COEFFICIENTS) / _LIFTER)
    cepstra = cepstra[:, :_COEFFICIENTS] * lift
    energy = power.sum(axis=1)
    cepstra[:, 0] = np.log(np.where(energy == 0, tiny, energy))
    return cepstra.astype(np.float32)


def _mel_filters(rate_hz: int) -> np.ndarray:
    """(26, 257) triangles from 0 to half the rate."""
    top = 2595 * np.log10(1 + rate_hz / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, _FILTERS + 2) / 2595) - 1)
    edges = np.floor((_FFT + 1) * hertz / rate_hz)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bins = np.arange(_FFT // 2 + 1)
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    up = (bins >= low) & (bins < middle)
    down = (bins >= middle) & (bins < high)
    return np.where(up, rising, np.where(down, falling, 0.0))


def at_25(count: int, fps: float) -> np.ndarray:
    """Which of `count` frames at `fps` is shown at each 25th of a second."""
    times = np.arange(int(count / fps * FPS)) / FPS
    return np.minimum(np.floor(times * fps + 0.5).astype(int), count - 1)


def face_boxes(meshes: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """(T, 3) middle x, y and half the longer side [px], smoothed; gaps are bridged. None where no
    frame has a face."""
    seen = [t for t, mesh in enumerate(meshes) if mesh is not None]
    if not seen:
        return None
    found = []
    for t in seen:
        low, high = meshes[t].min(axis=0), meshes[t].max(axis=0)
        found.append([*(low + high) / 2, (high - low).max() / 2])
    every = np.arange(len(meshes))
    return np.stack(
        [
            medfilt(np.interp(every, seen, column), SMOOTHED_FRAMES)
            if len(meshes) >= SMOOTHED_FRAMES
            else np.interp(every, seen, column)
            for column in np.array(found).T
        ],
        axis=1,
    )


def face_crop(frame: Frame, box: np.ndarray) -> Frame:
    """(224, 224, 3): the face with what lies beside and below it, grey outside the picture."""
    x, y, half = box
    reach = int(half * (1 + 2 * CROP_SCALE))
    padded = cv2.copyMakeBorder(
        frame, reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=(BORDER,) * 3
    )
    top, left = int(y + reach - half), int(x + reach - half * (1 + CROP_SCALE))
    bottom = int(y + reach + half * (1 + 2 * CROP_SCALE))
    right = int(x + reach + half * (1 + CROP_SCALE))
    crop = padded[max(top, 0) : bottom, max(left, 0) : right]
    return cv2.resize(crop, (SIDE_PX, SIDE_PX))
