"""Train a full film model: `python -m emo2 train video --config full --footage DIR --out RUN
--from-sd SD --from-animatediff MM --vae VAE --audio wav2vec2`.

1. Makes the footage ready (`footage`), once.
2. Starts the networks from Stable Diffusion 1.5 and AnimateDiff (`initialise`); what landed and
   what did not is written to `initialised.json`.
3. Trains the pipeline's own parts to film (`film_loss`), in `video.train`'s loop.
4. Judges the loss on held-out takes and writes `checkpoint/`.

The networks hold 2.2 thousand million numbers. With AdamW in full precision they and what the
optimiser keeps take 35 GB, before activations; every level recomputes its activations on the way
back. Not run yet: real footage, a GPU.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    apply_activation_checkpointing,
)

from emo2.errors import InputError
from emo2.hands.model import HandModel
from emo2.stage2.pipeline import Stage2Pipeline
from emo2.training.autoencoders import open_vae
from emo2.training.film_loss import FilmLoss, draw_film_batch, validate
from emo2.training.footage import FootageTake, prepare
from emo2.training.initialise import initialise
from emo2.training.listening import open_encoder
from emo2.training.run_folder import code_version, machine
from emo2.training.video_model import FULL_CONFIG, build_pipeline

LONG_SIDE_PX = 704
"""The paper films 704 x 512."""
AUDIO = "facebook/wav2vec2-base-960h"
HELD_OUT_SHARE = 0.05
CONFIGS = {"full": FULL_CONFIG}
Train = Callable[..., None]
"""`video.train`."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What a full film model needs besides the demo's options."""
    group = parser.add_argument_group("--config full")
    group.add_argument("--config", choices=["demo", *CONFIGS], default="demo")
    group.add_argument("--footage", type=Path, help="videos with a motion of the same name beside")
    group.add_argument("--from-sd", help="Stable Diffusion 1.5: diffusers' folder or a file")
    group.add_argument("--from-animatediff", help="a motion module: mm_sd_v15_v2.ckpt, a folder")
    group.add_argument(
        "--vae", help="sd-vae-ft-mse or TAESD, a folder (default: that of --from-sd)"
    )
    group.add_argument("--audio", default=AUDIO, help=f"wav2vec 2.0, folder or name ({AUDIO})")
    group.add_argument("--max-side", type=int, default=LONG_SIDE_PX, help="frames' long side [px]")


def refuse(options: argparse.Namespace) -> None:
    """Raises `InputError` where the demo's training was given what only a full one can use."""
    for name in ("footage", "from_sd", "from_animatediff", "vae"):
        value = getattr(options, name)
        if value is not None:
            argument = f"--{name.replace('_', '-')}"
            raise InputError(argument, "needs --config full", value, "Add it, or leave this out.")


def run(options: argparse.Namespace, changes: dict, train: Train) -> dict:
    """A whole run; returns what `report.json` says.

    Raises:
        InputError: an option is missing or does not fit.
    """
    if options.footage is None or not options.footage.is_dir():
        raise InputError(
            "--footage", "must be a folder for a full model to learn from", options.footage,
            "Name a folder of videos with their motions, or leave --config out for the demo's.",
        )  # fmt: skip
    if not 64 <= options.max_side <= 4096:
        raise InputError("--max-side", "must be 64 to 4096", options.max_side, "Try 704.")
    vae_folder = options.vae or options.from_sd
    if vae_folder is None:
        raise InputError("--vae", "must be given", "none", "Name sd-vae-ft-mse's folder.")
    config = dataclasses.replace(CONFIGS[options.config], **changes)
    vae, encoder = open_vae(vae_folder), open_encoder(options.audio)
    torch.manual_seed(config.seed)
    pipeline = build_pipeline(config.size, vae, encoder.width)
    landings = initialise(pipeline, options.from_sd, options.from_animatediff)
    for landing in landings:
        print(landing)
    write(options.out / "initialised.json", [dataclasses.asdict(one) for one in landings])
    about = {"code": code_version(), "machine": machine(), "footage": options.footage.name}
    write(options.out / "config.json", dataclasses.asdict(config) | about)
    takes, rejected = prepare(
        options.footage,
        options.out / "footage",
        encoder,
        HandModel.from_pretrained(options.weights / "hands"),
        max_side_px=options.max_side,
        shortest=config.size.motion_frames + config.size.clip_length + 1,
    )
    for one in rejected:
        print(f"left out: {one.name}: {one.reason}")
    seen, unseen = split(takes)
    save_memory(pipeline)
    loss = FilmLoss(pipeline, config.hand_weight)
    train(config, pipeline, seen, options.out, options.resume, loss, draw_film_batch)
    report = validate(loss, unseen, config.size.clip_length, config.seed)
    report |= {"takes": len(seen), "held_out_is_seen": seen is unseen}
    save(pipeline, options.out / "checkpoint")
    write(options.out / "report.json", report)
    return report


def split(takes: list[FootageTake]) -> tuple[list[FootageTake], list[FootageTake]]:
    """To learn from and to judge by: whole takes, the last in twenty; a single one is both."""
    if len(takes) == 1:
        return takes, takes
    held_out = max(1, round(HELD_OUT_SHARE * len(takes)))
    return takes[:-held_out], takes[-held_out:]


def save_memory(pipeline: Stage2Pipeline) -> None:
    """Both UNets recompute their activations on the way back. Diffusers does so for all but the
    temporal modules, which at 24 frames are the largest."""
    pipeline.reference_net.enable_gradient_checkpointing()
    pipeline.unet.enable_gradient_checkpointing()
    apply_activation_checkpointing(
        pipeline.unet, check_fn=lambda module: isinstance(module, AnimateDiffTransformer3D)
    )


def save(pipeline: Stage2Pipeline, folder: Path) -> None:
    """The product's folder in half precision, written part by part: the networks are not copied
    whole."""
    for name in ("reference_net", "unet", "guidance_encoder", "audio_projection"):
        halved(getattr(pipeline, name)).save_pretrained(folder / name)
    for name in ("vae", "scheduler"):  # as they came
        getattr(pipeline, name).save_pretrained(folder / name)
    pipeline.save_config(folder)


def halved(part: nn.Module) -> nn.Module:
    """A network of the same class and configuration with half-precision copies of the tensors."""
    with torch.device("meta"):
        copy = type(part).from_config(json.loads(part.to_json_string()))
    tensors: dict[str, Tensor] = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in part.state_dict().items()
    }
    copy.load_state_dict(tensors, assign=True)
    return copy


def write(path: Path, facts: object) -> None:
    """As JSON."""
    path.write_text(json.dumps(facts, indent=1) + "\n")
