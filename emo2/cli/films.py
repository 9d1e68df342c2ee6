"""Commands that film: `animate`, `render`, `gallery`; and `doctor`."""

from __future__ import annotations

import argparse
from typing import Any

from PIL import Image

from emo2.cli.gestures import gesture_options
from emo2.cli.inputs import open_studio, read_any_motion
from emo2.cli.progress import Bars


def animate(arguments: argparse.Namespace, bars: Bars) -> dict[str, Any]:
    """A portrait and a recording to a film, in one go."""
    with bars.stage("read"):
        studio, portrait, audio = _open(arguments)
    if arguments.motion:
        with bars.stage("motion"):
            motion, notes = read_any_motion(arguments, studio, fps=studio.fps)
    else:
        with bars.stage("gesture"):
            motion = studio.gesture(audio, on_step=bars, **gesture_options(arguments))
        notes = []
    return _film(arguments, bars, studio, portrait, audio, motion, notes)


def render(arguments: argparse.Namespace, bars: Bars) -> dict[str, Any]:
    """A portrait, a recording and an approved motion to a film."""
    with bars.stage("motion"):
        studio = open_studio(arguments)
        motion, notes = read_any_motion(arguments, studio, fps=studio.fps)
    with bars.stage("read"):
        studio, portrait, audio = _open(arguments, studio)
    return _film(arguments, bars, studio, portrait, audio, motion, notes)


def gallery(arguments: argparse.Namespace, bars: Bars) -> dict[str, Any]:
    """Many portraits say the same: contact sheets to judge the draft by."""
    from emo2.gallery import Gallery, pages, portraits
    from emo2.media import load_audio
    from emo2.types import AudioClip

    studio, paths = open_studio(arguments), portraits(arguments.portraits)
    with bars.stage("gesture"):
        audio = load_audio(arguments.audio)
        audio = AudioClip(audio.samples[: round(arguments.seconds * audio.sample_rate_hz)])
        motion = studio.gesture(audio, on_step=bars, **gesture_options(arguments))
        shown = Gallery.of(audio, motion, arguments.moments)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    written, refused, notes = [], {}, []
    with bars.stage("gallery"):
        exhibits = _exhibits(shown, studio, paths, arguments, bars)
        for sheet, row in pages(exhibits, shown.frames, studio.fps):
            written.append(arguments.folder / f"gallery-{len(written) + 1:02d}.png")
            Image.fromarray(sheet).save(written[-1])
            refused |= {e.name: e.notes[0] for e in row if e.refused}
            notes += [f"{e.name}: {note}" for e in row if not e.refused for note in e.notes]
    return {
        "portraits": len(paths),
        "refused": refused,
        "sheets": [str(path) for path in written],
        "lines": [
            *(f"{path}" for path in written),
            *(f"refused {name}: {reason}" for name, reason in refused.items()),
            *notes,
        ],
    }


def _exhibits(shown, studio, paths, arguments, bars):
    from emo2.types import Progress

    for done, path in enumerate(paths, start=1):
        yield shown.show(studio, path, renderer=arguments.renderer, seed=arguments.seed)
        bars(Progress("gallery", done, len(paths)))


def doctor(arguments: argparse.Namespace, bars: Bars) -> dict[str, Any]:
    """Say what works on this machine, and what to do about what does not."""
    from emo2.doctor import examine

    findings = examine(arguments.checkpoint)
    return {
        "ok": all(finding.ok for finding in findings if finding.needed),
        "findings": {finding.name: finding.detail for finding in findings},
        "lines": [str(finding) for finding in findings],
    }


def _film(arguments, bars: Bars, studio, portrait, audio, motion, notes) -> dict[str, Any]:
    from emo2.media import write_video
    from emo2.provenance.recipe import film_metadata, film_recipe

    recipe = film_recipe(
        portrait=arguments.portrait,
        audio=arguments.audio,
        motion=motion,
        renderer=arguments.renderer,
        checkpoint=studio.folder.name,
        seed=arguments.seed,
    )
    plan = []
    if arguments.renderer == "film":
        plan.append(str(studio.plan_film(portrait)))
        if not arguments.json:
            print(plan[0], flush=True)
    with bars.stage(arguments.renderer):
        frames = studio.render(
            portrait, audio, motion, renderer=arguments.renderer, seed=arguments.seed, on_step=bars
        )
        metadata = film_metadata(recipe)
        written = write_video(arguments.out, frames, studio.fps, audio, metadata=metadata)
    return {
        "frames": written,
        "fps": studio.fps,
        "duration_s": round(audio.duration_s, 4),
        "size_px": [portrait.camera.width_px, portrait.camera.height_px],
        "notes": [*notes, *portrait.notes],
        "plan": plan,
        "recipe": recipe,
    }


def _open(arguments: argparse.Namespace, studio=None):
    from emo2.media import load_audio, load_image

    studio = studio or open_studio(arguments)
    return studio, studio.analyse(load_image(arguments.portrait)), load_audio(arguments.audio)
