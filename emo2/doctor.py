"""What works on this machine: one finding a line, with the remedy where something is missing."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from emo2.errors import MissingCheckpoint
from emo2.weight_set import WeightSet, find

PARTS = ("audio", "gesture", "hands", "visemes", "video")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    needed: bool = True
    """False: the studio works without it."""

    def __str__(self) -> str:
        mark = "ok " if self.ok else ("NO " if self.needed else "-- ")
        return f"{mark} {self.name:<12} {self.detail}"


def examine(checkpoint: str | Path) -> list[Finding]:
    """Look at Python, packages, device, OpenGL, ffmpeg, disk, the weight set and the hands."""
    return [
        _python(),
        _packages(),
        _device(),
        _previews(),
        _ffmpeg(),
        _disk(),
        _weights(Path(checkpoint)),
        _hands(find(checkpoint)),
    ]


def _python() -> Finding:
    fits = (3, 11) <= sys.version_info[:2] < (3, 13)
    detail = f"{platform.python_version()} on {platform.platform(terse=True)}"
    return Finding("python", fits, detail if fits else f"{detail}: use 3.11 or 3.12")


def _packages() -> Finding:
    wanted = ("torch", "diffusers", "transformers", "gradio", "smplx", "pyrender", "mediapipe")
    found, missing = [], []
    for name in wanted:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("packages", False, f"missing {', '.join(missing)}: run `make app` once")
    return Finding("packages", True, ", ".join(found))


def _device() -> Finding:
    try:
        import torch
    except ImportError as error:
        return Finding("device", False, f"torch does not import ({error}): run `make app` once")
    if torch.cuda.is_available():
        return Finding("device", True, torch.cuda.get_device_name())
    return Finding("device", True, f"CPU, {torch.get_num_threads()} threads (no NVIDIA GPU)")


def _previews() -> Finding:
    from emo2.hands.render import available_backend

    backend, reason = available_backend()
    remedy = "" if backend == "pyrender" else "; to use pyrender install the packages.txt libraries"
    return Finding("previews", backend == "pyrender", f"{backend}: {reason}{remedy}", needed=False)


def _ffmpeg() -> Finding:
    import imageio_ffmpeg

    try:
        version = imageio_ffmpeg.get_ffmpeg_version()
    except RuntimeError as error:
        return Finding("ffmpeg", False, f"{error}: reinstall imageio-ffmpeg")
    return Finding("ffmpeg", True, version)


def _disk() -> Finding:
    free_gb = shutil.disk_usage(".").free / 1e9
    enough = free_gb > 1
    return Finding("disk", enough, f"{free_gb:.0f} GB free" + ("" if enough else ": make room"))


def _weights(folder: Path) -> Finding:
    try:
        weights = WeightSet.open(folder)
    except MissingCheckpoint as error:
        return Finding("weights", False, str(error).removeprefix("checkpoint: "))
    folder = weights.folder
    missing = [part for part in PARTS if not weights.part(part).exists()]
    if missing:
        return Finding("weights", False, f"{folder} lacks {', '.join(missing)}")
    size_mb = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    return Finding("weights", True, f"{folder} ({size_mb:.0f} MB)")


def _hands(folder: Path) -> Finding:
    from emo2.errors import InputError
    from emo2.hands.mano_files import find_hands, load_hands

    mano = folder.parent / "mano"
    own = folder / "hands"
    if (folder / "config.json").is_file():
        own = WeightSet.open(folder).part("hands")
    try:
        pair = load_hands(find_hands(mano) or own)
    except InputError as error:
        return Finding("hands", False, str(error).removeprefix("hands: "))
    if pair.is_mano:
        return Finding(
            "hands", True, f"MANO's own, of {pair.folder}; poses count from the flat hand"
        )
    return Finding("hands", True, f"the free hands; MANO's own go into {mano} (optional)")
