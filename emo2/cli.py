"""The command line: `python -m emo2 animate|gesture|preview|render|doctor|corpus|train|evaluate`.

Each command is a function from parsed arguments to a dictionary of facts; `--json` prints these as
one line. Exit codes: 0 done, 1 `doctor` found something missing, 2 bad input (one line says what),
130 stopped with Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from emo2.errors import InputError
from emo2.types import Progress

WORKSHOPS = {
    "corpus": {"gesture": "emo2.training.corpus"},
    "train": {"gesture": "emo2.training.gesture", "video": "emo2.training.video"},
    "evaluate": {"gesture": "emo2.evaluation.gestures", "video": "emo2.evaluation.video"},
}
"""Commands that take their own arguments: `python -m emo2 train gesture --help`."""


class Parser(argparse.ArgumentParser):
    """argparse, with one line for an error in place of the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


class Bars:
    """An `on_step` callback: one tqdm bar a stage, and the seconds that each command step took."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.seconds = quiet, {}
        self._bars: dict[str, tqdm] = {}

    def __call__(self, progress: Progress) -> None:
        bar = self._bars.get(progress.stage)
        if bar is None:
            bar = tqdm(
                total=progress.total,
                desc=progress.stage,
                position=len(self._bars),
                disable=self.quiet,
            )
            self._bars[progress.stage] = bar
        bar.update(progress.done - bar.n)

    def close(self) -> None:
        """End the bars that are shown."""
        for bar in self._bars.values():
            bar.close()
        self._bars.clear()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time everything inside as `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.close()
            self.seconds[name] = round(time.perf_counter() - start, 3)


def animate(arguments: argparse.Namespace, bars: Bars) -> dict[str, Any]:
    """A portrait and a recording to a film, in one go."""
    from emo2.motion.formats import load_npz

    with bars.stage("read"):
        studio, portrait, audio = _open(arguments)
    if arguments.motion:
        motion = load_npz(arguments.motion)
    else:
        with bars.stage("gesture"):
            motion = studio.gesture(audio, on_step=bars, **_gesture_options(arguments))
    return _film(arguments, bars, studio, portrait, audio, motion)


def render(arguments: argparse.Namespace, bars: Bars) -> dict[str, Any]:
    """A portrait, a recording and an approved motion to a film."""
    from emo2.motion.formats import load_npz

    motion = load_npz(arguments.motion)
    with bars.stage("read"):
        studio, portrait, audio = _open(arguments)
    return _film(arguments, bars, studio, portrait, audio, motion)


def gesture(arguments: argparse.Namespace, bars: Bars) -> dict[str, Any]:
    """A recording to two hands in motion."""
    from emo2.media import load_audio
    from emo2.motion.formats import save_npz
    from emo2.provenance.recipe import motion_hash

    with bars.stage("read"):
        studio, audio = _studio(arguments), load_audio(arguments.audio)
    with bars.stage("gesture"):
        motion = studio.gesture(audio, on_step=bars, **_gesture_options(arguments))
    save_npz(motion, arguments.out)
    return {
        "frames": motion.num_frames,
        "fps": motion.fps,
        "duration_s": round(audio.duration_s, 4),
        "motion": motion_hash(motion),
        "style": motion.meta.get("style"),
        "speed": motion.meta.get("speed"),
    }


def preview(arguments: argparse.Namespace, bars: Bars) -> dict[str, Any]:
    """A motion as a clip of shaded hands, with the sound."""
    from emo2.hands.render import available_backend
    from emo2.media import load_audio, load_image, write_video
    from emo2.motion.formats import load_npz

    motion = load_npz(arguments.motion)
    with bars.stage("read"):
        studio, audio = _studio(arguments), load_audio(arguments.audio)
        portrait = studio.analyse(load_image(arguments.portrait)) if arguments.portrait else None
    with bars.stage("preview"):
        frames = studio.preview(motion, portrait, on_step=bars)
        written = write_video(arguments.out, frames, motion.fps, audio)
    return {"frames": written, "fps": motion.fps, "backend": available_backend()[0]}


def doctor(arguments: argparse.Namespace, bars: Bars) -> dict[str, Any]:
    """Say what works on this machine, and what to do about what does not."""
    from emo2.doctor import examine

    findings = examine(arguments.checkpoint)
    if not arguments.json:
        for finding in findings:
            print(finding)
    return {
        "ok": all(finding.ok for finding in findings if finding.needed),
        "findings": {finding.name: finding.detail for finding in findings},
    }


def _film(arguments, bars: Bars, studio, portrait, audio, motion) -> dict[str, Any]:
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
        "notes": list(portrait.notes),
        "recipe": recipe,
    }


def _studio(arguments: argparse.Namespace):
    from emo2.pipeline import EMO2Pipeline

    return EMO2Pipeline.from_pretrained(arguments.checkpoint)


def _open(arguments: argparse.Namespace):
    from emo2.media import load_audio, load_image

    studio = _studio(arguments)
    return studio, studio.analyse(load_image(arguments.portrait)), load_audio(arguments.audio)


def _gesture_options(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"style": arguments.style, "speed": arguments.speed, "seed": arguments.seed}


# The parser ----------------------------------------------------------------------------------


def build_parser() -> argparse.ArgumentParser:
    """All commands with their arguments."""
    from emo2.pipeline import DEMO_CHECKPOINT, RENDERERS

    parser = Parser(prog="emo2", description="A portrait and speech become a gesturing film.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(run: Callable, *groups: str) -> None:
        sub = commands.add_parser(
            run.__name__, help=run.__doc__.split("\n")[0], description=run.__doc__
        )
        required = "required" in groups
        if "portrait" in groups:
            sub.add_argument("--portrait", required=required, help="a JPEG, PNG or WebP picture")
        if "audio" in groups:
            sub.add_argument("--audio", required=True, help="speech in any format ffmpeg reads")
        if "motion" in groups:
            sub.add_argument(
                "--motion",
                required=run is not animate,
                help="a motion .npz (see `gesture`)" + (": used as is" if run is animate else ""),
            )
        if "gesture" in groups:
            sub.add_argument("--style", help="a gesture style of the checkpoint")
            sub.add_argument(
                "--speed", type=float, help="0..1: the share of the corpus that moves less"
            )
        if "film" in groups:
            sub.add_argument("--renderer", choices=RENDERERS, default="draft")
        if run is not doctor:
            ending = ".npz" if run is gesture else ".mp4"
            sub.add_argument("--out", required=True, type=Path, help=f"the {ending} to write")
            sub.set_defaults(ending=ending)
        if run not in (doctor, preview):
            sub.add_argument("--seed", type=int, default=0)
        sub.add_argument("--checkpoint", default=DEMO_CHECKPOINT, help="a weight set's folder")
        sub.add_argument("--json", action="store_true", help="print one line of facts at the end")
        sub.set_defaults(run=run)

    command(animate, "required", "portrait", "audio", "motion", "gesture", "film")
    command(gesture, "audio", "gesture")
    command(preview, "portrait", "audio", "motion")
    command(render, "required", "portrait", "audio", "motion", "film")
    command(doctor)
    for name, modules in WORKSHOPS.items():
        sub = commands.add_parser(name, help=f"{name}: {' or '.join(modules)}", add_help=False)
        sub.add_argument("what", choices=modules)
    return parser


def _check(arguments: argparse.Namespace) -> None:
    """Refuse before any work what can be refused."""
    speed = getattr(arguments, "speed", None)
    if speed is not None and not 0 <= speed <= 1:
        raise InputError("--speed", "must lie in 0..1", speed, "0 is calmest, 1 liveliest.")
    out = getattr(arguments, "out", None)
    if out is None:
        return
    if out.suffix.lower() != arguments.ending:
        raise InputError(
            "--out",
            f"must end in {arguments.ending}",
            out,
            f"Try {out.with_suffix(arguments.ending)}.",
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("--out", "must be in a writable folder", out, str(error)) from error


def _quiet_libraries() -> None:
    """Keep the terminal for what the person asked for: no warnings, no bars of loading."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from diffusers.utils.logging import disable_progress_bar

    disable_progress_bar()
    warnings.filterwarnings("ignore")
    for name in ("transformers", "diffusers", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if len(argv) >= 2 and argv[1] in WORKSHOPS.get(argv[0], {}):
        try:
            return import_module(WORKSHOPS[argv[0]][argv[1]]).main(argv[2:]) or 0
        except InputError as error:
            print(f"emo2: error: {error}", file=sys.stderr)
            return 2
    arguments = build_parser().parse_args(argv)
    if arguments.command in WORKSHOPS:
        build_parser().error(
            f"{arguments.command} needs one of {list(WORKSHOPS[arguments.command])}"
        )
    _quiet_libraries()
    bars = Bars(quiet=arguments.json)
    try:
        _check(arguments)
        facts = arguments.run(arguments, bars)
    except InputError as error:
        print(f"emo2: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("emo2: stopped", file=sys.stderr)
        return 130
    finally:
        bars.close()
    if arguments.json:
        asked = ("command", "checkpoint", "seed", "out")
        general = {name: vars(arguments)[name] for name in asked if name in arguments}
        print(json.dumps(general | facts | {"seconds": bars.seconds}, default=str))
    elif arguments.run is not doctor:
        for note in facts.get("notes", ()):
            print(f"note: {note}")
        print(arguments.out)
    return 0 if facts.get("ok", True) else 1
