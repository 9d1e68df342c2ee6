"""Takes in a folder of other people's data: which motion goes with which sound, who it is, and how
they speak.

A take is a motion and a recording of the same name, side by side (SHOW, BEAT) or anywhere below the
folder (BEAT2's `smplxflame_30` and `wave16k`). A folder that bears a recording's name and holds no
recording is a motion, too: poses or tracks with a file a frame.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from emo2.errors import InputError
from emo2.motion.formats import FORMATS

SOUNDS = (".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus", ".mp4", ".mov", ".mkv", ".webm")
"""What may hold the speech, the best first."""
LEVELS = ("style", "speaker", "speaker/style", "style/speaker")
"""What the folders below the one given are called after, from the outside in."""
LABELS_FILE = "labels.csv"
PLAIN_STYLE, PLAIN_SPEAKER = "speech", "one"
"""Where nothing tells."""
_BEAT_NAME = re.compile(r"\d+_([a-z]+)_\d+_\d+_\d+", re.IGNORECASE)
"""BEAT and BEAT2: number, speaker, kind of recording, first and last sentence."""


@dataclass(frozen=True)
class Take:
    """A motion with its sound and labels."""

    name: str
    """Path below the folder, without suffix."""
    motions: tuple[Path, ...]
    """Files that may hold the motion, the likeliest first."""
    sound: Path
    style: str
    speaker: str


@dataclass(frozen=True)
class Rejected:
    """A file that is no part of the corpus, and why."""

    name: str
    reason: str


def find_takes(
    folder: Path, *, format: str | None = None, levels: str = "style"
) -> tuple[list[Take], list[Rejected]]:
    """All takes below `folder` in the order of their names, and what has no partner.

    Args:
        format: a name in `FORMATS`: only files that this format may have; None = any.
        levels: what the folders are called after, one of `LEVELS`; a file name of BEAT's and
            `labels.csv` (file, style, perhaps speaker) tell more surely.

    Raises:
        InputError: there is no such folder, or its labels cannot be read.
    """
    if not folder.is_dir():
        raise InputError("--from", "must be a folder", folder, "Name the folder of your takes.")
    sounds: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.rglob("*"), key=lambda p: _order(SOUNDS, p)):
        if path.is_file() and path.suffix.lower() in SOUNDS:
            sounds[path.stem].append(path)
    motions: dict[str, list[Path]] = defaultdict(list)
    for path in _motions(folder, set(sounds), _suffixes(format)):
        motions[_stem(path)].append(path)

    labels = _read_labels(folder)
    takes, rejected = [], []
    for stem in sorted(motions):
        for place, paths in _by_folder(motions[stem]).items():
            name = (place / stem).relative_to(folder).as_posix()
            beside = [s for s in sounds[stem] if s.parent == place]
            if not (beside or len({s.parent for s in sounds[stem]}) == 1):
                count = "several recordings" if sounds[stem] else "no recording"
                rejected.append(Rejected(name, f"{count} of this name"))
                continue
            sound = (beside or sounds[stem])[0]
            style, speaker = _labels_of(name, stem, place.relative_to(folder), levels)
            takes.append(Take(name, tuple(paths), sound, style, speaker))
    used = {take.sound.stem for take in takes}
    for stem in sorted(set(sounds) - used - set(motions)):
        name = sounds[stem][0].relative_to(folder).as_posix()
        rejected.append(Rejected(name, "no motion of this name"))
    return _with_labels(takes, labels, rejected), rejected


def _motions(folder: Path, sounds: set[str], suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Files and folders that may hold a motion, in the order of their paths."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == LABELS_FILE:
            continue
        if not path.is_dir():
            if path.suffix.lower() in suffixes:
                yield path
        elif path.name in sounds and "" in suffixes and not _holds_sound(path):
            yield path
        else:
            yield from _motions(path, sounds, suffixes)


def _holds_sound(folder: Path) -> bool:
    return any(path.suffix.lower() in SOUNDS for path in folder.rglob("*"))


def _suffixes(format: str | None) -> tuple[str, ...]:
    fitting = [f for f in FORMATS if f.reader and format in (None, f.name)]
    if not fitting:
        known = ", ".join(f.name for f in FORMATS if f.reader)
        raise InputError("--format", f"must be one of {known}", format, "Or leave it out.")
    return tuple(dict.fromkeys(suffix for f in fitting for suffix in f.suffixes))


def _stem(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


def _order(endings: tuple[str, ...], path: Path) -> tuple[int, str]:
    suffix = path.suffix.lower()
    return (endings.index(suffix) if suffix in endings else len(endings), path.as_posix())


def _by_folder(paths: list[Path]) -> dict[Path, list[Path]]:
    """Files of one name by the folder they lie in; formats in three dimensions come first (BEAT has
    a .json of the face beside each .bvh)."""
    suffixes = tuple(dict.fromkeys(s for f in FORMATS if f.name != "keypoints" for s in f.suffixes))
    out: dict[Path, list[Path]] = defaultdict(list)
    for path in sorted(paths, key=lambda p: _order(suffixes, p)):
        out[path.parent].append(path)
    return out


def _labels_of(name: str, stem: str, place: Path, levels: str) -> tuple[str, str]:
    """Style and speaker, from BEAT's file name or from the folders."""
    if match := _BEAT_NAME.fullmatch(stem):
        return PLAIN_STYLE, match[1].lower()
    told = dict(zip(levels.split("/"), place.parts, strict=False))
    return told.get("style", PLAIN_STYLE), told.get("speaker", PLAIN_SPEAKER)


def _read_labels(folder: Path) -> dict[str, tuple[str, str]]:
    """`labels.csv`: file (path or name, with or without suffix) -> style and speaker, "" = not
    told."""
    path = folder / LABELS_FILE
    if not path.is_file():
        return {}
    remedy = "Its first line must be: file,style or file,style,speaker"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            "labels", "must be a readable table", f"{path} ({error})", remedy
        ) from error
    if not rows or not {"file", "style"} <= rows[0].keys():
        columns = ", ".join(rows[0]) if rows else "no rows"
        raise InputError("labels", "must have the columns file and style", columns, remedy)
    return {
        row["file"].strip(): ((row["style"] or "").strip(), (row.get("speaker") or "").strip())
        for row in rows
    }


def _with_labels(
    takes: list[Take], labels: dict[str, tuple[str, str]], rejected: list[Rejected]
) -> list[Take]:
    """Takes with what `labels.csv` says of them; lines of it that fit no take are rejected."""
    unused = set(labels)
    out = []
    for take in takes:
        names = [take.name, take.name.rpartition("/")[2]]
        names += [n + path.suffix for n in names[:2] for path in (*take.motions, take.sound)]
        row = next((n for n in names if n in labels), None)
        if row is not None:
            style, speaker = labels[row]
            take = replace(take, style=style or take.style, speaker=speaker or take.speaker)
            unused.discard(row)
        out.append(take)
    rejected += [Rejected(f"{LABELS_FILE}: {row}", "no such take") for row in sorted(unused)]
    return out
