"""Rows as crowds: how far their windows of motion lie from the teacher's and from real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from emo2.evaluation.autoencoder import FOLDER, MotionAutoencoder
from emo2.evaluation.frechet import against, kernel_distance
from emo2.evaluation.geometry import geometric_features
from emo2.evaluation.points import Bones
from emo2.evaluation.windows import FPS, WINDOW_FRAMES
from emo2.hands.model import HandModel
from emo2.types import HandMotion

Features = Callable[[HandMotion], np.ndarray]
LEAST_WINDOWS = 4


class Crowds:
    """Distances to two crowds: the teacher's takes, and real speakers' tracks.

    Args:
        hand_model: what gives joints; `Bones` is the quicker.
        taught: the teacher's motions in the same style to the same speech.
        real: motions of real speakers; may be empty. Too short ones are left out.
    """

    def __init__(
        self,
        hand_model: HandModel | Bones,
        taught: Sequence[HandMotion],
        real: Sequence[HandMotion],
    ) -> None:
        self._features: dict[str, Features] = {
            "geometry": lambda motion: geometric_features(motion, hand_model)
        }
        if (FOLDER / "config.json").is_file():
            self._features["network"] = MotionAutoencoder.from_pretrained(FOLDER).features
        self._taught = {name: self._rows(f, taught) for name, f in self._features.items()}
        self._real = self._rows(self._features["geometry"], real)

    def facts(self, motions: Sequence[HandMotion]) -> dict[str, float]:
        """The distances of one row; none where there are too few windows to fit anything."""
        facts = {}
        for name, features in self._features.items():
            rows, taught = self._rows(features, motions), self._taught[name]
            if min(map(_half, (rows, taught))) >= LEAST_WINDOWS:
                found = against(rows, taught)
                facts[f"frechet_{name}"] = found.frechet
                facts[f"frechet_{name}_floor"] = found.floor
            if name == "geometry" and min(map(_windows, (rows, self._real))) >= LEAST_WINDOWS:
                crowds = np.concatenate(rows), np.concatenate(self._real)
                facts["kernel_real"] = kernel_distance(*crowds).value
        return facts

    def _rows(self, features: Features, motions: Sequence[HandMotion]) -> list[np.ndarray]:
        long_enough = (m for m in motions if m.duration_s >= WINDOW_FRAMES / FPS)
        return [features(motion) for motion in long_enough]


def _windows(rows: Sequence[np.ndarray]) -> int:
    return sum(map(len, rows))


def _half(rows: Sequence[np.ndarray]) -> int:
    """The fewest windows that half of the clips can have."""
    return sum(sorted(map(len, rows))[: len(rows) // 2])
