"""Checks at the door: settings, and whether a card holds the networks and one window's work."""

from __future__ import annotations

from pathlib import Path

import torch

from emo2.errors import InputError

MODES = ("better", "exact")

WORK_BYTES = 6 << 30
"""What one window of 12 frames of 768 x 768 takes beyond the weights: estimated from the tensors'
shapes, not measured on a card."""


def check_settings(steps: int, scale: float, mode: str) -> None:
    """Raises `InputError` for one that is out of range."""
    if not 1 <= steps <= 1000:
        raise InputError("num_inference_steps", "must be 1 to 1000", steps, "Try 6 or 30.")
    if not 0 <= scale <= 20:
        raise InputError("guidance_scale", "must be 0 to 20", scale, "Try 2.5; 1 is off.")
    if mode not in MODES:
        raise InputError("mode", f"must be one of {', '.join(MODES)}", mode, "Choose one.")


def needed_bytes(folder: Path, side_px: int, frames: int) -> int:
    """Weights, as their files are (float16), and the work: in proportion to a window's pixels."""
    weights = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    return weights + round(WORK_BYTES * frames / 12 * (side_px / 768) ** 2)


def check_room(folder: Path, device: torch.device, side_px: int, frames: int) -> None:
    """Raises `InputError` where the card has less free memory than is needed."""
    if device.type != "cuda":
        return
    free, _ = torch.cuda.mem_get_info(device)
    needed = needed_bytes(folder, side_px, frames)
    if free < needed:
        raise InputError(
            "device",
            f"EchoMimicV2 needs {needed / 1e9:.1f} GB of this card's memory",
            f"{free / 1e9:.1f} GB free on {torch.cuda.get_device_name(device)}",
            "Close what else runs on it, use a larger card, or --renderer draft.",
        )
