"""Speech as a network hears it: wav2vec 2.0 hidden states, one row per film frame (paper, 3.1).

In: an `AudioClip` (mono, 16 kHz). Out: `AudioFeatures` (T, D), T = ceil(duration * fps). The
encoder is transformers' `Wav2Vec2Model`, of any size: the demo's has 2 layers of 128 and was
trained together with Stage 1; wav2vec2-base has 12 of 768. Long speech is heard in overlapping
chunks, so memory does not grow with its length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

from emo2.errors import InputError, MissingCheckpoint
from emo2.media import frame_count
from emo2.types import AudioClip, AudioFeatures

BLOCK = 1 << 20
"""Samples read at a time when only their loudness is wanted."""
DEFAULT_CHUNK_S = 18.0
DEFAULT_MARGIN_S = 1.0
SILENCE_RMS = 1e-3
"""Clips quieter than this (-60 dBFS) are silence: their noise floor must not be blown up to speech
level."""


class AudioEncoder:
    """A wav2vec 2.0 checkpoint folder, ready to listen.

    The folder is what transformers saves: `config.json`, `model.safetensors`,
    `preprocessor_config.json`. The config may hold `chunk_s` and `margin_s`: seconds of speech
    heard at once, and how much of a neighbour is heard on either side.
    """

    def __init__(self, model: Wav2Vec2Model, extractor: Wav2Vec2FeatureExtractor) -> None:
        self.model = model.eval().requires_grad_(False)
        self.extractor = extractor
        self.chunk_s = float(getattr(model.config, "chunk_s", DEFAULT_CHUNK_S))
        self.margin_s = float(getattr(model.config, "margin_s", DEFAULT_MARGIN_S))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> AudioEncoder:
        """Load from a local folder; every weight must be there."""
        folder = Path(folder)
        for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
            if not (folder / name).is_file():
                raise MissingCheckpoint(
                    "audio checkpoint",
                    f"needs {name}",
                    str(folder),
                    "Use checkpoints/demo/audio, or make one with `python -m emo2 train gesture`.",
                )
        model, report = Wav2Vec2Model.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        if report["missing_keys"]:
            raise MissingCheckpoint(
                "audio checkpoint",
                "must hold every weight",
                f"{folder} without {sorted(report['missing_keys'])[0]}",
                "Copy the folder again.",
            )
        return cls(model, Wav2Vec2FeatureExtractor.from_pretrained(folder))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the folder that `from_pretrained` reads."""
        self.model.save_pretrained(folder)
        self.extractor.save_pretrained(folder)

    @property
    def width(self) -> int:
        """D."""
        return self.model.config.hidden_size

    def __call__(
        self, audio: AudioClip, fps: float, between: tuple[int, int] | None = None
    ) -> AudioFeatures:
        """Listen to the whole clip; with `between`, only where these frames (start, stop) are: the
        other rows are zero.

        Raises:
            InputError: the clip is empty, or not at the encoder's sample rate.
        """
        num_frames = frame_count(audio.duration_s, fps)
        rows = np.zeros((num_frames, self.width), dtype=np.float32)
        for first, heard in self._chunks(audio, fps, *(between or (0, num_frames))):
            rows[first : first + len(heard)] = heard
        return AudioFeatures(rows, fps)

    def stream(self, audio: AudioClip, fps: float) -> Iterator[AudioFeatures]:
        """The same features piece by piece: memory does not grow with the clip. Raises as above,
        when the first piece is asked for."""
        for _, heard in self._chunks(audio, fps, 0, frame_count(audio.duration_s, fps)):
            yield AudioFeatures(heard, fps)

    @torch.no_grad()
    def _chunks(
        self, audio: AudioClip, fps: float, start: int, stop: int
    ) -> Iterator[tuple[int, np.ndarray]]:
        """The chunks that hold frames `start <= t < stop`: their first frames and hidden states."""
        rate = self.extractor.sampling_rate
        if audio.sample_rate_hz != rate:
            raise InputError(
                "audio",
                f"must be at {rate} Hz",
                f"{audio.sample_rate_hz} Hz",
                "Load it with emo2.media.load_audio.",
            )
        if not len(audio.samples):
            raise InputError("audio", "must not be empty", "0 samples", "Give some speech.")
        mean, scale = self._loudness(audio.samples)
        num_frames = frame_count(audio.duration_s, fps)
        step = max(1, round(self.chunk_s * fps))
        for first in range(start // step * step, min(stop, num_frames), step):
            last = min(first + step, num_frames)
            begin = max(0, round((first / fps - self.margin_s) * rate))
            end = min(len(audio.samples), round((last / fps + self.margin_s) * rate))
            samples = (_clean(audio.samples[begin:end]) - mean) * scale
            samples = torch.from_numpy(samples.astype(np.float32)).to(self.model.device)
            seconds = torch.arange(first, last) / fps - begin / rate
            heard = listen(self.model, samples[None], seconds, rate)[0]
            yield first, heard.float().cpu().numpy()

    def normalise(self, samples: np.ndarray) -> np.ndarray:
        """Samples as the extractor wants them: zero mean, unit variance; silence stays silent."""
        mean, scale = self._loudness(samples)
        return ((_clean(samples) - mean) * scale).astype(np.float32)

    def _loudness(self, samples: np.ndarray) -> tuple[float, float]:
        """The mean of samples (N,) and what to multiply them by; read block by block."""
        sums = np.zeros(2)
        for first in range(0, len(samples), BLOCK):
            block = _clean(samples[first : first + BLOCK]).astype(np.float64)
            sums += block.sum(), np.square(block).sum()
        mean, power = sums / max(len(samples), 1)
        if power**0.5 < SILENCE_RMS:
            return 0.0, 0.0
        if not self.extractor.do_normalize:
            return 0.0, 1.0
        return mean, (power - mean**2 + 1e-7) ** -0.5  # transformers' own


def listen(model: Wav2Vec2Model, samples: Tensor, seconds: Tensor, sample_rate_hz: int) -> Tensor:
    """Hidden states of samples (B, N), normalised, at moments (T,) from their start: (B, T, D).

    Linear interpolation between the centres of the encoder's receptive fields; differentiable, so
    that training listens exactly as the product does.
    """
    stride, field = receptive_field(model.config)
    if samples.shape[1] < field + stride:
        samples = torch.nn.functional.pad(samples, (0, field + stride - samples.shape[1]))
    hidden = model(samples).last_hidden_state  # (B, n, D)
    place = (seconds.to(hidden.device) * sample_rate_hz - field / 2) / stride
    place = place.clamp(0, hidden.shape[1] - 1)
    low = place.floor().long().clamp(max=max(hidden.shape[1] - 2, 0))
    high = (low + 1).clamp(max=hidden.shape[1] - 1)
    fraction = (place - low).to(hidden.dtype)[:, None]
    return hidden[:, low] * (1 - fraction) + hidden[:, high] * fraction


def _clean(samples: np.ndarray) -> np.ndarray:
    """What no sample may be, mended."""
    return np.nan_to_num(np.asarray(samples, dtype=np.float32)).clip(-1, 1)


def receptive_field(config) -> tuple[int, int]:
    """Samples between two hidden states, and samples that one of them sees, from the convolutions'
    config."""
    stride, field = 1, 1
    for kernel, step in zip(config.conv_kernel, config.conv_stride, strict=True):
        field += (kernel - 1) * stride
        stride *= step
    return math.prod(config.conv_stride), field
