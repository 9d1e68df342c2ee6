"""`HandMotion` as a NumPy archive: `quaternions translation_m visible betas fps meta`.

The arrays have the shapes and units of `HandMotion`; `fps` is a scalar and `meta` a JSON string.
Nothing is pickled: a file from a stranger cannot run code.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np

from emo2.errors import InputError
from emo2.motion.formats.report import Context, Imported, ImportReport
from emo2.types import HandMotion

KEYS = ("quaternions", "translation_m", "visible", "betas", "fps", "meta")
UNIT_TOLERANCE = 1e-2
"""How far a stored quaternion's length may be from 1 before the file is refused."""


def save_npz(motion: HandMotion, path: str | Path) -> Path:
    """Write `motion` to `path` whole or not at all; returns the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            np.savez_compressed(
                file,
                quaternions=motion.quaternions,
                translation_m=motion.translation_m,
                visible=motion.visible,
                betas=motion.betas,
                fps=np.float64(motion.fps),
                meta=json.dumps(dict(motion.meta), sort_keys=True),
            )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def load_npz(path: str | Path) -> HandMotion:
    """Read what `save_npz` wrote. Raises `InputError` on any other file."""
    path = Path(path)
    if not path.is_file():
        raise InputError("motion", "must be an existing .npz file", path, "Check the path.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in KEYS if key not in archive]
            if missing:
                raise InputError(
                    "motion",
                    f"the file must hold the arrays {', '.join(KEYS)}",
                    f"{path} without {', '.join(missing)}",
                    "Write it with `python -m emo2 gesture` or `emo2.motion.formats.save_npz`.",
                )
            arrays = {key: archive[key] for key in KEYS}
            motion = HandMotion(
                **{key: arrays[key] for key in KEYS[:4]},
                fps=float(arrays["fps"]),
                meta=json.loads(str(arrays["meta"])),
            )
    except InputError:
        raise
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            "motion",
            "must be a motion archive with plain arrays of the documented shapes",
            f"{path} ({error})",
            "Write it with `python -m emo2 gesture` or `emo2.motion.formats.save_npz`.",
        ) from error
    _check_values(motion, path)
    return motion


def read(path: Path, context: Context) -> Imported:
    """The registry's reader."""
    motion = load_npz(path)
    convention = "the body frame, metres, unit wxyz quaternions, flat hand: kept to the bit"
    return Imported(motion, ImportReport("npz", motion.fps, convention))


def write(motion: HandMotion, path: Path, context: Context) -> None:
    """The registry's writer."""
    save_npz(motion, path)


def recognise(path: Path) -> bool:
    """True for archives with our rotations; a broken archive is ours to complain about."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return "quaternions" in archive
    except (ValueError, OSError, EOFError, zipfile.BadZipFile):
        return True


def _check_values(motion: HandMotion, path: Path) -> None:
    lengths = np.linalg.norm(motion.quaternions, axis=-1)
    problem = None
    if motion.num_frames == 0:
        problem = "no frames"
    elif not (np.isfinite(motion.fps) and motion.fps > 0):
        problem = f"fps {motion.fps}"
    elif not all(
        np.isfinite(array).all()
        for array in (motion.quaternions, motion.translation_m, motion.betas)
    ):
        problem = "numbers that are not finite"
    elif np.abs(lengths - 1).max() > UNIT_TOLERANCE:
        problem = f"a quaternion of length {lengths.flat[np.abs(lengths - 1).argmax()]:.3f}"
    if problem:
        raise InputError(
            "motion",
            "must have frames, a positive fps, finite numbers and unit wxyz quaternions",
            f"{path} with {problem}",
            "Repair the file where it was made.",
        )
