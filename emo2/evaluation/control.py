"""Does the speed control order motion? Nine values over several clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from emo2.evaluation.performers import Model
from emo2.types import AudioClip, HandMotion

SPEEDS = tuple(np.linspace(0.1, 0.9, 9).round(2).tolist())


@dataclass(frozen=True)
class SpeedOrder:
    """Slider against what it does."""

    speeds: tuple[float, ...]
    deviation_m: np.ndarray
    """(clips, speeds) standard deviation of the wrists' translation over the clip."""

    @property
    def pooled(self) -> float:
        """Spearman's correlation over all clips at once: they need not reach the same sizes."""
        sliders = np.broadcast_to(self.speeds, self.deviation_m.shape)
        return float(spearmanr(sliders.ravel(), self.deviation_m.ravel()).statistic)

    @property
    def within(self) -> float:
        """The mean over clips of Spearman's correlation within one."""
        rows = [spearmanr(self.speeds, row).statistic for row in self.deviation_m]
        return float(np.mean(rows))


def speed_order(model: Model, clips: Sequence[AudioClip], style: str | None = None) -> SpeedOrder:
    """Gesture to every clip at every speed, all with seed 0."""
    rows = np.zeros((len(clips), len(SPEEDS)))
    for row, clip in zip(rows, clips, strict=True):
        for at, speed in enumerate(SPEEDS):
            row[at] = wrist_deviation(model(clip, style, 0, speed=speed))
    return SpeedOrder(SPEEDS, rows)


def wrist_deviation(motion: HandMotion) -> float:
    """Standard deviation of the wrists' places over time [m], mean over hands and axes."""
    return float(motion.translation_m.std(axis=0).mean())
