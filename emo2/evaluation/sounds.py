"""Moments of speech that hands can meet, by three detectors.

`onsets` is the detector of the literature: librosa's, as it comes, at 16 kHz and hop 512. It hears
any sound that begins. `syllables` is this project's (`emo2.features.onsets`), which the preview
draws. `stresses` are the accents of `emo2.training.prosody`: the TEACHER's own ears, so agreement
with them says how well the teacher's rule was learnt, and nothing about people.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.features.onsets import speech_onsets
from emo2.media import load_audio
from emo2.training.prosody import analyse
from emo2.types import NETWORK_SAMPLE_RATE_HZ, AudioClip

DETECTORS = ("onsets", "syllables", "stresses")
HOP = 512
STRESSED = 0.5
"""Salience from which a syllable counts as stressed."""
SUFFIXES = {".wav", ".flac", ".mp3", ".ogg", ".m4a", ".opus"}


def audio_beats(audio: AudioClip) -> dict[str, np.ndarray]:
    """Rising times (n,) [s] per detector."""
    import librosa

    onsets = librosa.onset.onset_detect(
        y=np.asarray(audio.samples), sr=audio.sample_rate_hz, hop_length=HOP, units="time"
    )
    prosody = analyse(audio.samples)
    return {
        "onsets": np.asarray(onsets, np.float64),
        "syllables": speech_onsets(audio)[0],
        "stresses": prosody.times_s[prosody.salience > STRESSED],
    }


def find_speech(folder: Path, length_s: float) -> dict[str, list[AudioClip]]:
    """All recordings below `folder`, by sub-folder, joined in order of name into clips of about
    `length_s`; those of `folder` itself are the group "".

    Raises InputError where there is no recording.
    """
    groups: dict[str, list[Path]] = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.suffix.lower() in SUFFIXES:
            groups.setdefault(str(path.parent.relative_to(folder)), []).append(path)
    if not groups:
        rule, remedy = "must be a folder with recordings", f"Any of {', '.join(sorted(SUFFIXES))}."
        raise InputError("--speech", rule, folder, remedy)
    return {
        "" if name == "." else name: join([load_audio(path) for path in paths], length_s)
        for name, paths in groups.items()
    }


def join(clips: list[AudioClip], length_s: float) -> list[AudioClip]:
    """Neighbours put end to end until each stretch lasts `length_s`; a short rest goes to the
    last."""
    stretches: list[list[np.ndarray]] = []
    for clip in clips:
        if not stretches or _seconds(stretches[-1]) >= length_s:
            stretches.append([])
        stretches[-1].append(clip.samples)
    if len(stretches) > 1 and _seconds(stretches[-1]) < length_s / 2:
        stretches[-2:] = [stretches[-2] + stretches[-1]]
    return [AudioClip(np.concatenate(parts)) for parts in stretches]


def _seconds(parts: list[np.ndarray]) -> float:
    return sum(map(len, parts)) / NETWORK_SAMPLE_RATE_HZ
