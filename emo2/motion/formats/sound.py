"""The speech beside a file that cannot hold it."""

from __future__ import annotations

import filecmp
import shutil
from pathlib import Path

from emo2.errors import InputError


def lay_beside(audio: Path, path: Path) -> str:
    """Copy the sound to the file's own name with the sound's suffix; returns the copy's name."""
    if not audio.is_file():
        raise InputError("audio", "must be an existing file", audio, "Check the path.")
    beside = path.with_suffix(audio.suffix.lower())
    if beside.exists():
        if not filecmp.cmp(audio, beside, shallow=False):
            raise InputError(
                "out",
                "its sound goes beside it under the same name, and another file is there",
                beside,
                "Choose another name, or move that file away.",
            )
        return beside.name
    part = beside.with_name(f".{beside.name}.part")
    try:
        shutil.copyfile(audio, part)
        part.replace(beside)
    finally:
        part.unlink(missing_ok=True)
    return beside.name
