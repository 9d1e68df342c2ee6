"""Noise to clean latents: DDIM with classifier-free guidance, its evaluations one by one or as one
batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from diffusers import DDIMScheduler
from torch import Tensor

from emo2.errors import InputError
from emo2.stage2.conditions import Conditions
from emo2.stage2.guidance_scale import GuidanceInterval, GuidanceScale

Predict = Callable[[Tensor, Tensor, Conditions], Tensor]
"""Noisy latents (B, C, F, h, w), a timestep and conditions of B clips, to a prediction of the
latents' shape."""


@dataclass(frozen=True)
class Sampling:
    """How a clip is denoised."""

    steps: int
    scale: GuidanceScale
    interval: GuidanceInterval = field(default_factory=GuidanceInterval)
    batched: bool = False
    """The evaluations of one step as one batch: faster where a GPU has room for it. One after the
    other needs the least memory."""

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= 1000:
            raise InputError("num_inference_steps", "must be 1 to 1000", self.steps, "Try 4 to 30.")

    @classmethod
    def of(
        cls,
        config: Mapping[str, Any],
        num_inference_steps: int | None = None,
        guidance_scale: float | GuidanceScale | None = None,
        guidance_interval: tuple[float, float] | None = None,
        batched: bool = False,
    ) -> Sampling:
        """As asked for; what is `None` is a checkpoint's, by the same names in its `config`."""
        steps = num_inference_steps
        scale, interval = GuidanceScale(*config["guidance_scale"]), guidance_interval
        return cls(
            config["num_inference_steps"] if steps is None else steps,
            scale if guidance_scale is None else GuidanceScale.of(guidance_scale),
            GuidanceInterval(*(config["guidance_interval"] if interval is None else interval)),
            batched,
        )

    def evaluations(self, scheduler: DDIMScheduler) -> int:
        """Of the denoiser, for one clip."""
        scheduler = DDIMScheduler.from_config(scheduler.config)
        scheduler.set_timesteps(self.steps)
        guided = sum(self._guides(scheduler, timestep) for timestep in scheduler.timesteps)
        return guided * len(self.scale.terms()) + self.steps - guided

    def run(
        self,
        predict: Predict,
        scheduler: DDIMScheduler,
        latents: Tensor,
        conditions: Conditions,
        after_step: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """Noise (B, C, F, h, w) to clean latents; `conditions` are left out as guidance asks."""
        scheduler = DDIMScheduler.from_config(scheduler.config)  # ours alone: it keeps state
        scheduler.set_timesteps(self.steps, device=latents.device)
        terms = self.scale.terms()
        weights, given = [t.weight for t in terms], [conditions.only(t) for t in terms]
        if self.batched:
            given = [Conditions.stack(given)]
        for timestep in scheduler.timesteps:
            if self._guides(scheduler, timestep):
                stacked = latents.repeat(len(terms) // len(given), 1, 1, 1, 1)
                parts = [
                    part
                    for known in given
                    for part in predict(stacked, timestep, known).split(len(latents))
                ]
                prediction = sum(w * part for w, part in zip(weights, parts, strict=True))
            else:
                prediction = predict(latents, timestep, conditions)
            latents = scheduler.step(prediction, timestep, latents).prev_sample
            after_step()
        return latents

    def _guides(self, scheduler: DDIMScheduler, timestep: Tensor) -> bool:
        return self.interval.holds(float(timestep) / scheduler.config.num_train_timesteps)
