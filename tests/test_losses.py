"""What Stage 1's training makes small: angles between rotations, and how much noise counts."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emo2.motion.rotations import angle_between, from_axis_angle, multiply, normalise, to_6d
from emo2.training.build import build_scheduler
from emo2.training.config import GestureConfig
from emo2.training.losses import noise_weights
from emo2.training.rotation_loss import ROUNDING, angles, to_matrices

ANY = np.random.default_rng(0)
CONFIG = GestureConfig()
quaternions = st.tuples(*[st.floats(-1, 1)] * 4).map(lambda q: normalise(np.array(q)))


def columns(quaternion: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(to_6d(quaternion))


def turned(angle_rad: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A rotation, and it turned by an angle about some axis."""
    one = normalise(ANY.normal(size=4))
    axis = ANY.normal(size=3)
    turn = from_axis_angle(axis / np.linalg.norm(axis) * angle_rad)
    return columns(one), columns(multiply(turn, one))


@settings(max_examples=200, deadline=None)
@given(a=quaternions, b=quaternions)
def test_angles_are_those_between_quaternions(a, b):
    expected = angle_between(a, b)
    assert angles(columns(a), columns(b)).item() == pytest.approx(expected, abs=2 * ROUNDING)


def test_columns_need_not_be_orthonormal():
    one, other = turned(0.7)
    scaled = torch.cat([3 * other[:3], 0.2 * other[3:] + 0.5 * other[:3]])
    assert angles(one, scaled).item() == pytest.approx(0.7, abs=1e-6)
    matrix = to_matrices(scaled)
    assert torch.allclose(matrix.mT @ matrix, torch.eye(3, dtype=matrix.dtype), atol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 0.3, 3.1, np.pi - 1e-6, np.pi])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_gradients_are_finite_everywhere(angle, kind):
    one, other = (x.to(kind) for x in turned(angle))
    other.requires_grad_(True)
    value = angles(other, one)
    value.backward()
    assert torch.isfinite(other.grad).all()
    assert other.grad.norm() < 2
    nothing = torch.zeros(6, dtype=kind, requires_grad=True)
    angles(nothing, one).backward()
    assert torch.isfinite(nothing.grad).all()


def test_gradients_are_right():
    for angle in (0.01, 0.5, 2.0, 3.0):
        one, other = turned(angle)
        assert torch.autograd.gradcheck(lambda x, one=one: angles(x, one), other.requires_grad_())


def test_descent_turns_one_rotation_into_another():
    one, other = turned(3.0)
    told = other.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([told], lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        (angles(told, one) ** 2).backward()
        optimiser.step()
    assert angles(told, one).item() < 0.02


def test_min_snr_weighs_what_is_nearly_clean_less_and_pure_noise_enough():
    scheduler = build_scheduler()
    steps = torch.arange(1000)
    plain = noise_weights(scheduler, steps, CONFIG)
    assert torch.equal(plain, torch.ones(1000))
    floors = {}
    for floor in (0.0, 1.0):
        config = dataclasses.replace(CONFIG, min_snr_gamma=5.0, min_snr_floor=floor)
        weights = noise_weights(scheduler, steps, config)
        kept = scheduler.alphas_cumprod
        snr = kept / (1 - kept).clamp(min=1e-8)
        inside = (snr > max(floor, 0.01)) & (snr < 5)
        ratio = weights[inside] / snr[inside]
        assert torch.allclose(ratio, ratio[0], rtol=1e-4)  # equal weights in terms of the noise
        assert torch.allclose(weights[snr >= 5], weights.max())
        assert weights.mean() == pytest.approx(1, abs=1e-4)
        assert (weights.diff() <= 1e-6).all()
        floors[floor] = weights[950:].mean().item()
    assert floors[0.0] < 0.01
    assert floors[1.0] > 0.3
