"""What every command does with its arguments: refuse before any work what cannot work, open the
weight set, read a motion of any format."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from emo2.errors import InputError

_FILES = ("portrait", "audio", "ops", "pins")
_INPUTS = (*_FILES, "motion", "source")


def open_studio(arguments: argparse.Namespace):
    """The weight set, `emo2.pipeline.EMO2Pipeline`; its parts load when they are needed."""
    from emo2.pipeline import EMO2Pipeline

    names = ("device", "offload", "max_side_px")
    given = {name: getattr(arguments, name, None) for name in names}
    given = {name: value for name, value in given.items() if value is not None}
    if "device" in given:
        from emo2.stage2.devices import choose_device

        choose_device(given["device"])  # refused now, not after the gestures
    return EMO2Pipeline.from_pretrained(arguments.checkpoint, **given)


def motion_context(arguments: argparse.Namespace, studio, portrait=None):
    """What readers and writers of motions may need, `emo2.motion.formats.Context`."""
    from emo2.hands.mano_files import find_hands
    from emo2.hands.model import HandModel
    from emo2.motion.formats import Context

    folder, hand_model = studio.mano_folder, studio.hand_model
    if getattr(arguments, "mano", None) is not None:
        folder = find_hands(arguments.mano)
        if folder is None:
            raise InputError(
                "--mano",
                "must be a folder with MANO_LEFT and MANO_RIGHT (.pkl or .npz)",
                arguments.mano,
                "Leave it out to read without MANO's mean hand.",
            )
        hand_model = HandModel.from_pretrained(folder)
    audio = getattr(arguments, "audio", None)
    return Context(hand_model, portrait, Path(audio) if audio else None, folder)


def read_any_motion(arguments: argparse.Namespace, studio, *, fps: float | None):
    """The motion of `--motion` at `fps` (None: the file's own), and what was lost on the way."""
    from emo2.motion.formats import read_motion

    imported = read_motion(
        arguments.motion,
        format=arguments.format,
        fps=fps,
        context=motion_context(arguments, studio),
    )
    told = imported.report.format != "npz" or imported.report.lost
    return imported.motion, imported.report.lines() if told else []


def refuse_what_cannot_work(arguments: argparse.Namespace) -> None:
    """Raise `InputError` for a number out of range, an input that is not there, an output that
    cannot be written or would overwrite an input."""
    speed = getattr(arguments, "speed", None)
    if speed is not None and not 0 <= speed <= 1:
        raise InputError("--speed", "must lie in 0..1", speed, "0 is calmest, 1 liveliest.")
    side = getattr(arguments, "max_side_px", None)
    if side is not None and not 64 <= side <= 2048:
        raise InputError("--max-side", "must lie in 64..2048", side, "512 is usual.")
    arguments.settle(arguments)
    for name in _INPUTS:
        given = getattr(arguments, name, None)
        there = given is None or (Path(given).is_file() if name in _FILES else Path(given).exists())
        if not there:
            kind = "file" if name in _FILES else "file or folder"
            raise InputError(_option(name), f"must be an existing {kind}", given, "Check the path.")
    _refuse_output("--out", getattr(arguments, "out", None), arguments, arguments.endings)
    _refuse_output("--to", getattr(arguments, "to", None), arguments, _writable())
    _refuse_output("--fix", getattr(arguments, "fix", None), arguments, _writable())
    _refuse_output("--document", getattr(arguments, "document", None), arguments, (".json",))


def _refuse_output(
    option: str, out: Path | None, arguments: argparse.Namespace, endings: tuple[str, ...]
) -> None:
    if out is None:
        return
    if out.suffix.lower() not in endings:
        suffixes = " or ".join(filter(None, endings))
        folder = ", or have no suffix: a folder of EchoMimicV2 poses" if "" in endings else ""
        remedy = f"Try {out.with_suffix(endings[0])}."
        raise InputError(option, f"must end in {suffixes}{folder}", out, remedy)
    for name in _INPUTS:
        given = getattr(arguments, name, None)
        if given is not None and _same(out, Path(given)):
            raise InputError(
                option,
                f"must not be the input of {_option(name)}",
                out,
                "Write to another name: the input stays as it is.",
            )
    if out.suffix and out.is_dir():
        raise InputError(option, "must be a file", f"{out}, a folder", "Choose another name.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(option, "must be in a writable folder", out, str(error)) from error
    if not os.access(out.parent, os.W_OK):
        raise InputError(
            option, "must be in a writable folder", out.parent, "Choose another folder."
        )


def _option(name: str) -> str:
    return "--from" if name == "source" else f"--{name}"


def _same(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


def _writable() -> tuple[str, ...]:
    from emo2.motion.formats import FORMATS

    return tuple(dict.fromkeys(s for f in FORMATS if f.writer for s in f.suffixes))
