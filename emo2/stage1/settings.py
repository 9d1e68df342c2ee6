"""What is asked of Stage 1 besides the speech: style, speed, seed, guidance, steps. Checked once,
complete, and written into the motion's `meta`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from emo2.errors import InputError
from emo2.stage1.motion_dit import MotionDiT

BEYOND = 0.5
"""How far a mixture may go beyond one style, away from others: {"talk-lively": 1.5, "talk-calm":
-0.5} is livelier than any speaker of the corpus, and still a hand."""
MOST_GUIDANCE = 10.0


@dataclass(frozen=True)
class Settings:
    """One request, with nothing left out."""

    style: Mapping[str, float]
    """Weights of all the checkpoint's styles; they sum to one."""
    speed: float
    """0..1: the share of the corpus that moves less."""
    num_inference_steps: int
    guidance_scale: float
    style_guidance_scale: float
    rest_m: np.ndarray
    """(2, 3) where the wrists rest."""

    def record(self) -> dict[str, Any]:
        """What `meta` keeps of it."""
        return {
            "style": dict(self.style),
            "speed": round(self.speed, 4),
            "num_inference_steps": self.num_inference_steps,
            "guidance_scale": self.guidance_scale,
            "style_guidance_scale": self.style_guidance_scale,
        }


def settle(
    motion_dit: MotionDiT,
    *,
    style: str | Mapping[str, float],
    speed: float | None,
    num_inference_steps: int,
    most_steps: int,
    guidance_scale: float,
    style_guidance_scale: float,
    rest_m: np.ndarray | None,
) -> Settings:
    """Settings that fit the network. Raises `InputError`, by the names of the arguments."""
    config = motion_dit.config
    weights = _weights(style, config.styles)
    if speed is None:
        speed = float(np.clip(np.dot(list(weights.values()), config.style_speeds), 0, 1))
    elif not 0 <= speed <= 1:
        rule = "must lie between 0 (still) and 1 (the liveliest)"
        raise InputError("speed", rule, speed, "Try 0.5.")
    if not 1 <= num_inference_steps <= most_steps:
        rule, remedy = f"must be 1 to {most_steps}", "8 to 16 are enough."
        raise InputError("num_inference_steps", rule, num_inference_steps, remedy)
    scales = {"guidance_scale": guidance_scale, "style_guidance_scale": style_guidance_scale}
    for name, scale in scales.items():
        if not 0 <= scale <= MOST_GUIDANCE:
            rule = f"must lie in 0..{MOST_GUIDANCE:g}"
            raise InputError(name, rule, scale, "1 is off, 2 is a good number.")
    rest = np.asarray(config.rest_m if rest_m is None else rest_m, dtype=np.float32)
    if rest.shape != (2, 3) or not np.isfinite(rest).all():
        raise InputError("rest_m", "must be (2, 3) metres", rest.tolist(), "One place a hand.")
    return Settings(weights, float(speed), int(num_inference_steps), **scales, rest_m=rest)


def _weights(style: str | Mapping[str, float], styles: tuple[str, ...]) -> dict[str, float]:
    """Weights per style name, summing to one."""
    mixture = {style: 1.0} if isinstance(style, str) else dict(style)
    known = bool(mixture) and all(name in styles for name in mixture)
    total = sum(mixture.values()) if known else 0.0
    weights = [mixture.get(name, 0.0) / total for name in styles] if total > 0 else [math.nan]
    if not all(-BEYOND <= weight <= 1 + BEYOND for weight in weights):
        raise InputError(
            "style",
            "must be a known name, or weights of known names that sum to more than 0 and lie, as "
            f"shares, in {-BEYOND:g}..{1 + BEYOND:g}",
            json.dumps(style) if isinstance(style, str | dict) else style,
            f"Use {', '.join(styles)}.",
        )
    return dict(zip(styles, weights, strict=True))
