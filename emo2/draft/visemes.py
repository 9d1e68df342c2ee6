"""What the lips do in speech, heard by a small network: how open, how round, and when they shut.

Loudness says when a mouth moves, not how: m is loud with the lips shut, s is loud with the teeth
together. `VisemeNet` was trained on synthetic speech whose sounds and their times are known
(`emo2.training.visemes`); in its targets neighbouring sounds shape each other, as they do in
mouths. It hears a third of a second to either side of each moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from emo2.draft.speech import weighted_power
from emo2.errors import MissingCheckpoint
from emo2.types import AudioClip

NUM_CURVES = 3
WINDOW_S = 0.025
BAND_HZ = (60.0, 7600.0)
RANGE_DB, ACTIVE_DB = 70.0, 35.0
"""Below a clip's loudest moments: silence, and what counts as speech when bands are levelled."""
_NOTHING = 1e-30
"""Stands for digital silence; so small that it never shows beside the softest recording."""


@dataclass(frozen=True)
class LipCurves:
    """(N,) float32 curves, at the points of `emo2.draft.speech.SpeechCurves`."""

    open: np.ndarray
    """[0, 1]: lips together to wide apart, as articulation alone has it: a is 1, i 0.3."""
    spread: np.ndarray
    """[-1, 1]: rounded (u, o) to spread (i)."""
    press: np.ndarray
    """[0, 1]: the lips are shut (p, b, m)."""


class VisemeNet(ModelMixin, ConfigMixin):
    """Log-mel spectra to lips: residual convolutions over time.

    Args:
        bands: mel bands.
        width: channels.
        dilations: of the residual layers, three points each.
    """

    @register_to_config
    def __init__(
        self, bands: int = 40, width: int = 96, dilations: tuple[int, ...] = (1, 2, 4, 8, 16)
    ) -> None:
        super().__init__()
        self.first = nn.Conv1d(bands, width, 5, padding=2)
        self.layers = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
            for dilation in dilations
        )
        self.last = nn.Conv1d(width, NUM_CURVES, 1)

    def forward(self, mel: Tensor) -> Tensor:
        """(B, N, bands) of `log_mel` -> (B, N, 3): open and press as logits, spread before tanh."""
        x = self.first(mel.mT)
        for layer in self.layers:
            x = x + layer(F.gelu(x))
        return self.last(F.gelu(x)).mT

    @classmethod
    def load(cls, folder: str | Path) -> VisemeNet:
        """The network in `folder`, ready to hear. Raises `MissingCheckpoint`."""
        if not (Path(folder) / "diffusion_pytorch_model.safetensors").is_file():
            raise MissingCheckpoint(
                "viseme network",
                "must be there",
                folder,
                "Use checkpoints/demo/visemes, or make one with `python -m emo2 train visemes`.",
            )
        net = cls.from_pretrained(str(folder), use_safetensors=True)
        return net.eval().requires_grad_(False)

    @torch.no_grad()
    def read_lips(self, audio: AudioClip) -> LipCurves:
        """The lips of a whole recording, at least one point."""
        mel = torch.from_numpy(log_mel(audio, self.config.bands)).to(self.device)
        told = self(mel[None])[0].float().cpu()
        return LipCurves(
            open=told[:, 0].sigmoid().numpy(),
            spread=told[:, 1].tanh().numpy(),
            press=told[:, 2].sigmoid().numpy(),
        )


def log_mel(audio: AudioClip, bands: int) -> np.ndarray:
    """(N, bands) float32, about -2 to 2: tens of decibels about what each band has in speech.

    The level and the colour of voice and microphone are taken out, so that only how a sound differs
    from the others of its clip is left.
    """
    power = weighted_power(audio, WINDOW_S, partial(_mel, bands, audio.sample_rate_hz)) + _NOTHING
    level_db = 10 * np.log10(power.sum(axis=1))
    loud_db = np.percentile(level_db, 98)
    band_db = np.maximum(10 * np.log10(power), loud_db - RANGE_DB)
    usual = band_db[level_db > loud_db - ACTIVE_DB].mean(axis=0)
    return ((band_db - usual) / 15).astype(np.float32)


@lru_cache(maxsize=8)
def _filters(bands: int, sample_rate_hz: int, bins: int) -> np.ndarray:
    from transformers.audio_utils import mel_filter_bank

    scale = {"norm": "slaney", "mel_scale": "slaney"}
    return mel_filter_bank(bins, bands, *BAND_HZ, sample_rate_hz, **scale)


def _mel(bands: int, sample_rate_hz: int, frequencies: np.ndarray) -> np.ndarray:
    """(F, bands) for evenly spaced frequencies (F,), 0 to half the sample rate."""
    return _filters(bands, sample_rate_hz, len(frequencies))
