"""Stage 1: speech features in, two hands' motion out (paper, section 3.1).

`Stage1Pipeline` is a diffusers pipeline of a `MotionDiT` and a scheduler; sizes, defaults and the
meaning of *speed* live in the checkpoint. Windows are made one after the other, so a clip of any
length needs the memory of one window.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, DiffusionPipeline
from torch import Tensor

from emo2.errors import InputError, MissingCheckpoint
from emo2.motion.anatomy import limit
from emo2.motion.rotations import continuous
from emo2.stage1.keeping import Keep, put_back
from emo2.stage1.long_audio import Window, calm, cross_fade, windows
from emo2.stage1.motion_dit import MotionDiT
from emo2.stage1.representation import NUM_SLOTS, Representation, pool_parts
from emo2.types import (
    NUM_BETAS,
    NUM_HANDS,
    REFERENCE_SHOULDER_BREADTH_M,
    AudioFeatures,
    HandMotion,
    OnStep,
    Progress,
)


class Stage1Pipeline(DiffusionPipeline):
    """Speech to hands.

    Args:
        default_style: the style when none is asked for.
        num_inference_steps: denoising steps per window.
        guidance_scale: classifier-free guidance on the audio; 1 = off.
        style_guidance_scale: the same on the style.
    """

    def __init__(
        self,
        motion_dit: MotionDiT,
        scheduler: DDIMScheduler,
        default_style: str = "talk-calm",
        num_inference_steps: int = 12,
        guidance_scale: float = 2.0,
        style_guidance_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.register_modules(motion_dit=motion_dit, scheduler=scheduler)
        self.register_to_config(
            default_style=default_style,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            style_guidance_scale=style_guidance_scale,
        )
        self.checkpoint_hash: str | None = None

    @classmethod
    def from_pretrained(cls, folder: str | Path, **options) -> Stage1Pipeline:
        """Load from a local folder."""
        weights = Path(folder) / "motion_dit" / "diffusion_pytorch_model.safetensors"
        if not weights.is_file():
            raise MissingCheckpoint(
                "gesture checkpoint",
                "must be there",
                str(folder),
                "Use checkpoints/demo/gesture, or make one with `python -m emo2 train gesture`.",
            )
        options = {"dtype": torch.float32, "use_safetensors": True, **options}
        pipeline = super().from_pretrained(str(folder), **options)
        pipeline.motion_dit.eval().requires_grad_(False)
        pipeline.checkpoint_hash = hashlib.sha256(weights.read_bytes()).hexdigest()[:16]
        return pipeline

    @property
    def styles(self) -> tuple[str, ...]:
        """The names that `style` may take."""
        return tuple(self.motion_dit.config.styles)

    @property
    def fps(self) -> float:
        """Frames per second of audio features and motion."""
        return self.motion_dit.config.fps

    @property
    def representation(self) -> Representation:
        """What the network's channels mean."""
        return self.motion_dit.representation

    @torch.no_grad()
    def __call__(
        self,
        features: AudioFeatures,
        *,
        style: str | Mapping[str, float] | None = None,
        speed: float | None = None,
        seed: int = 0,
        guidance_scale: float | None = None,
        style_guidance_scale: float | None = None,
        num_inference_steps: int | None = None,
        keep: Keep | None = None,
        rest_m: np.ndarray | None = None,
        on_step: OnStep | None = None,
    ) -> HandMotion:
        """Hands for the whole clip: exactly `features.num_frames` frames.

        Args:
            style: a name out of `styles`, or a mixture such as {"talk-calm": 0.7, "present": 0.3}.
            speed: 0..1, the share of the training corpus that moves less; None = the style's own
                median.
            seed: the same seed gives the same motion, another one another motion.
            keep: frames and joints that are given.
            rest_m: (2, 3) where the wrists rest; None = as in the corpus.
            on_step: called after every denoising step.

        Raises:
            InputError: a value is out of range or does not fit the checkpoint.
        """
        steps = self._default(num_inference_steps, "num_inference_steps")
        scales = (
            self._default(guidance_scale, "guidance_scale"),
            self._default(style_guidance_scale, "style_guidance_scale"),
        )
        weights = self._style_weights(style)
        speed = self._check_speed(speed, weights)
        self._check_inputs(features, steps, keep)

        config = self.motion_dit.config
        plan = list(
            windows(
                features.num_frames,
                config.num_frames,
                config.num_context_frames,
                config.num_lookahead_frames,
            )
        )
        generator = torch.Generator("cpu").manual_seed(seed)
        condition = self._condition(weights, speed, rest_m)
        channels = np.zeros((features.num_frames, self.representation.num_channels), np.float32)
        given, slots = self._given(keep, features.num_frames)
        for index, window in enumerate(plan):
            new = self._window(
                window, features, channels, given, slots, condition, scales, steps, generator,
                lambda done, index=index: on_step
                and on_step(Progress("gesture", index * steps + done, len(plan) * steps)),
            )  # fmt: skip
            overlap = min(window.start, config.num_context_frames)
            if overlap:
                past = slice(window.start - overlap, window.start)
                fade = new[config.num_context_frames - overlap : config.num_context_frames]
                channels[past] = cross_fade(channels[past], fade)
            length = window.stop - window.start
            made = new[config.num_context_frames :][:length]
            channels[window.start : window.stop] = made
        quaternions, translation_m = self._finish(channels, keep)
        return HandMotion(
            quaternions=quaternions,
            translation_m=translation_m,
            visible=np.ones((features.num_frames, NUM_HANDS), dtype=bool),
            betas=np.zeros((NUM_HANDS, NUM_BETAS), dtype=np.float32),
            fps=features.fps,
            meta={
                "seed": seed,
                "style": dict(zip(self.styles, weights, strict=True)),
                "speed": round(speed, 4),
                "num_inference_steps": steps,
                "guidance_scale": scales[0],
                "style_guidance_scale": scales[1],
                "checkpoint": self.checkpoint_hash,
                "shoulder_breadth_m": REFERENCE_SHOULDER_BREADTH_M,
            },
        )

    # 1. Inputs

    def _default(self, value: float | None, name: str) -> float:
        return self.config[name] if value is None else value

    def _style_weights(self, style: str | Mapping[str, float] | None) -> list[float]:
        """Weights per style name, summing to one."""
        style = self.config.default_style if style is None else style
        mixture = {style: 1.0} if isinstance(style, str) else dict(style)
        unknown = [name for name in mixture if name not in self.styles]
        total = sum(mixture.values())
        if unknown or not mixture or min(mixture.values()) < 0 or not 0 < total < float("inf"):
            raise InputError(
                "style",
                "must be a known name or a mixture of them with positive weights",
                json.dumps(style) if isinstance(style, str | dict) else style,
                f"Use {', '.join(self.styles)}.",
            )
        return [mixture.get(name, 0.0) / total for name in self.styles]

    def _check_speed(self, speed: float | None, weights: list[float]) -> float:
        if speed is None:
            return float(np.dot(weights, self.motion_dit.config.style_speeds))
        if not 0 <= speed <= 1:
            raise InputError(
                "speed",
                "must lie between 0 (still) and 1 (the liveliest)",
                speed,
                "Try 0.5.",
            )
        return float(speed)

    def _check_inputs(self, features: AudioFeatures, steps: int, keep: Keep | None) -> None:
        config = self.motion_dit.config
        if features.hidden_states.shape[1] != config.audio_width or features.fps != config.fps:
            raise InputError(
                "features",
                f"must be {config.audio_width} wide at {config.fps:g} frames per second",
                f"{features.hidden_states.shape[1]} wide at {features.fps:g}",
                "Use the audio encoder of the same checkpoint.",
            )
        if not features.num_frames:
            raise InputError("features", "must not be empty", "0 frames", "Give some speech.")
        most = self.scheduler.config.num_train_timesteps
        if not 1 <= steps <= most:
            raise InputError(
                "num_inference_steps", f"must be 1 to {most}", steps, "12 is a good number."
            )
        if keep is not None and keep.motion.num_frames != features.num_frames:
            raise InputError(
                "keep",
                f"must have the clip's {features.num_frames} frames",
                f"{keep.motion.num_frames} frames",
                "Cut or extend the motion to the speech first.",
            )

    def _condition(self, weights: list[float], speed: float, rest_m: np.ndarray | None) -> dict:
        """What is the same for all windows, with a batch axis of one."""
        rest = self.motion_dit.config.rest_m if rest_m is None else rest_m
        return {
            "style": self._tensor([weights]),
            "speed": self._tensor([self.motion_dit.speed_of_share(speed)]),
            "offset_m": self._tensor(np.asarray(rest)[None]),
        }

    def _given(self, keep: Keep | None, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Kept values (T, C), normalised, and the mask (T, 2, 17)."""
        written = self.representation
        if keep is None:
            shape = (num_frames, NUM_HANDS, NUM_SLOTS)
            nothing = np.zeros((num_frames, written.num_channels), np.float32)
            return nothing, np.zeros(shape, dtype=bool)
        channels = written.to_channels(keep.motion.quaternions, keep.motion.translation_m)
        return self.motion_dit.normalise(self._tensor(channels)).cpu().numpy(), keep.mask

    # 2. One window

    def _window(
        self,
        window: Window,
        features: AudioFeatures,
        channels: np.ndarray,
        given: np.ndarray,
        slots: np.ndarray,
        condition: dict,
        scales: tuple[float, float],
        steps: int,
        generator: torch.Generator,
        report,
    ) -> np.ndarray:
        """Denoise one window: (K + N, C) normalised, context frames first."""
        config, width = self.motion_dit.config, self.representation.num_channels
        size, num_context = config.num_frames, config.num_context_frames
        rows = slice(window.start, window.stop)
        mask = np.zeros((size, NUM_HANDS, NUM_SLOTS), dtype=bool)
        mask[: window.stop - window.start] = slots[rows]
        kept = self._tensor(self.representation.expand_slots(mask)[None]).bool()
        values = torch.zeros(1, size, width, device=self.device)
        values[0, : window.stop - window.start] = self._tensor(given[rows])
        context = np.zeros((1, num_context, width), dtype=np.float32)
        if window.start:
            past = channels[max(0, window.start - num_context) : window.start]
            context[0] = np.pad(past, ((num_context - len(past), 0), (0, 0)), mode="edge")
        inputs = {
            **condition,
            "audio": self._tensor(features.hidden_states[window.audio][None]),
            "audio_mask": self._tensor(window.audio_mask[None]).bool(),
            "context": self._tensor(context),
            "context_mask": torch.tensor([window.start > 0], device=self.device),
            "visible": torch.ones(1, num_context + size, NUM_HANDS, dtype=torch.bool).to(
                self.device
            ),
            "keep": self._tensor(pool_parts(mask)[None]),
        }
        self.scheduler.set_timesteps(steps, device=self.device)
        noise = torch.randn(1, size, width, generator=generator).to(self.device)
        sample = noise * self.scheduler.init_noise_sigma
        for done, timestep in enumerate(self.scheduler.timesteps, start=1):
            sample = torch.where(kept, values, sample)
            clean = self._guided(sample, timestep, inputs, scales)
            new = torch.where(kept, values, clean[:, num_context:])
            sample = self.scheduler.step(new, timestep, sample).prev_sample
            report(done)
        return torch.cat([clean[:, :num_context], new], dim=1)[0].float().cpu().numpy()

    def _guided(
        self, sample: Tensor, timestep: Tensor, inputs: dict, scales: tuple[float, float]
    ) -> Tensor:
        """The clean window (1, K + N, C), guided away from what a deaf network would do."""
        variants = [({}, 0.0)]
        if scales[0] != 1:
            deaf = {"audio_mask": torch.zeros_like(inputs["audio_mask"])}
            variants.append((deaf, scales[0] - 1))
        if scales[1] != 1:
            variants.append(({"style": torch.zeros_like(inputs["style"])}, scales[1] - 1))
        batch = {
            name: torch.cat([change.get(name, value) for change, _ in variants])
            for name, value in inputs.items()
        }
        count = len(variants)
        clean = self.motion_dit(
            sample.expand(count, -1, -1), timestep.to(sample.device).expand(count), **batch
        )
        guided = clean[:1]
        for row, (_, scale) in enumerate(variants):
            guided = guided + scale * (clean[:1] - clean[row : row + 1])
        return guided

    # 3. From channels to a motion

    def _finish(self, channels: np.ndarray, keep: Keep | None) -> tuple[np.ndarray, np.ndarray]:
        """Channels (T, C) to quaternions and translation, smooth, limited, kept values back."""
        channels = self.motion_dit.denormalise(self._tensor(channels)).cpu().numpy()
        places_m = self.representation.places_m(channels)
        hands = np.split(channels, NUM_HANDS, axis=1)
        hands = [calm(hands[hand], places_m[:, hand], self.fps) for hand in range(NUM_HANDS)]
        quaternions, translation_m = self.representation.from_channels(np.concatenate(hands, 1))
        quaternions, translation_m = limit(quaternions, translation_m)
        quaternions = continuous(quaternions).astype(np.float32)
        translation_m = translation_m.astype(np.float32)
        return (
            (quaternions, translation_m)
            if keep is None
            else put_back(quaternions, translation_m, keep)
        )

    def _tensor(self, array) -> Tensor:
        return torch.as_tensor(np.asarray(array), dtype=torch.float32).to(self.device)
