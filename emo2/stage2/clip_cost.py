"""What a clip costs a checkpoint, counted from shapes: before anything is drawn or computed."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields

import torch
from diffusers import DiffusionPipeline
from torch import Tensor, nn

from emo2.stage2.conditions import Conditions
from emo2.stage2.devices import cast, networks
from emo2.stage2.dry_run import Cost, dry_run
from emo2.stage2.guidance_scale import Term

EVERYTHING = Term(1.0, guidance=True, reference=True, audio=True)


@dataclass(frozen=True)
class ClipCost:
    """Of one clip with a past, at one size, in one precision."""

    conditions: Cost
    """The portrait, the motion frames, the maps and the sound: once a clip. (The portrait is looked
    at once a film; here it counts to every clip.)"""
    evaluation: Cost
    """The denoiser, one clip once; `batched` evaluations at once where these were asked for."""
    batched: int
    decode: Cost
    """One frame's latents to a picture."""
    held_bytes: int
    """The conditions and latents, which stay while the clip is denoised and decoded."""

    @property
    def peak_bytes(self) -> int:
        """The most that is held at once, without weights."""
        work = max(self.evaluation.peak_bytes, self.decode.peak_bytes)
        return max(self.conditions.peak_bytes, self.held_bytes + work)

    def flops(self, evaluations: int, frames: int) -> int:
        """Of a clip of `frames` frames in which the denoiser is evaluated so often."""
        denoising = evaluations * self.evaluation.flops // self.batched
        return self.conditions.flops + denoising + frames * self.decode.flops


@torch.no_grad()
def clip_cost(
    pipeline: DiffusionPipeline, size: tuple[int, int], dtype: torch.dtype, batched: int = 1
) -> ClipCost:
    """The cost of a clip at the working size (H, W). A full-size checkpoint takes ten seconds or
    so, a small one less than one."""
    twin = meta_twin(pipeline, dtype)
    frames, config = twin.clip_length, twin.config
    leans, heard = config.leans_on_draft, twin.audio_projection.config
    kept: list[Conditions] = []

    def condition() -> None:
        reference = twin.reference_net.extract(twin.encode(_meta(1, 3, *size)))
        kept.append(
            twin.condition(
                _meta(1, 7 if leans else 6, frames, *size),
                _meta(1, frames, 2),
                _meta(1, frames, 2 * heard.radius + 1, heard.audio_dim),
                reference,
                past=_meta(1, config.motion_frames, 3, *size) if config.motion_frames else None,
                draft=_meta(1, frames, 3, *size) if leans else None,
            )
        )

    conditions = dry_run(condition)
    channels, side = twin.vae.config.latent_channels, twin.latent_stride
    latents = _meta(1, channels, frames, *(length // side for length in size))
    known = Conditions.stack([kept[0].only(EVERYTHING)] * batched)
    stacked = latents.repeat(batched, 1, 1, 1, 1)
    timestep = torch.empty((), dtype=torch.long, device="meta")
    return ClipCost(
        conditions=conditions,
        evaluation=dry_run(lambda: twin.predict(stacked, timestep, known)),
        batched=batched,
        decode=dry_run(lambda: twin.decode(latents[0, :, :1].transpose(0, 1))),
        held_bytes=_bytes_of(known) + 3 * stacked.nbytes,
    )


def meta_twin(pipeline: DiffusionPipeline, dtype: torch.dtype) -> DiffusionPipeline:
    """The same networks without numbers; `pipeline` is not touched."""
    twins = dict(pipeline.components)
    with torch.device("meta"):
        for name, part in networks(pipeline).items():
            own = inspect.signature(type(part).__init__).parameters
            twins[name] = type(part)(**{k: v for k, v in part.config.items() if k in own})
            cast(twins[name], dtype)
    settings = inspect.signature(type(pipeline).__init__).parameters
    settings = {k: v for k, v in pipeline.config.items() if k in settings and k not in twins}
    return type(pipeline)(**twins, **settings)


def resident_bytes(pipeline: DiffusionPipeline, offload: str, dtype: torch.dtype) -> int:
    """What weights take on the device at once: all, the largest network beside the latents', or the
    largest layer."""
    parts = networks(pipeline)
    sizes = {
        name: sum(p.numel() for p in part.parameters()) * dtype.itemsize
        for name, part in parts.items()
    }
    if offload == "model":
        return sizes.pop("vae", 0) + max(sizes.values())
    if offload == "sequential":
        leaves = (m for part in parts.values() for m in part.modules() if not list(m.children()))
        return max(_numbers(leaf) for leaf in leaves) * dtype.itemsize
    return sum(sizes.values())


def _numbers(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _meta(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")


def _bytes_of(conditions: Conditions) -> int:
    tensors: list[Tensor] = []
    for field in fields(conditions):
        value = getattr(conditions, field.name)
        tensors += value.values() if isinstance(value, dict) else [value]
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)
