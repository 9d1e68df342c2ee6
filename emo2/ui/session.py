"""Who has what: one visitor's inputs, hands and films, and the folder they live in.

The page keeps nothing but an unguessable session id in `gr.State`; everything else is here. Files
lie outside Gradio's cache, whose clean-up goes by age and not by use, each under a name of its own:
a second result never overwrites the first. Nothing is shared between sessions, and a session is
deleted, files first, when nobody has used it for `retention_s`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emo2.jobs.worker import Job
from emo2.types import AudioClip, HandMotion, Portrait

DAY_S = 24 * 3600.0
STOP_PATIENCE_S = 10.0
"""Work that was stopped may still write its last file; deleting waits this long for it."""


@dataclass(frozen=True)
class Voice:
    """The recording that is spoken."""

    path: Path
    name: str
    """The visitor's own name for the file."""
    audio: AudioClip
    fingerprint: str


@dataclass(frozen=True)
class Sitter:
    """The portrait, and what was found in it."""

    path: Path
    name: str
    portrait: Portrait
    framed: Path
    """The picture as the film frames it."""
    marked: Path
    """The whole picture with the findings drawn on it."""
    fingerprint: str


@dataclass(frozen=True)
class Hands:
    """One version of the hands. Versions are numbered from 1 and never change."""

    number: int
    label: str
    motion: HandMotion
    file: Path
    clip: Path
    settings: Mapping[str, Any]
    voice: str
    """Fingerprint of the recording they were made for."""
    sitter: str
    """Fingerprint of the portrait the clip shows; empty where there was none."""


@dataclass(frozen=True)
class Film:
    """One rendered film."""

    number: int
    path: Path
    recipe_file: Path
    recipe: Mapping[str, Any]
    hands: Hands
    voice: str
    sitter: Sitter
    frames: int
    total_frames: int


@dataclass
class Session:
    """Everything of one visitor."""

    id: str
    folder: Path
    voice: Voice | None = None
    sitter: Sitter | None = None
    hands: list[Hands] = field(default_factory=list)
    shown_hands: Hands | None = None
    approved_hands: Hands | None = None
    films: list[Film] = field(default_factory=list)
    shown_film: Film | None = None
    job: Job | None = None
    used_at: float = field(default_factory=time.monotonic)

    @property
    def busy(self) -> bool:
        """True while work of this session waits or runs."""
        return self.job is not None and not self.job.finished

    def new_file(self, stem: str, suffix: str) -> Path:
        """A path in this session's folder that was never used before."""
        return self.folder / f"{stem}-{secrets.token_hex(4)}{suffix}"


class SessionStore:
    """All sessions of this server."""

    def __init__(self, root: Path | None = None, retention_s: float = DAY_S) -> None:
        self.root = root or Path(tempfile.gettempdir()) / f"emo2-studio-{os.getuid()}"
        self.retention_s = retention_s
        self._sessions: dict[str, Session] = {}
        self._guard = threading.Lock()
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def open(self, session_id: str | None) -> Session:
        """The session of that id, or a new one: an id we never gave out opens nothing."""
        with self._guard:
            session = self._sessions.get(session_id or "")
            if session is None:
                self._delete_old()
                session_id = secrets.token_hex(16)
                folder = self.root / session_id
                folder.mkdir(mode=0o700)
                session = self._sessions[session_id] = Session(session_id, folder)
            session.used_at = time.monotonic()
            return session

    def forget(self, session_id: str | None) -> None:
        """Stop the session's work and delete it with all its files."""
        with self._guard:
            session = self._sessions.pop(session_id or "", None)
        if session is not None:
            self._delete(session)

    def _delete_old(self) -> None:
        for session in list(self._sessions.values()):
            if not session.busy and time.monotonic() - session.used_at > self.retention_s:
                del self._sessions[session.id]
                self._delete(session)
        # Folders that an earlier run of the server left behind.
        for folder in self.root.iterdir():
            abandoned = folder.name not in self._sessions
            if abandoned and time.time() - folder.stat().st_mtime > self.retention_s:
                shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def _delete(session: Session) -> None:
        if session.job is not None:
            session.job.cancel()
            session.job.wait(STOP_PATIENCE_S)
        shutil.rmtree(session.folder, ignore_errors=True)
