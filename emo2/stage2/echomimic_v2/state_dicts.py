"""EchoMimicV2's four state dicts to the tensors and arguments of our classes.

    reference_unet   570 tensors  -> ReferenceNet   same names
    denoising_unet   686 spatial  -> BackboneUNet   same names
    motion_module    546 temporal -> BackboneUNet   six renames, AnimateDiff's
    pose_encoder      16          -> PoseEncoder    same names

Position codes (`pos_encoder.pe`) are no weights: they are computed anew. What can be read off the
shapes is; numbers of heads and of norm groups cannot, they are Stable Diffusion's unless told.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import ModelMixin, UNet2DConditionModel, UNetMotionModel
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from torch import Tensor

from emo2.errors import InputError, MissingCheckpoint
from emo2.stage2.echomimic_v2.pose_encoder import PoseEncoder
from emo2.stage2.reference import ReferenceNet
from emo2.stage2.unet import BackboneUNet

StateDict = Mapping[str, Tensor]

RENAMES = {
    ".temporal_transformer": "",
    ".attention_blocks.0": ".attn1",
    ".attention_blocks.1": ".attn2",
    ".norms.0": ".norm1",
    ".norms.1": ".norm2",
    ".ff_norm": ".norm3",
}
"""Temporal modules: AnimateDiff's names to diffusers'."""
AUDIO_ATTENTION_SCALE = 3.0
"""A default argument deep in the original; it is how hard the lips follow the sound."""
HEADS_NAMES = ("attention_heads", "num_attention_heads", "attention_head_dim")
"""diffusers' `attention_head_dim` is the number of heads here, as in all of Stable Diffusion 1."""
OWN_NAMES = ("norm_num_groups", "audio_attention_scale", "motion_attention_heads")
_IGNORED = {
    *inspect.signature(UNet2DConditionModel.__init__).parameters,
    *inspect.signature(UNetMotionModel.__init__).parameters,
    *inspect.signature(BackboneUNet.__init__).parameters,
    *("use_inflated_groupnorm", "use_motion_module", "motion_module_resolutions"),
    *("motion_module_mid_block", "motion_module_decoder_only", "motion_module_type"),
    *("unet_use_cross_frame_attention", "unet_use_temporal_attention", "mid_block_type"),
}
"""Other arguments of such networks: what they say is read off the tensors."""
_REMEDY = "Fetch the set again: python -m emo2 weights get echomimic_v2"


def build(
    network: type[ModelMixin], config: Mapping[str, Any], tensors: StateDict, source: str
) -> ModelMixin:
    """A network with exactly these tensors, on their device and of their type.

    Raises:
        MissingCheckpoint: a tensor is missing, unexpected or of another shape; `source` names where
            they came from.
    """
    with torch.device("meta"):
        model = network(**config)
    model.load_state_dict(fitted(model, tensors, source), assign=True)
    return model.eval().requires_grad_(False)


def fitted(model: ModelMixin, tensors: StateDict, source: str) -> dict[str, Tensor]:
    """`tensors` as a state dict of `model` (on the meta device), position codes included. Raises as
    `build`."""
    codes = _position_codes(model, next(iter(tensors.values()), torch.zeros(())))
    wanted = {k: v.shape for k, v in model.state_dict().items() if k not in codes}
    wrong = {
        "missing": wanted.keys() - tensors.keys(),
        "unexpected": tensors.keys() - wanted.keys(),
        "of another shape": {
            k for k in wanted.keys() & tensors.keys() if wanted[k] != tensors[k].shape
        },
    }
    said = [
        f"{len(names)} {kind}, such as {min(names)!r}" for kind, names in wrong.items() if names
    ]
    if said:
        rule = f"must hold the {len(wanted)} tensors of {type(model).__name__}"
        raise MissingCheckpoint("weights", rule, f"{source}: {'; '.join(said)}", _REMEDY)
    return {**tensors, **codes}


def plain(state_dict: StateDict) -> dict[str, Tensor]:
    """Without the `module.` that a distributed run puts before every name, and without position
    codes."""
    wrapped = all(name.startswith("module.") for name in state_dict)
    names = {name.removeprefix("module.") if wrapped else name: name for name in state_dict}
    return {name: state_dict[old] for name, old in names.items() if "pos_encoder.pe" not in name}


def merged(denoiser: StateDict, motion: StateDict) -> dict[str, Tensor]:
    """Both dicts of the backbone under our names. As in the original the denoiser's own come last:
    a denoiser saved whole brings its temporal modules along."""
    both = {**plain(motion or {}), **plain(denoiser)}
    return {_renamed(name): tensor for name, tensor in both.items()}


def _renamed(name: str) -> str:
    if ".motion_modules." in name:
        for theirs, ours in RENAMES.items():
            name = name.replace(theirs, ours)
    return name


def configs(
    denoiser: StateDict,
    motion: StateDict,
    pose: StateDict,
    unet_config: Mapping[str, Any] | None = None,
) -> dict[type[ModelMixin], dict[str, Any]]:
    """The constructors' arguments, read off the shapes and `unet_config`.

    Raises:
        InputError: `unet_config` holds what no such network has, or contradicts the tensors.
        MissingCheckpoint: the tensors are not those of such networks.
    """
    told = _told(unet_config or {})
    tensors, pose = merged(denoiser, motion), plain(pose)
    try:
        widths, attends = _levels(tensors)
        layers = _count(tensors, r"down_blocks\.0\.resnets\.(\d+)\.")
        audio = next(v for k, v in tensors.items() if k.endswith(".attn2.to_k.weight") and
                     ".attentions." in k).shape[1]  # fmt: skip
        pose_config = _pose(pose)
    except (KeyError, StopIteration, ValueError, IndexError) as error:
        raise MissingCheckpoint(
            "weights", "must be EchoMimicV2's", f"tensors without {error}", _REMEDY
        ) from error
    groups = told.get("norm_num_groups", 32)
    if any(width % groups for width in widths):
        raise InputError(
            "unet_config",
            f"norm_num_groups must divide the widths {widths}",
            groups,
            "Give norm_num_groups and attention_head_dim of the network.",
        )
    shared = {
        "block_out_channels": widths,
        "layers_per_block": layers,
        "norm_num_groups": groups,
        "attention_heads": told.get("attention_heads", 8),
    }
    down = [f"{'CrossAttn' * attended}DownBlock" for attended in attends]
    up = [f"{'CrossAttn' * attended}UpBlock" for attended in reversed(attends)]
    channels = {"in_channels": tensors["conv_in.weight"].shape[1]}
    backbone = {
        **channels,
        **shared,
        "out_channels": tensors["conv_out.weight"].shape[0],
        "guidance_channels": widths[0],
        "guidance_fusion": "add",
        "down_block_types": tuple(f"{name}Motion" for name in down),
        "up_block_types": tuple(f"{name}Motion" for name in up),
        "cross_attention_dim": audio,
        "audio_attention_scale": told.get("audio_attention_scale", AUDIO_ATTENTION_SCALE),
        "motion_frames": 0,
        "motion_max_seq_length": told.get("motion_max_seq_length") or _longest(motion, denoiser),
        "motion_attention_heads": told.get("motion_attention_heads", 8),
        "motion_norm_num_groups": 32,
    }
    reference = {
        **channels,
        **shared,
        "down_block_types": tuple(f"{name}2D" for name in down),
        "up_block_types": tuple(f"{name}2D" for name in up),
    }
    return {BackboneUNet: backbone, ReferenceNet: reference, PoseEncoder: pose_config}


def _told(unet_config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of `unet_config` that shapes do not tell."""
    told = {name: unet_config[name] for name in OWN_NAMES if name in unet_config}
    heads = [unet_config[n] for n in HEADS_NAMES if unet_config.get(n) is not None]
    temporal = unet_config.get("motion_module_kwargs", {})
    if heads:
        told["attention_heads"] = heads[0]
    for name in ("motion_num_attention_heads", "motion_attention_heads"):
        if unet_config.get(name) is not None:
            told["motion_attention_heads"] = unet_config[name]
    if "num_attention_heads" in temporal:
        told["motion_attention_heads"] = temporal["num_attention_heads"]
    if "temporal_position_encoding_max_len" in temporal:
        told["motion_max_seq_length"] = temporal["temporal_position_encoding_max_len"]
    known = {*OWN_NAMES, *HEADS_NAMES, "motion_module_kwargs", *_IGNORED}
    strange = sorted(n for n in set(unet_config) - known if not n.startswith("_"))
    if strange:
        remedy = "Give norm_num_groups and attention_head_dim; the rest is read off the tensors."
        raise InputError("unet_config", "must hold a UNet's arguments", strange[0], remedy)
    for name, value in told.items():
        if not isinstance(value, int | float) or value <= 0:
            raise InputError("unet_config", f"{name} must be one number above 0", value, "Try 8.")
    return told


def _levels(tensors: StateDict) -> tuple[tuple[int, ...], list[bool]]:
    """Widths, and whether each level attends to the portrait and the sound, finest first."""
    count = _count(tensors, r"down_blocks\.(\d+)\.")
    widths = [tensors[f"down_blocks.{i}.resnets.0.conv1.weight"].shape[0] for i in range(count)]
    attends = [
        any(name.startswith(f"down_blocks.{i}.attentions.") for name in tensors)
        for i in range(count)
    ]
    return tuple(widths), attends


def _count(tensors: StateDict, pattern: str) -> int:
    found = [int(match[1]) for name in tensors if (match := re.match(pattern, name))]
    return max(found) + 1


def _pose(pose: StateDict) -> dict[str, Any]:
    downs = [n for n in range(1, _count(pose, r"blocks\.(\d+)\."), 2)]
    first, last = pose["conv_in.weight"], pose["conv_out.weight"]
    widths = (first.shape[0], *(pose[f"blocks.{n}.weight"].shape[0] for n in downs))
    return {
        "embedding_channels": last.shape[0],
        "conditioning_channels": first.shape[1],
        "block_out_channels": widths,
    }


def _longest(*state_dicts: StateDict) -> int:
    """Frames that the position codes reach, where a dict brings them; else the published 32."""
    codes = [v.shape[1] for d in state_dicts for k, v in (d or {}).items() if "pos_encoder.pe" in k]
    return max(codes, default=32)


def _position_codes(model: ModelMixin, like: Tensor) -> dict[str, Tensor]:
    """Every `pe` buffer of a network, with the values its class gives it."""
    codes = {}
    for name, module in model.named_modules():
        if isinstance(module, SinusoidalPositionalEmbedding):
            _, length, width = module.pe.shape
            code = SinusoidalPositionalEmbedding(width, length).pe
            codes[f"{name}.pe"] = code.to(like.device, like.dtype)
    return codes
