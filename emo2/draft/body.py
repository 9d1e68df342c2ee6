"""How the torso moves: sway, breath and shrugs as displacement fields over the picture.

Each field is linear in its number, so a frame is a weighted sum of four fixed fields.
"""

from __future__ import annotations

import numpy as np

from emo2.draft.head_mesh import smoothstep
from emo2.draft.performance import Performance
from emo2.types import Portrait

_HIPS_M = 0.55
"""The torso leans about a line this far below the shoulders."""
_BREATH_RISE_M, _BREATH_WIDEN = 0.0035, 0.008


class TorsoMotion:
    """The four fields of one portrait."""

    def __init__(self, portrait: Portrait) -> None:
        self._metre_px = portrait.camera.pixels_per_metre
        self._middle = portrait.shoulders.mean(0).astype(np.float64)
        self._shoulders = portrait.shoulders.astype(np.float64)

    def fields(self, points: np.ndarray) -> np.ndarray:
        """(4, n, 2) pixels that points (n, 2) move per unit of sway, breath, left, right shrug."""
        metre = self._metre_px
        below_m = (points[:, 1] - self._middle[1]) / metre
        aside_m = (points[:, 0] - self._middle[0]) / metre
        fields = np.zeros((4, len(points), 2))
        fields[0, :, 0] = metre * np.clip(1 - below_m / _HIPS_M, 0, 1.25)
        chest = np.exp(-(((below_m - 0.13) / 0.13) ** 2))
        fields[1, :, 0] = metre * _BREATH_WIDEN * np.clip(aside_m, -0.2, 0.2) * chest
        fields[1, :, 1] = -metre * _BREATH_RISE_M * (1 - smoothstep(0.0, 0.4, below_m))
        for side, shoulder in enumerate(self._shoulders):
            away_m = (points - shoulder) / metre
            near = np.exp(-((away_m[:, 0] / 0.11) ** 2) - (np.minimum(away_m[:, 1], 0) / 0.1) ** 2)
            fields[2 + side, :, 1] = (
                -metre * near * np.exp(-((np.maximum(away_m[:, 1], 0) / 0.3) ** 2))
            )
        return fields

    def shoulder_shift(self, performance: Performance) -> np.ndarray:
        """(T, 2, 2) pixels that the left and right shoulder move."""
        return np.einsum("tk,knc->tnc", amounts(performance), self.fields(self._shoulders))


def amounts(performance: Performance) -> np.ndarray:
    """(T, 4): sway, breath, left shrug, right shrug, in the fields' order."""
    return np.stack(
        [
            performance.sway_m,
            performance.breath,
            performance.shrug_left_m,
            performance.shrug_right_m,
        ],
        axis=1,
    ).astype(np.float64)
