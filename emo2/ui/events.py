"""What calls what: every event of the page in one block."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import gradio as gr

from emo2.ui import words
from emo2.ui.handlers import Studio
from emo2.ui.screen import Busy
from emo2.ui.updates import fill, report

RENDER = {"concurrency_id": "render", "concurrency_limit": 1}
"""All renders share one place in Gradio's queue; `Worker` makes sure of it."""
LOOK = {"concurrency_id": "look", "concurrency_limit": 1}
"""Analysing a portrait: seconds, and never behind somebody's film."""
UI_ONLY = {"queue": False, "show_progress": "hidden"}
PRIVATE = {"api_visibility": "private"}

SAVE_SESSION_JS = "(id) => { try { sessionStorage.setItem('emo2-session', id) } catch (e) {} }"
LOAD_SESSION_JS = (
    "() => { try { return sessionStorage.getItem('emo2-session') || '' } catch (e) { return '' } }"
)
NAME_STEPS_JS = f"""() => {{
  const names = {json.dumps(words.STEP_LABELS)}
  const tabs = document.querySelectorAll('#steps [role=tab]')
  tabs.forEach((tab, i) => tab.setAttribute('aria-label', `${{i + 1}} ${{names[i]}}`))
}}"""
"""Where the steps' labels are hidden for want of room, a screen reader still needs their names."""
SAVE_FILE_JS = """(file) => {
  if (!file) return
  const link = document.createElement('a')
  link.href = file.url; link.download = file.orig_name || ''
  document.body.append(link); link.click(); link.remove()
}"""
PLAY_TOGETHER_JS = """() => {
  const videos = [...document.querySelectorAll('#film-side-by-side video')]
  videos.forEach((video, i) => { video.currentTime = 0; video.muted = i > 0; video.play() })
}"""


def connect(c: SimpleNamespace, studio: Studio, page: gr.Blocks) -> None:
    """Connect the components `c` of `page` with `studio`."""
    every = [value for name, value in vars(c).items() if name != "examples"]

    def shown(handler: Callable) -> Callable:
        """A handler that returns a `Screen` or a `Busy`, as one that returns updates."""

        def answer(*values):
            result = handler(*values)
            return report(c, result) if isinstance(result, Busy) else fill(c, result)

        return answer

    def watched(handler: Callable) -> Callable:
        """The same for a generator."""

        def answers(*values):
            for result in handler(*values):
                yield report(c, result) if isinstance(result, Busy) else fill(c, result)

        return answers

    def hand_settings(session_id, style, own_speed, speed, seed):
        return studio.generate_hands(session_id, style, speed if own_speed else None, seed)

    def taken(session_id, name):
        result = studio.export_hands(session_id, name)
        if isinstance(result, Path):
            return gr.update(value=str(result)), gr.update()
        return gr.update(value=None), words.note_html(result.hands)

    def picture(session_id, upload):
        # Without preprocessing, which would open the file: our reader does, behind its limits.
        return studio.set_portrait(session_id, upload["path"] if upload else None)

    to_screen = {"outputs": every, **PRIVATE}
    s, quick, hidden = c.session, {**to_screen, **UI_ONLY}, {"show_progress": "hidden"}

    page.load(lambda id: id, c.session_box, s, js=LOAD_SESSION_JS, **UI_ONLY, **PRIVATE).then(
        shown(studio.open), s, **quick
    )
    page.load(None, None, None, js=NAME_STEPS_JS, **PRIVATE)
    # The browser never sees a `gr.State`; a hidden box hands the id to its tab, for a reload.
    c.session_box.change(None, c.session_box, None, js=SAVE_SESSION_JS, **PRIVATE)

    c.voice.change(
        shown(studio.set_voice), [s, c.voice], **LOOK, **to_screen, show_progress_on=c.voice_note
    )
    c.portrait.change(
        shown(picture),
        [s, c.portrait],
        preprocess=False,
        **LOOK,
        **to_screen,
        show_progress_on=c.marked,
    )
    for index, card in enumerate(c.examples):
        card.click(
            shown(partial(studio.use_example, index=index)),
            s,
            **LOOK,
            **to_screen,
            show_progress_on=c.marked,
        )
    for button, step in ((c.to_hands, 2), (c.to_film, 3)):
        move = partial(gr.Walkthrough, selected=step)
        button.click(move, None, c.steps, **UI_ONLY, **PRIVATE)

    c.own_speed.change(
        lambda own: gr.update(visible=own), c.own_speed, c.speed, **UI_ONLY, **PRIVATE
    )
    c.dice.click(studio.roll, None, c.seed, **UI_ONLY, **PRIVATE)
    c.generate.click(shown(lambda id: studio.begin(id, "hands")), s, **quick).then(
        watched(hand_settings),
        [s, c.style, c.own_speed, c.speed, c.seed],
        **RENDER,
        **to_screen,
        **hidden,
    )
    c.hands_upload.upload(shown(lambda id: studio.begin(id, "hands")), s, **quick).then(
        watched(studio.import_hands), [s, c.hands_upload], **RENDER, **to_screen, **hidden
    )
    c.hands_export.click(taken, [s, c.hands_format], [c.hands_file, c.hands_note], **PRIVATE).then(
        None, c.hands_file, None, js=SAVE_FILE_JS, **UI_ONLY, **PRIVATE
    )
    c.versions.input(shown(studio.pick_hands), [s, c.versions], **quick)
    c.approve.click(shown(studio.approve), s, **quick)

    c.film_dice.click(studio.roll, None, c.film_seed, **UI_ONLY, **PRIVATE)
    c.render.click(shown(lambda id: studio.begin(id, "film")), s, **quick).then(
        watched(studio.render_film), [s, c.renderer, c.film_seed], **RENDER, **to_screen, **hidden
    )
    c.play.click(None, None, None, js=PLAY_TOGETHER_JS, **PRIVATE)

    for button in (c.stop_hands, c.stop_film):
        button.click(studio.stop, s, None, **UI_ONLY, **PRIVATE)
    c.forget.click(shown(studio.forget), s, **quick)
