"""Motions made from nothing, and how far two are apart."""

import numpy as np
import pytest

from emo2.hands.shapes import SHAPES, handshape
from emo2.motion.anatomy import neutral_wrist
from emo2.motion.rotations import angle_between, mirror, slerp
from emo2.types import HandMotion


def speaker(frames: int = 25, *, seed: int = 0, betas: float = 0.0, fps: float = 24.0):
    """Hands that wander before the chest and pass from one handshape to the next."""
    random = np.random.default_rng(seed)
    time = np.linspace(0, 1, frames)[:, None]
    quaternions = np.zeros((frames, 2, 16, 4))
    places = np.zeros((frames, 2, 3))
    for hand in (0, 1):
        swing = 0.12 * np.sin(6.28 * (time + random.uniform(0, 1, 3)))
        left = np.array([0.2, -0.2, 0.25]) + swing
        places[:, hand] = left * [1 - 2 * hand, 1, 1]
        shapes = [handshape(name, hand) for name in random.choice(list(SHAPES), 2)]
        quaternions[:, hand] = slerp(shapes[0], shapes[1], np.repeat(time, 16, axis=1))
        wrist = neutral_wrist(left)
        quaternions[:, hand, 0] = mirror(wrist) if hand else wrist
    return HandMotion(
        quaternions,
        places,
        np.ones((frames, 2), bool),
        betas * random.normal(size=(2, 10)),
        fps,
        {"seed": seed, "style": "talk-calm"},
    )


def anything(frames: int, seed: int) -> HandMotion:
    """Any rotations at any places, some of them out of the arms' reach, hands hidden at will."""
    random = np.random.default_rng(seed)
    turns = random.normal(size=(frames, 2, 16, 4))
    turns /= np.linalg.norm(turns, axis=-1, keepdims=True)
    return HandMotion(
        turns,
        random.uniform(-0.9, 0.9, (frames, 2, 3)),
        random.random((frames, 2)) < 0.7,
        np.full((2, 10), seed % 2),
        float(random.choice([12, 24, 25, 29.97, 60])),
        {"seed": seed, "words": "né"},
    )


def off_by(a: HandMotion, b: HandMotion) -> tuple[float, float]:
    """The largest difference of rotations [rad] and places [m]."""
    assert a.num_frames == b.num_frames
    assert a.fps == pytest.approx(b.fps, rel=1e-9)
    turned = angle_between(a.quaternions.astype(float), b.quaternions.astype(float)).max()
    return float(turned), float(np.abs(a.translation_m - b.translation_m).max())
