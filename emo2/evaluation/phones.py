"""When p, b and m were said, by an aligner that this project has no part in: CMU's PocketSphinx
with its en-us model (`pip install pocketsphinx`), for English.

A recording's text lies beside it (`clip.txt`); without one the aligner's own recogniser guesses the
words first, and its mistakes are part of the error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.types import NETWORK_SAMPLE_RATE_HZ, AudioClip

FRAME_S = 0.01
LABIALS = ("P", "B", "M")


@dataclass(frozen=True)
class AlignedPhone:
    """One sound as the aligner found it."""

    name: str
    """ARPABET, without stress."""
    start_s: float
    stop_s: float


class Aligner:
    """PocketSphinx, anew for each recording. Raises `InputError` where it is not installed."""

    def __init__(self) -> None:
        try:
            import pocketsphinx
        except ImportError:
            raise InputError(
                "pocketsphinx", "must be installed", "not found", "Try `pip install pocketsphinx`."
            ) from None
        self._make = partial(
            pocketsphinx.Decoder, samprate=NETWORK_SAMPLE_RATE_HZ, loglevel="FATAL"
        )

    def __call__(self, audio: AudioClip, text: str | None = None) -> list[AlignedPhone]:
        """Phones of English speech, in order; none where the text does not fit it."""
        sound = (np.clip(audio.samples, -1, 1) * 32767).astype("<i2").tobytes()
        decoder = self._make()  # one that failed to align does not recover
        try:
            if text is None:
                _listen(decoder, sound)
                heard = decoder.hyp()
                text = heard.hypstr if heard else ""
            known = [word for word in _words(text) if decoder.lookup_word(word)]
            if not known:
                return []
            decoder.set_align_text(" ".join(known))
            _listen(decoder, sound)
            decoder.set_alignment()
            _listen(decoder, sound)
        except RuntimeError:  # how PocketSphinx says that the words do not fit the sound
            return []
        return [
            AlignedPhone(p.name, p.start * FRAME_S, (p.start + p.duration) * FRAME_S)
            for word in decoder.get_alignment()
            for p in word
        ]


def transcript(recording: Path) -> str | None:
    """What is said in a recording, where a text file of its name lies beside it."""
    path = recording.with_suffix(".txt")
    return path.read_text("utf-8") if path.is_file() else None


def labials_s(phones: list[AlignedPhone]) -> np.ndarray:
    """(n,) the middles of all p, b and m [s]."""
    spans = [(p.start_s + p.stop_s) / 2 for p in phones if p.name in LABIALS]
    return np.array(spans, np.float64)


def _listen(decoder, sound: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(sound, full_utt=True)
    decoder.end_utt()


def _words(text: str) -> list[str]:
    kept = "".join(c if c.isalpha() or c == "'" else " " for c in text.lower())
    return kept.split()
