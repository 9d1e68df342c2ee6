"""Rows as crowds: how far their windows of motion lie from the teacher's and from real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from emo2.evaluation.autoencoder import FOLDER, MotionAutoencoder
from emo2.evaluation.frechet import against, kernel_distance
from emo2.evaluation.geometry import geometric_features
from emo2.evaluation.windows import FPS, WINDOW_FRAMES
from emo2.hands.model import HandModel
from emo2.types import HandMotion

Features = Callable[[HandMotion], np.ndarray]


class Crowds:
    """Distances to two crowds: the teacher's takes, and real speakers' tracks.

    Args:
        taught: the teacher's motions in the same style to the same speech.
        real: motions of real speakers; may be empty. Too short ones are left out.
    """

    def __init__(
        self, hand_model: HandModel, taught: Sequence[HandMotion], real: Sequence[HandMotion]
    ) -> None:
        self._features: dict[str, Features] = {
            "geometry": lambda motion: geometric_features(motion, hand_model)
        }
        if (FOLDER / "config.json").is_file():
            self._features["network"] = MotionAutoencoder.from_pretrained(FOLDER).features
        self._taught = {name: self._rows(f, taught) for name, f in self._features.items()}
        self._real = self._rows(self._features["geometry"], real)

    def facts(self, motions: Sequence[HandMotion]) -> dict[str, float]:
        """The distances of one row."""
        facts = {}
        for name, features in self._features.items():
            rows = self._rows(features, motions)
            found = against(rows, self._taught[name])
            facts[f"frechet_{name}"] = found.frechet
            facts[f"frechet_{name}_floor"] = found.floor
            if name == "geometry" and self._real:
                facts["kernel_real"] = kernel_distance(
                    np.concatenate(rows), np.concatenate(self._real)
                ).value
        return facts

    def _rows(self, features: Features, motions: Sequence[HandMotion]) -> list[np.ndarray]:
        long_enough = (m for m in motions if m.duration_s >= WINDOW_FRAMES / FPS)
        return [features(motion) for motion in long_enough]
