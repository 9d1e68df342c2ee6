"""What a frozen audio encoder hears of a corpus: once per clip, kept on disk.

Encoders come from a folder or by name from the hub. wav2vec2-base hears a corpus of 60 hours in 8
GB of hidden states: too many for memory, and too long to hear again for every process.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from accelerate import Accelerator

from emo2.errors import MissingCheckpoint
from emo2.features.audio import AudioEncoder
from emo2.training.mixture import Mixture
from emo2.types import AudioClip

ENCODER_FILES = ("config.json", "model.safetensors", "preprocessor_config.json")


def open_encoder(name: str) -> AudioEncoder:
    """The encoder in a folder, or of that name on the hub. Raises `MissingCheckpoint`."""
    if Path(name).is_dir() or name.count("/") != 1:
        return AudioEncoder.from_pretrained(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(name, allow_patterns=list(ENCODER_FILES))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise MissingCheckpoint(
            "audio checkpoint",
            "must be a folder or a name on the hub",
            f"{name} ({str(error).splitlines()[0]})"[:200],
            "Go online once, or copy the folder and name it with --audio-checkpoint.",
        ) from error
    return AudioEncoder.from_pretrained(folder)


def hear_corpora(
    mixture: Mixture, encoder: AudioEncoder, folder: Path, accelerator: Accelerator
) -> list[np.ndarray]:
    """(N, T, D) float16 for each corpus, read from disk as needed. Each process hears its share of
    the clips; what an earlier run of this folder has heard is taken as it is."""
    paths = [folder / f"heard-{number}.npy" for number in range(len(mixture.corpora))]
    partial = [path.with_suffix(".partial") for path in paths]
    missing = [number for number, path in enumerate(paths) if not path.is_file()]
    accelerator.wait_for_everyone()  # all have looked before one writes
    for number in missing:
        corpus = mixture.corpora[number]
        shape = (len(corpus.length), corpus.channels.shape[2], encoder.width)
        if accelerator.is_main_process:
            np.lib.format.open_memmap(partial[number], "w+", np.float16, shape)
        accelerator.wait_for_everyone()
        rows = np.lib.format.open_memmap(partial[number], "r+")
        for clip in range(accelerator.process_index, len(rows), accelerator.num_processes):
            heard = _hear(encoder, corpus.audio[clip], int(corpus.length[clip]), mixture.fps)
            rows[clip, : len(heard)] = heard
        rows.flush()
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            partial[number].replace(paths[number])
    accelerator.wait_for_everyone()
    return [np.load(path, mmap_mode="r") for path in paths]


def forget_heard(folder: Path) -> None:
    """Another encoder is to be frozen: what the last one heard is of no use."""
    for path in folder.glob("heard-*.npy"):
        path.unlink()


def _hear(encoder: AudioEncoder, audio: np.ndarray, num_frames: int, fps: float) -> np.ndarray:
    samples = round(num_frames / fps * encoder.extractor.sampling_rate)
    clip = AudioClip(np.asarray(audio[:samples]) / np.float32(32768))
    return encoder(clip, fps).hidden_states[:num_frames]
