"""EchoMimicV2's network written out in plain torch, from its state dicts, frame by frame: slow, and
independent of every class it is compared with. Also random state dicts with its names."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from emo2.stage2.echomimic_v2.pose_encoder import PoseEncoder
from emo2.stage2.echomimic_v2.state_dicts import RENAMES
from emo2.stage2.reference import ReferenceNet
from emo2.stage2.unet import BackboneUNet

WIDTHS, LAYERS, POSE_WIDTHS, AUDIO_DIM, HEADS = (32, 64), 1, (4, 4, 8, 8), 384, 8


def state_dicts(dtype: torch.dtype = torch.float64, seed: int = 0) -> dict[str, dict[str, Tensor]]:
    """Random `reference, denoiser, motion, pose` at small width; no tensor is zero."""
    shared = {"block_out_channels": WIDTHS, "layers_per_block": LAYERS, "attention_heads": HEADS}
    reference = ReferenceNet(
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        **shared,
    )
    backbone = BackboneUNet(
        down_block_types=("CrossAttnDownBlockMotion", "DownBlockMotion"),
        up_block_types=("UpBlockMotion", "CrossAttnUpBlockMotion"),
        guidance_channels=WIDTHS[0],
        guidance_fusion="add",
        cross_attention_dim=AUDIO_DIM,
        motion_frames=0,
        **shared,
    )
    pose = PoseEncoder(WIDTHS[0], 3, POSE_WIDTHS)
    generator = torch.Generator().manual_seed(seed)

    def drawn(net) -> dict[str, Tensor]:
        tensors = {k: v for k, v in net.state_dict().items() if "pos_embed" not in k}
        return {k: _random(k, v.shape, generator).to(dtype) for k, v in tensors.items()}

    both = drawn(backbone)
    motion = {_their_name(k): v for k, v in both.items() if ".motion_modules." in k}
    spatial = {k: v for k, v in both.items() if ".motion_modules." not in k}
    return {
        "reference": drawn(reference),
        "denoiser": spatial,
        "motion": motion,
        "pose": drawn(pose),
    }


def _random(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    noise = torch.randn(shape, generator=generator, dtype=torch.float64)
    if len(shape) == 1:
        return 0.1 * noise + ("norm" in name and name.endswith("weight"))
    return noise * math.prod(shape[1:]) ** -0.5


def _their_name(name: str) -> str:
    head, block = name.split(".motion_modules.")
    number, rest = block.split(".", 1)
    for theirs, ours in RENAMES.items():
        if ours:
            rest = f".{rest}".replace(ours + ".", theirs + ".")[1:]
    return f"{head}.motion_modules.{number}.temporal_transformer.{rest}"


# ---- the network -------------------------------------------------------------------------------


def predict(dicts, latents, timestep, portrait, maps, tokens, scale) -> Tensor:
    """What `EchoMimicV2.predict_noise` must return; arguments as there."""
    bank: dict[str, Tensor] = {}
    unet({**dicts["reference"]}, portrait, 0, bank=bank)
    both = {**dicts["motion"], **dicts["denoiser"]}
    frames, pose = latents[0].transpose(0, 1), pose_features(dicts["pose"], maps[0].transpose(0, 1))
    told = unet(both, frames, timestep, pose, tokens[0], bank)
    if scale <= 1:
        return told.transpose(0, 1)[None]
    nothing = unet(both, frames, timestep, 0 * pose, 0 * tokens[0], {})
    return (nothing + scale * (told - nothing)).transpose(0, 1)[None]


def pose_features(p, x: Tensor) -> Tensor:
    x = F.silu(conv(p, "conv_in", x))
    for n in range(2 * len(POSE_WIDTHS) - 2):
        x = F.silu(conv(p, f"blocks.{n}", x, stride=1 + n % 2))
    return conv(p, "conv_out", x)


def unet(p, x, timestep, pose=None, tokens=None, bank=None) -> Tensor:
    """Frames (F, 4, h, w). Without `tokens` it is the portrait's network and fills `bank`."""
    half = WIDTHS[0] // 2
    angle = timestep * torch.exp(-math.log(10000) * torch.arange(half) / half)
    time = torch.cat([angle.cos(), angle.sin()])[None].to(x.dtype)
    time = linear(p, "time_embedding.linear_2", F.silu(linear(p, "time_embedding.linear_1", time)))

    def stage(name: str, n: int, x: Tensor) -> Tensor:
        x = resnet(p, f"{name}.resnets.{n}", x, time)
        if f"{name}.attentions.{n}.proj_in.weight" in p:
            x = attention_block(p, f"{name}.attentions.{n}", x, tokens, bank)
        motion = f"{name}.motion_modules.{n}.temporal_transformer"
        return temporal(p, motion, x) if f"{motion}.proj_in.weight" in p else x

    x = conv(p, "conv_in", x)
    x = x if pose is None else x + pose
    skips = [x]
    for level in range(len(WIDTHS)):
        for n in range(LAYERS):
            x = stage(f"down_blocks.{level}", n, x)
            skips.append(x)
        if f"down_blocks.{level}.downsamplers.0.conv.weight" in p:
            x = conv(p, f"down_blocks.{level}.downsamplers.0.conv", x, stride=2)
            skips.append(x)
    x = resnet(p, "mid_block.resnets.1", stage("mid_block", 0, x), time)
    for level in range(len(WIDTHS)):
        for n in range(LAYERS + 1):
            x = stage(f"up_blocks.{level}", n, torch.cat([x, skips.pop()], dim=1))
        if f"up_blocks.{level}.upsamplers.0.conv.weight" in p:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = conv(p, f"up_blocks.{level}.upsamplers.0.conv", x)
    if "conv_out.weight" not in p:
        return x
    return conv(p, "conv_out", F.silu(group_norm(p, "conv_norm_out", x, 1e-5)))


def resnet(p, name, x, time) -> Tensor:
    h = conv(p, f"{name}.conv1", F.silu(group_norm(p, f"{name}.norm1", x, 1e-5)))
    h = h + linear(p, f"{name}.time_emb_proj", F.silu(time))[..., None, None]
    h = conv(p, f"{name}.conv2", F.silu(group_norm(p, f"{name}.norm2", h, 1e-5)))
    skip = f"{name}.conv_shortcut"
    return h + (conv(p, skip, x, padding=0) if f"{skip}.weight" in p else x)


def attention_block(p, name, x, tokens, bank) -> Tensor:
    height, width = x.shape[-2:]
    h = conv(p, f"{name}.proj_in", group_norm(p, f"{name}.norm", x, 1e-6), padding=0)
    h = h.flatten(2).transpose(1, 2)  # (F, N, C)
    block = f"{name}.transformer_blocks.0"
    seen = layer_norm(p, f"{block}.norm1", h)
    context = seen
    if tokens is None:
        bank[name] = seen
    elif name in bank:
        context = torch.cat([seen, bank[name].expand(len(seen), -1, -1)], dim=1)
    h = h + attend(p, f"{block}.attn1", seen, context)
    if tokens is not None:
        heard = attend(p, f"{block}.attn2", layer_norm(p, f"{block}.norm2", h), tokens)
        h = h + 3.0 * heard
    h = h + feed_forward(p, f"{block}.ff", layer_norm(p, f"{block}.norm3", h))
    h = h.transpose(1, 2).unflatten(2, (height, width))
    return x + conv(p, f"{name}.proj_out", h, padding=0)


def temporal(p, name, x) -> Tensor:
    height, width = x.shape[-2:]
    h = group_norm(p, f"{name}.norm", x, 1e-6).flatten(2).permute(2, 0, 1)  # (N, F, C)
    h = linear(p, f"{name}.proj_in", h)
    block, channels = f"{name}.transformer_blocks.0", h.shape[-1]
    angle = torch.arange(len(x))[:, None] * torch.exp(
        torch.arange(0, channels, 2) * (-math.log(10000.0) / channels)
    )
    code = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).to(x.dtype)
    for n in range(2):
        placed = layer_norm(p, f"{block}.norms.{n}", h) + code
        h = h + attend(p, f"{block}.attention_blocks.{n}", placed, placed)
    h = h + feed_forward(p, f"{block}.ff", layer_norm(p, f"{block}.ff_norm", h))
    h = linear(p, f"{name}.proj_out", h).permute(1, 2, 0).unflatten(2, (height, width))
    return x + h


def attend(p, name, x, context) -> Tensor:
    query, key, value = (
        F.linear(y, p[f"{name}.to_{part}.weight"]).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        for part, y in (("q", x), ("k", context), ("v", context))
    )
    share = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1)
    return linear(p, f"{name}.to_out.0", (share @ value).transpose(1, 2).flatten(2))


def feed_forward(p, name, x) -> Tensor:
    value, gate = linear(p, f"{name}.net.0.proj", x).chunk(2, dim=-1)
    return linear(p, f"{name}.net.2", value * F.gelu(gate))


def conv(p, name, x, stride: int = 1, padding: int = 1) -> Tensor:
    return F.conv2d(x, p[f"{name}.weight"], p[f"{name}.bias"], stride=stride, padding=padding)


def linear(p, name, x) -> Tensor:
    return F.linear(x, p[f"{name}.weight"], p.get(f"{name}.bias"))


def group_norm(p, name, x, eps: float) -> Tensor:
    return F.group_norm(x, 32, p[f"{name}.weight"], p[f"{name}.bias"], eps)


def layer_norm(p, name, x) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"], 1e-5)
