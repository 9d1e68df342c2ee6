"""Programs and recordings that speak for the corpus: espeak-ng, flite, festival, and folders of
real speech.

A `Speaker` is one voice for one clip: called with nothing, it says its next phrase. espeak-ng is
needed; the others are used where they are installed, real recordings where a folder of them is
given. Many unlike voices are what makes Stage 1 hear a stranger.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from emo2.errors import InputError
from emo2.media import load_audio
from emo2.training.sentences import ACCENTS, SENTENCES
from emo2.types import NETWORK_SAMPLE_RATE_HZ

Speaker = Callable[[], np.ndarray]
"""The next phrase, (n,) float32 at 16 kHz, dry."""

LANGUAGES = ("en", "cmn", "de", "es", "fr", "it", "ru", "hi")
LANGUAGE_SHARES = (0.48, 0.22, 0.06, 0.06, 0.06, 0.04, 0.04, 0.04)
TIMBRES = (
    *("", "+m1", "+m2", "+m3", "+m4", "+m5", "+m7", "+f1", "+f2", "+f3", "+f4", "+f5"),
    *("+adam", "+linda", "+steph", "+belinda", "+michael", "+Alicia", "+david", "+pablo", "+anika"),
)
FLITE_VOICES = ("awb", "rms", "slt", "kal16")
FESTIVAL_VOICES = {
    "kal_diphone": "en",
    "ked_diphone": "en",
    "cmu_us_slt_arctic_hts": "en",
    "lp_diphone": "it",
    "pc_diphone": "it",
    "msu_ru_nsh_clunits": "ru",
}
SHARES = {"espeak-ng": 0.4, "flite": 0.15, "festival": 0.07, "recordings": 0.38}
"""How often each speaks, among those that are there."""
SOUND_SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus"}
PHRASE_S = (0.6, 14.0)
"""Recordings shorter or longer than this are left out."""


@dataclass(frozen=True)
class Recordings:
    """Real speech: one folder a speaker, below `folder`."""

    speakers: tuple[tuple[Path, ...], ...]
    """Each speaker's files."""

    @classmethod
    def find(cls, folder: str | Path) -> Recordings:
        """All sound files below `folder`, by the folder they lie in. Raises `InputError` where
        there are none."""
        files: dict[Path, list[Path]] = {}
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix.lower() in SOUND_SUFFIXES:
                files.setdefault(path.parent, []).append(path)
        if not files:
            raise InputError(
                "speech",
                f"must be a folder with sound files ({', '.join(sorted(SOUND_SUFFIXES))})",
                folder,
                "Put one folder a speaker in it, or leave --speech out.",
            )
        return cls(tuple(tuple(paths) for paths in files.values()))

    def speaker(self, rng: np.random.Generator) -> Speaker:
        """One person, a little higher or lower and faster or slower than they are."""
        lengths = np.array([len(paths) for paths in self.speakers], dtype=float)
        chances = np.sqrt(lengths) / np.sqrt(lengths).sum()
        paths = self.speakers[int(rng.choice(len(self.speakers), p=chances))]
        percent = int(rng.integers(86, 117))

        def say() -> np.ndarray:
            for _ in range(20):
                samples = _recording(paths[int(rng.integers(len(paths)))])
                if PHRASE_S[0] <= len(samples) / NETWORK_SAMPLE_RATE_HZ <= PHRASE_S[1]:
                    break
            samples = resample_poly(samples, 100, percent) if percent != 100 else samples
            return (samples / max(np.abs(samples).max(), 1e-3) * 0.7).astype(np.float32)

        return say


def choose_speaker(rng: np.random.Generator, recordings: Recordings | None = None) -> Speaker:
    """A voice for one clip."""
    _program("espeak-ng", needed=True)
    there = {
        "espeak-ng": True,
        "flite": _program("flite") is not None,
        "festival": bool(_festival_voices()),
        "recordings": recordings is not None,
    }
    names = [name for name in SHARES if there[name]]
    shares = np.array([SHARES[name] for name in names])
    name = str(rng.choice(names, p=shares / shares.sum()))
    if name == "recordings":
        return recordings.speaker(rng)
    return {"espeak-ng": _espeak, "flite": _flite, "festival": _festival}[name](rng)


def _espeak(rng: np.random.Generator) -> Speaker:
    language = rng.choice(LANGUAGES, p=LANGUAGE_SHARES)
    voice = rng.choice(ACCENTS.get(language, (language,))) + rng.choice(TIMBRES)
    rate, pitch = int(np.clip(rng.normal(160, 22), 110, 220)), int(rng.uniform(15, 85))
    liveliness = rng.uniform(0.1, 0.5)

    def say() -> np.ndarray:
        text = _stress(rng, str(rng.choice(SENTENCES[language])), liveliness)
        command = ["espeak-ng", "-m", "-v", voice, "-s", str(rate), "-p", str(pitch)]
        return _sound(_run([*command, "--stdout", text]))

    return say


def _flite(rng: np.random.Generator) -> Speaker:
    voice, pitch = rng.choice(FLITE_VOICES), rng.uniform(85, 230)
    settings = {
        "int_f0_target_mean": pitch,
        "int_f0_target_stddev": pitch * rng.uniform(0.08, 0.3),
        "duration_stretch": rng.uniform(0.85, 1.35),
    }
    options = [part for k, v in settings.items() for part in ("--setf", f"{k}={v:.3f}")]

    def say() -> np.ndarray:
        text = str(rng.choice(SENTENCES["en"]))
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "speech.wav"
            _run(["flite", "-voice", str(voice), *options, "-t", text, "-o", str(out)])
            return _sound(out.read_bytes())

    return say


def _festival(rng: np.random.Generator) -> Speaker:
    voice = str(rng.choice(_festival_voices()))
    stretch, percent = rng.uniform(0.85, 1.3), int(rng.integers(85, 118))
    setting = f"(begin (voice_{voice}) (Parameter.set 'Duration_Stretch {stretch:.2f}))"

    def say() -> np.ndarray:
        text = str(rng.choice(SENTENCES[FESTIVAL_VOICES[voice]]))
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "speech.wav"
            encoding = "utf-8" if FESTIVAL_VOICES[voice] == "ru" else "latin-1"
            _run(["text2wave", "-eval", setting, "-o", str(out)], text.encode(encoding, "ignore"))
            return resample_poly(_sound(out.read_bytes()), 100, percent).astype(np.float32)

    return say


@cache
def _festival_voices() -> tuple[str, ...]:
    """The voices of ours that festival has here."""
    if _program("text2wave") is None or _program("festival") is None:
        return ()
    listing = _run(["festival", "-b", "(print (voice.list))"]).decode()
    return tuple(voice for voice in FESTIVAL_VOICES if voice in listing)


@cache
def _program(name: str, needed: bool = False) -> str | None:
    path = shutil.which(name)
    if path is None and needed:
        raise InputError(
            name,
            "must be installed to synthesise speech",
            "not found",
            f"Try `apt-get install {name}`.",
        )
    return path


def _run(command: list[str], text: bytes = b"") -> bytes:
    return subprocess.run(command, input=text, check=True, capture_output=True).stdout


def _sound(wav: bytes) -> np.ndarray:
    """(n,) float32 at 16 kHz of a WAV file; espeak-ng's stream says a length that is not its
    own."""
    return at_16_khz(*soundfile.read(io.BytesIO(wav), dtype="float32"))


def at_16_khz(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """(n,) float32 at the networks' sample rate."""
    divisor = np.gcd(rate_hz, NETWORK_SAMPLE_RATE_HZ)
    up, down = NETWORK_SAMPLE_RATE_HZ // divisor, rate_hz // divisor
    return resample_poly(samples, up, down).astype(np.float32)


@cache
def _recording(path: Path) -> np.ndarray:
    return load_audio(path).samples


def _stress(rng: np.random.Generator, text: str, share: float) -> str:
    """Mark some words to be said higher, louder and slower, as speakers do."""
    words = text.split(" ")
    for index, word in enumerate(words):
        if rng.random() < share and len(word) > 3:
            lift, slow = rng.integers(10, 45), rng.integers(70, 95)
            words[index] = (
                f'<prosody pitch="+{lift}%" volume="+{lift // 6}dB" rate="{slow}%">{word}</prosody>'
            )
    return " ".join(words)
