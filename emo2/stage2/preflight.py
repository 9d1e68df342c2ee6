"""Will the film fit? Answered before its first frame, with a way out where it will not.

What a clip needs is counted from shapes (`clip_cost`); memory does not grow with a film's length,
so that is what the film needs. Beyond it, constants: what allocators and kernels take besides
tensors. The CPU's was measured (`python -m benchmarks.stage2 --preflight`); those of GPUs are
allowances that were not.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from diffusers import DiffusionPipeline

from emo2.errors import InputError
from emo2.stage2.clip_cost import ClipCost, clip_cost, resident_bytes
from emo2.stage2.devices import OFFLOADS, choose_dtype
from emo2.stage2.inputs import SIZE_MULTIPLE_PX as MULTIPLE
from emo2.stage2.pipeline import STRETCH_FRAMES, Stage2Pipeline
from emo2.stage2.sampling import Sampling

GIB = 2**30
OVERHEAD = {"cpu": (2.0, 0.1 * GIB), "cuda": (1.15, 0.6 * GIB), "mps": (1.3, 0.6 * GIB)}
"""A factor on what tensors take, and bytes besides: a context, kernels' own memory. On a CPU the
process grew by 1.7 to 2.0 times what the tensors of the demo's clips take, at three sizes."""
ROOM_FOR_BATCHES = 0.8
"""The share of free memory up to which guidance is evaluated in one batch."""
NOTHING_FITS = "Nothing smaller fits either: free some memory, or choose another device."
EFFICIENCY = {"cpu": 0.25, "cuda": 0.35, "mps": 0.35}
"""The rate of a whole film, without its draft, over that of matrix products. The CPU's is of the
demo's film of 512 pixels on two cores (.24); those of GPUs are allowances."""


@dataclass(frozen=True)
class FilmPlan:
    """How a film will be made, and what that takes."""

    size: tuple[int, int]
    """(H, W) of the film."""
    device: torch.device
    dtype: torch.dtype
    offload: str
    batched_guidance: bool
    needed_bytes: int
    """On the device, at most, weights included."""
    free_bytes: int
    """On the device before the weights were there."""
    seconds_per_second: float | None
    """Of work for a second of film, roughly; None = not known."""

    @property
    def options(self) -> dict[str, bool]:
        """What `film` is told."""
        return {"batched_guidance": True} if self.batched_guidance else {}

    def __str__(self) -> str:
        height, width = self.size
        kept = "" if self.offload == "none" else f", {self.offload} offload"
        batched = ", guidance in one batch" if self.batched_guidance else ""
        rate = self.seconds_per_second
        pace = "" if rate is None else f", about {rate:.2g} s a second of film"
        return (
            f"film of {width} x {height} on {self.device} in {str(self.dtype)[6:]}{kept}{batched}: "
            f"at most {gib(self.needed_bytes)} of {gib(self.free_bytes)} free{pace}"
        )


def plan_film(
    pipeline: Stage2Pipeline,
    size: tuple[int, int],
    fps: float,
    *,
    sampling: Sampling | None = None,
    device: torch.device | None = None,
    offload: str = "none",
    free_bytes: int | None = None,
) -> FilmPlan:
    """How a film of `size` (H, W) will be made on `device` (None: the pipeline's own), by default
    as the checkpoint samples.

    `free_bytes` is what the device has to give, this checkpoint's weights included; None asks it.
    Raises `InputError` that names what is needed, what is free and which smaller settings fit.
    """
    sampling = sampling or Sampling.of(pipeline.config)
    device = device or pipeline._execution_device
    dtype = choose_dtype(device)
    if free_bytes is None:
        free_bytes = available_bytes(device) + held_bytes(pipeline, device)
    single = clip_cost(pipeline, pipeline.working_size(*size), dtype)
    needed = _needed(pipeline, single, size, device, offload)
    if needed > free_bytes:
        fitting = "; ".join(_ways_out(pipeline, single, size, device, offload, free_bytes))
        raise InputError(
            "film",
            f"{size[1]} x {size[0]} with offload {offload} takes about {gib(needed)} on {device}",
            f"{gib(free_bytes)} free",
            f"This fits: {fitting}." if fitting else NOTHING_FITS,
        )
    batched = False
    count = len(sampling.scale.terms())
    if device.type != "cpu" and count > 1:
        together = clip_cost(pipeline, pipeline.working_size(*size), dtype, count)
        most = _needed(pipeline, together, size, device, offload)
        batched = most <= ROOM_FOR_BATCHES * free_bytes
        needed = most if batched else needed
    evaluations = sampling.evaluations(pipeline.scheduler)
    work = single.flops(evaluations, pipeline.clip_length) / pipeline.clip_length * fps
    rate = matmul_rate(device, dtype) * EFFICIENCY[device.type]
    return FilmPlan(size, device, dtype, offload, batched, needed, free_bytes, work / rate)


def check_weights(
    pipeline: DiffusionPipeline,
    device: torch.device,
    offload: str,
    free_bytes: int | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Before a checkpoint is put on a device: do its weights fit there. Raises `InputError`."""
    free_bytes = available_bytes(device) if free_bytes is None else free_bytes
    dtype, besides = dtype or choose_dtype(device), OVERHEAD[device.type][1]
    needed = {kind: resident_bytes(pipeline, kind, dtype) + besides for kind in OFFLOADS}
    if device.type == "cpu" or needed[offload] <= free_bytes:
        return  # on a CPU they are there already
    stronger = OFFLOADS[OFFLOADS.index(offload) + 1 :]
    fitting = [f"--offload {k} ({gib(needed[k])})" for k in stronger if needed[k] <= free_bytes]
    raise InputError(
        "film",
        f"the weights take {gib(needed[offload])} on {device}",
        f"{gib(free_bytes)} free",
        f"This fits: {'; '.join(fitting)}." if fitting else NOTHING_FITS,
    )


def _needed(
    pipeline: Stage2Pipeline,
    cost: ClipCost,
    size: tuple[int, int],
    device: torch.device,
    offload: str,
) -> int:
    factor, besides = OVERHEAD[device.type]
    tensors = cost.peak_bytes + (frames_bytes(pipeline, size) if device.type == "cpu" else 0)
    weights = resident_bytes(pipeline, offload, choose_dtype(device))
    return int(weights + factor * tensors + besides)


def frames_bytes(pipeline: Stage2Pipeline, size: tuple[int, int]) -> int:
    """In the host's memory: guidance of the clip that is filmed, of the one drawn meanwhile, and a
    copy while pieces are joined, as bytes; one piece as it is drawn, in float32."""
    pixels, (height, width) = size[0] * size[1], pipeline.working_size(*size)
    leans = pipeline.config.leans_on_draft
    seen = (10 if leans else 6) * height * width + (4 * pixels if leans else 0)
    drawn = 4 * (10 if leans else 6) * pixels
    return 3 * pipeline.clip_length * seen + 3 * STRETCH_FRAMES * drawn


def _ways_out(
    pipeline: Stage2Pipeline,
    cost: ClipCost,
    size: tuple[int, int],
    device: torch.device,
    offload: str,
    free_bytes: int,
) -> Iterator[str]:
    """Settings that need less and fit, the nearest first."""
    stronger = OFFLOADS[OFFLOADS.index(offload) + 1 :] if device.type != "cpu" else ()
    for other in stronger:
        needed = _needed(pipeline, cost, size, device, other)
        if needed <= free_bytes:
            yield f"--offload {other} ({gib(needed)})"
    for share in (0.75, 0.5, 0.375):
        smaller = tuple(max(1, round(s * share / MULTIPLE)) * MULTIPLE for s in size)
        cost = clip_cost(pipeline, pipeline.working_size(*smaller), choose_dtype(device))
        for other in (offload, *stronger[-1:]):
            needed = _needed(pipeline, cost, smaller, device, other)
            if needed <= free_bytes:
                kept = "" if other == offload else f" --offload {other}"
                yield f"--max-side {max(smaller)}{kept} ({gib(needed)})"
                return


def available_bytes(device: torch.device) -> int:
    """What the device can still give this process."""
    if device.type == "cuda":
        reserved, used = torch.cuda.memory_reserved(device), torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + reserved - used
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    limits = _container_bytes(Path("/sys/fs/cgroup"))
    return min([psutil.virtual_memory().available, *limits])


def held_bytes(pipeline: DiffusionPipeline, device: torch.device) -> int:
    """What the pipeline's weights take on `device` now."""
    parts = (part for part in pipeline.components.values() if isinstance(part, torch.nn.Module))
    tensors = (p for part in parts for p in part.parameters() if p.device.type == device.type)
    return sum(tensor.nbytes for tensor in tensors)


def _container_bytes(folder: Path) -> Iterator[int]:
    """What a container's limit leaves, where there is one: the machine's free memory says less."""
    limit, used = folder / "memory.max", folder / "memory.current"
    if limit.is_file() and (most := limit.read_text().strip()).isdigit():
        facts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        yield int(most) - int(used.read_text()) + int(facts.get("inactive_file", 0))


def matmul_rate(device: torch.device, dtype: torch.dtype, side: int = 768) -> float:
    """Floating-point operations a second in products of square matrices, measured now."""
    a = torch.randn(side, side, device=device, dtype=dtype)
    best, spent = float("inf"), 0.0
    while spent < 0.05:
        start = time.perf_counter()
        (a @ a)[0, 0].item()  # waits for the device
        took = time.perf_counter() - start
        best, spent = min(best, took), spent + took
    return 2 * side**3 / best


def gib(count: float) -> str:
    """Bytes in words."""
    return f"{count / GIB:.2f} GiB"
