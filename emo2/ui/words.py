"""The page's words, and the small pieces of HTML they stand in. Everything a visitor typed is
escaped."""

from __future__ import annotations

import html
import os

from emo2.errors import InputError
from emo2.jobs.worker import Report
from emo2.ui.pictures import data_uri
from emo2.ui.screen import Note

TITLE = "EMO2 Studio"
TAGLINE = "A portrait and a recording become a film of that person speaking with their hands."
CONSENT = (
    "Use only faces and voices you may use. Films made here are marked as made by AI. "
    "Your files stay on this server, apart from everyone else's, and are deleted after a day."
)
STEP_LABELS = ("Voice & portrait", "Hands", "Film")

VOICE_HELP = "Clear speech, one speaker, up to {seconds:g} s and {mb} MB. WAV, MP3, M4A, OGG, FLAC."
PORTRAIT_HELP = "One person, face and shoulders visible, up to {mb} MB. JPEG, PNG or WebP."
FOUND_HELP = "The film shows what lies inside the frame; the camera does not move."
HANDS_HELP = (
    "The hands are imagined from the sound of the speech alone. Look at them before you spend time "
    "on a film: change the style or the seed until they say what you want, then approve them."
)
HANDS_UPLOAD = "Use a motion file (npz, glb, bvh, SMPL-X, MANO, zipped EchoMimicV2 poses…)"
RENDERER_LABELS = {"draft": "Draft · quick", "film": "Film · slow"}
RENDERER_INFO = (
    "Draft moves the portrait itself and draws hands over it: a few seconds of work per second of "
    "speech, and the place to judge timing and gestures. Film lets the video diffusion model paint "
    "every frame along those hands: many times slower, and with the small bundled model still "
    "close to the draft."
)
STYLE_INFO = "How the hands talk. Automatic leaves it to the model."
SPEED_INFO = "0 is calmer than every speaker the model learned from, 1 livelier than all of them."
SEED_INFO = "The same seed gives the same result; another seed, another take."

_STAGES = {
    "gesture": ("Imagining the hands", "step"),
    "preview": ("Drawing the hands", "frame"),
    "draft": ("Drawing the draft", "frame"),
    "guidance": ("Drawing what guides the film", "frame"),
    "film": ("Painting the film", "step"),
}
_ICONS = {"plain": "○", "good": "✓", "stale": "!", "refused": "×"}


def refusal(error: InputError) -> str:
    """An `InputError` in plain words: what is wrong, and what to do. Server paths are taken out."""
    value = " ".join(os.path.basename(word) for word in str(error.value).split(" "))
    return f"The {error.argument} cannot be used: it {error.rule} ({value}). {error.remedy}"


def note_html(note: Note) -> str:
    """One note: its kind is said by an icon and a colour, so neither stands alone."""
    if not note.text:
        return ""
    role = "alert" if note.kind == "refused" else "status"
    icon = f'<span class="emo-icon" aria-hidden="true">{_ICONS[note.kind]}</span>'
    return f'<p class="emo-note emo-{note.kind}" role="{role}">{icon}{html.escape(note.text)}</p>'


def spoken(style: str) -> str:
    """A style's name as a person would write it."""
    return style.replace("-", " ").replace("_", " ").capitalize()


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def progress_html(report: Report | None) -> str:
    """The card of running work: stage, step k of K, elapsed, left, and the newest picture."""
    if report is None:
        title, detail, share = (
            "Waiting for a free place…",
            "You can stop waiting at any time.",
            None,
        )
    elif report.waiting:
        title, share = "Waiting for a free place…", None
        detail = "This machine is busy with earlier work. Yours comes next."
    elif report.progress is None:
        title = (
            "Stopping as soon as everything is loaded…"
            if report.stopping
            else "Getting ready: the first picture takes longest…"
        )
        detail, share = f"{clock(report.elapsed_s)} so far", None
    else:
        stage, unit = _STAGES.get(
            report.progress.stage, (report.progress.stage.capitalize(), "step")
        )
        title = f"{stage}: {unit} {report.progress.done} of {report.progress.total}"
        share = report.progress.done / max(1, report.progress.total)
        left = (
            "estimating the time left"
            if report.remaining_s is None
            else f"about {clock(report.remaining_s)} left"
        )
        if report.stopping:
            title, left = f"Stopping after this {unit}…", "what is there is kept"
        detail = f"{clock(report.elapsed_s)} so far · {left}"
    value = "" if share is None else f' aria-valuenow="{100 * share:.0f}"'
    width = "" if share is None else f' style="width:{100 * share:.1f}%"'
    moving = " emo-unknown" if share is None else ""
    picture = ""
    if report is not None and report.picture is not None:
        picture = f'<img src="{data_uri(report.picture)}" alt="The newest frame">'
    bar = (
        f'<div class="emo-bar{moving}" role="progressbar" aria-label="{html.escape(title)}" '
        f'aria-valuemin="0" aria-valuemax="100"{value}><i{width}></i></div>'
    )
    said = f"<strong>{html.escape(title)}</strong><span>{html.escape(detail)}</span>"
    words = f'<div class="emo-progress-words">{said}{bar}</div>'
    return f'<div class="emo-progress">{words}{picture}</div>'


def header_html() -> str:
    """The page's head."""
    return f'<header class="emo-header"><h1>{TITLE}</h1><p>{TAGLINE}</p></header>'
