"""Where Stage 2's networks live, and in which precision.

`place` puts a pipeline on a device: whole, or with its networks (`model`) or their layers
(`sequential`) on the device only while they work and in the host's memory otherwise. Offloading is
diffusers' and accelerate's; it is tested with the CPU as its device. CUDA, MPS and half precision
are this code's, but no figure in this project was measured on them.
"""

from __future__ import annotations

import torch
from accelerate import cpu_offload
from accelerate.hooks import remove_hook_from_module
from diffusers import AutoencoderKL, DiffusionPipeline
from torch import nn

from emo2.errors import InputError
from emo2.stage2.latents import LinearAutoencoder
from emo2.stage2.processors import ConditionedAttention

OFFLOADS = ("none", "model", "sequential")
"""From the fastest to the one that needs the least memory on the device."""


def choose_device(wanted: str | torch.device | None = None) -> torch.device:
    """The device that is asked for; None and "auto" take the first GPU there is, else the CPU.

    Raises `InputError` where it is no device or not there.
    """
    if wanted is None or str(wanted) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        rule = "must be auto, cpu, cuda, cuda:N or mps"
        raise InputError("device", rule, wanted, "Leave it out to choose.") from None
    counts = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    count = counts.get(device.type, 0)
    if (device.index or 0) >= count:
        rule = f"must be on this machine, which PyTorch sees {count} {device.type} devices of"
        raise InputError("device", rule, wanted, "Try auto or cpu, or install PyTorch for it.")
    return device


def choose_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on GPUs that compute in it, float16 on others; float32 on CPUs, many of which only
    emulate half precision."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            emulated = not torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.float16 if emulated else torch.bfloat16
    return torch.float16 if device.type == "mps" else torch.float32


def place(
    pipeline: DiffusionPipeline,
    device: torch.device,
    offload: str = "none",
    dtype: torch.dtype | None = None,
) -> DiffusionPipeline:
    """Puts `pipeline` on `device`, in place, in `dtype` or the one that suits the device.

    Fixed linear latents stay float32: they are tiny and orthonormal. Raises `InputError` for an
    unknown `offload`.
    """
    if offload not in OFFLOADS:
        rule = f"must be one of {', '.join(OFFLOADS)}"
        raise InputError("offload", rule, offload, "sequential needs the least memory.")
    dtype = dtype or choose_dtype(device)
    for part in networks(pipeline).values():
        cast(part, dtype)
        if isinstance(part, AutoencoderKL):
            part.enable_slicing()
    if offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif offload == "sequential":
        # As `enable_sequential_cpu_offload`, which cannot name the CPU and so could not be tested
        for part in networks(pipeline).values():
            cpu_offload(part, device, offload_buffers=bool(part._parameters))
        _keep_biases(pipeline, device)
    else:
        pipeline.to(device)
    return pipeline


def cast(network: nn.Module, dtype: torch.dtype) -> None:
    """Its weights in `dtype`; the linear latents stay as they are."""
    if not isinstance(network, LinearAutoencoder):
        nn.Module.to(network, dtype)  # diffusers' own warns of layers that none of ours has


def networks(pipeline: DiffusionPipeline) -> dict[str, nn.Module]:
    """The parts that have weights, by name."""
    parts = pipeline.components.items()
    return {name: part for name, part in parts if isinstance(part, nn.Module)}


def _keep_biases(pipeline: DiffusionPipeline, device: torch.device) -> None:
    """Attention processors are called, not run through `forward`, so no hook would fetch what they
    hold themselves: a few hundred numbers a layer, which stay on the device."""
    for part in networks(pipeline).values():
        for module in part.modules():
            if isinstance(module, ConditionedAttention) and hasattr(module, "distance_bias"):
                remove_hook_from_module(module)
                module.distance_bias.data = module.distance_bias.data.to(device)
