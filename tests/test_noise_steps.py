"""Few steps must still draw from the whole distribution: held against a denoiser that is exact."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

from emo2.stage1.noise_steps import set_steps, timesteps
from emo2.stage1.pipeline import Stage1Pipeline
from emo2.training.build import build_scheduler

CHANNELS = 96 * 198
"""Of a window at demo size: what is held through it is said so many times."""
SHARE = 0.4
"""Of all variance, in one direction: a handshape, a place where hands rest."""


def drawn(scheduler, steps, *, count=400):
    """Standard deviation, over the true one, along a direction that has `SHARE * CHANNELS` of the
    variance, and along another that has little. The denoiser is that Gaussian's posterior mean."""
    set_steps(scheduler, steps, "cpu")
    generator = torch.Generator().manual_seed(0)
    # White noise is white along any two directions.
    sample = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    variance = torch.tensor([SHARE * CHANNELS, 1 - SHARE], dtype=torch.float64)
    for timestep in scheduler.timesteps:
        kept = scheduler.alphas_cumprod[timestep].double()
        clean = sample * variance * kept.sqrt() / (variance * kept + 1 - kept)
        sample = scheduler.step(clean, timestep, sample).prev_sample
    return sample.std(dim=0) / variance.sqrt()


@pytest.mark.parametrize("steps", [8, 10, 12, 16])
def test_what_a_window_holds_varies_as_in_the_corpus(steps):
    held, _ = drawn(build_scheduler(), steps)
    assert 0.7 < held < 1.15


def test_more_steps_come_nearer_to_the_truth():
    few, many = (drawn(build_scheduler(), steps) for steps in (8, 40))
    assert (many > few).all()
    assert (many > 0.9).all()
    assert (many < 1.1).all()


def test_even_steps_would_make_all_hands_alike():
    even = DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="trailing",
    )
    assert drawn(even, 16)[0] < 0.2


@pytest.mark.parametrize("count", [1, 2, 8, 12, 50, 400, 1000])
def test_steps_fall_and_differ(count):
    chosen = timesteps(build_scheduler().alphas_cumprod.numpy(), count)
    assert len(chosen) == count
    assert (np.diff(chosen) < 0).all()
    assert chosen[-1] >= 0
    assert chosen[0] < 1000


def test_a_scheduler_takes_as_many_steps_as_asked_for():
    for scheduler in (build_scheduler(), DPMSolverMultistepScheduler(), DDIMScheduler()):
        set_steps(scheduler, 10, "cpu")
        assert len(scheduler.timesteps) == 10


def test_first_order_steps_are_ddims():
    """Song et al. 2021, equation 12 without noise, at the timesteps that are chosen here."""
    scheduler = build_scheduler()
    set_steps(scheduler, 8, "cpu")
    kept = torch.cat([scheduler.alphas_cumprod[scheduler.timesteps], torch.ones(1)]).double()
    stepped = by_hand = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).double()
    for index, timestep in enumerate(scheduler.timesteps):
        clean = torch.sin(3 * by_hand)
        now, then = kept[index], kept[index + 1]
        stepped = scheduler.step(clean, timestep, stepped).prev_sample
        noise = (by_hand - now.sqrt() * clean) / (1 - now).sqrt()
        by_hand = then.sqrt() * clean + (1 - then).sqrt() * noise
        assert torch.allclose(stepped, by_hand, rtol=1e-3, atol=1e-4)


def test_the_demo_has_the_scheduler_that_is_trained_with():
    told, built = (
        {name: value for name, value in scheduler.config.items() if not name.startswith("_")}
        for scheduler in (
            Stage1Pipeline.from_pretrained("checkpoints/demo/gesture").scheduler,
            build_scheduler(),
        )
    )
    assert told == built
