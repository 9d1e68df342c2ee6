"""The weight set `echomimic_v2`: EchoMimicV2's public weights, fetched, converted, ready to film.

    BadToBest/EchoMimicV2       four pickles (with `accelerated` two of them its distilled ones)
    stabilityai/sd-vae-ft-mse   the autoencoder
    openai/whisper-tiny         the encoder that hears

become `video/` of the set, in float16 safetensors. Its other parts, gesture and hands above all,
are the demo set's, named in config.json. Every step is skipped where its result is there, so the
command can be stopped anywhere and run again. This project ships no weights of theirs and no hash:
see `emo2.weights.hub`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from diffusers import AutoencoderKL, ModelMixin

from emo2.errors import InputError, MissingCheckpoint
from emo2.features.whisper import WhisperListener
from emo2.stage2.echomimic_v2 import EchoMimicV2
from emo2.stage2.echomimic_v2.pose_encoder import PoseEncoder
from emo2.stage2.echomimic_v2.sampling import original_scheduler
from emo2.stage2.echomimic_v2.state_dicts import build, configs, merged, plain
from emo2.stage2.loading import check_strictly
from emo2.stage2.reference import ReferenceNet
from emo2.stage2.unet import BackboneUNet
from emo2.types import OnStep
from emo2.weight_set import DEMO_CHECKPOINT
from emo2.weights.hub import LOCK_NAME, HubFile, Lock, download, pinned
from emo2.weights.pickles import REMEDY, halved, read_state_dict

ECHOMIMIC, VAE, WHISPER = (
    "BadToBest/EchoMimicV2",
    "stabilityai/sd-vae-ft-mse",
    "openai/whisper-tiny",
)
NETWORKS = {"reference_net": ReferenceNet, "unet": BackboneUNet, "pose_encoder": PoseEncoder}
SHARED = ("audio", "gesture", "hands", "visemes")
"""Parts of the demo set."""
FPS, MAX_SIDE_PX = 24.0, 1024
CONVERTED_BYTES = 4_500_000_000
"""The set, about: 2.2 thousand million numbers of two bytes."""


@dataclass(frozen=True)
class Recipe:
    """One get: from where, to where."""

    folder: Path
    accelerated: bool = False
    revision: str | None = None
    """Of EchoMimicV2's repository; None = as it is on the first get."""
    endpoint: str | None = None
    keep: bool = False
    """Leave the downloads when all is done."""
    unet_config: Mapping | None = None
    """For weights of another shape than the published: see `EchoMimicV2.from_state_dicts`."""
    settings: Mapping | None = None
    """Changes to EchoMimicV2's settings."""

    @property
    def pickles(self) -> dict[str, str]:
        """The four files by what they are."""
        suffix = "_acc" if self.accelerated else ""
        return {
            "reference": "reference_unet.pth",
            "denoiser": f"denoising_unet{suffix}.pth",
            "motion": f"motion_module{suffix}.pth",
            "pose": "pose_encoder.pth",
        }

    @property
    def wanted(self) -> dict[str, tuple[str, ...]]:
        """Files by repository."""
        return {
            ECHOMIMIC: tuple(self.pickles.values()),
            VAE: ("config.json", "diffusion_pytorch_model.safetensors"),
            WHISPER: ("config.json", "model.safetensors"),
        }

    @property
    def downloads(self) -> Path:
        """Where the files lie until they are converted."""
        return self.folder / "downloads"

    @cached_property
    def lock(self) -> Lock:
        """What is pinned; asks the hub the first time."""
        revisions = {} if self.revision is None else {ECHOMIMIC: self.revision}
        return pinned(self.folder / LOCK_NAME, self.wanted, revisions, self.endpoint)

    def files(self, repository: str) -> list[HubFile]:
        """The repository's pinned files."""
        return [self.lock.named(repository, path) for path in self.wanted[repository]]


def get(recipe: Recipe, on_step: Callable[[str], OnStep] | None = None) -> Path:
    """Make the set, or what is missing of it; returns its folder.

    `on_step` gives, for a file's name, what hears of its download.

    Raises:
        InputError: no network, no room on the disk, a file that is not what the hub says.
        MissingCheckpoint: weights that do not fit EchoMimicV2's networks.
    """
    video = recipe.folder / "video"
    steps = {
        ECHOMIMIC: (tuple(NETWORKS), _convert_networks),
        VAE: (("vae",), _convert_vae),
        WHISPER: (("whisper",), _convert_whisper),
    }
    todo = {
        repository: convert
        for repository, (parts, convert) in steps.items()
        if not all((video / part / "config.json").is_file() for part in parts)
    }
    if todo:
        _check_disk(recipe, [file for repository in todo for file in recipe.files(repository)])
    for repository, convert in todo.items():
        paths = {
            file.path: download(
                file, recipe.downloads, recipe.endpoint, on_step and on_step(file.path)
            )
            for file in recipe.files(repository)
        }
        convert(recipe, paths)
    _finish(recipe)
    if not recipe.keep:
        shutil.rmtree(recipe.downloads, ignore_errors=True)
    return recipe.folder


def _convert_networks(recipe: Recipe, paths: Mapping[str, Path]) -> None:
    loaded = {what: read_state_dict(paths[name]) for what, name in recipe.pickles.items()}
    given = configs(loaded["denoiser"], loaded["motion"], loaded["pose"], recipe.unet_config)
    tensors = {
        "reference_net": lambda: plain(loaded["reference"]),
        "unet": lambda: merged(loaded["denoiser"], loaded["motion"]),
        "pose_encoder": lambda: plain(loaded["pose"]),
    }
    files = recipe.pickles
    sources = {
        "reference_net": paths[files["reference"]],
        "unet": f"{paths[files['denoiser']]} and {paths[files['motion']].name}",
        "pose_encoder": paths[files["pose"]],
    }
    for part, network in NETWORKS.items():
        source = str(sources[part])
        half = halved(tensors[part](), source)
        _put(build(network, given[network], half, source), recipe.folder / "video" / part)


def _convert_vae(recipe: Recipe, paths: Mapping[str, Path]) -> None:
    weights = paths["diffusion_pytorch_model.safetensors"]
    try:
        vae, report = AutoencoderKL.from_pretrained(
            weights.parent,
            dtype=torch.float16,
            use_safetensors=True,
            output_loading_info=True,
            low_cpu_mem_usage=False,
        )
    except (OSError, ValueError, RuntimeError) as error:
        rule, first = "must be an AutoencoderKL", str(error).split("\n")[0][:200]
        raise MissingCheckpoint("weights", rule, f"{weights} ({first})", REMEDY) from error
    if report["missing_keys"]:
        said = f"{weights} without {sorted(report['missing_keys'])[0]}"
        raise MissingCheckpoint("weights", "must hold every tensor", said, REMEDY)
    _put(vae, recipe.folder / "video" / "vae")


def _convert_whisper(recipe: Recipe, paths: Mapping[str, Path]) -> None:
    weights = paths["model.safetensors"]
    listener = WhisperListener.from_published(weights)
    _put(listener, recipe.folder / "video" / "whisper")


def _put(network: ModelMixin | WhisperListener, folder: Path) -> None:
    """Saved under its name only when it is whole."""
    part = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    network.save_pretrained(part)
    part.replace(folder)


def _finish(recipe: Recipe) -> None:
    """The indexes, config.json last: with it the set is there."""
    video, parts = recipe.folder / "video", {}
    for part, network in {**NETWORKS, "vae": AutoencoderKL}.items():
        check_strictly(video / part, network)
        with torch.device("meta"):
            parts[part] = network.from_config(network.load_config(video / part))
    original_scheduler().save_pretrained(video / "scheduler")
    steps, scale = (6, 1.0) if recipe.accelerated else (30, 2.5)
    settings = {"num_inference_steps": steps, "guidance_scale": scale, **(recipe.settings or {})}
    EchoMimicV2(**parts, scheduler=original_scheduler(), **settings).save_config(video)
    shared = {part: os.path.relpath(DEMO_CHECKPOINT / part, recipe.folder) for part in SHARED}
    config = {"fps": FPS, "max_side_px": MAX_SIDE_PX, "parts": shared}
    (recipe.folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def _check_disk(recipe: Recipe, files: list[HubFile]) -> None:
    """Raises `InputError` where the downloads and what is made of them do not fit."""
    missing = sum(file.size or 0 for file in files)
    published = recipe.unet_config is None
    needed = missing + (CONVERTED_BYTES if published else 0)
    recipe.folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(recipe.folder).free
    there = sum(p.stat().st_size for p in recipe.downloads.rglob("*") if p.is_file())
    if needed - there > free:
        raise InputError(
            "disk",
            f"needs {(needed - there) / 1e9:.1f} GB: downloads and the converted set",
            f"{free / 1e9:.1f} GB free in {recipe.folder}",
            "Make room, or name another folder with --to.",
        )
