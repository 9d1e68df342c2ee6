"""Motions made from nothing: smooth, plausible, and different for every seed."""

import numpy as np

from emo2.hands.shapes import SHAPES, finger_quaternions
from emo2.motion.rest import rest_pose
from emo2.motion.rotations import angle_between, continuous, from_axis_angle, multiply
from emo2.types import HandMotion


def smooth_motion(frames: int = 80, seed: int = 0, fps: float = 24.0) -> HandMotion:
    """Hands that wander around where they rest: sums of slow and quick swings, some frames with a
    hand out of the picture."""
    rng = np.random.default_rng(seed)

    def swings(size: float, *shape: int) -> np.ndarray:
        hz = np.array([0.2, 0.5, 1.1, 1.9]).reshape(-1, *[1] * len(shape))
        sizes = size * rng.uniform(0.2, 1, (4, *shape)) / (1 + hz)
        phases = rng.uniform(0, 2 * np.pi, (4, *shape))
        time = np.arange(frames).reshape(-1, *[1] * (len(shape) + 1)) / fps
        return (sizes * np.sin(2 * np.pi * hz * time + phases)).sum(axis=1)

    quaternions = np.empty((frames, 2, 16, 4))
    places = np.empty((frames, 2, 3))
    shapes = np.stack([SHAPES[name] for name in ("relaxed", "open", "cup", "point")])
    for hand in (0, 1):
        rest, place = rest_pose(hand)
        mixture = 0.25 + swings(0.12, 4)
        quaternions[:, hand] = finger_quaternions(np.tensordot(mixture, shapes, 1), hand)
        quaternions[:, hand, 0] = multiply(from_axis_angle(swings(0.6, 3)), rest[0])
        places[:, hand] = place + np.array([0.0, 0.12, 0.05]) + swings(0.09, 3)
    return HandMotion(
        quaternions=continuous(quaternions).astype(np.float32),
        translation_m=places,
        visible=rng.random((frames, 2)) > 0.1,
        betas=rng.normal(size=(2, 10)),
        fps=fps,
        meta={"seed": seed},
    )


def same(a: HandMotion, b: HandMotion) -> bool:
    """Are all numbers equal, to the bit?"""
    names = ("quaternions", "translation_m", "visible", "betas")
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names) and a.fps == b.fps


def difference(a: HandMotion, b: HandMotion) -> tuple[float, float]:
    """The largest distance [m] and angle [rad] between two motions."""
    places = np.abs(a.translation_m.astype(float) - b.translation_m).max()
    angles = angle_between(a.quaternions.astype(float), b.quaternions.astype(float))
    return places, angles.max()


def steps(motion: HandMotion) -> tuple[np.ndarray, np.ndarray]:
    """From frame to frame: distances [m] (T - 1, 2) and angles [rad] (T - 1, 2, 16)."""
    turns = motion.quaternions.astype(float)
    places = np.linalg.norm(np.diff(motion.translation_m.astype(float), axis=0), axis=-1)
    return places, angle_between(turns[1:], turns[:-1])
