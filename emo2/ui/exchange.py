"""Hands from other programs and for other programs: a motion file in any known format becomes a
version, and any version a download."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

from emo2.errors import InputError
from emo2.media import frame_count
from emo2.motion.formats import FORMATS, Context, Imported, ImportReport, read_motion, write_motion
from emo2.pipeline import EMO2Pipeline
from emo2.ui.session import Hands, Session
from emo2.ui.uploads import Limits, check_size

FOLDER_MB = 64
"""What a zipped folder may weigh unpacked."""
EXPORTS = {
    "npz": "EMO2 motion (.npz)",
    "glb": "3-D hands that move (.glb)",
    "vrma": "VRM avatar animation (.vrma)",
    "bvh": "Motion capture (.bvh)",
    "echomimic": "EchoMimicV2 poses (.zip)",
}
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    FileExistsError,  # two files of one name
    NotImplementedError,  # a compression that zipfile cannot read
    RuntimeError,  # a password
)
UPLOADS = sorted({s for f in FORMATS if f.reader for s in f.suffixes if s} | {".zip"})


def bring(path: Path, limits: Limits, session: Session, pipeline: EMO2Pipeline) -> Imported:
    """The motion in an uploaded file, at the film's frame rate and long enough for the session's
    recording. A .zip is unpacked and read as the folder it holds."""
    voice = session.voice
    if voice is None:
        raise InputError("motion", "needs a recording to go with", "none", "Add one in step 1.")
    check_size("motion", path, limits.motion_mb)
    portrait = session.sitter.portrait if session.sitter else None
    context = Context(pipeline.hand_model, portrait, mano_folder=pipeline.mano_folder)
    if path.suffix.lower() == ".zip":
        with tempfile.TemporaryDirectory(dir=session.folder) as folder:
            imported = read_motion(_unpack(path, Path(folder)), fps=pipeline.fps, context=context)
    else:
        imported = read_motion(path, fps=pipeline.fps, context=context)
    needed = frame_count(voice.audio.duration_s, pipeline.fps)
    if imported.motion.num_frames < needed:
        raise InputError(
            "motion",
            f"must have {needed} frames or more at {pipeline.fps:g} per second for this recording",
            f"{imported.motion.num_frames}",
            "Choose the recording it was made for, or generate new hands.",
        )
    return imported


def take_away(hands: Hands, name: str, session: Session, pipeline: EMO2Pipeline) -> Path:
    """This version as a file of format `name` of `EXPORTS`; made once."""
    if name not in EXPORTS:
        raise InputError("format", f"must be one of {', '.join(EXPORTS)}", name, "Choose one.")
    if name == "npz":
        return hands.file
    suffix = ".zip" if name == "echomimic" else f".{name}"
    done = hands.file.with_suffix(suffix)
    if done.exists():
        return done
    portrait = session.sitter.portrait if session.sitter else None
    context = Context(pipeline.hand_model, portrait)
    if name == "echomimic":
        with tempfile.TemporaryDirectory(dir=session.folder) as folder:
            write_motion(hands.motion, Path(folder) / "pose", context=context)
            shutil.make_archive(str(done.with_suffix("")), "zip", folder)
    else:
        write_motion(hands.motion, done, context=context)
    return done


def said(report: ImportReport) -> str:
    """How a file was understood, in one line for its version's note."""
    parts = [f"Read as {report.format}", *report.lines()[1:]]
    return ". ".join(part[:1].upper() + part[1:].rstrip(".") for part in parts) + "."


def imported_meta(imported: Imported) -> Imported:
    """The same, with the report among the motion's own facts: recipes then tell where hands came
    from."""
    facts = {**imported.motion.meta, "imported": imported.report.facts()}
    return Imported(replace(imported.motion, meta=facts), imported.report)


def _unpack(path: Path, folder: Path) -> Path:
    """The one folder of numbered files in a .zip, flat in `folder`; nothing else is unpacked."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if Path(m.filename).suffix == ".npy"]
            if sum(m.file_size for m in members) > FOLDER_MB * 1024**2:
                raise InputError(
                    "motion",
                    f"must be smaller than {FOLDER_MB} MB unpacked",
                    path.name,
                    "Use a shorter motion.",
                )
            for member in members:
                target = folder / Path(member.filename).name
                with archive.open(member) as source, target.open("xb") as file:
                    shutil.copyfileobj(source, file)
    except _BROKEN as error:
        raise InputError(
            "motion",
            "must be a .zip with one folder of poses, 0.npy onwards",
            f"{path.name} ({error})",
            "Zip the folder again.",
        ) from error
    if not members:
        raise InputError(
            "motion",
            "must hold EchoMimicV2 poses, 0.npy onwards",
            f"{path.name} without any",
            "Zip the folder itself.",
        )
    return folder
