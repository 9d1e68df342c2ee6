"""The table of formats, and the two functions that go through it.

A reader is `read(path, context) -> Imported`, at the file's own frame rate; a writer is
`write(motion, path, context) -> None`, whole or not at all. A recogniser is `recognise(path) ->
bool`: does this file, whose suffix fits, hold this format? It reads no more than it must.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from emo2.errors import InputError
from emo2.motion.formats.report import Context, Imported
from emo2.types import HandMotion

FILM_FPS = 24.0


@dataclass(frozen=True)
class Format:
    """One line of the table; functions are named as "module:function" and loaded on use."""

    name: str
    label: str
    """For people."""
    suffixes: tuple[str, ...]
    """Lower case with the dot; "" is a folder."""
    reader: str | None = None
    writer: str | None = None
    recogniser: str | None = None
    """Needed where several readable formats share a suffix."""


_HERE = "emo2.motion.formats"
FORMATS: tuple[Format, ...] = (
    Format(
        "npz",
        "EMO2 motion",
        (".npz",),
        reader=f"{_HERE}.npz:read",
        writer=f"{_HERE}.npz:write",
        recogniser=f"{_HERE}.npz:recognise",
    ),
    Format(
        "glb",
        "skinned, animated hands (glTF 2.0, VRM bone names)",
        (".glb",),
        reader=f"{_HERE}.glb:read",
        writer=f"{_HERE}.glb_write:write",
    ),
    Format(
        "vrma",
        "VRM animation",
        (".vrma",),
        reader=f"{_HERE}.glb:read",
        writer=f"{_HERE}.glb_write:write_vrma",
    ),
    Format(
        "usd",
        "skinned, animated hands (UsdSkel; needs usd-core)",
        (".usdc", ".usda"),
        writer=f"{_HERE}.usd:write",
    ),
    Format(
        "bvh",
        "BVH, ours or BEAT's",
        (".bvh",),
        reader=f"{_HERE}.bvh_read:read",
        writer=f"{_HERE}.bvh_write:write",
    ),
    Format(
        "echomimic",
        "EchoMimicV2 pose folder",
        ("",),
        reader=f"{_HERE}.echomimic:read",
        writer=f"{_HERE}.echomimic:write",
        recogniser=f"{_HERE}.echomimic:recognise",
    ),
    Format(
        "keypoints",
        "2-D whole-body track (DWPose, OpenPose)",
        (".npz", ".json", ""),
        reader=f"{_HERE}.keypoints:read",
        recogniser=f"{_HERE}.keypoints:recognise",
    ),
    Format(
        "beat2",
        "BEAT2 SMPL-X",
        (".npz",),
        reader=f"{_HERE}.smplx_bodies:read_beat2",
        recogniser=f"{_HERE}.smplx_bodies:is_beat2",
    ),
    Format(
        "amass",
        "AMASS SMPL-H",
        (".npz",),
        reader=f"{_HERE}.smplx_bodies:read_amass",
        recogniser=f"{_HERE}.smplx_bodies:is_amass",
    ),
    Format(
        "show",
        "SHOW fit (SMPL-X, PCA hands)",
        (".pkl",),
        reader=f"{_HERE}.smplx_bodies:read_show",
        recogniser=f"{_HERE}.smplx_bodies:is_show",
    ),
    Format(
        "talkshow",
        "TalkSHOW output",
        (".npy",),
        reader=f"{_HERE}.smplx_bodies:read_talkshow",
    ),
    Format(
        "mano",
        "MANO tracks (HaMeR, WiLoR)",
        (".npz", ".pkl", ".pt", ""),
        reader=f"{_HERE}.mano_tracks:read",
        recogniser=f"{_HERE}.mano_tracks:recognise",
    ),
)


def identify(path: str | Path, *, format: str | None = None) -> Format:
    """The format of an existing file or folder; `format` names it where the person knows better.

    Raises `InputError` where there is no such file or no reader takes it.
    """
    path = Path(path)
    if format is not None:
        return _named(format, "reader")
    if not path.exists():
        raise InputError("motion", "must be an existing file or folder", path, "Check the path.")
    suffix = "" if path.is_dir() else path.suffix.lower() or "no suffix"
    fitting = [f for f in FORMATS if f.reader and suffix in f.suffixes]
    for candidate in fitting:
        if candidate.recogniser is None or _load(candidate.recogniser)(path):
            return candidate
    known = ", ".join(f.label for f in fitting)
    raise InputError(
        "motion",
        f"must be {known}" if known else f"must end in one of {_suffixes('reader')}",
        f"{path} ({'a folder' if path.is_dir() else 'of another kind'})",
        "Name its format with --format if you know it, or convert it where it was made.",
    )


def read_motion(
    path: str | Path,
    *,
    format: str | None = None,
    fps: float | None = FILM_FPS,
    context: Context | None = None,
) -> Imported:
    """Read a motion of any known format, resampled to `fps` (None keeps the file's own rate).

    Raises `InputError` with the rule that the file breaks and the remedy.
    """
    from emo2.motion.edit import resample

    chosen = identify(path, format=format)
    imported = _load(chosen.reader)(Path(path), context or Context())
    if fps is None or imported.motion.fps == fps:
        return imported
    lost = (f"resampled from {imported.motion.fps:g} to {fps:g} frames per second",)
    report = replace(imported.report, lost=imported.report.lost + lost)
    return Imported(resample(imported.motion, fps), report)


def write_motion(
    motion: HandMotion,
    path: str | Path,
    *,
    format: str | None = None,
    context: Context | None = None,
) -> Path:
    """Write a motion in the format that the suffix (or `format`) names; returns the path."""
    path = Path(path)
    if format is not None:
        chosen = _named(format, "writer")
    else:
        fitting = [f for f in FORMATS if f.writer and path.suffix.lower() in f.suffixes]
        if not fitting:
            raise InputError(
                "out",
                f"must end in one of {_suffixes('writer')}",
                path,
                "Choose a suffix; a name without one is a folder of EchoMimicV2 poses.",
            )
        chosen = fitting[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    _load(chosen.writer)(motion, path, context or Context())
    return path


def _named(name: str, kind: str) -> Format:
    for candidate in FORMATS:
        if candidate.name == name and getattr(candidate, kind):
            return candidate
    known = ", ".join(f.name for f in FORMATS if getattr(f, kind))
    raise InputError("format", f"must be one of {known}", name, "Choose one.")


def _suffixes(kind: str) -> str:
    names = sorted({s for f in FORMATS if getattr(f, kind) for s in f.suffixes if s})
    return ", ".join(names) + " or be a folder"


def _load(name: str):
    module, function = name.split(":")
    return getattr(import_module(module), function)
