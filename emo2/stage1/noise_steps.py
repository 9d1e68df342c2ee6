"""Which noise levels a few denoising steps pass through.

A window's channels move together: a handshape held for four seconds is thousands of numbers that
say the same, and shows through noise tens of times as loud as itself. There it is chosen. Evenly
spaced timesteps of a cosine schedule go from pure noise, ten thousand times as loud as the motion,
to ten times in one step; everything that is held comes out as the mean, hands half open and all
alike. So the steps here begin where the first choice is made and are short while noise is loud.
"""

from __future__ import annotations

import inspect

import numpy as np
import torch

LOUDEST, FALL, BEND = 6.0, 5.0, 3.2
"""log(noise / motion) of step k out of n is LOUDEST - FALL u - BEND u^2, u = k / n: from 400 down
to about a quarter, the last step is to nothing."""


def set_steps(scheduler, count: int, device: torch.device | str) -> None:
    """Let a diffusers scheduler take `count` steps through these levels; one that takes no
    timesteps from others (DDIM) spaces them as its own configuration says."""
    if "timesteps" in inspect.signature(scheduler.set_timesteps).parameters:
        chosen = timesteps(scheduler.alphas_cumprod.cpu().numpy(), count)
        scheduler.set_timesteps(device=device, timesteps=chosen.tolist())
    else:
        scheduler.set_timesteps(count, device=device)


def timesteps(alphas_cumprod: np.ndarray, count: int) -> np.ndarray:
    """(count,) falling, all different: the training timesteps nearest above the levels."""
    kept = alphas_cumprod.astype(np.float64)
    log_noise = 0.5 * np.log((1 - kept) / kept)
    step = np.arange(count)
    wanted = LOUDEST - FALL * step / count - BEND * (step / count) ** 2
    nearest = np.searchsorted(log_noise, wanted).clip(0, len(kept) - 1)
    # Many steps would meet on one timestep: each goes at least one further, and leaves room below.
    falling = np.minimum.accumulate(nearest + step) - step
    return np.maximum(falling, count - 1 - step)
