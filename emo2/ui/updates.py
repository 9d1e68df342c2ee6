"""A `Screen` or a `Busy`, a handler's plain values, as updates of the page's components."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr

from emo2.ui import words
from emo2.ui.screen import Busy, Screen


def fill(c: SimpleNamespace, screen: Screen) -> dict[Any, Any]:
    """Every component's new state. The boxes a visitor fills in are touched only where they must
    follow."""
    has_film, has_hands = screen.film_clip is not None, screen.hands_clip is not None
    updates = {
        c.session: screen.session_id,
        c.session_box: screen.session_id,
        c.voice_note: words.note_html(screen.voice),
        c.portrait_note: words.note_html(screen.portrait),
        c.marked: gr.update(value=_path(screen.marked), visible=screen.marked is not None),
        c.to_hands: gr.update(interactive=screen.can_continue),
        c.hands_note: words.note_html(screen.hands),
        c.hands_clip: gr.update(value=_path(screen.hands_clip), visible=has_hands),
        c.framed: gr.update(value=_path(screen.framed), visible=not has_hands),
        c.hands_export: gr.update(interactive=has_hands),
        c.versions: gr.update(
            choices=list(screen.versions),
            value=screen.shown_version,
            visible=len(screen.versions) > 1,
        ),
        c.approve: gr.update(interactive=screen.can_approve),
        c.to_film: gr.update(interactive=screen.can_render),
        c.approval: words.note_html(screen.approval),
        c.film_result: gr.update(visible=has_film),
        c.film_note: words.note_html(screen.film),
        c.film_clip: _path(screen.film_clip),
        c.film_portrait: _path(screen.film_portrait),
        c.film_hands: _path(screen.film_hands),
        c.film_summary: screen.film_summary,
        c.recipe: screen.film_recipe,
        c.film_file: gr.update(value=_path(screen.film_clip), interactive=has_film),
        c.recipe_file: gr.update(value=_path(screen.film_recipe_file), interactive=has_film),
        c.play: gr.update(interactive=has_film),
        **_controls(c, busy=screen.busy, can_generate=True, can_render=screen.can_render),
    }
    if not screen.busy:
        updates |= {c.hands_progress: "", c.film_progress: ""}
    if screen.inputs_follow:
        updates |= {c.voice: _path(screen.voice_file), c.portrait: _path(screen.portrait_file)}
    if screen.style is not None:
        updates[c.style] = screen.style
    if screen.go_to is not None:
        updates[c.steps] = gr.Walkthrough(selected=screen.go_to)
    return updates


def report(c: SimpleNamespace, busy: Busy) -> dict[Any, Any]:
    """What changes while work runs: its card, and which buttons may be pressed."""
    card = c.hands_progress if busy.step == "hands" else c.film_progress
    return {
        c.session: busy.session_id,
        card: words.progress_html(busy.report),
        **_controls(c, busy=True, can_generate=False, can_render=False),
    }


def _controls(c: SimpleNamespace, *, busy: bool, can_generate: bool, can_render: bool) -> dict:
    return {
        c.generate: gr.update(interactive=can_generate and not busy),
        c.hands_upload: gr.update(interactive=can_generate and not busy),
        c.render: gr.update(interactive=can_render and not busy),
        c.stop_hands: gr.update(interactive=busy),
        c.stop_film: gr.update(interactive=busy),
    }


def _path(path: Path | None) -> str | None:
    return str(path) if path else None
