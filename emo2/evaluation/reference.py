"""Real motion to hold ours against: tracks of any format, with their sound where it lies beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emo2.errors import InputError
from emo2.evaluation.sounds import SUFFIXES
from emo2.media import load_audio
from emo2.motion.formats import identify, read_motion
from emo2.types import AudioClip, HandMotion

POSE_FOLDER = "echomimic"
"""The format of which a folder is one motion; other folders are looked into."""


@dataclass(frozen=True)
class Reference:
    """A real speaker's hands, and what was said, if it is known."""

    name: str
    motion: HandMotion
    """At 24 frames per second."""
    audio: AudioClip | None


def find_references(folder: Path) -> list[Reference]:
    """Every motion below `folder`. A recording of the same name belongs to it. Raises InputError
    where there is none, or one cannot be read."""
    found = []
    for path in _motions(Path(folder)):
        sounds = (path.with_suffix(suffix) for suffix in sorted(SUFFIXES))
        sound = next((sound for sound in sounds if sound.is_file()), None)
        audio = load_audio(sound) if sound else None
        found.append(Reference(path.stem, read_motion(path).motion, audio))
    if not found:
        rule, remedy = "must be a folder with motions", "Any format that `emo2 convert` reads."
        raise InputError("--reference", rule, folder, remedy)
    return found


def _motions(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        name = _format(path)
        if (path.is_file() and name) or name == POSE_FOLDER:
            yield path
        elif path.is_dir():
            yield from _motions(path)


def _format(path: Path) -> str:
    """The name of a readable format, or nothing."""
    try:
        return identify(path).name
    except InputError:
        return ""
