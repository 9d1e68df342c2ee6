"""The page's named endpoints for programs, each complete in itself: files in, files out, no page
and no state.

client.predict(audio=handle_file("a.wav"), api_name="/gesture")            -> hands.mp4, hands.npz
client.predict(handle_file("p.jpg"), handle_file("a.wav"), api_name="/render")  -> film.mp4,
recipe.json

The endpoints use components that are never shown, and not `gr.api`, because components check that a
file argument is an upload of this server's and not a path of the caller's choosing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import gradio as gr

from emo2.pipeline import RENDERERS
from emo2.ui.handlers import Studio
from emo2.ui.screen import Busy, Note, Screen


def add_api(studio: Studio, queue: dict) -> None:
    """Add `/gesture` and `/render` to the page being built; `queue` is their place in it."""

    def gesture(
        audio: str, style: str | None = None, speed: float | None = None, seed: int = 0
    ) -> Iterator:
        session_id = _accepted(studio.set_voice(None, audio), "voice").session_id
        yield from _finish(studio.generate_hands(session_id, style, speed, seed), "hands")

    def render(
        portrait: str,
        audio: str,
        motion: str | None = None,
        style: str | None = None,
        speed: float | None = None,
        renderer: str = RENDERERS[0],
        seed: int = 0,
    ) -> Iterator:
        session_id = _accepted(studio.set_voice(None, audio), "voice").session_id
        _accepted(studio.set_portrait(session_id, portrait), "portrait")
        if motion:
            hands = studio.import_hands(session_id, motion)
        else:
            hands = studio.generate_hands(session_id, style, speed, seed)
        for result in hands:
            if isinstance(result, Busy):
                yield gr.skip(), gr.skip()
            else:
                _accepted(result, "hands")
        _accepted(studio.approve(session_id), "approval")
        yield from _finish(studio.render_film(session_id, renderer, seed), "film")

    with gr.Column(visible=False):
        portrait = gr.File(label="portrait")
        audio = gr.File(label="audio")
        motion = gr.File(label="motion")
        style = gr.Textbox(None, label="style")
        speed = gr.Number(None, label="speed")
        renderer = gr.Textbox(RENDERERS[0], label="renderer")
        seed = gr.Number(0, label="seed", precision=0)
        out, facts = gr.File(label="film"), gr.File(label="file")
        hands_inputs = [audio, style, speed, seed]
        film_inputs = [portrait, audio, motion, style, speed, renderer, seed]
        gr.Button().click(gesture, hands_inputs, [out, facts], api_name="gesture", **queue)
        gr.Button().click(render, film_inputs, [out, facts], api_name="render", **queue)


def _accepted(screen: Screen, part: str) -> Screen:
    """`screen`, unless its `part` was refused: then the words go to the caller."""
    note: Note = getattr(screen, part)
    if note.kind == "refused":
        raise gr.Error(note.text, print_exception=False)
    return screen


def _finish(results: Iterable[Busy | Screen], part: str) -> Iterator:
    for result in results:
        if isinstance(result, Busy):
            yield gr.skip(), gr.skip()
            continue
        screen = _accepted(result, part)
        if part == "hands":
            yield str(screen.hands_clip), str(screen.hands_file)
        else:
            yield str(screen.film_clip), str(screen.film_recipe_file)
