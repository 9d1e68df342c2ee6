"""All commands with their arguments."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from emo2.cli import films, gestures, motions
from emo2.errors import InputError

WORKSHOPS = {
    "corpus": {"gesture": "emo2.training.corpus", "recorded": "emo2.training.recorded"},
    "train": {
        "gesture": "emo2.training.gesture",
        "motion-autoencoder": "emo2.training.motion_autoencoder",
        "video": "emo2.training.video",
        "visemes": "emo2.training.visemes",
    },
    "evaluate": {
        "films": "emo2.evaluation.films",
        "lips": "emo2.evaluation.lips",
        "motion": "emo2.evaluation.motion",
        "realism": "emo2.evaluation.realism",
        "video": "emo2.evaluation.one_film",
    },
    "weights": {"get": "emo2.weights.get", "list": "emo2.weights.list"},
}
"""Commands that take their own arguments: `python -m emo2 train gesture --help`."""

EVALUATION_WEIGHTS = "emo2.evaluation.networks.get"

MOST_PICTURES = 48
"""On a contact sheet."""
HANDS = ("left", "right")
OFFLOADS = ("none", "model", "sequential")
FILM, MOTION, PICTURE = (".mp4",), (".npz",), (".png", ".jpg", ".jpeg")


class Parser(argparse.ArgumentParser):
    """argparse, with one line for an error in place of the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def workshop(argv: list[str]) -> str | None:
    """The module of a command that takes its own arguments, and None for the others.

    Networks of the evaluation are fetched by it: `weights`, a library's package, does not know it.
    """
    command, what, first = (*argv, "", "", "")[:3]
    if (command, what) == ("weights", "get") and first.startswith("evaluation/"):
        return EVALUATION_WEIGHTS
    return WORKSHOPS.get(command, {}).get(what)


def build_parser() -> argparse.ArgumentParser:
    """The parser; what it returns has `run`, the command's function."""
    parser = Parser(prog="emo2", description="A portrait and speech become a gesturing film.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    animate = _command(commands, films.animate, out=FILM)
    _add_film(animate)
    _add_motion(animate, required=False, help=": used as it is")
    _add_gesture(animate)
    gesture = _command(commands, gestures.gesture, out=MOTION)
    _add_audio(gesture, required=True)
    _add_gesture(gesture)
    _add_anew(gesture)
    render = _command(commands, films.render, out=FILM)
    _add_film(render)
    _add_motion(render, required=True)
    render.add_argument("--seed", type=int, default=0)
    _add_gallery(_command(commands, films.gallery))
    _add_preview(_command(commands, motions.preview, out=FILM))
    _add_edit(_command(commands, motions.edit))
    _add_check(_command(commands, motions.check))
    _add_convert(_command(commands, motions.convert))
    _command(commands, films.doctor)
    for name, modules in WORKSHOPS.items():
        sub = commands.add_parser(name, help=f"{name}: {' or '.join(modules)}", add_help=False)
        sub.add_argument("what", choices=modules)
    return parser


def _command(commands, run, out: tuple[str, ...] | None = None) -> argparse.ArgumentParser:
    from emo2.pipeline import DEMO_CHECKPOINT

    sub = commands.add_parser(
        run.__name__, help=run.__doc__.split("\n")[0], description=run.__doc__
    )
    if out is not None:
        sub.add_argument("--out", required=True, type=Path, help=f"the {out[0]} to write")
    sub.add_argument(
        "--checkpoint", default=DEMO_CHECKPOINT, help="a weight set: its folder or its name"
    )
    sub.add_argument("--json", action="store_true", help="print one line of facts at the end")
    sub.set_defaults(run=run, endings=out or (), settle=lambda arguments: None)
    return sub


def _add_film(sub: argparse.ArgumentParser) -> None:
    from emo2.pipeline import RENDERERS

    _add_portrait(sub, required=True)
    _add_audio(sub, required=True)
    sub.add_argument("--renderer", choices=RENDERERS, default="draft")
    _add_device(sub)


def _add_device(sub: argparse.ArgumentParser) -> None:
    text = "where films are made: auto (default), cpu, cuda, cuda:N or mps"
    sub.add_argument("--device", default="auto", help=text)
    text = "what rests in the host's memory, for small cards: a film takes longer, and needs less"
    sub.add_argument("--offload", choices=OFFLOADS, default="none", help=text)
    text = "the film's longer side in pixels; smaller needs less memory and time"
    sub.add_argument("--max-side", type=int, dest="max_side_px", metavar="PX", help=text)


def _add_gallery(sub: argparse.ArgumentParser) -> None:
    from emo2.pipeline import RENDERERS

    sub.add_argument("--portraits", type=Path, required=True, help="a folder of pictures")
    _add_audio(sub, required=True)
    text = "folder for the contact sheets"
    sub.add_argument("--out", dest="folder", type=Path, default=Path("outputs/gallery"), help=text)
    sub.add_argument("--seconds", type=float, default=4.0, help="how much is said (4)")
    sub.add_argument("--moments", type=int, default=5, help="pictures of each film (5)")
    sub.add_argument("--renderer", choices=RENDERERS, default="draft")
    _add_gesture(sub)
    sub.set_defaults(settle=_settle_gallery)


def _add_portrait(sub: argparse.ArgumentParser, *, required: bool = False, help: str = "") -> None:
    sub.add_argument("--portrait", required=required, help=f"a JPEG, PNG or WebP picture{help}")


def _add_audio(sub: argparse.ArgumentParser, *, required: bool = False, help: str = "") -> None:
    text = f"speech in any format ffmpeg reads{help}"
    sub.add_argument("--audio", required=required, help=text)


def _add_gesture(sub: argparse.ArgumentParser) -> None:
    text = "a gesture style of the checkpoint, or a mixture: talk-calm=0.7,present=0.3"
    sub.add_argument("--style", type=gestures.mixture, help=text)
    sub.add_argument("--speed", type=float, help="0..1: the share of the corpus that moves less")
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--guidance", type=float, help="on the speech; 1 is off, 2 usual")
    sub.add_argument("--style-guidance", type=float, help="on the style; 1 is off")
    sub.add_argument("--steps", type=int, help="denoising steps a window; 8 to 16 are enough")


def _add_anew(sub: argparse.ArgumentParser) -> None:
    text = "this many at once, of the seeds from --seed on: OUT-SEED.npz"
    sub.add_argument("--variants", type=int, metavar="N", help=text)
    _add_motion(sub, required=False, help=", of which a part is made anew:")
    anew = sub.add_argument_group("which part of --motion is made anew; the rest stays")
    anew.add_argument(
        "--span",
        type=gestures.stretch,
        action="append",
        metavar="START:STOP",
        help="a stretch in seconds; may be given again",
    )
    anew.add_argument("--lock", choices=HANDS, help="this hand stays, the other is made anew")
    anew.add_argument("--continue", action="store_true", dest="go_on", help="what comes after it")
    anew.add_argument(
        "--pin",
        type=gestures.moment,
        action="append",
        metavar="SECOND",
        help="its pose there stays, all between is made anew; may be given again",
    )
    anew.add_argument("--hands", choices=HANDS, help="only of this hand (--span, --pin)")
    anew.add_argument("--pins", type=Path, help="a .json list of key poses; needs no --motion")
    sub.set_defaults(settle=gestures.settle)


def _add_motion(sub: argparse.ArgumentParser, *, required: bool, help: str = "") -> None:
    text = f"a motion of any format (see `gesture` and `convert`){help}"
    sub.add_argument("--motion", type=Path, required=required, help=text)
    _add_format(sub)


def _add_format(sub: argparse.ArgumentParser) -> None:
    from emo2.motion.formats import FORMATS

    names = [f.name for f in FORMATS if f.reader]
    sub.add_argument("--format", choices=names, help="the motion's format, if it must be told")


def _add_preview(sub: argparse.ArgumentParser) -> None:
    _add_motion(sub, required=True)
    _add_audio(sub, help="; left out, the clip is silent")
    _add_portrait(sub, help="; left out, a plain stage")
    on_off = argparse.BooleanOptionalAction
    sub.add_argument("--trails", action=on_off, help="the wrists' paths (on a sheet: default)")
    sub.add_argument("--ghost", action="store_true", help="with the paths to come")
    sub.add_argument("--strip", action=on_off, help="the beat strip (default: with a recording)")
    sub.add_argument("--sheet", action="store_true", help="a contact sheet, .png or .jpg")
    sub.add_argument("--frames", type=int, help="pictures on the sheet")
    sub.set_defaults(settle=_settle_preview)


def _add_edit(sub: argparse.ArgumentParser) -> None:
    _add_motion(sub, required=False)
    sub.add_argument("--ops", type=Path, help="a .json list of operations, or a document")
    sub.add_argument("--out", type=Path, help="the .npz to write")
    _add_audio(sub, help=", for snaps that look for their onset")
    sub.add_argument(
        "--document", type=Path, help="also save the document (.json) of what was done"
    )
    sub.add_argument("--list", action="store_true", help="print all operations and stop")
    sub.set_defaults(endings=MOTION, settle=_settle_edit)


def _add_check(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("given", nargs="?", type=Path, metavar="MOTION", help="a motion, any format")
    _add_motion(sub, required=False)
    _add_portrait(sub, help=": whose picture the hands must stay in")
    sub.add_argument("--fix", type=Path, metavar="OUT", help="write the motion with all fixes")
    sub.add_argument("--strict", action="store_true", help="warnings count as errors")
    sub.set_defaults(settle=_settle_check)


def _add_convert(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--from", dest="source", type=Path, required=True, help="a motion")
    sub.add_argument("--to", type=Path, required=True, help="what to write")
    _add_format(sub)
    sub.add_argument(
        "--fps", type=motions.frame_rate, default=24.0, help='frames per second, or "source"'
    )
    _add_portrait(sub, help=": the person whose poses a pose folder holds")
    _add_audio(sub, help=": laid beside formats that carry sound")
    sub.add_argument("--mano", type=Path, help="a folder with MANO's own files")


# What the arguments of a command mean together ------------------------------------------------


def _settle_preview(arguments: argparse.Namespace) -> None:
    if arguments.sheet:
        arguments.endings = PICTURE
    elif arguments.frames is not None:
        raise InputError("--frames", "is for contact sheets", arguments.frames, "Add --sheet.")
    if arguments.frames is not None and not 1 <= arguments.frames <= MOST_PICTURES:
        rule = f"must lie in 1..{MOST_PICTURES}"
        raise InputError("--frames", rule, arguments.frames, "16 fill a page.")


def _settle_gallery(arguments: argparse.Namespace) -> None:
    if not arguments.seconds > 0:
        raise InputError("--seconds", "must be above 0", arguments.seconds, "4 show enough.")
    if arguments.folder.is_file():
        raise InputError("--out", "must be a folder", arguments.folder, "Name another.")


def _settle_edit(arguments: argparse.Namespace) -> None:
    missing = [f"--{n}" for n in ("motion", "ops", "out") if getattr(arguments, n) is None]
    if missing and not arguments.list:
        rule, remedy = "needs --motion, --ops and --out", "Or ask for --list."
        raise InputError("edit", rule, f"no {' and no '.join(missing)}", remedy)


def _settle_check(arguments: argparse.Namespace) -> None:
    named = [path for path in (arguments.given, arguments.motion) if path is not None]
    if len(named) != 1:
        got = " and ".join(map(str, named)) or "none"
        raise InputError("check", "needs one motion", got, "Say: check hands.npz")
    (arguments.motion,) = named
