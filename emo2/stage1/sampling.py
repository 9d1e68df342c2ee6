"""One window of several variants, denoised together.

Guidance is classifier-free, on the audio and on the style apart from each other: the prediction is
pushed away from what the network would do deaf, and from what it would do in no style. Given values
are put into the noisy window before every step, clean, as in training.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emo2.stage1.motion_dit import MotionDiT
from emo2.stage1.noise_steps import set_steps
from emo2.stage1.representation import pool_parts
from emo2.stage1.settings import Settings


@dataclass(frozen=True)
class WindowInputs:
    """What is known of one window; the same for all variants but the context."""

    audio: np.ndarray
    """(K + N + L, A) hidden states."""
    audio_mask: np.ndarray
    """(K + N + L,) bool: False before the clip's start and after its end."""
    context: np.ndarray | None
    """(V, K, C) normalised, the frames before; None at the start of a clip."""
    visible: np.ndarray
    """(K + N, 2) bool."""
    values: np.ndarray
    """(N, C) normalised, given values where `slots` has them."""
    slots: np.ndarray
    """(N, 2, 17) bool, what is given."""


class Sampler:
    """A network, settings, and a source of noise for each variant.

    A variant's noise depends on its seed alone, not on how many others are made with it. The
    scheduler is a copy: schedulers remember, and the pipeline's own is shared.
    """

    def __init__(
        self, motion_dit: MotionDiT, scheduler, settings: Settings, seeds: Sequence[int]
    ) -> None:
        self.motion_dit, self.settings = motion_dit, settings
        self.scheduler = copy.deepcopy(scheduler)
        self.generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        speed = motion_dit.speed_of_share(settings.speed)
        self.condition = {
            "style": self._tensor([list(settings.style.values())]),
            "speed": self._tensor([speed]),
            "offset_m": self._tensor(settings.rest_m[None]),
        }

    @property
    def num_variants(self) -> int:
        """V."""
        return len(self.generators)

    @torch.no_grad()
    def __call__(self, known: WindowInputs, report: Callable[[int], None]) -> np.ndarray:
        """The window as the network sees it (V, K + N, C), normalised, context frames first; given
        frames are its own idea of them. `report` is called with the number of finished steps."""
        config = self.motion_dit.config
        num_variants, num_context = self.num_variants, config.num_context_frames
        channels = self.motion_dit.representation.num_channels
        context = known.context
        if context is None:
            context = np.zeros((num_variants, num_context, channels), dtype=np.float32)
        one = {
            **self.condition,
            "audio": self._tensor(known.audio[None]),
            "audio_mask": self._tensor(known.audio_mask[None]).bool(),
            "context_mask": self._tensor([known.context is not None]).bool(),
            "visible": self._tensor(known.visible[None]).bool(),
            "keep": self._tensor(pool_parts(known.slots)[None]),
        }
        inputs = {name: value.expand(num_variants, *value.shape[1:]) for name, value in one.items()}
        inputs["context"] = self._tensor(context)
        kept = self._tensor(self.motion_dit.representation.expand_slots(known.slots)[None]).bool()
        values = self._tensor(known.values[None])
        set_steps(self.scheduler, self.settings.num_inference_steps, values.device)
        sample = self._noise(config.num_frames, channels) * self.scheduler.init_noise_sigma
        for done, timestep in enumerate(self.scheduler.timesteps, start=1):
            sample = torch.where(kept, values, sample)
            clean = self._guided(sample, timestep, inputs)
            new = torch.where(kept, values, clean[:, num_context:])
            sample = self.scheduler.step(new, timestep, sample).prev_sample
            report(done)
        return clean.float().cpu().numpy()

    def _guided(self, sample: Tensor, timestep: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        """The clean window (V, K + N, C)."""
        ways = [({}, 0.0)]
        if self.settings.guidance_scale != 1:
            deaf = {"audio_mask": torch.zeros_like(inputs["audio_mask"])}
            ways.append((deaf, self.settings.guidance_scale - 1))
        if self.settings.style_guidance_scale != 1:
            unstyled = {"style": torch.zeros_like(inputs["style"])}
            ways.append((unstyled, self.settings.style_guidance_scale - 1))
        batch = {
            name: torch.cat([change.get(name, value) for change, _ in ways])
            for name, value in inputs.items()
        }
        rows = sample.repeat(len(ways), 1, 1)
        clean = self.motion_dit(rows, timestep.to(rows.device).expand(len(rows)), **batch)
        told, *others = clean.chunk(len(ways))
        guided = told
        for other, (_, scale) in zip(others, ways[1:], strict=True):
            guided = guided + scale * (told - other)
        return guided

    def _noise(self, num_frames: int, channels: int) -> Tensor:
        drawn = [torch.randn(num_frames, channels, generator=g) for g in self.generators]
        return torch.stack(drawn).to(self.motion_dit.device)

    def _tensor(self, array) -> Tensor:
        array = torch.as_tensor(np.asarray(array), dtype=torch.float32)
        return array.to(self.motion_dit.device)
