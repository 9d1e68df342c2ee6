"""Stage 1: speech features in, two hands' motion out (paper, section 3.1).

`Stage1Pipeline` is a diffusers pipeline of a `MotionDiT` and a scheduler; sizes, defaults and the
meaning of *speed* live in the checkpoint. The same network makes a motion (`__call__`, several at
once: `variants`), streams one (`stream`), and fills in whatever a `Keep` leaves free.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, DPMSolverMultistepScheduler

from emo2.errors import InputError, MissingCheckpoint
from emo2.motion.hashing import motion_hash
from emo2.stage1.generation import Track, filled, finished, joined
from emo2.stage1.keeping import Keep
from emo2.stage1.long_audio import Hearing, Run, joins, overlap_frames, runs
from emo2.stage1.motion_dit import MotionDiT
from emo2.stage1.representation import Representation
from emo2.stage1.sampling import Sampler
from emo2.stage1.settings import Settings, settle
from emo2.types import (
    NUM_BETAS,
    NUM_HANDS,
    REFERENCE_SHOULDER_BREADTH_M,
    AudioFeatures,
    HandMotion,
    OnStep,
    Progress,
)

MOST_VARIANTS = 32


class Stage1Pipeline(DiffusionPipeline):
    """Speech to hands.

    Args:
        scheduler: any of diffusers' that knows `prediction_type="sample"`; DDIM and DPM-Solver++
            are tested.
        default_style: the style when none is asked for.
        num_inference_steps: denoising steps per window.
        guidance_scale: classifier-free guidance on the audio; 1 = off.
        style_guidance_scale: the same on the style.
    """

    def __init__(
        self,
        motion_dit: MotionDiT,
        scheduler: DDIMScheduler | DPMSolverMultistepScheduler,
        default_style: str = "talk-calm",
        num_inference_steps: int = 10,
        guidance_scale: float = 2.5,
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

    def joins(self, num_frames: int) -> list[int]:
        """The frames at which windows begin, but the first, in a motion made from nothing."""
        return joins(num_frames, self.motion_dit.config.num_frames, self.fps)

    def listens(self, keep: Keep) -> tuple[int, int]:
        """The frames (start, stop) of the speech that filling in `keep` listens to."""
        config, plan = self.motion_dit.config, self._plan(keep.motion.num_frames, keep)
        if not plan:
            return 0, 0
        start = max(0, plan[0].start - config.num_context_frames)
        stop = plan[-1].stop + config.num_frames + config.num_lookahead_frames
        return start, min(stop, keep.motion.num_frames)

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
            style: a name out of `styles`, or a mixture such as {"talk-calm": 0.7, "present": 0.3};
                a share may lie in -0.5..1.5, beyond one style and away from another. None = the
                given motion's, else the checkpoint's default.
            speed: 0..1, the share of the training corpus that moves less; None = the style's own
                median, or with the given motion's style its speed.
            seed: the same seed gives the same motion, another one another motion.
            keep: frames and joints that are given. Only the windows that touch what is free are
                made; hand shape, visibility and `meta` are those of the given motion.
            rest_m: (2, 3) where the wrists rest; None = as in the corpus.
            on_step: called after every denoising step.

        Raises:
            InputError: a value is out of range or does not fit the checkpoint.
        """
        options = {
            "style": style,
            "speed": speed,
            "guidance_scale": guidance_scale,
            "style_guidance_scale": style_guidance_scale,
            "num_inference_steps": num_inference_steps,
            "rest_m": rest_m,
        }
        return self.variants(features, 1, seed=seed, keep=keep, on_step=on_step, **options)[0]

    def variants(
        self,
        features: AudioFeatures,
        count: int,
        *,
        seed: int = 0,
        keep: Keep | None = None,
        on_step: OnStep | None = None,
        **options: Any,
    ) -> list[HandMotion]:
        """`count` motions of the seeds `seed`, `seed + 1`, ..., made together: each is what
        `__call__` makes of its seed. `options` as there."""
        if not 1 <= count <= MOST_VARIANTS:
            raise InputError("count", f"must be 1 to {MOST_VARIANTS}", count, "Try 4.")
        settings = self._settle(keep, **options)
        self._check_features(features)
        if not features.num_frames:
            raise InputError("features", "must not be empty", "0 frames", "Give some speech.")
        if keep is not None:
            self._check_keep(keep, features)
        seeds = range(seed, seed + count)
        plan = self._plan(features.num_frames, keep)
        sampler = Sampler(self.motion_dit, self.scheduler, settings, seeds)
        watch = self._window_counter(plan, settings, on_step)
        if keep is None:
            tracks = joined(finished(plan[0], Hearing([features]), sampler, watch))
        elif plan:
            tracks = filled(plan, Hearing([features]), sampler, keep, watch)
        else:
            return [keep.motion] * count
        return [self._motion(*made, settings, keep) for made in zip(tracks, seeds, strict=True)]

    def stream(
        self, pieces: Iterable[AudioFeatures], *, seed: int = 0, **options: Any
    ) -> Iterator[HandMotion]:
        """Hands piece by piece, for speech of any length that also comes piece by piece
        (`AudioEncoder.stream`): memory does not grow. Joined, they are the motion that `__call__`
        makes of all features at once, to the bit. `options` as there, without `keep`."""
        settings = self._settle(None, **options)
        sampler = Sampler(self.motion_dit, self.scheduler, settings, [seed])
        hearing = Hearing(self._checked(piece) for piece in pieces)
        made = finished(Run(0, None), hearing, sampler, _nobody)
        return (self._motion(tracks[0], seed, settings, None) for tracks in made)

    # 1. What is asked for

    def _settle(self, keep: Keep | None, **options: Any) -> Settings:
        """Settings from arguments. Where they are None or left out: style and speed of the given
        motion, if it was made here, else the checkpoint's defaults."""
        defaults = {
            "style": self.config.default_style,
            "speed": None,
            "num_inference_steps": self.config.num_inference_steps,
            "guidance_scale": self.config.guidance_scale,
            "style_guidance_scale": self.config.style_guidance_scale,
            "rest_m": None,
        }
        unknown = sorted(options.keys() - defaults)
        if unknown:
            raise TypeError(f"unknown argument {unknown[0]!r}")
        given = {name: value for name, value in options.items() if value is not None}
        if keep is not None and "style" not in given:
            defaults |= self._manner(keep.motion)
        most = self.scheduler.config.num_train_timesteps
        return settle(self.motion_dit, most_steps=most, **{**defaults, **given})

    def _manner(self, motion: HandMotion) -> dict[str, Any]:
        """The style and speed that `motion` was made with; nothing where its `meta`, which anybody
        may have written, does not tell."""
        style, speed = motion.meta.get("style"), motion.meta.get("speed")
        known = isinstance(style, Mapping) and style.keys() <= set(self.styles)
        numbers = [*style.values(), speed] if known else [None]
        told = all(isinstance(n, int | float) and -1 < n < 2 for n in numbers)
        return {"style": style, "speed": speed} if told and sum(style.values()) > 0 else {}

    def _check_features(self, features: AudioFeatures) -> None:
        config = self.motion_dit.config
        if features.hidden_states.shape[1] != config.audio_width or features.fps != config.fps:
            raise InputError(
                "features",
                f"must be {config.audio_width} wide at {config.fps:g} frames per second",
                f"{features.hidden_states.shape[1]} wide at {features.fps:g}",
                "Use the audio encoder of the same checkpoint.",
            )

    def _checked(self, piece: AudioFeatures) -> AudioFeatures:
        self._check_features(piece)
        return piece

    def _check_keep(self, keep: Keep, features: AudioFeatures) -> None:
        wanted, got = (
            f"{motion.num_frames} frames at {motion.fps:g} per second"
            for motion in (features, keep.motion)
        )
        if wanted != got:
            remedy = "Cut or extend the motion to the speech first."
            raise InputError("keep", f"must be as long as the speech, {wanted}", got, remedy)

    def _plan(self, num_frames: int, keep: Keep | None) -> list[Run]:
        config = self.motion_dit.config
        if keep is None:
            return [Run(0, num_frames)]
        overlap = overlap_frames(config.num_frames, config.fps)
        return runs(keep.free, config.num_frames, config.num_context_frames, overlap)

    def _window_counter(
        self, plan: list[Run], settings: Settings, on_step: OnStep | None
    ) -> Callable[[], Callable[[int], None]]:
        """What to call at the start of a window; it returns what to call after its steps."""
        if on_step is None:
            return _nobody
        steps, done = settings.num_inference_steps, iter(range(10**9))
        windows = sum(1 + len(self.joins(run.stop - run.start)) for run in plan)

        def window() -> Callable[[int], None]:
            before = next(done) * steps
            return lambda step: on_step(Progress("gesture", before + step, windows * steps))

        return window

    # 2. What comes out

    def _motion(self, track: Track, seed: int, settings: Settings, keep: Keep | None) -> HandMotion:
        made = {"seed": seed, **settings.record(), "checkpoint": self.checkpoint_hash}
        quaternions, translation_m = track
        if keep is None:
            return HandMotion(
                quaternions=quaternions,
                translation_m=translation_m,
                visible=np.ones((len(quaternions), NUM_HANDS), dtype=bool),
                betas=np.zeros((NUM_HANDS, NUM_BETAS), dtype=np.float32),
                fps=self.fps,
                meta={**made, "shoulder_breadth_m": REFERENCE_SHOULDER_BREADTH_M},
            )
        base = {**made, "shoulder_breadth_m": REFERENCE_SHOULDER_BREADTH_M, **keep.motion.meta}
        edit = {"base": motion_hash(keep.motion), "generated": {**keep.record(), **made}}
        return replace(
            keep.motion,
            quaternions=quaternions,
            translation_m=translation_m,
            visible=keep.visible,
            meta={**base, "edits": [*base.get("edits", []), edit]},
        )


def _nobody() -> Callable[[int], None]:
    """For work that nobody watches."""
    return lambda step: None
