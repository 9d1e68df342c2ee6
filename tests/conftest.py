"""What several tests share: private caches, speech made from nothing, and ffmpeg to make files."""

import json
import os
import subprocess
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emo2.types import NETWORK_SAMPLE_RATE_HZ, AudioClip

ROOT = Path(__file__).parents[1]
# Before anything imports numba: compiled kernels in a folder of this checkout's own.
os.environ["NUMBA_CACHE_DIR"] = str(ROOT / ".cache" / "numba")
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

ASSETS = ROOT / "assets"


def syllables(duration_s: float, seed: int = 0) -> np.ndarray:
    """(N,) float32 at 16 kHz that a speech network takes for a voice.

    A buzz through two moving formants, in bursts of 4 a second with pauses between the phrases.
    """
    random = np.random.default_rng(seed)
    time = np.arange(round(duration_s * NETWORK_SAMPLE_RATE_HZ)) / NETWORK_SAMPLE_RATE_HZ
    pitch_hz = 120 * 2 ** (0.15 * np.sin(2 * np.pi * 0.4 * time + random.uniform(0, 6)))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / NETWORK_SAMPLE_RATE_HZ
    formants_hz = np.stack(
        [
            500 + 250 * np.sin(2 * np.pi * 2.1 * time + random.uniform(0, 6)),
            1500 + 500 * np.sin(2 * np.pi * 1.7 * time + random.uniform(0, 6)),
        ]
    )
    voice = np.zeros_like(time)
    for harmonic in range(1, 25):
        distance = (harmonic * pitch_hz - formants_hz) / 150
        voice += np.exp(-0.5 * distance**2).sum(axis=0) * np.sin(harmonic * phase) / harmonic**0.5
    bursts = np.clip(np.sin(2 * np.pi * 4 * time + random.uniform(0, 6)) * 1.5 + 0.5, 0, 1)
    phrases = np.clip(4 * np.sin(2 * np.pi * time / 2.5 + 0.3) + 2.5, 0, 1)
    voice = voice * bursts * phrases + 0.002 * random.standard_normal(len(time))
    return (0.7 * voice / max(np.abs(voice).max(initial=0), 1e-9)).astype(np.float32)


@pytest.fixture
def speech_like() -> Callable[..., AudioClip]:
    """`speech_like(duration_s, seed=0)`: a clip without a file."""
    return lambda duration_s, seed=0: AudioClip(syllables(duration_s, seed))


@pytest.fixture
def ffmpeg() -> Callable[..., None]:
    """`ffmpeg("-i", ..., path)`: run the bundled ffmpeg, overwriting; fail loudly."""
    import imageio_ffmpeg

    executable = imageio_ffmpeg.get_ffmpeg_exe()

    def run(*arguments: object) -> None:
        command = [executable, "-nostdin", "-y", "-loglevel", "error", *map(str, arguments)]
        subprocess.run(command, check=True)

    return run


@pytest.fixture(scope="session")
def example_portrait() -> Path:
    """The first bundled character."""
    return ASSETS / json.loads((ASSETS / "examples.json").read_text())[0]["portrait"]


@pytest.fixture(scope="session")
def speech_file(tmp_path_factory) -> Path:
    """One second of `syllables` as a wav."""
    path = tmp_path_factory.mktemp("speech") / "second.wav"
    pcm = (syllables(1.0) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(NETWORK_SAMPLE_RATE_HZ)
        file.writeframes(pcm.tobytes())
    return path
