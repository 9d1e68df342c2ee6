"""Where a full film model begins: Stable Diffusion 1.5 paints, AnimateDiff moves (paper, 4.1).

    SD 1.5 UNet              -> ReferenceNet, and the backbone without its temporal modules
    AnimateDiff v1, v2, v3   -> the backbone's temporal modules

Every tensor of a file lands, or a rule below says why not; every tensor of a network lands, or a
rule says with what it starts. Anything else is an error that names it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import Tensor, nn

from emo2.errors import InputError
from emo2.stage2.pipeline import Stage2Pipeline
from emo2.stage2.reference import ReferenceNet
from emo2.stage2.unet import BackboneUNet
from emo2.training.weight_files import read_tensors

Rules = Sequence[tuple[str, str]]
"""(pattern in a tensor's name, reason)."""

LDM_PREFIX = "model.diffusion_model."
"""Before a UNet's names in the single files of the original Stable Diffusion."""
TEMPORAL = ".motion_modules."
WITHOUT_TEXT: Rules = (
    (r"transformer_blocks\.\d+\.(attn2|norm2)\.", "the ReferenceNet has no text attention"),
    (r"^conv_(norm_)?out\.", "the ReferenceNet has no output"),
)
NEW_IN_THE_BACKBONE: Rules = (
    (r"\.attn1\.processor\.", "motion frames' own projections start silent, as built"),
    (r"\.attn2\.to_[kv]\.weight$", "audio tokens are of another width than text"),
)
NEW_IN_TIME: Rules = (
    (r"\.pos_embed\.pe$", "computed, not learnt"),
    (r"^mid_block\.", "AnimateDiff v1 and v3 have no module there: starts silent"),
)
RENAMED = {
    ".temporal_transformer": "",
    ".attention_blocks.0": ".attn1",
    ".attention_blocks.1": ".attn2",
    ".norms.0": ".norm1",
    ".norms.1": ".norm2",
    ".ff_norm": ".norm3",
    ".pos_encoder.": ".pos_embed.",
}
"""AnimateDiff's names to diffusers'."""


@dataclass(frozen=True)
class Landing:
    """What one file gave to one network."""

    network: str
    source: str
    landed: tuple[str, ...]
    """The network's tensors that are now the file's."""
    fresh: Mapping[str, str] = field(default_factory=dict)
    """The network's tensors that are not, and why."""
    unused: Mapping[str, str] = field(default_factory=dict)
    """The file's tensors that found no place, and why."""

    def __str__(self) -> str:
        lines = [f"{self.network}: {len(self.landed)} tensors from {self.source}"]
        for what, names in (("fresh", self.fresh), ("unused", self.unused)):
            lines += [f"  {n} {what}: {why}" for why, n in Counter(names.values()).items()]
        return "\n".join(lines)


def initialise(
    pipeline: Stage2Pipeline, sd: str | Path | None = None, animatediff: str | Path | None = None
) -> list[Landing]:
    """Starts a fresh pipeline's UNets from checkpoints (a diffusers folder or a single file each);
    `None` leaves its part as built.

    Raises:
        InputError: a file cannot be read, or a tensor has no place and no reason.
    """
    landings = []
    if sd is not None:
        tensors = sd_tensors(sd, pipeline.unet.config.layers_per_block)
        landings.append(reference_from_sd(pipeline.reference_net, tensors, str(sd)))
        landings.append(backbone_from_sd(pipeline.unet, tensors, str(sd)))
    if animatediff is not None:
        tensors = read_tensors(animatediff, "--from-animatediff")
        landings.append(temporal_from_animatediff(pipeline.unet, tensors, str(animatediff)))
    return landings


def sd_tensors(path: str | Path, layers_per_block: int = 2) -> dict[str, Tensor]:
    """A Stable Diffusion UNet by diffusers' names, from a folder or an original single file."""
    tensors = read_tensors(path, "--from-sd", "unet")
    original = [name for name in tensors if name.startswith(LDM_PREFIX)]
    if not original:
        return tensors
    layout = {"layers_per_block": layers_per_block}
    converted = convert_ldm_unet_checkpoint({n: tensors[n] for n in original}, layout)
    if len(converted) != len(original):
        value = f"{len(converted)} of {len(original)} tensors"
        raise InputError("--from-sd", "all of the UNet must have a place", value, "Use SD 1.5.")
    return converted


def reference_from_sd(net: ReferenceNet, tensors: Mapping[str, Tensor], source: str) -> Landing:
    """The ReferenceNet is the UNet itself, without text attention and output."""
    return land(net, tensors, source, unused=WITHOUT_TEXT)


def backbone_from_sd(net: BackboneUNet, tensors: Mapping[str, Tensor], source: str) -> Landing:
    """The backbone then paints each frame as the UNet would: temporal modules, motion frames,
    guidance and a draft add nothing yet. Audio attention starts as the text attention it replaces
    where the widths agree."""
    for module in net.modules():
        if isinstance(module, AnimateDiffTransformer3D):  # AnimateDiff's training began so, too
            nn.init.zeros_(module.proj_out.weight)
            nn.init.zeros_(module.proj_out.bias)
    tensors = {**tensors, "conv_in.weight": widened(net, tensors["conv_in.weight"])}
    spatial = [name for name in net.state_dict() if TEMPORAL not in name]
    return land(net, tensors, source, spatial, fresh=NEW_IN_THE_BACKBONE)


def temporal_from_animatediff(
    net: BackboneUNet, tensors: Mapping[str, Tensor], source: str
) -> Landing:
    """The temporal modules are AnimateDiff's, by name. v2 has one in the middle, v1 and v3 have
    not. Positions are recomputed and must be the file's."""
    renamed = {temporal_name(name): tensor for name, tensor in tensors.items()}
    own = net.state_dict()
    unused = {}
    for name in [name for name in renamed if name.endswith(".pos_embed.pe")]:
        # AnimateDiff has a table an attention layer, diffusers one a block.
        place = own.get(re.sub(r"\.attn\d\.pos_embed", ".pos_embed", name))
        check_positions(name, renamed.pop(name), place, net.config.motion_max_seq_length)
        unused[name] = "positions are computed, and are the same"
    for name in [name for name in renamed if TEMPORAL not in name and name in own]:
        del renamed[name]
        unused[name] = "not of a temporal module: the picture's part comes from Stable Diffusion"
    has_middle = any(name.startswith("mid_block.") for name in renamed)
    rules = NEW_IN_TIME[:1] if has_middle else NEW_IN_TIME
    temporal = [name for name in own if TEMPORAL in name]
    landing = land(net, renamed, source, temporal, fresh=rules)
    for name in landing.fresh:
        if name.endswith((".proj_out.weight", ".proj_out.bias")):
            own[name].zero_()
    return Landing(landing.network, source, landing.landed, landing.fresh, unused)


def temporal_name(name: str) -> str:
    """An AnimateDiff tensor's name in diffusers; names that are diffusers' already stay."""
    for theirs, ours in RENAMED.items():
        name = name.replace(theirs, ours)
    return name


def check_positions(name: str, theirs: Tensor, ours: Tensor | None, longest: int) -> None:
    """Raises `InputError` unless the file's table (1, frames, D) is the beginning of ours or the
    other way round."""
    if ours is not None and theirs.shape[2:] == ours.shape[2:]:
        shared = min(theirs.shape[1], ours.shape[1])
        one, two = theirs[:, :shared].to(ours), ours[:, :shared]
        if ours.is_meta or torch.allclose(one, two, atol=2e-3):  # half precision
            return
    remedy = f"Use a motion module for Stable Diffusion 1.5; ours place {longest} frames."
    raise InputError("--from-animatediff", "positions must be the sinusoids of ours", name, remedy)


def widened(net: BackboneUNet, weight: Tensor) -> Tensor:
    """Stable Diffusion's `conv_in` (D, 4, 3, 3) as the backbone's (D, 4 + draft + guidance, 3, 3).

    The draft's latents start at zero. The guidance's columns stay as built: what comes in there is
    zero at first (the guidance encoder's last layer and the confidences start at zero), and if both
    were zero neither would ever get a gradient.
    """
    wide = net.conv_in.weight.detach().clone()
    wide[:, : weight.shape[1]] = weight
    wide[:, weight.shape[1] : net.config.in_channels] = 0
    return wide


@torch.no_grad()
def land(
    net: nn.Module,
    tensors: Mapping[str, Tensor],
    source: str,
    names: Sequence[str] | None = None,
    *,
    fresh: Rules = (),
    unused: Rules = (),
) -> Landing:
    """Copies tensors into the network's of the same name and shape.

    Args:
        names: the network's tensors that the file is about; `None` = all.
        fresh: which of these may stay as they are.
        unused: which of the file's may find no place.

    Raises:
        InputError: something is left over that no rule explains.
    """
    own = net.state_dict()
    places = {name: own[name] for name in (own if names is None else names)}
    landed, spare, wrong = [], {}, []
    for name, tensor in tensors.items():
        place = places.get(name)
        if place is not None and place.shape == tensor.shape:
            place.copy_(tensor)
            landed.append(name)
        elif why := reason(name, unused if place is None else fresh):
            spare[name] = why
        else:
            shapes = f"{tuple(tensor.shape)} for {tuple(place.shape)}" if place is not None else ""
            wrong.append(f"no place for {name} {shapes}".strip())
    left = {name: reason(name, fresh) for name in places.keys() - set(landed)}
    wrong += sorted(f"nothing for {name}" for name, why in left.items() if why is None)
    if wrong:
        raise InputError(
            "initial weights",
            f"must fit {type(net).__name__}",
            f"{source}: {'; '.join(wrong[:3])}" + f" ({len(wrong)} in all)" * (len(wrong) > 3),
            "Use Stable Diffusion 1.5 and AnimateDiff for it, at the size of --config full.",
        )
    left = {name: left[name] for name in places if name in left}  # in the network's order
    return Landing(type(net).__name__, source, tuple(landed), left, spare)


def reason(name: str, rules: Rules) -> str | None:
    """Why a tensor may be left out."""
    return next((why for pattern, why in rules if re.search(pattern, name)), None)
