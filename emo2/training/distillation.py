"""What the small audio encoder should be able to tell from raw sound: loudness in mel bands, flux,
stress, speech.

From gestures alone a fresh encoder learns to hear only slowly. A linear read-out of these gives it
a start, and stays on with a small weight while Stage 1 trains.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

from emo2.types import NETWORK_SAMPLE_RATE_HZ

NUM_MELS = 40
NUM_TARGETS = NUM_MELS + 1 + 2
HOP, FFT = 320, 512


class ReadOut(nn.Module):
    """Linear targets from hidden states."""

    def __init__(self, audio_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(audio_width, NUM_TARGETS)
        bank = mel_filter_bank(
            FFT // 2 + 1, NUM_MELS, 60.0, 7600.0, NETWORK_SAMPLE_RATE_HZ, norm="slaney"
        )
        self.register_buffer("bank", torch.from_numpy(bank).float())

    def loss(self, hidden: Tensor, samples: Tensor, prosody: Tensor, seconds: Tensor) -> Tensor:
        """Mean squared error of spectrum, flux, stress and speech; the four weigh alike.

        Args:
            hidden: (A, T, D), samples: (A, n) normalised, prosody: (A, T, 2), seconds: (T,) of the
                frames.
        """
        told = self.linear(hidden)
        error = (told - self.targets(samples, prosody, seconds)) ** 2
        mels, flux, stress, speech = error.split([NUM_MELS, 1, 1, 1], dim=-1)
        return (mels.mean() + flux.mean() + stress.mean() + speech.mean()) / 4

    @torch.no_grad()
    def targets(self, samples: Tensor, prosody: Tensor, seconds: Tensor) -> Tensor:
        """(A, T, 43) of about unit variance."""
        spectrum = torch.stft(
            samples,
            FFT,
            HOP,
            window=torch.hann_window(FFT, device=samples.device),
            return_complex=True,
        )
        power = torch.view_as_real(spectrum).square().sum(-1)
        mel = torch.log(power.mT @ self.bank + 1e-4)  # (A, n / HOP, 40)
        mel = mel / 3.0
        flux = F.pad((mel[:, 1:] - mel[:, :-1]).clamp(min=0).mean(-1, keepdim=True), (0, 0, 1, 0))
        heard = torch.cat([mel + 0.5, 6 * flux], dim=-1)
        place = (seconds * NETWORK_SAMPLE_RATE_HZ / HOP).round().long().clamp(0, heard.shape[1] - 1)
        scale = prosody.new_tensor([4.0, 2.0])
        return torch.cat([heard[:, place], prosody * scale], dim=-1)
