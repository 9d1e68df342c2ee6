"""From the sounds of speech and their times to what lips do: the lesson of the viseme network.

Each sound has a wish (how open, how round) and a will to have it: p, b, m shut the lips whatever
stands beside them, u rounds them a while before and after, h and k take whatever mouth they find.
Wishes are mixed by dominance that decays with the distance in time (after Cohen & Massaro 1993,
"Modeling coarticulation in synthetic visual speech"); the numbers are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emo2.draft.speech import RATE_HZ


@dataclass(frozen=True)
class Phone:
    """One sound."""

    name: str
    """IPA; a diphthong or an affricate may be one name. Empty = a pause."""
    start_s: float
    stop_s: float


@dataclass(frozen=True)
class Wish:
    """What a sound wants of the lips."""

    open: float
    spread: float
    will: float


VOWELS = {
    **{"a": Wish(0.95, 0.1, 1), "ɑ": Wish(0.95, -0.1, 1), "ɐ": Wish(0.7, 0, 0.9)},
    **{"æ": Wish(0.85, 0.35, 1), "ʌ": Wish(0.65, 0, 0.9), "ɒ": Wish(0.75, -0.5, 1)},
    **{"ɛ": Wish(0.6, 0.3, 1), "e": Wish(0.5, 0.5, 1), "ə": Wish(0.42, 0, 0.6)},
    **{"ɜ": Wish(0.5, -0.1, 0.9), "ɚ": Wish(0.4, -0.25, 0.8), "ɝ": Wish(0.45, -0.25, 0.9)},
    **{"ɪ": Wish(0.38, 0.35, 0.9), "i": Wish(0.3, 0.8, 1), "ɨ": Wish(0.3, 0.2, 0.8)},
    **{"ɔ": Wish(0.65, -0.6, 1), "o": Wish(0.5, -0.8, 1), "ɤ": Wish(0.45, 0, 0.9)},
    **{"ʊ": Wish(0.3, -0.7, 1), "u": Wish(0.22, -1, 1), "ɯ": Wish(0.25, 0.1, 0.9)},
    **{"y": Wish(0.2, -0.9, 1), "ø": Wish(0.4, -0.8, 1), "œ": Wish(0.5, -0.7, 1)},
    **{"ʉ": Wish(0.22, -0.9, 1), "ɵ": Wish(0.4, -0.6, 1), "ʏ": Wish(0.28, -0.8, 1)},
}
_TEETH, _HUSHED = Wish(0.12, 0.15, 1.2), Wish(0.14, -0.5, 1.2)
_TONGUE, _THROAT = Wish(0.24, 0, 0.4), Wish(0.34, 0, 0.15)
_BITTEN, _ROUND = Wish(0.06, 0.1, 2), Wish(0.14, -1, 1.6)
_CURLED, _SHUT = Wish(0.22, -0.4, 0.8), Wish(0.05, 0, 0.8)
CONSONANTS = {
    **dict.fromkeys("pbm", _SHUT),
    **dict.fromkeys("fvʋɱ", _BITTEN),
    **dict.fromkeys("wɥʍ", _ROUND),
    **dict.fromkeys("sz", _TEETH),
    **dict.fromkeys("ʃʒɕʑʂʐ", _HUSHED),
    **dict.fromkeys("tdnlθðɾrɫʈɖɳɭʎɲ", _TONGUE),
    **dict.fromkeys("ɹɻ", _CURLED),
    **dict.fromkeys("kgɡŋhɦxɣχʁqʔcɟç", _THROAT),
    "j": Wish(0.24, 0.6, 0.8),
    "β": _BITTEN,
}
WISHES = VOWELS | CONSONANTS
LABIALS = frozenset("pbm")
PAUSE = Wish(0.0, 0.0, 0.5)
REACH_S = 0.03
"""Beyond its middle half a sound's dominance falls to 1 / e in this time and a third of half its
length."""
RAMP_S = 0.03
"""Lips need so long to shut and to part."""


def lips(phones: Sequence[Phone], duration_s: float) -> np.ndarray:
    """(N, 3) open, spread, press at `RATE_HZ` for phones in order; see `LipCurves`."""
    times = (np.arange(max(1, round(duration_s * RATE_HZ))) + 0.5) / RATE_HZ
    total, mixed = np.full(len(times), 1e-6), np.zeros((2, len(times)))
    press = np.zeros(len(times))
    for phone in (part for whole in phones for part in split(whole)):
        wish = WISHES.get(phone.name, PAUSE)
        middle, half = (phone.start_s + phone.stop_s) / 2, (phone.stop_s - phone.start_s) / 2
        near = slice(*np.searchsorted(times, [middle - half - 0.5, middle + half + 0.5]))
        beyond = np.maximum(np.abs(times[near] - middle) - half / 2, 0)
        strength = wish.will * np.exp(-beyond / (REACH_S + half / 3))
        mixed[:, near] += strength * np.array([[wish.open], [wish.spread]])
        total[near] += strength
        if phone.name in LABIALS:
            inside = half - np.abs(times[near] - middle)
            press[near] = np.maximum(press[near], np.clip(inside / RAMP_S + 1, 0, 1))
    opened, spread = mixed / total
    return np.stack([opened * (1 - press), spread, press], axis=1).astype(np.float32)


def split(phone: Phone) -> list[Phone]:
    """A diphthong or affricate as its parts, of equal length; marks of length, stress and tone are
    dropped. What is no sound is one pause."""
    names = [letter for letter in phone.name if letter in WISHES] or [""]
    edges = np.linspace(phone.start_s, phone.stop_s, len(names) + 1)
    return [
        Phone(name, start, stop)
        for name, start, stop in zip(names, edges[:-1], edges[1:], strict=True)
    ]
