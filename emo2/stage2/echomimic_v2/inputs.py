"""Checks at the door: settings, and whether a card holds the networks and one window's work."""

from __future__ import annotations

import torch
from diffusers import DiffusionPipeline

from emo2.errors import InputError
from emo2.stage2.clip_cost import resident_bytes
from emo2.stage2.devices import OFFLOADS
from emo2.stage2.preflight import NOTHING_FITS, FilmPlan, available_bytes, gib, held_bytes

MODES = ("better", "exact")

WORK_BYTES = 6 << 30
"""What one window of 12 frames of 768 x 768 takes beyond the weights, in float16: estimated from
the tensors' shapes, not measured on a card."""


def check_settings(steps: int, scale: float, mode: str) -> None:
    """Raises `InputError` for one that is out of range."""
    if not 1 <= steps <= 1000:
        raise InputError("num_inference_steps", "must be 1 to 1000", steps, "Try 6 or 30.")
    if not 0 <= scale <= 20:
        raise InputError("guidance_scale", "must be 0 to 20", scale, "Try 2.5; 1 is off.")
    if mode not in MODES:
        raise InputError("mode", f"must be one of {', '.join(MODES)}", mode, "Choose one.")


def work_bytes(side_px: int, frames: int) -> int:
    """Of one window, in proportion to its pixels."""
    return round(WORK_BYTES * frames / 12 * (side_px / 768) ** 2)


def check_room(
    pipeline: DiffusionPipeline,
    size: tuple[int, int],
    offload: str,
    dtype: torch.dtype,
    free_bytes: int | None = None,
) -> FilmPlan:
    """How a film of `size` (H, W) will be made. Raises `InputError` where it does not fit: names
    what is needed, what is free and what would fit."""
    device, config = pipeline._execution_device, pipeline.config
    if free_bytes is None:
        free_bytes = available_bytes(device) + held_bytes(pipeline, device)
    work = work_bytes(config.side_px, config.context_frames) * dtype.itemsize // 2
    needed = {kind: resident_bytes(pipeline, kind, dtype) + work for kind in OFFLOADS}
    if needed[offload] > free_bytes:
        stronger = OFFLOADS[OFFLOADS.index(offload) + 1 :] if device.type != "cpu" else ()
        fitting = [f"--offload {k} ({gib(needed[k])})" for k in stronger if needed[k] <= free_bytes]
        raise InputError(
            "film",
            f"EchoMimicV2 takes about {gib(needed[offload])} on {device}",
            f"{gib(free_bytes)} free",
            f"This fits: {'; '.join(fitting)}." if fitting else f"{NOTHING_FITS} Or film a draft.",
        )
    return FilmPlan(size, device, dtype, offload, False, needed[offload], free_bytes, None)
