"""DDIM over a film of many windows, in two orders of work.

`whole` is the original's: all windows of step 0, then all of step 1, and so on. Every frame's
latents are held until the end.

`wave` runs each window as soon as the frames it needs are ready, the deepest step first. The steps
follow one another through the film like waves: frames at the front are pure noise while those
behind are finished, leave, and are forgotten. What a window reads is the same in both orders, so
over open windows the result is the same; but memory is that of the frames between the first wave
and the last, about 8 frames a step, and does not grow with the film. No frame is computed twice
to join pieces, and there are no pieces to join.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from emo2.stage2.echomimic_v2.windows import Schedule, Window

Predict = Callable[[Tensor, Tensor, Window], Tensor]
"""(noisy latents (1, C, F, h, w), timestep, frame numbers) to what the scheduler calls the model's
output, of the same shape."""
Weights = Callable[[Window], list[float]]


def original_scheduler() -> DDIMScheduler:
    """The noise that EchoMimicV2 was trained with: linear betas that end in pure noise."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="linear",
        clip_sample=False,
        steps_offset=1,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )


def whole(
    noise: Tensor,
    predict: Predict,
    scheduler: DDIMScheduler,
    schedule: Schedule,
    weights: Weights | None = None,
) -> Tensor:
    """Noise (1, C, T, h, w) to clean latents. Overlapping predictions are averaged by count, or by
    `weights`. `scheduler` has its timesteps set."""
    latents = noise
    for step, timestep in enumerate(scheduler.timesteps):
        total = torch.zeros_like(latents)
        count = latents.new_zeros(1, 1, latents.shape[2], 1, 1)
        for window in schedule(step, latents.shape[2]):
            weight = _column(weights(window) if weights else [1.0] * len(window), latents)
            total[:, :, window] += predict(latents[:, :, window], timestep, window) * weight
            count[:, :, window] += weight
        latents = scheduler.step(total / count, timestep, latents).prev_sample
    return latents


def wave(
    noise: Callable[[], Tensor],
    num_frames: int,
    predict: Predict,
    scheduler: DDIMScheduler,
    schedule: Schedule,
    weights: Weights,
) -> Iterator[Tensor]:
    """Frames (1, C, h, w) of clean latents from first to last, each as soon as it is done.

    Args:
        noise: gives the next frame's, (1, C, h, w).
        num_frames: T.
        schedule: open windows.
    """
    timesteps = list(scheduler.timesteps)
    waves = [_Wave(schedule(step, num_frames)) for step in range(len(timesteps))]
    latents: dict[int, Tensor] = {}
    sent = 0
    while sent < num_frames:
        step = _deepest_ready(waves)
        window, timestep = waves[step].windows[waves[step].next], timesteps[step]
        if step == 0:
            for frame in window:
                if frame >= waves[0].done and frame not in latents:
                    latents[frame] = noise()
        seen = torch.stack([latents[frame] for frame in window], dim=2)
        predicted = predict(seen, timestep, window)
        for frame, output in waves[step].add(predicted, window, weights(window), num_frames):
            latents[frame] = scheduler.step(output, timestep, latents[frame]).prev_sample
        while sent < waves[-1].done:
            yield latents.pop(sent)
            sent += 1


@dataclass
class _Wave:
    """One step on its way through the film."""

    windows: list[Window]
    next: int = 0
    """The window it runs next."""
    done: int = 0
    """How many frames have taken this step."""
    pending: dict[int, tuple[Tensor, float]] = field(default_factory=dict)
    """Weighted predictions, and their weights, of frames that a later window of this step will
    see, too."""

    def add(
        self, predicted: Tensor, window: Window, weights: list[float], num_frames: int
    ) -> Iterator[tuple[int, Tensor]]:
        """Takes the next window's predictions; gives those frames that have all of theirs."""
        for n, (frame, weight) in enumerate(zip(window, weights, strict=True)):
            total, count = self.pending.get(frame, (0.0, 0.0))
            self.pending[frame] = (total + weight * predicted[:, :, n], count + weight)
        self.next += 1
        over = self.next == len(self.windows)
        until = num_frames if over else self.windows[self.next][0]
        for frame in range(self.done, until):
            total, count = self.pending.pop(frame)
            yield frame, total / count
        self.done = until


def _deepest_ready(waves: list[_Wave]) -> int:
    """The last step whose next window finds all its frames at its level."""
    for step in reversed(range(1, len(waves))):
        here = waves[step]
        if here.next < len(here.windows):
            needed = here.windows[here.next][-1] + 1
            if waves[step - 1].done >= needed:
                return step
    return 0


def _column(weights: list[float], like: Tensor) -> Tensor:
    return torch.tensor(weights, dtype=like.dtype, device=like.device).view(1, 1, -1, 1, 1)
