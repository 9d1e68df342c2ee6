"""Speech as Whisper's encoder hears it, the way EchoMimicV2 was trained on.

Of every layer of the tiny encoder the output is kept: the convolutions' with its position codes,
then that of each block, the last one before the final normalisation (transformers' own list of
hidden states holds it after that). 50 of these a second. A film frame sees 10 of them about its
moment, 4 before to 5 after, in all 50 tokens of 384.

The log-mel spectrogram is that of the whole recording, whose loudest value sets the floor; it is
cut into stretches of 30 s, the last one filled up with zeros. Stretches are heard when they are
asked for and forgotten after, so memory does not grow with the speech. On the CPU in float32: the
encoder is small.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import WhisperConfig
from transformers.audio_utils import mel_filter_bank
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from emo2.errors import InputError, MissingCheckpoint
from emo2.types import NETWORK_SAMPLE_RATE_HZ, AudioClip

WINDOW, HOP = 400, 160
STRETCH_FRAMES = 3000
"""Mel frames heard at once: 30 s."""
FEATURES_PER_S = 50
BEFORE, AFTER = 4, 5
"""Features that a film frame sees besides that of its own moment."""
KEPT_STRETCHES = 3
BLOCK_FRAMES = 6000
"""Mel frames computed at a time when only the loudest value is wanted."""


class WhisperListener:
    """A folder with `config.json` and `model.safetensors` of a Whisper encoder, ready to listen."""

    def __init__(self, encoder: WhisperEncoder) -> None:
        self.encoder = encoder.float().eval().requires_grad_(False)
        config = encoder.config
        if 2 * config.max_source_positions != STRETCH_FRAMES:
            raise InputError(
                "whisper",
                f"must hear {STRETCH_FRAMES} mel frames at once",
                2 * config.max_source_positions,
                "Use whisper-tiny's encoder.",
            )
        filters = mel_filter_bank(
            1 + WINDOW // 2, config.num_mel_bins, 0.0, NETWORK_SAMPLE_RATE_HZ / 2,
            NETWORK_SAMPLE_RATE_HZ, norm="slaney", mel_scale="slaney",
        )  # fmt: skip
        self.filters = torch.from_numpy(filters.T.astype(np.float32))  # (mels, 201)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> WhisperListener:
        """Load from a local folder; every tensor must be there."""
        folder = Path(folder)
        remedy = "Fetch the set again: python -m emo2 weights get echomimic_v2"
        config, weights = folder / "config.json", folder / "model.safetensors"
        for path in (config, weights):
            if not path.is_file():
                raise MissingCheckpoint("whisper", "needs this file", path, remedy)
        return cls(_encoder(folder, weights, "", remedy))

    @classmethod
    def from_published(cls, weights: Path) -> WhisperListener:
        """The encoder out of a whole Whisper model's `model.safetensors`, with `config.json` beside
        it. Raises as `from_pretrained`."""
        remedy = "Delete the file and get the set again."
        return cls(_encoder(weights.parent, weights, "model.encoder.", remedy))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the folder that `from_pretrained` reads, in float16 as the weights were
        published."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.encoder.config.save_pretrained(folder)
        tensors = {k: v.half().contiguous() for k, v in self.encoder.state_dict().items()}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    @property
    def width(self) -> int:
        """D, of one token."""
        return self.encoder.config.d_model

    @property
    def num_tokens(self) -> int:
        """Tokens that a film frame sees."""
        return (BEFORE + 1 + AFTER) * (self.encoder.config.encoder_layers + 1)

    def __call__(self, audio: AudioClip, fps: float) -> SpeechTokens:
        """What is heard in a recording, for a film of `fps` frames per second.

        Raises:
            InputError: too short for one feature, or at another sample rate.
        """
        if audio.sample_rate_hz != NETWORK_SAMPLE_RATE_HZ:
            rule, remedy = f"must be at {NETWORK_SAMPLE_RATE_HZ} Hz", "Load it with load_audio."
            raise InputError("audio", rule, f"{audio.sample_rate_hz} Hz", remedy)
        if len(audio.samples) < 2 * HOP:
            rule = f"must be {2 * HOP} samples or longer"
            raise InputError("audio", rule, len(audio.samples), "Give some speech.")
        return SpeechTokens(self, audio.samples, fps)

    @torch.no_grad()
    def layers(self, log_mel: Tensor) -> Tensor:
        """Log-mel (mels, 3000) to every layer's output, (1500, layers + 1, D)."""
        last: list[Tensor] = []

        def remember(module, inputs, output) -> None:
            last.append(output[0] if isinstance(output, tuple) else output)

        hook = self.encoder.layers[-1].register_forward_hook(remember)
        try:
            heard = self.encoder(log_mel[None], output_hidden_states=True).hidden_states
        finally:
            hook.remove()
        return torch.stack([*heard[:-1], last[0]], dim=2)[0]


class SpeechTokens:
    """The tokens of a recording, by film frame."""

    def __init__(self, listener: WhisperListener, samples: np.ndarray, fps: float) -> None:
        self.listener, self.samples, self.fps = listener, samples, fps
        self.mel_frames = len(samples) // HOP
        self.num_features = sum(
            min(STRETCH_FRAMES, self.mel_frames - first) // 2
            for first in range(0, self.mel_frames, STRETCH_FRAMES)
        )
        self._heard: OrderedDict[int, Tensor] = OrderedDict()

    def __call__(self, frames: Sequence[int]) -> Tensor:
        """Tokens about these frames, (F, K, D): moment by moment, of each moment layer by layer.
        Beyond the recording's ends its first and last features are repeated."""
        centres = np.array([int(frame * FEATURES_PER_S / self.fps) for frame in frames])
        at = centres[:, None] + np.arange(-BEFORE, AFTER + 1)
        at = at.clip(0, self.num_features - 1)
        rows = {n: self._feature(n) for n in np.unique(at).tolist()}
        return torch.stack([torch.cat([rows[n] for n in row]) for row in at.tolist()])

    def _feature(self, number: int) -> Tensor:
        """(layers + 1, D) of one fiftieth of a second."""
        stretch, place = divmod(number, STRETCH_FRAMES // 2)
        if stretch not in self._heard:
            first = stretch * STRETCH_FRAMES
            mel = self.log_mel(first, min(first + STRETCH_FRAMES, self.mel_frames))
            mel = torch.nn.functional.pad(mel, (0, STRETCH_FRAMES - mel.shape[1]))
            self._heard[stretch] = self.listener.layers(mel)
            if len(self._heard) > KEPT_STRETCHES:
                self._heard.popitem(last=False)
        self._heard.move_to_end(stretch)
        return self._heard[stretch][place]

    def log_mel(self, start: int, stop: int) -> Tensor:
        """Frames start..stop of the recording's log-mel spectrogram, (mels, stop - start)."""
        power = self._log_power(start, stop)
        return (power.maximum(self._loudest - 8.0) + 4.0) / 4.0

    @cached_property
    def _loudest(self) -> Tensor:
        blocks = range(0, self.mel_frames, BLOCK_FRAMES)
        loudest = [
            self._log_power(first, min(first + BLOCK_FRAMES, self.mel_frames)).max()
            for first in blocks
        ]
        return torch.stack(loudest).max()

    def _log_power(self, start: int, stop: int) -> Tensor:
        """Before the floor: log10 of the mel power, reflected at both ends of the recording."""
        edge = WINDOW // 2
        low, high = start * HOP - edge, (stop - 1) * HOP + edge
        period = max(2 * len(self.samples) - 2, 1)
        at = np.arange(low, high) % period  # a recording mirrored at its ends repeats so
        at = np.minimum(at, period - at)
        samples = torch.from_numpy(np.nan_to_num(self.samples[at]).clip(-1, 1))
        spectrum = torch.stft(
            samples, WINDOW, HOP, window=torch.hann_window(WINDOW), center=False,
            return_complex=True,
        )  # fmt: skip
        return (self.listener.filters @ spectrum.abs().square()).clamp_min(1e-10).log10()


def _encoder(folder: Path, weights: Path, prefix: str, remedy: str) -> WhisperEncoder:
    """The encoder of a config, with exactly the tensors whose names begin with `prefix`."""
    try:
        encoder = WhisperEncoder(WhisperConfig.from_pretrained(folder))
        with safe_open(weights, "pt") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            found = {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        rule, first = "must be a whole Whisper model", str(error).split("\n")[0][:200]
        raise MissingCheckpoint("whisper", rule, f"{weights} ({first})", remedy) from error
    wanted = encoder.state_dict()
    wrong = [
        name
        for name in sorted(wanted.keys() | found.keys())
        if name not in wanted or name not in found or wanted[name].shape != found[name].shape
    ]
    if wrong:
        rule = "must hold exactly the encoder's tensors"
        said = f"{weights}: {len(wrong)} missing, unexpected or misshaped, such as {wrong[0]!r}"
        raise MissingCheckpoint("whisper", rule, said, remedy)
    encoder.load_state_dict(found)
    return encoder
