"""What the page shows of a session, as plain values: `show(session)` is a function of the session
alone.

Handlers return one of two things: a `Screen`, the whole truth after something happened, or a
`Busy`, a report while work runs. `layout.py` turns both into component updates; nothing here knows
Gradio.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from emo2.jobs.worker import Report
from emo2.ui.session import Film, Hands, Session

Kind = Literal["plain", "good", "stale", "refused"]
Step = Literal["hands", "film"]


@dataclass(frozen=True)
class Note:
    """One line for a person, and what kind of news it is."""

    text: str
    kind: Kind = "plain"


@dataclass(frozen=True)
class Busy:
    """Work of `step` is waiting or running."""

    session_id: str
    step: Step
    report: Report | None


@dataclass(frozen=True)
class Screen:
    """Everything the page shows of one session."""

    session_id: str
    busy: bool
    voice: Note
    portrait: Note
    marked: Path | None
    framed: Path | None
    can_continue: bool
    """Step 2 can be entered: both inputs are there, or hands made earlier are."""
    hands: Note
    hands_clip: Path | None
    hands_file: Path | None
    versions: tuple[tuple[str, int], ...]
    """Label and number of every version, newest first."""
    shown_version: int | None
    can_approve: bool
    approval: Note
    film: Note
    film_clip: Path | None
    film_portrait: Path | None
    film_hands: Path | None
    film_summary: str
    film_recipe: Mapping[str, Any] | None
    film_recipe_file: Path | None
    can_render: bool
    inputs_follow: bool = False
    """The boxes of recording and portrait must be filled with these: an example, a reload, a new
    start."""
    voice_file: Path | None = None
    portrait_file: Path | None = None
    style: str | None = None
    """Set where the style's own box must follow: an example."""
    go_to: int | None = None
    """The step to move to."""


def show(
    session: Session,
    *,
    voice_refused: str | None = None,
    portrait_refused: str | None = None,
    hands_said: Note | None = None,
    film_said: Note | None = None,
    **once: Any,
) -> Screen:
    """The screen of `session`; `*_refused` and `*_said` are words about what was just tried."""
    hands, film = session.shown_hands, session.shown_film
    return Screen(
        session_id=session.id,
        busy=session.busy,
        voice=_voice_note(session, voice_refused),
        portrait=_portrait_note(session, portrait_refused),
        marked=session.sitter.marked if session.sitter else None,
        framed=session.sitter.framed if session.sitter else None,
        can_continue=(session.voice is not None and session.sitter is not None)
        or bool(session.hands),
        hands=hands_said or _hands_note(session),
        hands_clip=hands.clip if hands else None,
        hands_file=hands.file if hands else None,
        versions=tuple((_version_label(session, h), h.number) for h in reversed(session.hands)),
        shown_version=hands.number if hands else None,
        can_approve=hands is not None and _fits_voice(session, hands),
        approval=_approval_note(session),
        film=film_said or _film_note(session),
        film_clip=film.path if film else None,
        film_portrait=film.sitter.framed if film else None,
        film_hands=film.hands.clip if film else None,
        film_summary=_film_summary(film) if film else "",
        film_recipe=film.recipe if film else None,
        film_recipe_file=film.recipe_file if film else None,
        can_render=_why_no_render(session) is None,
        **once,
    )


def _fits_voice(session: Session, hands: Hands) -> bool:
    return session.voice is not None and hands.voice == session.voice.fingerprint


def _voice_note(session: Session, refused: str | None) -> Note:
    kept = " The earlier recording is still in use." if session.voice else ""
    if refused:
        return Note(refused + kept, "refused")
    if session.voice is None:
        return Note("No recording yet.")
    voice = session.voice
    return Note(f"{voice.name}: {voice.audio.duration_s:.1f} s of sound.", "good")


def _portrait_note(session: Session, refused: str | None) -> Note:
    kept = " The earlier portrait is still in use." if session.sitter else ""
    if refused:
        return Note(refused + kept, "refused")
    if session.sitter is None:
        return Note("No portrait yet.")
    sitter = session.sitter
    height, width = sitter.portrait.image.shape[:2]
    # A finding worth knowing is a note of its own kind, but never bad news: the portrait is usable.
    notes = "".join(f" {note[:1].upper()}{note[1:].rstrip('.')}." for note in sitter.portrait.notes)
    return Note(f"{sitter.name}: person found. The film will be {width} × {height}.{notes}", "good")


def _version_label(session: Session, hands: Hands) -> str:
    approved = " · approved" if hands is session.approved_hands else ""
    return f"{hands.number} · {hands.label}{approved}"


def _hands_note(session: Session) -> Note:
    hands = session.shown_hands
    if hands is None:
        if session.voice is None:
            return Note("Add a recording in step 1 first.")
        return Note("No hands yet. Press “Generate hands”.")
    if not _fits_voice(session, hands):
        return Note(
            "Out of date: these hands were made for another recording. They are kept; "
            "generate again to follow the present one.",
            "stale",
        )
    if session.sitter is not None and hands.sitter not in ("", session.sitter.fingerprint):
        return Note(
            "The clip shows the earlier portrait; the hands fit the new one as well.", "stale"
        )
    return Note(f"Version {hands.number}, {hands.motion.duration_s:.1f} s.", "good")


def _approval_note(session: Session) -> Note:
    reason = _why_no_render(session)
    if reason:
        return Note(reason, "stale" if session.approved_hands else "plain")
    approved = session.approved_hands
    if session.shown_hands is not approved:
        return Note(
            f"The film will use version {approved.number}, which you approved; step 2 now shows "
            f"version {session.shown_hands.number}.",
            "stale",
        )
    return Note(f"The film will use version {approved.number}: {approved.label}.", "good")


def _why_no_render(session: Session) -> str | None:
    if session.voice is None or session.sitter is None:
        return "A recording and a portrait are needed: step 1."
    if session.approved_hands is None:
        return "No hands are approved yet: step 2."
    if not _fits_voice(session, session.approved_hands):
        return "The approved hands are for another recording: make and approve new ones in step 2."
    return None


def _film_note(session: Session) -> Note:
    film = session.shown_film
    if film is None:
        return Note("")
    changed = []
    if session.voice is None or film.voice != session.voice.fingerprint:
        changed.append("the recording")
    if session.sitter is None or film.sitter.fingerprint != session.sitter.fingerprint:
        changed.append("the portrait")
    if film.hands is not session.approved_hands:
        changed.append("the approved hands")
    if changed:
        what = " and ".join(changed)
        verb = "have" if len(changed) > 1 or "hands" in what else "has"
        return Note(f"Out of date: {what} {verb} changed since. Render again to follow.", "stale")
    if film.frames < film.total_frames:
        return Note(
            f"Stopped early: {film.frames} of {film.total_frames} frames are kept.", "stale"
        )
    return Note("Up to date with steps 1 and 2.", "good")


def _film_summary(film: Film) -> str:
    recipe = film.recipe
    parts = [
        f"{recipe['renderer']} renderer, seed {recipe['seed']}",
        f"hands version {film.hands.number} ({film.hands.label})",
        f"{film.frames} frames at {film.hands.motion.fps:g} per second",
        f"rendered in {recipe['render_s']:.0f} s",
    ]
    return " · ".join(parts)
