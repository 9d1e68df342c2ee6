"""Synthetic speech with the times of its sounds: espeak-ng's library, and flite where it is
installed.

A `Sayer` says a text: (n,) float32 at 16 kHz and its phones. espeak-ng is asked through its shared
library, which tells sounds as it makes them; its command cannot.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from emo2.errors import InputError
from emo2.training.articulation import Phone
from emo2.training.synthesisers import FLITE_VOICES, TIMBRES, at_16_khz
from emo2.types import NETWORK_SAMPLE_RATE_HZ

Sayer = Callable[[str], tuple[np.ndarray, list[Phone]]]

VOICES = {
    **{"en-us": 0.3, "en-gb-scotland": 0.15, "de": 0.1, "es": 0.1, "fr": 0.15, "it": 0.1},
    **{"ru": 0.05, "hi": 0.05},
}
"""Voices of espeak-ng and how often each speaks: other languages have sounds that English lacks."""
_SYNCHRONOUS, _PHONEME_EVENTS, _IPA = 2, 1, 2
_UTF8, _RATE, _PITCH = 1, 1, 3
_END, _PHONEME = 0, 7
_HUSH = 0.03
"""Quieter than this share of a voice's usual level is a plosive's silence."""
_LONGEST_CLOSURE_S = 0.13
ARPABET = {
    **{"aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "ax": "ə", "axr": "ɚ", "ay": "aɪ"},
    **{"b": "b", "ch": "tʃ", "d": "d", "dh": "ð", "dx": "ɾ", "eh": "ɛ", "er": "ɝ", "ey": "eɪ"},
    **{"f": "f", "g": "ɡ", "hh": "h", "hv": "h", "ih": "ɪ", "iy": "i", "jh": "dʒ", "k": "k"},
    **{"l": "l", "m": "m", "n": "n", "ng": "ŋ", "ow": "oʊ", "oy": "ɔɪ", "p": "p", "r": "ɹ"},
    **{"s": "s", "sh": "ʃ", "t": "t", "th": "θ", "uh": "ʊ", "uw": "u", "v": "v", "w": "w"},
    **{"y": "j", "z": "z", "zh": "ʒ"},
}
"""Without "pau" and the like: what is not in it is a pause."""


def choose_sayer(rng: np.random.Generator, *, flite_share: float = 0.3) -> tuple[str, Sayer]:
    """A language and a voice of it."""
    if shutil.which("flite") and rng.random() < flite_share:
        return "en", _flite(rng)
    voice = str(rng.choice(list(VOICES), p=list(VOICES.values())))
    timbre = str(rng.choice(TIMBRES))
    rate, pitch = int(np.clip(rng.normal(165, 25), 110, 230)), int(rng.uniform(15, 85))
    return voice.split("-")[0], lambda text: espeak(text, voice + timbre, rate, pitch)


def espeak(text: str, voice: str, rate: int = 165, pitch: int = 50) -> tuple[np.ndarray, list]:
    """`text` by espeak-ng's `voice`: (n,) float32 at 16 kHz and its phones."""
    library = _library()
    if library.handle.espeak_SetVoiceByName(voice.encode()):
        raise InputError("voice", "must be one of espeak-ng's", voice, "See espeak-ng --voices.")
    library.handle.espeak_SetParameter(_RATE, rate, 0)
    library.handle.espeak_SetParameter(_PITCH, pitch, 0)
    library.blocks.clear()
    library.events.clear()
    said = text.encode()
    library.handle.espeak_Synth(said, len(said) + 1, 0, 1, 0, _UTF8, None, None)
    samples = np.concatenate([np.zeros(0, np.int16), *library.blocks]) / np.float32(32768)
    edges = [(sample / library.rate_hz, name) for sample, name in library.events]
    ends = [start for start, _ in edges[1:]] + [len(samples) / library.rate_hz]
    phones = [Phone(n, s, max(e, s)) for (s, n), e in zip(edges, ends, strict=True)]
    sound = at_16_khz(samples, library.rate_hz)
    return sound, with_closures(phones, sound)


def with_closures(phones: list[Phone], sound: np.ndarray) -> list[Phone]:
    """espeak-ng tells p, t, k from their burst on; the silence before it is theirs, too. Sounds
    before that silence end where it begins."""
    hop = NETWORK_SAMPLE_RATE_HZ // 200
    frames = sound[: len(sound) // hop * hop].reshape(-1, hop)
    level = np.sqrt((frames**2).mean(axis=1)) if len(frames) else np.zeros(1)
    hushed = level < _HUSH * np.percentile(level, 90)
    out: list[Phone] = []
    for phone in phones:
        start = phone.start_s
        if phone.name[:1] in ("p", "t", "k"):
            at = min(round(start * 200), len(hushed))
            least = max(0, at - round(_LONGEST_CLOSURE_S * 200))
            while at > least and hushed[at - 1]:
                at -= 1
            start = min(start, at / 200)
            if out:
                last = out[-1]
                start = max(start, last.start_s)
                out[-1] = Phone(last.name, last.start_s, min(last.stop_s, start))
        out.append(Phone(phone.name, start, phone.stop_s))
    return out


def _flite(rng: np.random.Generator) -> Sayer:
    voice, pitch = str(rng.choice(FLITE_VOICES)), rng.uniform(85, 230)
    stretch = rng.uniform(0.85, 1.3)

    def say(text: str) -> tuple[np.ndarray, list[Phone]]:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "speech.wav"
            settings = (f"int_f0_target_mean={pitch:.1f}", f"duration_stretch={stretch:.3f}")
            command = ["flite", "-psdur", "-voice", voice]
            command += [part for setting in settings for part in ("--setf", setting)]
            told = subprocess.run(
                [*command, "-t", text, "-o", str(out)], check=True, capture_output=True, text=True
            ).stdout
            samples, rate = soundfile.read(out, dtype="float32")
        phones, start = [], 0.0
        for word in told.split():
            name, _, end = word.rpartition(":")
            stop = float(end)
            phones.append(Phone(ARPABET.get(name, ""), start, max(start, stop)))
            start = max(start, stop)
        return at_16_khz(samples, rate), phones

    return say


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("text", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("type", "unique", "position", "length", "millis")),
        ("sample", ctypes.c_int),
        ("user", ctypes.c_void_p),
        ("id", _Id),
    ]


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class _Library:
    """espeak-ng, which exists once a process and remembers."""

    def __init__(self, handle: ctypes.CDLL) -> None:
        self.handle = handle
        self.rate_hz = handle.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS | _IPA)
        self.blocks: list[np.ndarray] = []
        self.events: list[tuple[int, str]] = []
        self._callback = _CALLBACK(self._take)  # must live as long as the library
        handle.espeak_SetSynthCallback(self._callback)

    def _take(self, samples, count: int, events) -> int:
        if count > 0:
            self.blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != _END:
            if events[index].type == _PHONEME:
                name = bytes(events[index].id.text).decode("utf-8", "ignore").strip("\0")
                # "(en)" and the like tell that a word is said in another language.
                self.events.append((events[index].sample, "" if name[:1] == "(" else name))
            index += 1
        return 0


@cache
def _library() -> _Library:
    name = ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1"
    try:
        return _Library(ctypes.CDLL(name))
    except OSError:
        raise InputError(
            "espeak-ng",
            "must be installed, with its shared library",
            "not found",
            "Try `apt-get install espeak-ng`.",
        ) from None
