"""What a visitor brings: checked, copied into their session's folder, understood, or refused by an
`InputError`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from emo2.errors import InputError
from emo2.media import load_audio, load_image
from emo2.provenance.recipe import file_hash
from emo2.types import Frame, Portrait
from emo2.ui.pictures import mark_portrait
from emo2.ui.session import Session, Sitter, Voice


@dataclass(frozen=True)
class Limits:
    """What the page accepts; shown before anything is uploaded."""

    speech_s: float = 60.0
    audio_mb: int = 25
    image_mb: int = 15
    motion_mb: int = 8


def take_voice(session: Session, path: Path, limits: Limits) -> None:
    """Make the recording at `path` the session's voice; the same one again changes nothing."""
    check_size("recording", path, limits.audio_mb)
    fingerprint = file_hash(path)
    if session.voice is not None and session.voice.fingerprint == fingerprint:
        return
    audio = load_audio(path, max_duration_s=limits.speech_s)
    kept = _keep(session, "voice", path)
    session.voice = Voice(kept, path.name, replace(audio, source=kept), fingerprint)


def take_portrait(
    session: Session, path: Path, limits: Limits, analyse: Callable[[Frame], Portrait]
) -> None:
    """Make the picture at `path` the session's portrait, if `analyse` finds a person in it."""
    check_size("portrait", path, limits.image_mb)
    fingerprint = file_hash(path)
    if session.sitter is not None and session.sitter.fingerprint == fingerprint:
        return
    image = load_image(path)
    portrait = analyse(image)
    framed, marked = session.new_file("framed", ".png"), session.new_file("marked", ".png")
    Image.fromarray(portrait.image).save(framed)
    Image.fromarray(mark_portrait(image, portrait)).save(marked)
    kept = _keep(session, "portrait", path)
    session.sitter = Sitter(kept, path.name, portrait, framed, marked, fingerprint)


def check_size(argument: str, path: Path, limit_mb: int) -> None:
    """Refuse a file of more than `limit_mb` megabytes."""
    if path.is_file() and path.stat().st_size > limit_mb * 1024**2:
        size = f"{path.stat().st_size / 1024**2:.0f} MB"
        rule = f"must be smaller than {limit_mb} MB"
        raise InputError(argument, rule, size, "Use a shorter or smaller file.")


def _keep(session: Session, stem: str, path: Path) -> Path:
    """A copy in the session's own folder: uploads belong to Gradio's cache and its clean-up."""
    return Path(shutil.copyfile(path, session.new_file(stem, path.suffix.lower())))
