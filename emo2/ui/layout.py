"""What the page is made of. `handlers.py` decides, `events.py` connects the two."""

from __future__ import annotations

from types import SimpleNamespace

import gradio as gr

from emo2.pipeline import RENDERERS
from emo2.ui import words
from emo2.ui.api import add_api
from emo2.ui.events import RENDER, connect
from emo2.ui.exchange import EXPORTS, UPLOADS
from emo2.ui.handlers import Studio

DAY_S = 24 * 3600


def build_page(studio: Studio) -> gr.Blocks:
    """The whole page over `studio`. Launch it with `launch_options()`."""
    with gr.Blocks(title=words.TITLE, analytics_enabled=False, delete_cache=(3600, DAY_S)) as page:
        c = SimpleNamespace(session=gr.State(""), session_box=gr.Textbox(visible="hidden"))
        gr.HTML(words.header_html())
        with gr.Walkthrough(selected=1, elem_id="steps") as c.steps:
            for number, fill in enumerate((_voice_and_portrait, _hands, _film), start=1):
                with gr.Step(words.STEP_LABELS[number - 1], id=number):
                    fill(c, studio)
        with gr.Row(elem_classes="emo-foot"):
            gr.Markdown(words.CONSENT)
            c.forget = gr.Button(
                "Delete my files and start over", size="sm", scale=0, min_width=240
            )
        connect(c, studio, page)
        add_api(studio, RENDER)
    page.queue(max_size=24)
    return page


# The three steps ------------------------------------------------------------------------------


def _voice_and_portrait(c: SimpleNamespace, studio: Studio) -> None:
    limits = studio.limits
    c.examples = []
    if studio.examples:
        gr.Markdown("## Try an example", elem_classes="emo-quiet")
        with gr.Row(elem_classes="emo-cards"):
            for example in studio.examples:
                card = gr.Button(
                    example.name, icon=example.portrait, elem_classes="emo-card", min_width=150
                )
                c.examples.append(card)
    with gr.Row(equal_height=False):
        with gr.Column(min_width=280):
            gr.Markdown("## Voice")
            gr.Markdown(
                words.VOICE_HELP.format(seconds=limits.speech_s, mb=limits.audio_mb),
                elem_classes="emo-help",
            )
            c.voice = gr.Audio(
                sources=["upload", "microphone"],
                type="filepath",
                label="Speech recording",
                buttons=[],
                elem_id="voice",
            )
            c.voice_note = gr.HTML()
        with gr.Column(min_width=280):
            gr.Markdown("## Portrait")
            gr.Markdown(words.PORTRAIT_HELP.format(mb=limits.image_mb), elem_classes="emo-help")
            c.portrait = gr.Image(
                sources=["upload", "clipboard"],
                type="filepath",
                label="Portrait",
                height=320,
                buttons=[],
                elem_id="portrait",
            )
        with gr.Column(min_width=280):
            gr.Markdown("## What was found")
            gr.Markdown(words.FOUND_HELP, elem_classes="emo-help")
            c.marked = gr.Image(
                show_label=False,
                visible=False,
                height=320,
                interactive=False,
                buttons=["fullscreen"],
                alt_text="The portrait with face, shoulders and the frame of the film marked",
            )
            c.portrait_note = gr.HTML()
    c.to_hands = gr.Button("Continue to the hands", variant="primary", interactive=False)


def _hands(c: SimpleNamespace, studio: Studio) -> None:
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=280):
            c.hands_clip = gr.Video(
                label="Hands over the dimmed portrait",
                visible=False,
                height=480,
                elem_classes="emo-picture",
                interactive=False,
                elem_id="hands-clip",
                buttons=[],
            )
            c.framed = gr.Image(
                label="Your portrait as the film frames it",
                height=480,
                elem_classes="emo-picture",
                interactive=False,
                buttons=[],
                alt_text="The framed portrait",
            )
            c.hands_note = gr.HTML()
        with gr.Column(scale=2, min_width=280):
            gr.Markdown(words.HANDS_HELP, elem_classes="emo-help")
            c.style = gr.Dropdown(
                [("Automatic", ""), *((words.spoken(s), s) for s in studio.pipeline.styles)],
                value="",
                label="Style",
                info=words.STYLE_INFO,
                elem_id="style",
            )
            c.own_speed = gr.Checkbox(False, label="Choose the speed myself")
            c.speed = gr.Slider(
                0, 1, value=0.5, step=0.05, label="Speed", info=words.SPEED_INFO, visible=False
            )
            with gr.Row(equal_height=True, elem_classes="emo-seed"):
                c.seed = gr.Number(
                    0, label="Seed", info=words.SEED_INFO, precision=0, minimum=0, scale=3
                )
                c.dice = gr.Button("New seed", scale=1, min_width=110)
            with gr.Row():
                c.generate = gr.Button("Generate hands", variant="primary", elem_id="generate")
                c.stop_hands = gr.Button(
                    "Stop", variant="stop", interactive=False, elem_id="stop-hands"
                )
            c.hands_progress = gr.HTML(elem_id="hands-progress")
            c.versions = gr.Radio([], label="Versions", visible=False, elem_id="versions")
            with gr.Row():
                c.approve = gr.Button(
                    "Approve these hands", variant="primary", interactive=False, elem_id="approve"
                )
                c.to_film = gr.Button("Continue to the film", interactive=False)
            with gr.Row(equal_height=True, elem_classes="emo-seed"):
                c.hands_format = gr.Dropdown(
                    [(label, name) for name, label in EXPORTS.items()],
                    value="npz",
                    label="For other programs",
                    scale=3,
                    elem_id="hands-format",
                )
                c.hands_export = gr.Button(
                    "Download", interactive=False, scale=1, min_width=110, elem_id="hands-export"
                )
            c.hands_upload = gr.UploadButton(
                words.HANDS_UPLOAD, size="sm", file_types=UPLOADS, elem_id="hands-upload"
            )
            c.hands_file = gr.DownloadButton("", visible="hidden", elem_id="hands-file")


def _film(c: SimpleNamespace, studio: Studio) -> None:
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=280):
            c.approval = gr.HTML()
            c.renderer = gr.Radio(
                [(words.RENDERER_LABELS[name], name) for name in RENDERERS],
                value=RENDERERS[0],
                label="Renderer",
                info=words.RENDERER_INFO,
                elem_id="renderer",
            )
        with gr.Column(scale=2, min_width=280):
            with gr.Row(equal_height=True, elem_classes="emo-seed"):
                c.film_seed = gr.Number(
                    0,
                    label="Seed",
                    info="Blinks, head movement and the film's noise.",
                    precision=0,
                    minimum=0,
                    scale=3,
                )
                c.film_dice = gr.Button("New seed", scale=1, min_width=110)
            with gr.Row():
                c.render = gr.Button(
                    "Render", variant="primary", interactive=False, elem_id="render"
                )
                c.stop_film = gr.Button(
                    "Stop and keep", variant="stop", interactive=False, elem_id="stop-film"
                )
    c.film_progress = gr.HTML(elem_id="film-progress")
    c.film_note = gr.HTML()
    with gr.Column(visible=False) as c.film_result:
        with gr.Row(equal_height=False, elem_id="film-side-by-side"):
            c.film_portrait = gr.Image(
                label="Portrait",
                height=420,
                elem_classes="emo-picture",
                interactive=False,
                buttons=[],
                min_width=240,
                alt_text="The framed portrait",
            )
            c.film_hands = gr.Video(
                label="Hands",
                height=420,
                elem_classes="emo-picture",
                interactive=False,
                buttons=[],
                min_width=240,
            )
            c.film_clip = gr.Video(
                label="Film",
                height=420,
                elem_classes="emo-picture",
                interactive=False,
                buttons=[],
                min_width=240,
                elem_id="film-clip",
            )
        with gr.Row():
            c.play = gr.Button("▶ Play hands and film together", interactive=False, size="sm")
            c.film_file = gr.DownloadButton("Download film (.mp4)", size="sm", interactive=False)
            c.recipe_file = gr.DownloadButton(
                "Download recipe (.json)", size="sm", interactive=False
            )
        c.film_summary = gr.Markdown(elem_classes="emo-help")
        with gr.Accordion("Recipe: everything it takes to make this film again", open=False):
            c.recipe = gr.JSON(show_label=False, container=False)
